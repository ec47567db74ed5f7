//! Files that people write, each beside what is said of it.
//!
//! A case is `tests/broken/<case>.toml`, and `<case>.txt` is what `check` says of it; `UPDATE_GOLDEN=1` rewrites that.

use std::{env::VarError, fs, io, path::Path, sync::OnceLock};

use proptest::prelude::*;

use crate::config::{Code, Config, Look, Outside, Problems, content::Reading, parse, text};

#[test]
fn each_broken_file_is_told_what_is_wrong_with_it() {
    let (mut differences, mut codes) = (String::new(), Vec::new());
    let cases = cases();
    assert!(cases.len() >= 100, "only {} cases", cases.len());
    for case in &cases {
        let path = folder().join(case);
        let problems = found(text(&path, &Reading::default()).and_then(|source| parse(&source, &path, &outside())));
        assert!(!problems.is_empty(), "nothing is wrong with {case}");
        codes.extend(problems.iter().map(|problem| problem.code));
        let told = problems.to_string().replace(&format!("{}/", folder().display()), "");
        assert!(!told.contains("hunter2"), "{case} gives a secret away:\n{told}");
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &told).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if told != expected {
            differences += &format!("\n{case} should be told\n{expected}\nand is told\n{told}");
        }
    }
    assert!(differences.is_empty(), "{differences}");
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !codes.contains(code)).collect();
    assert!(missing.is_empty(), "no case has {missing:?}");
}

#[test]
fn colours_change_nothing_but_colours() {
    let coloured = parse(&source("several-at-once.toml"), Path::new("a.toml"), &outside()).err().unwrap();
    let stripped = coloured.coloured().to_string();
    let (mut bare, mut rest) = (String::new(), stripped.as_str());
    while let Some((before, behind)) = rest.split_once("\x1b[") {
        bare += before;
        rest = behind.split_once('m').unwrap().1;
    }
    assert_eq!(bare + rest, coloured.to_string());
    assert!(stripped.starts_with("\x1b[1;31merror["), "{stripped}");
}

#[test]
fn machines_get_every_place_with_its_end() {
    let source = "[endpoints.a]\nurl = 'http://a/'\nretry = { schedule = ['1s'], attempts = 1 }\n";
    let problems = parse(source, Path::new("a.toml"), &outside()).err().unwrap();
    let entries = serde_json::to_string(&problems.entries()).unwrap();
    assert!(entries.contains(r#""line":3,"column":41,"end_line":3,"end_column":42"#), "{entries}");
    let related = r#""related":[{"line":3,"column":22,"end_line":3,"end_column":28,"label":"the schedule"}]"#;
    assert!(entries.contains(related), "{entries}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_damage_panics_or_gives_a_secret_away(
        which in any::<prop::sample::Index>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..6),
    ) {
        static WHOLE: OnceLock<Vec<String>> = OnceLock::new();
        let mut bytes = which.get(WHOLE.get_or_init(whole_files)).clone().into_bytes();
        for (at, byte, how) in damage {
            let at = at.index(bytes.len() + 1).min(bytes.len());
            match how {
                0 => bytes.insert(at, byte),
                1 => bytes.truncate(at),
                2 => drop(bytes.drain(at..(at + usize::from(byte % 16)).min(bytes.len()))),
                _ => bytes.iter_mut().skip(at).take(1).for_each(|damaged| *damaged = byte),
            }
        }
        let source = String::from_utf8_lossy(&bytes);
        let read = parse(&source, Path::new("sidehook.toml"), &outside());
        let is_error = read.is_err();
        let problems = found(read);
        prop_assert_eq!(problems.errors() > 0, is_error);
        let text = format!("{problems}{}", problems.coloured());
        let json = serde_json::to_string(&problems.entries()).unwrap();
        prop_assert!(problems.is_empty() || text.contains("sidehook.toml"));
        // Behind a key that is damaged, or in half a URL, nothing tells a secret from other text.
        for (_, secret) in SECRETS.iter().filter(|(before, secret)| source.contains(&format!("{before}{secret}"))) {
            prop_assert!(!text.contains(secret) && !json.contains(secret), "{text}\n{source}");
        }
    }
}

/// Valid files: the example with everything switched on, and one for each golden case.
fn whole_files() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = fs::read_to_string(root.join("config.example.toml")).unwrap();
    let on: String = example.lines().map(|line| format!("{}\n", line.strip_prefix("#: ").unwrap_or(line))).collect();
    let [password, _, both, header, token, query] = SECRETS.map(|(before, secret)| format!("{before}{secret}"));
    let with_secrets = format!(
        "[endpoints.basic]\nurl = \"https://a.example/{query}\"\nauth = {{ type = \"basic\", username = \"u\", {password}\" }}\n\
         [endpoints.signed]\nurl = \"https://b.example/\"\nsignature = {{ scheme = \"github\", {both}'] }}\n\
         headers = {{ {header}\" }}\n[listen]\n{token}\"\"\"\n"
    );
    let golden = fs::read_dir(root.join("tests/golden")).unwrap();
    let golden = golden.filter_map(|case| fs::read_to_string(case.unwrap().path().join("config.toml")).ok()).take(40);
    // As often as all others together.
    let mut files: Vec<String> = golden.chain([on]).collect();
    files.extend(vec![with_secrets; files.len()]);
    files
}

fn found(read: Result<Config, Problems>) -> Problems {
    read.map_or_else(|problems| problems, |config| config.warnings)
}

fn cases() -> Vec<String> {
    let names = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut cases: Vec<String> = names.filter(|name| name.ends_with(".toml")).collect();
    cases.sort();
    cases
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/broken"))
}

fn source(case: &str) -> String {
    fs::read_to_string(folder().join(case)).unwrap()
}

/// A world with few secrets in it.
fn outside() -> Outside {
    Outside {
        variable: Box::new(|name| match name {
            "SECRET" => Ok("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
            "EMPTY" => Ok(String::new()),
            "SHORT" => Ok("hunter2".to_owned()),
            "TWO_LINES" => Ok("hunter2\nhunter2".to_owned()),
            _ => Err(VarError::NotPresent),
        }),
        file: Box::new(|path| match path.file_name().and_then(|name| name.to_str()) {
            Some("empty") => Ok(b"\n".to_vec()),
            Some("binary") => Ok(b"\xff\xfe".to_vec()),
            Some("text.pem") => Ok(b"no certificate".to_vec()),
            Some("readable") => Ok(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n".to_vec()),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
        }),
        look: Box::new(|path| Some(Look { path: path.to_owned(), is_open_to_all: path.ends_with("readable") })),
        folder: Box::new(|path| match path.ends_with("unwritable") {
            true => Err(io::Error::new(io::ErrorKind::PermissionDenied, "permission denied")),
            false => Ok(()),
        }),
        mounts: Box::new(|| [folder().join("mounted-file.toml")].into()),
    }
}

/// Secrets, each with what stands before it.
const SECRETS: [(&str, &str); 6] = [
    ("password = \"", "hunter2-of-auth"),
    ("secrets = [\"", "correct horse"),
    ("secrets = [\"correct horse\", '", "battery staple"),
    ("X-Api-Key = \"", "hunter2-of-a-header"),
    ("token = \"\"\"", "hunter2-of-listen"),
    ("://a.example/x?key=", "a-query-of-hunter2"),
];
