//! What tells a table of the file from one that says something else.

use sha2::{Sha256, digest::Digest as _};
use toml::de::DeValue;

/// SHA-256 of a table's keys and values: neither their order nor blanks nor comments count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest(pub(crate) [u8; 32]);

impl Digest {
    pub(super) fn of(value: &DeValue<'_>) -> Digest {
        let mut hash = Sha256::new();
        add(&mut hash, value);
        Digest(hash.finalize().into())
    }
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

    fn digest(toml: &str) -> Digest {
        Digest::of(&DeValue::Table(DeTable::parse(toml).unwrap().into_inner()))
    }

    #[test]
    fn layout_does_not_count_and_what_is_said_does() {
        let one = digest("url = \"a\"\nretry = { attempts = 1, jitter = 0.5 }");
        assert_eq!(one, digest("# why\nretry.jitter = 0.5\nretry.attempts = 1\nurl = 'a'"));
        for other in
            ["url = \"b\"\nretry = { attempts = 1, jitter = 0.5 }", "url = \"a\"\nretry = { attempts = 1 }", "url = [\"a\"]"]
        {
            assert_ne!(one, digest(other), "{other}");
        }
    }
}
