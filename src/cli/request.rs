//! A request as it would be sent, for people.

use bytes::Bytes;
use http::Request;

use super::terminal;
use crate::endpoint::{Auth, Endpoint};

/// Request line, headers and body; who reads them need not know the endpoint's secrets, unless they ask.
pub(super) fn shown(endpoint: &Endpoint, request: &Request<Bytes>, show_secrets: bool) -> String {
    let mask = |bytes: &[u8]| {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        if !show_secrets {
            text = endpoint.secrets.iter().fold(text, |text, secret| text.replace(secret.expose(), "***"));
        }
        terminal::printable(text.as_bytes())
    };
    let url = if show_secrets { &endpoint.target.uri_text } else { &endpoint.target.shown };
    let mut text = format!("    {} {url}\n", request.method());
    for (name, value) in request.headers() {
        let secret = matches!(&endpoint.auth, Some(Auth::Header(header, _)) if header == name) && !show_secrets;
        let value = if secret { "***".to_owned() } else { mask(value.as_bytes()) };
        text.push_str(&format!("    {name}: {value}\n"));
    }
    text.push('\n');
    text.push_str(&terminal::indented(&mask(request.body())));
    text
}
