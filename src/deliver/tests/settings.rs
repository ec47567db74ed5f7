//! Settings that change while deliveries wait, and what of a connection outlives them.

use super::*;

/// An endpoint of which every part that can be seen says `version`.
fn versioned(version: &str, concurrency: usize) -> Endpoint {
    let mut versioned = endpoint();
    versioned.target = Target::parse(&format!("http://{version}.example/{version}"), false).unwrap();
    let marker = HeaderText::Fixed(HeaderValue::from_str(version).unwrap());
    versioned.headers.push((HeaderName::from_static("x-version"), marker));
    versioned.signatures = vec![signer(version)];
    versioned.concurrency = concurrency;
    versioned
}

fn signer(version: &str) -> Signer {
    Signer::new(Scheme::preset("github").unwrap(), &[Secret::new(format!("secret of {version}"))]).unwrap()
}

#[track_caller]
fn assert_all_of_one_version(seen: &world::Seen) {
    let version = seen.header("x-version");
    assert_eq!(&*seen.dialled, format!("http://{version}.example/{version}"));
    assert_eq!((seen.header("host"), &*seen.path), (&*format!("{version}.example"), &*format!("/{version}")));
    signer(version).verify(&seen.headers, "POST", &seen.path, &seen.body).unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_next_attempt_takes_all_the_new_settings_and_keeps_its_body() {
    let world =
        World::start(versioned("old", 1), |seen| Reply::Status(if seen.header("x-version") == "old" { 500 } else { 200 }));
    world.post("e-1");
    world.received(1).await;
    world.settled().await;
    let mut new = versioned("new", 1);
    new.shape = std::sync::Arc::new(crate::encode::Shape {
        envelope: crate::envelope::Envelope::Md5,
        format: crate::encode::Format::Form,
        content_type: HeaderValue::from_static("application/x-www-form-urlencoded"),
    });
    world.settle(new);
    let seen = world.received(2).await;
    seen.iter().for_each(assert_all_of_one_version);
    assert_eq!((seen[0].header("x-version"), seen[1].header("x-version")), ("old", "new"));
    assert_eq!((&seen[1].body, seen[1].header("content-type")), (&seen[0].body, "application/json"));
    // The wait was set when the attempt failed.
    assert_eq!(seen[1].at.as_secs(), 60);
    let ended = world.finished().await;
    assert_eq!(ended.telling("delivered")[0]["url"], "http://new.example/new");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_under_way_ends_with_the_settings_it_began_with() {
    let world = World::start(versioned("old", 1), |_| Reply::After(seconds(5), 200));
    world.post("e-1");
    world.post("e-2");
    world.received(1).await;
    world.settle(versioned("new", 1));
    let seen = world.received(2).await;
    seen.iter().for_each(assert_all_of_one_version);
    let ended = world.finished().await;
    let urls: Vec<_> = ended.telling("delivered").iter().map(|line| line["url"].clone()).collect();
    assert_eq!(urls, ["http://old.example/old", "http://new.example/new"]);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_mixes_settings_however_often_they_change() {
    let replies = |n: usize| match n % 5 {
        0 => Reply::After(Duration::from_millis(300), 500),
        1 => Reply::Broken { silent: true },
        _ => Reply::After(Duration::from_millis(170), 200),
    };
    let world = World::start(versioned("v0", 4), nth(replies));
    (0..100).for_each(|n| world.post(&format!("e-{n}")));
    for version in 1..=40 {
        sleep(Duration::from_millis(90)).await;
        world.settle(versioned(&format!("v{version}"), 1 + version % 7));
    }
    let ended = world.finished().await;
    let seen = ended.receiver.so_far();
    seen.iter().for_each(assert_all_of_one_version);
    let versions: std::collections::HashSet<_> = seen.iter().map(|seen| seen.header("x-version")).collect();
    assert!(versions.len() > 10, "{versions:?}");
    assert_eq!(ended.telling("delivered").len() + ended.letters.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_again_until_it_was_idle_for_idle_timeout() {
    let world = World::start(endpoint(), |_| Reply::Status(200));
    for (id, pause) in [("e-1", 3), ("e-2", 3), ("e-3", 30), ("e-4", 0)] {
        world.post(id);
        sleep(seconds(pause)).await;
    }
    let seen = world.received(4).await;
    assert_eq!(seen.iter().map(|seen| seen.connection).collect::<Vec<_>>(), [0, 0, 0, 1]);
    // It was closed when its time was over, not when it was next wanted.
    let closed: Vec<_> = world.receiver.closed().iter().map(|(number, at)| (*number, at.as_secs())).collect();
    assert_eq!(closed, [(0, 6 + 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_constant_use_is_given_up_after_a_minute() {
    let world = World::start(one_at_a_time(), |_| Reply::Status(200));
    for n in 0..50 {
        world.post(&format!("e-{n}"));
        sleep(seconds(3)).await;
    }
    let seen = world.received(50).await;
    assert!(seen.iter().all(|seen| seen.connection == seen.at.as_secs() as usize / 60), "{seen:#?}");
    assert_eq!(world.finished().await.telling("delivered").len(), 50);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_when_the_target_changes_and_not_for_other_settings() {
    let world = World::start(versioned("old", 8), |_| Reply::Status(200));
    world.post("e-1");
    world.received(1).await;
    world.settled().await;
    world.settle(Endpoint { timeout: seconds(9), ..versioned("old", 8) });
    world.post("e-2");
    assert_eq!(world.received(2).await[1].connection, 0);
    world.settled().await;
    assert!(world.receiver.closed().is_empty());
    world.settle(versioned("new", 8));
    world.settled().await;
    assert_eq!(world.receiver.closed().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_use_when_the_target_changes_is_not_kept() {
    let world = World::start(versioned("old", 1), |_| Reply::After(seconds(1), 200));
    world.post("e-1");
    world.received(1).await;
    world.settle(versioned("new", 1));
    sleep(seconds(2)).await;
    assert_eq!(world.receiver.closed().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_used_until_the_auth_changes() {
    let auth = |who| {
        let target = Target::parse("http://auth.example/token", false).unwrap();
        let authorization = HeaderValue::from_static(who);
        let auth = OAuth2 { target, authorization, body: bytes::Bytes::new(), secrets: Vec::new() };
        Endpoint { auth: Some(Auth::OAuth2(std::sync::Arc::new(auth))), ..one_at_a_time() }
    };
    let reply = |seen: world::Seen| match &*seen.path {
        "/token" => Reply::Saying(200, format!("{{\"access_token\": \"of-{}\"}}", seen.header("authorization"))),
        _ => Reply::Status(200),
    };
    let world = World::start(auth("a"), reply);
    for (n, who) in ["a", "a", "b"].into_iter().enumerate() {
        world.settle(Endpoint { timeout: seconds(9 - n as u64), ..auth(who) });
        world.post(&format!("e-{n}"));
        world.settled().await;
    }
    let seen = world.received(5).await;
    let told: Vec<_> = seen.iter().map(|seen| (&*seen.path, seen.header("authorization"))).collect();
    let [first, second] = ["Bearer of-a", "Bearer of-b"].map(|token| ("/hook", token));
    assert_eq!(told, [("/token", "a"), first, first, ("/token", "b"), second]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_an_attempt_with_old_settings_says_nothing_of_the_new() {
    for reply in [410, 503] {
        let world = World::start(endpoint(), move |seen| match (seen.attempt(), reply) {
            (1, 503) if seen.id == "e-1" => Reply::AskingAfter(seconds(5), 503, "3600"),
            (1, status) if seen.id == "e-1" => Reply::After(seconds(5), status),
            _ => Reply::Status(200),
        });
        world.post("e-1");
        world.received(1).await;
        world.settle(Endpoint { timeout: seconds(9), ..endpoint() });
        sleep(seconds(6)).await;
        world.post("e-2");
        world.settled().await;
        assert_eq!(world.receiver.so_far()[1].id, "e-2", "{reply}");
        let ended = world.abandoned().await;
        assert!(ended.telling("disabled").is_empty() && ended.telling("paused").is_empty(), "{reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn gone_disables_the_endpoint_until_a_setting_changes() {
    let world = World::start(endpoint(), |seen| Reply::Status(if seen.id == "e-1" { 410 } else { 200 }));
    world.post("e-1");
    world.received(1).await;
    world.settled().await;
    world.post("e-2");
    world.settled().await;
    world.settle(endpoint());
    world.post("e-3");
    world.settled().await;
    assert_eq!(world.receiver.so_far().len(), 1);
    world.settle(Endpoint { timeout: seconds(9), ..endpoint() });
    world.post("e-4");
    let ended = world.finished().await;
    assert_eq!(ended.given_up(), [("e-1", "permanent", 1), ("e-2", "disabled", 0), ("e-3", "disabled", 0)]);
    assert_eq!(ended.letters[1]["error_code"], "disabled");
    assert_eq!((ended.telling("disabled").len(), ended.telling("enabled").len()), (1, 1));
    assert_eq!((ended.ids("delivered"), ended.held), (vec!["e-4"], (0, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_changed_concurrency_holds_from_the_next_attempt_on() {
    let world = World::start(Endpoint { concurrency: 4, ..endpoint() }, |_| Reply::After(seconds(1), 200));
    (0..8).for_each(|n| world.post(&format!("e-{n}")));
    world.received(4).await;
    world.settle(one_at_a_time());
    assert_eq!(whole_seconds(&world.received(8).await), [0, 0, 0, 0, 1, 2, 3, 4]);
}
