//! Answers that do not depend on what a door leads to.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

/// Why somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the Host `{0}` is not this sidecar's: add it to the listener's `hosts` if it should be")]
    ForbiddenHost(Box<str>),
    #[error("web pages may not speak to sidehook")]
    ForbiddenOrigin,
    #[error("only {0} is allowed here")]
    MethodNotAllowed(&'static str),
    #[error("a valid token is wanted: Authorization: Bearer …")]
    Unauthorized,
}

impl Refusal {
    pub fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Refusal::ForbiddenHost(_) => (StatusCode::FORBIDDEN, "forbidden_host"),
            Refusal::ForbiddenOrigin => (StatusCode::FORBIDDEN, "forbidden_origin"),
            Refusal::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Refusal::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
        }
    }

    pub fn response(&self) -> Response<Full<Bytes>> {
        let (status, code) = self.status_and_code();
        let mut response = problem(status, code, &self.to_string());
        match self {
            Refusal::MethodNotAllowed(allowed) => {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
            }
            Refusal::Unauthorized => {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Refusal::ForbiddenHost(_) | Refusal::ForbiddenOrigin => {}
        }
        response
    }
}

/// A problem document (RFC 9457) with a stable `code`.
pub fn problem(status: StatusCode, code: &str, detail: &str) -> Response<Full<Bytes>> {
    #[derive(serde::Serialize)]
    struct Problem<'a> {
        title: &'a str,
        status: u16,
        detail: &'a str,
        code: &'a str,
    }
    let title = status.canonical_reason().unwrap_or_default();
    let body = serde_json::to_vec(&Problem { title, status: status.as_u16(), detail, code }).unwrap_or_default();
    let mut response = with_type("application/problem+json", body);
    *response.status_mut() = status;
    response
}

/// A body of some media type.
pub fn with_type(media_type: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
