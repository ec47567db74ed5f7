//! What a config says, once it is read.

mod broken;
mod difference;
mod keys;
mod meaning;
mod mistakes;
mod schema;

use std::{env::VarError, io, time::Duration};

use super::*;
use crate::{
    encode,
    endpoint::{Auth, Bounds, HeaderText, Network, WhenFull},
    envelope::Envelope,
    log::Destination,
    retry::{On, Policy, Waits},
};
use http::{HeaderName, HeaderValue, Method};

/// The interface's example.
const EXAMPLE: &str = r##"#:schema ./sidehook.schema.json

[listen]
address  = "127.0.0.1:7070"
max_body = "1MiB"

[log]
deliveries = "logs/deliveries.jsonl"   # default "stdout"

[endpoints.billing]                    # a receiver: where it is and how it wants to be spoken to
description = "Billing back office"
url      = "https://billing.example.com/hooks"
method   = "POST"                      # POST | PUT
active   = true
format   = "json"                      # json | xml | form
envelope = "md5"                       # see 3
headers  = { X-Source = "shop", X-Event = "{type}", X-Key = { env = "BILLING_KEY" } }
timeout  = "10s"
success  = "2xx"                       # or a list: [200, "2xx"]
auth      = { type = "basic", username = "u", password = { env = "BILLING_PASSWORD" } }
signature = { scheme = "standard", secrets = [{ file = "secrets/billing" }] }
retry     = { attempts = 4, delay = "5s", backoff = "fixed" }

[[routes]]
events    = ["purchase.*", "subscription.cancelled"]
to        = ["billing"]
"##;

const SECOND: Duration = Duration::from_secs(1);

fn outside() -> Outside {
    Outside {
        variable: Box::new(|name| match name {
            "BILLING_KEY" => Ok("key-4711".to_owned()),
            "BILLING_PASSWORD" => Ok("open sesame".to_owned()),
            "BRACES" => Ok("{id}".to_owned()),
            "HOOK" => Ok("https://hooks.example.com/T0/hunter2?k=v".to_owned()),
            "TWO_LINES" => Ok("hunter2\nhunter2".to_owned()),
            _ => Err(VarError::NotPresent),
        }),
        file: Box::new(|path| match path.to_str() {
            Some("conf/secrets/billing") => Ok(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n".to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }),
        ..Outside::empty()
    }
}

fn read(source: &str) -> Result<Config, Problems> {
    parse(source, Path::new("conf/sidehook.toml"), &outside())
}

fn good(source: &str) -> Config {
    let config = read(source).unwrap_or_else(|problems| panic!("{source}\n{problems}"));
    assert_eq!(schema::objections(source), [""; 0], "{source}");
    config
}

fn bad(source: &str) -> Problems {
    read(source).err().unwrap_or_else(|| panic!("no error in {source}"))
}

/// The only endpoint of a file that has these keys.
fn endpoint(keys: &str) -> Arc<Endpoint> {
    good(&format!("[endpoints.a]\nurl = \"https://a.example/\"\n{keys}")).endpoints.remove(0)
}

fn headers(endpoint: &Endpoint) -> Vec<(&str, &HeaderText)> {
    endpoint.headers.iter().map(|(name, text)| (name.as_str(), text)).collect()
}

#[test]
fn the_example_of_the_interface_says_what_it_says() {
    let config = good(EXAMPLE);
    assert_eq!((config.listen.address.to_string(), config.listen.max_body), ("127.0.0.1:7070".to_owned(), 1 << 20));
    assert_eq!(config.log, log::Settings::from(Destination::File("conf/logs/deliveries.jsonl".into())));
    assert_eq!(config.files, [PathBuf::from("conf/sidehook.toml"), "conf/secrets/billing".into()]);
    assert!(config.warnings.is_empty(), "{}", config.warnings);
    let route = &config.routes[0];
    assert_eq!(
        (route.patterns.iter().map(ToString::to_string).collect::<Vec<_>>(), &*route.to, route.active),
        (vec!["purchase.*".to_owned(), "subscription.cancelled".to_owned()], &[0][..], true)
    );

    let billing = &config.endpoints[0];
    assert_eq!((&*billing.name, billing.description.as_deref()), ("billing", Some("Billing back office")));
    assert_eq!(&*billing.target.shown, "https://billing.example.com/hooks");
    assert_eq!((&billing.method, billing.active, billing.timeout), (&Method::POST, true, 10 * SECOND));
    assert_eq!((billing.shape.envelope, &billing.shape.format), (Envelope::Md5, &encode::Format::Json));
    assert_eq!(billing.shape.content_type, "application/json");
    assert_eq!([199, 200, 299, 300].map(|status| billing.success.contains(status)), [false, true, true, false]);
    let waits = Waits::Fixed { attempts: 4, delay: 5 * SECOND };
    assert_eq!(billing.retry, Policy { waits, max_delay: 600 * SECOND, jitter: 0.2, max_age: None, on: On::Transient });
    let Some(Auth::Header(name, value)) = &billing.auth else { panic!("there is auth") };
    assert_eq!((name.as_str(), value.to_str().unwrap()), ("authorization", "Basic dTpvcGVuIHNlc2FtZQ=="));
    assert!(value.is_sensitive());
    let signed: Vec<_> = billing.signatures.iter().flat_map(|signer| signer.header_names()).collect();
    assert_eq!(signed, ["webhook-timestamp", "webhook-signature"]);
    match &headers(billing)[..] {
        [("x-source", HeaderText::Fixed(shop)), ("x-event", HeaderText::Template(_)), ("x-key", HeaderText::Fixed(key))] => {
            assert_eq!((shop, key), (&HeaderValue::from_static("shop"), &HeaderValue::from_static("key-4711")));
        }
        other => panic!("{:?}", other.iter().map(|(name, _)| name).collect::<Vec<_>>()),
    }
    let secrets: Vec<_> = billing.secrets.iter().map(Secret::expose).collect();
    let whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    assert_eq!(secrets, ["open sesame", "dTpvcGVuIHNlc2FtZQ==", whsec, "key-4711"]);
}

#[test]
fn what_is_left_out_has_the_defaults_of_the_interface() {
    let config = good("# nothing\n");
    let listen = &config.listen;
    assert_eq!((listen.address.to_string(), listen.mode, &*listen.uids), ("127.0.0.1:7070".to_owned(), 0o660, &[][..]));
    assert_eq!((listen.max_body, listen.max_batch, listen.max_connections), (1 << 20, 1000, 1024));
    assert_eq!((listen.header_timeout, listen.body_timeout, listen.keep_alive), (5 * SECOND, 10 * SECOND, 75 * SECOND));
    assert_eq!((listen.dedupe.ids, listen.dedupe.window), (10_000, 600 * SECOND));
    assert!(listen.tokens.is_empty() && listen.hosts.is_empty());
    assert_eq!((&config.log, config.log_accepted), (&Destination::Stdout.into(), false));
    let rotate = |table: &str| good(&format!("log = {{ deliveries = \"a\", rotate = {table} }}")).log.rotate;
    let rotation = log::Rotation { size: Some(64 << 20), daily: true, keep: Some(8), total: Some(1 << 30), gzip: true };
    assert_eq!((rotate("{}"), rotate("false")), (Some(rotation.clone()), None));
    let sizes = log::Rotation { daily: false, keep: None, total: None, ..rotation };
    assert_eq!(rotate("{ every = false, keep = false, total = false }"), Some(sizes));
    assert_eq!(config.state, State { directory: "conf/state".into(), max_bytes: 1 << 30 });
    assert_eq!(config.shutdown, Shutdown { grace: 10 * SECOND, linger: Duration::ZERO });
    assert_eq!((config.queue_bytes, config.endpoints.len(), config.routes.len()), (256 << 20, 0, 0));

    let endpoint = endpoint("");
    assert_eq!((&endpoint.method, endpoint.active, endpoint.trace), (&Method::POST, true, false));
    assert_eq!(endpoint.target.network, Network::Any);
    assert_eq!((endpoint.shape.envelope, &endpoint.shape.format), (Envelope::Event, &encode::Format::Json));
    assert_eq!((endpoint.timeout, endpoint.idle_timeout, endpoint.concurrency), (10 * SECOND, 4 * SECOND, 8));
    assert_eq!(endpoint.queue, Bounds { events: 10_000, bytes: 64 << 20, when_full: WhenFull::DeadLetter });
    let waits = Waits::Exponential { attempts: 12, delay: 5 * SECOND };
    assert_eq!(endpoint.retry, Policy { waits, max_delay: 600 * SECOND, jitter: 0.2, max_age: None, on: On::Transient });
    assert!(endpoint.success.contains(204) && !endpoint.success.contains(304));
    assert!(endpoint.headers.is_empty() && endpoint.auth.is_none() && endpoint.signatures.is_empty());
}

#[test]
fn the_admin_listener_is_off_unless_it_is_named_and_shows_the_file_without_its_secrets() {
    assert!(good("# nothing").admin.is_none());
    let config = good(
        r#"
        [admin]
        address = "unix:admin.sock"
        token = { env = "BILLING_KEY" }
        hosts = ["Admin.Internal"]
        [listen]
        max_batch = 0x10
        [endpoints.b]
        url = "https://user.example/hooks?key=hunter2&a=1"
        auth = { type = "basic", username = "shop", password = "hunter2" }
        headers = { X-Source = "shop", X-Cookie = "hunter2", X-Key = { env = "BILLING_KEY" } }
        retry = { jitter = 0.5 }
        active = false
        [[routes]]
        events = ["**", "!a\u002eb"]
        to = ["b"]
        "#,
    );
    let admin = config.admin.unwrap();
    assert_eq!(admin.address, Address::Unix("conf/admin.sock".into()));
    assert_eq!(admin.tokens.iter().map(Secret::expose).collect::<Vec<_>>(), ["key-4711"]);
    assert_eq!(admin.hosts, ["admin.internal"]);
    let expected = concat!(
        r#"{"admin":{"address":"unix:admin.sock","token":{"env":"BILLING_KEY"},"hosts":["Admin.Internal"]},"#,
        r#""listen":{"max_batch":16},"endpoints":{"b":{"url":"https://user.example/hooks?***","#,
        r#""auth":{"type":"basic","username":"shop","password":"***"},"#,
        r#""headers":{"X-Source":"shop","X-Cookie":"***","X-Key":{"env":"BILLING_KEY"}},"#,
        r#""retry":{"jitter":0.5},"active":false}},"routes":[{"events":["**","!a.b"],"to":["b"]}]}"#,
    );
    assert_eq!(&*admin.shown, expected);
}

#[test]
fn every_available_key_is_taken() {
    let config = good(
        r#"
        [listen]
        address = "[::]:80"
        max_body = "2MiB"
        max_batch = 5
        header_timeout = "1s"
        body_timeout = "2s"
        keep_alive = "3s"
        max_connections = 7
        token = [{ env = "BILLING_KEY" }, { env = "BILLING_PASSWORD_IS_NOT_THIS" }]
        hosts = ["Sidehook.Internal", "[fe80::1]"]
        dedupe = { ids = 0, window = "1h" }
        [log]
        accepted = true
        [state]
        directory = "/var/lib/sidehook"
        max_bytes = "2GiB"
        [queue]
        bytes = "1MiB"
        [shutdown]
        grace = "1m"
        linger = "5s"
        "#
        .replace("BILLING_PASSWORD_IS_NOT_THIS", "BRACES")
        .as_str(),
    );
    let listen = &config.listen;
    assert_eq!(listen.address.to_string(), "[::]:80");
    assert_eq!((listen.max_body, listen.max_batch, listen.max_connections), (2 << 20, 5, 7));
    assert_eq!((listen.header_timeout, listen.body_timeout, listen.keep_alive), (SECOND, 2 * SECOND, 3 * SECOND));
    assert_eq!(listen.tokens.iter().map(Secret::expose).collect::<Vec<_>>(), ["key-4711", "{id}"]);
    assert_eq!(listen.hosts, ["sidehook.internal", "fe80::1"]);
    assert_eq!((listen.dedupe.ids, listen.dedupe.window), (0, 3600 * SECOND));
    assert!(config.log_accepted);
    assert_eq!(config.state, State { directory: "/var/lib/sidehook".into(), max_bytes: 2 << 30 });
    assert_eq!((config.queue_bytes, config.shutdown.grace, config.shutdown.linger), (1 << 20, 60 * SECOND, 5 * SECOND));

    let endpoint = endpoint(
        r#"
        id = "billing-1"
        method = "PUT"
        active = false
        format = "xml"
        xml = { root = "order" }
        content_type = "text/xml; charset=utf-8"
        success = [200, "4xx"]
        concurrency = 1
        idle_timeout = "9s"
        trace = true
        network = "public"
        retry = { schedule = ["1s", "2m"], max_delay = "1h", jitter = 0, max_age = "24h", on = "any" }
        queue = { events = 3, bytes = "4KiB", when_full = "reject" }
        headers = { User-Agent = "shop/1", X-Braces = { env = "BRACES" } }
        "#,
    );
    assert_eq!((&*endpoint.id, &endpoint.method, endpoint.active), ("billing-1", &Method::PUT, false));
    assert_eq!(endpoint.shape.format, encode::Format::Xml { root: "order".into() });
    assert_eq!(endpoint.shape.content_type, "text/xml; charset=utf-8");
    assert_eq!([200, 201, 404].map(|status| endpoint.success.contains(status)), [true, false, true]);
    assert_eq!((endpoint.concurrency, endpoint.idle_timeout, endpoint.trace), (1, 9 * SECOND, true));
    assert_eq!(endpoint.target.network, Network::Public);
    let waits = Waits::Schedule([SECOND, 120 * SECOND].into());
    let (max_delay, max_age) = (3600 * SECOND, Some(86_400 * SECOND));
    assert_eq!(endpoint.retry, Policy { waits, max_delay, jitter: 0.0, max_age, on: On::Any });
    assert_eq!(endpoint.queue, Bounds { events: 3, bytes: 4 << 10, when_full: WhenFull::Reject });
    // A referenced value is sent as it is: nothing in it is a placeholder.
    assert!(matches!(&headers(&endpoint)[..], [_, ("x-braces", HeaderText::Fixed(braces))] if braces == "{id}"));
}

#[test]
fn a_unix_socket_lies_where_the_file_says_and_needs_no_token() {
    let listen = good("[listen]\naddress = \"unix:run/in.sock\"\nmode = \"0606\"\nuids = [0, 4294967295]").listen;
    assert_eq!(listen.address.to_string(), "unix:conf/run/in.sock");
    assert_eq!((listen.mode, listen.uids), (0o606, vec![0, u32::MAX]));
    assert_eq!(good("[listen]\naddress = \"unix:/run/in.sock\"").listen.address.to_string(), "unix:/run/in.sock");
}

#[test]
fn auth_is_a_header_made_once() {
    for (auth, name, value) in [
        (
            r#"{ type = "basic", username = "Aladdin", password = "open sesame" }"#,
            "authorization",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        (r#"{ type = "bearer", token = { env = "BILLING_KEY" } }"#, "authorization", "Bearer key-4711"),
        (r#"{ type = "api_key", value = { env = "BILLING_KEY" } }"#, "x-api-key", "key-4711"),
        (r#"{ type = "api_key", header = "X-Case", value = { env = "BILLING_KEY" } }"#, "x-case", "key-4711"),
    ] {
        let endpoint = endpoint(&format!("auth = {auth}"));
        let Some(Auth::Header(made, text)) = &endpoint.auth else { panic!("{auth}") };
        assert_eq!((made, text.to_str().unwrap()), (&HeaderName::from_static(name), value));
    }
    assert!(endpoint("auth = \"none\"").auth.is_none());
}

#[test]
fn ids_are_made_of_the_name_and_are_nobody_elses() {
    assert_eq!(&*good(EXAMPLE).endpoints[0].id, "app_bsk4p3hbzynjoubhl3y4nv5nnm");
    let twice = EXAMPLE.replace(
        "[[routes]]",
        "[endpoints.other]\nid = \"app_bsk4p3hbzynjoubhl3y4nv5nnm\"\nurl = \"http://b.example/\"\n[[routes]]",
    );
    let problems = bad(&twice);
    let [problem] = &problems.iter().collect::<Vec<_>>()[..] else { panic!("{problems}") };
    assert_eq!((problem.code, &*problem.message), (Code::Duplicate, "the endpoint `billing` has the same id"));
}

#[test]
fn defaults_fill_what_an_endpoint_leaves_out() {
    let config = good(
        r#"
        [defaults]
        method = "PUT"
        headers = { X-Source = "shop", X-Both = "default" }
        retry = { attempts = 3, jitter = 0.5, on = "any" }
        queue = { events = 5, when_full = "reject" }
        success = [200]
        auth = { type = "bearer", token = { env = "BILLING_KEY" } }
        [endpoints.plain]
        url = "https://a.example/"
        [endpoints.own]
        url = "https://b.example/"
        method = "POST"
        headers = { x-both = "own" }
        retry = { schedule = ["1s"], on = "transient" }
        queue = { events = 6 }
        auth = "none"
        "#,
    );
    let [plain, own] = &config.endpoints[..] else { panic!("two endpoints") };
    assert_eq!((&plain.method, plain.retry.max_attempts(), plain.retry.jitter), (&Method::PUT, 3, 0.5));
    assert_eq!(plain.queue, Bounds { events: 5, bytes: 64 << 20, when_full: WhenFull::Reject });
    assert!(plain.auth.is_some() && !plain.success.contains(201));
    assert_eq!(headers(plain).iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["x-source", "x-both"]);

    assert_eq!((&own.method, own.retry.jitter, own.retry.on), (&Method::POST, 0.5, On::Transient));
    assert_eq!(own.retry.waits, Waits::Schedule([SECOND].into()));
    assert_eq!(own.queue, Bounds { events: 6, bytes: 64 << 20, when_full: WhenFull::Reject });
    assert!(own.auth.is_none());
    let [("x-both", HeaderText::Fixed(both)), ("x-source", _)] = &headers(own)[..] else { panic!("two headers") };
    assert_eq!(both, "own");
    // The file's order, not that of the alphabet.
    assert_eq!(config.endpoints.iter().map(|endpoint| &*endpoint.name).collect::<Vec<_>>(), ["plain", "own"]);
}

#[test]
fn endpoints_that_want_the_same_body_share_its_shape() {
    let one = "url = \"https://a.example/\"\n";
    let config = good(&format!("[endpoints.a]\n{one}[endpoints.b]\n{one}[endpoints.c]\n{one}format = \"form\""));
    let shapes: Vec<_> = config.endpoints.iter().map(|endpoint| &endpoint.shape).collect();
    assert!(Arc::ptr_eq(shapes[0], shapes[1]) && !Arc::ptr_eq(shapes[0], shapes[2]));
}

#[test]
fn a_url_that_is_a_secret_is_shown_as_scheme_and_host() {
    let config = good("[endpoints.a]\nurl = { env = \"HOOK\" }");
    let target = &config.endpoints[0].target;
    assert_eq!((&*target.shown, target.path_and_query.path()), ("https://hooks.example.com", "/T0/hunter2"));
    let masked: Vec<&str> = config.endpoints[0].secrets.iter().map(Secret::expose).collect();
    assert_eq!(masked, ["/T0/hunter2", "hunter2", "https://hooks.example.com/T0/hunter2?k=v"]);
    let config = good("[endpoints.a]\nurl = \"https://a.example/hooks?v=1&token=hunter2\"");
    assert_eq!(config.endpoints[0].secrets, [Secret::new("hunter2".to_owned())]);
}

#[test]
fn a_route_names_each_endpoint_once_in_its_own_order() {
    let source = "[endpoints.a]\nurl=\"http://a/\"\n[endpoints.b]\nurl=\"http://b/\"\n";
    let config = good(&format!(
        "{source}[[routes]]\nname = \"x\"\nactive = false\nevents = [\"**\", \"!a.*\"]\nto = [\"b\", \"a\", \"b\"]"
    ));
    let route = &config.routes[0];
    assert_eq!((route.name.as_deref(), &*route.to, route.active), (Some("x"), &[1, 0][..], false));
}

#[test]
fn the_state_directory_is_systemds_where_the_file_names_none() {
    let outside = Outside {
        variable: Box::new(|name| match name {
            "STATE_DIRECTORY" => Ok("/var/lib/sidehook:/var/lib/other".to_owned()),
            _ => Err(VarError::NotPresent),
        }),
        ..outside()
    };
    let directory =
        |source| parse(source, Path::new("conf/x.toml"), &outside).unwrap_or_else(|error| panic!("{error}")).state.directory;
    assert_eq!(directory(""), PathBuf::from("/var/lib/sidehook"));
    assert_eq!(directory("[state]\ndirectory = \"here\""), PathBuf::from("conf/here"));
}

#[test]
fn warnings_do_not_stop_a_config() {
    let config = good("[endpoints.a]\nurl = \"https://a.example/\"\nauth = { type = \"bearer\", token = \"literal\" }\n");
    let codes: Vec<_> = config.warnings.iter().map(|problem| problem.code).collect();
    assert_eq!((codes, config.warnings.errors()), (vec![Code::Unused, Code::LiteralSecret], 0));
    let template = |signed| {
        let keys = format!(
            "signature = {{ scheme = \"hmac\", secrets = [{{ file = \"secrets/billing\" }}], signed = \"{signed}\", headers = {{ X = \"{{signature}}\" }} }}"
        );
        let config =
            good(&format!("[endpoints.a]\nurl = \"https://a.example/\"\n{keys}\n[[routes]]\nevents = [\"**\"]\nto = [\"a\"]\n"));
        config.warnings.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>()
    };
    assert!(template("{timestamp}.{body}").is_empty());
    assert_eq!(template("{timestamp}.{path}"), ["the signature does not cover `{body}`"]);
}

#[test]
fn a_repair_may_be_in_a_secret_file_that_is_not_there_yet() {
    let problems = bad("[endpoints.a]\nurl = { file = \"secrets/url\" }\n");
    assert_eq!(problems.files(), [PathBuf::from("conf/sidehook.toml"), "conf/secrets/url".into()]);
}

#[test]
fn a_file_that_is_missing_empty_or_no_text_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sidehook.toml");
    let code = || load(&path).map(|_| ()).map_err(|problems| problems.iter().map(|problem| problem.code).collect::<Vec<_>>());
    assert_eq!(code(), Err(vec![Code::Unreadable]));
    std::fs::write(&path, " \n").unwrap();
    assert_eq!(code(), Err(vec![Code::Empty]));
    std::fs::write(&path, b"# \xff").unwrap();
    assert_eq!(code(), Err(vec![Code::Syntax]));
    std::fs::write(&path, "[endpoints.a]\nurl = { file = \"url\" }\n").unwrap();
    assert_eq!(code(), Err(vec![Code::Secret]));
    std::fs::write(folder.path().join("url"), "https://a.example/\n").unwrap();
    assert_eq!(code(), Ok(()));
    assert_eq!(load(&path).unwrap_or_else(|problems| panic!("{problems}")).files, [path.clone(), folder.path().join("url")]);
}

#[test]
fn tokens_have_the_proxy_of_their_own_server() {
    let outside = Outside {
        variable: Box::new(|name| match name {
            "HTTPS_PROXY" => Ok("http://me:hunter2@p:1".to_owned()),
            "NO_PROXY" => Ok("idp.example".to_owned()),
            _ => Err(VarError::NotPresent),
        }),
        ..Outside::empty()
    };
    for (url, token_url, keys, expected) in [
        ("https://a.example/", "https://b.example/", "", (true, true)),
        ("https://a.example/", "https://idp.example/", "", (true, false)),
        ("http://a.example/", "https://b.example/", "", (false, true)),
        ("https://a.example/", "https://b.example/", "proxy = \"none\"", (false, false)),
        ("https://localhost/", "https://idp.example/", "proxy = \"http://me:hunter2@q:1\"", (false, true)),
    ] {
        let auth = format!("{{ type = \"oauth2\", token_url = \"{token_url}\", client_id = \"a\", client_secret = \"b\" }}");
        let source = format!("[endpoints.a]\nurl = \"{url}\"\nauth = {auth}\n{keys}\n");
        let config = parse(&source, Path::new("conf/sidehook.toml"), &outside).unwrap_or_else(|problems| panic!("{problems}"));
        let endpoint = &config.endpoints[0];
        let Some(Auth::OAuth2(auth)) = &endpoint.auth else { panic!("{source}") };
        assert_eq!((endpoint.target.proxy.is_some(), auth.target.proxy.is_some()), expected, "{source}");
        let is_secret = |secrets: &[Secret]| secrets.iter().any(|secret| secret.expose() == "hunter2");
        assert_eq!((is_secret(&endpoint.secrets), is_secret(&auth.secrets)), (expected.0 || expected.1, expected.1), "{source}");
    }
}

#[test]
fn a_digest_is_of_what_an_endpoint_really_uses() {
    let digest = |source: &str| good(source).endpoints[0].digest.0.clone();
    let with = |defaults: &str, keys: &str| {
        digest(&format!("[defaults]\n{defaults}\n[endpoints.a]\nurl = \"https://a.example/\"\n{keys}"))
    };
    let one = with("", "timeout = \"3s\"\nretry.attempts = 2\nheaders = { X-A = \"1\" }");
    for (defaults, keys) in [
        ("timeout = \"3s\"", "retry = { attempts = 2 }\nheaders = { X-A = \"1\" }"),
        ("retry = { attempts = 2 }\nheaders = { x-a = \"1\" }", "timeout = \"3s\""),
        (
            "timeout = \"9s\"\nretry.schedule = [\"1s\"]\nheaders = { x-a = \"2\" }",
            "timeout = \"3s\"\nretry.attempts = 2\nheaders.X-A = \"1\"",
        ),
    ] {
        assert_eq!(with(defaults, keys), one, "{defaults}");
    }
    for defaults in
        ["method = \"PUT\"", "retry.jitter = 0.5", "headers = { x-b = \"1\" }", "auth = { type = \"bearer\", token = \"t\" }"]
    {
        assert_ne!(with(defaults, "timeout = \"3s\"\nretry.attempts = 2\nheaders = { X-A = \"1\" }"), one, "{defaults}");
    }
}

#[test]
fn a_digest_is_of_the_texts_and_files_that_an_endpoint_names() {
    let made = || rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let digest = |(made, user): (&rcgen::CertifiedKey<rcgen::KeyPair>, &'static str)| {
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let outside = Outside {
            variable: Box::new(move |_| Ok(user.to_owned())),
            file: Box::new(move |path| match path.to_str() {
                Some("conf/key.pem") => Ok(key.clone().into()),
                _ => Ok(certificate.clone().into()),
            }),
            ..Outside::empty()
        };
        let source = "[endpoints.a]\nurl = \"https://a.example/\"\ntls = { certificate = \"c.pem\", key = \"key.pem\" }\n\
                      auth = { type = \"basic\", username = { env = \"U\" }, password = \"p\" }";
        let config = parse(source, Path::new("conf/sidehook.toml"), &outside).unwrap_or_else(|problems| panic!("{problems}"));
        config.endpoints[0].digest.0.clone()
    };
    let (one, other) = (made(), made());
    assert_eq!(digest((&one, "u")), digest((&one, "u")));
    assert_ne!(digest((&one, "u")), digest((&other, "u")));
    assert_ne!(digest((&one, "u")), digest((&one, "v")), "it is too short to be masked, but it counts");
}

#[test]
fn what_an_endpoint_is_called_neither_hides_nor_shows_what_is_in_it() {
    for name in ["authors", "order", "tls", "token"] {
        let table = format!("[endpoints.{name}]\nurl = \"http://a.example/x\"\n");
        let auth = "auth = { type = \"bearer\", token = \"s3cret\" }\n[admin]\naddress = \"127.0.0.1:1\"\n";
        let shown = good(&(table.clone() + auth)).admin.unwrap().shown;
        let whole =
            format!("{{\"{name}\":{{\"url\":\"http://a.example/x\",\"auth\":{{\"type\":\"bearer\",\"token\":\"***\"}}}}}}");
        assert!(shown.contains(&whole), "{shown}");
        let problems = bad(&(table + "key = \"s3cret\"\n")).to_string();
        assert!(problems.contains("key = \"***\"") && !problems.contains("s3cret"), "{problems}");
    }
}
