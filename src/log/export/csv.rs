//! Lines as CSV (RFC 4180), for spreadsheets.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use crate::{log::reader::Entry, screen};

/// A heading with the names of the log's keys, then a row for each entry, all ended by CR LF; what an entry does not have is
/// empty. In texts what would steer a terminal is escaped, a line feed excepted, and a text that a spreadsheet would compute
/// has a `'` before it (OWASP, CSV Injection).
pub struct Csv<W: Write>(csv::Writer<W>);

impl<W: Write> Csv<W> {
    /// Writes the heading.
    pub fn new(out: W) -> io::Result<Csv<W>> {
        let mut rows = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
        rows.write_record(FIELDS).map_err(cause)?;
        Ok(Csv(rows))
    }

    pub fn add(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        self.0.write_record(fields(entry).each_ref().map(|field| field.as_bytes())).map_err(cause)
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    /// To what it writes, which may hold back something too.
    pub fn into_inner(self) -> io::Result<W> {
        self.0.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

/// What failed below it, as it is: a reader that has gone is told from a full disk.
fn cause(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn fields<'e>(entry: &'e Entry<'_>) -> [Cow<'e, str>; FIELDS.len()] {
    let text = |value: &'e Option<Cow<'_, str>>| text(value.as_deref().unwrap_or_default());
    [
        self::text(&entry.timestamp),
        text(&entry.level),
        text(&entry.message),
        text(&entry.kind),
        text(&entry.outcome),
        text(&entry.event_id),
        text(&entry.event_type),
        text(&entry.endpoint),
        text(&entry.method),
        text(&entry.url),
        number(entry.attempt),
        number(entry.max_attempts),
        number(entry.http_status),
        number(entry.duration_ms),
        number(entry.bytes),
        text(&entry.trace_id),
        text(&entry.batch_id),
        text(&entry.error),
        text(&entry.error_code),
        text(&entry.reason),
        text(&entry.response),
    ]
}

fn number(number: Option<impl ToString>) -> Cow<'static, str> {
    number.map(|number| number.to_string()).unwrap_or_default().into()
}

fn text(text: &str) -> Cow<'_, str> {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let shown = if is_plain { Cow::Borrowed(text) } else { Cow::Owned(screen::printable(text)) };
    if shown.starts_with(COMPUTED) { format!("'{shown}").into() } else { shown }
}

/// In the order of an [`Entry`]'s.
const FIELDS: [&str; 21] = [
    "timestamp",
    "level",
    "message",
    "kind",
    "outcome",
    "event_id",
    "event_type",
    "endpoint",
    "method",
    "url",
    "attempt",
    "max_attempts",
    "http_status",
    "duration_ms",
    "bytes",
    "trace_id",
    "batch_id",
    "error",
    "error_code",
    "reason",
    "response",
];

/// What a spreadsheet takes for the beginning of a formula; a carriage return would be, and is escaped.
const COMPUTED: [char; 10] = ['=', '+', '-', '@', '\t', '\n', '＝', '＋', '－', '＠'];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_field_has_its_place_and_what_is_absent_is_empty() {
        let entry = Entry {
            timestamp: "2026-11-22T19:21:53.123456Z".into(),
            level: Some("warn".into()),
            message: Some("a.b not delivered to billing (timeout), trying again".into()),
            kind: Some("delivery".into()),
            outcome: Some("retrying".into()),
            event_id: Some("evt_1".into()),
            event_type: Some("a.b".into()),
            endpoint: Some("billing".into()),
            method: Some("POST".into()),
            url: Some("https://b.example/hooks".into()),
            attempt: Some(1),
            max_attempts: Some(12),
            http_status: Some(503),
            duration_ms: Some(12.345),
            bytes: Some(512),
            trace_id: Some("4bf9".into()),
            batch_id: Some("bat_1".into()),
            error: Some("no answer within 10s".into()),
            error_code: Some("timeout".into()),
            reason: Some("tired".into()),
            response: Some("{\"busy\": true}\n".into()),
        };
        let started = Entry { timestamp: "2026-11-22T19:21:54Z".into(), ..Entry::default() };
        assert_eq!(
            written(&[entry, started]),
            "timestamp,level,message,kind,outcome,event_id,event_type,endpoint,method,url,attempt,max_attempts,http_status,\
             duration_ms,bytes,trace_id,batch_id,error,error_code,reason,response\r\n\
             2026-11-22T19:21:53.123456Z,warn,\"a.b not delivered to billing (timeout), trying again\",delivery,retrying,evt_1,\
             a.b,billing,POST,https://b.example/hooks,1,12,503,12.345,512,4bf9,bat_1,no answer within 10s,timeout,tired,\
             \"{\"\"busy\"\": true}\n\"\r\n\
             2026-11-22T19:21:54Z,,,,,,,,,,,,,,,,,,,,\r\n"
        );
    }

    #[test]
    fn no_text_is_a_formula_and_a_number_stays_one() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("+49", "'+49"),
            ("-2", "'-2"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("＝1", "'＝1"),
            ("\n=1", "'\n=1"),
            ("\r=1", "\\r=1"),
            ("=cmd|' /C calc'!A0,\"", "'=cmd|' /C calc'!A0,\""),
            ("a=1", "a=1"),
            ("'", "'"),
        ] {
            assert_eq!(read(&written(&[saying(text)]))[1][20], cell, "{text:?}");
        }
        let negative = Entry { duration_ms: Some(-0.5), ..Entry::default() };
        assert_eq!(read(&written(&[negative]))[1][13], "-0.5");
    }

    #[test]
    fn a_reader_that_has_gone_is_told_from_other_failures() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut csv = Csv::new(Gone).unwrap();
        let entry = saying("one of many");
        let failed = (0..10_000).find_map(|_| csv.add(&entry).err()).unwrap();
        assert_eq!(failed.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(csv.flush().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    proptest! {
        #[test]
        fn any_text_comes_back_on_its_row(texts in proptest::collection::vec("(\\PC|[\"',;\n\r\t=+@\\x00\u{1b}\u{9b}\u{202e}-]){0,20}", 1..5)) {
            let entries: Vec<_> = texts.iter().map(|text| saying(text)).collect();
            let written = written(&entries);
            prop_assert!(!written.replace("\r\n", "\n").chars().any(|c| screen::misleads(c) && c != '\n'));
            let rows = read(&written);
            prop_assert_eq!(rows.len(), 1 + texts.len());
            for (row, text) in rows[1..].iter().zip(&texts) {
                let cell = row[20].strip_prefix('\'').filter(|_| !text.starts_with('\'')).unwrap_or(&row[20]);
                prop_assert_eq!(cell, screen::printable(text));
                prop_assert!(!row[20].starts_with(['=', '+', '-', '@', '\t', '\r']));
            }
        }
    }

    fn saying(response: &str) -> Entry<'_> {
        Entry { response: Some(response.into()), ..Entry::default() }
    }

    fn written(entries: &[Entry<'_>]) -> String {
        let mut csv = Csv::new(Vec::new()).unwrap();
        for entry in entries {
            csv.add(entry).unwrap();
        }
        String::from_utf8(csv.into_inner().unwrap()).unwrap()
    }

    fn read(text: &str) -> Vec<Vec<String>> {
        let rows = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes()).into_records();
        rows.map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
    }
}
