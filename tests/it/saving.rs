//! Every way in which a file is saved, while a sidecar runs: each is one reload, with the whole of what was saved, and what
//! changes nothing is none. `tests/editors` does the same with real editors.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::support::{LIMIT, Process, Receiver, Sidecar, closed_port, everything_to, sidehook};

/// A sidecar whose requests say in a header by which version of the config they were made.
struct Saved {
    sidecar: Sidecar,
    receiver: Receiver,
    text: String,
}

impl Saved {
    async fn start() -> Saved {
        Saved::start_in(tempfile::tempdir().unwrap(), "").await
    }

    /// With `keys` of the endpoint besides.
    async fn start_in(folder: TempDir, keys: &str) -> Saved {
        let receiver = Receiver::replying([200]).await;
        let keys = format!("headers = {{ X-Version = \"first\" }}\n{keys}");
        let sidecar = Sidecar::start_in(folder, &everything_to(&[("hook", &receiver.url(), &keys)])).await;
        let text = fs::read_to_string(sidecar.dir().join("sidehook.toml")).unwrap();
        Saved { sidecar, receiver, text }
    }

    fn file(&self) -> PathBuf {
        self.sidecar.dir().join("sidehook.toml")
    }

    fn version(&self, version: &str) -> String {
        self.text.replace("\"first\"", &format!("\"{version}\""))
    }

    /// Does what puts `version` in force, and sees that it is.
    async fn saving(&self, version: &str, save: impl FnOnce(&str)) {
        let line = self.sidecar.changing(|| save(&self.version(version))).await;
        assert_eq!((&line["outcome"], &line["changed"]), (&json!("loaded"), &json!(["endpoints.hook (headers)"])), "{version}");
        self.is_in_force(version).await;
    }

    async fn is_in_force(&self, version: &str) {
        let before = self.receiver.so_far().len();
        self.sidecar.event(r#"{"type": "a", "data": 1}"#).await.accepted();
        assert_eq!(self.receiver.received(before + 1).await[before].header("x-version"), version);
    }

    /// The outcomes of all reloads so far and of one more: what came late would have come by then.
    async fn reloads(&self) -> Vec<Value> {
        self.saving("last", |text| fs::write(self.file(), text).unwrap()).await;
        let lines = self.sidecar.log();
        lines.iter().filter(|line| line["kind"] == "config").map(|line| line["outcome"].clone()).collect()
    }
}

fn beside(file: &Path, name: &str) -> PathBuf {
    file.parent().unwrap().join(name)
}

fn renamed_over(file: &Path, text: &str, temporary: &str) {
    let temporary = beside(file, temporary);
    fs::write(&temporary, text).unwrap();
    fs::rename(temporary, file).unwrap();
}

type Save = fn(&Path, &str);

const WAYS: [(&str, Save); 12] = [
    ("in-place", |file, text| fs::write(file, text).unwrap()),
    ("cut-afterwards", |file, text| {
        let mut open = File::options().write(true).open(file).unwrap();
        open.write_all(text.as_bytes()).unwrap();
        open.set_len(text.len() as u64).unwrap();
    }),
    ("renamed", |file, text| renamed_over(file, text, ".sidehook.toml.X1b2c3")),
    ("unlinked-first", |file, text| {
        fs::remove_file(file).unwrap();
        fs::write(file, text).unwrap();
    }),
    // Vim's `backupcopy=no`: it first tries whether it may write to the folder.
    ("vim", |file, text| {
        fs::write(beside(file, "4913"), "").unwrap();
        fs::remove_file(beside(file, "4913")).unwrap();
        fs::rename(file, beside(file, "sidehook.toml~")).unwrap();
        fs::write(file, text).unwrap();
        fs::remove_file(beside(file, "sidehook.toml~")).unwrap();
    }),
    // Emacs: a lock that is a link to nowhere, and a backup that stays.
    ("emacs", |file, text| {
        symlink("me@host.1:2", beside(file, ".#sidehook.toml")).unwrap();
        fs::rename(file, beside(file, "sidehook.toml~")).unwrap();
        fs::write(file, text).unwrap();
        fs::remove_file(beside(file, ".#sidehook.toml")).unwrap();
    }),
    ("jetbrains", |file, text| {
        fs::write(beside(file, "sidehook.toml___jb_tmp___"), text).unwrap();
        fs::rename(file, beside(file, "sidehook.toml___jb_old___")).unwrap();
        fs::rename(beside(file, "sidehook.toml___jb_tmp___"), file).unwrap();
        fs::remove_file(beside(file, "sidehook.toml___jb_old___")).unwrap();
    }),
    ("hard-link", |file, text| {
        fs::write(beside(file, "other.toml"), text).unwrap();
        fs::hard_link(beside(file, "other.toml"), beside(file, "link.toml")).unwrap();
        fs::rename(beside(file, "link.toml"), file).unwrap();
    }),
    // By its other name: no event tells of this one.
    ("through-the-hard-link", |file, text| fs::write(beside(file, "other.toml"), text).unwrap()),
    ("symlink", |file, text| {
        fs::create_dir(beside(file, "elsewhere")).unwrap();
        fs::write(beside(file, "elsewhere/one.toml"), text).unwrap();
        symlink("elsewhere/one.toml", beside(file, "new")).unwrap();
        fs::rename(beside(file, "new"), file).unwrap();
    }),
    ("behind-the-symlink", |file, text| renamed_over(&beside(file, "elsewhere/one.toml"), text, ".one.toml.tmp")),
    ("symlink-made-anew", |file, text| {
        fs::write(beside(file, "two.toml"), text).unwrap();
        fs::remove_file(file).unwrap();
        symlink("two.toml", file).unwrap();
    }),
];

#[tokio::test]
async fn every_way_of_saving_is_one_reload() {
    let saved = Saved::start().await;
    for (name, save) in WAYS {
        saved.saving(name, |text| save(&saved.file(), text)).await;
    }
    assert_eq!(saved.reloads().await, vec!["loaded"; WAYS.len() + 1]);
}

#[tokio::test]
async fn a_file_that_is_written_in_two_halves_is_read_as_a_whole() {
    let saved = Saved::start().await;
    // A machine that is too busy pauses for longer, and then half a file is what there is to read.
    for attempt in 0.. {
        let version = format!("halves-{attempt}");
        let (file, text) = (saved.file(), saved.version(&version));
        let (line, longest) = tokio::join!(saved.sidecar.changing(|| ()), write_in_halves(&file, &text));
        if longest < PAUSE + Duration::from_millis(20) {
            assert!(is_loaded(&line), "{line}");
            return saved.is_in_force(&version).await;
        }
        assert!(attempt < 50, "the machine is too busy");
        saved.sidecar.wait_for_log(|lines| lines.iter().rfind(|line| line["kind"] == "config").is_some_and(is_loaded)).await;
    }
}

/// Says how long the longest of the pauses was.
async fn write_in_halves(file: &Path, text: &str) -> Duration {
    let mut began = Instant::now();
    let mut open = File::create(file).unwrap();
    let halves = text.as_bytes().split_at(text.len() / 2);
    let mut longest = Duration::ZERO;
    for half in [halves.0, halves.1] {
        sleep(PAUSE).await;
        open.write_all(half).unwrap();
        longest = longest.max(began.elapsed());
        began = Instant::now();
    }
    longest
}

const PAUSE: Duration = Duration::from_millis(100);

fn is_loaded(line: &Value) -> bool {
    line["outcome"] == "loaded"
}

#[tokio::test]
async fn who_writes_all_the_time_is_not_waited_for() {
    let saved = Saved::start().await;
    let writing = async {
        for n in 0.. {
            renamed_over(&saved.file(), &saved.version(&format!("write-{n}")), "new");
            sleep(Duration::from_millis(50)).await;
        }
    };
    let began = Instant::now();
    tokio::select! {
        () = writing => {}
        _ = saved.sidecar.logged("loaded", 1) => {}
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_leaves_the_content_as_it_was_is_no_reload() {
    let saved = Saved::start().await;
    let file = saved.file();
    let touched = tokio::task::spawn_blocking({
        let file = file.clone();
        move || {
            for n in 0..10_000 {
                let open = File::options().append(true).open(&file).unwrap();
                open.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(n)).unwrap();
            }
        }
    });
    let mut longest = Duration::ZERO;
    while !touched.is_finished() {
        let began = Instant::now();
        saved.sidecar.event(r#"{"type": "a", "data": 1}"#).await.accepted();
        longest = longest.max(began.elapsed());
    }
    touched.await.unwrap();
    assert!(longest < LIMIT / 3, "an answer took {longest:?}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(&file, &saved.text).unwrap();
    renamed_over(&file, &saved.text, "again");
    fs::write(beside(&file, "notes.txt"), "other files do not matter").unwrap();
    assert_eq!(saved.reloads().await, ["loaded"]);
}

#[tokio::test]
async fn a_file_that_is_gone_is_refused_once_and_taken_when_it_is_back() {
    let saved = Saved::start().await;
    let line = saved.sidecar.changing(|| fs::remove_file(saved.file()).unwrap()).await;
    assert_eq!(line["outcome"], "rejected");
    saved.is_in_force("first").await;
    saved.saving("back", |text| fs::write(saved.file(), text).unwrap()).await;
    // A link to itself, and a pipe, which would never end.
    fs::remove_file(saved.file()).unwrap();
    let line = saved.sidecar.changing(|| symlink("sidehook.toml", saved.file()).unwrap()).await;
    assert_eq!(line["outcome"], "rejected", "{line}");
    fs::remove_file(saved.file()).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(saved.file()).status().unwrap();
    assert!(pipe.success());
    saved.is_in_force("back").await;
    fs::remove_file(saved.file()).unwrap();
    assert_eq!(saved.reloads().await, ["rejected", "loaded", "rejected", "loaded"]);
}

/// What kubelet does (its `AtomicWriter`): a new folder, a link to it, and the link renamed over the one that was there.
fn swap(folder: &Path, version: usize, files: &[(&str, &str)]) {
    let data = format!("..2026_11_26_10_00_{version:02}.12345");
    fs::create_dir(folder.join(&data)).unwrap();
    for (name, text) in files {
        fs::write(folder.join(&data).join(name), text).unwrap();
        if folder.join(name).symlink_metadata().is_err() {
            symlink(format!("..data/{name}"), folder.join(name)).unwrap();
        }
    }
    let before = fs::read_link(folder.join("..data"));
    symlink(&data, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    if let Ok(before) = before {
        fs::remove_dir_all(folder.join(before)).unwrap();
    }
}

#[tokio::test]
async fn kubernetes_swaps_config_and_secrets() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    swap(keys.path(), 0, &[("key", "secret-0"), ("other", "x")]);
    swap(folder.path(), 0, &[("sidehook.toml", "")]);
    let secret = keys.path().join("key");
    let signature = format!("signature = {{ scheme = \"github\", secrets = [{{ file = {secret:?} }}] }}");
    let saved = Saved::start_in(folder, &signature).await;
    for version in 1..=2 {
        let name = format!("v{version}");
        saved.saving(&name, |text| swap(saved.sidecar.dir(), version, &[("sidehook.toml", text)])).await;
        let swapped =
            saved.sidecar.changing(|| swap(keys.path(), version, &[("key", &format!("secret-{version}")), ("other", "x")])).await;
        assert_eq!((is_loaded(&swapped), &swapped["changed"]), (true, &json!(["endpoints.hook (signature)"])));
    }
    swap(keys.path(), 3, &[("key", "secret-2"), ("other", "y")]);
    assert_eq!(saved.reloads().await, ["loaded"; 5]);
}

#[tokio::test]
async fn a_folder_that_is_another_one_is_watched_like_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    let path = |name: &str| root.join(name);
    fs::create_dir(path("conf")).unwrap();
    symlink("conf/real.toml", path("sidehook.toml")).unwrap();
    let saved = Saved::start_in(folder, "").await;
    let made = |name: &str, text: &str| {
        fs::create_dir(path(name)).unwrap();
        fs::write(path(name).join("real.toml"), text).unwrap();
    };
    saved
        .saving("swapped", |text| {
            made("conf.new", text);
            fs::rename(path("conf"), path("conf.old")).unwrap();
            fs::rename(path("conf.new"), path("conf")).unwrap();
        })
        .await;
    fs::write(path("conf.old/real.toml"), "[listen").unwrap();
    saved.saving("in-the-new-one", |text| fs::write(path("conf/real.toml"), text).unwrap()).await;
    let line = saved.sidecar.changing(|| fs::remove_dir_all(path("conf")).unwrap()).await;
    assert_eq!(line["outcome"], "rejected", "{line}");
    saved.saving("made-anew", |text| made("conf", text)).await;
    saved.saving("and-written-to", |text| fs::write(path("conf/real.toml"), text).unwrap()).await;
    assert_eq!(saved.reloads().await, ["loaded", "loaded", "rejected", "loaded", "loaded", "loaded"]);
}

#[tokio::test]
async fn what_is_saved_together_is_one_reload() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key"), "one").unwrap();
    let saved = Saved::start_in(folder, "signature = { scheme = \"github\", secrets = [{ file = \"key\" }] }").await;
    let line = saved
        .sidecar
        .changing(|| {
            fs::write(saved.sidecar.dir().join("key"), "two").unwrap();
            fs::write(saved.file(), saved.version("both")).unwrap();
        })
        .await;
    assert_eq!(line["changed"], json!(["endpoints.hook (headers, signature)"]));
    assert_eq!(saved.reloads().await, ["loaded", "loaded"]);
}

#[tokio::test]
async fn authorities_certificates_and_keys_are_watched() {
    let made = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let write = |folder: &Path, name: &str, pem: &str| renamed_over(&folder.join(name), pem, "new.pem");
    let (folder, first, second) = (tempfile::tempdir().unwrap(), made(), made());
    for (name, pem) in [("ca", first.cert.pem()), ("cert", first.cert.pem()), ("key", first.signing_key.serialize_pem())] {
        write(folder.path(), name, &pem);
    }
    let keys = "tls = { ca = \"ca\", certificate = \"cert\", key = { file = \"key\" } }";
    let sidecar = Sidecar::start_in(folder, &everything_to(&[("hook", "https://localhost:1/", keys)])).await;
    let changes = [
        ("ca", second.cert.pem(), "loaded"),
        // One without the other does not go together.
        ("cert", second.cert.pem(), "rejected"),
        ("key", second.signing_key.serialize_pem(), "loaded"),
    ];
    for (name, pem, outcome) in changes {
        let line = sidecar.changing(|| write(sidecar.dir(), name, &pem)).await;
        assert_eq!(line["outcome"], outcome, "{name}: {line}");
        assert!(!is_loaded(&line) || line["changed"] == json!(["endpoints.hook (tls)"]), "{line}");
    }
}

#[tokio::test]
async fn a_refused_config_is_watched_with_the_secrets_that_it_names() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let sidecar = Sidecar::start(&everything_to(&[("hook", &closed_port(), "")])).await;
    let key = sidecar.dir().join("key");
    fs::write(&key, "one").unwrap();
    let keys = "signature = { scheme = \"github\", secrets = [{ file = \"key\" }] }";
    let listen = format!("\n[listen]\naddress = \"{}\"\n", taken.local_addr().unwrap());
    let line = sidecar.edit(&(everything_to(&[("hook", &closed_port(), keys)]) + &listen)).await;
    assert_eq!(line["outcome"], "rejected", "{line}");
    drop(taken);
    let line = sidecar.changing(|| fs::write(&key, "two").unwrap()).await;
    assert!(is_loaded(&line), "{line}");
}

#[tokio::test]
async fn a_secret_file_that_is_missing_is_waited_for() {
    let saved = Saved::start().await;
    let keys = "signature = { scheme = \"github\", secrets = [{ file = \"key\" }] }\n\n[[routes]]";
    let text = saved.text.replacen("\n[[routes]]", keys, 1);
    let line = saved.sidecar.changing(|| fs::write(saved.file(), text).unwrap()).await;
    assert_eq!(line["outcome"], "rejected", "{line}");
    let line = saved.sidecar.changing(|| fs::write(saved.sidecar.dir().join("key"), "s3cret").unwrap()).await;
    assert_eq!((is_loaded(&line), &line["changed"]), (true, &json!(["endpoints.hook (signature)"])), "{line}");
}

#[tokio::test]
async fn a_relative_path_is_watched_too_and_one_that_goes_back() {
    for config in ["sidehook.toml", "./sub/../sidehook.toml", "link/../sidehook.toml"] {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("sub/deep")).unwrap();
        // What is above a link is above where it leads: its target's parent has the file, too.
        symlink("sub/deep", folder.path().join("link")).unwrap();
        let place = if config.starts_with("link") { folder.path().join("sub") } else { folder.path().to_owned() };
        let text = |body: &str| {
            let log = folder.path().join("deliveries.jsonl");
            format!("[listen]\naddress = \"127.0.0.1:0\"\nmax_body = \"{body}\"\n[log]\ndeliveries = {log:?}\n")
        };
        fs::write(place.join("sidehook.toml"), text("1MiB")).unwrap();
        let mut process = Process::start(&mut sidehook(folder.path(), &["run", "--config", config]));
        process.address(folder.path()).await;
        renamed_over(&place.join("sidehook.toml"), &text("2MiB"), "new.toml");
        process.logged(folder.path(), "loaded", 1).await;
    }
}
