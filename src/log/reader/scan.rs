//! Lines out of bytes, and those of them that are wanted.
//!
//! In come bytes, a block at a time, into one buffer. Of a block only those lines are cut out that hold the rarest bytes
//! every match must have, and only these are read as JSON.
//!
//! **Invariant:** whatever is read, no more of it is held than the buffer; a line is looked at once, and whole.

use std::io::{self, ErrorKind, Read};

use memchr::{memchr, memmem::Finder, memrchr};

use super::{Entry, Filter, Source};

/// Finds the lines that a filter wants.
pub struct Scan<'f> {
    filter: &'f Filter,
    pub tally: Tally,
    buffer: Box<[u8]>,
    /// What of the buffer is not looked at yet.
    start: usize,
    end: usize,
    /// Inside a line that has no room in the buffer.
    skipping: bool,
    /// What is looked for in this input, once its first block has told.
    needles: Option<&'f [Finder<'static>]>,
}

/// What was come by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub matched: u64,
    /// Of the lines that were looked at those that are none of the log's.
    pub damaged: u64,
}

/// Who takes what a scan finds. An error ends the scan.
pub trait Taker {
    /// A line, as it stands in the log without its end, and as it was read.
    fn take(&mut self, line: &[u8], entry: &Entry<'_>) -> io::Result<()>;

    /// A block was looked at, whatever was in it.
    fn pause(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What ended a scan early.
#[derive(Debug)]
pub enum Failure {
    Read(io::Error),
    /// The taker's.
    Take(io::Error),
}

impl<'f> Scan<'f> {
    pub fn new(filter: &'f Filter) -> Scan<'f> {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Scan { filter, tally: Tally::default(), buffer, start: 0, end: 0, skipping: false, needles: None }
    }

    /// Gives `taker` what is wanted of a source, but for a rotated file in which nothing can be.
    pub fn all(&mut self, source: &Source, taker: &mut dyn Taker) -> Result<(), Failure> {
        if !source.named && self.filter.since().is_some_and(|since| source.was_left_before(since)) {
            return Ok(());
        }
        let mut reader = source.reader();
        let ended = loop {
            match self.step(&mut reader, taker) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(failure) => break Err(failure),
            }
        };
        if let Err(Failure::Take(_)) = ended {
            return ended;
        }
        self.finish(taker)?;
        ended
    }

    /// Reads once, and gives `taker` what is wanted of the lines that are whole. Whether there was anything to read.
    pub(super) fn step(&mut self, source: &mut dyn Read, taker: &mut dyn Taker) -> Result<bool, Failure> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let known = self.end;
        self.end += read(source, &mut self.buffer[known..]).map_err(Failure::Read)?;
        let fresh = &self.buffer[known..self.end];
        if fresh.is_empty() {
            return Ok(false);
        }
        match memrchr(b'\n', fresh) {
            Some(last) => self.look(known + last, taker),
            None => {
                if self.end == self.buffer.len() {
                    self.tally.damaged += u64::from(!self.skipping);
                    (self.end, self.skipping) = (0, true);
                }
                Ok(())
            }
        }
        .and_then(|()| taker.pause())
        .map_err(Failure::Take)?;
        Ok(true)
    }

    /// Looks at the lines up to the line feed at `last`.
    fn look(&mut self, last: usize, taker: &mut dyn Taker) -> io::Result<()> {
        let mut block = &self.buffer[..last];
        self.start = last + 1;
        if self.skipping {
            self.skipping = false;
            // What has no line feed is the end of the line that is skipped.
            block = memchr(b'\n', block).map_or(&[][..], |end| &block[end + 1..]);
        }
        let needles = *self.needles.get_or_insert_with(|| self.filter.rarest_needles(block));
        let mut look = |line: &[u8]| look_at(line, self.filter, &mut self.tally, taker);
        if needles.is_empty() { lines(block, &mut look) } else { candidates(block, needles, &mut look) }
    }

    /// The input has ended: what is left is a line as well.
    pub(super) fn finish(&mut self, taker: &mut dyn Taker) -> Result<(), Failure> {
        let rest = if self.skipping { 0..0 } else { self.start..self.end };
        (self.start, self.end, self.skipping, self.needles) = (0, 0, false, None);
        let looked = look_at(&self.buffer[rest], self.filter, &mut self.tally, taker);
        looked.and_then(|()| taker.pause()).map_err(Failure::Take)
    }
}

fn read(source: &mut dyn Read, room: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(room) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

fn look_at(line: &[u8], filter: &Filter, tally: &mut Tally, taker: &mut dyn Taker) -> io::Result<()> {
    if filter.is_out_of_time(line) {
        return Ok(());
    }
    match Some(line).filter(|line| line.len() <= LONGEST).and_then(Entry::read) {
        Some(entry) if filter.matches(&entry) => {
            tally.matched += 1;
            taker.take(line, &entry)?;
        }
        Some(_) => {}
        None => tally.damaged += u64::from(!line.trim_ascii().is_empty()),
    }
    Ok(())
}

/// The lines of a block.
fn lines(block: &[u8], look: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', block) {
        look(&block[start..end])?;
        start = end + 1;
    }
    look(&block[start..])
}

/// The lines of a block that have one of `needles`.
fn candidates(block: &[u8], needles: &[Finder<'static>], look: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut start = 0;
    let find = |needle: &Finder<'_>, from: usize| needle.find(&block[from..]).map_or(usize::MAX, |at| from + at);
    let mut next: Vec<usize> = needles.iter().map(|needle| find(needle, 0)).collect();
    while let Some(hit) = next.iter().copied().min().filter(|hit| *hit < block.len()) {
        let begin = memrchr(b'\n', &block[start..hit]).map_or(start, |at| start + at + 1);
        let end = memchr(b'\n', &block[hit..]).map_or(block.len(), |at| hit + at);
        look(&block[begin..end])?;
        start = block.len().min(end + 1);
        for (next, needle) in next.iter_mut().zip(needles) {
            if *next < start {
                *next = find(needle, start);
            }
        }
    }
    Ok(())
}

/// Bytes: few enough to stay in a core's own cache until they are looked at.
const BUFFER: usize = 256 << 10;

/// Bytes of a line, several times what the log writes.
const LONGEST: usize = 64 << 10;

#[cfg(test)]
pub(super) mod tests {
    use super::{super::Condition, *};

    #[derive(Default)]
    pub(in crate::log::reader) struct Found(pub(in crate::log::reader) String);

    impl Taker for Found {
        fn take(&mut self, line: &[u8], _: &Entry<'_>) -> io::Result<()> {
            self.0.push_str(str::from_utf8(line).unwrap());
            self.0.push('\n');
            Ok(())
        }
    }

    /// Gives a few bytes at a time, and is interrupted before each time.
    struct Drops<'a>(&'a [u8], usize, bool);

    impl Read for Drops<'_> {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            self.2 = !self.2;
            if self.2 {
                return Err(ErrorKind::Interrupted.into());
            }
            let many = self.1.min(room.len()).min(self.0.len());
            let (now, later) = self.0.split_at(many);
            room[..many].copy_from_slice(now);
            self.0 = later;
            Ok(many)
        }
    }

    fn scanned(content: &[u8], filter: &Filter, drop: usize) -> (String, Tally) {
        let (mut found, mut scan, mut source) = (Found::default(), Scan::new(filter), Drops(content, drop, false));
        while scan.step(&mut source, &mut found).unwrap() {}
        scan.finish(&mut found).unwrap();
        (found.0, scan.tally)
    }

    fn of_endpoints(names: &[&str]) -> Filter {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Filter::default().and(Condition::one_of(|entry| entry.endpoint.as_deref(), names))
    }

    fn line(endpoint: &str, more: &str) -> String {
        format!("{{\"timestamp\":\"2026-11-22T19:00:00.000000Z\",\"endpoint\":\"{endpoint}\",\"message\":\"{more}\"}}\n")
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        let content: String = ["one", "two", "three"].iter().map(|name| line(name, "two")).collect();
        for drop in [1, 2, 7, 100, BUFFER] {
            let (found, tally) = scanned(content.trim_end().as_bytes(), &of_endpoints(&["three", "one"]), drop);
            assert_eq!(found, line("one", "two") + &line("three", "two"));
            assert_eq!(tally, Tally { matched: 2, damaged: 0 });
            assert_eq!(scanned(content.as_bytes(), &Filter::default(), drop).0, content);
        }
    }

    #[test]
    fn a_line_that_only_holds_the_bytes_does_not_match() {
        let content = line("one", "to \\\"two\\\"") + &line("other", "two") + &line("two", "");
        assert_eq!(scanned(content.as_bytes(), &of_endpoints(&["two"]), BUFFER).0, line("two", ""));
    }

    #[test]
    fn damaged_lines_are_counted_and_left_out() {
        let torn = &line("one", "")[..60];
        let content = format!("{torn}\n{}\n\n{torn}{}\0\x01\n{}{torn}", line("one", ""), line("one", ""), line("one", "end"));
        let (found, tally) = scanned(content.as_bytes(), &of_endpoints(&["one"]), BUFFER);
        assert_eq!(found, line("one", "") + &line("one", "end"));
        assert_eq!(tally, Tally { matched: 2, damaged: 3 });
    }

    #[test]
    fn lines_without_end_are_skipped_in_bounded_memory() {
        for long in [LONGEST, BUFFER - 1, BUFFER, BUFFER + 1, 3 * BUFFER, 3 * BUFFER + 17] {
            let content = format!("{}{}{}", line("one", "before"), line("one", &"x".repeat(long)), line("one", "after"));
            for (filter, drop) in [(of_endpoints(&["one"]), 1000), (of_endpoints(&["one"]), BUFFER), (Filter::default(), BUFFER)]
            {
                let (found, tally) = scanned(content.as_bytes(), &filter, drop);
                assert_eq!(found, line("one", "before") + &line("one", "after"), "{long} {drop}");
                assert_eq!(tally, Tally { matched: 2, damaged: 1 }, "{long} {drop}");
            }
        }
        let junk = vec![b'x'; 5 * BUFFER];
        assert_eq!(scanned(&junk, &Filter::default(), BUFFER), (String::new(), Tally { matched: 0, damaged: 1 }));
    }
}
