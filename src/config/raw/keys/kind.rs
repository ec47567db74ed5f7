//! What a key may have as its value: how a reader reads it, told to those who do not read.
//!
//! Regular expressions are plain enough for every editor. Where one would be hard to read it takes more than the reader
//! does, never less; tests hold both against each other.

use super::Home;
use crate::{
    config::{raw, units},
    sign::Placeholder,
};

pub(in crate::config) enum Kind {
    Count {
        least: u64,
        most: u64,
    },
    /// This table without the keys that are each endpoint's own.
    Defaults(&'static Home),
    /// Any of several, each of a type of its own; [`Kind::Words`] and [`Kind::Off`] may be beside others of their type.
    Either(&'static [Kind]),
    /// A string with at least a character.
    Filled,
    Flag,
    /// From 0 to 1.
    Fraction,
    List {
        of: &'static Kind,
        least: usize,
        most: Option<usize>,
    },
    /// A table whose keys the user chooses, such as this regular expression finds.
    Named {
        keys: &'static str,
        of: &'static Kind,
    },
    /// `false`
    Off,
    /// A string as this regular expression finds it.
    Pattern(fn() -> String),
    /// Such a text, or a reference to where it is.
    Secret(&'static Kind),
    Table(&'static Home),
    Text,
    /// A string of a closed set.
    Words(fn() -> Vec<&'static str>),
}

/// The words of a closed set, whatever they mean.
pub(super) fn words<T>(offers: &[(&'static str, T)]) -> Vec<&'static str> {
    offers.iter().map(|(word, _)| *word).collect()
}

pub(super) const fn list(of: &'static Kind) -> Kind {
    Kind::List { of, least: 0, most: None }
}

pub(super) const fn some(of: &'static Kind) -> Kind {
    Kind::List { of, least: 1, most: None }
}

/// More is no limit that a machine could reach.
pub(super) const fn count(least: u64) -> Kind {
    Kind::Count { least, most: raw::MOST }
}

pub(super) const ADDRESS: Kind = Kind::Pattern(|| {
    let octet = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    format!(r"^(unix:[^\x00]+|({octet}(\.{octet}){{3}}|\[[0-9A-Fa-f:.]+(%[0-9]+)?\]):(0+|{PORT}))$")
});
pub(super) const BEARER: Kind = Kind::Pattern(|| "^[!-~]+$".into());
pub(super) const DURATION: Kind = Kind::Pattern(|| quantity("[0-9]+", &units::DURATION));
pub(super) const ELEMENT: Kind = Kind::Pattern(|| "^[A-Za-z_][A-Za-z0-9._-]*$".into());
/// A name that an endpoint may have.
pub(super) const ENDPOINT_NAME: &str = "^[A-Za-z0-9_-]{1,64}$";
/// RFC 9110, 5.6.2.
pub(super) const HEADER_NAME: &str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";
/// Without control characters, nor blanks at the ends.
pub(super) const HEADER_VALUE: Kind = Kind::Pattern(|| r"^[^\x00-\x20\x7f]([^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?$".into());
pub(super) const HOST: Kind =
    Kind::Pattern(|| r"^(NAME|\[NAME\])$".replace("NAME", "([A-Za-z0-9._-]+|[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)"));
pub(super) const ID: Kind = Kind::Pattern(|| "^[!-~]{1,255}$".into());
pub(super) const KEY_ID: Kind = Kind::Pattern(|| "^[ -~]+$".into());
pub(super) const MEDIA_TYPE: Kind = Kind::Pattern(|| r"^([!-~][\t -~]*)?/([\t -~]*[!-~])?$".into());
pub(super) const MODE: Kind = Kind::Pattern(|| "^0*[0-7]{1,3}$".into());
pub(super) const NO_CONTROL: &str = r"^[^\x00-\x1f\x7f-\x9f]+$";
pub(super) const PATH: Kind = Kind::Pattern(|| r"^[^\x00]+$".into());
/// Which events a route takes.
pub(super) const EVENTS: Kind =
    Kind::Pattern(|| r"^!?((\*\*?|[A-Za-z0-9_:/-]+)(\.SEGMENT)*|(\.SEGMENT)+)$".replace("SEGMENT", r"(\*\*?|[A-Za-z0-9_:/-]*)"));
pub(super) const PROXY: Kind = Kind::Pattern(|| format!("^[Hh][Tt][Tt][Pp]://([^@/?#]*@)?{AUTHORITY}/?$"));
pub(super) const RATE: Kind = Kind::Pattern(|| quantity("0*[1-9][0-9]*", &units::RATE));
/// RFC 6749, 3.3.
pub(super) const SCOPE: Kind = Kind::Pattern(|| r"^[!#-\[\]-~]+$".into());
pub(super) const SCOPES: Kind = Kind::Pattern(|| r"^[!#-\[\]-~ \t\n\r\f]*$".into());
pub(super) const SECRET: Kind = Kind::Secret(&Kind::Filled);
pub(super) const SERVER_NAME: Kind = Kind::Pattern(|| {
    r"^(LABEL(\.LABEL)*\.?|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)$".replace("LABEL", "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
});
pub(super) const SIZE: Kind = Kind::Pattern(|| quantity("0*[1-9][0-9]*", &units::SIZE));
/// Not zero, as a duration may be.
pub(super) const TIME_LIMIT: Kind = Kind::Pattern(|| quantity("0*[1-9][0-9]*", &units::DURATION));
pub(super) const URI_REFERENCE: Kind = Kind::Pattern(|| format!(r#"^[^"<>\\^`{{|}}{BLANK}]+$"#));
pub(super) const URL: Kind = Kind::Pattern(|| format!("^[Hh][Tt][Tt][Pp][Ss]?://{AUTHORITY}([/?][^#{BLANK}]*)?$"));

fn quantity(number: &str, kind: &units::Kind) -> String {
    format!("^{number}({})$", words(kind.units).join("|"))
}

/// A text with placeholders.
pub(super) fn template<P: Placeholder>() -> String {
    format!("^{}$", any_of::<P>(r"[^{}]"))
}

/// The same without control characters, nor blanks at the ends.
pub(super) fn header_template<P: Placeholder>() -> String {
    let (ends, between) = (any_of::<P>(r"[^{}\x00-\x20\x7f]"), any_of::<P>(r"[^{}\x00-\x08\x0a-\x1f\x7f]"));
    let one = ends.trim_end_matches('*');
    format!("^{one}({between}{one})?$")
}

fn any_of<P: Placeholder>(character: &str) -> String {
    format!(r"({character}|\{{\{{|\}}\}}|\{{({})\}})*", words(P::NAMES).join("|"))
}

/// For a class of characters: control characters and the blank.
const BLANK: &str = r"\x00-\x20\x7f-\x9f";

/// A host, and maybe a port.
const AUTHORITY: &str = r"[A-Za-z0-9._~!$&'()*+,;=\[\]:-]+";

const PORT: &str = "0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])";
