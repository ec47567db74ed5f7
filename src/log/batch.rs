//! Lines on their way out: what is left of them, and where a write may end.
//!
//! **Invariant:** a step never ends inside a line that it began, and `lines` is the number of line feeds that are left.

use std::ops::Range;

/// Whole lines taken from the buffer, of which a part may have been written.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    at: usize,
    lines: u64,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Bytes left.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Lines of which the last byte is left.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Changes places with the buffer, which gets an empty one; only for an empty batch.
    pub(super) fn swap(&mut self, buffer: &mut Vec<u8>) {
        self.bytes.clear();
        self.bytes.shrink_to(MAX_SPARE);
        std::mem::swap(&mut self.bytes, buffer);
        self.at = 0;
        self.lines = memchr::memchr_iter(b'\n', &self.bytes).count() as u64;
    }

    /// What the next write should write: at most 64 KiB and `most`, up to the end of a line, but a line at least.
    pub(super) fn step(&self, most: usize) -> &[u8] {
        let rest = &self.bytes[self.at..];
        let most = rest.len().min(MAX_STEP).min(most);
        let end = memchr::memrchr(b'\n', &rest[..most]).or_else(|| memchr::memchr(b'\n', rest));
        end.map_or(rest, |end| &rest[..=end])
    }

    /// `count` bytes of it are written.
    pub(super) fn advance(&mut self, count: usize) {
        let end = (self.at + count).min(self.bytes.len());
        self.lines -= memchr::memchr_iter(b'\n', &self.bytes[self.at..end]).count() as u64;
        self.at = end;
    }

    /// Whether a line's beginning is written, and its end is not.
    pub(super) fn is_torn(&self) -> bool {
        self.at > 0 && self.bytes[self.at - 1] != b'\n'
    }

    /// Bytes left of a line whose beginning is written.
    pub(super) fn begun(&self) -> usize {
        let rest = &self.bytes[self.at..];
        if self.is_torn() { memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1) } else { 0 }
    }

    /// Takes whole lines out of what is left: those in `ranges`, in order.
    pub(super) fn cut(&mut self, ranges: &[Range<usize>]) {
        let rest = cut(&self.bytes[self.at..], ranges);
        self.bytes.truncate(self.at);
        self.lines = memchr::memchr_iter(b'\n', &rest).count() as u64;
        self.bytes.extend_from_slice(&rest);
    }

    /// Goes back to the beginning of a torn line.
    pub(super) fn rewind(&mut self) {
        self.at = memchr::memrchr(b'\n', &self.bytes[..self.at]).map_or(0, |end| end + 1);
    }
}

/// `bytes` without those in `ranges`, which are in order.
pub(super) fn cut(bytes: &[u8], ranges: &[Range<usize>]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for range in ranges {
        kept.extend_from_slice(&bytes[from..range.start]);
        from = range.end;
    }
    kept.extend_from_slice(&bytes[from..]);
    kept
}

/// Bytes a `write(2)`.
const MAX_STEP: usize = 64 * 1024;
/// Bytes of memory kept for the next batch; a jam's megabytes go back.
const MAX_SPARE: usize = 256 * 1024;
