//! Where connections come from: a TCP port or a Unix socket.
//!
//! **Invariant:** a socket file has its mode before anybody can connect through it, never takes the place of one that
//! somebody listens at, and is removed by the one who made it, and only if it is still there.

use std::{
    fs, io, iter,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixSocket, UnixStream};

/// An open door.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    /// In this order: when it closes, its name goes first.
    Unix(SocketFile, UnixListener),
}

/// Somebody at the door.
pub(super) enum Guest {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    pub async fn tcp(address: SocketAddr) -> io::Result<Listener> {
        Ok(Listener::Tcp(TcpListener::bind(address).await?))
    }

    /// Makes a socket at `path`, in place of one that nobody listens at any more.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`] where somebody does, or where something else has that name.
    pub async fn unix(path: &Path, mode: u32) -> io::Result<Listener> {
        // A name that is too long to connect to is not worth having.
        std::os::unix::net::SocketAddr::from_pathname(path)?;
        let made = beside(path);
        let socket = UnixSocket::new_stream()?;
        socket.bind(&made)?;
        // Bound is not yet listening: until the mode is right nobody is let in.
        let file = SocketFile::of(made)?;
        file.set_mode(mode)?;
        let listener = socket.listen(BACKLOG)?;
        clear(path).await?;
        Ok(Listener::Unix(file.renamed(path)?, listener))
    }

    /// Of a TCP listener.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(..) => None,
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Guest> {
        match self {
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| Guest::Tcp(stream)),
            Listener::Unix(_, listener) => listener.accept().await.map(|(stream, _)| Guest::Unix(stream)),
        }
    }

    /// Closes, and gives who had come by then, `most` at the most: for them the system had opened already.
    pub(super) fn close(self, most: usize) -> Vec<Guest> {
        // Asked of the system itself: tokio knows of those only who had come when it last looked.
        match self {
            Listener::Tcp(listener) => {
                let Ok(listener) = listener.into_std() else { return Vec::new() };
                let accept = || {
                    let (stream, _) = listener.accept().ok()?;
                    stream.set_nonblocking(true).ok()?;
                    TcpStream::from_std(stream).ok().map(Guest::Tcp)
                };
                iter::from_fn(accept).take(most).collect()
            }
            Listener::Unix(file, listener) => {
                drop(file);
                let Ok(listener) = listener.into_std() else { return Vec::new() };
                let accept = || {
                    let (stream, _) = listener.accept().ok()?;
                    stream.set_nonblocking(true).ok()?;
                    UnixStream::from_std(stream).ok().map(Guest::Unix)
                };
                iter::from_fn(accept).take(most).collect()
            }
        }
    }
}

/// A socket's name in the file system, removed when this is dropped.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl SocketFile {
    /// The socket that was just made at `path`.
    fn of(path: PathBuf) -> io::Result<SocketFile> {
        let identity = identity(&path)?;
        Ok(SocketFile { path, identity })
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        fs::set_permissions(&self.path, fs::Permissions::from_mode(mode))
    }

    /// Gives it the name `path`, which nobody else may have by now.
    fn renamed(self, path: &Path) -> io::Result<SocketFile> {
        rename_if_free(&self.path, path)?;
        Ok(SocketFile { path: path.to_owned(), identity: self.identity })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // If it cannot be removed, the next to listen here finds it dead.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Sees to it that `path` is free, if need be by removing a socket that nobody listens at.
async fn clear(path: &Path) -> io::Result<()> {
    match is_dead(path).await {
        Ok(true) => {}
        Ok(false) => return Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    // Somebody else may be doing the same: whoever has moved it away looks again at what it has in hand.
    let aside = beside(path);
    fs::rename(path, &aside)?;
    if is_dead(&aside).await.is_ok_and(|dead| dead) {
        return fs::remove_file(&aside);
    }
    rename_if_free(&aside, path)?;
    Err(io::ErrorKind::AddrInUse.into())
}

/// Renames, but takes no name from whoever has just got it.
fn rename_if_free(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(io::ErrorKind::AddrInUse.into()),
        // Where the file system has no links, the name was free a moment ago.
        Err(_) => fs::rename(from, to),
    }
}

/// Whether `path` is a socket that nobody listens at.
async fn is_dead(path: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "what has that name is not a socket"));
    }
    match UnixStream::connect(path).await {
        Ok(_) => Ok(false),
        Err(error) => Ok(error.kind() == io::ErrorKind::ConnectionRefused),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// A name in the same folder that nobody has, no longer than need be: the system allows 107 bytes in all.
fn beside(path: &Path) -> PathBuf {
    let random = getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()));
    path.with_file_name(format!(".{:07x}", random & 0xfff_ffff))
}

/// As many as wait at a TCP listener.
const BACKLOG: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_who_find_a_dead_socket_one_gets_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.sock");
        let runtimes = [(); 2].map(|()| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
        for round in 0..300 {
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
            let start = std::sync::Barrier::new(runtimes.len());
            let opened: Vec<_> = std::thread::scope(|scope| {
                let open = |runtime: &tokio::runtime::Runtime| {
                    start.wait();
                    runtime.block_on(Listener::unix(&path, 0o600))
                };
                let opening = runtimes.each_ref().map(|runtime| scope.spawn(move || open(runtime)));
                opening.into_iter().map(|opening| opening.join().unwrap()).collect()
            });
            assert_eq!(opened.iter().filter(|opened| opened.is_ok()).count(), 1, "round {round}: {opened:?}");
            assert!(std::os::unix::net::UnixStream::connect(&path).is_ok(), "round {round}");
            drop(opened);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "round {round}");
        }
    }
}
