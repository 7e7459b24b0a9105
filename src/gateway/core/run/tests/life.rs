//! The end of the loop.

use super::*;

#[tokio::test(start_paused = true)]
async fn with_nothing_but_blocked_platforms_the_setting_decides_between_staying_and_a_clean_exit() {
    let conflict =
        AdapterError::blocked("telegram_token_lock", "another local gateway is using this token", "stop it");
    for rule in [ExitWhenAllBlocked::Auto, ExitWhenAllBlocked::Never] {
        let account = Scripted::new([]);
        account.check_says(Err(conflict.clone()));
        let mut stage = Stage::start_by(rule, &[("a", &account)], &[]);
        stage.until(1, is("a", WireState::Fatal)).await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(!stage.running.is_finished(), "{rule:?}");
    }
    let (account, other) = (Scripted::new([]), Scripted::new([Step::Fail(refused())]));
    account.check_says(Err(conflict.clone()));
    let mut stage = Stage::start_by(ExitWhenAllBlocked::Always, &[("a", &account), ("b", &other)], &[]);
    stage.until(1, is("a", WireState::Fatal)).await;
    stage.until(60, is("b", WireState::Connected)).await;
    assert!(!stage.running.is_finished(), "another platform has work");
    other.check_says(Err(conflict));
    other.link().lose(AdapterError::blocked("telegram_bad_token", "the token was refused", "enter it again"));
    let exit = tokio::time::timeout(Duration::from_secs(60), &mut stage.running).await.unwrap().unwrap();
    assert_eq!(exit, ExitCode::Ok);
    let last = Snapshot::read(&std::fs::read(&stage.path).unwrap()).unwrap();
    assert_eq!(last.gateway_state, GatewayState::Stopped);
    let reason = last.exit_reason.unwrap();
    assert!(reason.contains("another local gateway is using this token"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_restart_says_so_while_it_drains_and_ends_with_75() {
    let account = Scripted::new([]);
    let mut stage = Stage::start(&[("a", &account)]);
    stage.until(1, is("a", WireState::Connected)).await;
    *stage.flow.drain_takes.lock().unwrap() = Duration::from_secs(5);
    stage.events.send(Event::StopAsked(StopSignal::Restart)).await.unwrap();
    stage
        .until(1, |document| document.gateway_state == GatewayState::Draining && document.restart_requested)
        .await;
    let exit = tokio::time::timeout(Duration::from_secs(60), &mut stage.running).await.unwrap().unwrap();
    assert_eq!(exit, ExitCode::Restart);
    let last = Snapshot::read(&std::fs::read(&stage.path).unwrap()).unwrap();
    assert_eq!((last.restart_requested, last.exit_reason.as_deref()), (true, Some("restart requested")));
}

fn enabled(change: impl FnOnce(&mut Config)) -> Event {
    Event::SettingsRead(reading(true, change))
}

fn disabled() -> Event {
    Event::SettingsRead(reading(false, |_| {}))
}

fn state_of(document: &Snapshot, name: &str) -> Option<WireState> {
    document.platforms.get(name).map(|platform| platform.state)
}

#[tokio::test(start_paused = true)]
async fn a_platform_is_enabled_changed_and_disabled_while_others_are_left_alone() {
    let (account, other) = (Scripted::new([]), Scripted::new([]));
    let mut stage = Stage::start(&[("whatsapp", &account), ("b", &other)]);
    stage.until(1, is("whatsapp", WireState::Connected)).await;
    let before = account.connects.load(Ordering::SeqCst);
    let link = account.link();

    stage
        .events
        .send(enabled(|config| {
            config.platform_mut(Platform::Whatsapp).access.allowed = crate::config::AllowList::Everybody;
        }))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(account.connects.load(Ordering::SeqCst), before, "who may speak is no matter of connections");

    stage.events.send(enabled(|config| config.whatsapp.version = Some([1, 2, 3]))).await.unwrap();
    let is_anew = |document: &Snapshot| {
        is("whatsapp", WireState::Connected)(document)
            && account.connects.load(Ordering::SeqCst) == before + 1
    };
    let took = stage.until(5, is_anew).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    tokio::time::timeout(Duration::from_secs(5), async {
        while !link.closed.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();

    stage.events.send(disabled()).await.unwrap();
    stage.until(1, |document| state_of(document, "whatsapp").is_none()).await;
    stage.until(1, |document| document.gateway_state == GatewayState::Running).await;
    let resume = stage.commands.give(resume("whatsapp")).await;
    assert!(matches!(resume, Err(CommandError::NotEnabled { .. })), "{resume:?}");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(account.connects.load(Ordering::SeqCst), before + 1, "nobody wants it");

    stage.events.send(enabled(|_| {})).await.unwrap();
    stage.until(5, |document| state_of(document, "whatsapp") == Some(WireState::Connected)).await;
    assert_eq!(other.connects.load(Ordering::SeqCst), 1);
    assert!(!other.link().closed.load(Ordering::SeqCst));
    let (exit, last) = stage.stop(StopSignal::Terminate).await;
    assert_eq!((exit, last.platforms.len()), (ExitCode::Ok, 2));
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_was_not_there_at_the_start_gets_a_place_and_keeps_its_pause() {
    let mut stage = Stage::start_paused(&[], &["whatsapp"]);
    stage.until(1, |document| document.gateway_state == GatewayState::Running).await;
    stage.events.send(enabled(|_| {})).await.unwrap();
    stage.until(1, |document| state_of(document, "whatsapp") == Some(WireState::Paused)).await;
    stage.events.send(disabled()).await.unwrap();
    stage.until(1, |document| document.platforms.is_empty()).await;
    stage.events.send(enabled(|_| {})).await.unwrap();
    stage.until(1, |document| state_of(document, "whatsapp") == Some(WireState::Paused)).await;
    assert_eq!(stage.later.connects.load(Ordering::SeqCst), 0);
    stage.commands.give(resume("whatsapp")).await.unwrap();
    stage.until(1, |document| state_of(document, "whatsapp") == Some(WireState::Connected)).await;
    stage.events.send(disabled()).await.unwrap();
    stage.until(1, |document| document.platforms.is_empty()).await;
    let (exit, last) = stage.stop(StopSignal::Terminate).await;
    assert_eq!(
        (exit, last.platforms.len()),
        (ExitCode::Ok, 0),
        "a platform nobody wants is not shown at the end"
    );
}

#[tokio::test(start_paused = true)]
async fn broken_settings_are_shown_until_they_are_mended_and_change_nothing() {
    let account = Scripted::new([]);
    let mut stage = Stage::start(&[("whatsapp", &account)]);
    stage.until(1, is("whatsapp", WireState::Connected)).await;
    let stale = Some("gateway.toml: line 1, column 9: unclosed table".to_owned());
    let broken = Reading { stale: stale.clone(), ..reading(true, |_| {}) };
    stage.events.send(Event::SettingsRead(broken)).await.unwrap();
    stage.until(1, |document| document.config_stale == stale).await;
    stage.events.send(enabled(|_| {})).await.unwrap();
    stage.until(1, |document| document.config_stale.is_none()).await;
    assert_eq!(account.connects.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_reconnects_leave_nothing_behind() {
    let account = Scripted::new([]);
    let mut stage = Stage::start(&[("whatsapp", &account)]);
    let quick = |config: &mut Config| {
        config.gateway.reconnect.first = Duration::from_millis(10);
        config.gateway.reconnect.cap = Duration::from_millis(10);
        config.gateway.reconnect.stable_after = Duration::from_millis(10);
    };
    stage.events.send(enabled(quick)).await.unwrap();
    stage.until(5, |document| state_of(document, "whatsapp") == Some(WireState::Connected)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for round in 0..10_000u32 {
        let tried = account.connects.load(Ordering::SeqCst);
        if round % 100 == 99 {
            // Each hundredth round ends by changed settings, not by the end of its connection.
            stage
                .events
                .send(enabled(|config| {
                    quick(config);
                    config.whatsapp.version = Some([round, 0, 0]);
                }))
                .await
                .unwrap();
        } else {
            account.link().lose(refused());
        }
        while account.connects.load(Ordering::SeqCst) == tried {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stage.until(5, |document| state_of(document, "whatsapp") == Some(WireState::Connected)).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(tasks() <= before, "{before} tasks at first, {} now", tasks());
    assert_eq!(account.open_links(), 1);
    let (exit, _) = stage.stop(StopSignal::Terminate).await;
    assert_eq!(exit, ExitCode::Ok);
}
