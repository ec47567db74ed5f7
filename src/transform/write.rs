//! From jaq's values to JSON text, which not all of them have.

use std::io::Write as _;

use jaq_json::{Num, Val};

use super::{LARGEST, RunError};
use crate::event::MAX_DEPTH;

/// A value as compact JSON.
pub(super) fn json(value: &Val) -> Result<String, RunError> {
    let mut out = Vec::new();
    write(&mut out, value, 0)?;
    // What went in was checked piece by piece.
    String::from_utf8(out).map_err(|_| RunError::NotJson(NO_TEXT))
}

fn write(out: &mut Vec<u8>, value: &Val, depth: usize) -> Result<(), RunError> {
    match value {
        Val::Null => out.extend_from_slice(b"null"),
        Val::Bool(true) => out.extend_from_slice(b"true"),
        Val::Bool(false) => out.extend_from_slice(b"false"),
        Val::Num(Num::Float(number)) if !number.is_finite() => return Err(RunError::NotJson("a number that is not finite")),
        Val::Num(Num::Float(number)) if number.fract() == 0.0 && number.abs() < WHOLE => whole(out, *number),
        // Writing into memory cannot fail.
        Val::Num(number) => _ = write!(out, "{number}"),
        Val::BStr(_) => return Err(RunError::NotJson("a string of bytes")),
        Val::TStr(text) => string(out, text)?,
        Val::Arr(_) | Val::Obj(_) if depth == MAX_DEPTH => return Err(RunError::TooDeep),
        Val::Arr(array) => {
            for (n, element) in array.iter().enumerate() {
                out.push(if n == 0 { b'[' } else { b',' });
                write(out, element, depth + 1)?;
            }
            out.extend_from_slice(if array.is_empty() { b"[]" } else { b"]" });
        }
        Val::Obj(object) => {
            for (n, (key, value)) in object.iter().enumerate() {
                out.push(if n == 0 { b'{' } else { b',' });
                let Val::TStr(key) = key else { return Err(RunError::NotJson("a key that is no string")) };
                string(out, key)?;
                out.push(b':');
                write(out, value, depth + 1)?;
            }
            out.extend_from_slice(if object.is_empty() { b"{}" } else { b"}" });
        }
    }
    if out.len() > LARGEST { Err(RunError::TooLarge) } else { Ok(()) }
}

/// Floats come from calculations alone: as in jq, what they give has no `.0`.
fn whole(out: &mut Vec<u8>, number: f64) {
    let sign = if number == 0.0 && number.is_sign_negative() { "-" } else { "" };
    _ = write!(out, "{sign}{}", number as i64);
}

fn string(out: &mut Vec<u8>, text: &[u8]) -> Result<(), RunError> {
    if text.len() > LARGEST {
        return Err(RunError::TooLarge);
    }
    let text = std::str::from_utf8(text).map_err(|_| RunError::NotJson(NO_TEXT))?;
    // Writing into memory cannot fail.
    let written = serde_json::to_writer(out.by_ref(), text);
    debug_assert!(written.is_ok());
    Ok(())
}

/// Larger floats are written with an exponent.
const WHOLE: f64 = 1e17;

const NO_TEXT: &str = "a string that is not UTF-8";
