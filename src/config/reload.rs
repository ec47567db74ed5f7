//! When to read the config again: its files' content has changed, and the writing has stopped.
//!
//! File events are hints and nothing more: what counts is the content. The parent folders are watched, not the files, and
//! every folder that a symlink on the way leads through, so that editors that save by renaming and Kubernetes' `..data`
//! swap are seen; where no events come (NFS, some bind mounts, no inotify instances left) a look every few seconds finds
//! the change.
//!
//! **Invariant:** a change of content is reported within [`LOOK`] and a second; the same content is reported never.

use std::{
    collections::HashSet,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _, event::AccessKind};
use tokio::{
    sync::Notify,
    time::{sleep_until, timeout},
};

use super::Content;
use crate::log::diagnostics;

/// Watches the files a config was made from.
pub struct Watcher {
    files: Vec<PathBuf>,
    seen: Content,
    /// What the files' folders said when they were last read: without a hint, who has not changed there is not read.
    stamps: Vec<Stamp>,
    hints: Arc<Hints>,
    folders: Arc<Mutex<Folders>>,
}

/// What the watcher's own thread tells.
#[derive(Default)]
struct Hints {
    /// The paths whose events matter: a log file in the same folder is written to all the time.
    paths: Mutex<HashSet<PathBuf>>,
    changed: Notify,
}

/// The folders that are watched. Where file systems answer late, whoever asks them waits: none of this is for the loop.
struct Folders {
    events: Option<RecommendedWatcher>,
    watched: HashSet<PathBuf>,
}

impl Watcher {
    /// Watches `files`, whose content was `seen` when they were read.
    pub fn start(files: &[PathBuf], seen: Content) -> Watcher {
        let hints = Arc::new(Hints::default());
        let told = Arc::clone(&hints);
        let events = notify::recommended_watcher(move |event: notify::Result<notify::Event>| told.take(event))
            .inspect_err(|error| {
                diagnostics::warn(format_args!(
                    "no file events ({error}): changes of the config are found by looking every {LOOK:?}"
                ));
            })
            .ok();
        let folders = Arc::new(Mutex::new(Folders { events, watched: HashSet::new() }));
        let mut watcher = Watcher { files: Vec::new(), seen, stamps: Vec::new(), hints, folders };
        watcher.watch(files, seen);
        watcher
    }

    /// Watches these files from now on, whose content was `seen` when they were read.
    pub fn watch(&mut self, files: &[PathBuf], seen: Content) {
        self.files = files.to_vec();
        self.seen = seen;
        // What was written before they are watched shows in no event: they are, as they are looked at.
        self.hints.changed.notify_one();
    }

    /// Whether the content of the files is another than the one known; takes it as known.
    pub async fn look(&mut self) -> bool {
        let (files, folders, hints) = (self.files.clone(), Arc::clone(&self.folders), Arc::clone(&self.hints));
        let looked = tokio::task::spawn_blocking(move || {
            // First, so that whatever is written after they were read is an event.
            folders.lock().unwrap_or_else(PoisonError::into_inner).follow(&files, &hints);
            (stamps(&files), Content::of(&files))
        });
        // A task that was cancelled or panicked has seen nothing new; the next look will.
        let Ok((stamps, now)) = looked.await else { return false };
        self.stamps = stamps;
        std::mem::replace(&mut self.seen, now) != now
    }

    /// Waits until the content of the files is another, and nobody has written to them for `QUIET` (but for no longer than
    /// `PATIENCE`).
    ///
    /// Dropping the future loses no change, but it may be found later, or by the next [`Watcher::look`].
    pub async fn changed(&mut self) {
        loop {
            let hinted = timeout(LOOK, self.hints.changed.notified()).await.is_ok();
            let now = self.stamps_now().await;
            if !hinted && now == self.stamps {
                continue;
            }
            self.settle(now).await;
            if self.look().await {
                return;
            }
        }
    }

    /// Waits until nothing is written any more, as far as events or the files' `stamps` tell.
    async fn settle(&self, mut stamps: Vec<Stamp>) {
        let patience = tokio::time::Instant::from_std(Instant::now() + PATIENCE);
        loop {
            let hinted = tokio::select! {
                hinted = timeout(QUIET, self.hints.changed.notified()) => hinted.is_ok(),
                () = sleep_until(patience) => return,
            };
            let now = self.stamps_now().await;
            if std::mem::replace(&mut stamps, now) == stamps && !hinted {
                return;
            }
        }
    }

    async fn stamps_now(&self) -> Vec<Stamp> {
        let files = self.files.clone();
        tokio::task::spawn_blocking(move || stamps(&files)).await.unwrap_or_default()
    }
}

impl Folders {
    /// Watches what `files` are reached by, and nothing else.
    fn follow(&mut self, files: &[PathBuf], hints: &Hints) {
        let trails: HashSet<PathBuf> = files.iter().flat_map(|file| trail(file)).collect();
        let folders: HashSet<&Path> = trails.iter().filter_map(|path| path.parent()).collect();
        // Folders too: one that is made, moved away or deleted says so itself, or the one above does.
        let paths = trails.iter().flat_map(|path| path.ancestors()).map(Path::to_owned).collect();
        *hints.paths.lock().unwrap_or_else(PoisonError::into_inner) = paths;
        let Some(events) = &mut self.events else { return };
        // Also those watched before: a folder that was made anew is another one.
        for folder in self.watched.drain() {
            // One that was deleted is not watched any more already.
            let _ = events.unwatch(&folder);
        }
        for folder in folders {
            // Of one that is missing, what is there of the way to it. Where nothing can be watched, looking every few seconds
            // finds what there is to find.
            let there = folder
                .ancestors()
                .find(|folder| self.watched.contains(*folder) || events.watch(folder, RecursiveMode::NonRecursive).is_ok());
            self.watched.extend(there.map(Path::to_owned));
        }
    }
}

impl Hints {
    fn take(&self, event: notify::Result<notify::Event>) {
        let matters = match event {
            Ok(event) => self.matters(&event),
            // Events were lost: anything may have happened.
            Err(_) => true,
        };
        if matters {
            self.changed.notify_one();
        }
    }

    fn matters(&self, event: &notify::Event) -> bool {
        // Reading the files must not look like writing them.
        let only_read = matches!(event.kind, EventKind::Access(kind) if !matches!(kind, AccessKind::Close(_)));
        let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        !only_read && (event.need_rescan() || event.paths.iter().any(|path| paths.contains(path)))
    }
}

/// Device, inode, length and time of change; none where there is no file.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.dev(), metadata.ino(), metadata.len(), metadata.ctime(), metadata.ctime_nsec()))
    };
    files.iter().map(stamp).collect()
}

/// Every name on the way to a file whose change changes what the file is: itself, and the symlinks that lead there.
fn trail(file: &Path) -> Vec<PathBuf> {
    let mut names = Vec::new();
    let mut path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    for _ in 0..MAX_LINKS {
        match first_link(&path) {
            Ok((link, target)) => {
                names.push(link);
                path = target;
            }
            Err(real) => {
                names.push(real);
                break;
            }
        }
    }
    names
}

/// The first symlink on a path, and the path with it resolved; or the path itself, where there is none.
fn first_link(path: &Path) -> Result<(PathBuf, PathBuf), PathBuf> {
    let mut walked = PathBuf::new();
    let mut parts = path.components();
    while let Some(part) = parts.next() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(walked.pop()),
            part => walked.push(part),
        }
        if let Ok(target) = std::fs::read_link(&walked) {
            let parent = walked.parent().unwrap_or(Path::new("/"));
            let target = parent.join(target).join(parts.as_path());
            return Ok((walked, target));
        }
    }
    Err(walked)
}

/// How long a file must not be written to before it is read.
const QUIET: Duration = Duration::from_millis(150);

/// How long that is waited for at the most.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often the files are looked at where no events come.
const LOOK: Duration = Duration::from_secs(3);

/// As many symlinks as Linux follows.
const MAX_LINKS: usize = 40;

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    async fn sees(watcher: &mut Watcher, change: impl FnOnce()) -> bool {
        change();
        timeout(Duration::from_secs(10), watcher.changed()).await.is_ok()
    }

    fn watcher(files: &[PathBuf]) -> Watcher {
        Watcher::start(files, Content::of(files))
    }

    #[tokio::test]
    async fn every_way_of_saving_is_seen_and_more_than_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sidehook.toml");
        fs::write(&file, "1").unwrap();
        let mut watcher = watcher(std::slice::from_ref(&file));
        let beside = folder.path().join(".sidehook.toml.swp");
        for round in 0..2 {
            assert!(sees(&mut watcher, || fs::write(&file, format!("in place {round}")).unwrap()).await);
            let rename = || {
                fs::write(&beside, format!("renamed {round}")).unwrap();
                fs::rename(&beside, &file).unwrap();
            };
            assert!(sees(&mut watcher, rename).await);
            assert!(sees(&mut watcher, || fs::remove_file(&file).unwrap()).await);
        }
    }

    #[tokio::test]
    async fn a_swapped_symlink_is_seen_and_more_than_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for version in ["v0", "v1", "v2"] {
            fs::create_dir(path(version)).unwrap();
            fs::write(path(version).join("sidehook.toml"), version).unwrap();
        }
        symlink("v0", path("..data")).unwrap();
        symlink("..data/sidehook.toml", path("sidehook.toml")).unwrap();
        let mut watcher = watcher(&[path("sidehook.toml")]);
        for version in ["v1", "v2"] {
            let swap = || {
                symlink(version, path("..data_tmp")).unwrap();
                fs::rename(path("..data_tmp"), path("..data")).unwrap();
            };
            assert!(sees(&mut watcher, swap).await, "{version}");
        }
    }

    #[tokio::test]
    async fn each_step_of_the_way_to_a_missing_file_is_an_event() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut watcher = watcher(&[path("a/b/key")]);
        let steps: [&dyn Fn(); 5] = [
            &|| {},
            &|| fs::create_dir(path("a")).unwrap(),
            &|| fs::create_dir(path("a/b")).unwrap(),
            &|| fs::write(path("a/b/key"), "key").unwrap(),
            &|| fs::remove_dir_all(path("a")).unwrap(),
        ];
        for (nth, step) in steps.iter().enumerate() {
            step();
            let hinted = timeout(Duration::from_secs(10), watcher.hints.changed.notified()).await;
            assert!(hinted.is_ok(), "step {nth}");
            assert_eq!(watcher.look().await, nth >= 3, "step {nth}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_content_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sidehook.toml");
        fs::write(&file, "same").unwrap();
        let mut watcher = watcher(std::slice::from_ref(&file));
        fs::write(&file, "same").unwrap();
        assert!(timeout(LOOK * 3, watcher.changed()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn without_events_a_file_is_read_once_nobody_has_written_to_it_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let files = [folder.path().join("sidehook.toml")];
        fs::write(&files[0], "").unwrap();
        let mut watcher = watcher(&files);
        watcher.folders.lock().unwrap().events = None;
        let written = async {
            for length in 1..=4 {
                fs::write(&files[0], "x".repeat(length)).unwrap();
                tokio::time::sleep(QUIET * 2 / 3).await;
            }
        };
        tokio::join!(watcher.changed(), written);
        assert!(watcher.seen == Content::of(&files));
        assert!(timeout(LOOK * 3, watcher.changed()).await.is_err());
        let began = tokio::time::Instant::now();
        fs::write(&files[0], "another").unwrap();
        watcher.changed().await;
        assert!(began.elapsed() <= LOOK + PATIENCE, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn only_what_leads_to_the_files_is_a_hint() {
        use notify::event::{AccessMode, CreateKind, DataChange, ModifyKind, RemoveKind};
        let mut watcher = watcher(&["/etc/hook/sidehook.toml".into()]);
        watcher.look().await;
        let hints = watcher.hints;
        let matters = |kind, path: &str| hints.matters(&notify::Event::new(kind).add_path(path.into()));
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        assert!(matters(written, "/etc/hook/sidehook.toml"));
        assert!(matters(EventKind::Access(AccessKind::Close(AccessMode::Write)), "/etc/hook/sidehook.toml"));
        assert!(matters(EventKind::Remove(RemoveKind::Folder), "/etc/hook"));
        assert!(!matters(EventKind::Access(AccessKind::Open(AccessMode::Any)), "/etc/hook/sidehook.toml"));
        assert!(!matters(written, "/etc/hook/deliveries.jsonl"));
        assert!(!matters(EventKind::Create(CreateKind::File), "/etc/hook/.sidehook.toml.swp"));
        assert!(hints.matters(&notify::Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan)));
        let lost = Hints::default();
        lost.take(Err(notify::Error::generic("events were lost")));
        assert!(timeout(LOOK, lost.changed.notified()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_file_made_between_a_refusal_for_want_of_it_and_the_watch_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["sidehook.toml", "secret"].map(|name| folder.path().join(name));
        fs::write(&files[0], "[endpoints.hook]\nurl = { file = \"secret\" }\n").unwrap();
        let mut watcher = watcher(&files[..1]);
        let problems = crate::config::load(&files[0]).err().unwrap();
        assert_eq!(problems.files(), files);
        fs::write(&files[1], "https://a.example/").unwrap();
        watcher.watch(problems.files(), problems.content());
        let began = tokio::time::Instant::now();
        assert!(sees(&mut watcher, || {}).await);
        assert!(began.elapsed() < LOOK, "{:?}", began.elapsed());
    }

    #[test]
    fn a_trail_names_each_link_and_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("real/dir")).unwrap();
        symlink("real/dir", root.join("link")).unwrap();
        symlink("../dir/./file", root.join("real/dir/alias")).unwrap();
        let expected = ["link", "real/dir/alias", "real/dir/file"].map(|name| root.join(name));
        let found: Vec<_> = trail(&root.join("link/alias")).iter().map(|path| path.components().collect::<PathBuf>()).collect();
        assert_eq!(found, expected);
    }
}
