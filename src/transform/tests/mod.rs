mod jq;
mod limits;

use proptest::prelude::*;

use super::*;
use crate::event::Time;

fn event<'a>(data: &'a str, context: Option<&'a str>) -> Event<'a> {
    let time = Time { text: "2026-11-22T19:21:53Z", unix_seconds: 1_795_375_313 };
    Event { id: "evt_1", event_type: "purchase.completed", time, context, data, source: "/sidehook", cloud: None, trace: None }
}

fn run(source: &str, data: &str) -> Result<Option<String>, RunError> {
    let program = Library::new().compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    program.value(&Input::new(event(data, None)))
}

fn value(source: &str, data: &str) -> String {
    run(source, data).unwrap_or_else(|error| panic!("{source}: {error}")).unwrap_or_else(|| "nothing".to_owned())
}

#[test]
fn a_program_sees_the_event() {
    let program = Library::new().compile("[.id, .type, .time, .context, .data.n]").unwrap();
    let of = |context| program.value(&Input::new(event("{\"n\": 1}", context))).unwrap().unwrap();
    assert_eq!(of(Some("{\"tenant\":7}")), r#"["evt_1","purchase.completed","2026-11-22T19:21:53Z",{"tenant":7},1]"#);
    assert_eq!(of(None), r#"["evt_1","purchase.completed","2026-11-22T19:21:53Z",null,1]"#);
}

#[test]
fn numbers_keep_their_text_unless_they_are_computed_with() {
    let data = "[1.0, -0, 2.50, 12345678901234567890123, 1e400, 1E2, -1.5e-7, 0]";
    assert_eq!(value(".data", data), data.replace(' ', ""));
    assert_eq!(value(".data[2] + 1", data), "3.5");
    assert_eq!(value(".data[3] + 1", data), "12345678901234567890124");
}

#[test]
fn what_comes_out_is_compact_json_with_its_keys_in_order() {
    let data = r#"{"z": {"b" : [ ] , "a":{} }, "é\u0000\"\\": "\ud83d\ude00\u2028", "a": [null,true,false]}"#;
    assert_eq!(value(".data", data), "{\"z\":{\"b\":[],\"a\":{}},\"é\\u0000\\\"\\\\\":\"😀\u{2028}\",\"a\":[null,true,false]}");
    assert_eq!(value("{total: .data.z, \"at\": .time}", data), r#"{"total":{"b":[],"a":{}},"at":"2026-11-22T19:21:53Z"}"#);
}

#[test]
fn the_first_output_counts_and_there_may_be_none() {
    assert_eq!(value(".data[]", "[1,2,3]"), "1");
    assert_eq!(run("empty", "1"), Ok(None));
    assert_eq!(run("first(.data[] | select(. > 5))", "[1,2]"), Ok(None));
}

#[test]
fn truth_is_everything_but_false_and_null() {
    let library = Library::new();
    let input = Input::new(event(r#"{"sku":"gold","n":0}"#, None));
    for (source, truth) in [
        (".data.sku | IN(\"gold\", \"silver\")", true),
        (".data.sku == \"iron\"", false),
        (".data.n", true),
        (".data.missing", false),
        ("\"\"", true),
        ("false, true", false),
        ("empty", false),
    ] {
        assert_eq!(library.compile(source).map(|program| program.is_true(&input)), Ok(Ok(truth)), "{source}");
    }
    assert!(library.compile(".data | keys | .[0].x").unwrap().is_true(&input).is_err());
}

#[test]
fn jq_as_people_write_it_works() {
    for (source, data, expected) in [
        ("{sku: .data.sku, total: .data.amount}", r#"{"sku":"a","amount":2.50}"#, r#"{"sku":"a","total":2.50}"#),
        (".data | with_entries(select(.value != null))", r#"{"a":null,"b":1}"#, r#"{"b":1}"#),
        (".data | map(.x) | add", r#"[{"x":1},{"x":2}]"#, "3"),
        (".data | to_entries | map(\"\\(.key)=\\(.value)\") | join(\"&\")", r#"{"a":1,"b":"c"}"#, "\"a=1&b=c\""),
        (".data | walk(if type == \"string\" then ascii_upcase else . end)", r#"{"a":["b"]}"#, r#"{"a":["B"]}"#),
        (".data | [.. | numbers]", "[1,[2,{\"a\":3}]]", "[1,2,3]"),
        (".data | capture(\"(?<y>[0-9]+)-(?<m>[0-9]+)\")", "\"2026-11\"", r#"{"y":"2026","m":"11"}"#),
        (".data | gsub(\"a\"; \"b\")", "\"banana\"", "\"bbnbnb\""),
        (".data | fromjson | .a", r#""{\"a\":1}""#, "1"),
        (".data | @base64, @uri", "\"a b\"", "\"YSBi\""),
        (".data | unique_by(.a) | length", r#"[{"a":1},{"a":1},{"a":2}]"#, "2"),
        ("reduce .data[] as $x (0; . + $x)", "[1,2,3]", "6"),
        ("def double: . * 2; .data | map(double)", "[1,2]", "[2,4]"),
        ("def range: 7; range", "1", "7"),
        ("def f(g): g | g; .data | f(. + 1)", "1", "3"),
        (".data | .a *= 3", r#"{"a":2}"#, r#"{"a":6}"#),
        (".data * {b: 2}", r#"{"a":1}"#, r#"{"a":1,"b":2}"#),
        (".data | pick(.a)", r#"{"a":1,"b":2}"#, r#"{"a":1}"#),
        (".data | \"x\" * 3", "1", "\"xxx\""),
        (".data | limit(2; .[])", "[1,2,3]", "1"),
        (".data | [paths]", r#"{"a":[1]}"#, r#"[["a"],["a",0]]"#),
        (".data | flatten", "[1,[2,[3]]]", "[1,2,3]"),
        (".data | transpose", "[[1,2],[3,4]]", "[[1,3],[2,4]]"),
        (".data | del(.a)", r#"{"a":1,"b":2}"#, r#"{"b":2}"#),
        (".time | fromdate | todate", "1", "\"2026-11-22T19:21:53Z\""),
        (".data | @csv", r#"["a\"b", 1, null, true]"#, r#""\"a\"\"b\",1,,true""#),
        (".data | INDEX(.id) | keys", r#"[{"id":"b"},{"id":"a"}]"#, r#"["a","b"]"#),
        ("[.data | leaf_paths]", r#"{"a":[1]}"#, r#"[["a",0]]"#),
        ("try error(\"x\") catch .", "1", "\"x\""),
        (".data as {a: $a, b: [$b]} | $a + $b", r#"{"a":1,"b":[2]}"#, "3"),
    ] {
        assert_eq!(value(source, data), expected, "{source}");
    }
}

#[test]
fn what_could_run_without_end_or_read_the_process_is_refused_at_its_name() {
    for (source, at, says) in [
        ("def f: f; f", 7..8, "`f` calls itself: it could run without end"),
        ("def f: 1 + f; f", 11..12, "`f` calls itself"),
        ("def f: def g: f; g; f", 14..15, "`f` calls itself"),
        ("def f(x): f(x | x); f(.)", 10..11, "`f` calls itself"),
        ("def f: [.[]? | f]; f", 15..16, "`f` calls itself"),
        ("last(range(1e12))", 5..10, "`range` is not available here: it could run without end"),
        ("[repeat(1)]", 1..7, "`repeat`"),
        ("[.[] | while(true; .)]", 7..12, "`while`"),
        ("until(false; .)", 0..5, "`until`"),
        ("recurse(.; true)", 0..7, "`recurse`"),
        ("recurse(.)", 0..7, "`recurse`"),
        ("combinations(3)", 0..12, "`combinations`"),
        ("input", 0..5, "`input` is not available here: it reads the process, not the event"),
        ("[inputs]", 1..7, "`inputs`"),
        ("debug", 0..5, "`debug`"),
        ("stderr", 0..6, "`stderr`"),
        ("halt", 0..4, "`halt`"),
        ("1 | halt_error(2)", 4..14, "`halt_error`"),
        ("env.PATH", 0..3, "`env`"),
        ("$ENV.PATH", 0..4, "`$ENV`"),
        ("\"a\\(range(5))\"", 4..9, "`range`"),
        ("{(env | tostring): 1}", 2..5, "`env`"),
        (".[range(1; 2)]", 2..7, "`range`"),
        (". as {(env.A): $x} | $x", 7..10, "`env`"),
    ] {
        let error = Library::new().compile(source).expect_err(source);
        assert!(error.at() == at && error.to_string().starts_with(says), "{source}: {error} at {:?}", error.at());
    }
    for source in ["recurse", "..", "walk(.)", "first(.[]?)", "def range(x): x; range(1)"] {
        assert!(Library::new().compile(source).is_ok(), "{source}");
    }
}

#[test]
fn what_is_no_jq_is_refused_where_it_goes_wrong() {
    for (source, at, says) in [
        ("", 0..0, "expected an expression"),
        (".data.", 6..6, "expected"),
        (".data | ", 8..8, "expected an expression"),
        ("{a: 1", 5..5, "expected closing brace"),
        ("if .a then 1", 12..12, "expected a else or end"),
        (".a b", 3..4, "expected the end, or an operator such as `|`"),
        ("import \"a\" as a; .", 7..10, "expected"),
        (".a & .b", 3..4, "expected an expression or an operator, not `&`"),
        ("1. + 2", 2..3, "expected a digit, not ` `"),
        ("\"\\q\"", 2..3, "expected one of"),
        ("\"\\ud83d\"", 3..4, "expected a character's four hex digits"),
        ("$ ", 1..2, "expected a name, not ` `"),
        (".data | frobnicate", 8..18, "there is no filter `frobnicate`"),
        (".data | map", 8..11, "`map` does not take no argument"),
        (".data | length(1; 2)", 8..14, "`length` does not take 2 arguments"),
        ("$x", 0..2, "there is no variable `$x`"),
        ("break $out", 6..10, "there is no label `$out`"),
    ] {
        let error = Library::new().compile(source).expect_err(source);
        assert!(error.to_string().starts_with(says), "{source}: {error} at {:?}", error.at());
        assert_eq!(error.at(), at, "{source}: {error}");
    }
}

#[test]
fn what_goes_wrong_while_it_runs_is_told_and_ends_there() {
    let jq = |text: &str| RunError::Jq(text.into());
    for (source, data, error) in [
        (".data.x.y", "1", jq("cannot index 1 with \"x\"")),
        ("error(\"no\")", "1", jq("no")),
        ("\"x\" * 500000000", "1", jq("a string is repeated beyond 1 MiB")),
        ("500000000 * \"x\"", "1", jq("a string is repeated beyond 1 MiB")),
        (".data *= 500000000", "\"x\"", jq("a string is repeated beyond 1 MiB")),
        ("\"x\" | scalb(.; 40)", "1", jq("a string is repeated beyond 1 MiB")),
        ("\"x\" * 1.5", "1", jq("cannot calculate")),
        (".data | tobytes", "\"a\"", RunError::NotJson("a string of bytes")),
        ("{(1): 2}", "1", RunError::NotJson("a key that is no string")),
        ("infinite", "1", RunError::NotJson("a number that is not finite")),
        ("nan", "1", RunError::NotJson("a number that is not finite")),
        ("reduce .data[] as $x (null; [.])", &format!("[{}0]", "0,".repeat(127)), RunError::TooDeep),
        ("[.data[] | \"x\" * 1000000]", "[1,2]", RunError::TooLarge),
        (".data | fromjson", &format!("\"{}\"", "[".repeat(100_000)), jq("more than 127 arrays and objects")),
    ] {
        match (run(source, data), error) {
            (Err(RunError::Jq(said)), RunError::Jq(expected)) if said.starts_with(&*expected) => {}
            (said, expected) => assert_eq!(said, Err(expected), "{source}"),
        }
    }
    let deepest = format!("{}{}", "[".repeat(127), "]".repeat(127));
    assert_eq!(value(".data", &deepest), deepest);
}

proptest! {
    #[test]
    fn no_program_of_these_pieces_panics_and_what_comes_out_is_json(
        pieces in proptest::collection::vec(prop::sample::select(vec![
            ".", ".data", ".[]", ".[]?", ".a", "..", "|", ",", "+", "*", "-", "//", "(", ")", "[", "]", "{a: .}", "1", "\"x\"", "-0",
            "map(.)", "select(.)", "tojson", "fromjson?", "length?", "keys?", "as $x |", "$x", "reduce", "try", "def f: .;", "f", "==",
            "and", "not", "if . then 1 else 2 end", "@json", "ascii?", "implode?", "explode?", "add", "tobytes?", "nan", ".[1:]?", "=", "|=",
            "del(.a)", ".a.b = 1", "gsub(\"e\";.)?", "tonumber?", "from_entries?", "pick(.a)?", "join(\".\")?", "00.5", ".[.]?", "tostream",
        ]), 1..9),
        data in prop::sample::select(vec!["null", "{\"a\":[1,\"b\",{\"c\":null}]}", "[[],{},\"\\u0000é\"]", "\"text\"", "-1.50"]),
    ) {
        if let Ok(program) = Library::new().compile(&pieces.join(" "))
            && let Ok(Some(text)) = program.value(&Input::new(event(data, None)))
        {
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{text}");
        }
    }
}
