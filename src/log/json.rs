//! One flat JSON object on one line, written straight into a buffer.
//!
//! In come keys and values, out go bytes. Why not serde_json: the delivery log is on the relay's path, and with the keys
//! constant and nearly every text plain ASCII this takes less than half the time.
//!
//! Control characters and line separators beyond ASCII are escaped as well (RFC 8259 would allow them), so that neither a
//! terminal nor a reader that splits at U+2028 or U+0085 is fooled by what a receiver answered.
//!
//! **Invariant:** between `begin` and `end` the bytes are one JSON object (RFC 8259), with no line feed but the last byte.

use std::{
    fmt::{self, Write},
    time::Duration,
};

pub(super) struct Object<'b> {
    bytes: &'b mut Vec<u8>,
    /// The most bytes a text may take up between its quotes; the rest of it is left out, at a character.
    limit: usize,
    /// What is left of that for the text being written.
    room: usize,
}

impl<'b> Object<'b> {
    /// The first key is `timestamp`; its value is plain ASCII.
    pub(super) fn begin(bytes: &'b mut Vec<u8>, limit: usize, timestamp: &str) -> Object<'b> {
        bytes.extend_from_slice(b"{\"timestamp\":\"");
        bytes.extend_from_slice(timestamp.as_bytes());
        bytes.push(b'"');
        Object { bytes, limit, room: 0 }
    }

    pub(super) fn end(self) {
        self.bytes.extend_from_slice(b"}\n");
    }

    #[inline(always)]
    pub(super) fn text(&mut self, key: &'static str, value: &str) {
        self.key(key);
        self.quoted(value);
    }

    pub(super) fn display(&mut self, key: &'static str, value: impl fmt::Display) {
        self.key(key);
        self.bytes.push(b'"');
        self.room = self.limit;
        // Only a `Display` that fails by itself can fail here; what it wrote until then stays.
        let _ = write!(Unquoted(self), "{value}");
        self.bytes.push(b'"');
    }

    /// As many of `values` as have room together.
    pub(super) fn texts(&mut self, key: &'static str, values: &[&str]) {
        self.key(key);
        self.bytes.push(b'[');
        let start = self.bytes.len();
        for value in values {
            if self.bytes.len() - start + value.len() > self.limit {
                break;
            }
            if self.bytes.len() > start {
                self.bytes.push(b',');
            }
            self.quoted(value);
        }
        self.bytes.push(b']');
    }

    #[inline(always)]
    pub(super) fn number(&mut self, key: &'static str, value: u64) {
        self.key(key);
        self.digits(value);
    }

    /// Milliseconds, with three decimals at most.
    pub(super) fn millis(&mut self, key: &'static str, value: Duration) {
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

    pub(super) fn yes(&mut self, key: &'static str) {
        self.key(key);
        self.bytes.extend_from_slice(b"true");
    }

    /// Inlined, so that a key of known length is a store or two and not a call.
    #[inline(always)]
    fn key(&mut self, key: &'static str) {
        self.bytes.extend_from_slice(b",\"");
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(b"\":");
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

    fn unquoted(&mut self, value: &str) {
        // Every byte is looked at, without a way out of the loop: so it compiles to vector instructions.
        let plain =
            value.bytes().fold(true, |plain, byte| plain & (0x20..0x7f).contains(&byte) & (byte != b'"') & (byte != b'\\'));
        if plain && value.len() <= self.room {
            self.room -= value.len();
            return self.bytes.extend_from_slice(value.as_bytes());
        }
        for character in value.chars() {
            self.character(character);
        }
    }

    fn character(&mut self, character: char) {
        let short = match character {
            '"' | '\\' => Some(character as u8),
            '\n' => Some(b'n'),
            '\r' => Some(b'r'),
            '\t' => Some(b't'),
            _ => None,
        };
        if let Some(short) = short {
            if self.take(2) {
                self.bytes.extend_from_slice(&[b'\\', short]);
            }
        } else if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            if self.take(6) {
                let hex = |shift: u32| HEX[(character as usize >> shift) & 15];
                self.bytes.extend_from_slice(&[b'\\', b'u', hex(12), hex(8), hex(4), hex(0)]);
            }
        } else if self.take(character.len_utf8()) {
            self.bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    /// Once something had no room, nothing that follows has.
    fn take(&mut self, size: usize) -> bool {
        let left = self.room.checked_sub(size);
        self.room = left.unwrap_or_default();
        left.is_some()
    }
}

struct Unquoted<'o, 'b>(&'o mut Object<'b>);

impl fmt::Write for Unquoted<'_, '_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0.unquoted(part);
        Ok(())
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";
