//! The node's Unix socket: one to a home, for its owner alone.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener as BlockingListener, UnixStream as BlockingStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};

use crate::error::NodeError;
use crate::home::private_folder;

/// Pause after a failed accept, for example when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The file of a bound socket; it goes when this is dropped.
#[derive(Debug)]
pub(crate) struct NodeSocket {
    path: PathBuf,
}

/// Accepts connections of the owner; until it does they wait, and once it is dropped they are
/// refused.
#[derive(Debug)]
pub(crate) struct Accepting(UnixListener);

impl NodeSocket {
    /// Binds the socket at `path` with mode 0600. A file left by a killed node is taken over,
    /// but only if nobody answers there.
    ///
    /// # Errors
    /// [`NodeError::Running`] if a node answers, [`NodeError::Listen`] if it cannot be bound.
    pub(crate) fn bind(path: &Path) -> Result<(Self, Accepting), NodeError> {
        if let Some(folder) = path.parent() {
            private_folder(folder)?;
        }
        if let Ok(found) = fs::symlink_metadata(path) {
            let stale = found.file_type().is_socket() && BlockingStream::connect(path).is_err();
            if !stale {
                return Err(NodeError::Running);
            }
            fs::remove_file(path).map_err(NodeError::file("remove", path))?;
        }
        let listen = |error: io::Error| NodeError::Listen {
            on: path.display().to_string(),
            reason: error.to_string(),
        };
        let listener = UnixListener::bind(path).map_err(listen)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(listen)?;
        Ok((Self { path: path.to_owned() }, Accepting(listener)))
    }
}

impl Accepting {
    /// Takes a socket that listens already.
    ///
    /// # Errors
    /// The system's word.
    pub(crate) fn passed(listener: BlockingListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener).map(Self)
    }
}

impl Drop for NodeSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Listener for Accepting {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (UnixStream, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((stream, address)) if is_ours(&stream) => return (stream, address),
                Ok(_) => tracing::warn!("refused a connection of another user"),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the socket");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

fn is_ours(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::getuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_taken_over_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run").join("node.sock");
        let socket = NodeSocket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(NodeSocket::bind(&path), Err(NodeError::Running)));
        drop(socket);
        assert!(!path.exists());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "as after kill -9");
        let (socket, mut accepting) = NodeSocket::bind(&path).unwrap();
        let client = UnixStream::connect(&path).await.unwrap();
        let (served, _) = accepting.accept().await;
        assert!(is_ours(&served) && is_ours(&client));
        drop(socket);
        fs::write(&path, "a file of somebody").unwrap();
        assert!(matches!(NodeSocket::bind(&path), Err(NodeError::Running)));
    }
}
