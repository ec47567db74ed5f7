//! What making a body costs, beside its floor in the same run:
//!
//!     cargo bench --bench bodies
//!
//! Each line is the median of paired rounds: ours, the floor, and their ratio. Ends with 1 where a ratio is over its limit.

#![expect(clippy::print_stdout, reason = "a benchmark tells what it measured")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on says so by panicking")]
#![expect(clippy::disallowed_types, reason = "the floor is a parse into a tree")]

use std::{
    hint::black_box,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use jaq_core::{Compiler, Ctx, Vars, data::JustLut};
use jaq_json::Val;
use sha2::Sha256;
use sidehook::{
    encode::{Format, Shape},
    envelope::Envelope,
    event::{Event, Time},
    sign::{Scheme, Secret, Signer, Stamp, Template},
    transform::{Input, Library},
};

fn main() -> ExitCode {
    let data = sample();
    println!("an event of {} bytes; median microseconds of {ROUNDS} pairs\n", data.len());
    let mut good = true;
    let mut tell = |what: &str, (ours, floor): (f64, f64), limit: f64| {
        let ratio = ours / floor;
        good &= ratio <= limit;
        let held = if limit.is_finite() { format!("at most {limit}") } else { "told, not held".to_owned() };
        println!("{what:<50} {ours:9.3} / {floor:9.3} = {ratio:.2} ({held})");
    };
    tell("JSON passthrough with HMAC / copy with HMAC", passthrough(&data, bare_hmac()), 1.15);
    // These write more and longer headers than an HMAC needs.
    for name in ["x-signature", "standard", "github"] {
        let scheme = Scheme::preset(name).unwrap();
        tell(&format!("the same in {name} / copy with HMAC"), passthrough(&data, scheme), f64::INFINITY);
    }
    for (name, format) in [("XML", Format::Xml { root: "notification".into() }), ("form", Format::Form)] {
        tell(&format!("{name} / serde_json parse into a Value"), encoded(&data, format), 2.5);
    }
    for source in [".data", "{sku: .data.items[0].sku, total: .data.amount, id: .id}", ".data | .items |= map(.qty += 1)"] {
        tell(&format!("transform {source:.30} / jaq's own"), transformed(&data, source), 1.3);
    }
    let bytes = filter_bytes();
    good &= bytes <= 16.0 * 1024.0;
    println!("{:<50} {:9.1} KiB (at most 16)", "a compiled filter, by resident memory", bytes / 1024.0);
    if good { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn event(data: &str) -> Event<'_> {
    let time = Time { text: "2026-11-22T19:21:53.123456Z", unix_seconds: 1_795_375_313 };
    let (source, cloud, trace) = ("/sidehook", None, None);
    Event {
        id: "evt_01a205604cb27bf392696e61d87e34fc",
        event_type: "purchase.completed",
        time,
        context: None,
        data,
        source,
        cloud,
        trace,
    }
}

/// `hmac` at its least: the body alone, in one header.
fn bare_hmac() -> Scheme {
    let header = (HeaderName::from_static("x-signature"), Template::parse("{signature}").unwrap());
    Scheme::hmac(Template::parse("{body}").unwrap(), vec![header])
}

fn passthrough(data: &str, scheme: Scheme) -> (f64, f64) {
    let shape = shape(Envelope::None, Format::Json);
    let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
    let signer = Signer::new(scheme, &[secret]).unwrap();
    let mut headers = HeaderMap::with_capacity(8);
    let key = Hmac::<Sha256>::new_from_slice(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let event = event(data);
    paired(
        || {
            let body = shape.body(&event, event.data).unwrap().bytes;
            let stamp = Stamp {
                id: event.id,
                event_type: event.event_type,
                unix_millis: 1_795_375_313_000,
                method: "POST",
                path: "/",
                target_uri: "http://a/",
                content_type: b"application/json",
                body: &body,
            };
            headers.clear();
            signer.sign(&stamp, &mut headers);
            black_box((&body, &headers));
        },
        || {
            let body = black_box(data).as_bytes().to_vec();
            let mut mac = key.clone();
            mac.update(&body);
            black_box((mac.finalize().into_bytes(), body));
        },
    )
}

fn encoded(data: &str, format: Format) -> (f64, f64) {
    let shape = shape(Envelope::Event, format);
    let event = event(data);
    paired(
        || {
            black_box(shape.body(&event, event.data).unwrap());
        },
        || {
            black_box(serde_json::from_str::<serde_json::Value>(black_box(data)).unwrap());
        },
    )
}

fn transformed(data: &str, source: &str) -> (f64, f64) {
    let program = Library::new().compile(source).unwrap();
    let arena = jaq_core::load::Arena::default();
    let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let file = jaq_core::load::File { code: source, path: () };
    let modules = jaq_core::load::Loader::new(defs).load(&arena, file).map_err(drop).unwrap();
    let filter: jaq_core::Filter<JustLut<Val>> = Compiler::default().with_funs(funs).compile(modules).map_err(drop).unwrap();
    let whole = format!(
        r#"{{"id":"evt_01a205604cb27bf392696e61d87e34fc","type":"purchase.completed","time":"2026-11-22T19:21:53.123456Z","context":null,"data":{data}}}"#
    );
    paired(
        || {
            let input = Input::new(event(data));
            black_box(program.value(&input).unwrap());
        },
        || {
            let input = jaq_json::read::parse_single(black_box(whole.as_bytes())).unwrap();
            let context = Ctx::<JustLut<Val>>::new(&filter.lut, Vars::new([]));
            let output = filter.id.run((context, input)).next().unwrap().map_err(drop).unwrap();
            black_box(output.to_string());
        },
    )
}

/// By what the process holds more after many.
fn filter_bytes() -> f64 {
    let library = Library::new();
    let sources: Vec<String> = (0..2000)
        .map(|n| format!(".data.n{n} | select(. != null) | {{n: ., at: $__x}} | map_values(tostring)").replace("$__x", "1"))
        .collect();
    let before = resident();
    let programs: Vec<_> = sources.iter().map(|source| Arc::new(library.compile(source).unwrap())).collect();
    let after = resident();
    black_box(&programs);
    (after.saturating_sub(before)) as f64 / programs.len() as f64
}

fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// The medians of both, measured in turns, in microseconds a call.
fn paired(mut ours: impl FnMut(), mut floor: impl FnMut()) -> (f64, f64) {
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        mine.push(timed(&mut ours));
        theirs.push(timed(&mut floor));
    }
    (median(mine), median(theirs))
}

fn timed(work: &mut impl FnMut()) -> f64 {
    let (start, mut calls) = (Instant::now(), 0u32);
    while start.elapsed() < ROUND {
        for _ in 0..10 {
            work();
        }
        calls += 10;
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn shape(envelope: Envelope, format: Format) -> Shape {
    let content_type = HeaderValue::from_static(format.content_type());
    Shape { envelope, format, content_type }
}

/// An order of 1 KiB.
fn sample() -> String {
    let item = |n: u32| {
        format!(r#"{{"sku":"SKU-{n:05}","name":"A thing & another, no. {n}","qty":{n},"price":12.50,"tags":["new","sale"]}}"#)
    };
    let items: Vec<String> = (1..=7).map(item).collect();
    let order = format!(
        r#"{{"id":"ord_1","amount":187.50,"currency":"EUR","customer":{{"name":"Zoë Müller","email":"zoe@example.com","vip":true,"note":null}},"items":[{}],"memo":""}}"#,
        items.join(",")
    );
    let memo = "Leave it at the door. ".repeat(20);
    let missing = 1024 - order.len();
    order.replace(r#""memo":"""#, &format!(r#""memo":"{}""#, &memo[..missing]))
}

/// Many and short, so that what else the machine does falls into few of them.
const ROUNDS: usize = 301;
const ROUND: Duration = Duration::from_millis(1);
