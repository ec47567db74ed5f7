//! The config edited while the sidecar runs.

use std::time::Duration;

use serde_json::json;

use crate::support::{Receiver, Sidecar, everything_to, signature::assert_verifies};

fn event(id: &str) -> String {
    format!(r#"{{"type": "a", "id": "{id}", "data": {{"n": 1.0}}}}"#)
}

#[tokio::test]
async fn a_new_endpoint_gets_the_next_event() {
    let (old, new) = (Receiver::replying([200]).await, Receiver::replying([200]).await);
    let sidecar = Sidecar::start(&everything_to(&[("old", &old.url(), "")])).await;
    sidecar.event(event("e-1")).await.accepted();
    let line = sidecar.edit(&everything_to(&[("old", &old.url(), ""), ("new", &new.url(), "")])).await;
    assert_eq!(line["outcome"], "loaded", "{line}");
    assert!(line.to_string().contains("new"), "it says what changed, by name: {line}");
    assert_eq!(sidecar.event(event("e-2")).await.json()["endpoints"], json!(["old", "new"]));
    assert_eq!(new.received(1).await[0].header("webhook-id"), "e-2");
    old.received(2).await;
}

#[tokio::test]
async fn a_file_that_does_not_validate_changes_nothing_and_says_why() {
    let receiver = Receiver::replying([200]).await;
    let config = everything_to(&[("hook", &receiver.url(), "")]);
    let sidecar = Sidecar::start(&config).await;
    let wrong = [
        format!("{config}\n[endpoints.hook.retry]\natempts = 3\n"),
        "[endpoints.hook\n".to_owned(),
        config.replace("to = [\"hook\"]", "to = [\"hok\"]"),
        format!("{config}\n[endpoints.other]\nmethod = \"POST\"\n"),
    ];
    for (nth, text) in wrong.iter().enumerate() {
        let line = sidecar.edit(text).await;
        assert_eq!(line["outcome"], "rejected", "{text}");
        assert!(line["error"].as_str().is_some_and(|error| !error.is_empty()), "{line}");
        sidecar.event(event(&format!("e-{nth}"))).await.accepted();
        receiver.received(nth + 1).await;
    }
    // And it is taken again as soon as it is right.
    assert_eq!(sidecar.edit(&everything_to(&[("hook", &receiver.url(), "timeout = \"9s\"")])).await["outcome"], "loaded");
}

#[tokio::test]
async fn an_empty_or_missing_file_keeps_the_running_config() {
    let receiver = Receiver::replying([200]).await;
    let config = everything_to(&[("hook", &receiver.url(), "")]);
    let sidecar = Sidecar::start(&config).await;
    let file = sidecar.dir().join("sidehook.toml");
    let line = sidecar.changing(|| std::fs::write(&file, "").unwrap()).await;
    assert_eq!(line["outcome"], "rejected", "{line}");
    let line = sidecar.changing(|| std::fs::remove_file(&file).unwrap()).await;
    assert_eq!(line["outcome"], "rejected", "{line}");
    sidecar.event(event("e-1")).await.accepted();
    receiver.received(1).await;
}

#[tokio::test]
async fn a_file_replaced_by_rename_or_reached_by_a_symlink_is_seen() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start("").await;
    let file = sidecar.dir().join("sidehook.toml");
    let text = |path: &str| {
        let url = format!("{}{path}", receiver.url());
        let own =
            "\n[listen]\naddress = \"127.0.0.1:0\"\n[log]\ndeliveries = \"deliveries.jsonl\"\n[state]\ndirectory = \"state\"\n";
        everything_to(&[("hook", &url, "")]) + own
    };
    std::fs::write(sidecar.dir().join("new.toml"), text("/renamed")).unwrap();
    let line = sidecar.changing(|| std::fs::rename(sidecar.dir().join("new.toml"), &file).unwrap()).await;
    assert_eq!(line["outcome"], "loaded", "{line}");
    sidecar.event(event("e-1")).await.accepted();
    assert_eq!(receiver.received(1).await[0].path, "/renamed");

    // As Kubernetes does it: the file is a link through a link to a folder, and that one is swapped.
    for (folder, path) in [("v1", "/linked"), ("v2", "/swapped")] {
        let folder = sidecar.dir().join(folder);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("sidehook.toml"), text(path)).unwrap();
    }
    std::os::unix::fs::symlink("v1", sidecar.dir().join("data")).unwrap();
    std::os::unix::fs::symlink("data/sidehook.toml", sidecar.dir().join("link")).unwrap();
    let line = sidecar.changing(|| std::fs::rename(sidecar.dir().join("link"), &file).unwrap()).await;
    assert_eq!(line["outcome"], "loaded", "{line}");
    std::os::unix::fs::symlink("v2", sidecar.dir().join("data.tmp")).unwrap();
    let swap = || std::fs::rename(sidecar.dir().join("data.tmp"), sidecar.dir().join("data")).unwrap();
    let line = sidecar.changing(swap).await;
    assert_eq!(line["outcome"], "loaded", "{line}");
    sidecar.event(event("e-2")).await.accepted();
    assert_eq!(receiver.received(2).await[1].path, "/swapped");
}

#[tokio::test]
async fn a_changed_secret_file_signs_the_next_attempt() {
    let receiver = Receiver::replying([200]).await;
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "old-secret\n").unwrap();
    let keys = "signature = { scheme = \"github\", secrets = [{ file = \"secret\" }] }";
    let sidecar = Sidecar::start_in(folder, &everything_to(&[("hook", &receiver.url(), keys)])).await;
    sidecar.event(event("e-1")).await.accepted();
    assert_verifies("github", &["old-secret"], &receiver.received(1).await[0]);
    let line = sidecar.changing(|| std::fs::write(&secret, "new-secret\n").unwrap()).await;
    assert_eq!(line["outcome"], "loaded", "{line}");
    sidecar.event(event("e-2")).await.accepted();
    assert_verifies("github", &["new-secret"], &receiver.received(2).await[1]);
    let line = sidecar.changing(|| std::fs::write(&secret, "\n").unwrap()).await;
    assert_eq!(line["outcome"], "rejected", "{line}");
    sidecar.event(event("e-3")).await.accepted();
    assert_verifies("github", &["new-secret"], &receiver.received(3).await[2]);
}

#[tokio::test]
async fn sighup_reloads_as_an_edit_does() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
    std::fs::write(sidecar.dir().join("sidehook.toml"), "[listen\n").unwrap();
    sidecar.trigger().reload();
    assert_eq!(sidecar.logged("rejected", 1).await[0]["kind"], "config");
    sidecar.event(event("e-1")).await.accepted();
    receiver.received(1).await;
}

#[tokio::test]
async fn a_removed_endpoint_drains_with_its_last_settings() {
    let (removed, other) = (Receiver::replying([503, 200]).await, Receiver::replying([200]).await);
    let keys = "headers = { X-Last = \"setting\" }\nretry = { delay = \"1500ms\", jitter = 0 }";
    let sidecar = Sidecar::start(&everything_to(&[("removed", &removed.url(), keys)])).await;
    sidecar.event(event("e-1")).await.accepted();
    sidecar.logged("retrying", 1).await;
    assert_eq!(sidecar.edit(&everything_to(&[("other", &other.url(), "")])).await["outcome"], "loaded");
    assert_eq!(sidecar.event(event("e-2")).await.json()["endpoints"], json!(["other"]));
    let request = removed.received(2).await.pop().unwrap();
    assert_eq!((request.header("webhook-id"), request.header("x-last")), ("e-1", "setting"));
    other.received(1).await;
}

#[tokio::test]
async fn an_endpoint_removed_and_added_again_while_it_drains_keeps_its_order() {
    let (hook, other) = (Receiver::replying([200]).await.after(Duration::from_millis(40)), Receiver::replying([200]).await);
    let with = everything_to(&[("hook", &hook.url(), "order = \"fifo\""), ("other", &other.url(), "")]);
    let sidecar = Sidecar::start(&with).await;
    let ids: Vec<String> = (0..24).map(|n| format!("e-{n}")).collect();
    for id in &ids[..20] {
        sidecar.event(event(id)).await.accepted();
    }
    sidecar.edit(&everything_to(&[("other", &other.url(), "")])).await;
    assert_eq!(sidecar.edit(&with).await["outcome"], "loaded");
    for id in &ids[20..] {
        sidecar.event(event(id)).await.accepted();
    }
    let came = hook.received(24).await;
    assert_eq!(came.iter().map(|request| request.header("webhook-id")).collect::<Vec<_>>(), ids);
    assert_eq!(hook.most_at_once(), 1);
}

#[tokio::test]
async fn a_waiting_delivery_takes_the_new_settings_but_keeps_its_body() {
    let (old, new) = (Receiver::replying([503]).await, Receiver::replying([200]).await);
    let keys = |format: &str, secret: &str, header: &str| {
        format!(
            "format = \"{format}\"\nheaders = {{ X-Version = \"{header}\" }}\n\
             signature = {{ scheme = \"github\", secrets = [\"{secret}\"] }}\nretry = {{ delay = \"4s\", jitter = 0 }}"
        )
    };
    let sidecar = Sidecar::start(&everything_to(&[("hook", &old.url(), &keys("xml", "old-secret", "1"))])).await;
    sidecar.event(event("e-1")).await.accepted();
    sidecar.logged("retrying", 1).await;
    let put = format!("method = \"PUT\"\n{}", keys("json", "new-secret", "2"));
    assert_eq!(sidecar.edit(&everything_to(&[("hook", &new.url(), &put)])).await["outcome"], "loaded");
    let (first, second) = (old.received(1).await.remove(0), new.received(1).await.remove(0));
    assert_verifies("github", &["old-secret"], &first);
    assert_verifies("github", &["new-secret"], &second);
    assert_eq!((second.method.as_str(), second.header("x-version"), second.header("webhook-id")), ("PUT", "2", "e-1"));
    assert_eq!((second.header("content-type"), &second.body), ("application/xml", &first.body));
    sidecar.event(event("e-2")).await.accepted();
    assert_eq!(new.received(2).await[1].header("content-type"), "application/json");
}

#[tokio::test]
async fn no_failing_endpoint_can_hold_a_reload_up_and_no_request_is_refused_meanwhile() {
    let (hole, good) = (Receiver::hanging().await, Receiver::replying([200]).await);
    let config = |keys: &str| everything_to(&[("hole", &hole.url(), "timeout = \"1h\""), ("good", &good.url(), keys)]);
    let sidecar = Sidecar::start(&config("")).await;
    sidecar.event(event("first")).await.accepted();
    hole.received(1).await;
    let mut posted = 1;
    for timeout in 1..=3 {
        // The posts go on while the reload is under way.
        let changed = config(&format!("timeout = \"{timeout}s\""));
        let mut loading = std::pin::pin!(sidecar.edit(&changed));
        let line = loop {
            tokio::select! {
                line = &mut loading => break line,
                answer = sidecar.event(r#"{"type": "a", "data": 1}"#) => { answer.accepted(); posted += 1; }
            }
        };
        assert_eq!(line["outcome"], "loaded", "{line}");
    }
    good.received(posted).await;
}

#[tokio::test]
async fn no_request_is_made_of_two_versions_and_none_is_lost_however_often_the_config_changes() {
    let receiver = Receiver::replying([200]).await;
    let config = |version: usize| {
        let keys = format!(
            "headers = {{ X-One = \"{version}\", X-Two = \"{version}\" }}\n\
             auth = {{ type = \"bearer\", token = \"token-{version}\" }}\n\
             signature = {{ scheme = \"github\", secrets = [\"secret-{version}\"] }}\n"
        );
        let hook = everything_to(&[("hook", &format!("{}/{version}", receiver.url()), &keys)]);
        hook + "\n[admin]\naddress = \"127.0.0.1:0\"\n"
    };
    let sidecar = Sidecar::start(&config(0)).await;
    let file = sidecar.dir().join("sidehook.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let own = text.strip_prefix(&config(0)).unwrap();
    let mut posted = 0;
    for turn in 1..=60 {
        // At once as a whole: a signal does not wait for the rest.
        std::fs::write(sidecar.dir().join("new"), config(turn % 2) + own).unwrap();
        std::fs::rename(sidecar.dir().join("new"), &file).unwrap();
        let reloading = async {
            match turn % 3 {
                0 => sidecar.trigger().reload(),
                _ => assert_eq!(sidecar.admin("POST", "/reload").await.status, 200),
            }
        };
        let posting = async {
            for _ in 0..5 {
                sidecar.event(event(&format!("e-{posted}"))).await.accepted();
                posted += 1;
            }
        };
        tokio::join!(reloading, posting);
    }
    let requests = receiver.received(posted).await;
    let mut ids = std::collections::BTreeSet::new();
    for request in &requests {
        let version = request.path.trim_start_matches('/');
        let token = format!("Bearer token-{version}");
        assert_eq!(
            [request.header("x-one"), request.header("x-two"), request.header("authorization")],
            [version, version, &token]
        );
        assert_verifies("github", &[&format!("secret-{version}")], request);
        ids.insert(request.header("webhook-id").to_owned());
    }
    assert_eq!((ids.len(), requests.len()), (posted, posted));
    assert_eq!(crate::support::telling(&sidecar.log(), "rejected"), [json!(null); 0]);
    assert!(["/0", "/1"].iter().all(|path| requests.iter().any(|request| request.path == *path)));
}

#[tokio::test]
async fn what_cannot_be_opened_is_named_and_nothing_else_is_changed() {
    let (taken, other) = (std::net::TcpListener::bind("127.0.0.1:0").unwrap(), Sidecar::start("").await);
    let receiver = Receiver::replying([200]).await;
    let config = everything_to(&[("hook", &receiver.url(), "")]);
    let sidecar = Sidecar::start(&config).await;
    let file = sidecar.dir().join("sidehook.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let busy = taken.local_addr().unwrap().to_string();
    let locked = other.dir().join("state").display().to_string();
    let refused =
        [("127.0.0.1:0", busy.as_str()), ("\"state\"", &format!("{locked:?}")), ("deliveries.jsonl", "sidehook.toml/log.jsonl")];
    for (was, becomes) in refused {
        let changed = text.replace(was, becomes).replace(&receiver.url(), &crate::support::closed_port());
        assert_ne!(changed, text, "{was}");
        let line = sidecar.changing(|| std::fs::write(&file, changed).unwrap()).await;
        let error = line["error"].as_str().unwrap_or_default();
        assert!(line["outcome"] == "rejected" && error.contains(becomes.trim_matches('"')), "{line}");
        sidecar.event(r#"{"type": "a", "data": 1}"#).await.accepted();
    }
    receiver.received(refused.len()).await;
}

#[tokio::test]
async fn the_token_and_the_log_file_may_change() {
    let sidecar = Sidecar::start("").await;
    sidecar.event(event("e-1")).await.accepted();
    sidecar.logged("unrouted", 1).await;
    assert_eq!(sidecar.edit("[listen]\ntoken = \"t0ken\"\n").await["outcome"], "loaded");
    sidecar.event(event("e-2")).await.refused(401, "unauthorized");
    let file = sidecar.dir().join("sidehook.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("deliveries.jsonl", "moved.jsonl").replace("token = \"t0ken\"\n", "")).unwrap();
    let moved = sidecar.dir().join("moved.jsonl");
    let arrives = async {
        while crate::support::telling(&crate::support::json_lines(&moved), "unrouted").is_empty() {
            sidecar.event(r#"{"type": "a", "data": 1}"#).await;
            tokio::time::sleep(crate::support::LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(crate::support::LIMIT, arrives).await.expect("lines in the new file");
}
