//! What the file system lets this user do, and others.
//!
//! **Invariant:** looking changes nothing: no file is made, opened or written.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs, io,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::fs::Access;

use super::secrets::Look;

pub(super) fn look(path: &Path) -> Option<Look> {
    let path = fs::canonicalize(path).ok()?;
    let lets_others = |path: &Path, right: u32| fs::metadata(path).is_ok_and(|metadata| metadata.mode() & right != 0);
    // A folder that others may not enter protects all that is in it.
    let is_open_to_all = lets_others(&path, READ) && path.ancestors().skip(1).all(|folder| lets_others(folder, ENTER));
    Some(Look { path, is_open_to_all })
}

/// Whether this user can write to a folder of state, or make it.
///
/// # Errors
/// Why not.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    for there in path.ancestors().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder }) {
        match fs::metadata(there) {
            Ok(metadata) if metadata.is_dir() => {
                rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK)?;
                break;
            }
            Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
            // It would be made in the one above.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    match rustix::fs::access(path.join("lock"), Access::READ_OK | Access::WRITE_OK) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Every place that something is mounted at, a file by itself included.
pub(super) fn mounts() -> HashSet<PathBuf> {
    mount_points(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

/// Of `/proc/self/mountinfo` (proc_pid_mountinfo(5)), where blanks and the like are written in octal.
fn mount_points(text: &str) -> HashSet<PathBuf> {
    let fields = text.lines().filter_map(|line| line.split(' ').nth(4));
    fields.map(|field| PathBuf::from(unescaped(field))).collect()
}

fn unescaped(field: &str) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let [first, after @ ..] = rest {
        let octal = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[3..] } else { after };
    }
    OsString::from_vec(bytes)
}

/// Of those who are neither the owner nor in the group.
const READ: u32 = 0o004;
const ENTER: u32 = 0o001;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_as_the_kernel_writes_them() {
        let text = "22 27 0:21 / /proc rw,relatime - proc proc rw\n\
                    36 35 98:0 /a /etc/side\\040hook.toml rw shared:1 master:2 - ext3 /dev/root rw\n\
                    37 35 98:0 / /back\\134slash\\q rw - ext3 /dev/root rw\nnonsense\n";
        let expected = ["/proc", "/etc/side hook.toml", "/back\\slash\\q"].map(PathBuf::from);
        assert_eq!(mount_points(text), HashSet::from(expected));
    }
}
