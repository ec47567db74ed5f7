//! One event in every shape at once; the exact bytes of each shape alone are golden cases.

use data_encoding::HEXLOWER;
use md5::{Digest, Md5};

use crate::support::{Receiver, Sidecar};

const EVENT: &str = r#"{"type": "a.b", "id": "e-1", "time": "2026-11-22T19:21:53Z",
 "data": { "n" : [1.0, 12345678901234567890, 1e400, -0, 1E2],
 "z": "\u00e9\/", "a": true }}"#;
/// `data` as it stands in `EVENT`.
const DATA: &str = "{ \"n\" : [1.0, 12345678901234567890, 1e400, -0, 1E2],\n \"z\": \"\\u00e9\\/\", \"a\": true }";
const NUMBERS: [&str; 5] = ["1.0", "12345678901234567890", "1e400", "-0", "1E2"];

/// Every format × envelope at once; gives each body under `format-envelope`, in the order made.
async fn all_shapes() -> Vec<(String, String)> {
    let receiver = Receiver::replying([200]).await;
    let mut config = String::new();
    let mut names = Vec::new();
    for format in ["json", "xml", "form"] {
        for envelope in ["none", "event", "standard", "md5"] {
            let (name, url) = (format!("{format}-{envelope}"), receiver.url());
            config += &format!("[endpoints.{name}]\nurl = \"{url}/{name}\"\nformat = \"{format}\"\nenvelope = \"{envelope}\"\n");
            names.push(name);
        }
    }
    let sidecar = Sidecar::start(&format!("{config}[[routes]]\nevents = [\"**\"]\nto = {names:?}\n")).await;
    sidecar.event(EVENT).await.accepted();
    let requests = receiver.received(names.len()).await;
    let body = |name: &String| {
        let request = requests.iter().find(|request| request.path == format!("/{name}")).unwrap_or_else(|| panic!("{name}"));
        (name.clone(), request.text().to_owned())
    };
    names.iter().map(body).collect()
}

#[tokio::test]
async fn json_carries_data_byte_for_byte_in_every_envelope() {
    for (name, body) in all_shapes().await.iter().filter(|(name, _)| name.starts_with("json")) {
        assert!(body.contains(DATA), "{name}: {body}");
        // What sidehook writes around it is compact.
        let around = body.replacen(DATA, "", 1);
        assert!(!around.contains([' ', '\n']), "{name}: {around}");
    }
}

#[tokio::test]
async fn numbers_are_written_as_the_app_wrote_them_in_every_format() {
    for (name, body) in all_shapes().await {
        let written: Vec<String> = match name.split('-').next() {
            Some("xml") => NUMBERS.iter().map(|number| format!("<n>{number}</n>")).collect(),
            Some("form") => NUMBERS.iter().map(|number| format!("%5B%5D={number}&")).collect(),
            _ => NUMBERS.map(String::from).to_vec(),
        };
        let places: Vec<_> = written.iter().map(|number| body.find(number.as_str())).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{name}: {body}");
    }
}

#[tokio::test]
async fn keys_keep_their_order_in_every_format() {
    for (name, body) in all_shapes().await {
        let key = |key: &str| match name.split('-').next() {
            Some("xml") => body.find(&format!("<{key}>")),
            Some("form") if name == "form-none" => body.find(&format!("&{key}=")),
            Some("form") => body.find(&format!("%5B{key}%5D=")),
            _ => body.find(&format!("\"{key}\":")),
        };
        assert!(key("z").is_some() && key("z") < key("a"), "{name}: {body}");
    }
}

#[tokio::test]
async fn the_md5_is_that_of_the_payload_as_it_stands_in_the_body() {
    for (name, body) in all_shapes().await.into_iter().filter(|(name, _)| name.ends_with("md5")) {
        let (start, end, open, close) = match name.as_str() {
            "json-md5" => (r#"{"payload":"#.len(), body.rfind(r#","md5":"#), "\"md5\":\"", "\"}"),
            "xml-md5" => (body.find("<payload>").unwrap(), body.find("<md5>"), "<md5>", "</md5>"),
            _ => (0, body.find("&md5="), "&md5=", ""),
        };
        let payload = &body[start..end.expect("an md5")];
        let (_, sum) = body.split_once(open).unwrap();
        let sum = if close.is_empty() { sum } else { sum.split_once(close).unwrap().0 };
        assert_eq!(sum, HEXLOWER.encode(&Md5::digest(payload)), "{name}: {body}");
        assert!(payload.contains("1795375313"), "{name}: {payload}");
    }
}

#[tokio::test]
async fn a_body_of_a_megabyte_arrives_as_it_was_posted() {
    let receiver = Receiver::replying([200]).await;
    let config = crate::support::everything_to(&[("hook", &receiver.url(), "envelope = \"none\"")]);
    let sidecar = Sidecar::start(&config).await;
    let data = format!("[{}]", (0..100_000).map(|nth| format!("{nth}.50")).collect::<Vec<_>>().join(", "));
    sidecar.post("/events/large", "application/json", &data).await.accepted();
    let request = receiver.received(1).await.remove(0);
    assert!(request.text() == data, "{} bytes posted, {} arrived", data.len(), request.body.len());
}
