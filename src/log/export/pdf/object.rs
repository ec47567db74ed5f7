//! PDF's objects as data, which the library then writes. Its own typed calls become three times the code, for what is done
//! once a report.

use pdf_writer::{Chunk, Dict, Filter, Name, Rect, Ref, TextStr};

pub(super) type Entry<'a> = (&'a str, Value<'a>);

#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Dictionary(&'a [Entry<'a>]),
    /// To the whole of a page.
    Destination(Ref),
    Flag(bool),
    Integer(i32),
    Name(&'a str),
    Number(f32),
    Rectangle([f32; 4]),
    Reference(Ref),
    References(&'a [Ref]),
    Text(&'a str),
    /// Of the glyphs from 1 on.
    Widths(&'a [f32]),
}

pub(super) fn write(chunk: &mut Chunk, id: Ref, entries: &[Entry<'_>]) {
    fill(&mut chunk.indirect(id).dict(), entries);
}

/// A stream, of bytes that are compressed.
pub(super) fn write_stream(chunk: &mut Chunk, id: Ref, bytes: &[u8], entries: &[Entry<'_>]) {
    let mut stream = chunk.stream(id, bytes);
    stream.filter(Filter::FlateDecode);
    fill(&mut stream, entries);
}

#[inline(never)]
pub(super) fn fill(dictionary: &mut Dict<'_>, entries: &[Entry<'_>]) {
    for (key, value) in entries {
        let object = dictionary.insert(Name(key.as_bytes()));
        match *value {
            Value::Dictionary(entries) => fill(&mut object.dict(), entries),
            Value::Destination(page) => {
                object.array().item(page).item(Name(b"Fit"));
            }
            Value::Flag(flag) => object.primitive(flag),
            Value::Integer(number) => object.primitive(number),
            Value::Name(name) => object.primitive(Name(name.as_bytes())),
            Value::Number(number) => object.primitive(number),
            Value::Rectangle([left, bottom, right, top]) => object.primitive(Rect::new(left, bottom, right, top)),
            Value::Reference(id) => object.primitive(id),
            Value::References(ids) => {
                object.array().items(ids);
            }
            Value::Text(text) => object.primitive(TextStr(text)),
            Value::Widths(widths) => {
                let mut array = object.array();
                array.item(1).push().array().items(widths);
            }
        }
    }
}
