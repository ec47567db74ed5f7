//! `when` and `transform`: who gets an event, and what is made of it, by jq.

use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use serde_json::json;

use crate::support::{Receiver, Sidecar};

/// Two endpoints, `a` and `b`, and these routes.
fn config(a: &Receiver, b: &Receiver, routes: &str) -> String {
    let endpoint = |name: &str, url: &str| format!("[endpoints.{name}]\nurl = \"{url}\"\nenvelope = \"none\"\n");
    endpoint("a", &a.url()) + &endpoint("b", &b.url()) + routes
}

#[tokio::test]
async fn the_first_route_that_selects_the_event_and_names_the_endpoint_decides() {
    let (a, b) = (Receiver::replying([200]).await, Receiver::replying([200]).await);
    let routes = r#"
[[routes]]
events = ["order.*"]
when = '.data.sku | IN("gold", "silver")'
transform = '{sku: .data.sku, total: .data.amount}'
to = ["a"]
[[routes]]
events = ["**"]
transform = '[.id, .data.amount]'
to = ["b", "a"]
"#;
    let sidecar = Sidecar::start(&config(&a, &b, routes)).await;
    let gold = sidecar.event(r#"{"type":"order.paid","id":"e-1","data":{"amount": 2.50, "sku": "gold"}}"#).await;
    assert_eq!(gold.json()["endpoints"], json!(["a", "b"]));
    let iron = sidecar.event(r#"{"type":"order.paid","id":"e-2","data":{"amount": 1e400, "sku": "iron"}}"#).await;
    assert_eq!(iron.json()["endpoints"], json!(["b", "a"]));
    let bodies = |requests: Vec<crate::support::Request>| {
        let mut bodies: Vec<String> = requests.iter().map(|request| String::from_utf8(request.body.to_vec()).unwrap()).collect();
        bodies.sort();
        bodies
    };
    assert_eq!(bodies(a.received(2).await), [r#"["e-2",1e400]"#, r#"{"sku":"gold","total":2.50}"#]);
    assert_eq!(bodies(b.received(2).await), [r#"["e-1",2.50]"#, r#"["e-2",1e400]"#]);
    sidecar.logged("delivered", 4).await;
    assert!(sidecar.log().iter().all(|line| line["outcome"] != "filtered"), "a false `when` writes no line");
}

#[tokio::test]
async fn a_when_that_fails_selects_nothing_and_says_so() {
    let (a, b) = (Receiver::replying([200]).await, Receiver::replying([200]).await);
    let routes = "[[routes]]\nname = \"vip\"\nevents = [\"**\"]\nwhen = '.data.n.x > 1'\nto = [\"a\"]\n\
                  [[routes]]\nevents = [\"**\"]\nto = [\"b\"]\n";
    let sidecar = Sidecar::start(&config(&a, &b, routes)).await;
    let answer = sidecar.event(r#"{"type":"t","id":"e-1","data":{"n":7}}"#).await;
    assert_eq!((answer.status, answer.json()["endpoints"].clone()), (202, json!(["b"])));
    let line = &sidecar.logged("filtered", 1).await[0];
    assert_eq!((&line["kind"], &line["route"], &line["event_id"]), (&json!("event"), &json!("vip"), &json!("e-1")));
    assert!(line["error"].as_str().unwrap().contains("cannot index"), "{line}");
    b.received(1).await;
    assert!(a.so_far().is_empty());
}

#[tokio::test]
async fn a_transform_without_output_filters_that_delivery_alone() {
    let (a, b) = (Receiver::replying([200]).await, Receiver::replying([200]).await);
    let routes = "[[routes]]\nevents = [\"**\"]\ntransform = '.data | select(.n > 1)'\nto = [\"a\"]\n\
                  [[routes]]\nevents = [\"**\"]\nto = [\"b\"]\n";
    let sidecar = Sidecar::start(&config(&a, &b, routes)).await;
    let answer = sidecar
        .request(
            "POST",
            "/events",
            &[("content-type", "application/json"), ("prefer", "wait=10")],
            r#"{"type":"t","id":"e-1","data":{"n":1}}"#,
        )
        .await;
    assert_eq!((answer.status, &answer.json()["endpoints"]), (200, &json!(["a", "b"])));
    let delivered = json!([
        {"endpoint": "a", "outcome": "filtered", "attempts": 0},
        {"endpoint": "b", "outcome": "delivered", "http_status": 200, "attempts": 1},
    ]);
    assert_eq!(answer.json()["deliveries"], delivered);
    let line = &sidecar.logged("filtered", 1).await[0];
    assert_eq!((&line["kind"], &line["endpoint"]), (&json!("delivery"), &json!("a")));
    assert!(a.so_far().is_empty() && sidecar.dead_letters().is_empty());
}

#[tokio::test]
async fn a_transform_that_fails_dead_letters_its_delivery_and_nothing_else() {
    let (a, b) = (Receiver::replying([200]).await, Receiver::replying([200]).await);
    let routes = "[[routes]]\nevents = [\"**\"]\ntransform = '.data.list | add / length'\nto = [\"a\"]\n\
                  [[routes]]\nevents = [\"**\"]\nto = [\"b\"]\n";
    let sidecar = Sidecar::start(&config(&a, &b, routes)).await;
    let events = r#"[{"type":"t","id":"e-1","data":{"list":"no"}},{"type":"t","id":"e-2","data":{"list":[1,3]}}]"#;
    assert_eq!(sidecar.event(events).await.status, 202);
    assert_eq!(a.received(1).await[0].body, "2");
    b.received(2).await;
    let failed = &sidecar.logged("failed", 1).await[0];
    assert_eq!(
        (&failed["error_code"], &failed["class"], &failed["event_id"], &failed["attempt"]),
        (&json!("transform"), &json!("permanent"), &json!("e-1"), &json!(null))
    );
    assert!(failed["error"].as_str().unwrap().contains("no"), "{failed}");
    assert_eq!(sidecar.logged("dead_lettered", 1).await[0]["reason"], "transform");
    let letter = &sidecar.dead_letters()[0];
    assert_eq!((&letter["reason"], &letter["attempts"]), (&json!("transform"), &json!(0)));
    assert_eq!((&letter["event"]["id"], &letter["event"]["data"]), (&json!("e-1"), &json!({"list": "no"})));
}

#[tokio::test]
async fn what_is_transformed_goes_into_envelope_and_format_like_any_payload() {
    let receiver = Receiver::replying([200]).await;
    let routes = "[[routes]]\nevents = [\"**\"]\ntransform = '{n: .data.n, list: [.data.n, null]}'\nto = [\"a\"]\n";
    let of = |keys: &str| format!("[endpoints.a]\nurl = \"{}\"\n{keys}\n{routes}", receiver.url());
    let time = "2016-06-21T02:33:30Z";
    let event = format!(r#"{{"type":"t","time":"{time}","data":{{"n": 1.0, "m": 2}}}}"#);
    let inner = r#"{"type":"t","epoch_timestamp":1466476410,"data":{"n":1.0,"list":[1.0,null]}}"#;
    for (n, (keys, body)) in [
        ("format = \"xml\"\nenvelope = \"none\"", "<?xml version=\"1.0\" encoding=\"UTF-8\"?><notification><n>1.0</n><list>1.0</list><list nil=\"true\"/></notification>".to_owned()),
        ("format = \"form\"\nenvelope = \"standard\"", "type=t&timestamp=2016-06-21T02%3A33%3A30Z&data%5Bn%5D=1.0&data%5Blist%5D%5B%5D=1.0&data%5Blist%5D%5B%5D=".to_owned()),
        ("envelope = \"md5\"", format!(r#"{{"payload":{inner},"md5":"{}"}}"#, HEXLOWER.encode(&Md5::digest(inner)))),
    ]
    .into_iter()
    .enumerate()
    {
        let sidecar = Sidecar::start(&of(keys)).await;
        sidecar.event(&event).await.accepted();
        assert_eq!(receiver.received(n + 1).await[n].body, body, "{keys}");
    }
}

#[tokio::test]
async fn an_event_for_one_endpoint_takes_the_first_routes_transform_whatever_when_says() {
    let (a, b) = (Receiver::replying([200]).await, Receiver::replying([200]).await);
    let routes = "[[routes]]\nevents = [\"x\"]\ntransform = '\"other\"'\nto = [\"a\"]\n\
                  [[routes]]\nevents = [\"t\"]\nwhen = 'false'\ntransform = '\"mine\"'\nto = [\"b\", \"a\"]\n";
    let sidecar = Sidecar::start(&config(&a, &b, routes)).await;
    for (event_type, body) in [("t", "\"mine\""), ("x", "\"other\""), ("none", "1")] {
        let event = format!(r#"{{"type":"{event_type}","data":1}}"#);
        assert_eq!(sidecar.post("/endpoints/a/events", "application/json", event).await.status, 202);
        let seen = a.received(1 + ["t", "x", "none"].iter().position(|name| *name == event_type).unwrap()).await;
        assert_eq!(seen.last().unwrap().body, body);
    }
    assert!(b.so_far().is_empty());
}

#[tokio::test]
async fn a_changed_expression_is_in_force_for_the_next_event_and_a_bad_one_changes_nothing() {
    let (a, b) = (Receiver::replying([200]).await, Receiver::replying([200]).await);
    let routes = |jq: &str| config(&a, &b, &format!("[[routes]]\nevents = [\"**\"]\ntransform = '{jq}'\nto = [\"a\"]\n"));
    let sidecar = Sidecar::start(&routes(".data + 1")).await;
    sidecar.event(r#"{"type":"t","data":1}"#).await.accepted();
    assert_eq!(a.received(1).await[0].body, "2");
    assert_eq!(sidecar.edit(&routes(".data + 2")).await["changed"], json!(["routes"]));
    sidecar.event(r#"{"type":"t","data":1}"#).await.accepted();
    assert_eq!(a.received(2).await[1].body, "3");
    let line = sidecar.edit(&routes("range(3)")).await;
    assert!(line["error"].as_str().unwrap().contains("it could run without end"), "{line}");
    sidecar.event(r#"{"type":"t","data":1}"#).await.accepted();
    assert_eq!(a.received(3).await[2].body, "3");
}

#[tokio::test]
async fn neither_a_text_that_is_no_number_nor_a_long_expression_ends_the_sidecar() {
    let (a, b) = (Receiver::replying([200]).await, Receiver::replying([200]).await);
    let routes = |when: &str| {
        let route = "transform = '{amount: (.data.amount | tonumber)}'\nto = [\"a\"]\n";
        config(&a, &b, &format!("[[routes]]\nevents = [\"**\"]\nwhen = '{when}'\n{route}"))
    };
    let sidecar = Sidecar::start(&routes("true")).await;
    let one_of = |count: usize| (0..count).map(|n| format!(".data.sku == \"s{n}\"")).collect::<Vec<_>>().join(" or ");
    assert_eq!(sidecar.edit(&routes(&one_of(1_300))).await["changed"], json!(["routes"]));
    let line = sidecar.edit(&routes(&("(".repeat(10_000) + &"- ".repeat(500) + "1" + &")".repeat(10_000)))).await;
    assert!(line["error"].as_str().unwrap().contains("too deep"), "{line}");
    for (id, amount) in [("e-1", "12,50"), ("e-2", "007.50")] {
        let event = format!(r#"{{"type":"t","id":"{id}","data":{{"sku":"s1299","amount":"{amount}"}}}}"#);
        assert_eq!(sidecar.event(event).await.status, 202);
    }
    assert_eq!(a.received(1).await[0].body, r#"{"amount":7.50}"#);
    let letter = &sidecar.logged("dead_lettered", 1).await[0];
    assert_eq!((&letter["event_id"], &letter["reason"]), (&json!("e-1"), &json!("transform")));
}
