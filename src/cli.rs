//! The command line: what can be typed, and which part of the program does it.

use std::io::Read;
mod migrate;
mod setup;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::WhatsAppMode;
use crate::durable::Lock;
use crate::error::{CliError, ErrorKind, ExitCode};
use crate::gateway::admission::{self, desk::Request};
use crate::gateway::control::{ancestry, client};
use crate::gateway::dead::desk;
use crate::gateway::dead::view::Asked;
use crate::gateway::delivery::send::{self, Sending};
use crate::gateway::delivery::target::Target;
use crate::gateway::life::init;
use crate::gateway::life::restart::Restart;
use crate::gateway::status::{report, watch};
use crate::gateway::succession::command::{Asked as Succession, Verb};
use crate::gateway::{boot, dead, succession};
use crate::home::HermesHome;
use crate::logging::Format;
use crate::wizard::{self, AnswerFrom, QrStyle, WhatsAppOptions};
use crate::world::{CHILD_MARK, World};
use crate::{bridge, doctor, dumps, failpoint};

/// The messaging gateway for AI agents that stays up.
#[derive(Debug, Parser)]
#[command(name = "hermes", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set up WhatsApp: install the bridge, scan the code, done. Safe to run again at any time
    Whatsapp(WhatsAppArgs),
    /// Set up several platforms one after another, and see how all of them are
    Setup(setup::SetupArgs),
    /// Set up Telegram: give it a bot's token, write to the bot, done. Safe to run again at any time
    Telegram(setup::TelegramArgs),
    /// Take over the home of a hermes-agent gateway; without --apply it only says what it would do
    Migrate(migrate::MigrateArgs),
    /// Run the gateway, or see whether it runs
    #[command(subcommand, arg_required_else_help = true)]
    Gateway(GatewayCommand),
    /// See every platform's state and what to do about it
    #[command(subcommand, arg_required_else_help = true)]
    Platform(PlatformCommand),
    /// Let people in who are on no list, by the code that they were given
    #[command(subcommand, arg_required_else_help = true)]
    Pairing(PairingCommand),
    /// Look at messages that were given up, try them again, or drop them
    #[command(subcommand, arg_required_else_help = true)]
    Dead(DeadCommand),
    /// Send a message by hand, through the running gateway
    Send(SendArgs),
    /// Check everything hermes needs, ask the running gateway, and say what to do (exit 1 when something needs you)
    Doctor {
        /// Repair what needs no person: file modes, missing folders, what a dead gateway left, the bridge's files
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
    /// Answer everybody who knows the number, at your cost and on your machine
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
    /// How long to wait for the phone, for example 90s or 5m
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
    /// Have the service manager start the gateway, and wait until it is ready
    Start(SuccessionArgs),
    /// Let the running gateway finish what is under way and end, and wait until it has
    Stop(SuccessionArgs),
    /// Let the running gateway finish what is under way and end, and wait until it has been started again and is ready
    Restart(SuccessionArgs),
    /// Say whether a gateway is running (exit 3 when not)
    Status {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct SuccessionArgs {
    /// Wait at most this long, for example 90s or 5m (else a minute more than `gateway.drain_timeout`)
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
    /// Go on with what can be read of a damaged store, although messages that wait are lost
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
    /// Show every platform's state, since when, why, and what to do (exit 3 when the gateway is not running)
    Status {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
        /// Keep showing it until q or Ctrl-C; where no terminal is, print it with each change
        #[arg(long)]
        watch: bool,
    },
    /// Leave a platform alone until it is resumed, also after a restart
    Pause {
        /// The platform
        name: String,
    },
    /// Try a platform now: ends a pause, looks at a block again
    Resume {
        /// The platform
        name: String,
    },
    /// List the platforms
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum PairingCommand {
    /// Show who waits with a code, who was approved by one, and who was ignored of late
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Let in whoever has this code. Make sure that you know whose it is
    Approve {
        /// The platform
        platform: String,
        /// The code
        code: String,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// No longer let in somebody who was let in by a code
    Revoke {
        /// The platform
        platform: String,
        /// The person, as `list` shows them
        user: String,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum DeadCommand {
    /// List dead letters; what they say stands in `show` only
    List {
        #[command(flatten)]
        filter: FilterArgs,
    },
    /// Show dead letters whole, with their chat and text
    Show(PickArgs),
    /// Try dead letters again, as if they had never been tried
    Retry(PickArgs),
    /// Forget dead letters for good
    Drop(PickArgs),
}

#[derive(Debug, Args)]
struct PickArgs {
    /// Their ids, such as out-7, or `all`
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
}

#[derive(Debug, Args)]
struct FilterArgs {
    /// Only of this platform
    #[arg(long, value_name = "NAME")]
    platform: Option<String>,
    /// Only those to the agent (in) or to people (out)
    #[arg(long, value_name = "in|out")]
    direction: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct SendArgs {
    /// Where to: PLATFORM:CHAT, or PLATFORM for its home channel
    #[arg(value_parser = Target::parse)]
    target: Target,
    /// What to say, in Markdown; `-` reads it from standard input
    text: String,
    /// Wait until the platform has it, at most this long (2m when no time is given)
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "2m",
          value_parser = parse_duration)]
    wait: Option<Duration>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the program and returns the number the shell sees.
pub fn run(world: &World) -> u8 {
    dumps::forbid();
    // Not for people, and on the way to becoming another program: it is not parsed with the rest.
    if world.args.get(1).is_some_and(|command| command == bridge::exec::NAME) {
        return bridge::exec::run(&world.exe, &world.args[2..]);
    }
    let cli = match Cli::try_parse_from(&world.args) {
        Ok(cli) => cli,
        Err(answer) => {
            // Help and version are answers, not errors; a closed pipe is nobody's fault.
            let code = if answer.use_stderr() { ExitCode::Usage } else { ExitCode::Ok };
            drop(answer.print());
            return code as u8;
        }
    };
    let exit = dispatch(world, cli.command).unwrap_or_else(|error| {
        if error.kind != ErrorKind::Interrupted {
            error.report();
        }
        error.exit()
    });
    exit as u8
}

fn dispatch(world: &World, command: Command) -> Result<ExitCode, CliError> {
    failpoint::arm(world.failpoint());
    let home = HermesHome::find(world)?;
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
        Command::Platform(PlatformCommand::Pause { name }) => {
            say(client::steer(&home, client::Verb::Pause, &name)?)
        }
        Command::Platform(PlatformCommand::Resume { name }) => {
            say(client::steer(&home, client::Verb::Resume, &name)?)
        }
        Command::Platform(PlatformCommand::List { json }) => report::platform_list(world, &home, json),
        Command::Pairing(command) => pairing(&home, command),
        Command::Dead(command) => dead(&home, command),
        Command::Send(SendArgs { target, text, wait, json }) => {
            let text = if text == "-" { read_stdin()? } else { text };
            send::run(world, &home, &Sending { target, text, wait, json })
        }
        Command::Doctor { json, fix } => runtime()?.block_on(doctor::run(world, &home, json, fix)),
    }
}

/// Whether it asks for secrets, and changes who is answered.
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

/// What the gateway has started may not steer it, whatever an agent was talked into. The control socket holds to this as well; here
/// it is about what a command does by itself: settings, lists and another gateway.
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
                | Command::Pairing(PairingCommand::Approve { .. } | PairingCommand::Revoke { .. })
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

fn pairing(home: &HermesHome, command: PairingCommand) -> Result<ExitCode, CliError> {
    let (request, json) = match command {
        PairingCommand::List { json } => (Request::List, json),
        PairingCommand::Approve { platform, code, json } => (Request::Approve { platform, code }, json),
        PairingCommand::Revoke { platform, user, json } => (Request::Revoke { platform, user }, json),
    };
    runtime()?.block_on(admission::command::run(home, request, json))
}

fn dead(home: &HermesHome, command: DeadCommand) -> Result<ExitCode, CliError> {
    let (verb, PickArgs { ids, filter }) = match command {
        DeadCommand::List { filter } => (desk::Verb::List, PickArgs { ids: Vec::new(), filter }),
        DeadCommand::Show(pick) => (desk::Verb::Show, pick),
        DeadCommand::Retry(pick) => (desk::Verb::Retry, pick),
        DeadCommand::Drop(pick) => (desk::Verb::Drop, pick),
    };
    let FilterArgs { platform, direction, json } = filter;
    runtime()?.block_on(dead::command::run(home, verb, Asked { ids, platform, direction }, json))
}

/// The whole of standard input, as far as one message can be long.
fn read_stdin() -> Result<String, CliError> {
    const BYTES_MAX: u64 = 512 * 1024;
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| CliError::failed("standard input cannot be read").because(error))?;
    Ok(text)
}

fn succession(
    world: &World,
    home: &HermesHome,
    verb: Verb,
    args: &SuccessionArgs,
) -> Result<ExitCode, CliError> {
    let asked = Succession { verb, timeout: args.timeout, json: args.json };
    runtime()?.block_on(succession::command::run(world, home, asked))
}

/// Shows the sentence that came back.
fn say(sentence: String) -> Result<ExitCode, CliError> {
    report::print(&format!("{sentence}\n"))?;
    Ok(ExitCode::Ok)
}

fn whatsapp(world: &World, home: &HermesHome, args: WhatsAppArgs) -> Result<ExitCode, CliError> {
    match args.command {
        Some(WhatsAppCommand::Status { json }) => return wizard::status(world, home, json),
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
    let outcome = runtime()?.block_on(wizard::whatsapp(world, home, options))?;
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
