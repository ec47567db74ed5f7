//! A request as it would be sent, for people.

use bytes::Bytes;
use http::{Request, header::CONTENT_LENGTH};

use super::terminal;
use crate::{
    endpoint::Endpoint,
    sign::{Mask, is_telling},
};

/// Request line, headers and body; who reads them need not know the endpoint's secrets, unless they ask.
pub(super) fn shown(endpoint: &Endpoint, request: &Request<Bytes>, show_secrets: bool) -> String {
    // A short secret stands in every text by chance; the headers that carry it are hidden whole.
    let secrets = endpoint.secrets.iter().filter(|secret| !show_secrets && is_telling(secret.expose()));
    let mask = Mask::new(secrets);
    let masked = |bytes: &[u8]| terminal::printable(mask.over(&String::from_utf8_lossy(bytes)).as_bytes());
    let url = if show_secrets { &endpoint.target.uri_text } else { &endpoint.target.shown };
    let mut text = format!("    {} {url}\n", request.method());
    for (name, value) in request.headers() {
        let is_secret = value.is_sensitive() && !show_secrets;
        let value = if is_secret { "***".to_owned() } else { masked(value.as_bytes()) };
        text.push_str(&format!("    {name}: {value}\n"));
    }
    // HTTP's machinery writes it, where there is something to count.
    if !request.headers().contains_key(CONTENT_LENGTH) {
        text.push_str(&format!("    {CONTENT_LENGTH}: {}\n", request.body().len()));
    }
    text.push('\n');
    text.push_str(&terminal::indented(&masked(request.body())));
    text
}
