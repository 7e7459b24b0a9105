//! The people who are answered on a platform: by the word of the running gateway, whose environment may differ from that of this
//! command; by the settings and the store where none answers.

use crate::config::Config;
use crate::control_client::report;
use crate::gateway::store::offline;
use crate::home::HermesHome;
use crate::platforms::Platform;
use crate::preflight::access::Answered;

/// Asks the gateway, else reads.
pub fn answered(home: &HermesHome, config: &Config, platform: Platform) -> Answered {
    of_gateway(home, platform).unwrap_or_else(|| of_files(home, config, platform))
}

/// By the settings of this process and the store.
pub fn of_files(home: &HermesHome, config: &Config, platform: Platform) -> Answered {
    let rows = offline::admitted(home).into_iter().filter(|row| row.platform == platform);
    Answered::of(platform, config, rows.map(|row| row.person).collect())
}

/// `None`: no gateway answers, or it is of another version.
pub fn of_gateway(home: &HermesHome, platform: Platform) -> Option<Answered> {
    let rows: Vec<Answered> = report(home, "/v1/access", "access")?;
    let row = rows.into_iter().find(|row| row.platform == platform.spec().name)?;
    Some(Answered { is_of_gateway: true, ..row })
}
