//! Watches the published states, and sends the notices of the decider.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::command;
use super::decider::{Action, Input, Limits, Notice, Notices, Route, sights};
use super::text::{json, text};
use crate::clock::Now;
use crate::config::{Config, NotifyConfig};
use crate::gateway::host::kept;
use crate::gateway::markdown::parts;
use crate::gateway::model::identity::channel_key;
use crate::gateway::model::message::MessageId;
use crate::gateway::model::snapshot::Snapshot;
use crate::gateway::pipeline::flow::MessageFlow;
use crate::gateway::settings::Settings;
use crate::platforms::Platform;

/// Limit for the store to take a notice.
const SAY_LIMIT: Duration = Duration::from_secs(10);

/// Notifies the operator until the states end. Notices are sent one after the other.
pub fn start(
    documents: watch::Receiver<Option<Snapshot>>,
    settings: Arc<Settings>,
    flow: Arc<dyn MessageFlow>,
) -> JoinHandle<()> {
    kept::keep("notices", move || {
        follow(documents.clone(), Notifier { settings: Arc::clone(&settings), flow: Arc::clone(&flow) })
    })
}

async fn follow(mut documents: watch::Receiver<Option<Snapshot>>, teller: Notifier) {
    let mut notices = Notices::new(limits(&teller.settings.current().gateway.notify));
    loop {
        while let Some(Action::Tell { platform, notice, route }) = notices.poll_action() {
            // Each notice has its own id, so that a repeat after a restart is sent as well.
            let id = Now::read().wall.to_string();
            teller.tell(&platform, &notice, route, &id).await;
        }
        let due = async {
            match notices.poll_timeout() {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = documents.changed() => {
                if changed.is_err() {
                    return;
                }
                let config = teller.settings.current();
                let has_channel = |name: &str| channel(name, &config).is_some();
                let seen = documents.borrow_and_update().as_ref().and_then(|seen| sights(seen, has_channel));
                let now = Now::read().mono;
                notices.handle(now, Input::Configured(limits(&config.gateway.notify)));
                if let Some(platforms) = seen {
                    let has_command = config.gateway.notify_command.is_some();
                    notices.handle(now, Input::Seen { platforms, has_command });
                }
            }
            () = due => notices.handle_timeout(Now::read().mono),
        }
    }
}

fn limits(config: &NotifyConfig) -> Limits {
    let NotifyConfig { after, retrying_after, every } = config;
    Limits { after: *after, retrying_after: *retrying_after, every: *every }
}

fn channel<'a>(name: &str, config: &'a Config) -> Option<(Platform, &'a str)> {
    let platform = name.parse().ok()?;
    Some((platform, config.platform(platform).home_channel.as_ref()?))
}

/// Sends notices.
pub(super) struct Notifier {
    pub(super) settings: Arc<Settings>,
    pub(super) flow: Arc<dyn MessageFlow>,
}

impl Notifier {
    /// Sends a notice. Returns true when it was sent. Notices with the same `id` are sent once in a chat.
    pub(super) async fn tell(&self, name: &str, notice: &Notice, route: Route, id: &str) -> bool {
        let title = name.parse().map_or(name, |platform: Platform| platform.spec().title);
        let told = match &route {
            Route::Command => self.run(name, title, notice).await,
            Route::Channel(by) => self.say(name, title, notice, by, id).await,
        };
        let way = match &route {
            Route::Command => "notify_command",
            Route::Channel(by) => by,
        };
        match &told {
            Ok(()) => {
                tracing::info!(code = "operator_told", platform = name, "Sent an alert by {way}");
            }
            Err(why) => {
                tracing::warn!(
                    code = "operator_not_told",
                    platform = name,
                    "An alert could not be sent by {way}: {why}"
                );
            }
        }
        told.is_ok()
    }

    async fn run(&self, name: &str, title: &str, notice: &Notice) -> Result<(), String> {
        let config = self.settings.current();
        let argv = config.gateway.notify_command.as_deref().unwrap_or_default();
        let line = json(name, title, notice).to_string();
        command::run(&self.settings.world, argv, &line, command::LIMIT)
            .await
            .map_err(|error| error.to_string())
    }

    async fn say(&self, name: &str, title: &str, notice: &Notice, by: &str, id: &str) -> Result<(), String> {
        let config = self.settings.current();
        let Some((platform, to)) = channel(by, &config) else {
            return Err("its home channel was removed".to_owned());
        };
        let key = channel_key(platform, to);
        let id = MessageId(format!("{name} {id}"));
        let messages = parts::messages(&key, &id, "operator", &text(title, notice));
        match tokio::time::timeout(SAY_LIMIT, self.flow.say(&key, messages)).await {
            Ok(said) => said.map_err(|error| error.to_string()),
            Err(_) => Err(format!("the store did not answer within {} s", SAY_LIMIT.as_secs())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::write_atomic;
    use crate::gateway::model::snapshot::tests::example;
    use crate::gateway::model::snapshot::{PlatformSnapshot, WireState};
    use crate::gateway::pipeline::counting_flow::CountingFlow;
    use crate::home::HermesHome;
    use crate::world::World;

    struct Stage {
        documents: watch::Sender<Option<Snapshot>>,
        flow: Arc<CountingFlow>,
        running: JoinHandle<()>,
        dir: tempfile::TempDir,
    }

    impl Stage {
        fn start(toml: &str, env: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let home = HermesHome::at(dir.path());
            write_atomic(&home.config_file(), toml.as_bytes()).unwrap();
            let world = World::of_env(env.iter().copied());
            let config = Config::load(&world, &home).unwrap();
            let documents = watch::Sender::new(None);
            let flow = Arc::new(CountingFlow::default());
            let settings = Settings::new(world, home, config);
            let running = start(documents.subscribe(), settings, Arc::clone(&flow) as Arc<dyn MessageFlow>);
            Self { documents, flow, running, dir }
        }

        fn publish(&self, platforms: &[(&str, WireState)]) {
            let mut snapshot = example();
            let entry = snapshot.platforms["whatsapp"].clone();
            snapshot.platforms = platforms
                .iter()
                .map(|(name, state)| {
                    ((*name).to_owned(), PlatformSnapshot { state: *state, ..entry.clone() })
                })
                .collect();
            self.documents.send_replace(Some(snapshot));
        }

        async fn pass(&self, seconds: u64) {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }

        fn said(&self) -> Vec<String> {
            self.flow.said.lock().unwrap().iter().map(|message| message.text.0.clone()).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_and_its_end_go_to_another_platforms_home_channel() {
        let stage = Stage::start("", &[("WHATSAPP_HOME_CHANNEL", "+1 555 000 1111")]);
        stage.publish(&[("fax", WireState::Fatal), ("whatsapp", WireState::Connected)]);
        stage.pass(170).await;
        assert_eq!(stage.said(), Vec::<String>::new());
        stage.pass(20).await;
        stage.publish(&[("fax", WireState::Connected), ("whatsapp", WireState::Connected)]);
        stage.pass(70).await;
        assert_eq!(
            stage.said(),
            [
                "fax has not worked for 3 min: no phone is paired. hermes whatsapp",
                "fax works again after 3 min."
            ]
        );
        let said = stage.flow.said.lock().unwrap().clone();
        assert!(said.iter().all(|message| message.chat.0 == "15550001111@s.whatsapp.net"));
        assert_ne!(said[0].handle, said[1].handle);
        drop(stage.documents);
        stage.running.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_way_nothing_happens() {
        let stage = Stage::start("", &[("A", "b")]);
        stage.publish(&[("fax", WireState::Fatal), ("whatsapp", WireState::Connected)]);
        stage.pass(100_000).await;
        assert_eq!(stage.said(), Vec::<String>::new());
        assert!(!stage.running.is_finished());
    }

    #[tokio::test]
    async fn the_operators_command_is_given_the_notice_and_may_fail() {
        let toml =
            "[gateway]\nnotify_command = ['sh', '-c', 'cat >> told; exit 1']\nnotify = { after = '10ms' }\n";
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("told");
        let toml = toml.replace("told", target.to_str().unwrap());
        let stage =
            Stage::start(&toml, &[("PATH", "/usr/bin:/bin"), ("WHATSAPP_HOME_CHANNEL", "15550001111")]);
        assert!(stage.dir.path().exists());
        stage.publish(&[("whatsapp", WireState::Fatal)]);
        let deadline = Now::read().mono + command::LIMIT;
        let line = loop {
            let text = std::fs::read_to_string(&target).unwrap_or_default();
            if text.ends_with('\n') {
                break text;
            }
            assert!(Now::read().mono < deadline);
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (value["platform"].as_str(), value["title"].as_str()),
            (Some("whatsapp"), Some("WhatsApp"))
        );
        assert_eq!(value["code"], "whatsapp_not_paired");
        assert!(!stage.running.is_finished(), "a failing command ends nothing");
        assert_eq!(stage.said(), Vec::<String>::new(), "the command is the way");
    }
}
