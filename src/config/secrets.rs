//! Where secrets come from: the environment, files, systemd's credentials; the config only names them.
//!
//! Comes in: a [`Text`] of the config, and [`Outside`], through which alone environment and files are read. Goes out: the
//! secret, and the list of files whose change may change it.
//!
//! **Invariant:** no error says what a secret is, only where it was looked for.

use std::{
    collections::HashSet,
    env::{self, VarError},
    io,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{content::read_bounded, disk};
use crate::sign::Secret;

/// The world outside the config file. Tests make one up.
pub struct Outside {
    pub variable: Box<ReadVariable>,
    pub file: Box<ReadFile>,
    pub look: Box<LookAt>,
    pub folder: Box<AskFolder>,
    pub mounts: Box<ReadMounts>,
}

/// Reads a variable of the environment.
pub type ReadVariable = dyn Fn(&str) -> Result<String, VarError>;

/// Reads a whole file, which is small.
pub type ReadFile = dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// Looks at a file from outside; `None` where it is not there.
pub type LookAt = dyn Fn(&Path) -> Option<Look>;

/// Whether this user can write to a folder, or make it where it is missing; nothing is made.
pub type AskFolder = dyn Fn(&Path) -> io::Result<()>;

/// Every place that something is mounted at.
pub type ReadMounts = dyn Fn() -> HashSet<PathBuf>;

/// What is to be seen of a file without reading it.
pub struct Look {
    /// Its path without any symbolic link.
    pub path: PathBuf,
    /// Whether every user of this machine can read it.
    pub is_open_to_all: bool,
}

impl Outside {
    /// This process' environment, and the file system.
    pub fn process() -> Outside {
        Outside {
            variable: Box::new(|name| env::var(name)),
            file: Box::new(read_bounded),
            look: Box::new(disk::look),
            folder: Box::new(disk::folder),
            mounts: Box::new(disk::mounts),
        }
    }

    /// A world with neither variables nor files, where every folder can be written.
    pub fn empty() -> Outside {
        Outside {
            variable: Box::new(|_| Err(VarError::NotPresent)),
            file: Box::new(|_| Err(io::ErrorKind::NotFound.into())),
            look: Box::new(|_| None),
            folder: Box::new(|_| Ok(())),
            mounts: Box::new(HashSet::new),
        }
    }
}

/// A value that may stand in the file, or be named by it.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Text {
    Credential(String),
    Env(String),
    File(String),
    Literal(String),
}

impl Text {
    pub(super) fn is_literal(&self) -> bool {
        matches!(self, Text::Literal(_))
    }

    /// Whether it should name a secret, and most likely is one.
    fn is_itself(&self) -> bool {
        match self {
            Text::Credential(name) | Text::Env(name) | Text::File(name) => is_text_itself(name),
            Text::Literal(_) => false,
        }
    }
}

/// Whether what should name a secret most likely is one: a key in PEM, one of Standard Webhooks, random characters.
pub(super) fn is_text_itself(name: &str) -> bool {
    let has = |kind: fn(&char) -> bool| name.chars().any(|character| kind(&character));
    let is_random = has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase) && has(char::is_ascii_digit);
    name.contains(char::is_control)
        || ["whsec_", "whsk_"].iter().any(|prefix| name.starts_with(prefix))
        || (name.len() >= 20 && !name.contains('.') && (name.contains('=') || (is_random && !name.contains('/'))))
}

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{name}` is no credential's name: it has no `/`")]
    CredentialName { name: String },
    #[error("$CREDENTIALS_DIRECTORY is not set: credentials come from systemd's LoadCredential=")]
    CredentialsUnset,
    #[error("{place} is empty")]
    Empty { place: String },
    #[error("this looks like the text itself, not like the name of where it is")]
    Itself,
    #[error("{place} is not UTF-8")]
    NotUtf8 { place: String },
    #[error("cannot read the file {path}: {error}")]
    Unreadable { path: String, error: io::Error },
    #[error("the environment variable {name} is not set")]
    Unset { name: String },
}

/// Reads a secret as the command line names it: `env:NAME`, `file:PATH`, or the text itself.
///
/// # Errors
/// It is missing, empty or no text.
pub fn typed_secret(typed: &str, outside: &Outside) -> Result<Secret, Error> {
    let text = match typed.split_once(':') {
        Some(("env", name)) => Text::Env(name.to_owned()),
        Some(("file", path)) => Text::File(path.to_owned()),
        _ => Text::Literal(typed.to_owned()),
    };
    Secrets { outside, directory: Path::new(""), files: Vec::new(), revealed: Default::default() }.reveal(&text)
}

/// Looks secrets up for one reading of the config, and remembers the files.
pub(super) struct Secrets<'a> {
    pub(super) outside: &'a Outside,
    /// What relative paths start from.
    pub(super) directory: &'a Path,
    pub(super) files: Vec<PathBuf>,
    /// Of all that was looked up, one after the other.
    pub(super) revealed: Sha256,
}

impl Secrets<'_> {
    pub(super) fn reveal(&mut self, text: &Text) -> Result<Secret, Error> {
        let secret = self.look_up(text).map_err(|error| if text.is_itself() { Error::Itself } else { error })?;
        self.revealed.update(Sha256::digest(secret.expose()));
        Ok(secret)
    }

    fn look_up(&mut self, text: &Text) -> Result<Secret, Error> {
        match text {
            Text::Credential(name) => self.credential(name),
            Text::Env(name) => {
                let value = self.variable(name)?.ok_or_else(|| Error::Unset { name: name.clone() })?;
                not_empty(value, || format!("the environment variable {name}"))
            }
            Text::File(path) => self.file(path, self.directory.join(path)),
            Text::Literal(text) => not_empty(text.clone(), || "the text".to_owned()),
        }
    }

    /// A variable of the environment, `None` where it is not set.
    pub(super) fn variable(&self, name: &str) -> Result<Option<String>, Error> {
        match (self.outside.variable)(name) {
            Ok(value) => Ok(Some(value)),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(Error::NotUtf8 { place: format!("the environment variable {name}") }),
        }
    }

    fn credential(&mut self, name: &str) -> Result<Secret, Error> {
        if name.contains(['/', '\0']) || name == "." || name == ".." {
            return Err(Error::CredentialName { name: name.to_owned() });
        }
        let directory = self.variable("CREDENTIALS_DIRECTORY")?.ok_or(Error::CredentialsUnset)?;
        self.file(name, Path::new(&directory).join(name))
    }

    /// Reads a secret file; `shown` is how errors call it.
    fn file(&mut self, shown: &str, path: PathBuf) -> Result<Secret, Error> {
        let bytes = (self.outside.file)(&path).map_err(|error| Error::Unreadable { path: shown.to_owned(), error });
        // As bytes: one of thousands would be taken apart as often.
        if !self.files.iter().any(|file| file.as_os_str() == path.as_os_str()) {
            self.files.push(path);
        }
        let place = || format!("the file {shown}");
        let mut text = String::from_utf8(bytes?).map_err(|_| Error::NotUtf8 { place: place() })?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        not_empty(text, place)
    }
}

fn not_empty(text: String, place: impl FnOnce() -> String) -> Result<Secret, Error> {
    if text.is_empty() { Err(Error::Empty { place: place() }) } else { Ok(Secret::new(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside() -> Outside {
        Outside {
            variable: Box::new(|name| match name {
                "KEY" => Ok("from env\n".to_owned()),
                "NOTHING" => Ok(String::new()),
                "CREDENTIALS_DIRECTORY" => Ok("/run/credentials/sidehook".to_owned()),
                _ => Err(VarError::NotPresent),
            }),
            file: Box::new(|path| match path.to_str().unwrap() {
                "conf/secrets/key" => Ok(b"two lines\n\n".to_vec()),
                "conf/secrets/windows" => Ok(b"windows\r\n".to_vec()),
                "conf/secrets/empty" => Ok(b"\n".to_vec()),
                "conf/secrets/binary" => Ok(b"\xff".to_vec()),
                "/run/credentials/sidehook/token" => Ok(b"credential".to_vec()),
                _ => Err(io::ErrorKind::NotFound.into()),
            }),
            ..Outside::empty()
        }
    }

    fn reveal(text: &Text) -> (Result<String, String>, Vec<PathBuf>) {
        let outside = outside();
        let mut secrets =
            Secrets { outside: &outside, directory: Path::new("conf"), files: Vec::new(), revealed: Default::default() };
        let revealed = secrets.reveal(text);
        (revealed.map(|secret| secret.expose().to_owned()).map_err(|error| error.to_string()), secrets.files)
    }

    #[test]
    fn secrets_come_from_where_the_config_says() {
        for (text, secret) in [
            (Text::Literal("as typed".into()), "as typed"),
            (Text::Env("KEY".into()), "from env\n"),
            (Text::File("secrets/key".into()), "two lines\n"),
            (Text::File("secrets/windows".into()), "windows"),
            (Text::Credential("token".into()), "credential"),
        ] {
            assert_eq!(reveal(&text).0.as_deref(), Ok(secret));
        }
    }

    #[test]
    fn a_secret_that_is_missing_or_empty_is_an_error_that_says_where() {
        for (text, message) in [
            (Text::Env("NOWHERE".into()), "the environment variable NOWHERE is not set"),
            (Text::Env("NOTHING".into()), "the environment variable NOTHING is empty"),
            (Text::File("secrets/empty".into()), "the file secrets/empty is empty"),
            (Text::File("secrets/binary".into()), "the file secrets/binary is not UTF-8"),
            (Text::File("nowhere".into()), "cannot read the file nowhere: entity not found"),
            (Text::Credential("../etc/passwd".into()), "`../etc/passwd` is no credential's name: it has no `/`"),
            (Text::Literal(String::new()), "the text is empty"),
        ] {
            assert_eq!(reveal(&text).0.unwrap_err(), message);
        }
    }

    #[test]
    fn a_secret_in_place_of_its_name_is_not_repeated() {
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQ==\n-----END PRIVATE KEY-----\n";
        for secret in [pem, "whsec_MfKQ9r8G", "t7Hq2mZx91LkPw0RbNcVyEaS", "c2VjcmV0L2FuZC9zb21l/Kw=="] {
            for text in [Text::Env(secret.into()), Text::File(secret.into()), Text::Credential(secret.into())] {
                assert_eq!(reveal(&text).0.unwrap_err(), Error::Itself.to_string());
            }
        }
        for name in ["BILLING_SECRET_2024_PRODUCTION", "secrets/billingKey2024Production", "/run/keys/a", "billingKey2024.pem"] {
            assert!(!is_text_itself(name), "{name}");
        }
    }

    #[test]
    fn a_typed_secret_says_where_it_is() {
        let outside = outside();
        let typed =
            |text| typed_secret(text, &outside).map(|secret| secret.expose().to_owned()).map_err(|error| error.to_string());
        assert_eq!(typed("env:KEY").as_deref(), Ok("from env\n"));
        assert_eq!(typed("file:conf/secrets/windows").as_deref(), Ok("windows"));
        assert_eq!(typed("whsec:abc").as_deref(), Ok("whsec:abc"));
        assert_eq!(typed("env:NOWHERE").unwrap_err(), "the environment variable NOWHERE is not set");
    }

    #[test]
    fn secret_files_are_remembered_also_when_they_are_missing() {
        assert_eq!(reveal(&Text::File("secrets/key".into())).1, [PathBuf::from("conf/secrets/key")]);
        assert_eq!(reveal(&Text::File("nowhere".into())).1, [PathBuf::from("conf/nowhere")]);
        assert!(reveal(&Text::Env("KEY".into())).1.is_empty());
    }
}
