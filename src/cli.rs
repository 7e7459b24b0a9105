//! The command line: the commands, and the part of the program that runs each.

mod messages;
mod migrate;
mod pairing;
mod setup;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::client::answered::answered;
use crate::client::report;
use crate::client::request;
use crate::client::watch;
use crate::config::{Config, WhatsAppMode};
use crate::durable::Lock;
use crate::error::{CliError, ErrorKind, ExitCode};
use crate::gateway::api::ancestry;
use crate::gateway::boot;
use crate::gateway::host::init;
use crate::gateway::host::restart::Restart;
use crate::home::HermesHome;
use crate::logging::{self, Format};
use crate::platforms::Platform;
use crate::process::exec;
use crate::service;
use crate::service::command::{Asked as Succession, Verb};
use crate::wizard::{self, AnswerFrom, QrStyle, WhatsAppOptions};
use crate::world::{CHILD_MARK, World};
use crate::wrap::folded;
use crate::{doctor, dumps, failpoint, ownership};
use messages::{DeadCommand, SendArgs};
use pairing::PairingCommand;

/// The end of the help, which names the page of the codes once, for all commands.
const AFTER_HELP: &str =
    "Errors end with a code in brackets, such as [gateway_lock]; docs/troubleshooting.md explains each.";

/// The messaging gateway for AI agents that stays up.
#[derive(Debug, Parser)]
#[command(name = "hermes", version, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set up WhatsApp: install the bridge, scan the code, done. Safe to run again at any time
    Whatsapp(WhatsAppArgs),
    /// Set up several platforms one after another
    Setup(setup::SetupArgs),
    /// Set up Telegram: give it a bot's token, write to the bot, done. Safe to run again at any time
    Telegram(setup::TelegramArgs),
    /// Take over the home folder of a hermes-agent gateway; without --apply only show what would be taken
    Migrate(migrate::MigrateArgs),
    /// Run the gateway, or check its status
    #[command(subcommand, arg_required_else_help = true)]
    Gateway(GatewayCommand),
    /// Show every platform's state and what to do; pause and resume platforms
    #[command(subcommand, arg_required_else_help = true)]
    Platform(PlatformCommand),
    /// Show who asks for access and who was ignored; approve by code, allow by ID, revoke
    #[command(subcommand, arg_required_else_help = true)]
    Pairing(PairingCommand),
    /// Undelivered messages: list, retry or delete
    #[command(subcommand, arg_required_else_help = true)]
    Dead(DeadCommand),
    /// Send a message through the running gateway
    Send(SendArgs),
    /// Check everything, also the running gateway, and show what to do (exit 1 when something needs you)
    Doctor {
        /// Repair what needs no decision: file modes, missing folders, leftovers of a killed gateway, the bridge's files
        #[arg(long)]
        fix: bool,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
struct WhatsAppArgs {
    #[command(subcommand)]
    command: Option<WhatsAppCommand>,
    /// The mode: `bot` has a separate number, `self-chat` answers your notes to yourself
    #[arg(long, value_enum)]
    mode: Option<ModeArg>,
    /// Phone numbers that are answered, separated by commas
    #[arg(long, value_name = "LIST")]
    allow: Option<String>,
    /// Answer everyone who knows the number, at your cost and on your machine
    #[arg(long)]
    allow_everyone: bool,
    /// Take the default answer of every question; on a terminal this also starts the gateway after pairing
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    start: setup::StartArgs,
    /// Pair again; the old session is moved aside, never deleted. Asks first if it may still work
    #[arg(long)]
    repair: bool,
    /// With --repair: replace the pairing without asking, even if it still works. `--yes` alone keeps it
    #[arg(long, requires = "repair")]
    relink: bool,
    /// If WhatsApp asks for a passkey: read the browser's answer from FILE once it is there, or from standard input (-)
    #[arg(long, value_name = "FILE", value_parser = parse_answer_from)]
    passkey_answer: Option<AnswerFrom>,
    /// Link by a code typed on the phone with this number, instead of a QR code
    #[arg(long, value_name = "+NUMBER")]
    pairing_code: Option<String>,
    /// Form of the QR code: auto, image, blocks, sextants, ascii, raw, or png=FILE
    #[arg(long, value_name = "STYLE", default_value = "auto", value_parser = parse_qr)]
    qr: QrStyle,
    /// Time to wait for the phone, for example 90s or 5m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    timeout: Duration,
    /// Print one JSON event a line and ask nothing
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum WhatsAppCommand {
    /// Show the pairing and what is missing
    Status {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Turn WhatsApp on (needs a completed pairing)
    Enable {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Turn WhatsApp off; the pairing is kept
    Disable {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Forget the pairing on this machine; the session is moved aside
    Unpair {
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ModeArg {
    Bot,
    SelfChat,
}

#[derive(Debug, Subcommand)]
enum GatewayCommand {
    /// Run the gateway in the foreground
    Run(RunArgs),
    /// Start the installed service, and wait until it is ready
    Start(SuccessionArgs),
    /// Stop gracefully and wait
    Stop(SuccessionArgs),
    /// Stop gracefully, start again, and wait until it is ready
    Restart(SuccessionArgs),
    /// Show whether the gateway is running (exit 3 if not)
    Status {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct SuccessionArgs {
    /// Wait at most this long, for example 90s or 5m (default: `gateway.drain_timeout` and a minute)
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Log more (twice: everything)
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Log warnings and errors only
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Form of the log lines; `auto`: sentences on a terminal, else as `text`
    #[arg(long, value_enum, default_value_t = LogFormat::Auto)]
    log_format: LogFormat,
    /// Start with a damaged database; unreadable messages are lost
    #[arg(long)]
    accept_loss: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Auto,
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum PlatformCommand {
    /// Show every platform's state, since when, why, and what to do (exit 3 if the gateway is not running)
    Status {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
        /// Keep showing it until q or Ctrl-C; without a terminal, print every change
        #[arg(long)]
        watch: bool,
    },
    /// Disconnect a platform until it is resumed, also after a restart
    Pause {
        /// The platform
        name: String,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Resume a paused or blocked platform now
    Resume {
        /// The platform
        name: String,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// List the platforms
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

/// Runs the program and returns its exit code.
pub fn run(world: &World) -> u8 {
    dumps::forbid();
    // A hidden command on the way to becoming another program: it is not parsed with the rest.
    if world.args.get(1).is_some_and(|command| command == exec::NAME) {
        return exec::run(&world.exe, &world.args[2..]);
    }
    let cli = match Cli::try_parse_from(&world.args) {
        Ok(cli) => cli,
        Err(answer) => {
            // Help and version are answers, not errors; a closed pipe is not a fault.
            let code = if answer.use_stderr() { ExitCode::Usage } else { ExitCode::Ok };
            if answer.use_stderr() && world.stderr_tty {
                drop(console::Term::stderr().write_str(&usage_text(world, &answer)));
            } else {
                drop(answer.print());
            }
            return code as u8;
        }
    };
    let json = world.args.iter().any(|arg| arg == "--json") && !tells_events(&cli.command);
    let exit = dispatch(world, cli.command).unwrap_or_else(|error| {
        if json && !error.has_document {
            // The exit code says the same, should the reader be gone.
            drop(report::print(&format!("{}\n", error.to_json())));
        }
        if error.kind != ErrorKind::Interrupted {
            error.report(if world.stderr_tty { columns(&console::Term::stderr()) } else { 0 });
        }
        error.exit()
    });
    exit as u8
}

/// A mistake in the arguments, in rows that fit the terminal.
fn usage_text(world: &World, mistake: &clap::Error) -> String {
    let text = mistake.render();
    let text = if world.colour(true) { text.ansi().to_string() } else { text.to_string() };
    folded(&text, columns(&console::Term::stderr()))
}

/// True when `--json` prints events, of which the last shows how it ended.
fn tells_events(command: &Command) -> bool {
    match command {
        Command::Whatsapp(args) => args.command.is_none(),
        Command::Telegram(args) => args.is_wizard(),
        Command::Setup(_) => true,
        Command::Migrate(_)
        | Command::Gateway(_)
        | Command::Platform(_)
        | Command::Pairing(_)
        | Command::Dead(_)
        | Command::Send(_)
        | Command::Doctor { .. } => false,
    }
}

/// Returns the columns of a terminal; 0 where they are not known.
fn columns(term: &console::Term) -> usize {
    term.size_checked().map_or(0, |(_, columns)| usize::from(columns))
}

fn dispatch(world: &World, command: Command) -> Result<ExitCode, CliError> {
    failpoint::arm(world.failpoint());
    let home = HermesHome::find(world)?;
    if !matches!(command, Command::Doctor { .. }) {
        ownership::check_entry(world, home.root())?;
    }
    refuse_children(world, &home, &command)?;
    if is_wizard(&command) {
        dumps::close();
    }
    match command {
        Command::Whatsapp(args) => whatsapp(world, &home, args),
        Command::Setup(args) => setup::setup(world, &home, &args),
        Command::Telegram(args) => setup::telegram(world, &home, args),
        Command::Migrate(args) => migrate::run(world, &home, &args),
        Command::Gateway(GatewayCommand::Run(args)) => {
            let verbosity = if args.quiet { -1 } else { i8::try_from(args.verbose).unwrap_or(i8::MAX) };
            let log_format = match args.log_format {
                LogFormat::Auto => Format::Auto,
                LogFormat::Text => Format::Text,
                LogFormat::Json => Format::Json,
            };
            let options = boot::RunOptions { verbosity, log_format, accept_loss: args.accept_loss };
            run_gateway(world, &home, options)
        }
        Command::Gateway(GatewayCommand::Status { json }) => report::gateway_status(world, &home, json),
        Command::Gateway(GatewayCommand::Start(args)) => succession(world, &home, Verb::Start, &args),
        Command::Gateway(GatewayCommand::Stop(args)) => succession(world, &home, Verb::Stop, &args),
        Command::Gateway(GatewayCommand::Restart(args)) => succession(world, &home, Verb::Restart, &args),
        Command::Platform(PlatformCommand::Status { json, watch: false }) => {
            report::platform_status(world, &home, json)
        }
        Command::Platform(PlatformCommand::Status { json, watch: true }) => {
            runtime()?.block_on(watch::run(world, &home, json))
        }
        Command::Platform(PlatformCommand::Pause { name, json }) => {
            steer(&home, request::Verb::Pause, &name, json)
        }
        Command::Platform(PlatformCommand::Resume { name, json }) => {
            steer(&home, request::Verb::Resume, &name, json)
        }
        Command::Platform(PlatformCommand::List { json }) => report::platform_list(world, &home, json),
        Command::Pairing(command) => pairing::run(world, &home, command),
        Command::Dead(command) => messages::dead(&home, command),
        Command::Send(args) => messages::send(world, &home, args),
        Command::Doctor { json, fix } => runtime()?.block_on(doctor::run(world, &home, json, fix)),
    }
}

/// True when it asks for secrets, and changes who is answered.
fn is_wizard(command: &Command) -> bool {
    match command {
        Command::Whatsapp(args) => !matches!(args.command, Some(WhatsAppCommand::Status { .. })),
        Command::Setup(_) => true,
        Command::Telegram(args) => args.sets_up(),
        Command::Migrate(args) => args.writes(),
        Command::Gateway(_)
        | Command::Platform(_)
        | Command::Pairing(_)
        | Command::Dead(_)
        | Command::Send(_)
        | Command::Doctor { .. } => false,
    }
}

/// Refuses programs that the gateway has started: they may not steer it, whatever an agent was talked into. The control
/// socket holds to this as well; here it is about the effects of a command itself: settings, lists and another gateway.
fn refuse_children(world: &World, home: &HermesHome, command: &Command) -> Result<(), CliError> {
    let steers = is_wizard(command)
        || matches!(
            command,
            Command::Gateway(
                GatewayCommand::Run(_)
                    | GatewayCommand::Start(_)
                    | GatewayCommand::Stop(_)
                    | GatewayCommand::Restart(_)
            ) | Command::Platform(PlatformCommand::Pause { .. } | PlatformCommand::Resume { .. })
                | Command::Pairing(
                    PairingCommand::Approve { .. }
                        | PairingCommand::Allow { .. }
                        | PairingCommand::Revoke { .. }
                )
                | Command::Dead(_)
                | Command::Send(_)
                | Command::Doctor { fix: true, .. }
        );
    let is_of_gateway = || {
        let gateway = Lock::holder(&home.lock_file()).ok().flatten().and_then(|holder| holder.pid);
        ancestry::is_of_gateway(gateway)
    };
    if steers && (world.var(CHILD_MARK).is_some() || is_of_gateway()) {
        return Err(CliError::failed("programs started by the gateway cannot control it")
            .code("child_of_gateway")
            .hint("Run it yourself in a terminal."));
    }
    Ok(())
}

fn succession(
    world: &World,
    home: &HermesHome,
    verb: Verb,
    args: &SuccessionArgs,
) -> Result<ExitCode, CliError> {
    let asked = Succession { verb, timeout: args.timeout, json: args.json };
    runtime()?.block_on(service::command::run(world, home, asked))
}

/// Sends a request about a platform, and shows the answer.
fn steer(home: &HermesHome, verb: request::Verb, name: &str, json: bool) -> Result<ExitCode, CliError> {
    let message = request::steer(home, verb, name)?;
    let name = name.trim().to_ascii_lowercase();
    let answer = serde_json::json!({ "message": message, "platform": name });
    report::print(&if json { format!("{answer}\n") } else { format!("{message}\n") })?;
    Ok(ExitCode::Ok)
}

fn whatsapp(world: &World, home: &HermesHome, args: WhatsAppArgs) -> Result<ExitCode, CliError> {
    match args.command {
        Some(WhatsAppCommand::Status { json }) => {
            let answered = answered(home, &Config::load(world, home)?, Platform::Whatsapp);
            return wizard::status(world, home, &answered, json);
        }
        Some(WhatsAppCommand::Enable { json }) => return wizard::enable(world, home, json),
        Some(WhatsAppCommand::Disable { json }) => return wizard::disable(world, home, json),
        Some(WhatsAppCommand::Unpair { yes, json }) => {
            return runtime()?.block_on(wizard::unpair(world, home, yes, json));
        }
        None => {}
    }
    let options = WhatsAppOptions {
        mode: args.mode.map(|mode| match mode {
            ModeArg::Bot => WhatsAppMode::Bot,
            ModeArg::SelfChat => WhatsAppMode::SelfChat,
        }),
        allow: args.allow,
        allow_everyone: args.allow_everyone,
        start: args.start.choice(),
        yes: args.yes,
        repair: args.repair,
        relink: args.relink,
        passkey_answer: args.passkey_answer,
        pairing_code: args.pairing_code,
        qr: args.qr,
        timeout: args.timeout,
        json: args.json,
        offers_start: true,
    };
    let outcome = runtime()?.block_on(async {
        let mut interrupts = wizard::Interrupts::listen()?;
        Ok::<_, CliError>(wizard::whatsapp(world, home, options, &mut interrupts).await)
    })?;
    if outcome.start_gateway {
        run_gateway(world, home, boot::RunOptions::default())
    } else {
        Ok(outcome.exit)
    }
}

fn run_gateway(world: &World, home: &HermesHome, options: boot::RunOptions) -> Result<ExitCode, CliError> {
    let boot::RunOptions { verbosity, log_format, accept_loss } = options;
    let mut args: Vec<std::ffi::OsString> = vec!["gateway".into(), "run".into()];
    args.extend(std::iter::repeat_n("-v".into(), usize::try_from(verbosity).unwrap_or(0)));
    args.extend((verbosity < 0).then(|| "-q".into()));
    args.extend(match log_format {
        Format::Auto => None,
        Format::Text => Some("--log-format=text".into()),
        Format::Json => Some("--log-format=json".into()),
    });
    if init::is_needed() {
        args.extend(accept_loss.then(|| "--accept-loss".into()));
        return init::run(world, &args);
    }
    let runtime = runtime()?;
    let exit = runtime.block_on(boot::run(world, home, options));
    // A thread that hangs in a foreign call must not keep a stopped gateway alive.
    runtime.shutdown_timeout(Duration::from_secs(1));
    logging::flush();
    match exit {
        // A loss that was accepted once is not accepted for the next start.
        Ok(ExitCode::Restart) => Restart::of(world).begin(&args),
        exit => exit,
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    const WORKERS: usize = 2;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|error| CliError::failed("the runtime could not be started").because(error))
}

fn parse_qr(text: &str) -> Result<QrStyle, String> {
    match text {
        "auto" => Ok(QrStyle::Auto),
        "image" => Ok(QrStyle::Image),
        "blocks" => Ok(QrStyle::Blocks),
        "sextants" => Ok(QrStyle::Sextants),
        "ascii" => Ok(QrStyle::Ascii),
        "raw" => Ok(QrStyle::Raw),
        other => match other.strip_prefix("png=") {
            Some(file) if !file.is_empty() => Ok(QrStyle::Png(PathBuf::from(file))),
            Some(_) | None => Err("use auto, image, blocks, sextants, ascii, raw or png=FILE".to_owned()),
        },
    }
}

fn parse_answer_from(text: &str) -> Result<AnswerFrom, String> {
    match text {
        "" => Err("use a file name, or - for standard input".to_owned()),
        "-" => Ok(AnswerFrom::Stdin),
        file => Ok(AnswerFrom::File(PathBuf::from(file))),
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    crate::config::duration(text).ok_or_else(|| "use a time such as 90s or 5m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn qr_styles_are_read() {
        assert_eq!(parse_qr("png=/tmp/x.png"), Ok(QrStyle::Png("/tmp/x.png".into())));
        assert_eq!(parse_qr("image"), Ok(QrStyle::Image));
        assert!(parse_qr("png=").is_err());
        assert!(parse_qr("colour").is_err());
    }
}
