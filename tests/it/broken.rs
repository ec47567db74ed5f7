//! Broken configs, as the binary tells of them and as a running sidecar survives them.

use std::{fs, path::Path};

use sidehook::config::Code;

use crate::support::{Process, Receiver, Sidecar, everything_to, sidehook};

#[tokio::test]
async fn check_says_of_a_file_what_stands_beside_it_and_how_much_that_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    for (case, summary) in [
        ("several-at-once", "error: 7 errors, 1 warning in several-at-once.toml\n"),
        ("syntax-string-without-quotes", "error: 5 errors in syntax-string-without-quotes.toml\n"),
        ("syntax-header-unclosed", "error: 1 error in syntax-header-unclosed.toml\n"),
        ("wide-characters", "error: 1 error in wide-characters.toml\n"),
        ("utf-16", "error: 1 error in utf-16.toml\n"),
        ("nothing", "error: 1 error in nothing.toml\n"),
    ] {
        let name = format!("{case}.toml");
        let output = Process::start(&mut sidehook(&folder, &["check", "--config", &name])).ended().await;
        let told = fs::read_to_string(folder.join(format!("{case}.txt"))).unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("{told}\n{summary}"));
        assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]));
    }
}

#[tokio::test]
async fn warnings_are_counted_and_strictly_they_are_errors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let check = async |arguments: &[&str]| {
        let arguments = [&["check", "--config", "only-warnings.toml"], arguments].concat();
        let output = Process::start(&mut sidehook(&folder, &arguments)).ended().await;
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, text) = check(&[]).await;
    assert!(code == Some(0) && text.contains("only-warnings.toml: ok, 2 endpoints, 1 route, 2 warnings\n"), "{text}");
    let (code, text) = check(&["--strict"]).await;
    let summary = "error: 2 warnings in only-warnings.toml, and --strict allows none\n";
    assert!(code == Some(1) && text.ends_with(summary), "{text}");
}

#[tokio::test]
async fn the_help_of_check_explains_every_code() {
    let output = Process::start(&mut sidehook(Path::new("."), &["check", "--help"])).ended().await;
    let text = String::from_utf8(output.stdout).unwrap();
    for code in Code::ALL {
        let line = format!("  {:16} {}\n", code.as_str(), code.means());
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_damaged_file_changes_nothing_and_never_half_of_it() {
    let receivers = [Receiver::replying([200]).await, Receiver::replying([200]).await];
    let config = |version: usize| {
        let keys = format!("headers = {{ X-Version = \"{version}\" }}\nretry = {{ attempts = 1 }}");
        everything_to(&[("one", &receivers[0].url(), &keys), ("two", &receivers[1].url(), &keys)])
    };
    let sidecar = Sidecar::start(&config(0)).await;
    let file = sidecar.dir().join("sidehook.toml");
    let rest = fs::read_to_string(&file).unwrap().replace(&config(0), "");
    let load = async |text: Vec<u8>| {
        let line = sidecar.changing(|| {
            fs::write(&file, text).unwrap();
            sidecar.trigger().reload();
        });
        line.await["outcome"].clone()
    };
    let (mut in_force, mut rejected) = (0, 0);
    let mut random = Random(0x5eed);
    for version in 1..=50 {
        let whole = config(version) + &rest;
        // What the test itself needs stays whole.
        let damaged = damaged(config(version).into_bytes(), &mut random);
        if load([damaged, rest.clone().into_bytes()].concat()).await == "rejected" {
            rejected += 1;
        } else {
            assert_eq!(load(whole.into_bytes()).await, "loaded");
            in_force = version;
        }
        sidecar.event(format!(r#"{{"type": "a", "id": "e-{version}", "data": 1}}"#)).await.accepted();
        for receiver in &receivers {
            let request = receiver.received(version).await.pop().unwrap();
            let expected = (format!("e-{version}"), in_force.to_string());
            assert_eq!((request.header("webhook-id"), request.header("x-version")), (&*expected.0, &*expected.1));
        }
    }
    assert!((20..50).contains(&rejected), "{rejected} of 50 were rejected");
}

/// With a byte more, or some that are gone or another.
fn damaged(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let at = random.below(bytes.len());
    match random.below(3) {
        0 => bytes[at] = bytes[at].wrapping_add(1),
        1 => drop(bytes.drain(at..(at + 1 + random.below(12)).min(bytes.len()))),
        _ => bytes.insert(at, SIGNS[random.below(SIGNS.len())]),
    }
    bytes
}

/// Those that mean something to TOML.
const SIGNS: &[u8] = b"\"[]={}#'\n ,.x0";

/// The same damages in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}
