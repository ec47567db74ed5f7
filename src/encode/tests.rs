use http::HeaderValue;
use md5::{Digest, Md5};
use proptest::prelude::*;
use quick_xml::{Reader, events};

use super::*;
use crate::event::{Event, Time};

const CONTEXT: &str = "{\"user\": null}";

fn event<'a>(data: &'a str, context: Option<&'a str>) -> Event<'a> {
    let time = Time { text: "2016-06-21T02:33:30.5+00:00", unix_seconds: 1_466_476_410 };
    Event { id: "evt_1", event_type: "a.b:c", time, context, data, source: "/sidehook", cloud: None, trace: None }
}

fn body(envelope: Envelope, format: Format, data: &str, context: Option<&str>) -> Result<String, TooLarge> {
    let content_type = HeaderValue::from_static(format.content_type());
    let body = Shape { envelope, format, content_type }.body(&event(data, context), data)?;
    assert_eq!(body.bytes.len(), body.bytes.capacity(), "spare capacity would be queued, too");
    Ok(String::from_utf8(body.bytes).unwrap())
}

fn xml() -> Format {
    Format::Xml { root: "notification".into() }
}

/// The root element's content of `data` without an envelope.
fn xml_of(data: &str) -> String {
    let body = body(Envelope::None, xml(), data, None).unwrap();
    body.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").unwrap().to_owned()
}

fn form_of(data: &str) -> String {
    body(Envelope::None, Format::Form, data, None).unwrap()
}

#[test]
fn json_is_copied_and_what_stands_around_it_is_compact() {
    let data = "{ \"a\" : 1.0, \"\\u0061\":1e400 ,\"a\":[ ]}";
    for (envelope, context, expected) in [
        (Envelope::None, None, data.to_owned()),
        (
            Envelope::Event,
            Some(CONTEXT),
            format!(
                "{{\"event_time\":\"2016-06-21T02:33:30.5+00:00\",\"event_type\":\"a.b:c\",\"current_context\":{CONTEXT},\"data\":{data}}}"
            ),
        ),
        (
            Envelope::Event,
            None,
            format!(
                "{{\"event_time\":\"2016-06-21T02:33:30.5+00:00\",\"event_type\":\"a.b:c\",\"current_context\":null,\"data\":{data}}}"
            ),
        ),
        (
            Envelope::Standard,
            Some(CONTEXT),
            format!("{{\"type\":\"a.b:c\",\"timestamp\":\"2016-06-21T02:33:30.5+00:00\",\"data\":{data}}}"),
        ),
        (
            Envelope::Md5,
            Some(CONTEXT),
            format!(
                "{{\"payload\":{{\"type\":\"a.b:c\",\"epoch_timestamp\":1466476410,\"data\":{data}}},\"md5\":\"dde1bb759b39a0ee793cf30167af2780\"}}"
            ),
        ),
    ] {
        assert_eq!(body(envelope, Format::Json, data, context).unwrap(), expected, "{envelope:?}");
    }
}

#[test]
fn whole_seconds_before_1970_are_written_with_their_sign() {
    for (seconds, expected) in [(0, "0"), (9, "9"), (10, "10"), (-1, "-1"), (-62_135_596_800, "-62135596800")] {
        let mut event = event("1", None);
        event.time.unix_seconds = seconds;
        let shape = Shape { envelope: Envelope::Md5, format: Format::Json, content_type: HeaderValue::from_static("a/b") };
        let body = shape.body(&event, event.data).unwrap();
        assert_eq!(body.bytes.len(), body.bytes.capacity());
        let text = String::from_utf8(body.bytes).unwrap();
        assert!(text.contains(&format!("\"epoch_timestamp\":{expected},\"data\":1}}")), "{text}");
    }
}

#[test]
fn xml_writes_each_envelope() {
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><notification>";
    for (envelope, data, context, expected) in [
        (
            Envelope::Event,
            "{\"a\":[1,2]}",
            None,
            "<event_time>2016-06-21T02:33:30.5+00:00</event_time><event_type>a.b:c</event_type><current_context nil=\"true\"/>\
             <data><a>1</a><a>2</a></data>",
        ),
        (
            Envelope::Event,
            "[1,[2]]",
            Some(CONTEXT),
            "<event_time>2016-06-21T02:33:30.5+00:00</event_time><event_type>a.b:c</event_type>\
             <current_context><user nil=\"true\"/></current_context><data>1</data><data><item>2</item></data>",
        ),
        (Envelope::Standard, "[]", None, "<type>a.b:c</type><timestamp>2016-06-21T02:33:30.5+00:00</timestamp>"),
        (
            Envelope::Md5,
            "{\"a\":\"é & <\"}",
            None,
            "<payload><type>a.b:c</type><epoch_timestamp>1466476410</epoch_timestamp><data><a>é &amp; &lt;</a></data></payload>\
             <md5>d4092e562272843bcaf2087d25e3704b</md5>",
        ),
    ] {
        assert_eq!(body(envelope, xml(), data, context).unwrap(), format!("{head}{expected}</notification>"), "{envelope:?}");
    }
}

#[test]
fn xml_without_an_envelope_puts_the_payload_into_the_root() {
    for (data, expected) in [
        ("{}", "<notification></notification>"),
        ("[]", "<notification></notification>"),
        ("\"\"", "<notification></notification>"),
        ("null", "<notification nil=\"true\"/>"),
        ("true", "<notification>true</notification>"),
        (" -0 ", "<notification>-0</notification>"),
        ("12345678901234567890", "<notification>12345678901234567890</notification>"),
        ("1e400", "<notification>1e400</notification>"),
        ("\"a\\r\\n\"", "<notification>a&#13;\n</notification>"),
        ("[1,null,\"\"]", "<notification><item>1</item><item nil=\"true\"/><item></item></notification>"),
        ("[[],[1,[]],{}]", "<notification><item></item><item><item>1</item><item></item></item><item></item></notification>"),
    ] {
        assert_eq!(xml_of(data), expected, "{data}");
    }
}

#[test]
fn xml_turns_keys_into_elements_and_arrays_into_repeated_ones() {
    for (data, expected) in [
        ("{\"items\": [1,2] }", "<items>1</items><items>2</items>"),
        ("{\"a\":[],\"b\":{},\"c\":\"\",\"d\":null}", "<b></b><c></c><d nil=\"true\"/>"),
        ("{\"a\":[[1,2],[],[[3]]]}", "<a><item>1</item><item>2</item></a><a></a><a><item><item>3</item></item></a>"),
        ("{\"a\":[{\"b\":[1]},null,{}]}", "<a><b>1</b></a><a nil=\"true\"/><a></a>"),
        ("{\"a\":1,\"a\":2,\"a\":[3]}", "<a>1</a><a>2</a><a>3</a>"),
        ("{\"\\u0061\":true}", "<a>true</a>"),
        ("{\"\":1,\"1\":2,\"a b\":3}", "<entry key=\"\">1</entry><entry key=\"1\">2</entry><entry key=\"a b\">3</entry>"),
        ("{\"Xml\":1,\"xm\":2,\"é\":3}", "<entry key=\"Xml\">1</entry><xm>2</xm><entry key=\"é\">3</entry>"),
        (
            "{\"<\\\"&\\n\\t\\r\\u0000\":[1,null,[]]}",
            "<entry key=\"&lt;&quot;&amp;&#10;&#9;&#13;\u{fffd}\">1</entry>\
             <entry key=\"&lt;&quot;&amp;&#10;&#9;&#13;\u{fffd}\" nil=\"true\"/>\
             <entry key=\"&lt;&quot;&amp;&#10;&#9;&#13;\u{fffd}\"></entry>",
        ),
        ("{\"a\":\"\\u0001\\ufffe\\u007f\\ud83d\\ude00\\\"'\"}", "<a>\u{fffd}\u{fffd}\u{7f}😀\"'</a>"),
        ("{\"entry\":1,\"item\":[[2]]}", "<entry>1</entry><item><item>2</item></item>"),
    ] {
        assert_eq!(xml_of(data), format!("<notification>{expected}</notification>"), "{data}");
    }
}

#[test]
fn xml_names_its_root_as_the_config_says() {
    let format = Format::Xml { root: "Event.v1".into() };
    let text = body(Envelope::None, format, "[1]", None).unwrap();
    assert!(text.ends_with("?><Event.v1><item>1</item></Event.v1>"), "{text}");
}

#[test]
fn form_writes_each_envelope() {
    for (envelope, data, context, expected) in [
        (
            Envelope::Event,
            "{\"a b\":\"c d\"}",
            None,
            "event_time=2016-06-21T02%3A33%3A30.5%2B00%3A00&event_type=a.b%3Ac&current_context=&data%5Ba+b%5D=c+d",
        ),
        (
            Envelope::Event,
            "[1,[2]]",
            Some(CONTEXT),
            "event_time=2016-06-21T02%3A33%3A30.5%2B00%3A00&event_type=a.b%3Ac&current_context%5Buser%5D=&\
             data%5B%5D=1&data%5B1%5D%5B%5D=2",
        ),
        (Envelope::Standard, "{}", None, "type=a.b%3Ac&timestamp=2016-06-21T02%3A33%3A30.5%2B00%3A00"),
        (
            Envelope::Md5,
            "{\"tags\":[\"a\"],\"n\":1.0}",
            None,
            "payload%5Btype%5D=a.b%3Ac&payload%5Bepoch_timestamp%5D=1466476410&payload%5Bdata%5D%5Btags%5D%5B%5D=a&\
             payload%5Bdata%5D%5Bn%5D=1.0&md5=28eb34cbe2e9153836ecdafdfa88cc3a",
        ),
        (
            Envelope::Md5,
            "{}",
            None,
            "payload%5Btype%5D=a.b%3Ac&payload%5Bepoch_timestamp%5D=1466476410&md5=d880fa8583ac105a2898a0c61a5409a8",
        ),
    ] {
        assert_eq!(body(envelope, Format::Form, data, context).unwrap(), expected, "{envelope:?}");
    }
}

#[test]
fn form_nests_in_brackets() {
    for (data, expected) in [
        ("{}", ""),
        ("[]", ""),
        ("{\"a\":{\"b\":[[],{}]}}", ""),
        ("null", "data="),
        ("false", "data=false"),
        (" 1e+400 ", "data=1e%2B400"),
        ("12345678901234567890", "data=12345678901234567890"),
        ("\"\\u0000é😀*-._~\"", "data=%00%C3%A9%F0%9F%98%80*-._%7E"),
        ("[1,-0]", "data%5B%5D=1&data%5B%5D=-0"),
        ("[{\"a\":1},2,[3,{\"b\":4}]]", "data%5B0%5D%5Ba%5D=1&data%5B%5D=2&data%5B2%5D%5B%5D=3&data%5B2%5D%5B1%5D%5Bb%5D=4"),
        (" {\"a\":{\"b\":null,\"c\":[]},\"d\":\"\"}", "a%5Bb%5D=&d="),
        ("{\"a\":1,\"a\":[2],\"a\":{\"b\":3}}", "a=1&a%5B%5D=2&a%5Bb%5D=3"),
        ("{\"\":{\"a\":1,\"\":2},\"a[b]&=\":3}", "%5Ba%5D=1&%5B%5D=2&a%5Bb%5D%26%3D=3"),
        ("{\"a\":[{},[],1,[2]],\"b\":true}", "a%5B%5D=1&a%5B3%5D%5B%5D=2&b=true"),
    ] {
        assert_eq!(form_of(data), expected, "{data}");
    }
}

#[test]
fn depth_costs_neither_stack_nor_time() {
    let depth = 127;
    let data = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(xml_of(&data), format!("<notification>{}1{}</notification>", "<item>".repeat(depth), "</item>".repeat(depth)));
    assert_eq!(form_of(&data), format!("data{}%5B%5D=1", "%5B0%5D".repeat(depth - 1)));
    let data = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert_eq!(xml_of(&data), format!("<notification>{}1{}</notification>", "<a>".repeat(depth), "</a>".repeat(depth)));
    assert_eq!(form_of(&data), format!("a{}=1", "%5Ba%5D".repeat(depth - 1)));
    let depth = 200_000;
    let data = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(form_of(&data), "");
    assert_eq!(xml_of(&data).len(), "<notification></notification>".len() + (depth - 1) * "<item></item>".len());
}

#[test]
fn a_small_payload_that_asks_for_gigabytes_is_refused() {
    let bomb = format!("{{\"{}\":[{}0]}}", "k".repeat(100_000), "0,".repeat(10_000));
    assert_eq!(body(Envelope::Event, xml(), &bomb, None), Err(TooLarge));
    assert_eq!(body(Envelope::Event, Format::Form, &bomb, None), Err(TooLarge));
    assert!(body(Envelope::Event, Format::Json, &bomb, None).is_ok());
    assert_eq!(TooLarge.to_string(), "written out, the body would be over 64 MiB");
}

#[test]
fn the_place_of_the_data_is_known_only_where_it_stands_verbatim() {
    let data = String::from("{\"a\": 1}");
    let copy = data.clone();
    let event = event(&data, Some(CONTEXT));
    for envelope in [Envelope::Event, Envelope::Md5, Envelope::None, Envelope::Standard] {
        let shape = |format| Shape { envelope, format, content_type: HeaderValue::from_static("text/plain") };
        let body = shape(Format::Json).body(&event, event.data).unwrap();
        assert_eq!(body.data_at.map(|at| &body.bytes[at]), Some(data.as_bytes()), "{envelope:?}");
        assert_eq!(shape(Format::Json).body(&event, &copy).unwrap().data_at, None);
        assert_eq!(shape(Format::Form).body(&event, event.data).unwrap().data_at, None);
        assert_eq!(shape(xml()).body(&event, event.data).unwrap().data_at, None);
    }
}

#[test]
fn formats_name_their_media_types() {
    assert_eq!(Format::Form.content_type(), "application/x-www-form-urlencoded");
    assert_eq!(Format::Json.content_type(), "application/json");
    assert_eq!(xml().content_type(), "application/xml");
}

/// JSON as an app may write it: with what its text means.
#[derive(Clone, Debug)]
enum Json {
    Array(Vec<Json>),
    Literal(String),
    Null,
    Object(Vec<(Chars, Json)>),
    Text(Chars),
}

/// Characters, each with whether it is written as an escape.
type Chars = Vec<(char, bool)>;

fn meaning(chars: &Chars) -> String {
    chars.iter().map(|(char, _)| char).collect()
}

fn quote(chars: &Chars, out: &mut String) {
    out.push('"');
    for &(char, escaped) in chars {
        if escaped || matches!(char, '"' | '\\' | '\0'..='\u{1f}') {
            for unit in char.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(char);
        }
    }
    out.push('"');
}

impl Json {
    /// This value's text, with `space` between its tokens.
    fn text(&self, space: &str, out: &mut String) {
        match self {
            Json::Array(values) => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    out.push_str(space);
                    value.text(space, out);
                }
                out.push(']');
            }
            Json::Literal(text) => out.push_str(text),
            Json::Null => out.push_str("null"),
            Json::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    out.push_str(space);
                    quote(key, out);
                    out.push_str(space);
                    out.push(':');
                    value.text(space, out);
                    out.push_str(space);
                }
                out.push('}');
            }
            Json::Text(chars) => quote(chars, out),
        }
    }

    /// What XML holds of this value under `name`: the elements without elements in them, as path and text.
    fn xml_leaves(&self, path: &[String], name: &str, repeats: bool, leaves: &mut Leaves) {
        let inside = [path, &[name.to_owned()]].concat();
        let before = leaves.len();
        match self {
            Json::Array(values) if repeats => {
                return values.iter().for_each(|value| value.xml_leaves(path, name, false, leaves));
            }
            Json::Array(values) => values.iter().for_each(|value| value.xml_leaves(&inside, "item", false, leaves)),
            Json::Literal(text) => leaves.push((inside.clone(), Some(text.clone()))),
            Json::Null => leaves.push((inside.clone(), None)),
            Json::Object(members) => {
                for (key, value) in members {
                    value.xml_leaves(&inside, &carried(&meaning(key)), true, leaves);
                }
            }
            Json::Text(chars) => leaves.push((inside.clone(), Some(carried(&meaning(chars))))),
        }
        if leaves.len() == before {
            leaves.push((inside, Some(String::new())));
        }
    }

    /// What a form holds of this value under `path`.
    fn form_leaves(&self, path: &str, leaves: &mut Vec<(String, String)>) {
        match self {
            Json::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    let container = matches!(value, Json::Array(_) | Json::Object(_));
                    let place = if container { format!("{path}[{index}]") } else { format!("{path}[]") };
                    value.form_leaves(&place, leaves);
                }
            }
            Json::Literal(text) => leaves.push((path.to_owned(), text.clone())),
            Json::Null => leaves.push((path.to_owned(), String::new())),
            Json::Object(members) => {
                for (key, value) in members {
                    value.form_leaves(&format!("{path}[{}]", meaning(key)), leaves);
                }
            }
            Json::Text(chars) => leaves.push((path.to_owned(), meaning(chars))),
        }
    }
}

type Leaves = Vec<(Vec<String>, Option<String>)>;

/// What XML 1.0 can carry of `text`.
fn carried(text: &str) -> String {
    let fits = |char| matches!(char, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|char| if fits(char) { char } else { '\u{fffd}' }).collect()
}

/// Reads a document back with quick-xml, which checks that elements match; `entry` elements go by their key.
fn read_xml(text: &str) -> Leaves {
    fn name(start: &events::BytesStart<'_>) -> String {
        let key = start.attributes().map(Result::unwrap).find(|attribute| attribute.key.as_ref() == "key");
        key.map_or_else(|| start.name().as_ref().to_owned(), |key| quick_xml::escape::unescape(&key.value).unwrap().into_owned())
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let (mut path, mut leaves, mut content, mut is_leaf) = (Vec::new(), Leaves::new(), String::new(), false);
    loop {
        match reader.read_event().unwrap() {
            events::Event::Start(start) => {
                path.push(name(&start));
                (content, is_leaf) = (String::new(), true);
            }
            events::Event::Empty(start) => {
                assert_eq!(start.attributes().last().unwrap().unwrap().key.as_ref(), "nil");
                leaves.push(([path.as_slice(), &[name(&start)]].concat(), None));
                is_leaf = false;
            }
            events::Event::Text(piece) => content.push_str(&piece),
            events::Event::GeneralRef(reference) => {
                let escape = format!("&{};", &*reference);
                content.push_str(&quick_xml::escape::unescape(&escape).unwrap());
            }
            events::Event::End(_) => {
                if is_leaf {
                    leaves.push((path.clone(), Some(std::mem::take(&mut content))));
                }
                is_leaf = false;
                path.pop();
            }
            events::Event::Decl(_) => {}
            events::Event::Eof => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(path.is_empty());
    leaves
}

fn chars() -> impl Strategy<Value = Chars> {
    let char = prop_oneof![
        4 => proptest::char::range('a', 'e'),
        1 => proptest::sample::select(vec!['&', '<', '>', '"', '\'', '\\', '\n', '\r', '\t', '\0', ' ', '[', ']', '=', '+', '%']),
        1 => proptest::sample::select(vec!['\u{fffd}', '\u{fffe}', '\u{ffff}', '\u{feff}', '\u{7f}', '\u{85}', '😀', 'é']),
        1 => any::<char>(),
    ];
    proptest::collection::vec((char, proptest::bool::weighted(0.2)), 0..6)
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?".prop_map(Json::Literal),
        proptest::sample::select(vec!["true", "false", "-0", "1e400"]).prop_map(|text| Json::Literal(text.into())),
        Just(Json::Null),
        chars().prop_map(Json::Text),
    ];
    leaf.prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::Array),
            proptest::collection::vec((chars(), inner), 0..5).prop_map(Json::Object),
        ]
    })
}

fn with_text() -> impl Strategy<Value = (Json, String)> {
    (any_json(), proptest::sample::select(vec!["", " ", "\r\n\t"])).prop_map(|(json, space)| {
        let mut text = String::new();
        json.text(space, &mut text);
        (json, text)
    })
}

proptest! {
    #[test]
    fn json_passes_byte_for_byte((_, text) in with_text()) {
        serde_json::from_str::<serde::de::IgnoredAny>(&text).unwrap();
        prop_assert_eq!(body(Envelope::None, Format::Json, &text, None).unwrap(), text);
    }

    #[test]
    fn xml_is_well_formed_and_reads_back_the_same((json, text) in with_text()) {
        let mut expected = Leaves::new();
        json.xml_leaves(&[], "notification", false, &mut expected);
        let written = body(Envelope::None, xml(), &text, None).unwrap();
        prop_assert_eq!(read_xml(&written), expected, "{}", written);
    }

    #[test]
    fn a_form_reads_back_the_same((json, text) in with_text()) {
        let mut expected = Vec::new();
        json.form_leaves("data", &mut expected);
        let standard = body(Envelope::Standard, Format::Form, &text, None).unwrap();
        let read: Vec<(String, String)> = serde_urlencoded::from_str(&standard).unwrap();
        // In front are the type and the time.
        prop_assert_eq!(&read[2..], expected, "{}", standard);
    }

    #[test]
    fn a_receiver_that_hashes_what_it_got_gets_the_md5((_, text) in with_text()) {
        let hash = |part: &str| data_encoding::HEXLOWER.encode(&Md5::digest(part.as_bytes()));
        for (format, opening, closing, end) in [
            (Format::Json, "{\"payload\":", ",\"md5\":\"", "\"}"),
            (xml(), "<?xml version=\"1.0\" encoding=\"UTF-8\"?><notification>", "<md5>", "</md5></notification>"),
            (Format::Form, "", "&md5=", ""),
        ] {
            let written = body(Envelope::Md5, format, &text, None).unwrap();
            let (payload, rest) = written.strip_prefix(opening).unwrap().rsplit_once(closing).unwrap();
            prop_assert_eq!(hash(payload), rest.strip_suffix(end).unwrap(), "{}", written);
        }
    }
}
