//! What is said of two configs that do not mean the same.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::config::raw::keys::{ADMIN, ENDPOINT, Home, LISTEN, LOG, QUEUE, SHUTDOWN, STATE};

#[test]
fn a_changed_endpoint_is_named_with_the_keys_that_differ() {
    let hook = |keys: &str| good(&format!("[endpoints.hook]\nurl = \"https://a.example/\"\n{keys}\n"));
    for (key, setting) in ENDPOINT_KEYS {
        let changed = difference(&hook(""), &hook(setting));
        assert_eq!(changed, [format!("endpoints.hook ({key})")], "{setting}");
        assert_eq!(difference(&hook(setting), &hook("")), changed, "{setting}");
        assert_eq!(difference(&hook(setting), &hook(&format!("# why\n{setting}"))), [""; 0]);
    }
    let xml = |root: &str| hook(&format!("format = \"xml\"\nxml = {{ root = \"{root}\" }}"));
    assert_eq!(difference(&xml("a"), &xml("b")), ["endpoints.hook (xml)"]);
    assert_eq!(
        difference(&hook("trace = true"), &hook("timeout = \"5s\"\ntls.server_name = \"b.example\"")),
        ["endpoints.hook (tls, timeout, trace)"]
    );
    let url = |url: &str| good(&format!("[endpoints.hook]\nurl = {url}\n"));
    let urls = ["\"https://a.example/\"", "\"https://a.example/?\"", "\"http://a.example/\"", "{ env = \"HOOK\" }"];
    for pair in urls.windows(2) {
        assert_eq!(difference(&url(pair[0]), &url(pair[1])), ["endpoints.hook (url)"], "{pair:?}");
    }
}

#[test]
fn a_changed_table_is_named_with_the_keys_that_differ() {
    for (table, key, value) in TABLE_KEYS {
        let address = if ["mode", "uids"].contains(&key) { "address = \"unix:a\"\n" } else { "" };
        let config = |keys: &str| good(&format!("[{table}]\n{address}{keys}\n"));
        let changed = difference(&config(""), &config(&format!("{key} = {value}")));
        assert_eq!(changed, [format!("{table} ({key})")], "{value}");
    }
    let admin = |keys: &str| good(&format!("[admin]\naddress = \"127.0.0.1:1\"\n{keys}\n"));
    assert_eq!(difference(&good("# nothing"), &admin("")), ["admin added"]);
    assert_eq!(difference(&admin(""), &good("# nothing")), ["admin removed"]);
    let another = good("[admin]\naddress = \"127.0.0.1:2\"\ntoken = \"t\"\nhosts = [\"a\"]");
    assert_eq!(difference(&admin(""), &another), [format!("admin ({})", ADMIN.names().collect::<Vec<_>>().join(", "))]);
}

#[test]
fn every_key_has_its_word() {
    let words: BTreeSet<_> = ENDPOINT_KEYS.map(|(key, _)| key).into_iter().chain(["url", "xml"]).collect();
    assert_eq!(words, keys_of(&ENDPOINT));
    for (table, home) in [("listen", &LISTEN), ("log", &LOG), ("state", &STATE), ("queue", &QUEUE), ("shutdown", &SHUTDOWN)] {
        let words: BTreeSet<_> = TABLE_KEYS.iter().filter(|(of, ..)| *of == table).map(|(_, key, _)| *key).collect();
        assert_eq!(words, keys_of(home), "{table}");
    }
}

fn keys_of(home: &Home) -> BTreeSet<&'static str> {
    home.keys.iter().map(|key| key.name).collect()
}

#[test]
fn routes_that_lead_to_more_endpoints_or_to_others_differ() {
    let to = |names: &str| {
        let endpoints = "endpoints.a.url = \"https://a.example/\"\nendpoints.b.url = \"https://b.example/\"\n";
        good(&format!("{endpoints}[[routes]]\nevents = [\"**\"]\nto = [{names}]\n"))
    };
    for names in ["\"a\", \"b\"", "\"b\""] {
        assert_eq!(difference(&to("\"a\""), &to(names)), ["routes"], "{names}");
        assert_eq!(difference(&to(names), &to("\"a\"")), ["routes"], "{names}");
    }
}

/// Three endpoints that are there or not, each with some of four settings, and up to three routes.
type Spec = ([Option<u8>; 3], Vec<u8>);

fn spec() -> impl Strategy<Value = Spec> {
    (prop::array::uniform3(prop::option::of(0..16_u8)), prop::collection::vec(0..6_u8, 0..3))
}

fn config((endpoints, routes): &Spec, backwards: bool) -> Config {
    let settings = ["timeout = \"5s\"", "headers = { X-A = \"1\" }", "concurrency = 2", "description = \"d\""];
    let mut text = String::from("# a comment means nothing\n");
    let there: Vec<_> = (0..3).filter(|n| endpoints[*n].is_some()).collect();
    for n in &there {
        let bits = endpoints[*n].unwrap_or_default();
        let mut keys: Vec<_> = (0..4).filter(|bit| bits >> bit & 1 == 1).map(|bit| settings[bit]).collect();
        keys.push("url = \"http://a.example/\"");
        if backwards {
            keys.reverse();
        }
        text += &format!("[endpoints.e{n}]\n{}\n", keys.join("\n"));
    }
    for route in routes.iter().filter(|_| !there.is_empty()) {
        let to = there[usize::from(*route) % there.len()];
        text += &format!("[[routes]]\nevents = [\"a.r{route}\"]\nto = [\"e{to}\"]\n");
    }
    good(&text)
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

proptest! {
    #[test]
    fn nothing_is_named_where_nothing_differs_and_the_same_both_ways(one in spec(), other in spec()) {
        let (old, new) = (config(&one, false), config(&other, true));
        let changed = difference(&old, &new);
        prop_assert_eq!(difference(&old, &config(&one, true)), Vec::<String>::new());
        let routes = |config: &Config| -> Vec<_> {
            config.routes.iter().map(|route| (route.patterns.clone(), config.endpoints[route.to[0]].name.clone())).collect()
        };
        prop_assert_eq!(changed.is_empty(), one.0 == other.0 && routes(&old) == routes(&new));
        prop_assert_eq!(changed.contains(&"routes".to_owned()), routes(&old) != routes(&new));
        for n in 0..3 {
            let of_it: Vec<_> = changed.iter().filter(|name| name.starts_with(&format!("endpoints.e{n}"))).collect();
            let ending = match (one.0[n], other.0[n]) {
                (None, Some(_)) => Some(" added"),
                (Some(_), None) => Some(" removed"),
                (one, other) => (one != other).then_some(")"),
            };
            prop_assert_eq!(of_it.len(), usize::from(ending.is_some()), "{:?}", &changed);
            prop_assert!(of_it.iter().all(|name| name.ends_with(ending.unwrap_or_default())), "{:?}", &changed);
        }
        let back = difference(&new, &old).into_iter().map(|name| match name.strip_suffix(" added") {
            Some(name) => format!("{name} removed"),
            None => name.replace(" removed", " added"),
        });
        prop_assert_eq!(sorted(back.collect()), sorted(changed));
    }
}

const ENDPOINT_KEYS: [(&str, &str); 28] = [
    ("id", "id = \"a\""),
    ("description", "description = \"a\""),
    ("method", "method = \"PUT\""),
    ("active", "active = false"),
    ("format", "format = \"xml\""),
    ("format", "format = \"form\""),
    ("envelope", "envelope = \"cloudevents\""),
    ("content_type", "content_type = \"application/vnd.a+json\""),
    ("headers", "headers = { X-A = \"1\" }"),
    ("auth", "auth = { type = \"bearer\", token = \"abc\" }"),
    ("signature", "signature = { scheme = \"github\", secrets = [\"abc\"] }"),
    ("timeout", "timeout = \"5s\""),
    ("success", "success = [200]"),
    ("retry", "retry = { attempts = 2 }"),
    ("queue", "queue = { events = 5 }"),
    ("concurrency", "concurrency = 2"),
    ("order", "order = \"fifo\""),
    ("batch", "batch = { max_events = 2 }"),
    ("rate", "rate = \"5/s\""),
    ("breaker", "breaker = { failures = 3, pause = \"5s\" }"),
    ("disable_after", "disable_after = 3"),
    ("resume_after", "resume_after = \"5s\""),
    ("idle_timeout", "idle_timeout = \"1s\""),
    ("trace", "trace = true"),
    ("http", "http = \"1.1\""),
    ("proxy", "proxy = \"http://proxy.example:8080\""),
    ("network", "network = \"public\""),
    ("tls", "tls = { server_name = \"b.example\" }"),
];

const TABLE_KEYS: [(&str, &str, &str); 22] = [
    ("listen", "address", "\"127.0.0.1:7071\""),
    ("listen", "mode", "\"0600\""),
    ("listen", "uids", "[1]"),
    ("listen", "max_body", "\"2MiB\""),
    ("listen", "max_batch", "2"),
    ("listen", "header_timeout", "\"1s\""),
    ("listen", "body_timeout", "\"1s\""),
    ("listen", "keep_alive", "\"1s\""),
    ("listen", "max_connections", "2"),
    ("listen", "token", "\"abc\""),
    ("listen", "hosts", "[\"a\"]"),
    ("listen", "source", "\"/a\""),
    ("listen", "dedupe", "{ ids = 0 }"),
    ("log", "deliveries", "\"a.jsonl\""),
    ("log", "rotate", "{}"),
    ("log", "format", "\"ecs\""),
    ("log", "accepted", "true"),
    ("state", "directory", "\"a\""),
    ("state", "max_bytes", "\"2MiB\""),
    ("queue", "bytes", "\"2MiB\""),
    ("shutdown", "grace", "\"1s\""),
    ("shutdown", "linger", "\"1s\""),
];
