//! When a delivery is tried again, and what stays the same while it is.

use std::time::Duration;

use crate::support::{LIMIT, Receiver, Request, Sidecar, everything_to, signature::assert_verifies};

const EVENT: &str = r#"{"type": "a", "id": "e-1", "data": {"n": 1.0}}"#;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn gaps(requests: &[Request]) -> Vec<Duration> {
    requests.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
}

async fn start(receiver: &Receiver, keys: &str) -> Sidecar {
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), keys)])).await;
    sidecar.event(EVENT).await.accepted();
    sidecar
}

#[tokio::test]
async fn retries_after_503_and_keeps_id_and_body_and_signs_anew() {
    let receiver = Receiver::replying([503, 503, 200]).await;
    let keys =
        format!("signature = {{ scheme = \"standard\", secrets = [\"{SECRET}\"] }}\nretry = {{ delay = \"600ms\", jitter = 0 }}");
    let sidecar = start(&receiver, &keys).await;
    let requests = receiver.received(3).await;
    for request in &requests {
        assert_eq!(request.header("webhook-id"), "e-1");
        assert_eq!(request.body, requests[0].body);
        assert_verifies("standard", &[SECRET], request);
    }
    // 1.2 seconds lie between the first and the last: they cannot fall in the same second.
    assert_ne!(requests[0].header("webhook-timestamp"), requests[2].header("webhook-timestamp"));
    let line = &sidecar.logged("delivered", 1).await[0];
    assert_eq!((&line["attempt"], &line["max_attempts"]), (&3.into(), &12.into()));
}

#[tokio::test]
async fn attempts_counts_the_first() {
    let receiver = Receiver::replying([500]).await;
    let sidecar = start(&receiver, "retry = { attempts = 3, delay = \"10ms\", jitter = 0 }").await;
    sidecar.logged("dead_lettered", 1).await;
    assert_eq!(receiver.so_far().len(), 3);
    let letter = &sidecar.dead_letters()[0];
    assert_eq!((&letter["reason"], &letter["attempts"]), (&"attempts".into(), &3.into()));
}

#[tokio::test]
async fn fixed_waits_are_equal_and_exponential_ones_double_up_to_max_delay() {
    let cases: [(&str, [u64; 3]); 3] = [
        ("attempts = 4, delay = \"50ms\", backoff = \"fixed\", jitter = 0", [50, 50, 50]),
        ("attempts = 4, delay = \"50ms\", backoff = \"exponential\", jitter = 0", [50, 100, 200]),
        ("attempts = 4, delay = \"50ms\", backoff = \"exponential\", max_delay = \"80ms\", jitter = 0", [50, 80, 80]),
    ];
    for (retry, at_least) in cases {
        let receiver = Receiver::replying([500, 500, 500, 200]).await;
        let _sidecar = start(&receiver, &format!("retry = {{ {retry} }}")).await;
        let gaps = gaps(&receiver.received(4).await);
        for (gap, wait) in gaps.iter().zip(at_least) {
            assert!(*gap >= Duration::from_millis(wait), "{retry}: {gaps:?}");
        }
    }
}

#[tokio::test]
async fn a_schedule_has_one_more_attempt_than_entries() {
    let receiver = Receiver::replying([500]).await;
    let sidecar = start(&receiver, "retry = { schedule = [\"30ms\", \"120ms\"], jitter = 0 }").await;
    let failed = sidecar.logged("failed", 1).await;
    assert_eq!((&failed[0]["attempt"], &failed[0]["max_attempts"]), (&3.into(), &3.into()));
    let gaps = gaps(&receiver.received(3).await);
    assert!(gaps[0] >= Duration::from_millis(30) && gaps[1] >= Duration::from_millis(120), "{gaps:?}");
    sidecar.logged("dead_lettered", 1).await;
    assert_eq!(receiver.so_far().len(), 3);
}

#[tokio::test]
async fn past_max_age_there_is_no_further_attempt() {
    let receiver = Receiver::replying([500]).await;
    let retry = "retry = { attempts = 100, delay = \"50ms\", max_age = \"300ms\", jitter = 0 }";
    let sidecar = start(&receiver, retry).await;
    sidecar.logged("dead_lettered", 1).await;
    assert_eq!(sidecar.dead_letters()[0]["reason"], "max_age");
    assert!((2..=7).contains(&receiver.so_far().len()), "{} attempts", receiver.so_far().len());
}

#[tokio::test]
async fn retry_after_lengthens_the_wait() {
    for status in [429, 500, 503] {
        let receiver = Receiver::replying([status, 200]).await.with_header("retry-after", "1");
        let _sidecar = start(&receiver, "retry = { delay = \"10ms\", jitter = 0 }").await;
        let gaps = gaps(&receiver.received(2).await);
        assert!(gaps[0] >= Duration::from_secs(1), "{status}: {gaps:?}");
    }
}

#[tokio::test]
async fn retry_after_never_shortens_the_wait_and_nonsense_is_ignored() {
    for value in ["0", "soon", "-1", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        let receiver = Receiver::replying([503, 200]).await.with_header("retry-after", value);
        let sidecar = start(&receiver, "retry = { delay = \"200ms\", jitter = 0 }").await;
        let gaps = gaps(&receiver.received(2).await);
        assert!(gaps[0] >= Duration::from_millis(200), "{value}: {gaps:?}");
        assert!(sidecar.log().iter().all(|line| line["outcome"] != "paused"), "{value}");
    }
}

#[tokio::test]
async fn retry_after_is_capped_by_max_delay() {
    let receiver = Receiver::replying([503, 200]).await.with_header("retry-after", "86400");
    let _sidecar = start(&receiver, "retry = { delay = \"10ms\", max_delay = \"100ms\", jitter = 0 }").await;
    let gaps = gaps(&receiver.received(2).await);
    assert!(gaps[0] >= Duration::from_millis(100) && gaps[0] < LIMIT, "{gaps:?}");
}

#[tokio::test]
async fn a_503_with_retry_after_pauses_the_whole_endpoint_and_no_other() {
    let (busy, good) = (Receiver::replying([503, 200]).await.with_header("retry-after", "1"), Receiver::replying([200]).await);
    let keys = "retry = { delay = \"10ms\", jitter = 0 }";
    let sidecar = Sidecar::start(&everything_to(&[("busy", &busy.url(), keys), ("good", &good.url(), keys)])).await;
    sidecar.event(EVENT).await.accepted();
    assert_eq!(sidecar.logged("paused", 1).await[0]["endpoint"], "busy");
    sidecar.event(EVENT.replace("e-1", "e-2")).await.accepted();
    good.received(2).await;
    let requests = busy.received(3).await;
    for request in &requests[1..] {
        assert!(request.at - requests[0].at >= Duration::from_secs(1), "{:?}", gaps(&requests));
    }
    assert_eq!(sidecar.logged("resumed", 1).await[0]["endpoint"], "busy");
}

#[tokio::test]
async fn a_waiting_retry_holds_no_place_of_the_concurrency() {
    let receiver = Receiver::replying([500, 200]).await;
    let sidecar = start(&receiver, "concurrency = 1\nretry = { delay = \"1h\", jitter = 0, max_delay = \"1h\" }").await;
    sidecar.logged("retrying", 1).await;
    sidecar.event(EVENT.replace("e-1", "e-2")).await.accepted();
    assert_eq!(sidecar.logged("delivered", 1).await[0]["event_id"], "e-2");
}
