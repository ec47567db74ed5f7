//! `sidehook explain`: who would get an event, and what.

use std::{fs, path::Path};

use crate::support::{Receiver, Said, Sidecar, everything_to, run};

#[tokio::test]
async fn each_route_has_its_verdict_and_each_endpoint_its_request_and_nothing_is_sent() {
    let receiver = Receiver::replying([200]).await;
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        r#"
[endpoints.a]
url = "{url}/hook?key=secret"
envelope = "none"
auth = {{ type = "bearer", token = "t0ken" }}
headers = {{ X-Type = "{{type}}" }}
[endpoints.b]
url = "{url}/"
format = "form"
signature = {{ scheme = "github", secrets = ["s3cret"] }}
[endpoints.c]
url = "{url}/"
[endpoints.d]
url = "{url}/"
[[routes]]
name = "gold"
events = ["order.*"]
when = '.data.sku == "gold"'
transform = '{{sku: .data.sku, n: .data.n}}'
to = ["a"]
[[routes]]
events = ["order.*"]
when = '.data.sku == "iron"'
to = ["b"]
[[routes]]
events = ["**", "!order.paid"]
to = ["b"]
[[routes]]
events = ["case.*"]
to = ["b"]
[[routes]]
events = ["**"]
when = '.data.sku.x'
to = ["b"]
[[routes]]
active = false
events = ["**"]
to = ["b"]
[[routes]]
events = ["**"]
to = ["b", "a"]
[[routes]]
events = ["**"]
transform = 'empty'
to = ["c"]
[[routes]]
events = ["**"]
transform = 'error("no")'
to = ["d"]
[[routes]]
events = ["case.*"]
to = ["a"]
"#,
        url = receiver.url()
    );
    fs::write(folder.path().join("sidehook.toml"), config).unwrap();
    fs::write(folder.path().join("data.json"), " {\"sku\": \"gold\", \"n\": 1.0} \n").unwrap();
    let said = run(folder.path(), &["explain", "order.paid", "--data", "data.json"]).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    for line in [
        "order.paid goes to a, b, c (filtered), d (a dead letter).\n",
        "route gold (line 15) selects it: `order.*` matches, and `when` holds: .data.sku == \"gold\" -> a",
        "routes[1] (line 21) does not: `order.*` matches, but `when` does not hold: .data.sku == \"iron\" -> b",
        "routes[2] (line 25) does not: `!order.paid` takes it away -> b",
        "routes[3] (line 28) does not: its type matches none of `case.*` -> b",
        "routes[4] (line 31) does not: `**` matches, but `when` fails (cannot index \"gold\" with \"x\"): .data.sku.x -> b",
        "routes[5] (line 35) does not: it is not active -> b",
        "routes[6] (line 39) selects it: `**` matches -> b, a (already by route gold)\n",
        "routes[9] (line 50) does not: its type matches none of `case.*` -> a\n",
        "\na (by route gold, transformed: {sku: .data.sku, n: .data.n})\n",
        "/hook?key=***\n",
        "    authorization: ***\n",
        "    x-type: order.paid\n",
        "    content-length: 22\n",
        "    {\"sku\":\"gold\",\"n\":1.0}",
        "\nb (by routes[6])\n",
        "    x-hub-signature-256: sha256=",
        "    content-type: application/x-www-form-urlencoded\n",
        "&data%5Bsku%5D=gold&data%5Bn%5D=1.0",
        "c (by routes[7], transformed: empty)\n    the transform gives nothing, so nothing is sent",
        "d (by routes[8], transformed: error(\"no\"))\n    the transform fails, so it becomes a dead letter: no",
    ] {
        assert!(said.stdout.contains(line), "{line} is not in\n{}", said.stdout);
    }
    assert!(!said.stdout.contains("t0ken") && !said.stdout.contains("s3cret") && !said.stdout.contains("key=secret"));
    let shown = run(folder.path(), &["explain", "order.paid", "--data", "data.json", "--show-secrets"]).await;
    assert!(shown.stdout.contains("authorization: Bearer t0ken") && shown.stdout.contains("?key=secret"), "{}", shown.stdout);
    assert!(receiver.so_far().is_empty());
}

#[tokio::test]
async fn the_request_explained_is_the_one_that_is_sent() {
    let receiver = Receiver::replying([200]).await;
    let keys = r#"method = "PUT"
format = "xml"
envelope = "none"
headers = { X-Source = "shop", X-Type = "{type}", X-Attempt = "{attempt}", User-Agent = "shop/1" }
auth = { type = "basic", username = "u", password = "p" }
signature = [{ scheme = "x-signature", secrets = ["s"] }, { scheme = "github", secrets = ["t"] }]"#;
    let config = everything_to(&[("hook", &(receiver.url() + "/in?k=1"), keys)]) + "transform = '{n: .data, m: [1, 2]}'\n";
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sidehook.toml"), &config).unwrap();
    fs::write(folder.path().join("data.json"), "1.50").unwrap();
    let said = run(folder.path(), &["explain", "a.b", "--data", "data.json", "--show-secrets"]).await;
    let (_, request) = said.stdout.split_once("\n    PUT ").expect("a request");
    let (head, body) = request.split_once("\n\n    ").expect("a body");
    let sidecar = Sidecar::start(&config).await;
    sidecar.event(r#"{"type": "a.b", "data": 1.50}"#).await.accepted();
    let sent = receiver.received(1).await.pop().unwrap();
    let varies = |line: &str| line.starts_with("webhook-id") || line.starts_with("x-github-delivery");
    let told: Vec<&str> = head.lines().skip(1).map(str::trim).filter(|line| !varies(line)).collect();
    let headers: Vec<String> = sent.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let headers: Vec<&str> = headers.iter().map(String::as_str).filter(|line| !varies(line)).collect();
    assert_eq!(told, headers);
    assert_eq!((head.lines().next(), body.trim_end()), (Some(&*(receiver.url() + &sent.path)), sent.text()));
}

#[tokio::test]
async fn what_cannot_be_explained_says_why() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sidehook.toml"), "").unwrap();
    fs::write(folder.path().join("bad.json"), "{").unwrap();
    let said = run(folder.path(), &["explain", "a b"]).await;
    assert!(said.code == 2 && said.stderr.contains("a type is"), "{}", said.stderr);
    fs::write(
        folder.path().join("sidehook.toml"),
        "[endpoints.a]\nurl = \"http://x/\"\n[[routes]]\nevents = [\"b\"]\nto = [\"a\"]\n",
    )
    .unwrap();
    let said = run(folder.path(), &["explain", "a"]).await;
    assert!(said.code == 0 && said.stdout.contains("Nobody gets a.\n"), "{} {}", said.stdout, said.stderr);
    let said = run(folder.path(), &["explain", "a", "--data", "{\"n\": 1}"]).await;
    assert!(said.code == 1 && said.stderr.contains("cannot read the file {\"n\": 1}: "), "{}", said.stderr);
    let said = run(folder.path(), &["explain", "a", "--data", "bad.json"]).await;
    assert!(said.code == 1 && said.stderr.contains("bad.json is not JSON"), "{}", said.stderr);
}

/// What is said of an event of type `a` with this data, for an endpoint with these keys.
async fn explained(folder: &Path, url: &str, keys: &str, data: &str) -> Said {
    let config = everything_to(&[("hook", url, keys)]);
    fs::write(folder.join("sidehook.toml"), config).unwrap();
    fs::write(folder.join("data.json"), data).unwrap();
    run(folder, &["explain", "a", "--data", "data.json"]).await
}

#[tokio::test]
async fn what_ingest_would_refuse_is_not_explained() {
    let folder = tempfile::tempdir().unwrap();
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(explained(folder.path(), "http://127.0.0.1:9/", "", &nested(127)).await.code, 0);
    for (data, says) in [
        (nested(128), "line 1, column 128: more than 127 arrays and objects inside one another"),
        (nested(50_000), "more than 127 arrays and objects"),
        ("\"\\ud800\"".to_owned(), "line 1, column 2: a lone surrogate is no character"),
        ("1 2".to_owned(), "trailing characters"),
        (format!("\"{}\"", "x".repeat(1 << 20)), "the body is larger than listen.max_body, 1048576 bytes"),
    ] {
        let said = explained(folder.path(), "http://127.0.0.1:9/", "", &data).await;
        assert!(said.code == 1 && said.stderr.contains(says), "{says}: {} {}", said.code, said.stderr);
        let said = run(folder.path(), &["explain", "a", "--context", "data.json"]).await;
        assert!(said.code == 1 && said.stderr.contains(says), "{says}: {} {}", said.code, said.stderr);
    }
}

#[tokio::test]
async fn what_an_endpoint_does_besides_is_told_with_the_event_s_own_values() {
    let folder = tempfile::tempdir().unwrap();
    let keys = "order = { key = '.data.n' }\nbatch = { max_events = 20 }";
    let said = explained(folder.path(), "http://127.0.0.1:9/", keys, r#"{"n": 1.0}"#).await;
    let told =
        "hook (by routes[0])\n    after those before it for which .data.n is 1.0 too\n    in one array with up to 19 others";
    assert!(said.stdout.contains(told), "{} {}", said.stdout, said.stderr);
    let keys = "order = \"fifo\"\nproxy = \"http://u:pass@proxy.example:3128\"\nactive = false";
    let said = explained(folder.path(), "http://a.example/", keys, "1").await;
    assert!(said.stdout.starts_with("a goes to hook (not active).\n"), "{} {}", said.stdout, said.stderr);
    assert!(said.stdout.contains("\n    it is not active, so nothing is sent; if it were:\n"), "{}", said.stdout);
    let told = "    after those before it (order = \"fifo\")\n    through the proxy http://proxy.example:3128\n    POST ";
    assert!(said.stdout.contains(told), "{} {}", said.stdout, said.stderr);
    let keys = "auth = { type = \"oauth2\", token_url = \"http://127.0.0.1:9/token\", client_id = \"i\", client_secret = \"s\" }";
    let said = explained(folder.path(), "http://127.0.0.1:9/", keys, "1").await;
    let told = "    authorization: Bearer (a token from http://127.0.0.1:9/token)\n";
    assert!(said.stdout.contains(told), "{} {}", said.stdout, said.stderr);
}

#[tokio::test]
async fn who_gives_no_data_is_told_that_it_is_null() {
    let folder = tempfile::tempdir().unwrap();
    for (route, told) in [
        ("when = \".data\"", true),
        ("transform = \".data\"", true),
        ("transform = \".data\"\nactive = false", false),
        ("", false),
    ] {
        let config = everything_to(&[("hook", "http://127.0.0.1:9/", "")]) + route;
        fs::write(folder.path().join("sidehook.toml"), config).unwrap();
        let said = run(folder.path(), &["explain", "a"]).await;
        assert_eq!(said.stdout.contains("\nIts data is null; --data FILE"), told, "{route}: {}", said.stdout);
    }
}

#[tokio::test]
async fn a_batch_has_an_id_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let keys = "batch = {}\nenvelope = \"none\"\nheaders = { X-Id = \"{id}\" }";
    let said = explained(folder.path(), "http://127.0.0.1:9/", keys, "1").await;
    assert!(said.stdout.contains("\n    [1]") && said.stdout.contains("    webhook-id: bat_"), "{} {}", said.stdout, said.stderr);
    assert!(said.stdout.contains("    x-id: bat_") && !said.stdout.contains("evt_"), "{}", said.stdout);
}

#[tokio::test]
async fn what_stands_in_an_event_cannot_steer_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let config = everything_to(&[("hook", "http://127.0.0.1:9/", "")])
        + "transform = \"error(.data)\"\n[[routes]]\nevents = [\"**\"]\nwhen = \".data\\n| .x\"\nto = [\"hook\"]\n";
    fs::write(folder.path().join("sidehook.toml"), config).unwrap();
    fs::write(folder.path().join("data.json"), "\"\\u001b[31m\\n\\u009b\"").unwrap();
    let said = run(folder.path(), &["explain", "a", "--data", "data.json"]).await;
    assert!(said.stdout.contains("a dead letter: \\u{1b}[31m \\u{9b}\n"), "{}", said.stdout);
    assert!(said.stdout.contains("`when` fails (") && said.stdout.contains("): .data | .x -> hook"), "{}", said.stdout);
    assert!(!said.stdout.contains(['\u{1b}', '\u{9b}']), "{:?}", said.stdout);
}

#[tokio::test]
async fn no_part_of_a_secret_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    for (file, secret) in
        [("url", "http://127.0.0.1:9/in/URLSECRET?tok=QSECRETQ"), ("short", "abc12345"), ("long", "abc12345SUFFIX")]
    {
        fs::write(folder.path().join(file), secret).unwrap();
    }
    let keys = r#"auth = { type = "api_key", value = { file = "short" } }
headers = { X-Long = { file = "long" }, X-Written = "Bearer abc12345SUFFIX" }
signature = { scheme = "hmac", secrets = [{ file = "long" }], signed = "{path}{body}", headers = { X-Path = "{path}", X-Sig = "{signature}" } }"#;
    let config = everything_to(&[("hook", "URL", keys)]).replace("\"URL\"", "{ file = \"url\" }");
    fs::write(folder.path().join("sidehook.toml"), &config).unwrap();
    let said = run(folder.path(), &["explain", "a"]).await;
    for line in ["POST http://127.0.0.1:9\n", "x-api-key: ***\n", "x-long: ***\n", "x-written: Bearer ***\n", "x-path: ***?***\n"]
    {
        assert!(said.stdout.contains(line), "{line} is not in\n{}{}", said.stdout, said.stderr);
    }
    assert!(!said.stdout.contains("SUFFIX") && !said.stdout.contains("SECRET"), "{}", said.stdout);
    let auth = "auth = { type = \"basic\", username = { file = \"u\" }, password = { file = \"p\" } }";
    fs::write(folder.path().join("u"), "e").unwrap();
    fs::write(folder.path().join("p"), "a").unwrap();
    let short = explained(folder.path(), "http://127.0.0.1:9/", auth, "1").await;
    assert!(short.stdout.contains("    authorization: ***\n") && short.stdout.contains("{\"event_time\":"), "{}", short.stdout);
    fs::write(folder.path().join("sidehook.toml"), config).unwrap();
    let shown = run(folder.path(), &["explain", "a", "--show-secrets"]).await;
    assert!(shown.stdout.contains("x-path: /in/URLSECRET?tok=QSECRETQ\n"), "{}", shown.stdout);
}
