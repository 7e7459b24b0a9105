//! The volume of the log: one line for each change, never one for each attempt.

use std::io::{self, Write};
use std::sync::Mutex;

use super::*;

/// The logged lines, as text.
#[derive(Clone, Default)]
pub(super) struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Page {
    /// Captures this thread's log until the guard is dropped.
    pub(super) fn open() -> (Self, tracing::subscriber::DefaultGuard) {
        let page = Self::default();
        let out = page.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || out.clone())
            .finish();
        (page, tracing::subscriber::set_default(subscriber))
    }

    /// Lines about this platform.
    pub(super) fn of(&self, platform: &str) -> Vec<String> {
        self.with(&format!("platform=\"{platform}\""))
    }

    /// Lines that contain this text.
    pub(super) fn with(&self, text: &str) -> Vec<String> {
        let page = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        page.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }
}

/// Ends the connection of this account whenever it has lasted this long.
fn shake(account: &Arc<Scripted>, every: Duration, error: AdapterError) -> JoinHandle<()> {
    let account = Arc::clone(account);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            if account.open_links() > 0 {
                account.link().lose(error.clone());
            }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_failures_is_a_few_lines_for_each_platform() {
    let (page, _logging) = Page::open();
    let forever =
        |steps: &[Step]| Scripted::new(steps.iter().cycle().take(2000).cloned().collect::<Vec<_>>());
    // Different codes: failures of the network on several platforms at once are one fault of the machine, and reported as one.
    let error = |code| AdapterError::retryable(code, "it failed");
    let blocked = Scripted::new([]);
    blocked.check_says(Err(unpaired()));
    let refusing = forever(&[Step::Fail(error("telegram_server_error"))]);
    let alternating = forever(&[
        Step::Fail(error("discord_gateway_task_exited")),
        Step::Fail(error("qq_reconnect_exhausted")),
    ]);
    let hanging = forever(&[Step::Hang]);
    let panicking = forever(&[Step::Panic]);
    let flapping = Scripted::new([]);
    let limited =
        forever(&[Step::Fail(error("qq_rate_limited").retry(Retry::After(Duration::from_secs(2))))]);
    let well = Scripted::new([]);
    let accounts = [
        ("blocked", &blocked, 1),
        ("refusing", &refusing, 8),
        ("alternating", &alternating, 14),
        ("hanging", &hanging, 8),
        ("panicking", &panicking, 8),
        ("flapping", &flapping, 40),
        ("limited", &limited, 5),
        ("well", &well, 1),
    ];
    let mut stage = Stage::start(&accounts.map(|(name, account, _)| (name, account)));
    let shaking = shake(&flapping, Duration::from_secs(10), error("discord_websocket_health_stale"));
    stage.until(1, is("well", WireState::Connected)).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    shaking.abort();
    for (name, account, promised) in accounts {
        let lines = page.of(name);
        let attempts = account.connects.load(Ordering::SeqCst);
        assert!(!lines.is_empty(), "{name}: nothing was said");
        assert!(
            lines.len() <= promised,
            "{name}: {} lines for {attempts} attempts:\n{}",
            lines.len(),
            lines.join("\n")
        );
        assert!(lines.iter().all(|line| line.contains("code=")), "{name}:\n{}", lines.join("\n"));
    }
    let attempts = limited.connects.load(Ordering::SeqCst);
    assert!(attempts > 10, "only {attempts} attempts: too few to show that they are not told one by one");
}
