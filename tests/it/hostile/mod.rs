//! Receivers that are dead, slow, hanging, lying or back from the dead: what becomes of their events is known, once and
//! exactly, and neither their neighbour nor the app gets to feel any of it.

mod bodies;
mod connections;
mod hanging;
mod heads;
mod http2;
mod kept_alive;
mod revival;
mod tokens;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::{Receiver, Sidecar, Wire, everything_to, json_lines, telling, wire::read_request};

/// Two attempts.
const TWICE: &str = "retry = { attempts = 2, delay = \"10ms\", jitter = 0 }";

/// The same for a receiver that lets one wait in vain.
const QUICK: &str = "timeout = \"300ms\"\nretry = { attempts = 2, delay = \"10ms\", jitter = 0 }";

/// Events of an ordeal.
const EVENTS: usize = 3;

/// How long an app or a healthy receiver waits at most, whatever another receiver does: long, for tests share a machine, and
/// yet shorter than who hangs for good.
const PROMPT: Duration = Duration::from_secs(8);

/// What a sick receiver's events came to.
struct Ended {
    /// Its lines of kind `delivery`, in order.
    lines: Vec<Value>,
    letters: Vec<Value>,
    /// From the first event's acceptance to the last one's end.
    took: Duration,
}

/// Sends [`EVENTS`] events to `url`, one after the other, and to a healthy neighbour, and sees all of them end.
async fn ordeal(url: &str, keys: &str) -> Ended {
    ordeal_of(url, keys, "1").await
}

/// The same with these data.
async fn ordeal_of(url: &str, keys: &str, data: &str) -> Ended {
    let healthy = Receiver::replying([200]).await;
    let config = everything_to(&[("sick", url, keys), ("healthy", &healthy.url(), "")]);
    let sidecar = Sidecar::start(&format!("{config}\n[listen]\nmax_body = \"32MiB\"\n")).await;
    let began = Instant::now();
    for nth in 1..=EVENTS {
        let posted = Instant::now();
        sidecar.event(format!(r#"{{"type": "a", "id": "e-{nth}", "data": {data}}}"#)).await.accepted();
        assert!(posted.elapsed() < PROMPT, "the app had to wait: {:?}", posted.elapsed());
    }
    let received = healthy.received(EVENTS).await;
    assert!(began.elapsed() < PROMPT, "the neighbour had to wait: {:?}", began.elapsed());
    assert_eq!(received.len(), EVENTS);
    let is_end = |line: &Value| ends().any(|outcome| line["outcome"] == outcome);
    sidecar.wait_for_log(|lines| lines.iter().filter(|line| is_end(line)).count() >= 2 * EVENTS).await;
    let took = began.elapsed();
    let (letters, (_, folder)) = (sidecar.dead_letters(), sidecar.stop().await);
    let lines = json_lines(&folder.path().join("deliveries.jsonl"));
    assert_each_ends_once(&lines, &["sick", "healthy"]);
    assert!(letters.iter().all(|letter| letter["endpoint"] == "sick"), "{letters:#?}");
    let is_sick = |line: &&Value| (&line["kind"], &line["endpoint"]) == (&json!("delivery"), &json!("sick"));
    Ended { lines: lines.iter().filter(is_sick).cloned().collect(), letters, took }
}

fn ends() -> impl Iterator<Item = &'static str> {
    ["delivered", "dead_lettered", "filtered", "skipped", "dropped", "pending"].into_iter()
}

#[track_caller]
fn assert_each_ends_once(lines: &[Value], endpoints: &[&str]) {
    for (endpoint, nth) in endpoints.iter().flat_map(|name| (1..=EVENTS).map(move |nth| (name, nth))) {
        let id = format!("e-{nth}");
        let its: Vec<&Value> = lines.iter().filter(|line| line["endpoint"] == *endpoint && line["event_id"] == *id).collect();
        let ended = its.iter().filter(|line| ends().any(|outcome| line["outcome"] == outcome)).count();
        assert_eq!(ended, 1, "{id} for {endpoint}: {its:#?}");
    }
}

impl Ended {
    /// Every event arrived, each with its first attempt.
    #[track_caller]
    fn delivered(&self, status: u16) {
        let delivered = telling(&self.lines, "delivered");
        let told = |line: &Value| line["http_status"] == status && line["attempt"] == 1;
        assert!(delivered.len() == EVENTS && delivered.iter().all(told), "{:#?}", self.lines);
        assert_eq!((self.lines.len(), self.letters.len()), (EVENTS, 0), "{:#?}", self.lines);
    }

    /// Every event was tried twice, in vain, and is with the dead letters.
    #[track_caller]
    fn given_up(&self, code: &str) {
        let retried = telling(&self.lines, "retrying");
        let is_first = |line: &Value| line["error_code"] == code && line["attempt"] == 1;
        assert!(retried.len() == EVENTS && retried.iter().all(is_first), "{code}: {:#?}", self.lines);
        self.dead(code, "transient", 2, "attempts");
        assert_eq!(self.lines.len(), 3 * EVENTS, "{:#?}", self.lines);
    }

    /// Every event was tried once, and will not be again.
    #[track_caller]
    fn refused(&self, code: &str) {
        self.dead(code, "permanent", 1, "permanent");
        assert_eq!(self.lines.len(), 2 * EVENTS, "{:#?}", self.lines);
    }

    #[track_caller]
    fn dead(&self, code: &str, class: &str, attempts: u32, reason: &str) {
        let failed = telling(&self.lines, "failed");
        let told = |line: &Value| line["error_code"] == code && line["class"] == class && line["attempt"] == attempts;
        assert!(failed.len() == EVENTS && failed.iter().all(told), "{code}: {:#?}", self.lines);
        let given = telling(&self.lines, "dead_lettered");
        assert!(given.len() == EVENTS && given.iter().all(|line| line["reason"] == reason), "{code}: {:#?}", self.lines);
        let is_right = |letter: &Value| {
            (&letter["reason"], &letter["error_code"], &letter["attempts"]) == (&json!(reason), &json!(code), &json!(attempts))
        };
        assert!(self.letters.len() == EVENTS && self.letters.iter().all(is_right), "{code}: {:#?}", self.letters);
    }
}

/// Goes through cases side by side.
async fn each<C>(cases: impl IntoIterator<Item = C>, check: impl AsyncFn(C)) {
    join_all(cases.into_iter().map(|case| check(case))).await;
}

/// Says these bytes after a request, and closes the connection.
fn leaving_after(bytes: impl Into<Vec<u8>>) -> Wire {
    let bytes: Arc<[u8]> = bytes.into().into();
    Wire::start(move |mut stream, _| {
        let bytes = bytes.clone();
        async move {
            read_request(&mut stream).await?;
            stream.write_all(&bytes).await
        }
    })
}
