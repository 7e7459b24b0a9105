//! A program of this machine: one line of JSON on its standard input for each turn ([`request::line`]), its answer as text on
//! its standard output, and 0 at its end.
//!
//! It is started for each turn, without a shell, as a process group of its own; the group is killed when the turn is ended
//! early, when the program is silent for too long or says too much, and when hermes ends; on Linux also when hermes is
//! killed. It sees none of our variables but the harmless ones and those that the settings list.
//!
//! Where it cannot be started, messages wait until it can.

use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::answer::{ANSWER_LEN_MAX, Answer, Cut};
use super::api::{About, Again, Agent, AgentError, Ailment, STALLED, Trouble, Turn};
use super::draft::Draft;
use super::verdict::Verdict;
use super::{request, thinking};
use crate::bridge::process::{spawner, stderr};
use crate::clock::Now;
use crate::config::CommandConfig;
use crate::facts;
use crate::preflight::agent::ProgramFact;
use crate::process::child;
use crate::process::child_env;
use crate::process::exec::{self, Token};
use crate::process::group::Group;
use crate::visible;
use crate::world::World;

/// In the program's environment: it tells the program that an agent of hermes is what it is.
pub const MARK: (&str, &str) = ("HERMES_AGENT", "1");

/// How long its last words on standard error are waited for.
const LAST_WORDS_LIMIT: Duration = Duration::from_millis(500);

/// How long the rest of an answer is waited for after the program's end: something else may hold its output.
const REST_LIMIT: Duration = Duration::from_secs(1);

/// Before the program's last words.
const SAID: &str = "; its last words: ";

/// Between two looks whether it can be started.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A program that runs for so long was started.
const STARTED_AFTER: Duration = Duration::from_secs(1);

/// A program that answers.
pub struct Program {
    config: CommandConfig,
    world: World,
    state: Mutex<State>,
}

/// The program by its last turns.
#[derive(Default)]
struct State {
    /// It cannot be started.
    away: Option<Away>,
    verdict: Verdict,
}

struct Away {
    since: Timestamp,
    why: String,
    /// When it is tried again.
    next: Instant,
}

impl Program {
    /// Nothing is started yet.
    pub fn new(config: &CommandConfig, world: &World) -> Self {
        Self { config: config.clone(), world: world.clone(), state: Mutex::default() }
    }

    fn name(&self) -> &str {
        self.config.command.first().map_or("", String::as_str)
    }

    fn command(&self, token: &Token) -> Command {
        let listed = self.config.env.iter();
        let listed = listed.filter_map(|(name, value)| Some((name.into(), value.as_ref()?.0.clone().into())));
        let environment = child_env::for_agent(&self.world).into_iter().chain(listed);
        let mut command = Command::from(child::confined(&self.world.exe, environment));
        command
            .args(exec::guarded_args(token, std::process::id(), &self.config.command))
            .env(MARK.0, MARK.1)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// It was not started: its message waits.
    fn unstartable(&self, why: &str) -> AgentError {
        let (now, mut state) = (Now::read(), self.state());
        let since = state.away.as_ref().map(|away| away.since);
        state.away =
            Some(Away { since: since.unwrap_or(now.wall), why: why.to_owned(), next: now.mono + LOOK_EVERY });
        drop(state);
        if since.is_none() {
            tracing::warn!(
                code = "agent_unavailable",
                "The agent's program {} cannot be started: {why}; messages are queued",
                self.name()
            );
        }
        self.away(why, LOOK_EVERY)
    }

    fn away(&self, why: &str, wait: Duration) -> AgentError {
        let detail = format!("{} cannot be started: {why}", self.name());
        AgentError {
            again: Again::After(wait),
            ..failed("agent_unstartable", "The agent cannot be started.", detail)
        }
    }

    /// It was started.
    fn is_back(&self) {
        if self.state().away.take().is_some() {
            tracing::info!(
                code = "agent_available",
                "The agent's program {} can be started again",
                self.name()
            );
        }
    }

    fn start(&self, token: &Token) -> Result<Group, AgentError> {
        match facts::program(&self.world, self.name()) {
            ProgramFact::Found => {}
            ProgramFact::NotExecutable => return Err(self.unstartable("it is not executable")),
            ProgramFact::Missing => return Err(self.unstartable("the program was not found")),
        }
        let leader =
            spawner::spawn(self.command(token)).map_err(|error| self.unstartable(&error.to_string()))?;
        Ok(Group::new(leader))
    }

    async fn ask(&self, turn: Turn, draft: &Draft) -> Result<(String, Option<AgentError>), AgentError> {
        let token = Token::random();
        let mut group = self.start(&token)?;
        let pipes = (group.leader.stdin.take(), group.leader.stdout.take(), group.leader.stderr.take());
        let (Some(mut input), Some(mut output), Some(errors)) = pipes else {
            return Err(self.unstartable("it has no pipes"));
        };
        let tail = stderr::Tail::follow(errors, group.leader.id(), "the agent");
        let line = format!("{}\n", request::line(&turn));
        let telling = async {
            // A program that does not read has its reasons.
            drop(input.write_all(line.as_bytes()).await);
            drop(input);
            // It may say nothing for long.
            tokio::time::sleep(STARTED_AFTER).await;
            self.is_back();
            std::future::pending::<()>().await;
        };
        let reading = async {
            let mut said = Vec::new();
            let mut chunk = vec![0; 8192];
            let mut ended = None;
            loop {
                let wait = if ended.is_some() { REST_LIMIT } else { self.config.idle_timeout };
                let step = timeout(wait, async {
                    tokio::select! {
                        biased;
                        len = output.read(&mut chunk) => Step::Said(len.unwrap_or(0)),
                        status = group.leader.wait(), if ended.is_none() => Step::Ended(status),
                    }
                });
                match step.await {
                    Ok(Step::Said(0)) => break,
                    Ok(Step::Said(len)) => {
                        self.is_back();
                        said.extend_from_slice(&chunk[..len]);
                        // A chunk may end within a character.
                        let text = said.utf8_chunks().next().map_or("", |chunk| chunk.valid());
                        draft.grow(&thinking::visible(text, false));
                    }
                    Ok(Step::Ended(status)) => ended = Some(status),
                    Err(_) if ended.is_some() => break,
                    Err(_) => return (said, End::Silent),
                }
                if said.len() > ANSWER_LEN_MAX {
                    return (said, End::Cut);
                }
            }
            let end = match ended {
                Some(status) => End::Status(status),
                None => timeout(self.config.idle_timeout, group.leader.wait())
                    .await
                    .map_or(End::Silent, End::Status),
            };
            (said, end)
        };
        let (said, end) = tokio::select! {
            outcome = reading => outcome,
            () = telling => unreachable!("it tells until it is dropped"),
        };
        let error = self.error_of(end, said.is_empty(), &token, tail).await;
        if let Some(error) = error.as_ref().filter(|error| matches!(error.again, Again::After(_))) {
            return Err(error.clone());
        }
        self.is_back();
        let mut answer = Answer::default();
        answer.push(&String::from_utf8_lossy(&said));
        let mut text = thinking::visible(answer.text(), true).into_owned();
        if visible::is_blank(&text) {
            let detail = format!("{} printed nothing", self.name());
            return Err(
                error.unwrap_or_else(|| failed("agent_silent", "The agent answered nothing.", detail))
            );
        }
        if let Some(error) = &error {
            // What was said is worth more than an error in its place.
            error.log_cut();
            answer.break_off();
        }
        text.push_str(answer.cut().map_or("", Cut::line));
        Ok((text, error))
    }

    /// What went wrong, where anything did.
    async fn error_of(
        &self,
        end: End,
        is_empty: bool,
        token: &Token,
        mut tail: stderr::Tail,
    ) -> Option<AgentError> {
        match end {
            End::Cut => None,
            End::Silent if is_empty => Some(AgentError { again: Again::Once, ..self.stalled() }),
            End::Silent => Some(self.stalled()),
            End::Status(Ok(status)) if status.success() => None,
            End::Status(status) => {
                let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                let words = tail.finish(LAST_WORDS_LIMIT).await.pop().unwrap_or_default();
                if let Some(why) = token.not_started(&words) {
                    return Some(self.unstartable(why));
                }
                let words = if words.is_empty() { words } else { format!("{SAID}{words}") };
                let detail = format!("{} exited with {how}{words}", self.name());
                Some(failed("agent_failed", "The agent failed. Please try again later.", detail))
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stalled(&self) -> AgentError {
        let detail = format!("{} was silent for {} s", self.name(), self.config.idle_timeout.as_secs());
        failed("agent_stalled", STALLED, detail)
    }
}

/// How an answer ended.
enum End {
    /// It is longer than we take.
    Cut,
    /// Nothing more came in time.
    Silent,
    /// The program ended.
    Status(std::io::Result<std::process::ExitStatus>),
}

enum Step {
    Said(usize),
    Ended(std::io::Result<std::process::ExitStatus>),
}

fn failed(code: &'static str, told: &str, detail: String) -> AgentError {
    AgentError { code, told: told.to_owned(), detail, again: Again::Never }
}

#[async_trait]
impl Agent for Program {
    async fn answer(&self, turn: Turn, draft: &Draft) -> Result<String, AgentError> {
        if let Some(wait) = self.wait() {
            let why = self.state().away.as_ref().map_or_else(String::new, |away| away.why.clone());
            return Err(self.away(&why, wait));
        }
        let answer = self.ask(turn, draft).await;
        // Its words may repeat a message of people: they are for the log alone.
        let shown = |error: &AgentError| AgentError {
            detail: error.detail.split(SAID).next().unwrap_or_default().to_owned(),
            ..error.clone()
        };
        let (broke, failed) = match &answer {
            Ok((_, broke)) => (broke.as_ref().map(shown), None),
            Err(error) => (None, Some(shown(error))),
        };
        self.state().verdict.ended(Now::read().wall, failed.as_ref().map_or(Ok(broke.as_ref()), Err));
        answer.map(|(text, _)| text)
    }

    fn wait(&self) -> Option<Duration> {
        let now = Now::read().mono;
        let next = self.state().away.as_ref()?.next;
        Some(next.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    fn about(&self) -> About {
        let state = self.state();
        let away = state.away.as_ref().map(|away| Trouble {
            since: away.since,
            why: format!("it cannot be started: {}", away.why),
            code: None,
            ailment: Ailment::Away,
        });
        About {
            kind: "command",
            model: Some(self.name().to_owned()),
            is_untried: state.verdict.is_untried(),
            trouble: away.or_else(|| state.verdict.trouble().cloned()),
        }
    }
}
