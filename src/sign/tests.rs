//! Signing and verifying as senders and receivers see it; the room's parts have tests of their own.

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use proptest::prelude::*;
use sha2::Sha256;

use super::*;

/// 2023-11-14T22:13:20.987Z
const MILLIS: u64 = 1_700_000_000_987;
const BODY: &[u8] = br#"{"type":"user.created","data":{"id":7}}"#;
const STAMP: Stamp<'static> = Stamp {
    id: "evt_1",
    event_type: "user.created",
    unix_millis: MILLIS,
    method: "POST",
    path: "/hooks?a=1",
    target_uri: "",
    content_type: b"",
    body: BODY,
};
const WHSEC: [&str; 3] =
    ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"];

fn secrets(texts: &[&str]) -> Vec<Secret> {
    texts.iter().map(|text| Secret::new((*text).to_owned())).collect()
}

fn preset(name: &str, texts: &[&str]) -> Signer {
    Signer::new(Scheme::preset(name).unwrap(), &secrets(texts)).unwrap()
}

fn templated(signer: &Signer) -> &templated::Templated {
    match &signer.0 {
        Kind::Template(template) => template,
        Kind::Message(_) => panic!("a message has no template"),
    }
}

fn scheme(signed: &str, headers: &[(&'static str, &str)]) -> Scheme {
    let header = |(name, text): &(&'static str, &str)| (HeaderName::from_static(name), Template::parse(text).unwrap());
    Scheme::hmac(Template::parse(signed).unwrap(), headers.iter().map(header).collect())
}

fn signed(signer: &Signer, stamp: &Stamp<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    signer.sign(stamp, &mut headers);
    headers
}

fn value(signer: &Signer, stamp: &Stamp<'_>, name: &str) -> String {
    signed(signer, stamp)[name].to_str().unwrap().to_owned()
}

/// What arrives: the signer's headers, and the id that goes with every delivery.
fn sent(signer: &Signer, stamp: &Stamp<'_>) -> HeaderMap {
    let mut headers = signed(signer, stamp);
    headers.insert("webhook-id", stamp.id.parse().unwrap());
    headers
}

fn verified(signer: &Signer, headers: &HeaderMap, stamp: &Stamp<'_>) -> Result<Verified, VerifyError> {
    signer.verify(headers, stamp.method, stamp.path, stamp.body)
}

fn hex_sha256(key: &str, text: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(text);
    data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes())
}

#[test]
fn the_published_vectors_come_out() {
    let standard =
        Stamp { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", unix_millis: 1_614_265_330_999, body: br#"{"test": 2432232314}"#, ..STAMP };
    let github = Stamp { body: b"Hello, World!", ..STAMP };
    for (name, secret, stamp, expected) in [
        (
            "standard",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            standard,
            &[("webhook-timestamp", "1614265330"), ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")][..],
        ),
        (
            "github",
            "It's a Secret to Everybody",
            github,
            &[
                ("x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
                ("x-github-event", "user.created"),
                ("x-github-delivery", "evt_1"),
            ],
        ),
        (
            "stripe",
            "whsec_test",
            STAMP,
            &[("stripe-signature", "t=1700000000,v1=e0bcddbad2be7bcf78983ea10301663b719cc2012c842103f3778306e080f1ef")],
        ),
        (
            "slack",
            "whsec_test",
            STAMP,
            &[
                ("x-slack-request-timestamp", "1700000000"),
                ("x-slack-signature", "v0=115ff46a134ec112dec6f5cae43e1017845d9b2d7624ab31f48eb1a15baf5a43"),
            ],
        ),
        ("shopify", "whsec_test", STAMP, &[("x-shopify-hmac-sha256", "JzgPpZBfHqiwbiUN/SBz66YcO2LWebTK6ptrkwMCX2w=")]),
        (
            "x-signature",
            "It's a Secret to Everybody",
            github,
            &[
                ("x-signature-algo", "sha256"),
                ("x-signature", "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
            ],
        ),
    ] {
        let signer = preset(name, &[secret]);
        let headers = signed(&signer, &stamp);
        let written: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(written.len(), expected.len(), "{name}: {written:?}");
        for header in expected {
            assert!(written.contains(header), "{name}: {written:?} is to have {header:?}");
        }
        assert!(signer.header_names().map(HeaderName::as_str).eq(expected.iter().map(|(name, _)| *name)), "{name}");
    }
}

#[test]
fn schemes_that_carry_several_signatures_sign_with_every_secret() {
    let alone = |name, secret, header| value(&preset(name, &[secret]), &STAMP, header);
    let standard = WHSEC.map(|secret| alone("standard", secret, "webhook-signature"));
    assert_eq!(value(&preset("standard", &WHSEC), &STAMP, "webhook-signature"), standard.join(" "));

    let stripe = ["old", "new"].map(|secret| alone("stripe", secret, "stripe-signature"));
    let second = stripe[1].strip_prefix("t=1700000000,").unwrap();
    assert_eq!(value(&preset("stripe", &["old", "new"]), &STAMP, "stripe-signature"), format!("{},{second}", stripe[0]));

    let mut own = scheme("{body}", &[("x-sig", "<{signatures}>{signature}")]);
    own.each = Template::parse("[{signature}]").unwrap();
    own.join = " + ".to_owned();
    let (old, new) = (hex_sha256("old", BODY), hex_sha256("new", BODY));
    let signer = Signer::new(own, &secrets(&["old", "new"])).unwrap();
    assert_eq!(value(&signer, &STAMP, "x-sig"), format!("<[{old}] + [{new}]>{old}"));
}

#[test]
fn schemes_that_carry_one_signature_sign_with_the_first_secret() {
    for (name, header) in [
        ("github", "x-hub-signature-256"),
        ("shopify", "x-shopify-hmac-sha256"),
        ("slack", "x-slack-signature"),
        ("x-signature", "x-signature"),
    ] {
        let alone = value(&preset(name, &["new"]), &STAMP, header);
        assert_eq!(value(&preset(name, &["new", "old"]), &STAMP, header), alone, "{name}");
        assert_ne!(value(&preset(name, &["old", "new"]), &STAMP, header), alone, "{name}");
    }
}

#[test]
fn every_placeholder_stands_for_its_part_of_the_request() {
    for (text, expected) in [
        ("{id}", "evt_1"),
        ("{timestamp}", "1700000000"),
        ("{timestamp_ms}", "1700000000987"),
        ("{type}", "user.created"),
        ("{method}", "POST"),
        ("{path}", "/hooks?a=1"),
        ("{{{method} {id}}} {path}", "{POST evt_1} /hooks?a=1"),
    ] {
        let signer = Signer::new(scheme(text, &[("x-text", text), ("x-sig", "{signature}")]), &secrets(&["key"])).unwrap();
        assert_eq!(value(&signer, &STAMP, "x-text"), expected);
        assert_eq!(value(&signer, &STAMP, "x-sig"), hex_sha256("key", expected.as_bytes()), "{text}");
    }
    let signer = Signer::new(scheme("-{body}-{body}", &[("x-sig", "{signature}")]), &secrets(&["key"])).unwrap();
    let twice = [b"-", BODY, b"-", BODY].concat();
    assert_eq!(value(&signer, &STAMP, "x-sig"), hex_sha256("key", &twice));
}

#[test]
fn timestamps_are_whole_seconds_rounded_down() {
    let signer = Signer::new(scheme("", &[("x-sig", "{timestamp} {timestamp_ms} {signature}")]), &secrets(&["key"])).unwrap();
    for (unix_millis, expected) in
        [(0, "0 0 "), (999, "0 999 "), (1000, "1 1000 "), (u64::MAX, "18446744073709551 18446744073709551615 ")]
    {
        let text = value(&signer, &Stamp { unix_millis, ..STAMP }, "x-sig");
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn the_encoding_of_x_signature_can_be_changed() {
    for (encoding, expected) in [
        (Encoding::Base64, "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc="),
        (Encoding::Base64Url, "dXEH6g6yUJ_CESIczphLijdXC211hsIsRvQ3nIsEPhc"),
        (Encoding::Hex, "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
    ] {
        let scheme = Scheme { encoding, ..Scheme::preset("x-signature").unwrap() };
        let signer = Signer::new(scheme, &secrets(&["It's a Secret to Everybody"])).unwrap();
        assert_eq!(value(&signer, &Stamp { body: b"Hello, World!", ..STAMP }, "x-signature"), expected);
    }
}

#[test]
fn a_path_no_header_could_hold_is_still_sent() {
    let signer = Signer::new(scheme("{path}", &[("x-sig", "{path} {signature}")]), &secrets(&["key"])).unwrap();
    let text = value(&signer, &Stamp { path: "/a\u{7f}\r\nb", ..STAMP }, "x-sig");
    assert_eq!(text, format!("/a???b {}", hex_sha256("key", b"/a\x7f\r\nb")));
}

#[test]
fn what_cannot_be_signed_is_refused_before_anything_is_sent() {
    let sig = [("x-sig", "{signatures}")];
    let each = |text| Scheme { each: Template::parse(text).unwrap(), ..scheme("{body}", &sig) };
    let join = |text: &str| Scheme { join: text.to_owned(), ..scheme("{body}", &sig) };
    let control = "the header `x-sig` would hold a control character, or begin or end with a blank";
    for (scheme, texts, message) in [
        (scheme("{body}", &sig), &[][..], "there is no secret to sign with"),
        (scheme("{body}", &sig), &["a", ""], "secret 2 is empty"),
        (scheme("{body}", &[]), &["a"], "no header uses `{signature}` or `{signatures}`"),
        (scheme("{body}", &[("x-sig", "{id}")]), &["a"], "no header uses `{signature}` or `{signatures}`"),
        (scheme("{body}", &[("x-a", "1"), ("x-sig", "{signature}"), ("x-a", "2")]), &["a"], "the header `x-a` is written twice"),
        (each("v1"), &["a"], "`each` does not use `{signature}`"),
        (each("v1=\u{0}{signature}"), &["a"], control),
        (each("{signature} "), &["a"], control),
        (join("\n"), &["a"], control),
        (scheme("{body}", &[("x-sig", "a\r\nb{signature}")]), &["a"], control),
        (scheme("{body}", &[("x-sig", " {signature}")]), &["a"], control),
    ] {
        assert_eq!(Signer::new(scheme, &secrets(texts)).unwrap_err().to_string(), message);
    }
}

#[test]
fn no_debug_print_shows_a_secret() {
    for name in Scheme::PRESETS {
        let texts = if *name == "standard" { ["whsec_aHVudGVyMi1odW50ZXIyLWh1bnRlcjIt"] } else { ["hunter2-hunter2-hunter2"] };
        let secrets = secrets(&texts);
        let signer = Signer::new(Scheme::preset(name).unwrap(), &secrets).unwrap();
        let printed = format!("{signer:?} {signer:#?} {secrets:?}");
        assert!(!printed.contains("hunter2") && !printed.contains("aHVudGVy"), "{printed}");
    }
}

/// The presets, and templates that are harder to read backwards.
fn signers(texts: &[&str]) -> Vec<(&'static str, Signer)> {
    let base64 = |text: &&str| Secret::new(data_encoding::BASE64.encode(format!("{text:-<24.64}").as_bytes()));
    let of = |name: &&'static str| {
        let standard = *name == "standard";
        let secrets = if standard { texts.iter().map(base64).collect() } else { secrets(texts) };
        (*name, Signer::new(Scheme::preset(name).unwrap(), &secrets).unwrap())
    };
    let own = |(name, signed, header)| {
        let mut own = scheme(signed, &[("x-sig", header)]);
        (own.each, own.join) = (Template::parse("v1,{signature}").unwrap(), ",".to_owned());
        (name, Signer::new(own, &secrets(texts)).unwrap())
    };
    let hard = [
        ("dotted", "{type}{timestamp}{body}{id}", "{type}.{timestamp}.{id}.{signature}"),
        ("joined like an entry", "{timestamp_ms}{id}{body}", "{signatures},t={timestamp_ms}"),
        ("repeated", "{method}{path}{timestamp}{body}{id}", "{timestamp}{signature} {method} {path} {timestamp}{signature}"),
        ("alone and listed", "{body}", "{signature} {signatures}"),
        (SECONDS_OUT_OF_MILLIS, "{id}{timestamp}{body}", "{timestamp_ms}/{signature}"),
    ];
    Scheme::PRESETS.iter().map(of).chain(hard.map(own)).collect()
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_what_was_changed_does_not(
        id in "[!-~]{1,60}",
        event_type in "[A-Za-z0-9._:/-]{1,40}",
        path in "/[a-z0-9/?&=%.]{0,40}",
        unix_millis in prop_oneof![0..5000_u64, 0..4_000_000_000_000_u64, Just(9_999_999_999_999_999_999_u64)],
        body in proptest::collection::vec(any::<u8>(), 1..300),
        secret in "[ -~]{1,80}",
        at in any::<prop::sample::Index>(),
    ) {
        let (target_uri, content_type) = ("", &b""[..]);
        let stamp = Stamp { id: &id, event_type: &event_type, unix_millis, method: "PUT", path: &path, target_uri, content_type, body: &body };
        let others = signers(&["other", "one more"]);
        for ((name, signer), (_, other)) in signers(&[&secret, "second"]).into_iter().zip(others) {
            let headers = sent(&signer, &stamp);
            let covered = |placeholder| templated(&signer).form.signed.uses(Signed::Field(placeholder));
            let timed = covered(Field::Timestamp) || covered(Field::TimestampMs);
            let expected = Verified { timestamp: timed.then_some(unix_millis / 1000), expires: None };
            prop_assert_eq!(verified(&signer, &headers, &stamp), Ok(expected), "{}", name);

            let mut changed = body.clone();
            changed[at.index(body.len())] ^= 1;
            let refused = verified(&signer, &headers, &Stamp { body: &changed, ..stamp });
            prop_assert_eq!(refused, Err(VerifyError::Mismatch), "{}: the body", name);
            prop_assert_eq!(verified(&other, &headers, &stamp), Err(VerifyError::Mismatch), "{}: the secret", name);

            let later = sent(&signer, &Stamp { unix_millis: unix_millis + 1000, ..stamp });
            for header in signer.header_names() {
                let mut mixed = headers.clone();
                mixed.insert(header.clone(), later[header].clone());
                let together = signer.header_names().count() == 1;
                if timed && !together && later[header] != headers[header] {
                    prop_assert!(verified(&signer, &mixed, &stamp).is_err(), "{}: the time", name);
                }
            }
            if covered(Field::Id) {
                let mut changed = headers.clone();
                changed.insert("webhook-id", format!("{id}0").parse().unwrap());
                prop_assert!(verified(&signer, &changed, &stamp).is_err(), "{}: the id", name);
            }
        }
    }

    #[test]
    fn no_header_brings_verification_down(text in "(v1|t|[0-9]{1,4}|[,=. +]|[a-f0-9]{64}|\\PC){0,12}") {
        let Ok(header) = HeaderValue::from_str(&text) else { return Ok(()) };
        for (name, signer) in signers(&["one", "two"]) {
            let headers = signer.header_names().map(|name| (name.clone(), header.clone())).collect();
            prop_assert!(verified(&signer, &headers, &STAMP).is_err(), "{}", name);
        }
    }
}

#[test]
fn any_changed_byte_of_a_header_that_is_signed_is_refused() {
    for (name, signer) in signers(&["one"]).into_iter().filter(|(name, _)| *name != SECONDS_OUT_OF_MILLIS) {
        let headers = sent(&signer, &STAMP);
        for header in signer.header_names().filter(|name| !NOT_COVERED.contains(&name.as_str())) {
            for at in 0..headers[header].len() {
                let mut changed = headers[header].as_bytes().to_vec();
                changed[at] = if changed[at] == b'1' { b'2' } else { b'1' };
                let shown = String::from_utf8_lossy(&changed).into_owned();
                let mut headers = headers.clone();
                headers.insert(header.clone(), HeaderValue::from_bytes(&changed).unwrap());
                assert!(verified(&signer, &headers, &STAMP).is_err(), "{name}: {header}: {shown}");
            }
        }
    }
}

#[test]
fn a_receiver_accepts_any_of_its_secrets_while_they_are_rotated() {
    for (name, old, new) in [("standard", WHSEC[0], WHSEC[1]), ("github", "old", "new"), ("stripe", "old", "new")] {
        let receiver = preset(name, &[new, old]);
        for texts in [&[old][..], &[new], &[old, new], &[new, old]] {
            assert!(verified(&receiver, &sent(&preset(name, texts), &STAMP), &STAMP).is_ok(), "{name}");
        }
        let late = preset(name, &[old]);
        let accepted = verified(&late, &sent(&preset(name, &[new, old]), &STAMP), &STAMP).is_ok();
        assert_eq!(accepted, name != "github", "{name}: a receiver that knows the old secret only");
    }
}

#[test]
fn signatures_of_other_versions_may_stand_beside_ours() {
    let signer = preset("stripe", &["key"]);
    let ours = hex_sha256("key", &[b"1700000000.", BODY].concat());
    for text in [
        format!("t=1700000000,v1={ours}"),
        format!("t=1700000000,v1={ours},v0={ours}"),
        format!("t=1700000000,v0=,v1=00,v1={ours}"),
    ] {
        let headers = HeaderMap::from_iter([(HeaderName::from_static("stripe-signature"), text.parse().unwrap())]);
        assert_eq!(verified(&signer, &headers, &STAMP), Ok(Verified { timestamp: Some(1_700_000_000), expires: None }), "{text}");
    }
    for text in [
        format!("t=1700000000,v0={ours}"),
        format!("t=1700000000,xv1={ours}"),
        format!("t=1700000000,v1={ours}0"),
        format!("t=01700000000,v1={ours}"),
    ] {
        let headers = HeaderMap::from_iter([(HeaderName::from_static("stripe-signature"), text.parse().unwrap())]);
        assert_eq!(verified(&signer, &headers, &STAMP), Err(VerifyError::Mismatch), "{text}");
    }
}

#[test]
fn a_request_that_cannot_be_verified_says_why() {
    let signer = preset("standard", &WHSEC[..1]);
    let without = |name: &str| {
        let mut headers = sent(&signer, &STAMP);
        headers.remove(name);
        verified(&signer, &headers, &STAMP).unwrap_err().to_string()
    };
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        assert_eq!(without(name), format!("the header `{name}` is missing"));
    }

    let with = |name: &'static str, text: &str, twice: bool| {
        let mut headers = sent(&signer, &STAMP);
        if !twice {
            headers.remove(name);
        }
        headers.append(name, text.parse().unwrap());
        verified(&signer, &headers, &STAMP).unwrap_err().to_string()
    };
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        assert_eq!(with(name, "1", true), format!("the header `{name}` came more than once"));
    }
    for text in ["", "now", "-1", "1700000000.5", "17000000000000000000"] {
        let message = "the header `webhook-timestamp` does not have the form of this scheme";
        assert_eq!(with("webhook-timestamp", text, false), message, "{text}");
    }

    let silent = Signer::new(scheme("{type}.{body}", &[("x-sig", "{signature}")]), &secrets(&["key"])).unwrap();
    assert_eq!(
        verified(&silent, &sent(&silent, &STAMP), &STAMP).unwrap_err().to_string(),
        "the signature covers `{type}`, which no header of this scheme carries"
    );
}

#[test]
fn headers_that_prove_nothing_may_be_missing() {
    let signer = preset("github", &["key"]);
    let mut headers = sent(&signer, &STAMP);
    for name in ["webhook-id", "x-github-event", "x-github-delivery"] {
        headers.remove(name);
    }
    assert_eq!(verified(&signer, &headers, &STAMP), Ok(Verified { timestamp: None, expires: None }));
}

#[test]
fn an_id_in_a_header_of_the_scheme_stands_in_for_webhook_id() {
    let signer = Signer::new(scheme("{id}{body}", &[("x-sig", "{id},{signature}")]), &secrets(&["key"])).unwrap();
    let headers = signed(&signer, &STAMP);
    assert_eq!(verified(&signer, &headers, &STAMP), Ok(Verified { timestamp: None, expires: None }));
    let mut headers = sent(&signer, &STAMP);
    headers.insert("webhook-id", "evt_2".parse().unwrap());
    let unreadable = VerifyError::Unreadable { name: HeaderName::from_static("x-sig") };
    assert_eq!(verified(&signer, &headers, &STAMP), Err(unreadable));
}

const SECONDS_OUT_OF_MILLIS: &str = "seconds out of milliseconds";
const NOT_COVERED: [&str; 3] = ["x-github-event", "x-github-delivery", "x-signature-algo"];

#[test]
fn an_ed25519_key_signs_as_v1a_beside_those_that_sign_as_v1() {
    let private = format!("whsk_{}", data_encoding::BASE64.encode(&[7; 32]));
    let signer = preset("standard", &[WHSEC[0], &private]);
    let headers = sent(&signer, &STAMP);
    let text = headers["webhook-signature"].to_str().unwrap();
    let (hmac, ed25519) = text.split_once(" v1a,").unwrap();
    assert!(hmac.starts_with("v1,"), "{text}");
    let message = [&b"evt_1.1700000000."[..], BODY].concat();
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    assert_eq!(data_encoding::BASE64.decode(ed25519.as_bytes()).unwrap(), pair.sign(&message).as_ref());
    for one in [WHSEC[0], &private] {
        assert!(verified(&preset("standard", &[one]), &headers, &STAMP).is_ok(), "{one}");
    }
    assert_eq!(verified(&preset("standard", &[WHSEC[1]]), &headers, &STAMP), Err(VerifyError::Mismatch));
    let alone = sent(&preset("standard", &[WHSEC[0]]), &STAMP);
    assert!(verified(&preset("standard", &[&private, WHSEC[0]]), &alone, &STAMP).is_ok(), "the shorter signature only");
}

#[test]
fn a_receiver_may_know_public_keys_only_and_a_sender_may_not() {
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public = data_encoding::BASE64.encode(ring::signature::KeyPair::public_key(&pair).as_ref());
    let public = format!("whpk_{public}");
    let private = format!("whsk_{}", data_encoding::BASE64.encode(&[7; 32]));
    let standard = || Recipe::from(Scheme::preset("standard").unwrap());
    let ed25519 = || Recipe::from(MessageScheme { algorithm: MessageAlgorithm::Ed25519, key_id: "k".to_owned() });
    let stamp = Stamp { target_uri: "http://a.example/", content_type: b"text/plain", ..STAMP };
    for recipe in [standard, ed25519] as [fn() -> Recipe; 2] {
        let mut headers = sent(&Signer::new(recipe(), &secrets(&[&private])).unwrap(), &stamp);
        headers.insert("content-type", HeaderValue::from_static("text/plain"));
        let verifier = Verifier::new(recipe(), &secrets(&[&public])).unwrap();
        let verify = |body| verifier.verify(&headers, "POST", "http://a.example/", body);
        assert_eq!(verify(BODY), Ok(Verified { timestamp: Some(1_700_000_000), expires: None }));
        assert!(verify(b"another").is_err());
        let other = Verifier::new(recipe(), &secrets(&["whpk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="])).unwrap();
        assert_eq!(other.verify(&headers, "POST", "http://a.example/", BODY), Err(VerifyError::Mismatch));
        assert_eq!(Signer::new(recipe(), &secrets(&[&public])).err(), Some(Error::KeyPublic { nth: 0 }));
        assert_eq!(Verifier::new(recipe(), &secrets(&["whpk_AAAA"])).err(), Some(Error::KeyPoint { nth: 0 }));
        assert_eq!(Verifier::new(recipe(), &[]).err(), Some(Error::NoSecret));
    }
    let both = Verifier::new(standard(), &secrets(&[&public, WHSEC[0]])).unwrap();
    for text in [WHSEC[0], &private] {
        let headers = sent(&preset("standard", &[text]), &STAMP);
        assert!(both.verify(&headers, STAMP.method, STAMP.path, STAMP.body).is_ok(), "{text}");
    }
}
