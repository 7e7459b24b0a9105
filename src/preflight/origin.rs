//! Pure. Remedies for settings of the process environment: a change of `.env` has no effect on them.

use super::{Code, Finding};
use crate::config::Config;
use crate::platforms::Platform;

/// Returns the findings with a remedy that works.
pub fn with_origin(platform: Platform, mut findings: Vec<Finding>, config: &Config) -> Vec<Finding> {
    for finding in &mut findings {
        let names = settings_of(platform, finding.code);
        if let Some(remedy) = names.iter().find_map(|name| config.origin(name)) {
            finding.fix = remedy;
        }
    }
    findings
}

/// The settings that this finding is about.
fn settings_of(platform: Platform, code: Code) -> Vec<String> {
    let names = |names: &[&str]| names.iter().map(|name| platform.variable(name)).collect();
    match code {
        Code::TelegramBadToken => names(&["BOT_TOKEN"]),
        Code::TelegramWebhookSecret => names(&["WEBHOOK_SECRET"]),
        Code::WhatsappNotEnabled => names(&["ENABLED"]),
        Code::WhatsappModeNotSet => names(&["MODE"]),
        Code::WhatsappNobodyAllowed
        | Code::WhatsappEverybodyAllowed
        | Code::WhatsappAllowlistInvalid
        | Code::WhatsappOwnNumberAllowed
        | Code::NobodyAllowed
        | Code::EverybodyAllowed => names(&["ALLOWED_USERS"]),
        Code::WhatsappNodeMissing
        | Code::WhatsappNodeTooOld
        | Code::WhatsappBridgeNotInstalled
        | Code::WhatsappNotPaired
        | Code::WhatsappPasskeyRequired
        | Code::WhatsappHalfPaired
        | Code::WhatsappCredsCorrupt
        | Code::WhatsappSessionLock
        | Code::AgentCommandMissing
        | Code::AgentCommandNotExecutable
        | Code::AgentModelNotSet
        | Code::AgentKeyMissing
        | Code::AgentVariableMissing
        | Code::TelegramTokenMissing
        | Code::TelegramNotEnabled
        | Code::TimeZoneUnknown
        | Code::TimeZoneReversed
        | Code::TrustUnusable
        | Code::NodeCertsUnusable => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::telegram;

    #[test]
    fn a_token_of_the_environment_is_corrected_there() {
        let mut config = Config::default();
        config.telegram.token = Some(crate::sensitive::Secret("no token".into()));
        let fix = |config: &Config| {
            let found = telegram::findings(config);
            with_origin(Platform::Telegram, found, config)[0].fix.clone()
        };
        assert!(fix(&config).contains("hermes telegram"));
        let token = crate::sensitive::Secret("no token".into());
        config.of_process.insert("TELEGRAM_BOT_TOKEN".to_owned(), token);
        assert!(fix(&config).contains("unset TELEGRAM_BOT_TOKEN"));
    }
}
