//! Follows one bridge while a phone is linked: shows its codes, and says when the phone, the restart and the second
//! login came.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::bridge::process::Output;
use crate::bridge::protocol::{Event, Exit};
use crate::clock::Now;
use crate::durable;
use crate::error::CliError;
use crate::home::WhatsAppPaths;
use crate::pairing::Me;
use crate::wizard::runner::{End, unusable};
use crate::wizard::ui::event::WizardEvent;
use crate::wizard::ui::layout;
use crate::wizard::ui::layout::Line;
use crate::wizard::ui::qr::Code;
use crate::wizard::ui::sheet::Form;
use crate::wizard::ui::{Stop, Ui};
use crate::wizard::whatsapp::display::Shown;
use crate::wizard::whatsapp::failures::{self, Circumstances};
use crate::wizard::whatsapp::hands::PairingBridge;
use crate::wizard::whatsapp::passkey::{Answers, Gate};
use crate::wizard::whatsapp::texts;

/// The end of the attempt with one bridge.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Phone linked, the second login came, and the bridge ended by itself.
    Complete,
    /// No one scanned in time.
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
    pub(crate) form: &'a mut Form,
    /// The number that the code is for, where it is typed.
    pub(crate) number: Option<&'a str>,
    /// The longest wait for the phone, from the first code.
    pub(crate) timeout: Duration,
    /// Where the answer of a passkey comes from, if not from the terminal.
    pub(crate) answers: Option<&'a mut Answers>,
    pub(crate) shown: Option<Shown>,
    pub(crate) progress: Pairing,
}

/// The progress of the pairing.
#[derive(Debug, Default)]
pub(crate) struct Pairing {
    accepted: bool,
    opened: bool,
    said: Option<String>,
    /// A code was shown, and what to do with it.
    pub(super) explained: bool,
    pub(super) passkey: Gate,
}

/// From the phone's consent to the end of the bridge: login, at most 20 s of draining, and room for a slow network.
const COMPLETION: Duration = Duration::from_secs(120);
/// Until the first code: the bridge gave up a connection after 30 s and tries another protocol version once. The
/// person's own limit counts from the first code, which is when a phone is of use.
const FIRST_CODE: Duration = Duration::from_secs(90);
/// From the request for a passkey to the phone's consent; the bridge has shorter limits for each part of it.
const PASSKEY: Duration = Duration::from_mins(20);
const GRACE: Duration = Duration::from_secs(2);
/// Time within which a key, or another size of the window, is noticed.
const TICK: Duration = Duration::from_millis(100);

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
            if let Some(ended) = self.take_key(bridge).await? {
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
            Event::Qr { payload, seq, expires_in_s, total } if self.number.is_none() => {
                self.ui.event(&WizardEvent::Qr { payload: payload.0.clone(), seq, expires_in_s });
                let code = Code::of(&payload.0);
                let expires_at = Some(Now::read().mono + Duration::from_secs(expires_in_s));
                let payload = payload.0;
                self.show(Shown { seq, total, payload, code, typed: false, expires_at, picture: None })?;
            }
            // With a number given these only precede the code to type.
            Event::Qr { .. } => {}
            Event::PairingCode { code } => {
                let digits: String = code.0.chars().filter(char::is_ascii_alphanumeric).collect();
                self.ui.event(&WizardEvent::PairingCode { code: digits.clone() });
                let seq = self.shown.as_ref().map_or(1, |shown| shown.seq + 1);
                let payload = grouped(&digits);
                self.show(Shown {
                    seq,
                    total: 0,
                    payload,
                    code: None,
                    typed: true,
                    expires_at: None,
                    picture: None,
                })?;
            }
            Event::PairSuccess { me: _ } => {
                self.hide();
                self.progress.accepted = true;
                self.ui.event(&WizardEvent::PairSuccess);
                self.ui.say(Line::Gap);
                self.ui.say(Line::Done("Phone linked.".to_owned()));
            }
            Event::PasskeyRequired(request) => self.passkey_required(&request),
            Event::PasskeyRejected { message } => self.passkey_rejected(message),
            Event::PasskeySent => self.ui.say(Line::Done(texts::PASSKEY_SENT.to_owned())),
            Event::PasskeyCode { code, confirm } => self.passkey_code(code, confirm),
            Event::Restart => self.ui.event(&WizardEvent::Restart),
            Event::Open { me } if self.progress.accepted => {
                self.ui.event(&WizardEvent::Connected { me: me.clone() });
                self.ui.say(Line::Done(format!("Connected as {}.", show_me(&me))));
                self.ui.say(layout::text("Waiting for WhatsApp to finish setting up …"));
                self.progress.opened = true;
            }
            Event::Synced { timed_out } => {
                let words =
                    if timed_out { "Ready; history sync continues in the background." } else { "Ready." };
                self.ui.say(Line::Done(words.to_owned()));
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
}

impl From<Failed> for End {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Cancelled => Self::Cancelled,
            Failed::Error(error) => Self::Failed(error),
        }
    }
}

/// A question that got no answer ends the attempt.
pub(crate) fn stopped(stop: Stop) -> Failed {
    match stop {
        Stop::Cancelled => Failed::Cancelled,
        Stop::Broken(error) => Failed::Error(unusable(error)),
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
