//! The state folder: this process's alone while it runs.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The state folder, locked for as long as this lives.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    lock: File,
}

/// Why there is no state folder.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("the state folder {0} is in use by another sidecar")]
    InUse(PathBuf),
    #[error("the state folder {0} cannot be used")]
    Unusable(PathBuf, #[source] io::Error),
}

impl Directory {
    /// Makes the folder where it is missing, and locks it.
    pub fn open(path: &Path) -> Result<Directory, StateError> {
        let unusable = |error| StateError::Unusable(path.to_owned(), error);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let lock = private().read(true).open(path.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Directory { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(StateError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// Whether `path` is this folder too, however it is spelled.
    pub fn is_also(&self, path: &Path) -> bool {
        let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let named = std::fs::metadata(path.join("lock")).ok().map(identity);
        named.is_some() && named == self.lock.metadata().ok().map(identity)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn dead_letters(&self) -> PathBuf {
        self.path.join("dead_letters.jsonl")
    }

    pub fn disabled(&self) -> PathBuf {
        self.path.join("disabled.json")
    }

    pub fn pending(&self) -> PathBuf {
        self.path.join("pending.jsonl")
    }

    /// Where lines of the pending file go that cannot be read.
    pub fn damaged(&self) -> PathBuf {
        self.path.join("pending.damaged.jsonl")
    }
}

/// How state files are opened: appended to, and for the owner's eyes only, for they hold events whole.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    options
}
