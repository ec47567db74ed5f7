//! What tells the settings of one table of the file from those of another.

use std::collections::BTreeMap;

use sha2::{Sha256, digest::Digest as _};
use toml::de::DeValue;

/// SHA-256 of each setting of a table by its path, `retry.delay`: neither their order nor blanks nor comments count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digests(BTreeMap<String, [u8; 32]>);

impl Digests {
    /// The keys that are in a table that is named by one of `merged` have a digest each, all others have one as a whole.
    pub(super) fn of(value: &DeValue<'_>, merged: &[&str]) -> Digests {
        let mut digests = BTreeMap::new();
        for (key, value) in value.as_table().into_iter().flatten() {
            let (key, value) = (&**key.get_ref(), value.get_ref());
            match value.as_table().filter(|_| merged.contains(&key)) {
                // Case tells none of these keys from another: they are names of headers, or always in lower case.
                Some(inner) => digests.extend(
                    inner
                        .iter()
                        .map(|(name, value)| (format!("{key}.{}", name.get_ref()).to_lowercase(), digest(value.get_ref()))),
                ),
                None => drop(digests.insert(key.to_owned(), digest(value))),
            }
        }
        Digests(digests)
    }

    pub(crate) fn contains(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// The same with those of `defaults` that are not here and that `counts`.
    pub(crate) fn over(&self, defaults: &Digests, counts: impl Fn(&str) -> bool) -> Digests {
        let mut merged = self.0.clone();
        for (path, digest) in defaults.0.iter().filter(|(path, _)| counts(path)) {
            merged.entry(path.clone()).or_insert(*digest);
        }
        Digests(merged)
    }

    /// Of all of them, into `hash`.
    pub(crate) fn add_to(&self, hash: &mut Sha256) {
        for (path, digest) in &self.0 {
            piece(hash, b'k', path.as_bytes());
            hash.update(digest);
        }
    }
}

fn digest(value: &DeValue<'_>) -> [u8; 32] {
    let mut hash = Sha256::new();
    add(&mut hash, value);
    hash.finalize().into()
}

/// Each piece with its kind and length before it, so that no two tables run together into the same bytes.
fn add(hash: &mut Sha256, value: &DeValue<'_>) {
    match value {
        DeValue::Array(array) => {
            piece(hash, b'a', &array.len().to_be_bytes());
            array.iter().for_each(|element| add(hash, element.get_ref()));
        }
        DeValue::Boolean(flag) => piece(hash, b'b', &[u8::from(*flag)]),
        DeValue::Datetime(time) => piece(hash, b'd', time.to_string().as_bytes()),
        DeValue::Float(number) => piece(hash, b'f', number.as_str().as_bytes()),
        DeValue::Integer(number) => piece(hash, b'i', number.to_string().as_bytes()),
        DeValue::String(text) => piece(hash, b's', text.as_bytes()),
        DeValue::Table(table) => {
            piece(hash, b't', &table.len().to_be_bytes());
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by(|(one, _), (other, _)| one.get_ref().cmp(other.get_ref()));
            for (key, value) in entries {
                piece(hash, b'k', key.get_ref().as_bytes());
                add(hash, value.get_ref());
            }
        }
    }
}

fn piece(hash: &mut Sha256, kind: u8, bytes: &[u8]) {
    hash.update([kind]);
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    fn digests(toml: &str) -> Digests {
        Digests::of(&DeValue::Table(DeTable::parse(toml).unwrap().into_inner()), &["retry", "headers"])
    }

    #[test]
    fn layout_does_not_count_and_what_is_said_does() {
        let one = digests("url = \"a\"\nretry = { attempts = 1, jitter = 0.5 }\nbatch = { max_events = 1, max_bytes = 2 }");
        let batch = "batch = { max_bytes = 2, max_events = 1 }";
        assert_eq!(one, digests(&format!("# why\nretry.jitter = 0.5\nretry.attempts = 1\nurl = 'a'\n{batch}")));
        for other in
            ["url = \"b\"\nretry = { attempts = 1, jitter = 0.5 }", "url = \"a\"\nretry = { attempts = 1 }", "url = [\"a\"]"]
        {
            assert_ne!(one, digests(&format!("{other}\n{batch}")), "{other}");
        }
    }

    #[test]
    fn a_default_counts_where_there_is_nothing_else() {
        let own = digests("url = \"a\"\nretry = { attempts = 1 }\nheaders = { X-A = \"1\" }");
        let over = |defaults: &str| own.over(&digests(defaults), |_| true);
        assert_eq!(own, over("url = \"b\"\nretry = { attempts = 2 }\nheaders = { x-a = \"2\" }"));
        for other in ["method = \"PUT\"", "retry = { jitter = 1 }", "headers = { x-b = \"1\" }"] {
            assert_ne!(own, over(other), "{other}");
        }
        assert_eq!(own, own.over(&digests("method = \"PUT\""), |path| path != "method"));
    }
}
