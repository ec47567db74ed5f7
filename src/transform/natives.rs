//! Filters of our own, in place of jaq's where those have no bound, make what is no JSON, or are not jq's.
//!
//! **Invariant:** no text that is put together here is larger than 1 MiB, and no value that becomes one or is read from one is
//! deeper than an event.

use data_encoding::{BASE32, BASE64_NOPAD, Encoding};
use jaq_core::{
    Error as JqError, Native, ValT as _,
    box_iter::box_once,
    data::JustLut,
    native::{Fun, bome, run, v},
};
use jaq_json::{Map, Num, Val};
use jaq_std::ValT as _;

use super::{
    LARGEST, RunError,
    check::{MADE, MULTIPLY, TEXT, WHOLE},
    paths, read, regex, write,
};

pub(super) type Result<T = Val> = std::result::Result<T, JqError<Val>>;

/// A native whose input and arguments are values.
macro_rules! native {
    ($name:expr, 0, $native:expr) => {
        run(($name, v(0), |cv| bome($native(cv.1))))
    };
    ($name:expr, 1, $native:expr) => {
        run(($name, v(1), |mut cv| {
            let argument = cv.0.pop_var();
            bome($native(cv.1, &argument))
        }))
    };
    ($name:expr, 2, $native:expr) => {
        run(($name, v(2), |mut cv| {
            let last = cv.0.pop_var();
            let first = cv.0.pop_var();
            bome($native(cv.1, &first, &last))
        }))
    };
}

pub(super) fn own() -> impl Iterator<Item = Fun<JustLut<Val>>> {
    [
        run((MULTIPLY.0, v(2), |mut cv| {
            let right = cv.0.pop_var();
            let left = cv.0.pop_var();
            bome(multiply(left, right))
        })),
        (
            MADE.0,
            v(1),
            Native::new(|cv| box_once(Ok(cv.1))).with_update(|mut cv, update| {
                let step = cv.0.pop_var();
                update(paths::made(cv.1, &step))
            }),
        ),
        native!(TEXT.0, 0, to_string),
        native!(WHOLE.0, 0, |value| Ok(whole(value))),
        native!("decode_base32", 0, |text| decoded(&text, &BASE32, "base32")),
        native!("decode_base64", 0, |text| decoded(&text, &BASE64_NOPAD, "base64")),
        native!("delpaths_", 1, paths::delete),
        native!("edits_", 2, |text, regex, flags| regex::edits(&text, regex, flags)),
        native!("encode_base32", 0, |text| Ok(Val::from(BASE32.encode(bytes(&text)?)))),
        native!("from_entries", 0, from_entries),
        native!("fromjson", 0, from_json),
        native!("join", 1, join),
        run(("joined_", v(0), |cv| match Joined::new(cv.1) {
            Ok(joined) => Box::new(joined.map(|text| Ok(text?))),
            Err(error) => box_once(Err(error.into())),
        })),
        native!("ltrimstr", 1, |value, prefix| Ok(trim(value, prefix, <[u8]>::strip_prefix))),
        native!("matches", 2, |text, regex, flags| regex::matches(&text, regex, flags)),
        native!("pick_", 0, paths::pick),
        native!("replace_", 2, replace),
        native!("rtrimstr", 1, |value, suffix| Ok(trim(value, suffix, <[u8]>::strip_suffix))),
        native!("setpath_", 2, |value, path, new: &Val| paths::set(value, paths::path(path)?, new.clone())),
        native!("split_", 2, |text, regex, flags| regex::split(&text, regex, flags)),
        native!("tojson", 0, |value| to_json(&value)),
        native!("tonumber", 0, to_number),
        native!("tostring", 0, to_string),
    ]
    .into_iter()
}

pub(super) fn error(text: &str) -> JqError<Val> {
    JqError::str(text)
}

pub(super) fn too_large() -> JqError<Val> {
    error("a text is larger than 1 MiB")
}

fn multiply(left: Val, right: Val) -> Result {
    let length = |value: &Val| match value {
        Val::BStr(text) | Val::TStr(text) => Some(text.len()),
        _ => None,
    };
    let times = |value: &Val| match value {
        Val::Num(Num::Int(times)) => usize::try_from(*times).unwrap_or_default(),
        Val::Num(Num::BigInt(_)) => usize::MAX,
        _ => 0,
    };
    let bits = |value: &Val| match value {
        Val::Num(Num::BigInt(number)) => number.bits() as usize,
        _ => 0,
    };
    let (left, right) = match (length(&left), length(&right)) {
        (Some(_), None) => (left, whole(right)),
        (None, Some(_)) => (whole(left), right),
        _ => (left, right),
    };
    let repeated = length(&left).map(|length| length.saturating_mul(times(&right)));
    let repeated = repeated.or_else(|| length(&right).map(|length| length.saturating_mul(times(&left))));
    if repeated.is_some_and(|bytes| bytes > LARGEST) {
        return Err(error("a string is repeated beyond 1 MiB"));
    }
    if bits(&left) + bits(&right) > BITS {
        return Err(error("an integer has more than 10 000 digits"));
    }
    left * right
}

/// The same number as an integer, if it is one that is written or was calculated otherwise: jaq counts with those alone.
pub(super) fn whole(value: Val) -> Val {
    let number = match &value {
        Val::Num(Num::Float(number)) => *number,
        Val::Num(Num::Dec(text)) => text.parse().unwrap_or(f64::NAN),
        _ => return value,
    };
    if number.fract() == 0.0 && number.abs() <= EXACT { Val::from(number as isize) } else { value }
}

fn to_string(value: Val) -> Result {
    match value {
        Val::TStr(text) | Val::BStr(text) => Ok(Val::TStr(text)),
        other => to_json(&other),
    }
}

fn to_json(value: &Val) -> Result {
    write::json(value).map(Val::from).map_err(|problem| match problem {
        RunError::NotJson(what) => JqError::str(format_args!("not JSON: {what}")),
        RunError::TooDeep => error(TOO_DEEP),
        _ => too_large(),
    })
}

fn from_json(value: Val) -> Result {
    let Val::TStr(text) = &value else { return Err(JqError::typ(value, "string")) };
    if read::is_too_deep(text) {
        return Err(error(TOO_DEEP));
    }
    read::checked(text).map_err(|why| JqError::str(format_args!("not JSON: {why}")))
}

/// jq takes many names for key and value, and makes a text of any key.
fn from_entries(value: Val) -> Result {
    let mut object = Map::default();
    for entry in value.values() {
        let entry = entry?;
        let Val::Obj(entry) = &entry else { return Err(JqError::index(entry, Val::from("key".to_owned()))) };
        let get = |name: &str| entry.get(&Val::from(name.to_owned()));
        let is_true = |key: &&Val| !matches!(key, Val::Null | Val::Bool(false));
        let key = get("key").filter(|key| **key != Val::Null);
        let key = key.or_else(|| ["k", "name", "Name", "K", "Key"].into_iter().filter_map(get).find(is_true));
        let key = to_string(key.cloned().unwrap_or_default())?;
        let value = get("value").or_else(|| get("v")).or_else(|| get("Value"));
        object.insert(key, value.cloned().unwrap_or_default());
    }
    Ok(Val::obj(object))
}

fn to_number(value: Val) -> Result {
    match &value {
        Val::Num(_) => Ok(value),
        Val::TStr(text) => read::lenient_number(text).ok_or_else(|| {
            let shown = String::from_utf8_lossy(&text[..text.len().min(SHOWN)]);
            JqError::str(format_args!("cannot parse {shown:?} as number"))
        }),
        _ => Err(JqError::typ(value, "number")),
    }
}

fn trim(value: Val, part: &Val, strip: impl for<'a> Fn(&'a [u8], &[u8]) -> Option<&'a [u8]>) -> Val {
    let (Some(text), Some(part)) = (value.as_bytes(), part.as_bytes()) else { return value };
    strip(text, part).map(|rest| value.as_sub_str(rest)).unwrap_or(value)
}

fn join(value: Val, separator: &Val) -> Result {
    let Val::Arr(pieces) = &value else { return Err(JqError::typ(value, "array")) };
    let separator = match separator {
        Val::Null => &[],
        other => bytes(other)?,
    };
    let mut out = Vec::new();
    for (n, piece) in pieces.iter().enumerate() {
        out.extend_from_slice(if n == 0 { &[] } else { separator });
        match piece {
            Val::Null => {}
            Val::Bool(_) | Val::Num(_) => out.extend_from_slice(bytes(&to_json(piece)?)?),
            other => out.extend_from_slice(bytes(other)?),
        }
        if out.len() > LARGEST {
            return Err(too_large());
        }
    }
    Ok(Val::utf8_str(out))
}

fn replace(value: Val, from: &Val, to: &Val) -> Result {
    let (text, from, to) = (bytes(&value)?, bytes(from)?, bytes(to)?);
    let found: Vec<usize> = memchr::memmem::find_iter(text, from).collect();
    if found.is_empty() {
        return Ok(value);
    }
    let (mut out, mut end) = (Vec::new(), 0);
    for at in found {
        out.extend_from_slice(&text[end..at]);
        out.extend_from_slice(to);
        end = at + from.len();
    }
    out.extend_from_slice(&text[end..]);
    if out.len() > LARGEST { Err(too_large()) } else { Ok(Val::utf8_str(out)) }
}

/// Without padding too, as jq takes it.
fn decoded(value: &Val, encoding: &Encoding, name: &str) -> Result {
    let text = bytes(value)?;
    let bare = text.trim_ascii_end();
    let bare = &bare[..bare.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1)];
    let padded;
    let text = if encoding.specification().padding.is_some() {
        padded = [bare, &b"======="[..(8 - bare.len() % 8) % 8]].concat();
        &padded
    } else {
        bare
    };
    let bytes = encoding.decode(text).map_err(|why| JqError::str(format_args!("not {name}: {why}")))?;
    Ok(Val::utf8_str(bytes))
}

pub(super) fn bytes(value: &Val) -> Result<&[u8]> {
    value.as_bytes().ok_or_else(|| JqError::typ(value.clone(), "string"))
}

/// The texts that pieces make, one for each choice among what stands for them; the last changes first.
struct Joined {
    pieces: Vec<Val>,
    /// Of each piece the one chosen; none when all were.
    chosen: Option<Vec<usize>>,
    made: usize,
}

impl Joined {
    fn new(value: Val) -> Result<Joined> {
        let pieces: Vec<Val> = value.into_seq().map_err(|value| JqError::typ(value, "array"))?;
        let is_empty = |piece: &Val| matches!(piece, Val::Arr(choices) if choices.is_empty());
        let chosen = if pieces.iter().any(is_empty) { None } else { Some(vec![0; pieces.len()]) };
        Ok(Joined { pieces, chosen, made: 0 })
    }

    fn text(&self, chosen: &[usize]) -> Result {
        let mut out = Vec::new();
        for (piece, chosen) in self.pieces.iter().zip(chosen) {
            match piece {
                Val::Arr(choices) => out.extend_from_slice(bytes(&choices[*chosen])?),
                other => out.extend_from_slice(bytes(other)?),
            }
            if out.len() > LARGEST {
                return Err(too_large());
            }
        }
        Ok(Val::utf8_str(out))
    }
}

impl Iterator for Joined {
    type Item = Result;

    fn next(&mut self) -> Option<Result> {
        let mut chosen = self.chosen.take()?;
        self.made += 1;
        // Each place where there is a choice doubles them at least.
        if self.made > MOST_TEXTS {
            return Some(Err(error("a replacement makes more than 4096 texts")));
        }
        let text = self.text(&chosen);
        let next = self.pieces.iter().zip(&mut chosen).rev().any(|(piece, chosen)| {
            let choices = if let Val::Arr(choices) = piece { choices.len() } else { 1 };
            *chosen = (*chosen + 1) % choices;
            *chosen > 0
        });
        self.chosen = (next && text.is_ok()).then_some(chosen);
        Some(text)
    }
}

pub(super) const TOO_DEEP: &str = "more than 127 arrays and objects inside one another";

/// Of an integer that is a product: 10 000 digits.
const BITS: usize = 33_220;

/// The largest number up to which a float has every integer.
const EXACT: f64 = 9_007_199_254_740_992.0;

const MOST_TEXTS: usize = 4096;

/// Of a text that is no number, in bytes.
const SHOWN: usize = 100;
