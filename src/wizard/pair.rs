//! Follows one bridge while a phone is linked: shows its codes, and says when the phone, the restart and the second
//! login came.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::bridge::process::Output;
use crate::bridge::protocol::{Event, Exit};
use crate::clock::Now;
use crate::durable;
use crate::error::CliError;
use crate::home::WhatsAppPaths;
use crate::pairing::Me;
use crate::wizard::event::WizardEvent;
use crate::wizard::failures::{self, Circumstances};
use crate::wizard::hands::PairingBridge;
use crate::wizard::layout::Line;
use crate::wizard::numbers::{parse_number, show_number};
use crate::wizard::options::QrStyle;
use crate::wizard::passkey::{Answers, Gate};
use crate::wizard::qr::{Code, Drawing, Size};
use crate::wizard::texts;
use crate::wizard::ui::{Choice, Frame, Question, Stop, Ui};

/// How the attempt with one bridge ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The phone accepted, the second login came, and the bridge ended by itself.
    Complete,
    /// Nobody scanned in time.
    Expired,
    /// The person wants to type a code on the phone with this number instead.
    ByCode(String),
}

/// Why the attempt gave no result.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Ctrl-C.
    Cancelled,
    /// It did not work.
    Error(CliError),
}

/// One bridge that pairs.
pub(crate) struct Attempt<'a> {
    pub(crate) ui: &'a mut dyn Ui,
    pub(crate) cancel: &'a CancellationToken,
    pub(crate) paths: &'a WhatsAppPaths,
    /// Kept from one attempt to the next, with what the person chose.
    pub(crate) style: &'a mut QrStyle,
    /// The number that the code is for, where it is typed.
    pub(crate) number: Option<&'a str>,
    /// The longest wait for the phone, from the first code.
    pub(crate) timeout: Duration,
    /// Where the answer of a passkey comes from, if not from the terminal.
    pub(crate) answers: Option<&'a mut Answers>,
    pub(crate) shown: Option<Shown>,
    pub(crate) progress: Pairing,
}

/// How far the pairing is.
#[derive(Debug, Default)]
pub(crate) struct Pairing {
    accepted: bool,
    opened: bool,
    said: Option<String>,
    asked_about_window: bool,
    /// A code was shown, and before it what to do with it.
    explained: bool,
    pub(super) passkey: Gate,
}

/// The code at hand.
pub(crate) struct Shown {
    seq: u32,
    payload: String,
    code: Option<Code>,
    typed: bool,
    expires_at: Option<Instant>,
    /// Removed when the code is no longer shown.
    picture: Option<Picture>,
}

/// A picture of a code on disk. It is a key to the account until it expires.
struct Picture(std::path::PathBuf);

impl Drop for Picture {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// From the phone's consent to the end of the bridge: login, at most 20 s of draining, and room for a slow network.
const COMPLETION: Duration = Duration::from_secs(120);
/// Until the first code: the bridge gives up a connection after 30 s and tries another protocol version once. The
/// person's own limit counts from the first code, which is when a phone is of use.
const FIRST_CODE: Duration = Duration::from_secs(90);
/// From the request for a passkey to the phone's consent; the bridge has shorter limits for each part of it.
const PASSKEY: Duration = Duration::from_mins(20);
const GRACE: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(250);

impl Attempt<'_> {
    /// Follows `bridge` to its end. When this returns the bridge is gone.
    pub(crate) async fn follow(&mut self, bridge: Box<dyn PairingBridge>) -> Result<Ended, Failed> {
        let mut bridge = Some(bridge);
        let result = self.watch(&mut bridge).await;
        if let Some(bridge) = bridge {
            bridge.stop(GRACE).await;
        }
        self.hide();
        result
    }

    async fn watch(&mut self, bridge: &mut Option<Box<dyn PairingBridge>>) -> Result<Ended, Failed> {
        let cancel = self.cancel.clone();
        let mut limit = Box::pin(sleep(FIRST_CODE));
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let running = bridge.as_mut().expect("it is taken only when this loop ends");
            let (explained, accepted) = (self.progress.explained, self.progress.accepted);
            let gated = self.progress.passkey.is_met();
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(Failed::Cancelled),
                output = running.next() => {
                    if let Some(ended) = self.take(output)? {
                        *bridge = None;
                        return ended;
                    }
                }
                () = &mut limit => return self.out_of_time(),
                _ = tick.tick() => {}
            }
            if self.progress.accepted && !accepted {
                limit = Box::pin(sleep(COMPLETION));
            } else if self.progress.passkey.is_met() && !gated {
                limit = Box::pin(sleep(PASSKEY));
            } else if self.progress.explained && !explained {
                limit = Box::pin(sleep(self.timeout));
            }
            if self.progress.passkey.asks()
                && let Some(ended) = self.ask_for_passkey(bridge).await?
            {
                return ended;
            }
            if self.needs_another_way()
                && let Some(ended) = self.ask_for_another_way(bridge).await?
            {
                return ended;
            }
            self.draw();
        }
    }

    fn out_of_time(&self) -> Result<Ended, Failed> {
        if self.progress.explained && !self.progress.accepted {
            return Ok(Ended::Expired);
        }
        Err(Failed::Error(failures::of_exit(Exit::ConnectionLost, self.circumstances(&[]))))
    }

    pub(super) fn circumstances<'a>(&'a self, tail: &'a [String]) -> Circumstances<'a> {
        Circumstances {
            accepted: self.progress.accepted,
            complete: self.progress.opened,
            holder_pid: durable::Lock::holder(&self.paths.session_lock())
                .ok()
                .flatten()
                .and_then(|holder| holder.pid),
            said: self.progress.said.as_deref(),
            tail,
        }
    }

    /// Takes what came from the bridge; the outer `Some` says that it ended.
    pub(super) fn take(&mut self, output: Option<Output>) -> Result<Option<Result<Ended, Failed>>, Failed> {
        match output {
            Some(Output::Event(event)) => {
                self.take_event(event)?;
                Ok(None)
            }
            // It is being ended; `Exited` follows.
            Some(Output::Garbage(_)) => Ok(None),
            Some(Output::Exited { exit, stderr_tail }) => Ok(Some(self.judge(exit, &stderr_tail))),
            None => Ok(Some(self.judge(Exit::Crashed(None), &[]))),
        }
    }

    fn judge(&mut self, exit: Exit, tail: &[String]) -> Result<Ended, Failed> {
        match (exit, self.progress.accepted, self.progress.opened) {
            (Exit::Done, true, true) => Ok(Ended::Complete),
            (Exit::QrExpired, false, _) => Ok(Ended::Expired),
            (exit, ..) => Err(Failed::Error(failures::of_exit(exit, self.circumstances(tail)))),
        }
    }

    fn take_event(&mut self, event: Event) -> Result<(), Failed> {
        match event {
            Event::Qr { payload, seq, expires_in_s } if self.number.is_none() => {
                self.ui.event(&WizardEvent::Qr { payload: payload.0.clone(), seq, expires_in_s });
                let code = Code::of(&payload.0);
                let expires_at = Now::read().mono + Duration::from_secs(expires_in_s);
                self.show(seq, payload.0, code, false, Some(expires_at))?;
            }
            // With a number given these only precede the code to type.
            Event::Qr { .. } => {}
            Event::PairingCode { code } => {
                let digits: String = code.0.chars().filter(char::is_ascii_alphanumeric).collect();
                self.ui.event(&WizardEvent::PairingCode { code: digits.clone() });
                let seq = self.shown.as_ref().map_or(1, |shown| shown.seq + 1);
                self.show(seq, grouped(&digits), None, true, None)?;
            }
            Event::PairSuccess { me: _ } => {
                self.hide();
                self.progress.accepted = true;
                self.ui.event(&WizardEvent::PairSuccess);
                self.ui.say(Line::Gap);
                self.ui.say(Line::Done("The phone accepted.".to_owned()));
            }
            Event::PasskeyRequired(request) => self.passkey_required(&request),
            Event::PasskeyRejected { message } => self.passkey_rejected(message),
            Event::PasskeySent => self.ui.say(Line::Done(texts::PASSKEY_SENT.to_owned())),
            Event::PasskeyCode { code, confirm } => self.passkey_code(code, confirm),
            Event::Restart => self.ui.event(&WizardEvent::Restart),
            Event::Open { me } if self.progress.accepted => {
                self.ui.event(&WizardEvent::Connected { me: me.clone() });
                self.ui.say(Line::Done(format!("Connected as {}.", show_me(&me))));
                self.ui.say(texts::text("Waiting for WhatsApp to finish setting up …"));
                self.progress.opened = true;
            }
            Event::Synced { timed_out } => {
                self.ui.say(Line::Done(
                    if timed_out { "Set up; the phone goes on in the background." } else { "All set up." }
                        .to_owned(),
                ));
            }
            Event::Error { code: _, message } => self.progress.said = Some(message),
            Event::Open { .. }
            | Event::Ready { .. }
            | Event::Connecting { .. }
            | Event::Alive { .. }
            | Event::Message(_)
            | Event::Unreadable { .. }
            | Event::Sent { .. }
            | Event::SendFailed(_)
            | Event::Receipt { .. }
            | Event::Downloaded { .. }
            | Event::DownloadFailed { .. }
            | Event::Closed { .. }
            | Event::Other => {}
        }
        Ok(())
    }

    fn show(
        &mut self,
        seq: u32,
        payload: String,
        code: Option<Code>,
        typed: bool,
        expires_at: Option<Instant>,
    ) -> Result<(), Failed> {
        if !self.progress.explained {
            self.progress.explained = true;
            let lines = match self.number {
                Some(number) => texts::about_typing(&show_number(number)),
                None => texts::about_scanning(),
            };
            lines.into_iter().for_each(|line| self.ui.say(line));
        }
        let picture = self.shown.take().and_then(|shown| shown.picture);
        self.shown = Some(Shown { seq, payload, code, typed, expires_at, picture });
        self.save_picture()?;
        self.draw();
        Ok(())
    }

    /// Writes the picture where one is wanted.
    fn save_picture(&mut self) -> Result<(), Failed> {
        let (QrStyle::Png(path), Some(shown)) = (&*self.style, &mut self.shown) else { return Ok(()) };
        let Some(code) = &shown.code else { return Ok(()) };
        let picture = Picture(path.clone());
        durable::write_atomic(path, &code.png()).map_err(|error| {
            Failed::Error(
                CliError::failed(format!("the picture {} cannot be written", path.display()))
                    .code("whatsapp_storage")
                    .hint("Give another file with `--qr png=FILE`.")
                    .because(error),
            )
        })?;
        shown.picture = Some(picture);
        Ok(())
    }

    pub(super) fn hide(&mut self) {
        if self.shown.take().is_some() {
            self.ui.code(None);
        }
    }

    fn drawing(&self) -> Option<Drawing> {
        match self.style {
            QrStyle::Auto if self.ui.is_utf8() => Some(Drawing::Blocks),
            QrStyle::Blocks => Some(Drawing::Blocks),
            QrStyle::Auto | QrStyle::Ascii => Some(Drawing::Ascii),
            QrStyle::Raw | QrStyle::Png(_) => None,
        }
    }

    /// The drawn code's size and the window, where the one does not fit into the other.
    fn misfit(&self) -> Option<(Size, Size)> {
        let (shown, window, drawing) = (self.shown.as_ref()?, self.ui.window()?, self.drawing()?);
        let code = shown.code.as_ref()?.size(drawing);
        let needed = Size { cols: code.cols, rows: code.rows + ROWS_BELOW };
        (!needed.fits(window)).then_some((needed, window))
    }

    fn draw(&mut self) {
        if self.needs_another_way() {
            return;
        }
        if let Some(shown) = &self.shown {
            let frame = self.frame(shown);
            self.ui.code(Some(&frame));
        }
    }

    fn frame(&self, shown: &Shown) -> Frame {
        let left = shown.expires_at.map(|at| at.saturating_duration_since(Now::read().mono).as_secs());
        let live = match left {
            _ if shown.typed => "  Waiting for the phone. Ctrl-C stops.".to_owned(),
            Some(0) => format!("  Code {} has expired. The next one comes in a moment.", shown.seq),
            Some(left) => format!("  Code {}, good for {left} s. Ctrl-C stops.", shown.seq),
            None => String::new(),
        };
        let fixed = match (left, shown.expires_at) {
            (Some(left), Some(_)) => {
                let now = Now::read().wall;
                let until = now
                    .checked_add(jiff::SignedDuration::from_secs(i64::try_from(left).unwrap_or(i64::MAX)))
                    .unwrap_or(now);
                format!("  Code {}, good until {} UTC.", shown.seq, until.strftime("%H:%M:%S"))
            }
            _ => "  Waiting for the phone.".to_owned(),
        };
        let (lines, payload) = self.picture_of(shown);
        Frame { seq: shown.seq, lines, payload, live, fixed }
    }

    fn picture_of(&self, shown: &Shown) -> (Vec<String>, Option<String>) {
        if shown.typed {
            return (vec![format!("      {}", shown.payload), String::new()], None);
        }
        if let Some((needed, window)) = self.misfit() {
            let text = format!(
                "  The code needs a window of {} columns and {} rows; this one has {} and {}.",
                needed.cols, needed.rows, window.cols, window.rows
            );
            return (vec![text, "  Make the window larger and it appears here.".to_owned()], None);
        }
        match (self.style.clone(), self.drawing(), &shown.code) {
            (QrStyle::Png(path), _, Some(_)) => {
                (vec![format!("  The code is in {}: open it and scan it.", path.display())], None)
            }
            (_, Some(drawing), Some(code)) => (code.lines(drawing, true), None),
            (_, _, None) | (_, None, Some(_)) => (Vec::new(), Some(shown.payload.clone())),
        }
    }

    /// The code does not fit, a person is there, and was not asked yet.
    fn needs_another_way(&self) -> bool {
        self.ui.can_ask() && !self.progress.asked_about_window && self.misfit().is_some()
    }

    /// Asks how else the code may be shown, while the bridge goes on.
    async fn ask_for_another_way(
        &mut self,
        bridge: &mut Option<Box<dyn PairingBridge>>,
    ) -> Result<Option<Result<Ended, Failed>>, Failed> {
        self.progress.asked_about_window = true;
        let Some((needed, window)) = self.misfit() else { return Ok(None) };
        self.ui.say(Line::Warn(format!(
            "The code needs a window of {} columns and {} rows. This one has {} and {}.",
            needed.cols, needed.rows, window.cols, window.rows
        )));
        let choice = Choice {
            prompt: "How shall it be shown?".to_owned(),
            items: OTHER_WAYS.iter().map(|way| (*way).to_owned()).collect(),
        };
        let mut outputs = Vec::new();
        let picked = {
            let running = bridge.as_mut().expect("it is taken only when the attempt ends");
            let mut answer = self.ui.select(&choice);
            let mut ended = false;
            loop {
                tokio::select! {
                    biased;
                    () = self.cancel.cancelled() => return Err(Failed::Cancelled),
                    picked = &mut answer => break picked.map_err(stopped)?,
                    output = running.next(), if !ended => {
                        ended = matches!(output, None | Some(Output::Exited { .. }));
                        outputs.push(output);
                    }
                }
            }
        };
        match picked {
            1 => *self.style = QrStyle::Png(self.paths.qr_picture()),
            2 => {
                let question = Question {
                    prompt: "The number of the phone to link".to_owned(),
                    initial: String::new(),
                    check: |text| parse_number(text).map(drop),
                };
                let text = self.ui.input(&question).await.map_err(stopped)?;
                let number = parse_number(&text).expect("the question checks it");
                return Ok(Some(Ok(Ended::ByCode(number))));
            }
            3 => *self.style = QrStyle::Raw,
            _ => {}
        }
        self.save_picture()?;
        for output in outputs {
            if let Some(ended) = self.take(output)? {
                *bridge = None;
                return Ok(Some(ended));
            }
        }
        Ok(None)
    }
}

/// Below the code: the line about its time, and the cursor.
const ROWS_BELOW: usize = 2;

const OTHER_WAYS: [&str; 4] = [
    "Here: I am making the window larger",
    "As a picture file, removed afterwards",
    "Not at all: I will type a code on the phone",
    "As plain text, to be drawn elsewhere",
];

/// A question that got no answer ends the attempt.
pub(crate) fn stopped(stop: Stop) -> Failed {
    match stop {
        Stop::Cancelled => Failed::Cancelled,
        Stop::Broken(error) => {
            Failed::Error(CliError::failed("the terminal cannot be used for questions").because(error))
        }
    }
}

/// `ABCD-1234`, as the phone shows it.
fn grouped(code: &str) -> String {
    match code.split_at_checked(4) {
        Some((first, second)) if !second.is_empty() => format!("{first}-{second}"),
        Some(_) | None => code.to_owned(),
    }
}

/// An account for its owner to recognise.
pub(crate) fn show_me(me: &Me) -> String {
    me.shown()
}
