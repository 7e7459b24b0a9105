//! The control socket `gateway.sock` in the home folder. The kernel names the user of the other end: only the gateway's own
//! user and root are served.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::control_client::Place;
use crate::file::Identity;
use crate::gateway::api::ancestry::{self, Peer, Pinned};
use crate::gateway::connection::{self, Connections};
use crate::gateway::host::kept;

/// Limit for connections served at once.
const CONNECTIONS_MAX: usize = 32;

/// The pause between two checks that the socket is at its path.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The socket while it is served. Dropping it ends the serving and removes the file.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    bound: Arc<Mutex<Bound>>,
    server: JoinHandle<()>,
}

/// A socket, and the identity of its file.
#[derive(Debug, Clone)]
struct Bound {
    listener: Arc<UnixListener>,
    identity: Identity,
}

fn lock(bound: &Mutex<Bound>) -> MutexGuard<'_, Bound> {
    bound.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ControlSocket {
    /// Binds the path and serves `routes`, and `for_children` to programs that may not control the gateway ([`ancestry`]).
    /// Needs the gateway's lock: a socket that is there belongs to no running gateway.
    ///
    /// # Errors
    /// When the path cannot be bound; the gateway works without it.
    pub fn open(path: PathBuf, routes: Router, for_children: Router) -> io::Result<Self> {
        let bound = Arc::new(Mutex::new(Bound::at(&path)?));
        let (place, serving) = (path.clone(), Arc::clone(&bound));
        let server = kept::keep("control", move || {
            serve(place.clone(), Arc::clone(&serving), routes.clone(), for_children.clone())
        });
        Ok(Self { path, bound, server })
    }
}

impl Bound {
    fn at(path: &Path) -> io::Result<Self> {
        match std::fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => return Err(io::Error::other("a folder has its path")),
            Ok(found) => {
                if !found.file_type().is_socket() {
                    tracing::warn!(
                        code = "control_squatted",
                        "a file that is not a socket had the path {}",
                        path.display()
                    );
                }
                std::fs::remove_file(path)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let place = Place::of(path)?;
        let listener = std::os::unix::net::UnixListener::bind(&place.path)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        let identity = Identity::of(&std::fs::symlink_metadata(path)?);
        Ok(Self { listener: Arc::new(UnixListener::from_std(listener)?), identity })
    }

    /// True when it is still at its path, or another socket there answers: that one is not ours to remove.
    fn is_at(&self, path: &Path) -> bool {
        let there = std::fs::symlink_metadata(path).map(|found| Identity::of(&found));
        match there {
            Ok(there) if there == self.identity => true,
            Ok(_) => {
                Place::of(path).and_then(|place| std::os::unix::net::UnixStream::connect(&place.path)).is_ok()
            }
            // A folder that cannot be read has no place for another one either.
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

/// Serves until the end, also when the file is removed: it is made again.
async fn serve(path: PathBuf, bound: Arc<Mutex<Bound>>, routes: Router, for_children: Router) {
    let mut is_told = false;
    loop {
        let current = lock(&bound).clone();
        tokio::select! {
            () = accept(Arc::clone(&current.listener), routes.clone(), for_children.clone()) => {}
            () = removed(&path, &current) => {}
        }
        match Bound::at(&path) {
            Ok(made) => {
                *lock(&bound) = made;
                is_told = false;
                tracing::warn!(code = "control_removed", "The control socket was removed; created it again");
            }
            Err(error) if !is_told => {
                is_told = true;
                tracing::warn!(
                    code = "control_removed",
                    "the control socket was removed and could not be created again ({error})"
                );
            }
            Err(_) => {}
        }
    }
}

async fn removed(path: &Path, bound: &Bound) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if !bound.is_at(path) {
            return;
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.server.abort();
        let ours = lock(&self.bound).identity;
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| Identity::of(&found) == ours) {
            drop(std::fs::remove_file(&self.path));
        }
    }
}

async fn accept(listener: Arc<UnixListener>, routes: Router, for_children: Router) {
    let connections = Connections::new("control", CONNECTIONS_MAX);
    loop {
        match listener.accept().await {
            // Another user gets no answer at all.
            Ok((stream, _)) if !is_ours(&stream) => {
                tracing::debug!(code = "control_denied", "Refused another user at the control socket");
            }
            Ok((stream, _)) => {
                // A check of a peer's ancestors is slow, and one that sends nothing does not need it: first it is only pinned.
                let peer = pinned(&stream);
                let (routes, for_children) = (routes.clone(), for_children.clone());
                let choose =
                    move || if peer.is_some_and(ancestry::may_steer) { routes } else { for_children };
                let place = connections.place().await;
                tokio::spawn(connection::serve_by(stream, choose, connection::CONNECTION_LIMIT, place));
            }
            Err(error) => {
                tracing::debug!(code = "control_accept", "a connection could not be accepted: {error}");
                tokio::time::sleep(connection::ACCEPT_PAUSE).await;
            }
        }
    }
}

fn pinned(stream: &UnixStream) -> Option<Pinned> {
    let us = rustix::process::geteuid().as_raw();
    let peer = stream.peer_cred().ok()?;
    let pid = peer.pid().map(i32::cast_unsigned);
    Some(Pinned::new(Peer { pid, is_other_user: peer.uid() != us }))
}

fn is_ours(stream: &UnixStream) -> bool {
    let us = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == us || peer.uid() == 0)
}
