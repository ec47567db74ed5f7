//! What holds of whatever is said of a file that is wrong; what is said of which file is in `broken`.

use proptest::prelude::*;

use super::*;

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
        "auth = { type = \"basic\", username = \"u\", assword = \"hunter2\" }",
        "auth = { type = \"basic\", username = \"u\", rd = \"hunter2\" }",
        "= \"basic\", username = \"u\",assword = \"hunter2\" }",
        "basic\", \"hunter2\" }",
        "headers = { X-Api-Khunter2\" }",
        "signature = { scheme = \"github\",crets = [\"hunter2\"] }",
        "timeout = \"5s\" en = \"hunter2\"",
        "tokne = [\"hunter2\", \"hunter2",
        "[endpoints.b]\nurl = \"https://u:hunter2@b.example/\"",
        "[endpoints.b]\nurl = \"https://u:hun/hunter2@b.example/\"",
        "[endpoints.b]\nurl = \"https://u:hun@hunter2@b.example/\"",
        "[endpoints]\ntoken = \"hunter2\"",
        "tls = { key_password = \"hunter2\" }",
        "order = { token = \"hunter2\" }",
        "[endpoints.b]\nurl = \"b.example://x?k=hunter2\"",
        "[endpoints.b]\nurl = \"https://b.example/?k=hunter2",
        "headers = { X-A = { env = \"TWO_LINES\" } }",
        "auth = { type = \"bearer\", token = { env = \"TWO_LINES\" } }",
        "auth = { type = \"basic\", username = \"u\", password = { env = \"TWO_LINES\" } }",
        "signature = { scheme = \"standard\", secrets = [{ env = \"TWO_LINES\" }] }",
        "[listen]\ntoken = \"hunter2 hunter2\"",
        "[listen]\nken = \"hunter2\"",
        "[endpoints.b]\nurl = \"https: //b.example/?k=hunter2\"",
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
    let codes: Vec<_> = problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, [Code::Syntax, Code::UnknownKey, Code::Syntax], "what stands in other lines is told too");
}

#[test]
fn thousands_of_problems_are_counted_and_not_all_listed() {
    let source: String = (0..3000).map(|n| format!("k{n}x = 1\n")).collect();
    let problems = bad(&source);
    assert_eq!(problems.errors(), 3000);
    assert!(problems.to_string().ends_with("\n… and 2750 more errors\n"));
}

proptest! {
    #[test]
    fn no_text_at_all_makes_reading_it_panic(source in "\\PC{0,80}") {
        if let Err(problems) = read(&source) {
            prop_assert!(!problems.to_string().is_empty());
        }
    }
}
