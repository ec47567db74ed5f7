//! Lines as CSV (RFC 4180), for spreadsheets.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use crate::{log::reader::Entry, screen};

/// A heading with the names of the log's keys, then a row for each entry, all ended by CR LF; what an entry does not have is
/// empty. In texts what would steer a terminal is escaped, a line feed excepted, and a text that a spreadsheet would compute
/// has a `'` before it (OWASP, CSV Injection).
pub struct Csv<W> {
    out: W,
    row: String,
}

impl<W: Write> Csv<W> {
    /// Writes the heading.
    pub fn new(mut out: W) -> io::Result<Csv<W>> {
        out.write_all(FIELDS.join(",").as_bytes())?;
        out.write_all(b"\r\n")?;
        Ok(Csv { out, row: String::new() })
    }

    pub fn add(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        self.row.clear();
        for (nth, field) in fields(entry).into_iter().enumerate() {
            if nth > 0 {
                self.row.push(',');
            }
            match field {
                Field::Number(digits) => self.row.push_str(&digits),
                Field::Text(text) => push_text(&mut self.row, text),
            }
        }
        self.row.push_str("\r\n");
        self.out.write_all(self.row.as_bytes())
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// To what it writes, which may hold back something too.
    pub fn into_inner(self) -> W {
        self.out
    }
}

enum Field<'e> {
    Number(String),
    Text(&'e str),
}

fn fields<'e>(entry: &'e Entry<'_>) -> [Field<'e>; FIELDS.len()] {
    let text = |text: &'e Option<Cow<'_, str>>| Field::Text(text.as_deref().unwrap_or_default());
    [
        Field::Text(&entry.timestamp),
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

fn number(number: Option<impl ToString>) -> Field<'static> {
    Field::Number(number.map(|number| number.to_string()).unwrap_or_default())
}

fn push_text(row: &mut String, text: &str) {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let text = if is_plain { Cow::Borrowed(text) } else { Cow::Owned(screen::printable(text)) };
    let guard = if text.starts_with(COMPUTED) { "'" } else { "" };
    if !text.bytes().any(|byte| matches!(byte, b'"' | b',' | b'\n')) {
        row.extend([guard, &text]);
        return;
    }
    row.extend(["\"", guard]);
    for (nth, part) in text.split('"').enumerate() {
        row.extend([if nth > 0 { "\"\"" } else { "" }, part]);
    }
    row.push('"');
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
        let mut out = Vec::new();
        let mut csv = Csv::new(&mut out).unwrap();
        for entry in entries {
            csv.add(entry).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    fn read(text: &str) -> Vec<Vec<String>> {
        let rows = ::csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes()).into_records();
        rows.map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
    }
}
