//! A program of this machine: one line of JSON on its standard input for each turn ([`request::line`]), its answer as text on
//! its standard output, and 0 at its end.
//!
//! It is started for each turn, without a shell, as a process group of its own; the group is killed when the turn is ended
//! early, when the program is silent for too long or says too much, and when hermes ends; on Linux also when hermes is
//! killed. It sees none of our variables but the harmless ones and those that the settings list.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::answer::{ANSWER_LEN_MAX, Answer, Cut};
use super::api::{About, Again, Agent, AgentError, STALLED, Trouble, Turn};
use super::draft::Draft;
use super::{request, thinking};
use crate::bridge::process::{spawner, stderr};
use crate::bridge::{child_env, exec};
use crate::child;
use crate::clock::Now;
use crate::config::CommandConfig;
use crate::facts;
use crate::gateway::life::group::Group;
use crate::preflight::agent::ProgramFact;
use crate::world::World;

/// In the program's environment: it tells the program that an agent of hermes is what it is.
pub const MARK: (&str, &str) = ("HERMES_AGENT", "1");

/// How long its last words on standard error are waited for.
const LAST_WORDS_LIMIT: Duration = Duration::from_millis(500);

/// How long the rest of an answer is waited for after the program's end: something else may hold its output.
const REST_LIMIT: Duration = Duration::from_secs(1);

/// A program that answers.
pub struct Program {
    config: CommandConfig,
    world: World,
    /// Since when it cannot be started.
    broken: Mutex<Option<Timestamp>>,
    is_tried: AtomicBool,
}

impl Program {
    /// Nothing is started yet.
    pub fn new(config: &CommandConfig, world: &World) -> Self {
        Self {
            config: config.clone(),
            world: world.clone(),
            broken: Mutex::default(),
            is_tried: AtomicBool::new(false),
        }
    }

    fn name(&self) -> &str {
        self.config.command.first().map_or("", String::as_str)
    }

    fn command(&self) -> Command {
        let listed = self.config.env.iter();
        let listed = listed.filter_map(|(name, value)| Some((name.into(), value.as_ref()?.0.clone().into())));
        let environment = child_env::for_agent(&self.world).into_iter().chain(listed);
        let mut command = Command::from(child::confined(&self.world.exe, environment));
        command
            .args(exec::guarded_args(std::process::id(), &self.config.command))
            .env(MARK.0, MARK.1)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    fn unstartable(&self, why: &str) -> AgentError {
        self.broken().get_or_insert_with(|| Now::read().wall);
        let detail = format!("{} cannot be started: {why}", self.name());
        failed("agent_unstartable", "The agent cannot be started.", detail)
    }

    fn start(&self) -> Result<Group, AgentError> {
        match facts::program(&self.world, self.name()) {
            ProgramFact::Found => {}
            ProgramFact::NotExecutable => return Err(self.unstartable("it is not executable")),
            ProgramFact::Missing => return Err(self.unstartable("the program was not found")),
        }
        let leader = spawner::spawn(self.command()).map_err(|error| self.unstartable(&error.to_string()))?;
        *self.broken() = None;
        self.is_tried.store(true, Ordering::Relaxed);
        Ok(Group::new(leader))
    }

    async fn ask(&self, turn: Turn, draft: &Draft) -> Result<String, AgentError> {
        let mut group = self.start()?;
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
        let error = self.error_of(end, said.is_empty(), tail).await;
        let mut answer = Answer::default();
        answer.push(&String::from_utf8_lossy(&said));
        let mut text = thinking::visible(answer.text(), true).into_owned();
        if text.trim().is_empty() {
            let detail = format!("{} printed nothing", self.name());
            return Err(
                error.unwrap_or_else(|| failed("agent_silent", "The agent answered nothing.", detail))
            );
        }
        if let Some(error) = error {
            // What was said is worth more than an error in its place.
            error.log_cut();
            answer.break_off();
        }
        text.push_str(answer.cut().map_or("", Cut::line));
        Ok(text)
    }

    /// What went wrong, where anything did.
    async fn error_of(&self, end: End, is_empty: bool, mut tail: stderr::Tail) -> Option<AgentError> {
        match end {
            End::Cut => None,
            End::Silent if is_empty => Some(AgentError { again: Again::Once, ..self.stalled() }),
            End::Silent => Some(self.stalled()),
            End::Status(Ok(status)) if status.success() => None,
            End::Status(status) => {
                let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                let words = tail.finish(LAST_WORDS_LIMIT).await.pop().unwrap_or_default();
                let detail = format!("{} exited with {how}: {words}", self.name());
                Some(failed("agent_failed", "The agent failed. Please try again later.", detail))
            }
        }
    }

    fn broken(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.ask(turn, draft).await
    }

    fn about(&self) -> About {
        let why = || "it cannot be started".to_owned();
        About {
            kind: "command",
            model: Some(self.name().to_owned()),
            is_untried: !self.is_tried.load(Ordering::Relaxed),
            trouble: self.broken().map(|since| Trouble { since, why: why(), refuses: false }),
        }
    }
}
