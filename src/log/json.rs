//! One flat JSON object on one line, written straight into a buffer.
//!
//! In come keys and values, out go bytes. Why not serde_json: the delivery log is on the relay's path, and with the keys
//! constant and nearly every text plain ASCII this takes less than half the time. The names of the keys are the plain ones or
//! those of ECS, each by code of its own, for the same reason.
//!
//! What would mislead a terminal and line separators beyond ASCII are escaped as well (RFC 8259 would allow them), so that
//! neither a person nor a reader that splits at U+2028 or U+0085 is fooled by what a receiver answered.
//!
//! **Invariant:** between `begin` and `end` the bytes are one JSON object (RFC 8259), with no line feed but the last byte.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use super::keys::{Key, TIMESTAMP, TRUNCATED};
use crate::screen::misleads;

pub(super) struct Object<'b, const ECS: bool> {
    bytes: &'b mut Vec<u8>,
    /// The most bytes a text may take up between its quotes; the rest of it is left out, at a character.
    limit: usize,
    /// What is left of that for the text being written.
    room: usize,
    /// Something was left out.
    cut: bool,
}

impl<'b, const ECS: bool> Object<'b, ECS> {
    /// The first key is `timestamp`; its value is plain ASCII.
    pub(super) fn begin(bytes: &'b mut Vec<u8>, limit: usize, timestamp: &str) -> Object<'b, ECS> {
        bytes.extend_from_slice(b"{\"");
        bytes.extend_from_slice(if ECS { TIMESTAMP.ecs } else { TIMESTAMP.plain }.as_bytes());
        bytes.extend_from_slice(b"\":\"");
        bytes.extend_from_slice(timestamp.as_bytes());
        bytes.push(b'"');
        Object { bytes, limit, room: 0, cut: false }
    }

    /// The last key is `truncated`, where something was cut.
    pub(super) fn end(mut self) {
        if self.cut {
            self.key(&TRUNCATED);
            self.bytes.extend_from_slice(b"true");
        }
        self.bytes.extend_from_slice(b"}\n");
    }

    #[inline(always)]
    pub(super) fn text(&mut self, key: &Key, value: &str) {
        self.key(key);
        self.quoted(value);
    }

    pub(super) fn display(&mut self, key: &Key, value: impl fmt::Display) {
        self.key(key);
        self.bytes.push(b'"');
        self.room = self.limit;
        // Only a `Display` that fails by itself can fail here; what it wrote until then stays.
        let _ = write!(Unquoted(self), "{value}");
        self.bytes.push(b'"');
    }

    /// As many of `values`, from the first on, as have room together: none of them is cut.
    pub(super) fn texts(&mut self, key: &Key, values: &[&str]) {
        self.key(key);
        self.bytes.push(b'[');
        let start = self.bytes.len();
        for value in values {
            let end = self.bytes.len();
            if end > start {
                self.bytes.push(b',');
            }
            self.bytes.push(b'"');
            let room = start.saturating_add(self.limit).checked_sub(self.bytes.len() + 1);
            self.room = room.unwrap_or_default();
            if room.is_none() || !self.unquoted(value) {
                self.cut = true;
                self.bytes.truncate(end);
                break;
            }
            self.bytes.push(b'"');
        }
        self.bytes.push(b']');
    }

    #[inline(always)]
    pub(super) fn number(&mut self, key: &Key, value: u64) {
        self.key(key);
        self.digits(value);
    }

    /// Milliseconds, with three decimals at most.
    pub(super) fn millis(&mut self, key: &Key, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        self.number(key, micros / 1000);
        let rest = micros % 1000;
        if rest > 0 {
            let digits = [b'0' + (rest / 100) as u8, b'0' + (rest / 10 % 10) as u8, b'0' + (rest % 10) as u8];
            let kept = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
            self.bytes.push(b'.');
            self.bytes.extend_from_slice(&digits[..kept]);
        }
    }

    /// Nanoseconds.
    pub(super) fn nanos(&mut self, key: &Key, value: Duration) {
        self.number(key, u64::try_from(value.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Inlined, so that a key of known length is a store or two and not a call.
    #[inline(always)]
    fn key(&mut self, key: &Key) {
        let start = if ECS { key.ecs_start } else { key.plain_start };
        self.bytes.extend_from_slice(start.as_bytes());
    }

    fn digits(&mut self, mut value: u64) {
        let mut digits = [b'0'; 20];
        let mut at = digits.len() - 1;
        while value > 9 {
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
            at -= 1;
        }
        digits[at] = b'0' + value as u8;
        self.bytes.extend_from_slice(&digits[at..]);
    }

    fn quoted(&mut self, value: &str) {
        self.bytes.push(b'"');
        self.room = self.limit;
        self.unquoted(value);
        self.bytes.push(b'"');
    }

    /// Whether all of it had room.
    fn unquoted(&mut self, value: &str) -> bool {
        // Every byte is looked at, without a way out of the loop: so it compiles to vector instructions.
        let plain =
            value.bytes().fold(true, |plain, byte| plain & (0x20..0x7f).contains(&byte) & (byte != b'"') & (byte != b'\\'));
        if plain && value.len() <= self.room {
            self.room -= value.len();
            self.bytes.extend_from_slice(value.as_bytes());
            return true;
        }
        let all = value.chars().all(|character| self.character(character));
        if !all {
            // Nor has what follows it in the same text.
            self.room = 0;
            self.cut = true;
        }
        all
    }

    fn character(&mut self, character: char) -> bool {
        let short = match character {
            '"' | '\\' => Some(character as u8),
            '\n' => Some(b'n'),
            '\r' => Some(b'r'),
            '\t' => Some(b't'),
            _ => None,
        };
        if let Some(short) = short {
            self.piece(&[b'\\', short])
        } else if misleads(character) || matches!(character, '\u{2028}' | '\u{2029}') {
            // All of these have four digits.
            let hex = |shift: u32| HEX[(character as usize >> shift) & 15];
            self.piece(&[b'\\', b'u', hex(12), hex(8), hex(4), hex(0)])
        } else {
            self.piece(character.encode_utf8(&mut [0; 4]).as_bytes())
        }
    }

    /// Whether it had room.
    fn piece(&mut self, piece: &[u8]) -> bool {
        let left = self.room.checked_sub(piece.len());
        if let Some(left) = left {
            self.room = left;
            self.bytes.extend_from_slice(piece);
        }
        left.is_some()
    }
}

struct Unquoted<'o, 'b, const ECS: bool>(&'o mut Object<'b, ECS>);

impl<const ECS: bool> fmt::Write for Unquoted<'_, '_, ECS> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0.unquoted(part);
        Ok(())
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";
