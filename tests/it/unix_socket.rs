//! A Unix socket in place of a port: whom it lets in, and what becomes of its file.

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixListener,
    },
    path::Path,
};

use sidehook::app::{Error, Stopped};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::{sleep, timeout},
};

use crate::support::{Answer, LIMIT, LOOK_EVERY, Receiver, Sidecar, everything_to};

fn listening_at(path: &Path, keys: &str, rest: &str) -> String {
    format!("[listen]\naddress = \"unix:{}\"\n{keys}\n\n{rest}", path.display())
}

/// Posts an event as a program would that knows nothing of names, with what a web page of another site would send.
async fn try_post(path: &Path, id: &str) -> std::io::Result<Vec<u8>> {
    let body = format!(r#"{{"type": "a", "id": "{id}", "data": 1}}"#);
    let mut stream = UnixStream::connect(path).await?;
    let head = "POST /events HTTP/1.1\r\nhost: evil.example\r\norigin: http://evil.example\r\nconnection: close\r\n";
    let length = body.len();
    let request = format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

async fn post(path: &Path, id: &str) -> Answer {
    Answer::parse(&timeout(LIMIT, try_post(path, id)).await.unwrap().unwrap())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let holds = async {
        while !holds() {
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(LIMIT, holds).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

#[tokio::test]
async fn events_come_in_through_a_socket_that_is_gone_after_the_end() {
    let receiver = Receiver::replying([200]).await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("in.sock");
    let sidecar =
        Sidecar::start(&listening_at(&socket, "mode = \"0600\"", &everything_to(&[("hook", &receiver.url(), "")]))).await;
    assert_eq!((names(folder.path()), mode(&socket)), (vec!["in.sock".to_owned()], 0o600));
    post(&socket, "e-1").await.accepted();
    assert_eq!(receiver.received(1).await[0].header("webhook-id"), "e-1");
    let started = sidecar.logged("started", 1).await;
    assert_eq!(started[0]["address"], format!("unix:{}", socket.display()));
    assert!(matches!(sidecar.stop().await.0, Stopped::Clean));
    assert!(names(folder.path()).is_empty());
}

#[tokio::test]
async fn a_dead_socket_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("in.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let _sidecar = Sidecar::start(&listening_at(&socket, "", "")).await;
    post(&socket, "e-1").await.accepted();
    assert_eq!((names(folder.path()), mode(&socket)), (vec!["in.sock".to_owned()], 0o660));
}

#[tokio::test]
async fn what_is_alive_or_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (living, file, link) = (folder.path().join("living"), folder.path().join("file"), folder.path().join("link"));
    let listener = UnixListener::bind(&living).unwrap();
    fs::write(&file, "precious").unwrap();
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    let too_long = folder.path().join("x".repeat(100));
    let scratch = tempfile::tempdir().unwrap();
    let error = Sidecar::refusal(scratch.path(), &listening_at(&too_long, "", "")).await;
    assert!(matches!(error, Some(Error::Address(..))), "{error:?}");
    for (path, why) in [(&living, "in use"), (&file, "not a socket"), (&link, "not a socket")] {
        let scratch = tempfile::tempdir().unwrap();
        let error = Sidecar::refusal(scratch.path(), &listening_at(path, "", "")).await;
        let Some(Error::Address(address, error)) = error else { panic!("{error:?}") };
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(address.to_string(), format!("unix:{}", path.display()));
    }
    assert_eq!(names(folder.path()), ["file", "link", "living"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert!(fs::symlink_metadata(&living).unwrap().file_type().is_socket());
    assert!(UnixStream::connect(&living).await.is_ok());
    drop(listener);
}

#[tokio::test]
async fn only_the_listed_users_are_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("in.sock");
    let me = fs::metadata(folder.path()).unwrap().uid();
    let config = |uid| listening_at(&socket, &format!("uids = [{uid}]"), "");
    let sidecar = Sidecar::start(&config(me + 1)).await;
    // Closed without a word: there may be nothing to read, or a reset.
    let refused = timeout(LIMIT, try_post(&socket, "e-1")).await.unwrap();
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.is_empty()));
    assert_eq!(sidecar.edit(&config(me)).await["outcome"], "loaded");
    post(&socket, "e-2").await.accepted();
}

#[tokio::test]
async fn a_reload_moves_from_port_to_socket_to_socket_and_changes_the_mode() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let sidecar = Sidecar::start("").await;
    for (path, keys, expected) in [(&first, "", 0o660), (&first, "mode = \"0606\"", 0o606), (&second, "mode = \"0600\"", 0o600)] {
        assert_eq!(sidecar.edit(&listening_at(path, keys, "")).await["outcome"], "loaded");
        post(path, &format!("e-{expected:o}")).await.accepted();
        assert_eq!(mode(path), expected);
    }
    wait_until("the first socket is gone", || names(folder.path()) == ["second"]).await;
    let _alive = UnixListener::bind(&first).unwrap();
    let line = sidecar.edit(&listening_at(&first, "", "")).await;
    assert_eq!(line["outcome"], "rejected", "{line}");
    assert!(line["error"].as_str().unwrap().contains("first"), "{line}");
    post(&second, "e-4").await.accepted();
}

#[tokio::test]
async fn a_socket_that_somebody_else_made_at_that_path_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("in.sock");
    let sidecar = Sidecar::start(&listening_at(&socket, "", "")).await;
    fs::remove_file(&socket).unwrap();
    let _other = UnixListener::bind(&socket).unwrap();
    assert!(matches!(sidecar.stop().await.0, Stopped::Clean));
    assert_eq!(names(folder.path()), ["in.sock"]);
}
