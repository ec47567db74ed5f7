//! What the files of a config hold, and one reading of them.
//!
//! **Invariant:** what a config was made from is what its [`Content`] is of.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    rc::Rc,
};

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Outside;

/// What files hold; a file that cannot be read is a content of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content([u8; 32]);

impl Content {
    /// Reads `files` as they are now.
    pub fn of(files: &[PathBuf]) -> Content {
        Content::made_of(files.iter().map(|file| read_bounded(file).ok()))
    }

    fn made_of<B: AsRef<[u8]>>(files: impl Iterator<Item = Option<B>>) -> Content {
        let mut content = Sha256::new();
        for file in files {
            content.update([u8::from(file.is_some())]);
            let bytes = file.as_ref().map_or(&[][..], AsRef::as_ref);
            // Its length, so that no two files run together into the same bytes.
            content.update((bytes.len() as u64).to_le_bytes());
            content.update(bytes);
        }
        Content(content.finalize().into())
    }
}

/// One reading of a config: a file that is asked for again says what it said before, also when it was written to since.
#[derive(Clone, Default)]
pub(super) struct Reading(Rc<RefCell<HashMap<PathBuf, Read>>>);

/// What a file held; none where it could not be read.
type Read = Option<Zeroizing<Vec<u8>>>;

impl Reading {
    /// The whole of a file.
    pub(super) fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        if let Some(Some(bytes)) = self.0.borrow().get(path) {
            return Ok(bytes.to_vec());
        }
        let read = read_bounded(path);
        // The first answer counts: one that was an error then has made the config a refused one.
        self.0.borrow_mut().entry(path.to_owned()).or_insert_with(|| read.as_ref().ok().cloned().map(Zeroizing::new));
        read
    }

    /// This process' environment, and the files through this.
    pub(super) fn outside(&self) -> Outside {
        let reading = self.clone();
        Outside { file: Box::new(move |path| reading.file(path)), ..Outside::process() }
    }

    /// Of `files`, as they were read.
    pub(super) fn content(&self, files: &[PathBuf]) -> Content {
        let read = self.0.borrow();
        Content::made_of(files.iter().map(|file| read.get(file)?.as_deref()))
    }
}

/// Reads a regular file: a pipe could hold a reload up, a device never ends.
pub(super) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let refused = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if !path.metadata()?.is_file() {
        return refused("not a regular file");
    }
    // Nor does a pipe that has taken its place since.
    let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return refused(&format!("larger than {} MiB", LARGEST >> 20));
    }
    Ok(bytes)
}

/// Room for a hundred thousand routes; no key, password or list of authorities is larger.
const LARGEST: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_is_none_or_never_ends_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| read_bounded(path).unwrap_err().to_string();
        assert_eq!(said(folder.path()), "not a regular file");
        assert_eq!(said(Path::new("/dev/zero")), "not a regular file");
        let path = folder.path().join("key");
        let large = File::create(&path).unwrap();
        large.set_len(LARGEST + 1).unwrap();
        assert_eq!(said(&path), "larger than 16 MiB");
        large.set_len(LARGEST).unwrap();
        assert_eq!(read_bounded(&path).unwrap().len() as u64, LARGEST);
    }

    #[test]
    fn a_reading_takes_each_file_once_and_its_content_is_what_it_took() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["there", "missing"].map(|name| folder.path().join(name));
        fs::write(&files[0], "before").unwrap();
        let content = Content::of(&files);
        let reading = Reading::default();
        assert_eq!(reading.file(&files[0]).unwrap(), b"before");
        assert!(reading.file(&files[1]).is_err());
        fs::write(&files[0], "after").unwrap();
        fs::write(&files[1], "").unwrap();
        assert_eq!(reading.file(&files[0]).unwrap(), b"before");
        assert_eq!((reading.file(&files[1]).unwrap(), reading.content(&files)), (Vec::new(), content));
        assert_ne!(Content::of(&files), content);
    }

    #[test]
    fn where_a_file_ends_and_whether_it_is_there_is_content_too() {
        let of = |files: [Option<&str>; 2]| Content::made_of(files.into_iter());
        assert_ne!(of([Some("a\u{1}b"), Some("")]), of([Some("a"), Some("b\u{1}")]));
        assert_ne!(of([Some("ab"), Some("")]), of([Some("ab"), None]));
    }
}
