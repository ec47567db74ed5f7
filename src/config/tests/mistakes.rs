//! What is said of a file that is wrong.

use proptest::prelude::*;

use super::*;

#[test]
fn problems_are_shown_at_the_very_value() {
    for (source, rendered) in RENDERED {
        assert_eq!(bad(source).to_string(), rendered.trim_start_matches('\n'), "{source}");
    }
}

#[test]
fn each_mistake_is_told_with_its_place() {
    for (source, expected) in MISTAKES {
        assert_eq!(spell(&bad(source)), *expected, "{source}");
    }
    for (keys, expected) in ENDPOINT_MISTAKES {
        let source = format!("[endpoints.a]\nurl = \"https://a.example/\"\n{keys}\n");
        assert_eq!(spell(&bad(&source)), [*expected], "{source}");
    }
}

#[test]
fn what_is_not_available_yet_says_so_and_its_off_value_is_fine() {
    for keys in [
        "order = \"parallel\"",
        "batch = false",
        "breaker = false",
        "disable_after = 0",
        "resume_after = \"0s\"",
        "http = \"auto\"",
        "http = \"1.1\"",
        "proxy = \"env\"",
        "proxy = \"none\"",
        "network = \"any\"",
    ] {
        endpoint(keys);
    }
    for source in ["[log]\nrotate = { keep = 3 }", "[log]\nformat = \"ecs\""] {
        let problems = bad(source);
        assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), [Code::NotAvailable], "{source}\n{problems}");
    }
    assert!(read("[log]\nformat = \"plain\"\naccepted = false").is_ok());
}

#[test]
fn no_diagnostic_shows_a_secret() {
    let before = "[endpoints.a]\nurl = \"https://a.example/\"\n";
    for keys in [
        "auth = { type = \"basic\", username = \"a:b\", password = \"hunter2\" }",
        "auth = { type = \"basic\", username = \"a\", passwrod = \"hunter2\" }",
        "auth = { type = \"bearer\", token = \"hunter2\nx\" }",
        "auth = { type = \"bearer\", token = \"\"\"hunter2\nhunter2\"\"\" }",
        "auth = { type = \"api_key\", value = { vault = \"hunter2\" } }",
        "auth = \"hunter2\"",
        "password = 'hunter2'",
        "password = hunter2",
        "secret = \"hunter2\"",
        "headers = { Authorization = \"Bearer hunter2\", Host = \"x\" }",
        "headers = { X-Api-Key = \"hunter2\", Host = \"x\" }",
        "signature = { scheme = \"standard\", secrets = [\"hunter2\"] }",
        "signature = { scheme = \"standard\", secrets = \"hunter2\" }",
        "signature = { scheme = \"hmac\", key = \"hunter2\", secrets = [\"x\"] }",
        "proxy = \"socks5://u:hunter2@proxy/\"",
        "tokne = [\"hunter2\", \"hunter2",
        "[endpoints.b]\nurl = \"https://u:hunter2@b.example/\"",
        "[endpoints.b]\nurl = \"https://u:hun/hunter2@b.example/\"",
        "[endpoints.b]\nurl = \"b.example://x?k=hunter2\"",
        "[endpoints.b]\nurl = \"https://b.example/?k=hunter2",
        "headers = { X-A = { env = \"TWO_LINES\" } }",
        "auth = { type = \"bearer\", token = { env = \"TWO_LINES\" } }",
        "auth = { type = \"basic\", username = \"u\", password = { env = \"TWO_LINES\" } }",
        "signature = { scheme = \"standard\", secrets = [{ env = \"TWO_LINES\" }] }",
        "[listen]\ntoken = \"hunter2 hunter2\"",
        "[listen]\ntoken = { env = \"TWO_LINES\" }",
    ] {
        let problems = bad(&format!("{before}{keys}\n"));
        let shown = format!("{problems}{problems:?}");
        assert!(!shown.contains("hunter2"), "{keys}\n{shown}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let problems = bad(
        "[listen]\nmax_body = 5\nport = 80\n[endpoints.a]\nurl = \"x\"\nmethod = \"GET\"\n[[routes]]\nevents = [\"a*\"]\nto = [\"b\"]\n",
    );
    let lines: Vec<_> = problems.iter().filter_map(|problem| Some(problems.position(problem.span.as_ref()?).0)).collect();
    assert_eq!((lines, problems.errors()), (vec![2, 3, 5, 6, 8, 9], 6));
    let problems = bad("a = \n[x]\nb = nope\n");
    assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), [Code::Syntax, Code::Syntax]);
}

#[test]
fn thousands_of_problems_are_counted_and_not_all_listed() {
    let source: String = (0..3000).map(|n| format!("k{n}x = 1\n")).collect();
    let problems = bad(&source);
    assert_eq!(problems.errors(), 3000);
    assert!(problems.to_string().ends_with("\n… and 2750 more errors\n"));
}

#[test]
fn a_problem_in_a_very_long_line_is_cut_to_a_screen() {
    let source = format!("[endpoints.a]\nurl = \"http://a/\"\nsuccess = [{}9, {}]", "200, ".repeat(500), "201, ".repeat(500));
    let rendered = bad(&source).to_string();
    let lines: Vec<_> = rendered.lines().collect();
    assert!(lines.iter().all(|line| line.chars().count() < 260), "{rendered}");
    let caret = lines[4].chars().position(|character| character == '^').unwrap();
    assert_eq!(lines[3].chars().nth(caret), Some('9'), "{rendered}");
}

proptest! {
    #[test]
    fn no_damage_to_a_file_makes_reading_it_panic(
        damage in proptest::collection::vec((0..EXAMPLE.len(), any::<u8>(), 0..4u8), 1..6)
    ) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        for (at, byte, how) in damage {
            let at = at.min(bytes.len());
            match how {
                0 => bytes.insert(at, byte),
                1 => bytes.truncate(at),
                2 => drop(bytes.drain(at..(at + usize::from(byte % 16)).min(bytes.len()))),
                _ => bytes.iter_mut().skip(at).take(1).for_each(|damaged| *damaged = byte),
            }
        }
        let source = String::from_utf8_lossy(&bytes);
        if let Err(problems) = read(&source) {
            prop_assert!(problems.errors() > 0);
            prop_assert!(problems.to_string().contains("sidehook.toml"));
        }
    }

    #[test]
    fn no_text_at_all_makes_reading_it_panic(source in "\\PC{0,80}") {
        if let Err(problems) = read(&source) {
            prop_assert!(!problems.to_string().is_empty());
        }
    }
}

fn spell(problems: &Problems) -> Vec<String> {
    let place = |problem: &Problem| problem.span.as_ref().map_or((0, 0), |span| problems.position(span));
    let line = |problem: &Problem| {
        let (line, column) = place(problem);
        let label = problem.label.as_ref().map(|label| format!(": {label}")).unwrap_or_default();
        format!("{line}:{column} {}: {}{label}", problem.code.as_str(), problem.message)
    };
    problems.iter().filter(|problem| problem.severity == Severity::Error).map(line).collect()
}

const MISTAKES: &[(&str, &[&str])] = &[
    (
        "[listen]\naddress = \"localhost:80\"",
        &["2:11 bad-value: bad value for `address`: write an IP address and a port, like \"127.0.0.1:7070\", or \"unix:PATH\""],
    ),
    (
        "[listen]\naddress = \"unix:\"",
        &["2:11 bad-value: bad value for `address`: the socket's path is missing, like \"unix:/run/sidehook.sock\""],
    ),
    (
        "[listen]\nmode = \"0660\"\nuids = [0]",
        &["2:8 conflict: `mode` goes with a Unix socket only", "3:8 conflict: `uids` goes with a Unix socket only"],
    ),
    (
        "[listen]\naddress = \"unix:s\"\nmode = \"0680\"",
        &["3:8 bad-value: bad value for `mode`: write it in octal, like \"0660\""],
    ),
    (
        "[listen]\naddress = \"unix:s\"\nmode = \"7777\"",
        &["3:8 bad-value: bad value for `mode`: write it in octal, like \"0660\""],
    ),
    ("[admin]\nhosts = [\"a.internal\"]", &["1:2 missing-key: [admin] needs `address`: `address` is missing"]),
    ("[admin]\naddress = \"0.0.0.0:7071\"", &["2:11 conflict: a listener that others can reach needs a token"]),
    ("[admin]\naddress = \"127.0.0.1:7070\"", &["2:11 conflict: events come in at this address already"]),
    (
        "[admin]\naddress = \"127.0.0.1:7071\"\nmax_body = \"1MiB\"",
        &["3:1 unknown-key: unknown key `max_body` in [admin]: belongs in [listen]"],
    ),
    ("[listen]\naddress = \"unix:s\"\nuids = []", &["3:8 bad-value: bad value for `uids`: needs at least one"]),
    (
        "[listen]\nhosts = [\"a\", \"http://b\"]",
        &["2:15 bad-value: bad value for `hosts`: write a host name or an address, without scheme and port"],
    ),
    ("[listen]\ntoken = [\"a\", \"b\", \"c\"]", &["2:9 bad-value: bad value for `token`: at most two tokens"]),
    ("[listen]\ntoken = []", &["2:9 bad-value: bad value for `token`: needs at least one"]),
    ("[listen]\nmax_batch = 0", &["2:13 bad-value: bad value for `max_batch`: must be from 1 to 4294967295"]),
    ("[listen]\nmax_batch = -1", &["2:13 bad-value: bad value for `max_batch`: must be from 1 to 4294967295"]),
    (
        "[listen]\nmax_body = \"1MB\"",
        &["2:12 bad-value: bad value for `max_body`: `MB` is no unit: there are B, KiB, MiB, GiB, TiB"],
    ),
    ("[listen]\nkeep_alive = \"0s\"", &["2:14 bad-value: bad value for `keep_alive`: must be more than 0"]),
    ("[listen]\nkeep_alive = true", &["2:14 wrong-type: `keep_alive` must be a duration like \"5s\", not true or false"]),
    ("[log]\ndeliveries = \"\"", &["2:14 bad-value: bad value for `deliveries`: is empty"]),
    ("listen = 3", &["1:10 wrong-type: `listen` must be a table, not a number"]),
    ("endpoints = []", &["1:13 wrong-type: `endpoints` must be a table of endpoints: [endpoints.NAME], not a list"]),
    ("[routes]", &["1:2 wrong-type: `routes` must be a list of tables: [[routes]], not a table"]),
    (
        "[[routes]]",
        &[
            "1:1 missing-key: [[routes]] needs `events`: `events` is missing",
            "1:1 missing-key: [[routes]] needs `to`: `to` is missing",
        ],
    ),
    ("max_body = \"1MiB\"", &["1:1 unknown-key: unknown key `max_body` in the file's top level: belongs in [listen]"]),
    ("[endpoints.\"a b\"]\nurl = \"http://a/\"", &["1:12 bad-value: bad name for an endpoint: 1 to 64 of A-Z a-z 0-9 _ -"]),
    (
        "[defaults]\nurl = \"http://a/\"\nid = \"a\"",
        &[
            "2:7 conflict: `url` cannot be a default: every endpoint has its own",
            "3:6 conflict: `id` cannot be a default: every endpoint has its own",
        ],
    ),
    (
        "[endpoints.a]\nurl = \"http://a/\"\n[[routes]]\nevents = [\"!a\", \"x*\", \"a..b\", \"!\", \"ä\"]\nto = [\"a\"]",
        &[
            "4:17 bad-value: bad pattern: `x*`: a star stands for whole segments only, as in `a.*` or `a.**`",
            "4:31 bad-value: bad pattern: an empty pattern matches nothing; everything is \"**\"",
            "4:36 bad-value: bad pattern: `ä` cannot be in an event type: only A-Z a-z 0-9 . _ - : / are",
        ],
    ),
    (
        "[endpoints.a]\nurl = \"http://a/\"\n[[routes]]\nevents = [\"!a\"]\nto = [\"a\"]",
        &["4:10 conflict: a route with nothing but `!` patterns selects nothing"],
    ),
    ("a = 1\na = 2", &["2:1 syntax: duplicate key"]),
];

/// What is wrong with one key of an endpoint, from line 3.
const ENDPOINT_MISTAKES: &[(&str, &str)] = &[
    ("colour = 1", "3:1 unknown-key: unknown key `colour` in [endpoints.a]"),
    ("retry = { timeout = \"1s\" }", "3:11 unknown-key: unknown key `timeout` in [endpoints.a.retry]: belongs in [endpoints.a]"),
    ("method = \"post\"", "3:10 bad-value: bad value for `method`: did you mean \"POST\"?"),
    ("method = \"DELETE\"", "3:10 bad-value: bad value for `method`: must be one of \"POST\", \"PUT\""),
    ("format = \"jsno\"", "3:10 bad-value: bad value for `format`: did you mean \"json\"?"),
    ("active = \"yes\"", "3:10 wrong-type: `active` must be true or false, not a string"),
    ("id = \"a b\"", "3:6 bad-value: bad value for `id`: 1 to 255 visible ASCII characters"),
    (
        "content_type = \"text/\u{e9}\"",
        "3:16 bad-value: bad value for `content_type`: write a media type, like \"application/json\"",
    ),
    ("content_type = \"json\"", "3:16 bad-value: bad value for `content_type`: write a media type, like \"application/json\""),
    ("xml = { root = \"order\" }", "3:16 conflict: `xml` goes with `format = \"xml\"` only"),
    ("success = 200", "3:11 bad-value: bad value for `success`: write [200]"),
    ("success = [\"200\"]", "3:12 bad-value: bad value for `success`: write a status like 200, or \"2xx\""),
    ("success = []", "3:11 bad-value: bad value for `success`: needs at least one"),
    ("retry = { attempts = 101 }", "3:22 bad-value: bad value for `attempts`: must be from 1 to 100"),
    ("retry = { attempts = 0 }", "3:22 bad-value: bad value for `attempts`: must be from 1 to 100"),
    ("retry = { jitter = 1.5 }", "3:20 bad-value: bad value for `jitter`: must be from 0 to 1"),
    ("retry = { jitter = nan }", "3:20 bad-value: bad value for `jitter`: must be from 0 to 1"),
    ("retry = { schedule = [\"5s\"], backoff = \"fixed\" }", "3:40 conflict: `backoff` beside `schedule`"),
    ("retry = { schedule = [\"5s\", 5] }", "3:29 wrong-type: `schedule` is a number without a unit: write \"5s\""),
    ("concurrency = 0", "3:15 bad-value: bad value for `concurrency`: must be from 1 to 4294967295"),
    ("concurrency = 2.5", "3:15 wrong-type: `concurrency` must be a whole number, not a number"),
    ("headers = { \"a b\" = \"x\" }", "3:13 bad-value: bad name for a header: letters, digits and - . _ ~ ! # $ % & ' * + ^ ` |"),
    ("headers = { X-A = \"1\", x-a = \"2\" }", "3:24 duplicate: the header `x-a` is given twice"),
    ("headers = { webhook-id = \"x\" }", "3:13 conflict: the header `webhook-id` is already written by sidehook itself"),
    (
        "headers = { X-A = \"{\" }",
        "3:19 bad-value: a `{` or `}` has no partner: write `{{` and `}}` for braces that are only text",
    ),
    ("headers = { X-A = \"a\\nb\" }", "3:19 bad-value: a header's value cannot hold control characters, such as a line's end"),
    ("headers = { X-A = \" {id}\" }", "3:19 bad-value: a header's value cannot begin or end with a blank"),
    (
        "trace = true\nheaders = { TraceParent = \"x\" }",
        "4:13 conflict: the header `traceparent` is already written by sidehook itself",
    ),
    (
        "auth = { type = \"bearer\", token = \"x\" }\nheaders = { Authorization = \"x\" }",
        "4:13 conflict: the header `authorization` is already written by `auth`",
    ),
    ("auth = { type = \"bearer\" }", "3:8 missing-key: [endpoints.a.auth] needs `token`: `token` is missing"),
    ("auth = { type = \"bearer\", token = \"x\", value = \"x\" }", "3:48 conflict: `value` does not belong to this type of auth"),
    (
        "auth = { type = \"basic\", username = \"a:b\", password = \"x\" }",
        "3:37 bad-value: basic auth cannot carry a username with a colon",
    ),
    (
        "auth = { type = \"api_key\", header = \"User-Agent\", value = \"x\" }",
        "3:8 conflict: the header `user-agent` is already written by sidehook itself",
    ),
    ("signature = { scheme = \"github\", secrets = [\"\"] }", "3:45 bad-value: bad value for `secrets`: is empty"),
    ("signature = { scheme = \"github\" }", "3:13 missing-key: [endpoints.a.signature] needs `secrets`: `secrets` is missing"),
    (
        "signature = { scheme = \"githbu\", secrets = [\"x\"] }",
        "3:24 bad-value: bad value for `scheme`: did you mean \"github\"?",
    ),
    (
        "signature = { scheme = \"github\", secrets = [\"x\"], encoding = \"hex\" }",
        "3:62 conflict: `encoding` does not belong to the scheme `github`",
    ),
    (
        "signature = { scheme = \"standard\", secrets = [\"!\"] }",
        "3:47 secret: secret 1 is not base64, with or without `whsec_` before it",
    ),
    (
        "signature = [{ scheme = \"shopify\", secrets = [\"x\"] }, { scheme = \"shopify\", secrets = [\"x\"] }]",
        "3:66 conflict: the header `x-shopify-hmac-sha256` is already written by `signature`",
    ),
    (
        "signature = { scheme = \"github\", secrets = [\"x\"] }\nheaders = { X-GitHub-Event = \"x\" }",
        "4:13 conflict: the header `x-github-event` is already written by `signature`",
    ),
    ("headers = { X-A = { env = \"NOWHERE\" } }", "3:19 secret: the environment variable NOWHERE is not set"),
    (
        "headers = { X-A = { env = \"A\", file = \"b\" } }",
        "3:19 bad-value: bad value for `X-A`: write exactly one of `env`, `file` and `credential`",
    ),
];

const RENDERED: &[(&str, &str)] = &[
    (
        "[endpoints.billing]\nurl = \"https://a.example/\"\ntimeuot = \"5s\"\n",
        r#"
error[unknown-key]: unknown key `timeuot` in [endpoints.billing]
 --> conf/sidehook.toml:3:1
  |
3 | timeuot = "5s"
  | ^^^^^^^ did you mean `timeout`?
"#,
    ),
    (
        "[endpoints.billing]\nurl = \"https://a.example/\"\nattempts = 4\n",
        r#"
error[unknown-key]: unknown key `attempts` in [endpoints.billing]
 --> conf/sidehook.toml:3:1
  |
3 | attempts = 4
  | ^^^^^^^^ belongs in [endpoints.billing.retry]
"#,
    ),
    (
        "[endpoints.billing]\nurl = \"https://a.example/\"\n\ttimeout = 5\t# tabs before the value\n",
        r#"
error[wrong-type]: `timeout` is a number without a unit
 --> conf/sidehook.toml:3:12
  |
3 | 	timeout = 5	# tabs before the value
  | 	          ^ write "5s"
"#,
    ),
    (
        "[endpoints.billing]\ndescription = \"ünïcödé\"\n",
        r#"
error[missing-key]: [endpoints.billing] needs `url`
 --> conf/sidehook.toml:1:12
  |
1 | [endpoints.billing]
  |            ^^^^^^^ `url` is missing
"#,
    ),
    (
        "[endpoints.billing]\nurl = \"https://a.example/\"\n[[routes]]\nevents = [\"**\"]\nto = [\"biling\"]\n",
        r#"
error[unknown-endpoint]: there is no endpoint `biling`
 --> conf/sidehook.toml:5:7
  |
5 | to = ["biling"]
  |       ^^^^^^^^ did you mean "billing"?
"#,
    ),
    (
        "[endpoints.a]\nurl = \"https://user:hunter2@a.example/x?key=hunter2\"\n",
        r#"
error[bad-value]: bad value for `url`
 --> conf/sidehook.toml:2:7
  |
2 | url = "https://***@a.example/x?***"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ user and password do not belong in a URL: use auth = { type = "basic", … }
"#,
    ),
    (
        "[endpoints.a]\nurl = \"https://a.example/\"\nauth = { type = \"basic\", username = \"u:v\", password = \"hunter2\" }\n",
        r#"
error[bad-value]: basic auth cannot carry a username with a colon
 --> conf/sidehook.toml:3:37
  |
3 | auth = { type = "basic", username = "u:v", password = "***" }
  |                                     ^^^^^

warning[literal-secret]: a secret stands in the config file
 --> conf/sidehook.toml:3:55
  |
3 | auth = { type = "basic", username = "u:v", password = "***" }
  |                                                       ^^^^^
  = help: name it instead: { env = "NAME" }, { file = "PATH" } or { credential = "NAME" }
"#,
    ),
    (
        "[endpoints.a]\nurl = \"https://a.example/\"\nheaders = { Content-Type = \"text/plain\", X-Event = \"{nope}\" }\n",
        r#"
error[conflict]: the header `content-type` is already written by sidehook itself
 --> conf/sidehook.toml:3:13
  |
3 | headers = { Content-Type = "text/plain", X-Event = "{nope}" }
  |             ^^^^^^^^^^^^
  = help: `content_type` sets it

error[bad-value]: `{nope}` is not known here: there is `{id}`, `{type}`, `{time}`, `{attempt}`
 --> conf/sidehook.toml:3:52
  |
3 | headers = { Content-Type = "text/plain", X-Event = "{nope}" }
  |                                                    ^^^^^^^^
"#,
    ),
    (
        "[endpoints.a]\nurl = { env = \"NOWHERE\" }\n",
        r#"
error[secret]: the environment variable NOWHERE is not set
 --> conf/sidehook.toml:2:7
  |
2 | url = { env = "NOWHERE" }
  |       ^^^^^^^^^^^^^^^^^^^
"#,
    ),
    (
        "[endpoints.a]\nurl = \"https://a.example/\"\norder = \"lifo\"\nrate = 100\nbatch = true\n",
        r#"
error[bad-value]: bad value for `order`
 --> conf/sidehook.toml:3:9
  |
3 | order = "lifo"
  |         ^^^^^^ write "parallel", "fifo", or { key = '.data.order_id' }

error[wrong-type]: `rate` is a number without a unit
 --> conf/sidehook.toml:4:8
  |
4 | rate = 100
  |        ^^^ write "100/s"

error[bad-value]: bad value for `batch`
 --> conf/sidehook.toml:5:9
  |
5 | batch = true
  |         ^^^^ write {} for the defaults, or false
"#,
    ),
    (
        "[endpoints.a]\nurl = \"https://a.example/\"\nformat = \"xml\"\nbatch = {}\nheaders = { X-T = \"{type}\" }\n",
        r#"
error[conflict]: `batch` does not go with `format = "xml"`: a batch is a JSON array (endpoints.a)
 --> conf/sidehook.toml:4:9
  |
4 | batch = {}
  |         ^^
  = help: `batch = false` sends events one by one

error[conflict]: `batch` does not go with `{type}` in the header `x-t`: a batch has neither type nor time (endpoints.a)
 --> conf/sidehook.toml:4:9
  |
4 | batch = {}
  |         ^^
  = help: `batch = false` sends events one by one
"#,
    ),
    (
        "[endpoints.a]\nurl = \"https://a.example/\"\n[[routes]]\nevents = [\"**\"]\nto = [\"a\"]\nwhen = '.data | slect(.a)'\ntransform = \"{a: \\\"x\\\", b: env.A}\"\n[[routes]]\nevents = [\"**\"]\nto = [\"a\"]\ntransform = \"\"\"\n{\n  a: .data.\n}\"\"\"\n",
        r#"
error[expression]: bad jq in `when`: there is no filter `slect`
 --> conf/sidehook.toml:6:17
  |
6 | when = '.data | slect(.a)'
  |                 ^^^^^
  = help: did you mean `select`? A name in quotes is a text

error[expression]: bad jq in `transform`: `env` is not available here: it reads the process, not the event
 --> conf/sidehook.toml:7:28
  |
7 | transform = "{a: \"x\", b: env.A}"
  |                            ^^^
  = help: `map`, `reduce`, `..`, `walk` and `limit` go through what an event has, and end

error[expression]: bad jq in `transform`: expected a key
  --> conf/sidehook.toml:14:1
   |
14 | }"""
   | ^
"#,
    ),
    (
        "[endpoints.a]\nurl = \"https://a.example/\"\n[[routes]]\nevents = [\"**\"]\nto = [\"a\"]\nwhen = \"\\u002edata == \\\"\\U0001F600\\\" and slect\"\ntransform = \"\"\"\n  .data | \\\n\n  .a & 1\"\"\"\n",
        r#"
error[expression]: bad jq in `when`: there is no filter `slect`
 --> conf/sidehook.toml:6:42
  |
6 | when = "\u002edata == \"\U0001F600\" and slect"
  |                                          ^^^^^
  = help: did you mean `select`? A name in quotes is a text

error[expression]: bad jq in `transform`: expected an expression or an operator, not `&`
  --> conf/sidehook.toml:10:6
   |
10 |   .a & 1"""
   |      ^
"#,
    ),
    (
        "password = hunter2\n",
        r#"
error[syntax]: string values must be quoted, expected literal string
 --> conf/sidehook.toml:1:12
  |
1 | password =***
  |           ^^^
"#,
    ),
    (
        "[listen]\naddress = \"0.0.0.0:80\"\ncolour = \"red\"\n",
        r#"
error[conflict]: a listener that others can reach needs a token
 --> conf/sidehook.toml:2:11
  |
2 | address = "0.0.0.0:80"
  |           ^^^^^^^^^^^^
  = help: add token = { env = "NAME" }, or listen on "127.0.0.1:7070"

error[unknown-key]: unknown key `colour` in [listen]
 --> conf/sidehook.toml:3:1
  |
3 | colour = "red"
  | ^^^^^^
  = help: there are address, max_body, max_batch, header_timeout, body_timeout, keep_alive, max_connections, token, hosts, mode, uids, dedupe, source
"#,
    ),
];
