//! The loop, the message path and the store together, in runs of half an hour with faults chosen by one seed: links are
//! lost or fall silent, attempts and sends fail, hang or are delivered all the same, acknowledgements are lost, the disk is
//! full or fails, the operator pauses and resumes, and each run but the last ends as by a SIGKILL. Then the faults end:
//! every message is answered, in order, none twice without a reason, and everything recovers by itself.
//!
//! `HERMES_STORMS=200` runs more seeds.

use super::*;
use crate::config::{AccessConfig, AllowList, WhatsAppMode};
use crate::gateway::core::run::pauses::StoredPauses;
use crate::gateway::inbound::gate::Gate;
use crate::gateway::pipeline::MessagePath;
use crate::gateway::store::SqliteStore;
use crate::gateway::store::api::Store;
use crate::world::World;
use disk::{Disk, Trouble};
use service::{Account, Service};

mod disk;
mod service;

const LIVES: u32 = 3;
const LIFE: Duration = Duration::from_secs(1800);
const NAME: &str = "whatsapp";

/// The state that is kept over the runs.
struct Storm {
    seed: u64,
    service: Arc<Service>,
    dir: tempfile::TempDir,
    /// True when the disk must hold a pause; `None`: not known.
    paused: Option<bool>,
}

/// One run of the gateway.
struct Life {
    disk: Arc<Disk>,
    documents: watch::Receiver<Option<Snapshot>>,
    commands: Commands,
    events: mpsc::Sender<Event>,
    running: JoinHandle<ExitCode>,
    flow: Arc<dyn MessageFlow>,
    well_since: Option<Instant>,
}

impl Storm {
    async fn begin(&self) -> Life {
        let disk = Disk::open(&self.dir.path().join("gateway.db"));
        let store: Arc<dyn Store> = Arc::<Disk>::clone(&disk);
        let pauses = StoredPauses::new(Arc::clone(&store));
        let paused = pauses.names().await.unwrap();
        if let Some(expected) = self.paused {
            assert_eq!(paused.contains(NAME), expected, "seed {}: as it was told", self.seed);
        }
        let mut config = Config::default();
        config.whatsapp.mode = Some(WhatsAppMode::Bot);
        let access = AccessConfig { allowed: AllowList::Everybody, ..AccessConfig::default() };
        config.platform_mut(Platform::Whatsapp).access = access;
        let agent = Arc::clone(&self.service) as Arc<dyn crate::gateway::agent::api::Agent>;
        // Each message in its own turn, so that the answers can be counted.
        let turn = &mut config.gateway.turn;
        (turn.join_window, turn.per_minute_max) = (Duration::ZERO, 0);
        let path = MessagePath::start(store, agent, Gate::new(&config), config.gateway.turn);
        path.open();
        let flow: Arc<dyn MessageFlow> = path;
        let account: Arc<dyn Adapter> = Arc::new(Account(Arc::clone(&self.service)));
        let status = StatusFile::start(self.dir.path().join("gateway_state.json"));
        let documents = status.subscribe();
        let gateway = Gateway::new(Parts {
            adapters: vec![(NAME.to_owned(), account)],
            flow: Arc::clone(&flow),
            pauses: Arc::new(pauses),
            paused,
            seed: self.seed,
            ..parts(status)
        });
        Life {
            disk,
            documents,
            commands: gateway.commands(),
            events: gateway.events(),
            running: tokio::spawn(gateway.serve()),
            flow,
            well_since: Some(Now::read().mono),
        }
    }

    /// Runs half an hour of faults.
    async fn live(&mut self, life: &mut Life) {
        let end = Now::read().mono + LIFE;
        while Now::read().mono < end {
            self.fault(life).await;
            tokio::time::sleep(Duration::from_millis(500 + u64::from(self.service.draw(60_000)))).await;
            self.look(life);
        }
    }

    async fn fault(&mut self, life: &mut Life) {
        let link = self.service.link();
        match self.service.draw(16) {
            0 => life.suffer(Trouble::Full),
            1 => life.suffer(Trouble::Fails),
            2 => life.suffer(Trouble::Late),
            3 | 4 => life.recover(),
            5 => drop(link.map(|link| link.line.lose(refused()))),
            6 => drop(link.map(|link| link.line.freeze())),
            7 => self.service.is_rude.store(true, Ordering::SeqCst),
            8 => self.service.is_rude.store(false, Ordering::SeqCst),
            9 => self.steer(life, self.service.draw(3) == 0).await,
            10 => self.steer(life, false).await,
            11 => life.events.send(Event::NetworkChanged).await.unwrap(),
            _ => (0..=self.service.draw(4)).for_each(|_| self.service.write()),
        }
    }

    /// The operator pauses or resumes, and gets an answer whether that is stored.
    async fn steer(&mut self, life: &Life, pause: bool) {
        let command = match pause {
            true => Command::Pause { platform: NAME.to_owned() },
            false => Command::Resume { platform: NAME.to_owned() },
        };
        let said = life.commands.give(command).await.unwrap();
        if !said.contains("could not be stored") {
            self.paused = Some(pause);
        } else if life.well_since.is_some() {
            // It was the one write that happened and was reported as failed.
            self.paused = None;
        }
    }

    /// Checks the invariants that hold during faults.
    fn look(&self, life: &Life) {
        let seed = self.seed;
        assert!(!life.running.is_finished(), "seed {seed}: the gateway stopped");
        let document = life.documents.borrow().clone().expect("published");
        let shown = platform(&document, NAME);
        if shown.state == WireState::Connected {
            assert!(self.service.link().is_some(), "seed {seed}: connected with what? {shown:?}");
        }
        if shown.paused_by.as_deref() == Some("operator") {
            assert!(self.service.link().is_none(), "seed {seed}: paused and connected");
        }
        self.service.check(seed);
    }

    /// Ends all faults.
    async fn heal(&mut self, life: &mut Life) {
        life.recover();
        self.service.is_rude.store(false, Ordering::SeqCst);
        if let Some(link) = self.service.link() {
            link.line.thaw();
        }
        self.steer(life, false).await;
        let limit = Now::read().mono + Duration::from_secs(75 * 60);
        let is_done = |life: &Life| {
            let document = life.documents.borrow().clone().expect("published");
            platform(&document, NAME).state == WireState::Connected
                && self.service.is_answered()
                && life.flow.depths() == crate::gateway::store::api::Depths::default()
        };
        while !is_done(life) {
            let now = Now::read().mono;
            let told = || format!("seed {}: {}; {:?}", self.seed, self.service.tally(), life.flow.depths());
            assert!(now < limit, "{}\n{:?}", told(), life.documents.borrow());
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        self.look(life);
    }

    fn run(&mut self) {
        for number in 1..=LIVES {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut life = self.begin().await;
                self.live(&mut life).await;
                if number == LIVES {
                    self.heal(&mut life).await;
                }
                let now = Now::read().mono;
                let is_well =
                    life.well_since.is_some_and(|since| now.duration_since(since) > Duration::from_secs(60));
                self.service.bury(now, is_well);
            });
            // Every task ends where it is.
            drop(runtime);
        }
    }
}

impl Life {
    fn suffer(&mut self, trouble: Trouble) {
        *self.disk.trouble.lock().unwrap() = Some(trouble);
        // One write with a false error is not a lasting fault.
        self.well_since = (trouble == Trouble::Late).then(|| Now::read().mono);
    }

    fn recover(&mut self) {
        *self.disk.trouble.lock().unwrap() = None;
        self.well_since.get_or_insert(Now::read().mono);
    }
}

#[test]
fn through_every_storm_what_is_accepted_is_answered_and_what_is_told_is_so() {
    let seeds =
        World::from_process().var("HERMES_STORMS").map_or(3, |count| count.parse().expect("a number"));
    for seed in 0..seeds {
        let dir = tempfile::tempdir().unwrap();
        let service = Service::new(seed);
        Storm { seed, service: Arc::clone(&service), dir, paused: Some(false) }.run();
        println!("seed {seed}: {}", service.tally());
    }
}
