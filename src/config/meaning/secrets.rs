//! Secrets that stand in the file, or are too short.

use super::Evidence;
use crate::{
    config::{
        problems::{Code, Problem, Problems},
        raw::{self, At},
        secrets::Text,
        source::Span,
    },
    sign::{KeyForm, MessageAlgorithm, Recipe},
};

pub(super) fn warn(evidence: &Evidence<'_>, problems: &mut Problems) {
    for table in evidence.tables() {
        literal_headers(table, problems);
        literal_in_url(table, problems);
        for signature in table.signatures.iter().flat_map(|signatures| &signatures.value) {
            for secret in &signature.secrets {
                let length = evidence.lengths.get(&secret.span.start);
                short(length.map(|length| key_length(&signature.recipe, *length)), secret, problems);
            }
        }
    }
    for token in evidence.tokens() {
        short(evidence.lengths.get(&token.span.start).copied(), token, problems);
    }
}

/// The warning of a secret that stands at `span`.
fn literal(span: &Span) -> Problem {
    Problem::warning(Code::LiteralSecret, span, "a secret stands in the config file")
        .help("name it instead: { env = \"NAME\" }, { file = \"PATH\" } or { credential = \"NAME\" }")
}

/// The same of a secret that is `text`.
pub(in crate::config) fn literal_text(span: &Span, text: &str) -> Problem {
    let problem = literal(span);
    if is_variable(text) { problem.label("variables are not put into the text") } else { problem }
}

/// `${…}`, or `$NAME` in capitals: a secret may begin with a `$`.
fn is_variable(text: &str) -> bool {
    let of_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    match text.strip_prefix('$') {
        None | Some("") => false,
        Some(name) => (name.starts_with('{') && name.ends_with('}')) || name.bytes().all(of_name),
    }
}

/// Whether headers and parameters of this name usually hold a secret.
pub(super) fn names_a_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut words = name.rsplit(['-', '_']);
    match words.next() {
        Some("key") => words.next().is_some_and(|which| ["access", "api", "auth", "private", "subscription"].contains(&which)),
        Some(last) => ["apikey", "authorization", "cookie", "password", "secret", "token"].contains(&last),
        None => false,
    }
}

/// The parameters of a URL or of its query that usually hold a secret, each as its name and its value's place.
pub(super) fn credentials_of(url: &str) -> impl Iterator<Item = (&str, Span)> {
    let query = url.find('?').map_or(url.len(), |mark| mark + 1);
    let end = url.find('#').map_or(url.len(), |mark| mark.max(query));
    let mut next = query;
    url[query..end].split('&').filter_map(move |pair| {
        let start = next;
        next += pair.len() + 1;
        let (name, value) = pair.split_once('=')?;
        let is_secret = !value.is_empty() && names_a_credential(name);
        is_secret.then(|| (name, start + name.len() + 1..start + pair.len()))
    })
}

fn literal_headers(table: &raw::Endpoint, problems: &mut Problems) {
    for header in &table.headers {
        // What is filled in is no secret.
        let is_fixed = matches!(&header.value.value, Text::Literal(text) if !text.contains('{'));
        if is_fixed && names_a_credential(header.name.value.as_str()) {
            problems.push(literal(&header.value.span));
        }
    }
}

fn literal_in_url(table: &raw::Endpoint, problems: &mut Problems) {
    let Some(At { value: Text::Literal(url), span }) = &table.url else { return };
    for (name, part) in credentials_of(url) {
        let place = problems.within(span, url, part);
        problems.push(literal(&place).label(format!("the `{name}` of the query")));
    }
}

/// The bytes of the key that a secret of so many characters stands for; enough where the scheme sees to that itself.
fn key_length(recipe: &Recipe, length: usize) -> usize {
    match recipe {
        Recipe::Message(message) if message.algorithm == MessageAlgorithm::Ed25519 => LEAST,
        Recipe::Message(_) => length,
        Recipe::Template(scheme) => match scheme.key {
            KeyForm::Base64 => length * 3 / 4,
            KeyForm::Hex => length / 2,
            KeyForm::Standard => LEAST,
            KeyForm::Text => length,
        },
    }
}

fn short(length: Option<usize>, secret: &At<Text>, problems: &mut Problems) {
    if length.is_some_and(|length| length < LEAST) {
        let message = format!("a secret of less than {LEAST} bytes may be guessed");
        problems.push(Problem::warning(Code::ShortSecret, &secret.span, message).help("make one: openssl rand -hex 32"));
    }
}

/// Of what was chosen by whoever wrote the file, in bytes: as Standard Webhooks has it.
const LEAST: usize = 24;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Outside, parse};

    #[test]
    fn credentials_are_known_by_their_names_and_never_shown() {
        let told = |name: &str| {
            let source = format!("endpoints.a = {{ url = \"http://a/\", headers = {{ {name} = \"hunter2 {{\" }} }}");
            parse(&source, Path::new(""), &Outside::empty()).err().unwrap().to_string()
        };
        for name in ["Authorization", "cookie", "X-Api-Key", "x-gitlab-token", "access_token", "apikey", "client_secret"] {
            assert!(names_a_credential(name), "{name}");
            assert!(!told(name).contains("hunter2"), "{name}");
        }
        assert!(told("x-source").contains("hunter2"));
        for name in ["x-key", "idempotency-key", "x-token-type", "x-source", "", "key", "secretary"] {
            assert!(!names_a_credential(name), "{name}");
        }
    }

    #[test]
    fn the_parameters_of_a_query_have_their_places() {
        let url = "https://a.example/in?v=1&token=abc&secret=&api_key=%20x#token=y";
        let found: Vec<_> = credentials_of(url).map(|(name, place)| (name, &url[place])).collect();
        assert_eq!(found, [("token", "abc"), ("api_key", "%20x")]);
        assert_eq!(credentials_of("https://a.example/token=x").count(), 0);
        assert_eq!(credentials_of("https://a.example/#?token=x").count(), 0);
    }
}
