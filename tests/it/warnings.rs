//! What `check` and the start warn of, by the real binary in a real file system.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
};

use tempfile::TempDir;

use crate::support::{LIMIT, LOOK_EVERY, Process, everything_to, json_lines, run, sidehook, telling};

fn folder(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sidehook.toml"), config).unwrap();
    folder
}

fn with_secret_file() -> String {
    everything_to(&[("a", "https://a.example/", "auth = { type = \"bearer\", token = { file = \"token\" } }")])
}

#[tokio::test]
async fn a_secret_file_is_told_where_others_can_really_read_it() {
    let folder = folder(&with_secret_file());
    let secrets = folder.path().join("secrets");
    fs::create_dir(&secrets).unwrap();
    fs::write(secrets.join("token"), "s3cret").unwrap();
    std::os::unix::fs::symlink("secrets/token", folder.path().join("token")).unwrap();
    let is_told = async |above: u32, inner: u32, file: u32| {
        for (path, mode) in [(folder.path(), above), (&secrets, inner), (&secrets.join("token"), file)] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        run(folder.path(), &["check"]).await.stderr.contains("readable-secret")
    };
    let is_reachable = |path: &Path| path.ancestors().all(|path| fs::metadata(path).unwrap().permissions().mode() & 1 != 0);
    if is_reachable(&std::env::temp_dir().canonicalize().unwrap()) {
        assert!(is_told(0o755, 0o711, 0o644).await);
    }
    for (above, inner, file) in [(0o755, 0o755, 0o640), (0o755, 0o700, 0o644), (0o700, 0o755, 0o644)] {
        assert!(!is_told(above, inner, file).await, "{above:o} {inner:o} {file:o}");
    }
}

#[tokio::test]
async fn a_state_folder_is_asked_for_and_not_made() {
    let folder = folder(&everything_to(&[("a", "https://a.example/", "")]));
    let said = run(folder.path(), &["check", "--strict"]).await;
    assert!(said.code == 0 && !folder.path().join("state").exists(), "{}", said.stderr);
    let impossible = format!("state.directory = \"sidehook.toml/state\"\n{}", everything_to(&[("a", "https://a.example/", "")]));
    fs::write(folder.path().join("sidehook.toml"), impossible).unwrap();
    let said = run(folder.path(), &["check"]).await;
    assert!(said.code == 0 && said.stderr.contains("warning[state-folder]"), "{}", said.stderr);
    assert!(said.stderr.contains("sidehook.toml:1:19"), "{}", said.stderr);
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "a test that does not run says so")]
async fn what_is_mounted_alone_or_read_only_is_told() {
    let is_allowed = Command::new("unshare").args(["-Urm", "true"]).status().is_ok_and(|status| status.success());
    if !is_allowed {
        eprintln!("unshare -Urm is not allowed: mounts are tested with a made-up mountinfo only");
        return;
    }
    let folder = folder(&with_secret_file());
    fs::create_dir(folder.path().join("state")).unwrap();
    fs::write(folder.path().join("token"), "s3cret").unwrap();
    let check = async |mount: &str| {
        let binary = sidehook(folder.path(), &[]).get_program().to_owned();
        let script = format!("{mount} && exec \"$0\" check");
        let mut unshared = Command::new("unshare");
        unshared.args(["-Urm", "sh", "-c", &script]).arg(binary).current_dir(&folder);
        let output = Process::start(&mut unshared).ended().await;
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{text}");
        text
    };
    let text = check("true").await;
    assert!(!text.contains("mounted-file") && !text.contains("state-folder"), "{text}");
    let text = check("mount --bind sidehook.toml sidehook.toml").await;
    assert!(text.contains("mounted-file") && text.contains("the config file is mounted by itself"), "{text}");
    let text = check("mount --bind token token").await;
    assert!(text.contains("mounted-file") && text.contains("sidehook.toml:3:"), "{text}");
    let text = check("mount -t tmpfs -o ro tmpfs state").await;
    assert!(text.contains("state-folder"), "{text}");
}

#[tokio::test]
async fn a_reload_repeats_no_warning_that_was_given_before() {
    let config = |keys: &str, more: &str| {
        let own = "[listen]\naddress = \"127.0.0.1:0\"\n[log]\ndeliveries = \"deliveries.jsonl\"\n";
        format!("{own}{}{more}", everything_to(&[("a", "https://a.example/", keys)]))
    };
    let token = "auth = { type = \"bearer\", token = \"literal\" }\n";
    let folder = folder(&config(token, ""));
    let mut process = Process::start(&mut sidehook(folder.path(), &["run"]));
    process.address(folder.path()).await;
    let loaded = async |config: String| {
        let log = folder.path().join("deliveries.jsonl");
        let before = telling(&json_lines(&log), "loaded").len();
        fs::write(folder.path().join("sidehook.toml"), config).unwrap();
        process.logged(folder.path(), "loaded", before + 1).await;
        let text = process.complained();
        (text.matches("literal-secret").count(), text.matches("shadowed").count())
    };
    assert_eq!(loaded(config(&format!("timeout = \"9s\"\n{token}"), "")).await, (1, 0));
    let twice = "\n[[routes]]\nevents = [\"a\"]\nto = [\"a\"]\n";
    assert_eq!(loaded(config(token, twice)).await, (2, 1));
    assert_eq!(loaded(config(&format!("headers = {{ X-Api-Key = \"literal\" }}\n{token}"), twice)).await, (4, 2));
    fs::write(folder.path().join("sidehook.toml"), "[listen\n").unwrap();
    let refused = async {
        while !process.complained().contains("the old one stays in force:\\nerror[syntax]") {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(LIMIT, refused).await.expect("the problem, on lines of its own");
}
