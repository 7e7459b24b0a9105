//! The gateway's log, on stderr: sentences on a terminal, in rows that fit, else lines with fields, or JSON. Secrets are taken out at
//! the last step, which the lines of every writer pass, and what would steer a terminal is escaped there. A stderr that is closed or fails loses lines and changes
//! nothing else.
//!
//! An event has a sentence and fields; `code = "…"` is its stable name for whoever searches.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, PoisonError, RwLock};

use console::Term;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use self::queue::Queue;
use crate::clock::Now;
use crate::error::{CliError, with_code};
use crate::platforms::Platform;
use crate::redact::Redactor;
use crate::sensitive::Secret;
use crate::visible;
use crate::world::World;
use crate::wrap::hang;

mod queue;

pub use queue::flush;

/// How the log was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// 0 shows what a user would notice, 1 adds deviations, 2 every message; below 0 only warnings and errors.
    pub verbosity: i8,
    /// Form of the lines.
    pub format: Format,
}

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Sentences on a terminal, else as [`Format::Text`].
    #[default]
    Auto,
    /// Time, level, sentence and fields.
    Text,
    /// One JSON object a line.
    Json,
}

impl Options {
    /// True when a person reads at a terminal. More detail brings the fields as well.
    fn is_for_a_person(self, world: &World) -> bool {
        self.format == Format::Auto && self.verbosity <= 0 && world.stderr_tty
    }
}

/// The running log; secrets that become known later are told to it.
#[derive(Debug, Clone)]
pub struct Log {
    redactor: Arc<RwLock<Redactor>>,
    /// A person reads along at a terminal.
    pub is_for_a_person: bool,
}

impl Log {
    /// From now on these secrets, and no others, are left out by value.
    pub fn replace_secrets(&self, secrets: impl IntoIterator<Item = Secret>) {
        *self.redactor.write().unwrap_or_else(PoisonError::into_inner) = redactor(secrets);
    }
}

/// Begins the log of this process.
///
/// # Errors
/// When it has begun already.
pub fn start(
    world: &World,
    options: Options,
    secrets: impl IntoIterator<Item = Secret>,
) -> Result<Log, CliError> {
    let is_for_a_person = options.is_for_a_person(world);
    let log = Log { redactor: Arc::new(RwLock::new(redactor(secrets))), is_for_a_person };
    let look = Look { is_tty: world.stderr_tty, colour: world.colour(world.stderr_tty), is_for_a_person };
    let has_colours = look.colour && options.format != Format::Json;
    let cols = || Term::stderr().size_checked().map(|(_, cols)| usize::from(cols));
    let begun = |error: Box<dyn std::error::Error + Send + Sync>| {
        CliError::failed("the log could not be started").because(error)
    };
    let out = Queue::of_stderr().map_err(|error| begun(error.into()))?;
    let sink = Sink { redactor: Arc::clone(&log.redactor), has_colours, is_for_a_person, cols, out };
    tracing::subscriber::set_global_default(subscriber(options, look, sink))
        .map_err(|error| begun(error.into()))?;
    Ok(log)
}

/// A secret may stand in a line as it is, escaped as by `Debug` or JSON, or by one inside the other.
fn redactor(secrets: impl IntoIterator<Item = Secret>) -> Redactor {
    let escaped = |text: &String| {
        let quoted = serde_json::Value::from(text.as_str()).to_string();
        Some(quoted[1..quoted.len() - 1].to_owned())
    };
    Redactor::new(
        secrets.into_iter().flat_map(|secret| std::iter::successors(Some(secret.0), escaped).take(3)),
    )
}

/// What stderr is.
#[derive(Debug, Clone, Copy)]
struct Look {
    is_tty: bool,
    colour: bool,
    is_for_a_person: bool,
}

fn subscriber<W>(options: Options, look: Look, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_timer(Stamp { short: look.is_tty });
    let registry = tracing_subscriber::registry().with(levels(options.verbosity));
    if look.is_for_a_person {
        Box::new(registry.with(layer.with_ansi(look.colour).event_format(Sentences)))
    } else if options.format == Format::Json {
        // Short stamps are for screens only.
        let layer = layer.with_timer(Stamp { short: false }).json().flatten_event(true);
        Box::new(registry.with(layer))
    } else {
        Box::new(registry.with(layer.with_ansi(look.colour).with_target(options.verbosity > 0).compact()))
    }
}

/// An event for a person: the time of day, the platform where the sentence does not name it, the sentence. The level only
/// where it is a warning or an error.
struct Sentences;

impl<S, N> FormatEvent<S, N> for Sentences
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        Stamp { short: true }.format_time(&mut writer)?;
        let (word, colour) = match *event.metadata().level() {
            Level::ERROR => ("Error: ", "31"),
            Level::WARN => ("Warning: ", "33"),
            _ => ("", ""),
        };
        if writer.has_ansi_escapes() && !word.is_empty() {
            write!(writer, "  \x1b[{colour}m{word}\x1b[0m")?;
        } else {
            write!(writer, "  {word}")?;
        }
        let sentence = said.sentence();
        // What is not a fault needs no explanation.
        let sentence = if word.is_empty() { sentence } else { with_code(&sentence, &said.code) };
        writeln!(writer, "{sentence}")
    }
}

/// The parts of an event that a person reads.
#[derive(Default)]
struct Said {
    message: String,
    code: String,
    platform: String,
    error: String,
}

impl Said {
    fn sentence(&self) -> String {
        let title = match self.platform.parse::<Platform>() {
            Ok(platform) => platform.spec().title.to_owned(),
            Err(_) => self.platform.clone(),
        };
        let is_named = title.is_empty() || self.message.contains(&title);
        let mut text = if is_named { self.message.clone() } else { format!("{title}: {}", self.message) };
        if !self.error.is_empty() && !text.contains(&self.error) {
            text.push_str(": ");
            text.push_str(&self.error);
        }
        text
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let place = match field.name() {
            "message" => &mut self.message,
            "code" => &mut self.code,
            "platform" => &mut self.platform,
            "error" => &mut self.error,
            _ => return,
        };
        *place = format!("{value:?}");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// Other crates are heard one step later than hermes.
fn levels(verbosity: i8) -> Targets {
    let (ours, others) = match verbosity {
        ..0 => (LevelFilter::WARN, LevelFilter::ERROR),
        0 => (LevelFilter::INFO, LevelFilter::WARN),
        1 => (LevelFilter::DEBUG, LevelFilter::INFO),
        2.. => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    Targets::new().with_target("hermes", ours).with_default(others)
}

/// When it was: the time of day here on a screen, else date and time in UTC.
struct Stamp {
    short: bool,
}

impl FormatTime for Stamp {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let now = Now::read().wall;
        if self.short {
            write!(writer, "{}", now.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S"))
        } else {
            write!(writer, "{now:.3}")
        }
    }
}

/// Where every line passes on its way out.
struct Sink<M> {
    redactor: Arc<RwLock<Redactor>>,
    has_colours: bool,
    is_for_a_person: bool,
    /// The columns of the terminal at this moment.
    cols: fn() -> Option<usize>,
    out: M,
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Sink<M> {
    type Writer = Line<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line {
            redactor: Arc::clone(&self.redactor),
            has_colours: self.has_colours,
            is_for_a_person: self.is_for_a_person,
            cols: self.cols,
            out: self.out.make_writer(),
            text: Vec::new(),
        }
    }
}

/// One event. It is written as a whole when it is complete, so that no secret is cut in two and no line in another.
struct Line<W: Write> {
    redactor: Arc<RwLock<Redactor>>,
    has_colours: bool,
    is_for_a_person: bool,
    cols: fn() -> Option<usize>,
    out: W,
    text: Vec<u8>,
}

impl<W: Write> Write for Line<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Drop for Line<W> {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        let redactor = self.redactor.read().unwrap_or_else(PoisonError::into_inner);
        // One event is one line, whatever people have written into it.
        let line = redactor.redact(text.strip_suffix('\n').unwrap_or(&text));
        // Not before: a secret is no longer found once it has a capital.
        let line = if self.is_for_a_person { capitalised(&line) } else { Cow::Borrowed(line.as_ref()) };
        let line = visible::log_line(&line, self.has_colours);
        let line = match (self.cols)().filter(|_| self.is_for_a_person) {
            Some(cols) => in_rows(&line, cols),
            None => line.to_string(),
        } + "\n";
        // There is nowhere to tell that the log cannot be written.
        drop(self.out.write_all(line.as_bytes()));
    }
}

/// What stands before a sentence.
const TIME_LEN: usize = "12:34:56  ".len();

/// A sentence in rows that fit, all behind the time. In the other forms an event is one line, for the programs that read it.
fn in_rows(line: &str, cols: usize) -> String {
    /// Fewer columns than that are no place for sentences.
    const COLS_MIN: usize = 40;
    match line.split_at_checked(TIME_LEN) {
        Some((time, sentence)) if cols >= COLS_MIN => hang(time, sentence, cols),
        Some(_) | None => line.to_owned(),
    }
}

/// With a capital behind the time, where a sentence begins there.
fn capitalised(line: &str) -> Cow<'_, str> {
    match line.split_at_checked(TIME_LEN) {
        Some((time, sentence)) if sentence.starts_with(|first: char| first.is_ascii_lowercase()) => {
            let (first, rest) = sentence.split_at(1);
            Cow::Owned(format!("{time}{}{rest}", first.to_ascii_uppercase()))
        }
        Some(_) | None => Cow::Borrowed(line),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing::{debug, error, info, trace, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What these events look like in a log with this secret.
    fn logged(options: Options, secret: &str, events: impl FnOnce()) -> String {
        shown(options, Look { is_tty: false, colour: false, is_for_a_person: false }, secret, events)
    }

    fn shown(options: Options, look: Look, secret: &str, events: impl FnOnce()) -> String {
        let page = Page::default();
        let out = page.clone();
        let redactor = Arc::new(RwLock::new(redactor([Secret(secret.into())])));
        let is_for_a_person = look.is_for_a_person;
        let sink =
            Sink { redactor, has_colours: false, is_for_a_person, cols: || None, out: move || out.clone() };
        tracing::subscriber::with_default(subscriber(options, look, sink), events);
        String::from_utf8(page.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn no_canary_passes_whatever_way_it_takes() {
        let secret = "can\"ary\\4711";
        let write = || {
            let cause = io::Error::other(format!("url with {secret}"));
            error!(%cause, field = secret, debugged = ?secret, "told {secret}");
            warn!(header = "Bearer canarycanary", "xoxb-canary-canary");
            info!(url = "https://x/bot123456789:AAcanary_canary-canaryCANARY0123456/y");
            info!("https://wa.me/settings/linked_devices#2@canary,canary");
            info!(key = "sk-canarycanarycanary");
        };
        for format in [Format::Auto, Format::Text, Format::Json] {
            let look = Look { is_tty: true, colour: false, is_for_a_person: format == Format::Auto };
            let text = shown(Options { verbosity: 2, format }, look, secret, write);
            assert_eq!(text.lines().count(), 5, "{text}");
            assert!(!text.contains("canary") && !text.contains("ary\\"), "{text}");
            assert!(look.is_for_a_person || text.contains("https://x/bot<redacted>/y"), "{text}");
        }
    }

    #[test]
    fn an_event_is_one_line_that_steers_no_terminal() {
        let evil = "x\u{1b}[2J\u{9b}1m\u{202e}y\n2026-01-01T00:00:00.000Z  INFO forged";
        for (json, format) in [(false, Format::Text), (true, Format::Json)] {
            let text = logged(Options { verbosity: 0, format }, "", || {
                info!(name = evil, debugged = ?evil, shown = %evil, "{evil}");
            });
            assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
            let line = text.trim_end();
            assert!(!line.contains(|sign: char| sign.is_control() || sign == '\u{202e}'), "{line:?}");
            if json {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!((line["message"].as_str(), line["name"].as_str()), (Some(evil), Some(evil)));
            }
        }
    }

    #[test]
    fn json_lines_are_objects_with_time_level_message_and_fields() {
        let text = logged(Options { verbosity: 0, format: Format::Json }, "", || {
            info!(code = "started", number = 7, "it runs");
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "it runs");
        assert_eq!((&line["code"], &line["number"]), (&"started".into(), &7.into()));
        assert!(line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{text}");
    }

    #[test]
    fn verbosity_picks_what_is_said_and_other_crates_are_heard_later() {
        let count = |verbosity| {
            let events = || {
                error!("1");
                warn!("2");
                info!("3");
                debug!("4");
                trace!("5");
                info!(target: "foreign", "6");
                warn!(target: "foreign", "7");
            };
            logged(Options { verbosity, format: Format::Text }, "", events).lines().count()
        };
        assert_eq!((count(-1), count(0), count(1), count(2)), (2, 4, 6, 7));
    }

    #[test]
    fn a_person_reads_sentences() {
        let look = Look { is_tty: true, colour: false, is_for_a_person: true };
        let text = shown(Options::default(), look, "", || {
            info!(code = "started", "it runs");
            info!(code = "connected", platform = "telegram", "Telegram is connected as @me");
            warn!(code = "x", platform = %Platform::Telegram, attempt = 3, "a message is given up");
            error!(code = "y", error = %io::Error::other("disk gone"), "`x` cannot be written");
            warn!("it has none");
        });
        let sentences: Vec<&str> = text.lines().map(|line| &line[10..]).collect();
        assert_eq!(
            sentences,
            [
                "It runs",
                "Telegram is connected as @me",
                "Warning: Telegram: a message is given up [x]",
                "Error: `x` cannot be written: disk gone [y]",
                "Warning: it has none"
            ]
        );
        assert!(
            text.lines().all(|line| line[..8].split(':').all(|part| part.parse::<u8>().is_ok())),
            "{text}"
        );
        let mut world = World::of_env([("TERM", "xterm")]);
        assert!(!Options::default().is_for_a_person(&world), "a file is for programs");
        world.stderr_tty = true;
        assert!(Options::default().is_for_a_person(&world));
        assert!(!Options { verbosity: 1, ..Options::default() }.is_for_a_person(&world));
        assert!(!Options { format: Format::Text, ..Options::default() }.is_for_a_person(&world));
    }

    #[test]
    fn at_a_terminal_a_sentence_is_broken_at_words_behind_its_time() {
        let line = "12:34:56  \u{1b}[33mWarning: \u{1b}[0mthe agent is not there; run `hermes doctor` to see";
        assert_eq!(
            in_rows(line, 50),
            "12:34:56  \u{1b}[33mWarning: \u{1b}[0mthe agent is not there; run\n          `hermes doctor` to see"
        );
        assert_eq!(in_rows(line, 200), line);
        assert_eq!(in_rows(line, 20), line, "too narrow");
    }

    #[test]
    fn a_closed_stderr_changes_nothing() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let (redactor, cols) = (Arc::default(), || None);
        let sink = Sink { redactor, has_colours: true, is_for_a_person: true, cols, out: || Closed };
        let look = Look { is_tty: true, colour: true, is_for_a_person: true };
        tracing::subscriber::with_default(subscriber(Options::default(), look, sink), || error!("lost"));
    }

    #[test]
    fn secrets_can_become_known_later() {
        let log = Log { redactor: Arc::default(), is_for_a_person: false };
        log.replace_secrets([Secret("hunter2hunter2".into())]);
        assert_eq!(log.redactor.read().unwrap().redact("hunter2hunter2"), "<redacted>");
    }
}
