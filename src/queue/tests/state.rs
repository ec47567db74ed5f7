use std::{fs, path::Path};

use super::{
    super::{Directory, StateError},
    mode,
};

#[test]
fn a_folder_is_one_sidecars_until_that_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/state");
    let first = Directory::open(&path).unwrap();
    assert!(matches!(Directory::open(&path), Err(StateError::InUse(which)) if which == path));
    // However it is spelled.
    assert!(matches!(Directory::open(&path.join("../state")), Err(StateError::InUse(_))));
    assert!(first.is_also(&path.join("../state")) && !first.is_also(folder.path()));
    drop(first);
    Directory::open(&path).unwrap();
}

#[test]
fn the_folder_and_its_lock_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let directory = Directory::open(&folder.path().join("state")).unwrap();
    assert_eq!((mode(directory.path()), mode(&directory.path().join("lock"))), (0o700, 0o600));
}

#[test]
fn what_cannot_be_a_folder_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "").unwrap();
    let error = Directory::open(&path).unwrap_err();
    assert!(matches!(&error, StateError::Unusable(which, _) if *which == path), "{error:?}");
    assert!(error.to_string().contains("file"), "{error}");
    assert!(Directory::open(Path::new("/proc/no-such-folder/state")).is_err());
}
