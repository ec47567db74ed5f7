//! What `sidehook schema --log` says of a line, held against every line that a test makes the sidecar write.

use std::{
    collections::HashSet,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex},
};

use jsonschema::{Validator, draft202012, error::ValidationErrorKind};
use serde_json::Value;
use sidehook::log::{self, Format};

/// Panics at its end where the delivery log in a folder has got a line that is not valid, also in a file rotated away.
pub(crate) struct ValidLog {
    folder: PathBuf,
    /// What is in the log at the beginning, whatever that is.
    before: u64,
}

impl ValidLog {
    pub(crate) fn begin(folder: &Path) -> ValidLog {
        let before = fs::metadata(folder.join(NAME)).map_or(0, |found| found.len());
        ValidLog { folder: folder.to_owned(), before }
    }

    fn new_text(&self, path: &Path) -> std::io::Result<String> {
        let mut file = fs::File::open(path)?;
        let is_continued = path.ends_with(NAME) && file.metadata()?.len() >= self.before && self.before > 0;
        // With the byte before, so that what is behind the first line feed begins with a line.
        file.seek(SeekFrom::Start(if is_continued { self.before - 1 } else { 0 }))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(if is_continued { text.split_once('\n').map_or(String::new(), |(_, new)| new.to_owned()) } else { text })
    }
}

impl Drop for ValidLog {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("deliveries")
                && !name.contains(".gz")
                && let Ok(text) = self.new_text(&entry.path())
            {
                validate_text(&text);
            }
        }
    }
}

/// The same of what a process wrote to stdout, which may be something else.
pub(crate) fn validate_stdout(text: &str) {
    if ["{\"timestamp\":", "{\"@timestamp\":"].iter().any(|start| text.starts_with(start)) {
        validate_text(text);
    }
}

/// Panics where a line of the log is not valid; any other JSON is nothing of ours.
pub(crate) fn validate(line: &Value) {
    let kind = |name| line.get(name).is_some();
    let validator = match (kind("@timestamp"), kind("timestamp") && kind("kind")) {
        (true, _) => &VALIDATORS[0],
        (_, true) => &VALIDATORS[1],
        _ => return,
    };
    // Tests look at a log again and again until it has what they wait for.
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    if !SEEN.lock().unwrap().insert(hasher.finish()) {
        return;
    }
    if let Err(error) = validator.validate(line) {
        let nearest = match error.kind() {
            ValidationErrorKind::OneOfNotValid { context } => context.iter().min_by_key(|errors| errors.len()),
            _ => None,
        };
        let why: Vec<String> = nearest.into_iter().flatten().map(ToString::to_string).collect();
        panic!("not valid by `sidehook schema --log`: {line}\n{error}\n{}", why.join("\n"));
    }
}

fn validate_text(text: &str) {
    let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    whole.map(super::parsed).for_each(|line| validate(&line));
}

static VALIDATORS: LazyLock<[Validator; 2]> = LazyLock::new(|| {
    [Format::Ecs, Format::Plain].map(|format| {
        let schema = log::schema(format).unwrap();
        draft202012::new(&serde_json::from_str(&schema).unwrap()).unwrap()
    })
});

/// By their hashes.
static SEEN: LazyLock<Mutex<HashSet<u64>>> = LazyLock::new(Mutex::default);

const NAME: &str = "deliveries.jsonl";
