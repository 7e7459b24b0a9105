//! What the service manager is told, by systemd's notify protocol: datagrams of `NAME=value` lines. Nobody waits for it:
//! a message that cannot be sent at once is dropped.

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::gateway::status::snapshot::{GatewayState, Snapshot};
use crate::world::World;

/// The service manager; without one every message goes nowhere.
#[derive(Debug, Clone, Default)]
pub struct Notify {
    socket: Option<Arc<UnixDatagram>>,
}

impl Notify {
    /// The one that started us, by `NOTIFY_SOCKET`.
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
            // A manager that does not read has a reason of its own, and we have no remedy.
            drop(socket.send(lines.as_bytes()));
        }
    }

    /// Tells of every turn of the gateway, until it has ended.
    pub async fn follow(self, mut documents: watch::Receiver<Option<Snapshot>>) {
        if self.socket.is_none() {
            return;
        }
        let mut told = None;
        let mut is_stopping = false;
        while documents.changed().await.is_ok() {
            let status = {
                let document = documents.borrow_and_update();
                let Some(document) = document.as_ref() else { continue };
                is_stopping |=
                    matches!(document.gateway_state, GatewayState::Draining | GatewayState::Stopped);
                summary(document)
            };
            if told.as_ref() == Some(&status) {
                continue;
            }
            let stopping = if is_stopping { "STOPPING=1\n" } else { "" };
            self.tell(&format!("{stopping}STATUS={status}"));
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

/// One line for `systemctl status`.
fn summary(document: &Snapshot) -> String {
    let platforms: Vec<String> =
        document.platforms.iter().map(|(name, platform)| format!("{name} {}", platform.state)).collect();
    format!("{}: {}", document.gateway_state, platforms.join(", "))
}

/// How often the service manager wants a sign of life from this process, if it does.
pub fn watchdog_interval(world: &World) -> Option<Duration> {
    let is_meant_for_us = world.var("WATCHDOG_PID").is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    let interval = Duration::from_micros(world.var("WATCHDOG_USEC")?.parse().ok()?);
    (is_meant_for_us && !interval.is_zero()).then_some(interval)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::status::snapshot::tests::example;

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

    #[tokio::test]
    async fn a_turn_of_the_gateway_is_told_once_and_its_end_is_announced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let notify = Notify::of(&World::of_env([("NOTIFY_SOCKET", path.as_os_str())]));
        let (documents, seen) = watch::channel(None);
        let following = tokio::spawn(notify.follow(seen));
        let hear = |socket: &UnixDatagram| {
            let socket = socket.try_clone().unwrap();
            tokio::task::spawn_blocking(move || received(&socket))
        };
        documents.send_replace(Some(example()));
        assert_eq!(hear(&socket).await.unwrap(), "STATUS=degraded: whatsapp fatal");
        // The same again, later: nothing to tell.
        documents.send_replace(Some(example()));
        documents.send_replace(Some(Snapshot { gateway_state: GatewayState::Draining, ..example() }));
        assert_eq!(hear(&socket).await.unwrap(), "STOPPING=1\nSTATUS=draining: whatsapp fatal");
        drop(documents);
        following.await.unwrap();
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
