//! The gateway's log, on stderr: lines for people, or JSON. Secrets are taken out at the last step, which the lines of
//! every writer pass, and what would steer a terminal is escaped there. A stderr that is closed or fails loses lines and changes
//! nothing else.
//!
//! An event has a sentence and fields; `code = "…"` is its stable name for whoever searches.

use std::io::{self, Write};
use std::sync::{Arc, PoisonError, RwLock};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;

use crate::clock::Now;
use crate::config::Secret;
use crate::error::CliError;
use crate::redact::Redactor;
use crate::visible;
use crate::world::World;

/// How the log was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// 0 shows what a user would notice, 1 adds deviations, 2 every message; below 0 only warnings and errors.
    pub verbosity: i8,
    /// One JSON object a line.
    pub json: bool,
}

/// The running log; secrets that become known later are told to it.
#[derive(Debug, Clone)]
pub struct Log {
    redactor: Arc<RwLock<Redactor>>,
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
    let log = Log { redactor: Arc::new(RwLock::new(redactor(secrets))) };
    let look = Look { is_tty: world.stderr_tty, colour: world.colour(world.stderr_tty) };
    let has_colours = look.colour && !options.json;
    let sink = Sink { redactor: Arc::clone(&log.redactor), has_colours, out: io::stderr };
    tracing::subscriber::set_global_default(subscriber(options, look, sink))
        .map_err(|error| CliError::failed("the log could not be started").because(error))?;
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
}

fn subscriber<W>(options: Options, look: Look, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_timer(Stamp { short: look.is_tty });
    let registry = tracing_subscriber::registry().with(levels(options.verbosity));
    if options.json {
        // Short stamps are for screens only.
        let layer = layer.with_timer(Stamp { short: false }).json().flatten_event(true);
        Box::new(registry.with(layer))
    } else {
        Box::new(registry.with(layer.with_ansi(look.colour).with_target(options.verbosity > 0).compact()))
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
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
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
    out: M,
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Sink<M> {
    type Writer = Line<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line {
            redactor: Arc::clone(&self.redactor),
            has_colours: self.has_colours,
            out: self.out.make_writer(),
            text: Vec::new(),
        }
    }
}

/// One event. It is written as a whole when it is complete, so that no secret is cut in two and no line in another.
struct Line<W: Write> {
    redactor: Arc<RwLock<Redactor>>,
    has_colours: bool,
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
        let line = format!("{}\n", visible::log_line(&line, self.has_colours));
        // There is nowhere to tell that the log cannot be written.
        drop(self.out.write_all(line.as_bytes()));
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
        let page = Page::default();
        let out = page.clone();
        let redactor = Arc::new(RwLock::new(redactor([Secret(secret.into())])));
        let sink = Sink { redactor, has_colours: false, out: move || out.clone() };
        let look = Look { is_tty: false, colour: false };
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
        for json in [false, true] {
            let text = logged(Options { verbosity: 2, json }, secret, write);
            assert_eq!(text.lines().count(), 5, "{text}");
            assert!(!text.contains("canary") && !text.contains("ary\\"), "{text}");
            assert!(text.contains("https://x/bot<redacted>/y"), "{text}");
        }
    }

    #[test]
    fn an_event_is_one_line_that_steers_no_terminal() {
        let evil = "x\u{1b}[2J\u{9b}1m\u{202e}y\n2026-01-01T00:00:00.000Z  INFO forged";
        for json in [false, true] {
            let text = logged(Options { verbosity: 0, json }, "", || {
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
        let text = logged(Options { verbosity: 0, json: true }, "", || {
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
            logged(Options { verbosity, json: false }, "", events).lines().count()
        };
        assert_eq!((count(-1), count(0), count(1), count(2)), (2, 4, 6, 7));
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
        let sink = Sink { redactor: Arc::default(), has_colours: true, out: || Closed };
        let look = Look { is_tty: true, colour: true };
        tracing::subscriber::with_default(subscriber(Options::default(), look, sink), || error!("lost"));
    }

    #[test]
    fn secrets_can_become_known_later() {
        let log = Log { redactor: Arc::default() };
        log.replace_secrets([Secret("hunter2hunter2".into())]);
        assert_eq!(log.redactor.read().unwrap().redact("hunter2hunter2"), "<redacted>");
    }
}
