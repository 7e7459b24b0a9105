//! No loops: an hour with a fault that stays. The process stays, working platforms keep working, periodic work continues,
//! and the log has a few lines about it.

use std::sync::Mutex;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::log::Page;
use super::*;
use crate::config::Bind;
use crate::gateway::api::http::routes::{HELD_MAX, Http};
use crate::gateway::api::http::server::HttpServer;
use crate::gateway::model::command::Control;
use crate::gateway::model::snapshot::HttpState;
use crate::gateway::settings::Settings;
use crate::home::HermesHome;
use crate::world::World;

/// A fault that stays for an hour.
struct Hour {
    name: &'static str,
    /// The account that fails.
    broken: Arc<Scripted>,
    state: WireState,
    code: &'static str,
    /// Attempts within the hour, at least and at most.
    attempts: (u32, u32),
    /// Lines about it within the hour, at most.
    lines: usize,
}

fn hours() -> Vec<Hour> {
    let forever = |error: AdapterError| Scripted::new(std::iter::repeat_n(Step::Fail(error), 10_000));
    let unpaired_phone = Scripted::new([]);
    unpaired_phone.check_says(Err(unpaired()));
    // The token is on this machine, so the check passes; only the service knows that it is not valid.
    let bad_token =
        AdapterError::blocked("telegram_bad_token", "the service refuses the token", "enter it again");
    vec![
        Hour {
            name: "an unpaired phone",
            broken: unpaired_phone,
            state: WireState::Fatal,
            code: "whatsapp_not_paired",
            attempts: (0, 0),
            lines: 1,
        },
        Hour {
            name: "a bad token",
            broken: forever(bad_token),
            state: WireState::Fatal,
            code: "telegram_bad_token",
            attempts: (2, 30),
            lines: 1,
        },
        Hour {
            name: "no names",
            broken: forever(AdapterError::retryable("net_dns", "it has no address")),
            state: WireState::Retrying,
            code: "net_dns",
            attempts: (10, 30),
            lines: 8,
        },
    ]
}

/// Passes an hour, and counts the documents that are published.
async fn hour(stage: &mut Stage, mut look: impl FnMut(&Snapshot)) -> u32 {
    let mut documents = 0;
    let end = tokio::time::sleep(Duration::from_secs(3600));
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return documents,
            seen = stage.documents.changed() => {
                seen.expect("the loop goes on");
                documents += 1;
                look(stage.documents.borrow_and_update().as_ref().unwrap());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_hour_with_something_broken_ends_nothing_and_says_little_whoever_is_beside_it() {
    for neighbours in [0, 1] {
        for Hour { name, broken, state, code, attempts, lines } in hours() {
            let name = format!("{name}, with {neighbours} beside it");
            let (page, _logging) = Page::open();
            let well = Scripted::new([]);
            let accounts = [("broken", &broken), ("well", &well)];
            let mut stage = Stage::start(&accounts[..=neighbours]);
            stage.until(1, says("broken", code)).await;
            if neighbours > 0 {
                stage.until(1, is("well", WireState::Connected)).await;
            }
            let documents = hour(&mut stage, |document| {
                // A refused token is tried again now and then; a platform that fails too often is paused, and probed.
                let shown = platform(document, "broken");
                let is_looked_at = shown.state == WireState::Paused && shown.next_retry_at.is_some();
                let is_expected = [state, WireState::Connecting].contains(&shown.state)
                    || (code == "net_dns" && is_looked_at);
                assert!(is_expected, "{name}: {shown:?}");
                let is_well = |well: &PlatformSnapshot| well.state == WireState::Connected;
                assert!(document.platforms.get("well").is_none_or(is_well), "{name}: {document:?}");
            })
            .await;
            assert!(!stage.running.is_finished(), "{name}");
            assert!((350..=500).contains(&documents), "{name}: {documents} documents");
            let tried = broken.connects.load(Ordering::SeqCst);
            assert!((attempts.0..=attempts.1).contains(&tried), "{name}: {tried} attempts");
            let told = page.of("broken");
            assert!((1..=lines).contains(&told.len()), "{name}:\n{}", told.join("\n"));
            if neighbours > 0 {
                assert_eq!(well.connects.load(Ordering::SeqCst), 1, "{name}");
                assert_eq!(page.of("well").len(), 1, "{name}: that it is connected");
                assert_eq!(stage.flow.downs.load(Ordering::SeqCst), 0, "{name}");
            }
            // Once it is repaired, it recovers by itself.
            broken.check_says(Ok(()));
            broken.script([]);
            stage.until(75 * 60, is("broken", WireState::Connected)).await;
            assert_eq!(stage.stop(StopSignal::Terminate).await.0, ExitCode::Ok, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_hour_with_a_taken_port_is_nothing_to_the_platforms_and_is_told_once() {
    let (page, _logging) = Page::open();
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = port.local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.gateway.http.bind = Bind::At(address);
    let settings = Settings::new(World::of_env::<&str, &str>([]), HermesHome::at(dir.path()), config);
    let (state, http) = watch::channel(None);
    let account = Scripted::new([]);
    let mut stage = Stage::start_with_http(&[("a", &account)], http);
    let serving = Http {
        control: Control { snapshots: stage.documents.clone(), commands: stage.commands.clone() },
        pulse: Pulse::default(),
        settings,
        tally: Arc::default(),
        lockout: Arc::new(Mutex::default()),
        held: Arc::new(Semaphore::new(HELD_MAX)),
    };
    let server = HttpServer::start(serving, state);
    let is_taken = |document: &Snapshot| {
        let http = document.http.as_ref();
        http.is_some_and(|http| http.error_code.as_deref() == Some("api_server_port_in_use"))
    };
    stage.until(1, is("a", WireState::Connected)).await;
    stage.until(1, is_taken).await;
    let documents = hour(&mut stage, |document| {
        assert!(is_taken(document), "{document:?}");
        assert!(document.http.as_ref().unwrap().next_retry_at.is_some());
        assert_eq!(platform(document, "a").state, WireState::Connected);
    })
    .await;
    assert!((350..=500).contains(&documents), "{documents} documents");
    assert!(!stage.running.is_finished());
    assert_eq!(account.connects.load(Ordering::SeqCst), 1);
    assert_eq!(page.with("api_server_port_in_use").len(), 1, "{:?}", page.with("code="));
    drop(port);
    let listens =
        |document: &Snapshot| document.http.as_ref().is_some_and(|http| http.state == HttpState::Listening);
    stage.until(301, listens).await;
    drop(server);
    assert_eq!(stage.stop(StopSignal::Terminate).await.0, ExitCode::Ok);
}
