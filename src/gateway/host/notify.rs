//! Messages to the service manager, by systemd's notify protocol: datagrams of `NAME=value` lines. Sending never blocks: a
//! message that cannot be sent at once is dropped.

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock;
use crate::gateway::model::snapshot::{PlatformSnapshot, Snapshot};
use crate::world::World;

/// Time asked for by one extension.
const EXTENDED_BY: Duration = Duration::from_secs(30);

/// Interval between two extensions.
const EXTENDED_EVERY: Duration = Duration::from_secs(10);

/// The service manager; without one every message is dropped.
#[derive(Debug, Clone, Default)]
pub struct Notify {
    socket: Option<Arc<UnixDatagram>>,
}

impl Notify {
    /// Returns the manager that started us, by `NOTIFY_SOCKET`.
    pub fn of(world: &World) -> Self {
        let socket = world.var("NOTIFY_SOCKET").and_then(|address| match connect(address) {
            Ok(socket) => Some(Arc::new(socket)),
            Err(error) => {
                tracing::warn!(code = "notify_failed", "the service manager cannot be reached ({error})");
                None
            }
        });
        Self { socket }
    }

    /// Sends these lines.
    pub fn tell(&self, lines: &str) {
        if let Some(socket) = &self.socket {
            // There is no remedy for a manager that does not read.
            drop(socket.send(lines.as_bytes()));
        }
    }

    /// Reports that the gateway is ready, or has finished a reload.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// Reports the start of a reload; `ready` reports its end.
    pub fn reloading(&self) {
        // Since systemd 253 only a time after its own request counts as an answer to that.
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", clock::kernel().as_micros()));
    }

    /// Reports that the gateway stops, which may take this long.
    pub fn stopping(&self, limit: Duration) {
        self.tell(&format!("STOPPING=1\n{}", extension(limit)));
    }

    /// Does a work of the start whose duration is not known, and asks for more time meanwhile: as long as it goes on, and at
    /// most for `limit`.
    pub async fn while_starting<T>(&self, what: &str, limit: Duration, work: impl Future<Output = T>) -> T {
        let asking = async {
            let mut waited = Duration::ZERO;
            while waited < limit {
                self.tell(&format!("STATUS={what}\n{}", extension(EXTENDED_BY)));
                tokio::time::sleep(EXTENDED_EVERY).await;
                waited += EXTENDED_EVERY;
            }
            std::future::pending().await
        };
        tokio::select! {
            biased;
            done = work => done,
            never = asking => never,
        }
    }

    /// Reports every state of the gateway, until it has ended.
    pub async fn follow(self, mut documents: watch::Receiver<Option<Snapshot>>) {
        if self.socket.is_none() {
            return;
        }
        let mut told = None;
        while documents.changed().await.is_ok() {
            let status = {
                let document = documents.borrow_and_update();
                let Some(document) = document.as_ref() else { continue };
                summary(document)
            };
            if told.as_ref() == Some(&status) {
                continue;
            }
            self.tell(&format!("STATUS={status}"));
            told = Some(status);
        }
    }
}

fn connect(address: &str) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match address.strip_prefix('@') {
        Some(name) => connect_abstract(&socket, name)?,
        None => socket.connect(address)?,
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(target_os = "linux")]
fn connect_abstract(socket: &UnixDatagram, name: &str) -> std::io::Result<()> {
    use std::os::linux::net::SocketAddrExt as _;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
    socket.connect_addr(&address)
}

#[cfg(not(target_os = "linux"))]
fn connect_abstract(_socket: &UnixDatagram, _name: &str) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Returns the line that asks for this much time, whatever the unit says.
fn extension(by: Duration) -> String {
    format!("EXTEND_TIMEOUT_USEC={}", by.as_micros())
}

/// Returns one line for `systemctl status`.
fn summary(document: &Snapshot) -> String {
    let platform = |(name, platform): (&String, &PlatformSnapshot)| {
        let code = platform.error_code.as_ref().map_or(String::new(), |code| format!(" ({code})"));
        format!("{name} {}{code}", platform.state)
    };
    let platforms: Vec<String> = document.platforms.iter().map(platform).collect();
    let stale = if document.config_stale.is_some() { "; the changed settings could not be read" } else { "" };
    format!("{}: {}{stale}", document.gateway_state, platforms.join(", "))
}

/// Returns the interval in which the service manager wants a sign of life from this process, if it does.
pub fn watchdog_interval(world: &World) -> Option<Duration> {
    let is_meant_for_us = world.var("WATCHDOG_PID").is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    let interval = Duration::from_micros(world.var("WATCHDOG_USEC")?.parse().ok()?);
    (is_meant_for_us && !interval.is_zero()).then_some(interval)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::snapshot::GatewayState;
    use crate::gateway::model::snapshot::tests::example;

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn messages_arrive_at_a_path_and_at_an_abstract_address() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Notify::of(&World::of_env([("NOTIFY_SOCKET", path.as_os_str())])).tell("READY=1");
        assert_eq!(received(&socket), "READY=1");
        #[cfg(target_os = "linux")]
        {
            use std::os::linux::net::SocketAddrExt as _;
            let name = format!("hermes-test-{}", std::process::id());
            let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
            let socket = UnixDatagram::bind_addr(&address).unwrap();
            let world = World::of_env([("NOTIFY_SOCKET", format!("@{name}"))]);
            Notify::of(&world).tell("WATCHDOG=1");
            assert_eq!(received(&socket), "WATCHDOG=1");
        }
    }

    #[test]
    fn a_manager_that_is_not_there_or_does_not_read_holds_nobody_up() {
        Notify::of(&World::of_env([("NOTIFY_SOCKET", "/nonexistent/notify")])).tell("READY=1");
        Notify::default().tell("READY=1");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let _unread = UnixDatagram::bind(&path).unwrap();
        let notify = Notify::of(&World::of_env([("NOTIFY_SOCKET", path.as_os_str())]));
        for _ in 0..10_000 {
            notify.tell("WATCHDOG=1");
        }
    }

    /// A manager's socket, and the sender to it.
    fn manager() -> (tempfile::TempDir, UnixDatagram, Notify) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let notify = Notify::of(&World::of_env([("NOTIFY_SOCKET", path.as_os_str())]));
        (dir, socket, notify)
    }

    #[tokio::test]
    async fn a_turn_of_the_gateway_is_told_once_in_one_line() {
        let (_dir, socket, notify) = manager();
        let (documents, seen) = watch::channel(None);
        let following = tokio::spawn(notify.follow(seen));
        let hear = |socket: &UnixDatagram| {
            let socket = socket.try_clone().unwrap();
            tokio::task::spawn_blocking(move || received(&socket))
        };
        let blocked = "whatsapp fatal (whatsapp_not_paired)";
        documents.send_replace(Some(example()));
        assert_eq!(hear(&socket).await.unwrap(), format!("STATUS=degraded: {blocked}"));
        // The same again, later: nothing to report.
        documents.send_replace(Some(example()));
        let stale = Some("line 1".to_owned());
        let draining = Snapshot { gateway_state: GatewayState::Draining, config_stale: stale, ..example() };
        documents.send_replace(Some(draining));
        let told = format!("STATUS=draining: {blocked}; the changed settings could not be read");
        assert_eq!(hear(&socket).await.unwrap(), told);
        drop(documents);
        following.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn more_time_is_asked_for_while_the_start_goes_on_and_not_for_ever() {
        let (_dir, socket, notify) = manager();
        socket.set_nonblocking(true).unwrap();
        let mut bytes = [0; 4096];
        let at_once = notify.while_starting("waiting", Duration::from_secs(60), async { 7 }).await;
        assert_eq!(at_once, 7);
        assert!(socket.recv(&mut bytes).is_err(), "what takes no time is not spoken of");
        for (takes, limit, messages) in [(25, 60, 3), (3600, 60, 6)] {
            let work = tokio::time::sleep(Duration::from_secs(takes));
            notify.while_starting("waiting", Duration::from_secs(limit), work).await;
            for _ in 0..messages {
                assert_eq!(received(&socket), "STATUS=waiting\nEXTEND_TIMEOUT_USEC=30000000");
            }
            assert!(socket.recv(&mut bytes).is_err(), "{takes} s of at most {limit} s");
        }
    }

    #[test]
    fn what_is_reloaded_and_how_long_the_end_may_take_is_told_in_the_managers_terms() {
        let (_dir, socket, notify) = manager();
        let before = clock::kernel();
        notify.reloading();
        let told = received(&socket);
        let at = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!((before.as_micros()..=clock::kernel().as_micros()).contains(&at), "{told}");
        notify.ready();
        assert_eq!(received(&socket), "READY=1");
        notify.stopping(Duration::from_secs(90));
        assert_eq!(received(&socket), "STOPPING=1\nEXTEND_TIMEOUT_USEC=90000000");
    }

    #[test]
    fn a_watchdog_of_another_process_is_not_ours() {
        let interval =
            |variables: &[(&str, &str)]| watchdog_interval(&World::of_env(variables.iter().copied()));
        assert_eq!(interval(&[]), None);
        assert_eq!(interval(&[("WATCHDOG_USEC", "0")]), None);
        assert_eq!(interval(&[("WATCHDOG_USEC", "soon")]), None);
        assert_eq!(interval(&[("WATCHDOG_USEC", "30000000")]), Some(Duration::from_secs(30)));
        assert_eq!(interval(&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "1")]), None);
        let us = std::process::id().to_string();
        assert!(interval(&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", &us)]).is_some());
    }
}
