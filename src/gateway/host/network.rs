//! Notices a network that comes back or changes, and reports it to the loop once it has settled. Where the system does not
//! report it (another system than Linux, a sandbox without AF_NETLINK), there is no event, and the retry ladder has to do.

use tokio::sync::mpsc;

use crate::gateway::model::event::Event;

/// Listens as long as the loop lives.
#[cfg(target_os = "linux")]
pub fn start(events: mpsc::Sender<Event>) {
    super::kept::keep("network", move || linux::listen(events.clone()));
}

/// Does nothing on this system.
#[cfg(not(target_os = "linux"))]
pub fn start(_events: mpsc::Sender<Event>) {}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use rustix::io::Errno;
    use rustix::net::netlink::SocketAddrNetlink;
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
    use tokio::io::unix::AsyncFd;
    use tokio::sync::mpsc;

    use crate::clock::Now;
    use crate::gateway::host::netlink::{GROUPS, Links};
    use crate::gateway::model::event::Event;

    /// Time without a message after which the network counts as settled.
    const QUIET: Duration = Duration::from_secs(2);

    /// Limit after which it is reported even if it does not settle.
    const QUIET_WAIT_MAX: Duration = Duration::from_secs(5);

    /// Pause after a report: on a host whose network changes all the time (containers that come and go), attempts are not
    /// repeated for nothing.
    const REST: Duration = Duration::from_secs(10);

    /// Size of the buffer, larger than any message of the kernel; a cut one would be read only in part.
    const DATAGRAM_LEN_MAX: usize = 32 * 1024;

    pub(super) async fn listen(events: mpsc::Sender<Event>) {
        let mut ear = match Ear::new() {
            Ok(ear) => ear,
            Err(error) => return unheard(&error),
        };
        loop {
            let heard = tokio::select! {
                () = events.closed() => return,
                heard = ear.news() => heard,
            };
            if let Err(error) = heard {
                return unheard(&error);
            }
            ear.settle().await;
            if events.send(Event::NetworkChanged).await.is_err() {
                return;
            }
            tokio::time::sleep(REST).await;
        }
    }

    fn unheard(error: &io::Error) {
        tracing::info!(
            code = "network_unheard",
            "network changes cannot be detected ({error}); unreachable platforms are retried on schedule only"
        );
    }

    struct Ear {
        socket: AsyncFd<OwnedFd>,
        links: Links,
        datagram: Vec<u8>,
    }

    impl Ear {
        fn new() -> io::Result<Self> {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            // Without a given protocol it is that of routes.
            let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
            bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
            #[expect(
                deprecated,
                reason = "an `OwnedFd` is the descriptor that it says, which is all that its successor asks"
            )]
            let socket = AsyncFd::new(socket)?;
            Ok(Self { socket, links: Links::default(), datagram: vec![0; DATAGRAM_LEN_MAX] })
        }

        /// Returns when a route may have changed.
        async fn news(&mut self) -> io::Result<()> {
            loop {
                let mut ready = self.socket.readable().await?;
                match recv(self.socket.get_ref(), &mut self.datagram[..], RecvFlags::empty()) {
                    Ok((length, _)) => {
                        if self.links.hear(&self.datagram[..length]) {
                            return Ok(());
                        }
                    }
                    Err(Errno::AGAIN) => ready.clear_ready(),
                    Err(Errno::INTR) => {}
                    // More messages came than fit the queue, and the lost ones are not known.
                    Err(Errno::NOBUFS) => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
                // A kernel that keeps sending must not hold up the other tasks of this thread.
                tokio::task::consume_budget().await;
            }
        }

        /// Waits until no message has come for a moment.
        async fn settle(&mut self) {
            let end = Now::read().mono + QUIET_WAIT_MAX;
            loop {
                let quiet = (Now::read().mono + QUIET).min(end);
                let said = tokio::time::timeout_at(quiet.into(), self.news()).await;
                if !matches!(said, Ok(Ok(()))) || Now::read().mono >= end {
                    return;
                }
            }
        }
    }
}
