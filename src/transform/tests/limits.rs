//! What data or an expression may not do: run without end, take the stack, fill the memory, or leave JSON.

use super::*;

/// A JSON text as a JSON string.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

#[test]
fn a_text_that_is_no_json_ends_the_run_at_once() {
    for source in [".data | fromjson", ".data | tonumber", ".data | toboolean", ".data | fromjson | .a"] {
        for text in ["12,50", "", " ", "nope", "1 2", "[1", "{\"a\":1", "NaN", "b\"x\"", "#1", "1#", "'a'", "\"\u{1}\"", "tru"] {
            assert!(matches!(run(source, &quoted(text)), Err(RunError::Jq(_))), "{source} of {text}");
        }
    }
    assert_eq!(value("[.data | tonumber? // 0]", &quoted("12,50")), "[0]");
    assert!(matches!(run(".data | fromjson", r#""\"\\ud800\"""#), Err(RunError::Jq(_))), "half a surrogate pair");
    assert!(matches!(run(".data | fromjson", &quoted(&format!("#\"\n{}", "[".repeat(100_000)))), Err(RunError::Jq(_))));
}

#[test]
fn numbers_in_texts_are_read_as_jq_does_and_written_as_json() {
    for (text, expected) in [
        ("12.50", "12.50"),
        ("-0", "-0"),
        ("007.50", "7.50"),
        ("+7.5", "7.5"),
        ("-.5", "-0.5"),
        ("5.", "5"),
        (" 00 \n", "0"),
        ("1E+2", "1E+2"),
        ("1e400", "1e400"),
        ("12345678901234567890123", "12345678901234567890123"),
    ] {
        assert_eq!(value(".data | tonumber", &quoted(text)), expected, "{text}");
    }
    for text in ["", ".", "-", "1e", "1e+", "0x10", "1_000", "--1", "+-1", "1.2.3", "NaN", "-Infinity", "١"] {
        assert!(run(".data | tonumber", &quoted(text)).is_err(), "{text}");
    }
    assert_eq!(value(r#"["+1.5" | tonumber | -., . + 1, sqrt]"#, "1"), "[-1.5,2.5,1.224744871391589]");
    assert_eq!(value("[00.5, -00.50, 007, 0, 0.0, 00e1]", "1"), "[0.5,-0.50,7,0,0.0,0e1]");
    assert_eq!(value("[.data | tojson, (tojson | fromjson)]", "[-0, 1.0]"), r#"["[-0,1.0]",[-0,1.0]]"#);
}

#[test]
fn a_long_integer_costs_no_more_than_its_length() {
    let long = "7".repeat(1_000_000);
    assert_eq!(value(".data", &long), long);
    assert_eq!(value(".data | tojson | fromjson", &long), long);
    assert_eq!(value(".data > 5", &long), "true");
    assert_eq!(run(".data + 1", &long), Err(RunError::NotJson("a number that is not finite")));
    let error = run("reduce .data[] as $x (7; . * .)", &format!("[{}0]", "0,".repeat(99)));
    assert!(matches!(error, Err(RunError::Jq(said)) if said.starts_with("an integer has more than")));
}

#[test]
fn a_replacement_takes_memory_in_proportion_to_the_text() {
    let lines = quoted(&"a line of an ordinary text that is not short\n".repeat(20_000));
    assert_eq!(value(r#".data | gsub("\n"; "") | length"#, &lines), "880000");
    assert_eq!(value(r#".data | [sub("(?<w>ordinary)"; "\(.w)!"; "g")] | length"#, &lines), "1");
    assert!(matches!(run(r#".data | gsub("a"; "\(.)" * 1000; "")"#, &lines), Err(RunError::Jq(_))));
    assert!(matches!(run(r#"[.data[] | "x"] | join("x" * 1000000)"#, "[1,2,3]"), Err(RunError::Jq(_))));
}

#[test]
fn a_deep_or_wide_value_is_an_error_where_it_would_become_text() {
    let many = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
    for use_of_it in ["tojson", "tostring", "\"\\(.)\"", "@json", "@text", "@base64", "error", ".a", "-.", "[.] | join(\"\")"] {
        for (made, count) in [("reduce .data[] as $x (null; [.])", 2_000), ("reduce .data[] as $x (0; [., .])", 60)] {
            let source = format!("{made} | {use_of_it}");
            assert!(matches!(run(&source, &many(count)), Err(RunError::Jq(_))), "{source}");
        }
    }
    assert!(matches!(run("setpath(.data; 1)", &format!("[{}\"a\"]", "\"a\",".repeat(100_000))), Err(RunError::Jq(_))));
    assert!(matches!(run("[] | setpath([1e9]; 1)", "1"), Err(RunError::Jq(_))));
    assert!(matches!(run("null | setpath([1000000000]; 1)", "1"), Err(RunError::Jq(_))));
}

#[test]
fn the_deepest_event_and_the_deepest_expression_have_room_together() {
    let data = format!("{}{}", "[".repeat(127), "]".repeat(127));
    let deep = format!("if . == 1 then 0{} else . end", " + 1".repeat(180));
    for source in [
        format!(".data | walk({deep})"),
        format!(".data | .. |= ({deep})"),
        format!(".data | first(.. | {deep})"),
        ".data | tojson | fromjson".to_owned(),
        ".data | del(.. | .a?)".to_owned(),
    ] {
        assert_eq!(value(&source, &data), data, "{source}");
    }
    for source in
        ["[.data | tostream] | length", "[.data | ..] | length", "[.data | recurse] | length", "[.data | paths] | length + 1"]
    {
        assert_eq!(value(source, &data), "127", "{source}");
    }
    assert_eq!(value(".data | flatten", &data), "[]");
}

#[test]
fn no_definition_hides_that_it_calls_itself() {
    let error = Library::new().compile("def f: def g($f): f; g(1); f").unwrap_err();
    assert_eq!((error.at(), error.to_string().contains("calls itself")), (18..19, true));
    assert!(Library::new().compile("def f(g): g; f(f(f(.)))").is_ok());
}

#[test]
fn changing_what_recurse_finds_ends() {
    for source in [".data | recurse |= [.]", "def r: recurse; .data | r |= [.]"] {
        assert_eq!(value(source, "[1,[2]]"), "[[[1],[[[2]]]]]", "{source}");
    }
    assert_eq!(value("(.data | recurse) = 1 | .data", "[1,[2]]"), "1");
    assert_eq!(value("def recurse: 7; recurse", "1"), "7");
}

#[test]
fn an_expression_too_large_or_too_deep_is_refused_and_a_long_one_is_not() {
    let refused = |source: String| Library::new().compile(&source).err().map(|error| error.to_string()).unwrap_or_default();
    let shown = |source: &str| source.chars().take(30).collect::<String>();
    for source in [
        "-".repeat(32_000) + ".",
        "try ".repeat(8_000) + ".",
        format!("{}.{}", "\"\\(".repeat(6_500), ")\"".repeat(6_500)),
        format!("{}.{}", ".[".repeat(10_000), "]".repeat(10_000)),
        format!("{}.{}", "[".repeat(16_000), "]".repeat(16_000)),
        format!("{}.{}", "{a:".repeat(8_000), "}".repeat(8_000)),
        (0..500).fold("def f0: 1 + .; ".to_owned(), |defs, n| format!("{defs}def f{}: f{n} + f{n}; ", n + 1)) + "f500",
        format!("{}.{}", "map(".repeat(100), ")".repeat(100)),
        format!("1{}", " as $x | 1".repeat(1_000)),
        format!("1{}", "+1".repeat(1_000)),
        format!("def a: .{}; def b: a{}; b", "+ 1".repeat(150), "+ 1".repeat(100)),
        format!("if 1 then 1{} end", " elif 1 then 1".repeat(1_000)),
    ] {
        assert!(refused(source.clone()).contains("too deep"), "{}: {}", shown(&source), refused(source));
    }
    assert!(refused("[".repeat(40_000)).contains("longer than 32 KiB"));
    assert!(refused("(".repeat(30_000)).contains("closing parenthesis"));
    for (source, expected) in [
        (format!("false{}", " or .a == 1".repeat(2_000)), "false"),
        (format!("1{}", "|.".repeat(10_000)), "1"),
        (format!("[{}0] | length", "0,".repeat(9_999)), "10000"),
        (format!("{{{}}} | length", (0..2_000).map(|n| format!("k{n}: {n}")).collect::<Vec<_>>().join(",")), "2000"),
        (format!("\"{}\" | length", "\\(1)".repeat(2_000)), "2000"),
        (format!("{}1{}", "(".repeat(15_000), ")".repeat(15_000)), "1"),
        (format!("1{}", "+1".repeat(190)), "191"),
        (format!("1{}", " as $x | $x".repeat(190)), "1"),
        (format!("[.] | {}.{} | length", "map(".repeat(25), ")?".repeat(25)), "1"),
    ] {
        assert_eq!(value(&source, "1"), expected, "{}", shown(&source));
    }
}

#[test]
fn a_regular_expression_that_matches_everywhere_does_not_fill_the_memory() {
    let long = quoted(&"a".repeat(1 << 20));
    for source in [r#"[.data | match(".";"g")] | length"#, r#"[.data | scan("(x)?(y)?")] | length"#] {
        assert!(matches!(run(source, &long), Err(RunError::Jq(_))), "{source}");
    }
    assert_eq!(value(r#"[.data | match(".";"g")] | length"#, &quoted(&"a".repeat(60_000))), "60000");
}

#[test]
fn a_replacement_with_several_outputs_makes_so_many_texts_and_no_more() {
    let places = |n: usize| quoted(&"a".repeat(n));
    let source = r#"[.data | gsub("a"; "x", "y")] | length"#;
    assert_eq!(value(source, &places(12)), "4096");
    assert!(matches!(run(source, &places(60)), Err(RunError::Jq(_))));
}
