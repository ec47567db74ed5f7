//! What every theme needs: a [`Sidecar`] in a folder of its own, [`Receiver`]s for it to speak to and [`Wire`]s where those
//! are too well-behaved, the binary as a [`Process`], and the other side of each signature. What they write into the delivery
//! log is held against its schema.
//!
//! **Invariant:** nothing here listens on a fixed port, leaves a file behind or waits longer than [`LIMIT`] for anything.

mod answer;
mod process;
mod receiver;
mod request;
mod sidecar;
pub(crate) mod signature;
mod valid;
pub(crate) mod wire;

use std::{path::Path, time::Duration};

use serde_json::Value;

pub(crate) use self::{
    answer::{Answer, exchange, post},
    process::{Process, Said, run, sidehook},
    receiver::Receiver,
    request::Request,
    sidecar::Sidecar,
    valid::validate,
    wire::Wire,
};

/// How long a test waits for a thing that should happen at once, before it fails and says what was there instead.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// Between two looks at a file.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A config in which every event goes to every one of `endpoints`: name, URL and further keys.
pub(crate) fn everything_to(endpoints: &[(&str, &str, &str)]) -> String {
    let mut toml = String::new();
    for (name, url, keys) in endpoints {
        toml += &format!("[endpoints.{name}]\nurl = \"{url}\"\n{keys}\n\n");
    }
    let names: Vec<&str> = endpoints.iter().map(|(name, ..)| *name).collect();
    toml + &format!("[[routes]]\nevents = [\"**\"]\nto = {names:?}\n")
}

/// A URL nobody listens on.
pub(crate) fn closed_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

/// The whole lines of a JSON Lines file, none if it is missing.
pub(crate) fn lines(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    // The last line may be half written, in the middle of a character.
    let text = String::from_utf8_lossy(&bytes);
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(String::from).collect()
}

/// The same, parsed; those of a delivery log are valid.
pub(crate) fn json_lines(path: &Path) -> Vec<Value> {
    lines(path).iter().map(|line| parsed(line)).inspect(valid::validate).collect()
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))
}

/// The lines of a log that tell of `outcome`, in whichever format.
pub(crate) fn telling(lines: &[Value], outcome: &str) -> Vec<Value> {
    let tells = |line: &&Value| line["outcome"] == outcome || line["sidehook.outcome"] == outcome;
    lines.iter().filter(tells).cloned().collect()
}

/// The keys of a JSON object in the order they stand there, which [`Value`] forgets.
pub(crate) fn keys(object: &str) -> Vec<String> {
    struct Keys(Vec<String>);
    impl<'de> serde::Deserialize<'de> for Keys {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Keys, D::Error> {
            deserializer.deserialize_map(Visitor)
        }
    }
    struct Visitor;
    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = Keys;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
            let mut keys = Vec::new();
            while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                keys.push(key);
            }
            Ok(Keys(keys))
        }
    }
    serde_json::from_str::<Keys>(object).unwrap_or_else(|error| panic!("{error} in {object}")).0
}

/// The permission bits of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
