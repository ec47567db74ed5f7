//! Which events go where.

use serde_json::json;

use crate::support::{Receiver, Sidecar};

/// Endpoints `a`, `b`, `c` at one receiver each, and these routes.
async fn with_routes(routes: &str) -> (Sidecar, [Receiver; 3]) {
    let receivers = [Receiver::replying([200]).await, Receiver::replying([200]).await, Receiver::replying([200]).await];
    let mut config = String::new();
    for (name, receiver) in ["a", "b", "c"].iter().zip(&receivers) {
        config += &format!("[endpoints.{name}]\nurl = \"{}\"\n", receiver.url());
    }
    (Sidecar::start(&(config + routes)).await, receivers)
}

async fn endpoints_of(sidecar: &Sidecar, event_type: &str) -> serde_json::Value {
    sidecar.event(json!({"type": event_type, "data": 1}).to_string()).await.json()["endpoints"].clone()
}

#[tokio::test]
async fn a_star_is_one_segment_and_two_are_any_number_of_them() {
    let cases: [(&str, &[&str], &[&str]); 9] = [
        (
            "purchase.completed",
            &["purchase.completed"],
            &["purchase", "purchase.completed.x", "purchase.Completed", "xpurchase.completed"],
        ),
        ("purchase.*", &["purchase.completed", "purchase.x:y/z"], &["purchase", "purchase.a.b", "xpurchase.a"]),
        ("*.completed", &["purchase.completed"], &["completed", "a.b.completed", "purchase.completed.x"]),
        ("*", &["ping"], &["a.b"]),
        ("**", &["ping", "a.b", "a.b.c.d"], &[]),
        ("purchase.**", &["purchase", "purchase.a", "purchase.a.b"], &["purchases", "a.purchase"]),
        ("**.failed", &["failed", "a.failed", "a.b.failed"], &["failed.a", "a.xfailed"]),
        ("a.**.z", &["a.z", "a.b.z", "a.b.c.z", "a.z.z"], &["a", "z", "a.b", "a.z.b"]),
        ("a.*.**", &["a.b", "a.b.c"], &["a"]),
    ];
    for (pattern, matching, others) in cases {
        let (sidecar, _receivers) = with_routes(&format!("[[routes]]\nevents = [\"{pattern}\"]\nto = [\"a\"]\n")).await;
        for event_type in matching {
            assert_eq!(endpoints_of(&sidecar, event_type).await, json!(["a"]), "{pattern} and {event_type}");
        }
        for event_type in others {
            assert_eq!(endpoints_of(&sidecar, event_type).await, json!([]), "{pattern} and {event_type}");
        }
    }
}

#[tokio::test]
async fn an_exclamation_mark_takes_out_in_whatever_order() {
    for events in [r#"["purchase.**", "!purchase.test.*", "!**.secret"]"#, r#"["!**.secret", "!purchase.test.*", "purchase.**"]"#]
    {
        let (sidecar, _receivers) = with_routes(&format!("[[routes]]\nevents = {events}\nto = [\"a\"]\n")).await;
        for (event_type, endpoints) in [
            ("purchase", json!(["a"])),
            ("purchase.completed", json!(["a"])),
            ("purchase.test", json!(["a"])),
            ("purchase.test.a", json!([])),
            ("purchase.test.a.b", json!(["a"])),
            ("purchase.secret", json!([])),
        ] {
            assert_eq!(endpoints_of(&sidecar, event_type).await, endpoints, "{events} and {event_type}");
        }
    }
}

#[tokio::test]
async fn an_endpoint_gets_an_event_once_and_in_the_order_routes_name_it() {
    let routes = r#"
[[routes]]
events = ["x.*"]
to = ["c", "a", "c"]
[[routes]]
events = ["**"]
to = ["b", "a"]
"#;
    let (sidecar, [a, b, c]) = with_routes(routes).await;
    assert_eq!(endpoints_of(&sidecar, "x.y").await, json!(["c", "a", "b"]));
    assert_eq!(endpoints_of(&sidecar, "y").await, json!(["b", "a"]));
    sidecar.logged("delivered", 5).await;
    assert_eq!([&a, &b, &c].map(|receiver| receiver.so_far().len()), [2, 2, 1]);
}

#[tokio::test]
async fn what_no_route_selects_is_accepted_and_logged_as_unrouted() {
    let (sidecar, _receivers) = with_routes("[[routes]]\nevents = [\"a\"]\nto = [\"a\"]\n").await;
    let answer = sidecar.event(r#"{"type": "b", "id": "e-1", "data": 1}"#).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.text(), r#"{"id":"e-1","type":"b","endpoints":[],"duplicate":false}"#);
    let line = &sidecar.logged("unrouted", 1).await[0];
    assert_eq!((&line["kind"], &line["event_id"], &line["event_type"]), (&json!("event"), &json!("e-1"), &json!("b")));
}

#[tokio::test]
async fn an_inactive_route_selects_nothing() {
    let routes = "[[routes]]\nevents = [\"**\"]\nto = [\"a\"]\nactive = false\n[[routes]]\nevents = [\"x\"]\nto = [\"b\"]\n";
    let (sidecar, _receivers) = with_routes(routes).await;
    assert_eq!(endpoints_of(&sidecar, "x").await, json!(["b"]));
    assert_eq!(endpoints_of(&sidecar, "y").await, json!([]));
}

#[tokio::test]
async fn an_inactive_endpoint_is_named_and_only_logs_skipped() {
    let receiver = Receiver::replying([200]).await;
    let config = crate::support::everything_to(&[("off", &receiver.url(), "active = false"), ("on", &receiver.url(), "")]);
    let sidecar = Sidecar::start(&config).await;
    assert_eq!(endpoints_of(&sidecar, "x").await, json!(["off", "on"]));
    let line = &sidecar.logged("skipped", 1).await[0];
    assert_eq!((&line["kind"], &line["endpoint"]), (&json!("delivery"), &json!("off")));
    sidecar.logged("delivered", 1).await;
    assert_eq!(receiver.so_far().len(), 1);
}

#[tokio::test]
async fn thousands_of_routes_still_find_the_one() {
    let route = |nth| format!("[[routes]]\nevents = [\"other{nth}.*\"]\nto = [\"b\"]\n");
    let routes: String = (0..5000).map(route).collect::<String>() + "[[routes]]\nevents = [\"wanted.*\"]\nto = [\"a\"]\n";
    let (sidecar, _receivers) = with_routes(&routes).await;
    assert_eq!(endpoints_of(&sidecar, "wanted.x").await, json!(["a"]));
    assert_eq!(endpoints_of(&sidecar, "other4999.x").await, json!(["b"]));
    assert_eq!(endpoints_of(&sidecar, "nobody.x").await, json!([]));
}
