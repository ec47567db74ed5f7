use std::{io::Read, time::Duration};

use flate2::read::ZlibDecoder;

use super::*;

#[test]
fn pages_are_numbered_and_each_page_of_the_table_has_its_headings() {
    let pages = pages(&report(&Vec::from_iter((0..100).map(|number| delivered("billing", number)))));
    assert!(pages.len() > 3);
    for (before, page) in pages.iter().enumerate() {
        assert_eq!(page.last(), Some(&format!("Page {} of {}", before + 1, pages.len())));
        assert_eq!(page[page.len() - 2], "Deliveries");
    }
    assert_eq!(pages[1][0], "Log lines");
    for page in &pages[1..] {
        assert_eq!(page.iter().filter(|text| *text == "Time (UTC)").count(), 1);
    }
    let ids: Vec<&String> = pages.iter().flatten().filter(|text| text.starts_with("evt_")).collect();
    assert_eq!(ids, Vec::from_iter(&(0..100).map(|number| format!("evt_{number}")).collect::<Vec<_>>()));
}

#[test]
fn the_first_page_says_what_was_asked_for_and_what_became_of_it() {
    let mut lines: Vec<String> = (0..7).map(|number| delivered("billing", number)).collect();
    lines.push(line("delivery", "retrying", "shop", r#","error":"the receiver answered 503","error_code":"status_503""#));
    lines.push(line("delivery", "failed", "shop", r#","error":"the receiver answered 400","error_code":"status_400""#));
    lines.push(line("delivery", "dead_lettered", "shop", r#","reason":"permanent","error_code":"status_400""#));
    lines.push(line("event", "duplicate", "", ""));
    let pages = pages(&report(&lines));
    let first = pages[0].join("|");
    for part in [
        "Deliveries|Made|2026-11-23 02:13:20 UTC by sidehook ",
        "|Lines from|2026-11-22 19:00:00 UTC to 2026-11-22 19:00:06 UTC|Filter|endpoint: bill(ing   since: 1d|",
        "|87.50%|Success, of the deliveries that ended|7|Delivered|1|Dead-lettered or dropped|2|Failed attempts|11|Lines of the log|",
        "A bar is one second. Times are UTC.",
        "|22 Nov 2026|",
        "|billing|7|0|0|0|0|0|0|0|100.00%|shop|0|1|1|1|0|0|0|0|0.00%|All endpoints|7|1|1|1|0|0|0|0|87.50%|",
    ] {
        assert!(first.contains(part), "{part} is not in {first}");
    }
    assert!(pages[1].join("|").starts_with("Other lines|Kind|Outcome|Lines|event|duplicate|1|"));
    let table = pages[2].join("|");
    assert!(table.contains("|2026-11-22 19:00:00.000|delivered|billing|a.b|evt_0|1/4|200|12.3ms|"), "{table}");
    assert!(table.contains("|dead_lettered|shop|permanent: status_400|") && table.contains("|duplicate|m|"), "{table}");
}

#[test]
fn bars_stand_for_counts() {
    let lines: Vec<String> = [3, 1].iter().enumerate().flat_map(|(second, count)| vec![delivered("b", second); *count]).collect();
    let (bytes, _) = made(&lines, None, MOST_ROWS);
    let mut ink = Vec::new();
    let mut heights: Vec<f32> = Vec::new();
    for (operator, operands) in operations(&drawing(&bytes, 0)) {
        match operator.as_str() {
            "rg" => ink = operands,
            "re" if ink == ["0.62", "0.78", "0.91"] => heights.push(operands[3].parse().unwrap()),
            _ => {}
        }
    }
    // Without the legend's.
    heights.retain(|height| *height > 10.0);
    assert!(matches!(heights[..], [first, second] if (first / second - 3.0).abs() < 0.01), "{heights:?}");
}

#[test]
fn a_log_without_a_match_is_a_report_that_says_so() {
    let pages = pages(&report(&[]));
    assert!(pages[0].contains(&"No line of the log matches.".to_owned()));
    assert_eq!((pages.len(), pages[0].last().map(String::as_str)), (1, Some("Page 1 of 1")));
}

#[test]
fn rows_beyond_the_bound_are_counted_and_the_table_says_how_many_they_are() {
    let lines: Vec<String> = (0..30).map(|number| delivered("billing", number)).collect();
    let (bytes, left_out) = made(&lines, None, 10);
    let pages = pages(&bytes);
    assert_eq!(left_out, 20);
    assert_eq!(pages.iter().flatten().filter(|text| text.starts_with("evt_")).count(), 10);
    assert!(pages[0].contains(&"30".to_owned()));
    assert!(pages[1].contains(&"Left out here: 20 further lines. The summary counts them.".to_owned()));
}

#[test]
fn many_endpoints_go_over_pages_with_headings() {
    let lines: Vec<String> = (0..1_000).map(|number| delivered(&format!("endpoint-{number:04}"), number)).collect();
    let pages = pages(&report(&lines));
    let table = pages.iter().position(|page| page[0] == "Log lines").unwrap();
    assert!(table > 20 && pages[..table].iter().all(|page| page.contains(&"Dead-lettered".to_owned())));
}

#[test]
fn what_a_stranger_wrote_stays_in_its_cell() {
    let hostile = "\u{202e}(])\\ \u{1b}[31m) Tj\nET 😀";
    let json = serde_json::to_string(hostile).unwrap();
    let texts = pages(&report(&[line("delivery", "retrying", "b", &format!(",\"error\":{json}"))])).concat();
    assert!(texts.contains(&"U+202E(])\\ U+001B[31m) TjU+000AET ".to_owned()), "{texts:?}");
    assert!(texts.contains(&"U+1F600".to_owned()), "{texts:?}");
    let long = line("delivery", "delivered", &"e".repeat(64), &format!(r#","event_id":"{}""#, "x".repeat(255)));
    let texts = pages(&report(&[long])).concat();
    let cut: Vec<&String> = texts.iter().filter(|text| text.starts_with("xxx")).collect();
    assert!(matches!(cut[..], [first, second] if first.len() < 60 && second.ends_with('…')), "{cut:?}");
}

#[test]
fn the_same_lines_make_the_same_bytes() {
    let lines: Vec<String> = (0..200).map(|number| delivered(&format!("e{}", number % 7), number)).collect();
    let font = || Some(Font::read(BOXES.to_vec()).unwrap());
    assert_eq!(made(&lines, font(), MOST_ROWS), made(&lines, font(), MOST_ROWS));
}

#[test]
fn a_given_font_is_embedded_and_helvetica_has_the_rest() {
    let (bytes, _) =
        made(&[line("delivery", "retrying", "b", r#","error":"日 A 😀 Ω""#)], Some(Font::read(BOXES.to_vec()).unwrap()), 10);
    let file = String::from_utf8_lossy(&bytes);
    assert!(file.contains("/BaseFont/SIDEHK+Boxes/") && file.contains("/Encoding/Identity-H"));
    let operations = operations(&drawing(&bytes, 1));
    let begin = operations.iter().rposition(|(operator, operands)| operator == "Tj" && operands[0] == " A ").unwrap();
    let fonts: Vec<&str> =
        operations[begin..].iter().filter(|(operator, _)| operator == "Tf").map(|(_, operands)| &*operands[0]).collect();
    // The digits of `U+03A9` are in the given font.
    assert_eq!(fonts[..6], ["/F3", "/F1", "/F3", "/F1", "/F3", "/F1"], "{operations:?}");
}

fn report(lines: &[String]) -> Vec<u8> {
    made(lines, None, MOST_ROWS).0
}

fn made(lines: &[String], font: Option<Font>, room: u64) -> (Vec<u8>, u64) {
    let mut report = Report::new(Options {
        title: "Deliveries".into(),
        filter: vec![("endpoint".into(), "bill(ing".into()), ("since".into(), "1d".into())],
        made: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_400_000),
        font,
    });
    report.room = room;
    for line in lines {
        report.add(&Entry::read(line.as_bytes()).unwrap());
    }
    let mut bytes = Vec::new();
    let left_out = report.finish(&mut bytes).unwrap();
    (bytes, left_out)
}

fn delivered(endpoint: &str, second: usize) -> String {
    format!(
        r#"{{"timestamp":"2026-11-22T19:{:02}:{:02}.000456Z","kind":"delivery","outcome":"delivered","event_id":"evt_{second}","event_type":"a.b","endpoint":"{endpoint}","attempt":1,"max_attempts":4,"http_status":200,"duration_ms":12.345}}"#,
        second / 60,
        second % 60
    )
}

fn line(kind: &str, outcome: &str, endpoint: &str, further: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-11-22T19:00:03.000456Z","message":"m","kind":"{kind}","outcome":"{outcome}","endpoint":"{endpoint}"{further}}}"#
    )
}

/// The texts of all pages, as they were drawn in Helvetica.
fn pages(bytes: &[u8]) -> Vec<Vec<String>> {
    (0..kids(bytes).len()).map(|page| texts(&drawing(bytes, page))).collect()
}

/// One that is set in several fonts is one text.
fn texts(drawing: &str) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for (operator, operands) in operations(drawing) {
        match operator.as_str() {
            "BT" => texts.push(String::new()),
            "Tj" => texts.last_mut().unwrap().push_str(&operands[0]),
            _ => {}
        }
    }
    texts
}

/// The operators of a drawing with their operands, strings read.
fn operations(drawing: &str) -> Vec<(String, Vec<String>)> {
    let (mut operations, mut operands) = (Vec::new(), Vec::new());
    let mut rest = drawing;
    while let Some(first) = rest.trim_start().chars().next() {
        rest = rest.trim_start();
        match first {
            '(' => {
                let (text, length) = string(rest);
                operands.push(text);
                rest = &rest[length..];
            }
            '<' => {
                let (hex, after) = rest[1..].split_once('>').unwrap();
                operands.push(hex.as_bytes().chunks(2).map(hex_character).collect());
                rest = after;
            }
            _ => {
                let end = 1 + rest[1..].find([' ', '\n', '(', '<', '/']).unwrap_or(rest.len() - 1);
                let (word, after) = rest.split_at(end);
                rest = after;
                operands.push(word.to_owned());
                if first.is_ascii_alphabetic() {
                    let operator = operands.pop().unwrap();
                    operations.push((operator, std::mem::take(&mut operands)));
                }
            }
        }
    }
    operations
}

/// The string that `rest` begins with, and its length there (ISO 32000-1, 7.3.4.2).
fn string(rest: &str) -> (String, usize) {
    let (mut text, mut depth, mut characters) = (String::new(), 0, rest.char_indices());
    loop {
        let (place, character) = characters.next().unwrap();
        depth += match character {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        match character {
            _ if depth == 0 => return (text, place + 1),
            '(' if place == 0 => {}
            '\\' => text.push(characters.next().unwrap().1),
            character => text.push(character),
        }
    }
}

/// Of what Windows-1252 has beyond Latin-1, what these tests draw.
fn hex_character(digits: &[u8]) -> char {
    match u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap() {
        0x85 => '…',
        0x96 => '–',
        code => char::from(code),
    }
}

/// What the streams of a page say, inflated.
fn drawing(bytes: &[u8], page: usize) -> String {
    let page = object(bytes, kids(bytes)[page]);
    let contents = between(&page, "/Contents[", "]");
    references(&contents).into_iter().map(|id| inflated(bytes, id)).collect()
}

fn inflated(bytes: &[u8], id: usize) -> String {
    let start = place(bytes, id);
    let stream = start + find(&bytes[start..], b"stream\n") + 7;
    let mut text = Vec::new();
    ZlibDecoder::new(&bytes[stream..]).read_to_end(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

fn kids(bytes: &[u8]) -> Vec<usize> {
    references(&between(&object(bytes, 2), "/Kids[", "]"))
}

fn object(bytes: &[u8], id: usize) -> String {
    let start = place(bytes, id);
    let end = start + find(&bytes[start..], b"endobj");
    String::from_utf8_lossy(&bytes[start..end]).into_owned()
}

/// Where an object is, by the table at the file's end.
fn place(bytes: &[u8], id: usize) -> usize {
    let text = String::from_utf8_lossy(&bytes[bytes.len() - 30..]).into_owned();
    let table: usize = between(&text, "startxref\n", "\n").parse().unwrap();
    let entries = table + find(&bytes[table..], b" f\r\n") - 16;
    str::from_utf8(&bytes[entries + 20 * id..][..10]).unwrap().parse().unwrap()
}

fn references(text: &str) -> Vec<usize> {
    text.split(" 0 R").filter_map(|id| id.trim().parse().ok()).collect()
}

fn between(text: &str, start: &str, end: &str) -> String {
    let text = text.split_once(start).unwrap().1;
    text.split_once(end).unwrap().0.to_owned()
}

fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|bytes| bytes == part).unwrap()
}

const BOXES: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/log/fonts/boxes.ttf"));
