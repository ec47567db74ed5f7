//! `sidehook verify`: the signatures that others published (see each scheme's documentation).

use std::{fs, path::Path};

use crate::support::run;

/// The exit code and output for a request with these headers and this body.
async fn verify(folder: &Path, scheme: &str, secret: &str, headers: &str, body: &str) -> (i32, String) {
    fs::write(folder.join("headers"), headers).unwrap();
    fs::write(folder.join("body"), body).unwrap();
    let arguments = ["verify", "--scheme", scheme, "--secret", secret, "--headers", "headers", "--body", "body"];
    let said = run(folder, &arguments).await;
    (said.code, said.stdout + &said.stderr)
}

const GITHUB: &str = "X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\r\n";

const STANDARD: &str = "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\nwebhook-timestamp: 1614265330\n\
                        webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n";

#[tokio::test]
async fn a_right_signature_exits_with_0_and_a_wrong_one_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let (secret, body) = ("It's a Secret to Everybody", "Hello, World!");
    assert_eq!(verify(folder.path(), "github", secret, GITHUB, body).await, (0, "the signature verifies\n".to_owned()));
    for (headers, body) in [(GITHUB, "Hello, World"), ("", body), ("X-Hub-Signature-256: sha256=00\n", body)] {
        let (code, text) = verify(folder.path(), "github", secret, headers, body).await;
        assert!(code == 1 && text.starts_with("the signature does not verify: "), "{code} {text}");
    }
}

#[tokio::test]
async fn a_timestamp_is_told_and_a_secret_may_be_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let (code, text) = verify(folder.path(), "standard", "file:secret", STANDARD, "{\"test\": 2432232314}").await;
    assert!(code == 0 && text.starts_with("the signature verifies, made ") && text.ends_with(" s ago\n"), "{code} {text}");
}

#[tokio::test]
async fn what_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    for (scheme, secret, headers, code, word) in [
        ("github", "env:SIDEHOOK_TEST_NOT_SET", "", 2, "SIDEHOOK_TEST_NOT_SET"),
        ("standard", "not base64!", "", 2, "base64"),
        ("githob", "x", "", 2, "github"),
        ("hmac", "x", "", 2, "no header uses"),
        ("http-message", "x", "", 1, "`signature-input` is missing"),
        ("github", "whpk_AAAA", "", 2, "public key"),
        ("standard", "whpk_AAAA", "", 2, "secret 1 is no Ed25519 public key"),
        ("github", "x", "POST / HTTP/1.1\n", 2, "line 1"),
    ] {
        let (ended, text) = verify(folder.path(), scheme, secret, headers, "").await;
        assert!(ended == code && text.contains(word), "{scheme} {secret}: {ended} {text}");
        assert!(!text.contains("not base64!"), "{text}");
    }
    let said = run(folder.path(), &["verify", "--scheme", "github", "--secret", "x", "--headers", "no", "--body", "no"]).await;
    assert!(said.code == 2 && said.stderr.contains("cannot read no"), "{}", said.stderr);
    for (scheme, flag, value) in [
        ("github", "--algorithm", "sha1"),
        ("github", "--encoding", "base64"),
        ("standard", "--key", "hex"),
        ("stripe", "--each", "s={signature}"),
        ("http-message", "--encoding", "hex"),
        ("x-signature", "--join", ";"),
        ("x-signature", "--signed", "{body}"),
        ("slack", "--signature-header", "x: {signature}"),
    ] {
        let arguments = ["verify", "--scheme", scheme, "--secret", "x", flag, value, "--headers", "headers", "--body", "body"];
        let said = run(folder.path(), &arguments).await;
        let says = format!("{flag} does not belong to the scheme `{scheme}`");
        assert!(said.code == 2 && said.stderr.contains(&says), "{scheme} {flag}: {} {}", said.code, said.stderr);
    }
}

#[tokio::test]
async fn what_is_too_old_does_not_verify_where_there_is_a_tolerance() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("old"), STANDARD).unwrap();
    fs::write(folder.path().join("timeless"), GITHUB).unwrap();
    fs::write(folder.path().join("old-body"), "{\"test\": 2432232314}").unwrap();
    fs::write(folder.path().join("timeless-body"), "Hello, World!").unwrap();
    let standard = ["standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"];
    let github = ["github", "It's a Secret to Everybody"];
    for ([scheme, secret], file, tolerance, code, says) in [
        (standard, "old", "5m", 1, " s ago: more than the tolerance, 300s"),
        (github, "timeless", "5m", 1, "does not cover the time"),
    ] {
        let body = format!("{file}-body");
        let arguments =
            ["verify", "--scheme", scheme, "--secret", secret, "--tolerance", tolerance, "--headers", file, "--body", &body];
        let said = run(folder.path(), &arguments).await;
        assert!(said.code == code && said.stdout.contains(says), "{scheme} {tolerance}: {} {}", said.stdout, said.stderr);
    }
}
