//! The part of linking that WhatsApp adds for some accounts: a browser uses the account's passkey, and its answer is
//! handed to the bridge, which checks it before anything is sent.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::bridge::process::Output;
use crate::bridge::protocol::{Command, Exit, PasskeyRequest};
use crate::durable;
use crate::file;
use crate::home::WhatsAppPaths;
use crate::sensitive::Private;
use crate::wizard::ui::event::WizardEvent;
use crate::wizard::ui::layout;
use crate::wizard::ui::layout::Line;
use crate::wizard::ui::{Stop, Ui};
use crate::wizard::whatsapp::failures;
use crate::wizard::whatsapp::hands::PairingBridge;
use crate::wizard::whatsapp::options::AnswerFrom;
use crate::wizard::whatsapp::pair::{Attempt, Ended, Failed, stopped};
use crate::wizard::whatsapp::texts;

/// The state of the passkey.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Gate {
    /// WhatsApp has not asked for it.
    #[default]
    Open,
    /// The answer is to be given.
    Answer,
    /// The phone shows a code, and it is to be compared with this one.
    Compare(String),
    /// WhatsApp or the phone has its turn.
    Wait,
}

impl Gate {
    pub(crate) fn is_met(&self) -> bool {
        *self != Self::Open
    }

    pub(crate) fn asks(&self) -> bool {
        match self {
            Self::Answer | Self::Compare(_) => true,
            Self::Open | Self::Wait => false,
        }
    }
}

/// Answers that do not come from the terminal.
#[derive(Debug)]
pub(crate) struct Answers {
    from: AnswerFrom,
    /// The content that was read from the file before.
    last: String,
}

/// The bridge takes no longer one.
const ANSWER_LEN_MAX: u64 = 32 << 10;
/// The time between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_millis(300);

impl Answers {
    pub(crate) fn new(from: AnswerFrom) -> Self {
        Self { from, last: String::new() }
    }

    /// The next one.
    async fn next(&mut self) -> Result<String, Stop> {
        match self.from.clone() {
            AnswerFrom::Stdin => next_line().await,
            AnswerFrom::File(path) => self.next_content(path).await,
        }
    }

    async fn next_content(&mut self, path: PathBuf) -> Result<String, Stop> {
        loop {
            match file::read_text(&path, ANSWER_LEN_MAX) {
                // A file that is still being written has no line break yet, as a rule; the bridge asks again otherwise.
                Ok(text) if !text.trim().is_empty() && text != self.last => {
                    self.last.clone_from(&text);
                    return Ok(text);
                }
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Stop::Broken(error)),
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// A line of standard input, read by a separate thread: the end of the wizard does not wait for it.
async fn next_line() -> Result<String, Stop> {
    let (line, read) = oneshot::channel();
    std::thread::Builder::new()
        .name("answer".to_owned())
        .spawn(move || {
            let mut text = String::new();
            drop(line.send(std::io::stdin().read_line(&mut text).map(|_| text)));
        })
        .map_err(Stop::Broken)?;
    match read.await {
        Ok(Ok(text)) if !text.is_empty() => Ok(text),
        Ok(Ok(_)) | Err(_) => Err(Stop::Broken(std::io::Error::other("standard input ended"))),
        Ok(Err(error)) => Err(Stop::Broken(error)),
    }
}

const PROMPT: &str = "Paste the browser's answer";

/// Checks only that there is an answer: the bridge says what is wrong with it.
fn check_pasted(text: &str) -> Result<(), String> {
    if text.is_empty() { Err("Please paste the answer (Ctrl-C to quit).".to_owned()) } else { Ok(()) }
}

impl Attempt<'_> {
    pub(super) fn passkey_required(&mut self, request: &PasskeyRequest) {
        self.hide();
        let PasskeyRequest { options, snippet, expires_in_s } = request.clone();
        self.ui.event(&WizardEvent::PasskeyRequired { options, snippet, expires_in_s });
        texts::about_passkey(request).into_iter().for_each(|line| self.ui.say(line));
        self.progress.passkey = Gate::Answer;
    }

    pub(super) fn passkey_rejected(&mut self, message: String) {
        self.ui.say(Line::Fail(message.clone()));
        self.ui.event(&WizardEvent::PasskeyRejected { message });
        self.progress.passkey = Gate::Answer;
    }

    pub(super) fn passkey_code(&mut self, code: String, confirm: bool) {
        self.ui.event(&WizardEvent::PasskeyCode { code: code.clone(), confirm });
        self.ui.say(layout::text(&format!("If the phone shows a code, it must be {code}.")));
        self.progress.passkey = if confirm { Gate::Compare(code) } else { Gate::Wait };
    }

    /// Asks for what is wanted, while the bridge goes on. `Some` when the bridge has ended.
    pub(super) async fn ask_for_passkey(
        &mut self,
        bridge: &mut Option<Box<dyn PairingBridge>>,
    ) -> Result<Option<Result<Ended, Failed>>, Failed> {
        let wanted = std::mem::replace(&mut self.progress.passkey, Gate::Wait);
        if self.answers.is_none() && !self.ui.can_ask() {
            let error = failures::of_exit(Exit::PasskeyRequired, self.circumstances(&[]));
            return Err(Failed::Error(error));
        }
        let running = bridge.as_mut().expect("it is taken only when the attempt ends");
        let answer = command(self.ui, self.answers.as_deref_mut(), &wanted);
        let (command, outputs) = match while_running(answer, self.cancel, running.as_mut()).await {
            Ok(came) => came,
            Err(Stop::Broken(error)) if self.answers.is_some() => {
                let failure = failures::of_exit(Exit::PasskeyRequired, self.circumstances(&[]));
                return Err(Failed::Error(failure.hint("The answer cannot be read.").because(error)));
            }
            Err(stop) => return Err(stopped(stop)),
        };
        if let Some(command) = command {
            running.tell(command);
        }
        for output in outputs {
            if let Some(ended) = self.take(output)? {
                *bridge = None;
                return Ok(Some(ended));
            }
        }
        Ok(None)
    }
}

/// The person's answer.
async fn command(ui: &mut dyn Ui, answers: Option<&mut Answers>, wanted: &Gate) -> Result<Command, Stop> {
    let code = match wanted {
        Gate::Compare(code) => Some(code),
        Gate::Answer | Gate::Open | Gate::Wait => None,
    };
    Ok(match (answers, code) {
        (None, None) => {
            let answer = ui.secret(PROMPT, check_pasted).await?;
            Command::PasskeyAnswer { answer: Private(answer.0) }
        }
        (None, Some(code)) => {
            let matches = ui.confirm(&format!("Does the phone show {code}?"), false).await?;
            Command::PasskeyConfirm { matches }
        }
        (Some(answers), None) => Command::PasskeyAnswer { answer: Private(answers.next().await?) },
        (Some(answers), Some(_)) => {
            let matches = answers.next().await?.trim().eq_ignore_ascii_case("yes");
            Command::PasskeyConfirm { matches }
        }
    })
}

/// Waits for `answer` and takes what comes from the bridge meanwhile; the answer is not waited for once the bridge has
/// ended.
async fn while_running(
    answer: impl Future<Output = Result<Command, Stop>>,
    cancel: &CancellationToken,
    running: &mut dyn PairingBridge,
) -> Result<(Option<Command>, Vec<Option<Output>>), Stop> {
    let mut answer = std::pin::pin!(answer);
    let mut outputs = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Stop::Cancelled),
            output = running.next() => {
                let ended = matches!(output, None | Some(Output::Exited { .. }));
                outputs.push(output);
                if ended {
                    return Ok((None, outputs));
                }
            }
            command = &mut answer => return Ok((Some(command?), outputs)),
        }
    }
}

/// Leaves a mark of an attempt that ended here, for `doctor` and the status.
pub(super) fn remember(failed: &Failed, paths: &WhatsAppPaths) {
    if let Failed::Error(error) = failed
        && error.code == "whatsapp_passkey_required"
    {
        // The words on the screen say the same; only later it would be missed.
        drop(durable::write_atomic(&paths.passkey_mark(), b"The last attempt to link needed a passkey.\n"));
    }
}

/// The account is linked.
pub(super) fn forget(paths: &WhatsAppPaths) {
    drop(std::fs::remove_file(paths.passkey_mark()));
}
