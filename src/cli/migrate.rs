//! `hermes migrate`, as it is typed, and the part of it that goes into the store.

use std::path::{Path, PathBuf};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::runtime;
use crate::client::report::{look, print};
use crate::config::{Config, Foreign};
use crate::durable::{self, Lock, LockError};
use crate::error::{CliError, ExitCode};
use crate::gateway::store::api::admissions::{AdmittedRow, Change, Records};
use crate::gateway::store::offline;
use crate::home::HermesHome;
use crate::migrate::found::{self, Found};
use crate::migrate::plan::{Plan, plan};
use crate::migrate::report::{self, Done};
use crate::migrate::write;
use crate::ownership::{self, Owned, Standing, Us};
use crate::world::World;
use crate::wrap::folded;

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// The home of hermes-agent, if it is not this one
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Write what is taken; without it nothing is changed
    #[arg(long)]
    apply: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl MigrateArgs {
    /// True when it changes something.
    pub(super) fn writes(&self) -> bool {
        self.apply
    }
}

/// `hermes migrate`.
pub(super) fn run(world: &World, home: &HermesHome, args: &MigrateArgs) -> Result<ExitCode, CliError> {
    // Our own settings must be sound before anything is added to them.
    let foreign = Config::load(world, home)?.foreign;
    let from = source(world, home, args, &foreign)?;
    let mut plan = plan(&found::read(world, home, &from, &foreign)?);
    let mut done = Done::Shown;
    if args.apply {
        (plan, done) = (apply(world, home, &from, &foreign)?, Done::Applied);
    }
    if args.json {
        print(&format!("{:#}\n", report::json(&plan, home.root(), &from, done)))?;
    } else {
        let text = report::text(&plan, home.root(), &from, done);
        print(&folded(&text, look(world).width))?;
    }
    if args.apply && !plan.unread.is_empty() {
        let files: Vec<String> =
            plan.unread.iter().map(|what| from.join(what).display().to_string()).collect();
        let error = CliError::failed(format!("nothing was taken from {}", files.join(", ")));
        return Err(error
            .after_report()
            .code("hermes_agent_unreadable")
            .hint("The list above says why. Repair it, and run `hermes migrate --apply` again."));
    }
    Ok(ExitCode::Ok)
}

/// The home of hermes-agent that is meant.
fn source(
    world: &World,
    home: &HermesHome,
    args: &MigrateArgs,
    foreign: &[Foreign],
) -> Result<PathBuf, CliError> {
    let from = match &args.from {
        None => home.root().to_owned(),
        Some(dir) => {
            let dir = dir.to_str().map_or_else(|| dir.clone(), |text| world.expand(text));
            std::path::absolute(&dir)
                .map_err(|error| CliError::usage("`--from` is not the path of a folder").because(error))?
        }
    };
    // A setting alone can be explained as well.
    let is_named = args.from.is_some() && found::has_settings(&from);
    if found::is_home(&from) || is_named || args.from.is_none() && !foreign.is_empty() {
        return Ok(from);
    }
    let error = CliError::failed(format!("{} is not the home of a hermes-agent", from.display()))
        .code("no_hermes_agent");
    Err(error.hint("Name it with `hermes migrate --from DIR`; it holds config.yaml or .env."))
}

/// Writes what is taken, while no gateway runs on either home.
fn apply(world: &World, home: &HermesHome, from: &Path, foreign: &[Foreign]) -> Result<Plan, CliError> {
    let root = home.root();
    if let Ok(folder) = root.metadata().map(|metadata| Owned::from(&metadata))
        && Us::now().standing(folder) == Standing::Foreign
    {
        let error = CliError::config(format!(
            "the home folder {} belongs to {}",
            root.display(),
            ownership::user(folder.uid)
        ));
        return Err(error.code("home_unusable").hints(ownership::hints(world, root)));
    }
    durable::create_private_dir(root)
        .map_err(|error| CliError::file("the home folder cannot be created", root, error))?;
    if let Some(pid) = found::running(from)? {
        return Err(running(pid));
    }
    let _lock = Lock::acquire(&home.lock_file()).map_err(|error| match error {
        LockError::Held { pid } => running(pid),
        LockError::Io(error) => {
            CliError::file("the gateway's lock cannot be taken", &home.lock_file(), error)
        }
    })?;
    // The files may have changed before the lock was taken.
    let found = found::read(world, home, from, foreign)?;
    let plan = plan(&found);
    runtime()?.block_on(write_all(home, found, &plan))?;
    Ok(plan)
}

fn running(pid: Option<u32>) -> CliError {
    let process = pid.map_or(String::new(), |pid| format!(" (process {pid})"));
    CliError::failed(format!("a gateway is running on this home{process}"))
        .code("gateway_running")
        .hint("Stop it first: `hermes gateway stop`, with the program that runs it. Without --apply nothing needs to stop.")
}

/// Until everything is ready to be put in its place, an interrupt ends it and nothing is changed; then it takes a moment.
async fn write_all(home: &HermesHome, found: Found, plan: &Plan) -> Result<(), CliError> {
    let unheard = |error| CliError::failed("signals cannot be received").because(error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unheard)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(unheard)?;
    let cancel = CancellationToken::new();
    let mut preparing = {
        let (home, plan, cancel) = (home.clone(), plan.clone(), cancel.clone());
        tokio::task::spawn_blocking(move || write::prepare(&home, &found, &plan, &cancel))
    };
    let prepared = tokio::select! {
        prepared = &mut preparing => prepared,
        _ = interrupt.recv() => { cancel.cancel(); preparing.await }
        _ = terminate.recv() => { cancel.cancel(); preparing.await }
    };
    let prepared = prepared.map_err(|_| CliError::failed("writing failed in an unforeseen way"))??;
    if cancel.is_cancelled() {
        return Err(CliError::interrupted());
    }
    let store = if plan.people.is_empty() { None } else { Some(offline::open(home).await?) };
    if let Some(store) = &store {
        let known = store.load().await.map_err(offline::unusable)?.admitted;
        let rows = plan.people.iter().map(|one| AdmittedRow {
            platform: one.platform,
            person: one.person.clone(),
            alt: one.alt.clone(),
            since_s: one.since_s,
        });
        let new: Vec<AdmittedRow> = rows
            .filter(|row| {
                known.iter().all(|known| (known.platform, &known.person) != (row.platform, &row.person))
            })
            .collect();
        let back: Vec<Change> =
            new.iter().map(|row| Change::Revoke(row.platform, row.person.clone())).collect();
        store.keep(new.into_iter().map(Change::Admit).collect()).await.map_err(offline::unusable)?;
        if let Err(error) = prepared.commit() {
            store.keep(back).await.map_err(offline::unusable)?;
            return Err(error);
        }
        return Ok(());
    }
    prepared.commit()
}
