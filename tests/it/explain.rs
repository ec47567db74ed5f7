//! `sidehook explain`: who would get an event, and what.

use std::fs;

use crate::support::{Receiver, run};

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
to = ["b"]
[[routes]]
events = ["**"]
transform = 'empty'
to = ["c"]
[[routes]]
events = ["**"]
transform = 'error("no")'
to = ["d"]
"#,
        url = receiver.url()
    );
    fs::write(folder.path().join("sidehook.toml"), config).unwrap();
    fs::write(folder.path().join("data.json"), " {\"sku\": \"gold\", \"n\": 1.0} \n").unwrap();
    let said = run(folder.path(), &["explain", "order.paid", "--data", "data.json"]).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    for line in [
        "route gold selects it: `order.*` matches, and `when` holds: .data.sku == \"gold\" -> a",
        "routes[1] does not: `order.*` matches, but `when` does not hold: .data.sku == \"iron\" -> b",
        "routes[2] does not: `!order.paid` takes it away -> b",
        "routes[3] does not: its type matches none of `case.*` -> b",
        "routes[4] does not: `**` matches, but `when` fails (cannot index \"gold\" with \"x\"): .data.sku.x -> b",
        "routes[5] does not: it is not active -> b",
        "routes[6] selects it: `**` matches -> b",
        "a (by route gold)",
        "/hook?key=***\n",
        "    authorization: ***\n",
        "    x-type: order.paid\n",
        "    {\"sku\":\"gold\",\"n\":1.0}",
        "b (by routes[6])",
        "    x-hub-signature-256: sha256=",
        "    content-type: application/x-www-form-urlencoded\n",
        "&data%5Bsku%5D=gold&data%5Bn%5D=1.0",
        "c (by routes[7])\n    the transform gives nothing, so nothing is sent",
        "d (by routes[8])\n    the transform fails, so it becomes a dead letter: no",
    ] {
        assert!(said.stdout.contains(line), "{line} is not in\n{}", said.stdout);
    }
    assert!(!said.stdout.contains("t0ken") && !said.stdout.contains("s3cret") && !said.stdout.contains("key=secret"));
    let shown = run(folder.path(), &["explain", "order.paid", "--data", "data.json", "--show-secrets"]).await;
    assert!(shown.stdout.contains("authorization: Bearer t0ken") && shown.stdout.contains("?key=secret"), "{}", shown.stdout);
    assert!(receiver.so_far().is_empty());
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
    assert!(said.code == 0 && said.stdout.contains("Nobody gets it."), "{} {}", said.stdout, said.stderr);
    let said = run(folder.path(), &["explain", "a", "--data", "bad.json"]).await;
    assert!(said.code == 1 && said.stderr.contains("bad.json is not JSON"), "{}", said.stderr);
}
