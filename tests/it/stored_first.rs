//! `log.accepted`: nothing is answered as accepted before the log says so.

use serde_json::json;

use crate::support::{Receiver, Sidecar, everything_to, telling};

fn config(receiver: &Receiver) -> String {
    format!("[log]\naccepted = true\n\n{}", everything_to(&[("hook", &receiver.url(), "")]))
}

fn event(id: &str) -> String {
    format!(r#"{{"type": "a", "id": "{id}", "data": 1}}"#)
}

#[tokio::test]
async fn the_line_is_in_the_file_when_the_answer_is_there() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&config(&receiver)).await;
    for nth in 1..=10 {
        sidecar.event(event(&nth.to_string())).await.accepted();
        let lines = telling(&sidecar.log(), "accepted");
        assert_eq!(lines.len(), nth);
        let line = &lines[nth - 1];
        assert_eq!((&line["kind"], &line["event_id"]), (&json!("event"), &json!(nth.to_string())));
        assert_eq!((&line["event_type"], &line["endpoints"]), (&json!("a"), &json!(["hook"])));
    }
    receiver.received(10).await;
}

#[tokio::test]
async fn every_event_of_a_batch_and_each_that_no_route_selects_has_one() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&config(&receiver).replace("[\"**\"]", "[\"a\"]")).await;
    let batch = format!(r#"[{}, {}, {}, {{"type": "b", "id": "3", "data": 1}}]"#, event("1"), event("2"), event("1"));
    assert_eq!(sidecar.event(batch).await.status, 202);
    let lines = sidecar.log();
    let ids: Vec<_> = telling(&lines, "accepted").iter().map(|line| line["event_id"].clone()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
    assert_eq!(telling(&lines, "accepted")[2]["endpoints"], json!([]));
    assert_eq!(telling(&lines, "duplicate").len(), 1);
    assert_eq!(sidecar.logged("unrouted", 1).await[0]["event_id"], "3");
}

#[tokio::test]
async fn a_log_that_cannot_be_written_refuses_with_503_and_nothing_is_queued_or_remembered() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&config(&receiver)).await;
    sidecar.event(event("1")).await.accepted();
    sidecar.logged("delivered", 1).await;
    std::fs::rename(sidecar.log_file(), sidecar.dir().join("old")).unwrap();
    std::fs::create_dir(sidecar.log_file()).unwrap();
    for _ in 0..2 {
        sidecar.event(event("2")).await.refused(503, "storage_failed");
        sidecar.event(event("1")).await.refused(503, "storage_failed");
    }
    std::fs::remove_dir(sidecar.log_file()).unwrap();
    let answer = sidecar.event(event("2")).await;
    assert_eq!((answer.accepted().as_str(), &answer.json()["duplicate"]), ("2", &json!(false)));
    assert_eq!(telling(&sidecar.log(), "accepted").len(), 1, "what was refused has no line");
    assert_eq!(receiver.received(2).await.len(), 2);
}

#[tokio::test]
async fn it_can_be_switched_on_while_running() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
    sidecar.event(event("1")).await.accepted();
    assert_eq!(sidecar.edit(&config(&receiver)).await["changed"], json!(["log"]));
    sidecar.event(event("2")).await.accepted();
    let accepted = telling(&sidecar.log(), "accepted");
    assert_eq!((accepted.len(), &accepted[0]["event_id"]), (1, &json!("2")));
}
