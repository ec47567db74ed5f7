//! Where a command's answer goes: stdout, or a file that is there only once it is whole.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::{fd::AsFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tempfile::NamedTempFile;

/// Bytes written to it are kept by [`Output::keep`] alone, where it is a file.
pub(super) enum Output {
    /// A file, written beside the one it is to be.
    Beside(NamedTempFile, PathBuf),
    /// Stdout past std's lock and buffer, or what cannot be replaced, such as a pipe.
    Through(File),
}

impl Output {
    pub(super) fn stdout() -> io::Result<Output> {
        Ok(Output::Through(io::stdout().as_fd().try_clone_to_owned()?.into()))
    }

    pub(super) fn file(path: &Path) -> anyhow::Result<Output> {
        let cannot = || format!("cannot write {}", path.display());
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Ok(Output::Through(File::options().write(true).open(path).with_context(cannot)?));
        }
        // What a link leads to is replaced, and not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        // As any file is made: the umask takes away from it.
        let permissions = Permissions::from_mode(0o666);
        let file = tempfile::Builder::new().permissions(permissions).prefix(".sidehook-").tempfile_in(folder);
        Ok(Output::Beside(file.map_err(|error| error_itself(&error)).with_context(cannot)?, path))
    }

    /// It is whole.
    pub(super) fn keep(self) -> io::Result<()> {
        match self {
            Output::Beside(file, path) => file.persist(path).map(drop).map_err(|error| error.error),
            Output::Through(_) => Ok(()),
        }
    }
}

/// Without the name of a file that nobody asked for, which the library appends.
fn error_itself(error: &io::Error) -> io::Error {
    let told = error.to_string();
    let told = told.split_once(" at path ").map_or(&*told, |(told, _)| told);
    io::Error::new(error.kind(), told)
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::Beside(file, _) => file.as_file_mut().write(bytes),
            Output::Through(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
