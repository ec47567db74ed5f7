//! What the writer asks of the system: a seam, so that tests can have a disk that fails as none here would.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    },
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

use super::{Destination, Rotation, rotate::Attic};

pub(super) trait Disk {
    type File;

    /// Opens for appending, and makes what is not there: the file with the mode and owner of another, if one is given.
    fn open(&self, destination: &Destination, like: Option<&Found>) -> io::Result<Self::File>;
    fn look(&self, path: &Path) -> io::Result<Found>;
    fn look_at(&self, file: &Self::File) -> io::Result<Found>;
    fn byte_at(&self, file: &Self::File, position: u64) -> io::Result<Option<u8>>;
    /// One `write(2)`.
    fn write(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<usize>;
    /// Waits until what was written is on disk, where that means something.
    fn sync(&self, file: &Self::File) -> io::Result<()>;

    /// Where the links end.
    fn resolve(&self, path: &Path) -> PathBuf;
    /// What is in a folder.
    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>>;
    /// Never takes the place of another file.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Nothing more is written to `file`.
    fn leave(&self, file: Self::File);
    /// The file has this length, and grows.
    fn grown_to(&self, length: u64);
    fn set_rotation(&self, rotation: Option<Rotation>);
    /// Waits for what `leave` began.
    fn close(&self);
}

/// What is known of a file without reading it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) identity: (u64, u64),
    pub(super) is_file: bool,
    pub(super) length: u64,
    pub(super) modified: SystemTime,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    /// Names that it has; none is a file that was deleted.
    pub(super) links: u64,
}

impl From<fs::Metadata> for Found {
    fn from(metadata: fs::Metadata) -> Found {
        Found {
            identity: (metadata.dev(), metadata.ino()),
            is_file: metadata.is_file(),
            length: metadata.len(),
            modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            mode: metadata.mode() & 0o7777,
            owner: (metadata.uid(), metadata.gid()),
            links: metadata.nlink(),
        }
    }
}

impl Found {
    /// Gives a file that was just made the mode and owner of this one, as far as this process may.
    pub(super) fn dress(&self, file: &File) -> io::Result<()> {
        let made = Found::from(file.metadata()?);
        if made.owner != self.owner {
            // Another's file, of which the mode still says who may read.
            let _ = fchown(file, Some(self.owner.0), Some(self.owner.1));
        }
        if made.mode != self.mode {
            file.set_permissions(Permissions::from_mode(self.mode))?;
        }
        Ok(())
    }
}

/// The files of this machine; what is left of the log's goes to the attic.
pub(super) struct Files {
    attic: Attic,
}

impl Files {
    pub(super) fn new(destination: &Destination) -> Files {
        let path = match destination {
            Destination::File(path) => Some(path.clone()),
            Destination::Stdout => None,
        };
        Files { attic: Attic::new(path) }
    }
}

impl Disk for Files {
    type File = File;

    fn open(&self, destination: &Destination, like: Option<&Found>) -> io::Result<File> {
        match destination {
            Destination::File(path) => open_file(path, like),
            // Its own descriptor, past std's lock and buffer: a stdout that blocks must block nobody but the writer.
            Destination::Stdout => Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
        }
    }

    fn look(&self, path: &Path) -> io::Result<Found> {
        fs::metadata(path).map(Found::from)
    }

    fn look_at(&self, file: &File) -> io::Result<Found> {
        file.metadata().map(Found::from)
    }

    fn byte_at(&self, file: &File, position: u64) -> io::Result<Option<u8>> {
        let mut byte = [0];
        Ok((file.read_at(&mut byte, position)? == 1).then_some(byte[0]))
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        file.write(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        if file.metadata()?.is_file() { file.sync_data() } else { Ok(()) }
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        resolve(path)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        rename(from, to)
    }

    fn leave(&self, file: File) {
        self.attic.take_in(file);
    }

    fn grown_to(&self, length: u64) {
        self.attic.make_room_for(length);
    }

    fn set_rotation(&self, rotation: Option<Rotation>) {
        self.attic.set_rotation(rotation);
    }

    fn close(&self) {
        self.attic.close();
    }
}

/// Whether that says that there is no such file.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Where the links end; a path that leads nowhere stays as it is.
pub(super) fn resolve(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems, NFS among them, cannot promise it: then a look has to do.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match fs::symlink_metadata(to) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        renamed => Ok(renamed?),
    }
}

fn open_file(path: &Path, like: Option<&Found>) -> io::Result<File> {
    // Read as well: for the last byte, and so that opening a named pipe does not wait for its reader.
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    if let Some(like) = like {
        options.mode(like.mode);
    }
    let file = match (options.open(path), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            options.open(path)
        }
        (opened, _) => opened,
    }?;
    if let Some(like) = like {
        // A log with another mode is better than none.
        let _ = like.dress(&file);
    }
    Ok(file)
}
