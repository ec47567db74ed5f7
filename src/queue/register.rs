//! Which endpoints are disabled by failures: kept in the state folder, so that a restart does not forget it.
//!
//! The file is one JSON object, `{NAME: {reason, since, settings}}`: `since` as RFC 3339, `settings` a digest of the endpoint's
//! settings with its secrets, for another setting gives a receiver a new chance.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::state::private;
use crate::{
    endpoint::Endpoint,
    log::{self, diagnostics},
};

/// The endpoints that are disabled. One per sidecar; each endpoint's lane speaks for its own.
#[derive(Debug, Default)]
pub struct Register {
    entries: Mutex<Entries>,
    /// Taken by who writes, for as long as that takes.
    file: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Entries {
    disabled: BTreeMap<Box<str>, Entry>,
    changes: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    reason: Box<str>,
    since: Box<str>,
    settings: Box<str>,
}

/// The file, if there is one, and which change it has seen last.
#[derive(Debug, Default)]
struct Written {
    path: Option<PathBuf>,
    changes: u64,
}

/// How an endpoint comes out of the register.
#[derive(Debug, PartialEq, Eq)]
pub enum Recalled {
    /// Why, and since when.
    Disabled(Box<str>, SystemTime),
    /// It was disabled with other settings than it has now.
    Enabled,
    Nothing,
}

impl Register {
    /// Reads `path`, and keeps it as things change. A file that cannot be read is reported and taken for an empty one: to
    /// try a receiver once more is the smaller harm.
    pub fn open(path: PathBuf) -> Register {
        let disabled = match read(&path) {
            Ok(disabled) => disabled,
            Err(error) => {
                diagnostics::error(format_args!("{}: {error}; disabled endpoints are tried again", path.display()));
                BTreeMap::new()
            }
        };
        let written = Written { path: Some(path), changes: 0 };
        Register { entries: Mutex::new(Entries { disabled, changes: 0 }), file: Mutex::new(written) }
    }

    /// Goes on in another state folder.
    pub fn switch(self: &Arc<Self>, path: PathBuf) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.path.as_ref() != Some(&path) {
            file.path = Some(path);
            drop(file);
            self.lock().changes += 1;
            self.keep();
        }
    }

    /// What is known of `endpoint`. With other settings it is enabled, and what is known is out of date.
    pub fn recall(self: &Arc<Self>, endpoint: &Endpoint) -> Recalled {
        let entry = self.lock().disabled.get(&*endpoint.name).cloned();
        let Some(entry) = entry else { return Recalled::Nothing };
        match entry.since.parse::<jiff::Timestamp>() {
            Ok(since) if entry.settings == endpoint.digest.0 => Recalled::Disabled(entry.reason, since.into()),
            _ => {
                self.forget(&endpoint.name);
                Recalled::Enabled
            }
        }
    }

    pub fn note(self: &Arc<Self>, endpoint: &Endpoint, reason: &str, since: SystemTime) {
        let entry = Entry { reason: reason.into(), since: log::timestamp(since).into(), settings: endpoint.digest.0.clone() };
        self.change(|disabled| match disabled.insert((&*endpoint.name).into(), entry.clone()) {
            Some(before) => before != entry,
            None => true,
        });
    }

    pub fn forget(self: &Arc<Self>, name: &str) {
        self.change(|disabled| disabled.remove(name).is_some());
    }

    /// Forgets all but those of these names.
    pub fn retain(self: &Arc<Self>, names: impl Fn(&str) -> bool) {
        self.change(|disabled| {
            let before = disabled.len();
            disabled.retain(|name, _| names(name));
            disabled.len() < before
        });
    }

    /// Has the file say what is so now, before this returns.
    pub fn write(&self) {
        let (disabled, changes) = {
            let entries = self.lock();
            (entries.disabled.clone(), entries.changes)
        };
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = file.path.clone().filter(|_| file.changes < changes) else { return };
        match write(&path, &disabled) {
            Ok(()) => file.changes = changes,
            Err(error) => {
                diagnostics::error(format_args!("{}: {error}; a restart will enable disabled endpoints", path.display()));
            }
        }
    }

    /// `change` says whether it has changed anything.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut BTreeMap<Box<str>, Entry>) -> bool) {
        let mut entries = self.lock();
        if !change(&mut entries.disabled) {
            return;
        }
        entries.changes += 1;
        drop(entries);
        self.keep();
    }

    /// A disk may take its time, and no lane waits for it.
    fn keep(self: &Arc<Self>) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let register = Arc::clone(self);
            runtime.spawn_blocking(move || register.write());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> io::Result<BTreeMap<Box<str>, Entry>> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

/// Whole or not at all.
fn write(path: &Path, disabled: &BTreeMap<Box<str>, Entry>) -> io::Result<()> {
    if disabled.is_empty() {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let next = path.with_extension("json.new");
    let _ = fs::remove_file(&next);
    let mut file = private().open(&next)?;
    file.write_all(&serde_json::to_vec_pretty(disabled)?)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(next, path)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::endpoint::Digest;

    #[test]
    fn what_is_noted_is_there_after_a_restart_for_the_same_settings_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disabled.json");
        let register = Arc::new(Register::open(path.clone()));
        let endpoint = Endpoint { digest: Digest("a".into()), ..Endpoint::example() };
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        register.note(&endpoint, "it is gone", since);
        register.write();

        let after = Arc::new(Register::open(path.clone()));
        assert_eq!(after.recall(&endpoint), Recalled::Disabled("it is gone".into(), since));
        assert_eq!(after.recall(&Endpoint { digest: Digest("b".into()), ..Endpoint::example() }), Recalled::Enabled);
        assert_eq!(after.recall(&endpoint), Recalled::Nothing, "back to the old settings is no way back");
        after.note(&endpoint, "it is gone", since);
        after.retain(|name| name != "hook");
        after.write();
        assert!(!path.exists());
    }

    #[test]
    fn a_damaged_file_disables_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disabled.json");
        fs::write(&path, "{\"hook\": {").unwrap();
        assert_eq!(Arc::new(Register::open(path)).recall(&Endpoint::example()), Recalled::Nothing);
    }
}
