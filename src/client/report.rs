//! `platform status`, `platform list` and `gateway status`: asks the gateway, and reads its file where it does not answer.

use std::io::{self, Write};

use serde_json::json;

use crate::client::answered::{answered, of_files, of_gateway};
use crate::client::headline::{headline, next_step};
use crate::client::presence::{Evidence, Presence};
use crate::client::request;
use crate::client::table::{self, Look};
use crate::client::view::{PlatformView, View};
use crate::clock::{Now, Uptime};
use crate::config::Config;
use crate::durable::Lock;
use crate::error::{CliError, ExitCode};
use crate::facts;
use crate::facts::is_set_up;
use crate::file;
use crate::gateway::model::pid_file::PidFile;
use crate::gateway::model::snapshot::Snapshot;
use crate::gateway::platforms::build::{enabled, is_enabled};
use crate::home::HermesHome;
use crate::platforms::Platform;
use crate::preflight::{self};
use crate::process::proc;
use crate::visible;
use crate::world::World;

/// Shows every enabled platform. With a gateway: its own word. Without: what it last said, dated, and what is missing now.
///
/// # Errors
/// When the settings are broken while no gateway runs, or the output is gone.
pub fn platform_status(world: &World, home: &HermesHome, json: bool) -> Result<ExitCode, CliError> {
    let view = view(world, home)?;
    if json {
        print(&format!("{}\n", view.to_json()))?;
    } else {
        // Ages are those of the moment in which they are shown, however long the answer took.
        print(&table::platform_status(&view, Now::read().wall, look(world)))?;
    }
    Ok(exit(&view))
}

/// The gateway at this moment: by its own word where it answers, else by its status file.
///
/// # Errors
/// When the settings are broken while no gateway runs.
pub(super) fn view(world: &World, home: &HermesHome) -> Result<View, CliError> {
    let (mut view, snapshot) = gateway(home);
    let mut platforms = snapshot.map(|snapshot| snapshot.platforms).unwrap_or_default();
    if view.presence == Presence::Absent {
        let config = Config::load(world, home)?;
        view.findings = preflight::agent::findings(&config.agent, |program| facts::program(world, program));
        view.platforms = enabled(&config)
            .map(|platform| PlatformView {
                name: platform.spec().name.to_owned(),
                title: platform.spec().title,
                last: platforms.remove(platform.spec().name),
                findings: findings(platform, world, home, &config, false),
            })
            .collect();
    } else {
        view.platforms = platforms
            .into_iter()
            .map(|(name, last)| {
                let platform = name.parse::<Platform>().ok();
                let answered = platform.and_then(|platform| of_gateway(home, platform));
                let findings = answered.and_then(|answered| answered.nobody().cloned()).into_iter().collect();
                let title = platform.map_or("", |platform| platform.spec().title);
                PlatformView { name, title, last: Some(last), findings }
            })
            .collect();
    }
    Ok(view)
}

/// Shows whether the gateway runs.
///
/// # Errors
/// When the output is gone.
pub fn gateway_status(world: &World, home: &HermesHome, json: bool) -> Result<ExitCode, CliError> {
    let (mut view, _) = gateway(home);
    if view.presence == Presence::Absent {
        view.is_unset = Config::load(world, home).is_ok_and(|config| enabled(&config).next().is_none());
    }
    if json {
        let mut value = view.to_json();
        if let Some(object) = value.as_object_mut() {
            object.remove("platforms");
        }
        print(&format!("{value}\n"))?;
    } else {
        print(&table::gateway_status(&view, Now::read().wall, look(world)))?;
    }
    Ok(exit(&view))
}

/// Lists every platform there is, whether it is enabled, and how it is set up.
///
/// # Errors
/// When the settings are broken, or the output is gone.
pub fn platform_list(world: &World, home: &HermesHome, json: bool) -> Result<ExitCode, CliError> {
    let config = Config::load(world, home)?;
    let rows = Platform::ALL.map(|platform| (platform.spec(), is_enabled(platform, &config)));
    if json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(spec, enabled)| json!({"name": spec.name, "title": spec.title, "enabled": enabled, "setup": spec.setup}))
            .collect();
        print(&format!("{}\n", json!(rows)))?;
    } else {
        let line = |name, enabled, setup| format!("{name:8}  {enabled:7}  {setup}\n");
        let mut text = line("Platform", "Enabled", "Set up by");
        for (spec, enabled) in rows {
            text.push_str(&line(spec.name, if enabled { "yes" } else { "no" }, spec.setup));
        }
        print(&text)?;
    }
    Ok(ExitCode::Ok)
}

/// The word of a running gateway; `None` where none runs.
pub fn last_word(home: &HermesHome) -> Option<Snapshot> {
    let (view, snapshot) = gateway(home);
    snapshot.filter(|_| view.is_believed())
}

/// The gateway of this home, without its platforms, and its own last word. Takes less than 2 s.
pub fn gateway(home: &HermesHome) -> (View, Option<Snapshot>) {
    let asked_at = Now::read().wall;
    let word = request::look(home);
    // A lock that cannot be looked at tells nothing of a gateway.
    let holder = Lock::holder(&home.lock_file()).ok().flatten();
    let written =
        file::read(home.state_file(), file::OWN_LEN_MAX).ok().and_then(|bytes| Snapshot::read(&bytes));
    let pid_file: Option<PidFile> = file::read(home.pid_file(), file::OWN_LEN_MAX)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let pid = holder.and_then(|holder| holder.pid);
    let file = pid_file.filter(|file| pid.is_none_or(|pid| file.pid == pid));
    let evidence = Evidence {
        holder,
        asked_at,
        word,
        is_holders: written.as_ref().is_some_and(|written| is_of(written, pid, file.as_ref())),
        written,
        started_at: file.as_ref().and_then(|file| file.started_at),
        is_stopped: pid.is_some_and(|pid| is_stopped(pid, file.as_ref().map_or(0, |file| file.start_time))),
    };
    View::new(evidence, Now::read().wall)
}

/// The failure that a gateway does not answer.
pub fn hangs(view: &View) -> CliError {
    let message = headline(view, Now::read().wall);
    CliError::failed(message.trim_end_matches('.').to_owned())
        .code("control_mute")
        .hint(next_step(view).trim_end().to_owned())
}

/// True when the process that has this pid and this pid file wrote the document. A pid alone tells little: in a container each life
/// of the gateway may have the same.
fn is_of(written: &Snapshot, pid: Option<u32>, file: Option<&PidFile>) -> bool {
    let is_this_boot = match (&written.boot_id, Uptime::read()) {
        (Some(theirs), Some(ours)) => *theirs == ours.boot_id,
        (Some(_) | None, _) => true,
    };
    let is_this_life = file.is_none_or(|file| match &file.instance_id {
        Some(instance_id) => written.instance_id == *instance_id,
        None => written.start_time == file.start_time,
    });
    pid.is_none_or(|pid| written.pid == pid) && is_this_boot && is_this_life
}

/// True when this process is stopped, by SIGSTOP or Ctrl-Z. `start_time` tells a reused pid, and one of another container; 0 where
/// it is not known.
fn is_stopped(pid: u32, start_time: u64) -> bool {
    proc::process(pid)
        .is_some_and(|process| process.is_stopped && (start_time == 0 || process.start == start_time))
}

/// Every platform that people can use, and how it stands, in a word or two.
///
/// # Errors
/// When the settings are broken.
pub fn setup_states(world: &World, home: &HermesHome) -> Result<Vec<(Platform, &'static str)>, CliError> {
    let config = Config::load(world, home)?;
    let state = |platform| {
        if !is_enabled(platform, &config) {
            if is_set_up(platform, home, &config) { "turned off" } else { "not set up" }
        } else if preflight::is_blocked(&findings(platform, world, home, &config, false)) {
            "has a problem"
        } else {
            "set up"
        }
    };
    Ok(Platform::ALL.into_iter().map(|platform| (platform, state(platform))).collect())
}

/// Findings of this moment: what is missing before it can work. `answers`: a gateway does, and knows who is allowed.
pub fn findings(
    platform: Platform,
    world: &World,
    home: &HermesHome,
    config: &Config,
    answers: bool,
) -> Vec<preflight::Finding> {
    let findings = match platform {
        Platform::Whatsapp => preflight::findings(&facts::gather(world, home, config)),
        Platform::Telegram => preflight::telegram::findings(config),
        Platform::Scripted(_) => Vec::new(),
    };
    let mut findings = preflight::origin::with_origin(platform, findings, config);
    let of = if answers { answered } else { of_files };
    of(home, config, platform).replace_in(&mut findings);
    findings
}

/// The look of the standard output.
pub fn look(world: &World) -> Look {
    let size = if world.stdout_tty { console::Term::stdout().size_checked() } else { None };
    let width = size.map_or(0, |(_, columns)| usize::from(columns));
    Look { colour: world.colour(world.stdout_tty), utf8: world.stdout_tty && world.is_utf8(), width }
}

pub(super) fn exit(view: &View) -> ExitCode {
    match view.presence {
        Presence::Absent => ExitCode::NotRunning,
        Presence::Starting | Presence::Answering | Presence::WithoutSocket => ExitCode::Ok,
        Presence::Mute(_) => ExitCode::Failed,
    }
}

/// Prints to standard output. A reader that has gone away (`| head`) is not a failure.
///
/// # Errors
/// When it cannot be written.
pub fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(visible::page(text).as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::failed("the output cannot be written").because(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
