//! Pure. A service's reply while it comes in: a stream of events, or one body.

use std::time::Duration;

use super::answer::{ANSWER_LEN_MAX, Answer, Unusable};
use super::api::{Again, AgentError};
use super::openai::failed;
use super::refusal::Refusal;
use super::sse::Parser;

/// The longest body that is not a stream: JSON escapes may make the text six times as long.
const BODY_LEN_MAX: usize = 6 * ANSWER_LEN_MAX;

/// So many bytes of a stream may come without an event that says anything.
const EMPTY_LEN_MAX: usize = 2 << 20;

/// The longest stream, in bytes: one event for each letter, and what the model thinks beside it.
const STREAM_LEN_MAX: usize = 256 << 20;

/// Why a request brought no answer.
pub(super) enum Failure {
    /// The service refused it, and may have asked for a wait.
    Refused(Refusal, Option<Duration>),
    /// Anything else.
    Failed(AgentError),
}

impl From<AgentError> for Failure {
    fn from(error: AgentError) -> Self {
        Self::Failed(error)
    }
}

impl From<Unusable> for Failure {
    fn from(why: Unusable) -> Self {
        match why {
            Unusable::Unreadable => unreadable("it is not a chat completion").into(),
            Unusable::Failed(refusal) => Self::Refused(refusal, None),
        }
    }
}

/// What comes in.
enum Form {
    /// Events.
    Stream(Parser),
    /// One document, or several.
    Body(Vec<u8>),
}

/// A reply as far as it has come.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) answer: Answer,
    /// So many bytes of the answer are shown.
    pub(super) shown: usize,
    form: Option<Form>,
    /// Bytes since an event that said anything.
    empty: usize,
    len: usize,
    /// An event that could not be read.
    odd: bool,
    took: bool,
}

impl Reading {
    /// It is a stream of events.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self.form, Some(Form::Stream(_)))
    }

    /// Takes bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.len += bytes.len();
        self.empty += bytes.len();
        if self.form.is_none() {
            // White space and the mark of UTF-8 may come before either.
            let first =
                bytes.iter().find(|byte| !byte.is_ascii_whitespace() && !matches!(byte, 0xEF | 0xBB | 0xBF));
            self.form = first.map(|first| match first {
                b'd' | b'e' | b'i' | b'r' | b':' => Form::Stream(Parser::default()),
                _ => Form::Body(Vec::new()),
            });
        }
        let events = match &mut self.form {
            None => Vec::new(),
            Some(Form::Stream(parser)) => {
                parser.feed(bytes).map_err(|error| unreadable(&error.to_string()))?
            }
            Some(Form::Body(body)) if body.len() + bytes.len() > BODY_LEN_MAX => {
                return Err(unreadable("the answer is too large").into());
            }
            Some(Form::Body(body)) => {
                body.extend_from_slice(bytes);
                return Ok(());
            }
        };
        let mut said = false;
        for event in events {
            said |= self.event(&event)?;
        }
        if said {
            self.empty = 0;
        }
        if self.empty > EMPTY_LEN_MAX {
            return Err(unreadable("2 MB of the stream said nothing").into());
        }
        if self.len > STREAM_LEN_MAX {
            return Err(unreadable("the stream is too large").into());
        }
        Ok(())
    }

    /// One that cannot be read takes nothing from those around it.
    fn event(&mut self, event: &str) -> Result<bool, Failure> {
        match self.answer.take(event) {
            Ok(said) => {
                self.took |= said;
                Ok(said)
            }
            Err(Unusable::Unreadable) => {
                self.odd = true;
                Ok(false)
            }
            Err(failed) => Err(failed.into()),
        }
    }

    /// No more comes.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        match &mut self.form {
            None => {}
            Some(Form::Stream(parser)) => {
                let last = std::mem::take(parser).finish().map_err(|error| unreadable(&error.to_string()))?;
                if let Some(event) = last {
                    self.event(&event)?;
                }
            }
            Some(Form::Body(body)) => {
                let body = std::mem::take(body);
                let Err(why) = self.answer.take(&String::from_utf8_lossy(&body)) else { return Ok(()) };
                // Something else may stand before the first event.
                let Some(begin) = first_event(&body).filter(|_| why == Unusable::Unreadable) else {
                    return Err(why.into());
                };
                self.form = Some(Form::Stream(Parser::default()));
                self.take(&body[begin..])?;
                return self.finish();
            }
        }
        if self.answer.is_empty() && (self.odd || !self.took) {
            return Err(unreadable("nothing in the stream could be read").into());
        }
        Ok(())
    }
}

/// The place of the first event in a body that begins with something else.
fn first_event(body: &[u8]) -> Option<usize> {
    const EVENT: &[u8] = b"\ndata:";
    body.windows(EVENT.len()).position(|bytes| bytes == EVENT).map(|at| at + 1)
}

fn unreadable(detail: &str) -> AgentError {
    // Nothing of it was shown; a proxy's page for a moment is seldom there a second time.
    AgentError {
        again: Again::Once,
        ..failed("agent_unreadable", "The agent's answer could not be read.", detail)
    }
}
