//! What people write in jq, with the results that jq 1.7 gives.

use super::*;

#[test]
fn what_jq_has_and_jaq_has_not_is_jqs() {
    for (source, data, expected) in [
        (
            ".data | from_entries",
            r#"[{"name":"a","value":1},{"k":"b","v":2},{"key":null,"value":3},{"key":false}]"#,
            r#"{"a":1,"b":2,"null":3,"false":null}"#,
        ),
        (".data | with_entries(.key |= ascii_upcase)", r#"{"a":1}"#, r#"{"A":1}"#),
        (".data | ltrimstr(1), rtrimstr(1)", "\"a1\"", "\"a1\""),
        (".data | [ltrimstr(\"a\"), rtrimstr(\"1\"), trimstr(\"x\")]", "\"a1\"", r#"["1","a","a1"]"#),
        (".data | [test([\"X\", \"i\"]), test(\"X\"; null), test(\"X\"; \"i\")]", "\"x\"", "[true,false,true]"),
        (".data | [@base64d, (\"YWI=\" | @base64d)]", "\"YWJj\"", r#"["abc","ab"]"#),
        ("\"YWI\" | @base64d", "1", "\"ab\""),
        (".data | [@base32, (@base32 | @base32d), (\"ME\" | @base32d)]", "\"ab\"", r#"["MFRA====","ab","a"]"#),
        (".data | pick(.[1])", "[5,6,7]", "[null,6]"),
        (".data | pick(.a.b, .c)", r#"{"a":{"b":1,"x":2},"c":3,"d":4}"#, r#"{"a":{"b":1},"c":3}"#),
        ("[.data | tostream]", r#"{"a":[1,{"b":2}]}"#, r#"[[["a",0],1],[["a",1,"b"],2],[["a",1,"b"]],[["a",1]],[["a"]]]"#),
        ("1700000000 | dateadd(\"seconds\"; 10) | date", "1", "\"2023-11-14T22:13:30Z\""),
        ("[\"ab\" * 2.0, \"ab\" * .data, \"ab\" * 0]", "2.0", r#"["abab","abab",null]"#),
        ("[[5,6][1.0], [5,6][.data], ([1,2,3] | .[.[0] / 1:])]", "1.0", "[6,6,[2,3]]"),
        (".data | join(\"-\")", r#"[1,null,true,"a"]"#, "\"1--true-a\""),
        (".data | setpath([\"a\", 1]; 2)", "null", r#"{"a":[null,2]}"#),
        (".data | getpath([\"a\", \"b\"])", "null", "null"),
        ("[.data[] | toboolean]", r#"["true",false]"#, "[true,false]"),
        ("[.data | splits(\", *\")]", "\"a, b,c\"", r#"["a","b","c"]"#),
        (".data | @tsv", r#"["a\tb\\",null,1,true]"#, r#""a\\tb\\\\\t\t1\ttrue""#),
        (".data | @sh", r#"["a'b",1]"#, r#""'a'\\''b' 1""#),
    ] {
        assert_eq!(value(source, data), expected, "{source}");
    }
}

#[test]
fn what_is_assigned_to_where_nothing_is_is_made() {
    for (source, data, expected) in [
        (".a.b = 1", "{}", r#"{"a":{"b":1}}"#),
        (".a.b.c += 1", r#"{"a":null,"z":0}"#, r#"{"a":{"b":{"c":1}},"z":0}"#),
        (".a[1] = 1", "{}", r#"{"a":[null,1]}"#),
        (".[2] = 1", "[0]", "[0,null,1]"),
        (".a.b //= 1", "{}", r#"{"a":{"b":1}}"#),
        (".a.b *= 2", r#"{"a":{"b":2}}"#, r#"{"a":{"b":4}}"#),
        ("(.a.b, .c) = 1", "{}", r#"{"a":{"b":1},"c":1}"#),
        ("(.a | .b.c) = 1", "{}", r#"{"a":{"b":{"c":1}}}"#),
        (".[].a.b = 1", "[{},null]", r#"[{"a":{"b":1}},{"a":{"b":1}}]"#),
        (".[\"a\"][\"b\"] |= .", "{}", r#"{"a":{"b":null}}"#),
        ("\"k\" as $k | .a[$k] = 1", "{}", r#"{"a":{"k":1}}"#),
        (".a[-1] = 1", r#"{"a":[0,0]}"#, r#"{"a":[0,1]}"#),
        (".a[(0, 1)] |= . + 1", r#"{"a":[1,1]}"#, r#"{"a":[2,2]}"#),
    ] {
        assert_eq!(value(&format!(".data | {source}"), data), expected, "{source}");
    }
    for (source, data) in
        [(".a.b = 1", "[]"), (".a[0] = 1", r#"{"a":{}}"#), (".a.b = 1", r#"{"a":1}"#), (".[1000000000] = 1", "[]")]
    {
        assert!(run(&format!(".data | {source}"), data).is_err(), "{source} of {data}");
    }
}

#[test]
fn what_is_deleted_leaves_the_rest_in_its_order() {
    for (source, data, expected) in [
        ("del(.a)", r#"{"a":1,"b":2,"c":3,"d":4}"#, r#"{"b":2,"c":3,"d":4}"#),
        ("del(.b, .d.x)", r#"{"a":1,"b":2,"c":3,"d":{"x":1,"y":2}}"#, r#"{"a":1,"c":3,"d":{"y":2}}"#),
        ("del(.[0, 1, -1])", "[0,1,2,3]", "[2]"),
        ("del(.[] | select(. > 1))", "[0,3,1,2]", "[0,1]"),
        ("del(.[1:])", "[0,1,2]", "[0]"),
        ("del(.[1:][0])", "[0,1,2]", "[0,2]"),
        ("del(.[9], .[-9])", "[0,1]", "[0,1]"),
        ("del(.x.y)", r#"{"a":1}"#, r#"{"a":1}"#),
        ("del(..|.a?)", r#"{"a":1,"b":{"a":2,"c":3}}"#, r#"{"b":{"c":3}}"#),
        ("del(.)", "1", "null"),
        ("del(empty)", "[1]", "[1]"),
        ("delpaths([[\"a\", \"b\"], [\"c\"]])", r#"{"a":{"b":1},"c":2,"d":3}"#, r#"{"a":{},"d":3}"#),
        ("delpaths([])", "1", "1"),
        ("to_entries | map(select(.key != \"a\")) | from_entries", r#"{"a":1,"b":2,"c":3}"#, r#"{"b":2,"c":3}"#),
    ] {
        assert_eq!(value(&format!(".data | {source}"), data), expected, "{source}");
    }
    for (source, data) in [("del(.a)", "[1]"), ("del(.[0])", r#"{"a":1}"#), ("del(.a)", "1"), ("del(1)", "1")] {
        assert!(run(&format!(".data | {source}"), data).is_err(), "{source} of {data}");
    }
}

#[test]
fn regular_expressions_match_as_in_jq() {
    for (source, data, expected) in [
        (
            r#"[match("(a)|(?<x>b)"; "g")]"#,
            "\"éab\"",
            r#"[{"offset":1,"length":1,"string":"a","captures":[{"offset":1,"length":1,"string":"a","name":null},{"offset":-1,"length":0,"string":null,"name":"x"}]},{"offset":2,"length":1,"string":"b","captures":[{"offset":-1,"length":0,"string":null,"name":null},{"offset":2,"length":1,"string":"b","name":"x"}]}]"#,
        ),
        (r#"[match("(?:(a)|(b))*").captures[].offset]"#, "\"ba\"", "[1,0]"),
        (r#"capture("(?<a>x)?(?<b>y)")"#, "\"y\"", r#"{"a":null,"b":"y"}"#),
        (r#"[scan("[a-z]([0-9])?")]"#, "\"a1b\"", r#"[["1"],[null]]"#),
        (r#"[scan("[0-9]+")]"#, "\"1 22\"", r#"["1","22"]"#),
        (r#"sub("(?<a>.)"; "\(.a)-")"#, "\"xy\"", "\"x-y\""),
        (r#"gsub("(?<a>.)"; "\(.a)-")"#, "\"xy\"", "\"x-y-\""),
        (r#"[gsub("a"; "b", "c")]"#, "\"aa\"", r#"["bb","bc","cb","cc"]"#),
        (r#"[sub("a", "b"; "X")]"#, "\"a b\"", r#"["X b","a X"]"#),
        ("delpaths([[\"a\",1.0]])", r#"{"a":[1,2,3]}"#, r#"{"a":[1,3]}"#),
        ("setpath([1.0];9)", "[1,2,3]", "[1,9,3]"),
        (r#"[gsub("a"; empty)]"#, "\"aa\"", "[]"),
        (r#"[gsub("z"; "b", "c")]"#, "\"aa\"", r#"["aa"]"#),
        (r#"gsub("";"-")"#, "\"ab\"", "\"-a-b-\""),
        (r#"gsub("^";"> "; "m")"#, "\"a\\nb\"", "\"> a\\n> b\""),
        (r#"[splits("b")]"#, "\"abc\"", r#"["a","c"]"#),
        (r#"split("b+"; null)"#, "\"abbc\"", r#"["a","c"]"#),
        (r#"ascii_downcase | test("x y"; "x")"#, "\"XY\"", "true"),
    ] {
        assert_eq!(value(&format!(".data | {source}"), data), expected, "{source}");
    }
    for (source, error) in [
        ("test(\"(\")", "invalid regex: "),
        ("test(\"a\"; \"q\")", "invalid regex flag: q"),
        ("gsub(\"a\"; 1)", "cannot use 1 as string"),
    ] {
        let said = run(&format!(".data | {source}"), "\"a\"");
        assert!(matches!(&said, Err(RunError::Jq(said)) if said.starts_with(error)), "{source}: {said:?}");
    }
}

#[test]
fn what_is_calculated_has_no_point_where_it_is_whole() {
    let data = r#"[5.0, 500, 1e3, 0.1]"#;
    for (source, expected) in [
        (".[1] / 100", "5"),
        (".[0]", "5.0"),
        (".[0] + 0", "5"),
        (".[2] + 1", "1001"),
        (".[3] + 0.2", "0.30000000000000004"),
        ("pow(2; 3)", "8"),
        ("pow(2; 60)", "1.152921504606847e18"),
        ("\"\\(.[1] / 100)\"", "\"5\""),
        ("[.[1] / 100] | tojson, @csv", "\"[5]\""),
        ("-(.[3] - .[3])", "-0"),
        ("1 / 3", "0.3333333333333333"),
    ] {
        assert_eq!(value(&format!(".data | {source}"), data), expected, "{source}");
    }
}
