//! Who may know whom: which room may use which, and which files may touch the world outside.
//!
//! The crate is read as the compiler reads it, from `lib.rs` along its `mod` declarations and without what is
//! `#[cfg(test)]`. Every path counts, in a `use` or inline, but for those in comments and texts.
//!
//! **Invariant:** a path that the table does not allow fails the test that names its file.

use std::{fs, path::Path};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

#[test]
fn every_room_uses_only_the_rooms_it_may() {
    let foreign = |source: &Source| -> Vec<String> {
        let own = source.room();
        let forbidden = |path: &&Vec<String>| path[0] == "crate" && path[1] != own.name && !own.uses.contains(&&*path[1]);
        source.paths.iter().filter(forbidden).map(|path| format!("{} uses {}", source.file(), path.join("::"))).collect()
    };
    let found: Vec<String> = crate_sources().iter().flat_map(foreign).collect();
    assert!(found.is_empty(), "the table in {} does not allow this:\n{}", file!(), found.join("\n"));
}

#[test]
fn only_the_files_that_may_touch_the_world_outside_do() {
    let touching = |source: &Source| -> Vec<String> {
        let outside = source.paths.iter().filter(|path| !source.may_touch() && is_outside(path));
        outside.map(|path| format!("{} touches {}", source.file(), path.join("::"))).collect()
    };
    let found: Vec<String> = crate_sources().iter().flat_map(touching).collect();
    assert!(found.is_empty(), "the table in {} does not allow this:\n{}", file!(), found.join("\n"));
}

#[test]
fn the_table_has_the_rooms_that_are_there() {
    let mut there: Vec<String> = read(&[], &text_of("lib.rs")).declared;
    let mut in_table: Vec<&str> = ROOMS.iter().map(|room| room.name).collect();
    there.sort();
    in_table.sort_unstable();
    assert_eq!(there, in_table);
    let unknown: Vec<_> =
        ROOMS.iter().flat_map(|room| room.uses).filter(|name| !there.iter().any(|room| room == *name)).collect();
    assert!(unknown.is_empty(), "there is no room {unknown:?}");
    assert!(crate_sources().len() > 50, "`mod` declarations are no longer followed");
}

#[test]
fn paths_are_seen_wherever_they_hide() {
    let in_file = |text: &str| read(&["log".into(), "line".into()], text).paths;
    for (text, expected) in [
        ("use crate::queue;", "crate::queue"),
        ("pub(crate) use crate::{event, queue::{self, Handle as H}};", "crate::event crate::queue crate::queue::Handle"),
        ("use super::super::queue::*;", "crate::queue::*"),
        ("use super::record;", "crate::log::record"),
        ("fn f(x: crate::queue::Slot) { g!(\"{}\", crate::config::load()) }", "crate::queue::Slot crate::config::load"),
        ("fn f() -> impl Fn() + use<'_> { std::fs::read }", "std::fs::read"),
        ("#[cfg(test)] mod tests { use crate::queue; } use crate::event;", "crate::event"),
        ("#[cfg(test)] use crate::queue; #[cfg(test)] mod tests; use crate::event;", "crate::event"),
        ("#[cfg(unix)] use crate::queue;", "crate::queue"),
        ("//! [`crate::queue`]\nconst A: &str = \"crate::queue\"; // crate::queue", ""),
    ] {
        let found: Vec<String> = in_file(text).iter().filter(|path| path.len() > 1).map(|path| path.join("::")).collect();
        assert_eq!(found.join(" "), expected, "{text}");
    }
    for (text, expected) in [
        ("use tokio::time::Instant as Clock;", true),
        ("use std::{fmt, fs::File};", true),
        ("use std::net::{IpAddr, TcpStream};", true),
        ("use std::net::{IpAddr, SocketAddr};", false),
        ("use std::*;", true),
        ("fn f(now: Instant) -> u64 { Clock::now() }", true),
        ("fn f(since: Instant) -> bool { since.elapsed() > WAIT }", true),
        ("fn f(now: Instant) -> Instant { now + WAIT }", false),
        ("use http::Request; use hyperbole::x;", false),
    ] {
        assert_eq!(in_file(text).iter().any(|path| is_outside(path)), expected, "{text}");
    }
}

/// A file of the crate.
struct Source {
    /// Where it is in the crate, e.g. `log`, `line`.
    module: Vec<String>,
    /// Every path in it; those into the crate begin with `crate` and a room.
    paths: Vec<Vec<String>>,
    /// The modules it declares in files of their own.
    declared: Vec<String>,
}

impl Source {
    fn room(&self) -> &'static Room {
        let name = &self.module[0];
        ROOMS.iter().find(|room| room.name == name).unwrap_or_else(|| panic!("the room {name} is not in the table"))
    }

    fn may_touch(&self) -> bool {
        let part = self.module.get(1).map_or("mod", String::as_str);
        match self.room().outside {
            Outside::All => true,
            Outside::AllBut(parts) => !parts.contains(&part),
            Outside::No => false,
            Outside::Only(parts) => parts.contains(&part),
        }
    }

    fn file(&self) -> String {
        format!("src/{}", self.module.join("/"))
    }
}

/// Every file of the library but `lib.rs`, which only declares.
fn crate_sources() -> Vec<Source> {
    let mut sources = Vec::new();
    let mut declared: Vec<Vec<String>> = read(&[], &text_of("lib.rs")).declared.into_iter().map(|room| vec![room]).collect();
    while let Some(module) = declared.pop() {
        let name = module.join("/");
        let text = [format!("{name}.rs"), format!("{name}/mod.rs")]
            .iter()
            .find(|file| src().join(file).is_file())
            .map(|file| text_of(file));
        let source = read(&module, &text.unwrap_or_else(|| panic!("no file has the module {name}")));
        declared.extend(source.declared.iter().map(|part| [&module[..], std::slice::from_ref(part)].concat()));
        sources.push(source);
    }
    sources
}

fn src() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
}

fn text_of(file: &str) -> String {
    fs::read_to_string(src().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Whether a path, or a method's name, leads out of the process or to the clock.
fn is_outside(path: &[String]) -> bool {
    let (all_of, glob) = match path.split_last() {
        Some((last, rest)) if last == "*" => (rest, true),
        _ => (path, false),
    };
    let leads = |outside: &&[&str]| {
        let same = all_of.iter().zip(*outside).all(|(part, name)| part == name);
        same && (all_of.len() >= outside.len() || glob)
    };
    let asks_the_clock = path.len() > 1 && path.last().is_some_and(|last| last == "now");
    OUTSIDE.iter().any(leads) || asks_the_clock
}

fn read(module: &[String], text: &str) -> Source {
    let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{module:?}: {error}"));
    let mut source = Source { module: module.to_vec(), paths: Vec::new(), declared: Vec::new() };
    walk(tokens, &mut source);
    for path in &mut source.paths {
        make_absolute(path, module);
    }
    source.paths.retain(|path| !path.is_empty() && path != &["crate"]);
    source
}

fn walk(tokens: TokenStream, source: &mut Source) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += match token {
            TokenTree::Punct(mark) if mark.as_char() == '#' && is_cfg_test(tokens.get(at + 1)) => 2 + item(&tokens[at + 2..]),
            TokenTree::Group(group) => {
                walk(group.stream(), source);
                1
            }
            TokenTree::Ident(word) if word == "use" && !is(tokens.get(at + 1), '<') => {
                let end = tokens[at..].iter().position(|token| is(Some(token), ';')).expect("a `use` ends");
                imports(&[], &tokens[at + 1..at + end], &mut source.paths);
                end
            }
            TokenTree::Ident(word) if word == "mod" && is(tokens.get(at + 2), ';') => {
                source.declared.push(tokens[at + 1].to_string());
                2
            }
            TokenTree::Ident(first) => {
                let mut path = vec![first.to_string()];
                while let [TokenTree::Punct(one), TokenTree::Punct(two), TokenTree::Ident(part), ..] =
                    &tokens[at + 3 * path.len() - 2..]
                {
                    if one.as_char() != ':' || two.as_char() != ':' {
                        break;
                    }
                    path.push(part.to_string());
                }
                let length = 3 * path.len() - 2;
                source.paths.push(path);
                length
            }
            _ => 1,
        };
    }
}

/// The paths of a tree of imports, below `above`.
fn imports(above: &[String], tree: &[TokenTree], paths: &mut Vec<Vec<String>>) {
    for branch in tree.split(|token| is(Some(token), ',')) {
        let mut path = above.to_vec();
        let mut below: Option<&Group> = None;
        for token in branch {
            match token {
                TokenTree::Group(group) => below = Some(group),
                TokenTree::Ident(word) if word == "as" => break,
                TokenTree::Ident(word) if word == "self" && !path.is_empty() => {}
                TokenTree::Ident(part) => path.push(part.to_string()),
                TokenTree::Punct(mark) if mark.as_char() == '*' => path.push("*".into()),
                _ => {}
            }
        }
        match below {
            Some(group) => imports(&path, &group.stream().into_iter().collect::<Vec<_>>(), paths),
            None => paths.push(path),
        }
    }
}

fn make_absolute(path: &mut Vec<String>, module: &[String]) {
    let up = path.iter().take_while(|part| *part == "super").count();
    if up == 0 && path.first().is_none_or(|first| first != "self") {
        return;
    }
    let skipped = up.max(1);
    let mut absolute = vec!["crate".to_owned()];
    absolute.extend_from_slice(&module[..module.len().saturating_sub(up)]);
    absolute.extend(path.drain(skipped..));
    *path = absolute;
}

fn is(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

fn is_cfg_test(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Group(group)) if group.to_string().replace(' ', "") == "[cfg(test)]")
}

/// How many tokens the item takes that begins here: to its `;` or its body.
fn item(tokens: &[TokenTree]) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => is(Some(token), ';'),
    };
    // A tree of imports has braces, and its end behind them.
    let end = tokens.iter().position(ends).map_or(tokens.len(), |end| end + 1);
    if is(tokens.get(end), ';') { end + 1 } else { end }
}

struct Room {
    name: &'static str,
    /// What it may use of the crate.
    uses: &'static [&'static str],
    outside: Outside,
}

/// Which of a room's parts may touch the runtime, HTTP's machinery, files, sockets, the environment, randomness and the
/// clock; all others take what they need of it as arguments.
enum Outside {
    All,
    AllBut(&'static [&'static str]),
    No,
    Only(&'static [&'static str]),
}

/// The rooms in the order of the way of an event: the pure ones, what they are used by, the two ends.
const ROOMS: &[Room] = &[
    Room { name: "event", uses: &[], outside: Outside::No },
    Room { name: "retry", uses: &[], outside: Outside::No },
    Room { name: "screen", uses: &[], outside: Outside::No },
    Room { name: "transform", uses: &["event"], outside: Outside::No },
    Room { name: "envelope", uses: &["event"], outside: Outside::No },
    Room { name: "encode", uses: &["event", "envelope"], outside: Outside::No },
    Room { name: "sign", uses: &["event"], outside: Outside::No },
    // An endpoint holds the shape of its bodies, its signers, its retry policy and what orders its events, ready made.
    Room { name: "endpoint", uses: &["event", "transform", "envelope", "encode", "sign", "retry"], outside: Outside::No },
    Room { name: "route", uses: &["event", "transform"], outside: Outside::No },
    Room {
        name: "pipeline",
        uses: &["event", "transform", "envelope", "encode", "sign", "route", "endpoint"],
        outside: Outside::No,
    },
    Room { name: "schema", uses: &[], outside: Outside::No },
    // The buffer waits for the writer and dates `log_lost`; diagnostics are dated where they are said.
    Room {
        name: "log",
        uses: &["event", "schema", "screen"],
        outside: Outside::Only(&["buffer", "diagnostics", "disk", "output", "reader", "rotate", "writer"]),
    },
    Room {
        name: "queue",
        uses: &["event", "endpoint", "pipeline", "retry", "log"],
        outside: Outside::AllBut(&["backlog", "gate", "status"]),
    },
    // `transform`, for a lane asks for the key by which it keeps its order; `sign`, for a token is a secret.
    Room {
        name: "deliver",
        uses: &["event", "transform", "endpoint", "pipeline", "retry", "queue", "log", "sign"],
        outside: Outside::All,
    },
    // `sign`, for its `Secret` compares tokens in constant time; `endpoint`, which knows the names of this machine.
    Room { name: "door", uses: &["endpoint", "log", "sign"], outside: Outside::All },
    // Beyond the path itself: `endpoint`, for a plan's outlets are endpoints; `retry`, for a full queue makes a dead letter, whose reason is one of its words; `encode`, for the
    // error of `pipeline::prepare` is its; `transform`, for the door asks each route's `when`.
    Room {
        name: "ingest",
        uses: &["event", "transform", "route", "pipeline", "queue", "log", "endpoint", "retry", "encode", "door"],
        outside: Outside::All,
    },
    // `deliver`, for a test is an attempt without a lane.
    Room { name: "admin", uses: &["door", "deliver", "queue", "log"], outside: Outside::All },
    // It makes all the nouns and verbs, and none of them knows it. Of `log` it makes the destination.
    Room {
        name: "config",
        uses: &["event", "retry", "transform", "envelope", "encode", "sign", "endpoint", "route", "schema", "screen", "log"],
        outside: Outside::Only(&["content", "mod", "secrets", "disk", "reload", "tls", "proxy"]),
    },
    Room {
        name: "app",
        uses: &[
            "admin", "config", "deliver", "door", "endpoint", "event", "ingest", "log", "pipeline", "queue", "retry", "route",
        ],
        outside: Outside::All,
    },
    // `deliver`, for a test is an attempt without a lane.
    Room {
        name: "cli",
        uses: &[
            "app",
            "config",
            "deliver",
            "endpoint",
            "event",
            "ingest",
            "log",
            "pipeline",
            "queue",
            "retry",
            "route",
            "screen",
            "sign",
            "transform",
        ],
        outside: Outside::All,
    },
];

/// What leads outside: the beginnings of paths, and names of methods.
const OUTSIDE: &[&[&str]] = &[
    &["elapsed"],
    &["getrandom"],
    &["hyper"],
    &["hyper_util"],
    &["notify"],
    &["rustls"],
    &["std", "env"],
    &["std", "fs"],
    &["std", "io", "stderr"],
    &["std", "io", "stdin"],
    &["std", "io", "stdout"],
    &["std", "net", "TcpListener"],
    &["std", "net", "TcpStream"],
    &["std", "net", "ToSocketAddrs"],
    &["std", "net", "UdpSocket"],
    &["std", "os"],
    &["std", "process"],
    &["std", "thread", "sleep"],
    &["std", "thread", "spawn"],
    &["tokio"],
    &["tokio_rustls"],
];
