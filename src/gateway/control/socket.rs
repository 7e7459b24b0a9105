//! The control socket `gateway.sock` in the home folder. The kernel says who is at the other end: only the gateway's own
//! user and root are heard.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::gateway::control::ancestry::{self, Peer};
use crate::gateway::control::connection::{self, Connections};
use crate::gateway::life::kept;

/// Connections served at once.
const CONNECTIONS_MAX: usize = 16;

/// The longest path that every system takes for a socket.
const PATH_BYTES_MAX: usize = 103;

/// The socket while it is served. Dropping it ends the serving and removes the file.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    server: JoinHandle<()>,
}

impl ControlSocket {
    /// Takes the place and serves `routes`, and `for_children` to programs that may not steer ([`ancestry`]). Needs the gateway's lock: whatever socket is there has no owner any more.
    ///
    /// # Errors
    /// When the place cannot be taken; the gateway works without it.
    pub fn open(path: PathBuf, routes: Router, for_children: Router) -> io::Result<Self> {
        match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => return Err(io::Error::other("a folder stands in its place")),
            Ok(found) => {
                if !found.file_type().is_socket() {
                    tracing::warn!(
                        code = "control_squatted",
                        "something that was no socket stood at {}",
                        path.display()
                    );
                }
                std::fs::remove_file(&path)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let place = Place::of(&path)?;
        let listener = std::os::unix::net::UnixListener::bind(&place.path)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        let listener = Arc::new(UnixListener::from_std(listener)?);
        let server = kept::keep("control", move || {
            accept(Arc::clone(&listener), routes.clone(), for_children.clone())
        });
        Ok(Self { path, server })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.server.abort();
        drop(std::fs::remove_file(&self.path));
    }
}

/// A path that fits a socket's address. A long one is reached through its folder.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    _folder: Option<File>,
}

impl Place {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Self { path: path.to_path_buf(), _folder: None });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a path without a folder"));
        };
        let folder = File::open(parent)?;
        let descriptors = Path::new("/proc/self/fd");
        if !descriptors.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("its path is longer than {PATH_BYTES_MAX} bytes"),
            ));
        }
        let number = std::os::fd::AsRawFd::as_raw_fd(&folder).to_string();
        Ok(Self { path: descriptors.join(number).join(name), _folder: Some(folder) })
    }
}

async fn accept(listener: Arc<UnixListener>, routes: Router, for_children: Router) {
    let connections = Connections::new("control", CONNECTIONS_MAX);
    loop {
        match listener.accept().await {
            // To somebody else it is as if nobody were there.
            Ok((stream, _)) if !is_ours(&stream) => {
                tracing::debug!(code = "control_denied", "somebody else asked at the control socket");
            }
            Ok((stream, _)) => {
                let routes = if may_steer(&stream) { routes.clone() } else { for_children.clone() };
                let place = connections.place().await;
                tokio::spawn(connection::serve(stream, routes, connection::CONNECTION_LIMIT, place));
            }
            Err(error) => {
                tracing::debug!(code = "control_accept", "a connection could not be accepted: {error}");
                tokio::time::sleep(connection::ACCEPT_PAUSE).await;
            }
        }
    }
}

fn may_steer(stream: &UnixStream) -> bool {
    let us = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| {
        let pid = peer.pid().map(i32::cast_unsigned);
        ancestry::may_steer(Peer { pid, is_other_user: peer.uid() != us })
    })
}

fn is_ours(stream: &UnixStream) -> bool {
    let us = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == us || peer.uid() == 0)
}
