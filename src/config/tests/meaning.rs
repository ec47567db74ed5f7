//! What a config without errors is warned of, and what comes close to that and is not.

use super::*;

/// As `3:7 code: message: label (line: label of the second place)`, in the file's order.
fn warnings_in(source: &str, outside: &Outside) -> Vec<String> {
    let config =
        parse(source, Path::new("conf/sidehook.toml"), outside).unwrap_or_else(|problems| panic!("{source}\n{problems}"));
    let line = |problem: &Problem| {
        let (line, column) = problem.span.as_ref().map_or((0, 0), |span| config.warnings.position(span));
        let label = problem.label.as_ref().map(|label| format!(": {label}")).unwrap_or_default();
        let beside = problem.beside.as_ref().map(|(span, label)| format!(" ({}: {label})", config.warnings.position(span).0));
        format!("{line}:{column} {}: {}{label}{}", problem.code.as_str(), problem.message, beside.unwrap_or_default())
    };
    config.warnings.iter().map(line).collect()
}

fn warnings(source: &str) -> Vec<String> {
    let outside = Outside {
        variable: Box::new(|name| match name {
            "SHORT" => Ok("hunter2-and-more".to_owned()),
            "LONG" => Ok("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
            "HEX" => Ok("00112233445566778899aabbccddeeff".to_owned()),
            // 18 bytes.
            "BASE64" => Ok("MDEyMzQ1Njc4OTAxMjM0NTY3".to_owned()),
            "HOOK" => Ok("http://a.example/in".to_owned()),
            "HOOK_WITH_TOKEN" => Ok("http://a.example/in?my_token=1".to_owned()),
            _ => Err(VarError::NotPresent),
        }),
        ..Outside::empty()
    };
    warnings_in(source, &outside)
}

/// Those of the only endpoint of a file; its keys begin at line 2.
fn warnings_of(keys: &str) -> Vec<String> {
    let url = if keys.starts_with("url") { "" } else { "\nurl = \"https://a.example/\"" };
    let routes = "[[routes]]\nevents = [\"**\"]\nto = [\"a\"]\n";
    warnings(&format!("[endpoints.a]\n{keys}{url}\n{routes}"))
}

#[test]
fn routes_that_change_nothing_are_told() {
    let endpoints = "endpoints.a.url = \"https://a.example/\"\nendpoints.b.url = \"https://b.example/\"\n";
    let nothing = "selects-nothing: this route selects no event: its `!` patterns take away all that the others select";
    let shadowed = "shadowed: this route changes nothing: all its endpoints get these events by earlier routes";
    for (routes, expected) in [
        (&["'a.*', '!a.**' | 'a', 'b'"][..], vec![format!("4:8 {nothing}")]),
        (&["'a.*', '!a.b' | 'a', 'b'"], vec![]),
        (&["'**' | 'a', 'b'", "'a.*' | 'b'"], vec![format!("8:8 {shadowed} (4: by this one)")]),
        (&["'**' | 'a'", "'**' | 'b'", "'x' | 'b', 'a'"], vec![format!("12:8 {shadowed} (4: by this one and 1 more)")]),
        (&["'a.*' | 'a', 'b'", "'a.**' | 'b'"], vec![]),
        (&["'**' | 'a'", "'x' | 'a', 'b'"], vec![]),
        (&["'a', 'b' | 'a', 'b', 'a'"], vec!["5:17 duplicate: the route names the endpoint `a` twice: once is enough".into()]),
    ] {
        let route = |text: &&str| {
            let (events, to) = text.split_once(" | ").unwrap();
            format!("[[routes]]\nevents=[{events}]\nto = [{to}]\n\n")
        };
        let routes: String = routes.iter().map(route).collect();
        assert_eq!(warnings(&format!("{endpoints}{routes}")), expected, "{routes}");
    }
    let long = format!("{endpoints}[[routes]]\nevents = [\"{}\"]\nto = [\"a\", \"b\"]", "a".repeat(256));
    assert_eq!(warnings(&long), ["4:10 selects-nothing: this route selects no event: no event has so long a type"]);
}

#[test]
fn an_endpoint_that_nobody_names_is_told_unless_somebody_switched_it_off() {
    let unused = ["1:12 unused: no route names the endpoint `a`"];
    assert_eq!(warnings("[endpoints.a]\nurl = \"https://a.example/\""), unused);
    assert_eq!(warnings("[endpoints.a]\nurl = \"https://a.example/\"\nactive = false"), [""; 0]);
    let by = "[[routes]]\nevents = [\"**\"]\nto = [\"a\", \"a\"]\nactive = false";
    assert_eq!(warnings(&format!("[endpoints.a]\nurl = \"https://a.example/\"\n{by}")), [""; 0]);
}

#[test]
fn an_endpoint_is_warned_of_what_it_says() {
    let literal = "literal-secret: a secret stands in the config file";
    let short = "short-secret: a secret of less than 24 bytes may be guessed";
    let clear = "cleartext: credentials go out unencrypted: everybody on the way can read";
    let md5 = "unproven: nothing proves to `a` who sent an event: anybody can compute an MD5";
    let fast = "overflow: an outage may fill the queue before the retries are over:";
    let warned = |keys: &str, expected: &[String]| assert_eq!(warnings_of(keys), expected, "{keys}");
    let token = "auth = { type = \"bearer\", token = { env = \"SHORT\" } }";
    for (keys, expected) in [
        ("auth = { type = 'bearer', token = 'abc' }", format!("2:35 {literal}")),
        ("auth = { type = 'bearer', token = '${TOKEN}' }", format!("2:35 {literal}: variables are not put into the text")),
        ("auth = { type = 'bearer', token = '$TOKEN' }", format!("2:35 {literal}: variables are not put into the text")),
        ("auth = { type = 'bearer', token = '$token' }", format!("2:35 {literal}")),
        ("headers = { Authorization = 'Basic abc' }", format!("2:29 {literal}")),
        ("headers = { X-Api-Key = 'abc' }", format!("2:25 {literal}")),
        ("url = 'https://a.example/in?a=1&token=abc'", format!("2:39 {literal}: the `token` of the query")),
        ("signature = { scheme = 'github', secrets = [{ env = 'SHORT' }] }", format!("2:45 {short}")),
        (
            "signature = { scheme = 'hmac', key = 'hex', secrets = [{ env = 'HEX' }], signed = '{body}', headers = { X = '{signature}' } }",
            format!("2:56 {short}"),
        ),
        (
            "signature = { scheme = 'hmac', key = 'base64', secrets = [{ env = 'BASE64' }], signed = '{body}', headers = { X = '{signature}' } }",
            format!("2:59 {short}"),
        ),
        (&format!("url = \"http://a.example/\"\n{token}"), format!("2:7 {clear} `auth`")),
        ("url = \"http://10.0.0.1/\"\nheaders = { X-Key = { env = \"SHORT\" } }", format!("2:7 {clear} the header `x-key`")),
        (
            "auth = { type = \"oauth2\", token_url = \"http://a.example/\", client_id = \"a\", client_secret = { env = \"SHORT\" } }",
            format!("2:39 {clear} `client_secret` and the token"),
        ),
        ("url = { env = \"HOOK_WITH_TOKEN\" }", format!("2:7 {clear} the query")),
        ("envelope = \"md5\"", format!("2:12 {md5}")),
        ("rate = \"50/s\"", format!("2:8 {fast} in 50m come 151750 events at this rate, and the queue holds 10000")),
        (
            "rate = \"1/s\"\nqueue.events = 99\nretry = { schedule = [\"40s\", \"1m\"] }",
            format!("2:8 {fast} in 100s come 100 events at this rate, and the queue holds 99"),
        ),
        ("retry.max_age = \"3s\"", "2:17 no-retry: no retry is ever made: the first would come after 5s".to_owned()),
    ] {
        warned(keys, &[expected]);
    }
    warned(
        "url = \"http://a.example/?token=abc\"",
        &[format!("2:7 {clear} the query's `token`"), format!("2:32 {literal}: the `token` of the query")],
    );
}

#[test]
fn what_comes_close_is_no_reason_to_warn() {
    let token = "auth = { type = \"bearer\", token = { env = \"SHORT\" } }";
    for keys in [
        "headers = { X-Source = 'shop', Idempotency-Key = '{id}', X-Key = 'a', X-Api-Key = { env = \"SHORT\" } }",
        "headers = { X-Api-Key = 'of-{type}' }",
        "url = 'https://a.example/in?a=1&key=1'",
        "signature = { scheme = 'github', secrets = [{ env = 'LONG' }] }",
        "signature = { scheme = 'standard', secrets = [{ env = 'LONG' }] }",
        token,
        &format!("url = \"http://127.0.0.2/\"\n{token}"),
        &format!("url = \"http://[::1]:80/\"\n{token}"),
        &format!("url = \"http://localhost/\"\n{token}"),
        &format!("url = \"http://a.example/\"\nactive = false\n{token}"),
        "url = \"https://a.example/\"\nauth = { type = \"oauth2\", token_url = \"http://127.0.0.1:1/\", client_id = \"a\", client_secret = { env = \"SHORT\" } }",
        "url = { env = \"HOOK\" }",
        "url = \"http://a.example/\"\nheaders = { X-Source = 'shop' }\nsignature = { scheme = 'github', secrets = [{ env = 'LONG' }] }",
        "envelope = \"md5\"\nauth = \"none\"",
        "envelope = \"md5\"\nsignature = []",
        &format!("envelope = \"md5\"\n{token}"),
        "envelope = \"md5\"\nsignature = { scheme = 'github', secrets = [{ env = 'LONG' }] }",
        "envelope = \"md5\"\nheaders = { X-Api-Key = { env = \"SHORT\" } }",
        "envelope = \"md5\"\nurl = { env = \"HOOK\" }",
        "envelope = \"md5\"\nactive = false",
        "rate = \"1/s\"\nqueue.events = 100\nretry = { schedule = [\"40s\", \"1m\"] }",
        "rate = \"50/s\"\nretry.max_age = \"200s\"",
        "rate = \"50/s\"\nretry.attempts = 1",
        "rate = \"50/s\"\nqueue.events = 151750",
        "retry.max_age = \"4s\"",
        "retry = { max_age = \"1s\", attempts = 1 }",
    ] {
        let url = if keys.contains("url =") { "" } else { "url = \"https://a.example/\"\n" };
        let source = format!("[endpoints.a]\n{url}{keys}\n[[routes]]\nevents = [\"**\"]\nto = [\"a\"]\n");
        assert_eq!(warnings(&source), [""; 0], "{keys}");
    }
}

#[test]
fn what_a_token_is_made_of_was_chosen_here() {
    let short = "short-secret: a secret of less than 24 bytes may be guessed";
    let tokens =
        "[listen]\ntoken = [{ env = 'LONG' }, { env = 'SHORT' }]\n[admin]\naddress = '127.0.0.1:1'\ntoken = { env = 'SHORT' }";
    assert_eq!(warnings(tokens), [format!("2:28 {short}"), format!("5:9 {short}")]);
}

#[test]
fn a_default_is_told_once_and_only_of_whom_it_concerns() {
    let source = "[defaults]\nenvelope = \"md5\"\nheaders = { X-Api-Key = \"abc\" }\n\
                  [endpoints.a]\nurl = \"https://a.example/\"\n[endpoints.b]\nurl = \"https://b.example/\"\nheaders = { x-api-key = { env = \"SHORT\" } }\n\
                  [[routes]]\nevents = [\"**\"]\nto = [\"a\", \"b\"]";
    assert_eq!(warnings(source), ["3:25 literal-secret: a secret stands in the config file"]);
    let source = "[defaults]\nheaders = { X-Source = { env = \"SHORT\" } }\n\
                  [endpoints.a]\nurl = \"http://a.example/\"\nheaders = { x-source = \"shop\" }\n\
                  [[routes]]\nevents = [\"**\"]\nto = [\"a\"]";
    assert_eq!(warnings(source), [""; 0], "the endpoint's own header is sent");
}

#[test]
fn a_certificate_proves_what_an_md5_does_not() {
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let outside = Outside {
        file: Box::new(move |path| Ok(if path.ends_with("key") { &key } else { &certificate }.clone().into_bytes())),
        ..Outside::empty()
    };
    let source = "[endpoints.a]\nurl = \"https://a.example/\"\nenvelope = \"md5\"\n\
                  tls = { certificate = \"certificate\", key = { file = \"key\" } }\n\
                  [[routes]]\nevents = [\"**\"]\nto = [\"a\"]";
    assert_eq!(warnings_in(source, &outside), [""; 0]);
}

#[test]
fn a_state_folder_that_cannot_be_written_is_told_at_its_place() {
    let outside = Outside { folder: Box::new(|_| Err(io::ErrorKind::PermissionDenied.into())), ..Outside::empty() };
    let told = "state-folder: this user cannot write to the state folder conf/state: permission denied";
    assert_eq!(warnings_in("# nothing", &outside), [format!("0:0 {told}")]);
    assert_eq!(warnings_in("[state]\ndirectory = \"state\"", &outside), [format!("2:13 {told}")]);
}

#[test]
fn files_that_others_read_or_that_are_mounted_alone_are_told() {
    let outside = |mounts: &'static [&'static str]| Outside {
        file: Box::new(|_| Ok(b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_vec())),
        look: Box::new(|path| {
            let path = path.to_str().unwrap();
            let real = match path {
                "conf/volume" => "/etc/volume/..2026_11_26_22_59_44.1/key".to_owned(),
                "conf/docker" => "/run/secrets/key".to_owned(),
                path => format!("/etc/{path}"),
            };
            Some(Look { path: real.into(), is_open_to_all: !path.ends_with("own") })
        }),
        mounts: Box::new(move || mounts.iter().map(PathBuf::from).collect()),
        ..Outside::empty()
    };
    let source = |file: &str| {
        let signature = format!("{{ scheme = \"github\", secrets = [{{ file = \"{file}\" }}, {{ file = \"{file}\" }}] }}");
        let endpoint = format!("[endpoints.a]\nurl = \"https://a.example/\"\nsignature = {signature}\n");
        format!("{endpoint}[[routes]]\nevents = [\"**\"]\nto = [\"a\"]")
    };
    let readable = "3:45 readable-secret: every user of this machine can read this secret";
    assert_eq!(warnings_in(&source("key"), &outside(&[])), [readable]);
    for file in ["own", "volume", "docker"] {
        assert_eq!(warnings_in(&source(file), &outside(&[])), [""; 0], "{file}");
    }
    let mounts = &["/etc/conf/own", "/etc/conf/sidehook.toml", "/run/secrets/key"];
    let config = "0:0 mounted-file: the config file is mounted by itself, without its folder";
    assert_eq!(warnings_in(&source("docker"), &outside(mounts)), [config]);
    let secret = "3:45 mounted-file: this file is mounted by itself, without its folder";
    assert_eq!(warnings_in(&source("own"), &outside(mounts)), [config, secret]);
}

#[test]
fn every_file_that_holds_a_secret_is_looked_at() {
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let outside = Outside {
        file: Box::new(move |path| {
            Ok(match path.file_name().and_then(|name| name.to_str()) {
                Some("certificate") => certificate.clone(),
                Some("key") => key.clone(),
                Some("url") => "https://a.example/".to_owned(),
                Some("proxy") => "http://proxy.example:3128".to_owned(),
                _ => "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
            }
            .into_bytes())
        }),
        look: Box::new(|path| Some(Look { path: path.to_owned(), is_open_to_all: true })),
        ..Outside::empty()
    };
    let source = r#"
listen.token = [{ file = "listen" }, { file = "listen-new" }]
admin.token = { file = "admin" }
admin.address = "127.0.0.1:1"
defaults.headers = { X-A = { file = "default" } }
defaults.proxy = { file = "proxy" }
[endpoints.a]
url = { file = "url" }
tls = { certificate = "certificate", key = { file = "key" } }
headers = { X-B = { file = "header" } }
signature = { scheme = "github", secrets = [{ file = "signature" }] }
auth = { type = "oauth2", token_url = { file = "url" }, client_id = { file = "id" }, client_secret = { file = "secret" } }
[endpoints.b]
url = "https://b.example/"
auth = { type = "basic", username = { file = "name" }, password = { file = "password" } }
[endpoints.c]
url = "https://c.example/"
auth = { type = "bearer", token = { file = "bearer" } }
[endpoints.d]
url = "https://d.example/"
auth = { type = "api_key", value = { file = "api-key" } }
[[routes]]
events = ["**"]
to = ["a", "b", "c", "d"]
"#;
    let mut told: Vec<String> = parse(source, Path::new("conf/sidehook.toml"), &outside)
        .unwrap_or_else(|problems| panic!("{problems}"))
        .warnings
        .iter()
        .map(|warning| warning.help.clone().unwrap_or_default().replace("take that right away: chmod o= conf/", ""))
        .collect();
    told.sort();
    let mut files: Vec<&str> = source.split("file = \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    files.sort_unstable();
    files.dedup();
    assert_eq!(told, files);
}

#[test]
fn a_warning_shows_what_to_write() {
    let source = "[endpoints.a]\nurl = \"https://a.example/\"\nrate = \"50/s\"\n[[routes]]\nevents = [\"**\"]\nto = [\"a\"]\n";
    let expected = "\
warning[overflow]: an outage may fill the queue before the retries are over
 --> conf/sidehook.toml:3:8
  |
3 | rate = \"50/s\"
  |        ^^^^^^ in 50m come 151750 events at this rate, and the queue holds 10000
  = help: raise `queue.events`, or give up within 3m: fewer `attempts`, or `retry.max_age`
";
    assert_eq!(good(source).warnings.to_string(), expected);
}
