//! How the loop ends.

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
