//! Which proxy leads to an endpoint, if any.
//!
//! **Invariant:** this machine itself is never proxied, whatever the environment says.

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use super::secrets::{self, Secrets};
use crate::endpoint::{Proxy, Target, is_loopback_host};

/// Why something is no proxy that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("write the URL of a proxy, like \"http://proxy.example.com:3128\"")]
    Malformed,
    #[error("a proxy's URL has no path")]
    Path,
    #[error("only http:// proxies are spoken to: neither https:// nor SOCKS")]
    Scheme,
}

/// The proxy at this URL, for whatever is not on this machine.
pub(super) fn named(url: &str, target: &Target) -> Result<Option<Proxy>, Error> {
    let uri: Uri = url.parse().map_err(|_| Error::Malformed)?;
    if uri.authority().is_none() || uri.scheme().is_none() {
        return Err(Error::Malformed);
    }
    if uri.path() != "/" || uri.query().is_some() {
        return Err(Error::Path);
    }
    let matcher = Matcher::builder().all(url).build();
    let found = matcher.intercept(&target.uri).map(|intercept| proxy(&intercept)).transpose()?;
    if found.is_none() {
        return Err(Error::Scheme);
    }
    Ok(found.filter(|_| !is_loopback_host(&target.host)))
}

/// What the environment says, as other programs read it: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, the lower
/// case before the upper.
pub(super) fn of_environment(secrets: &Secrets<'_>, target: &Target) -> Result<Option<Proxy>, secrets::Error> {
    let read = |lower: &str, upper: &str| -> Result<String, secrets::Error> {
        let value = secrets.variable(lower)?.filter(|value| !value.is_empty());
        Ok(match value {
            Some(value) => value,
            None => secrets.variable(upper)?.unwrap_or_default(),
        })
    };
    let matcher = Matcher::builder()
        .all(read("all_proxy", "ALL_PROXY")?)
        .http(read("http_proxy", "HTTP_PROXY")?)
        .https(read("https_proxy", "HTTPS_PROXY")?)
        .no(read("no_proxy", "NO_PROXY")?)
        .build();
    if is_loopback_host(&target.host) {
        return Ok(None);
    }
    Ok(matcher.intercept(&target.uri).and_then(|intercept| proxy(&intercept).ok()))
}

fn proxy(intercept: &Intercept) -> Result<Proxy, Error> {
    let uri = intercept.uri();
    if uri.scheme_str() != Some("http") {
        return Err(Error::Scheme);
    }
    let host = uri.host().ok_or(Error::Malformed)?.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(80);
    let authorization = intercept.basic_auth().cloned().map(|mut value| {
        value.set_sensitive(true);
        value
    });
    Ok(Proxy { host: host.into(), port, authorization })
}

#[cfg(test)]
mod tests {
    use std::{env::VarError, io, path::Path};

    use super::*;
    use crate::config::Outside;

    fn environment(variables: &'static [(&'static str, &'static str)], url: &str) -> Option<(String, u16, bool)> {
        let variable = move |name: &str| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
        };
        let outside = Outside { variable: Box::new(variable), file: Box::new(|_| Err(io::ErrorKind::NotFound.into())) };
        let secrets = Secrets { outside: &outside, directory: Path::new(""), files: Vec::new() };
        let target = Target::parse(url, false).unwrap();
        let proxy = of_environment(&secrets, &target).unwrap()?;
        Some((proxy.host.into(), proxy.port, proxy.authorization.is_some()))
    }

    #[test]
    fn the_environment_is_read_as_others_read_it() {
        let both = &[
            ("HTTP_PROXY", "http://plain:3128"),
            ("https_proxy", "http://me:pw@secure:8080"),
            ("NO_PROXY", "in.example,.x.example,10.0.0.0/8"),
        ];
        for (url, expected) in [
            ("http://a.example/", Some(("plain".to_owned(), 3128, false))),
            ("https://a.example/", Some(("secure".to_owned(), 8080, true))),
            ("https://in.example/", None),
            ("https://a.x.example/", None),
            ("http://10.1.2.3/", None),
            ("http://localhost:9/", None),
            ("http://127.0.0.1:9/", None),
            ("https://[::1]/", None),
        ] {
            assert_eq!(environment(both, url), expected, "{url}");
        }
        assert_eq!(environment(&[("ALL_PROXY", "socks5://p:1080")], "http://a.example/"), None, "which is not spoken");
        assert_eq!(environment(&[], "http://a.example/"), None);
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused() {
        let target = Target::parse("https://a.example/", false).unwrap();
        for (url, error) in [
            ("proxy", Error::Malformed),
            ("http://p:3128/path", Error::Path),
            ("socks5://p:1080", Error::Scheme),
            ("https://p:3128", Error::Scheme),
        ] {
            assert_eq!(named(url, &target).err(), Some(error), "{url}");
        }
        let proxy = named("http://u:p@[::1]:3128", &target).unwrap().unwrap();
        assert_eq!((&*proxy.host, proxy.port, proxy.authorization.unwrap().to_str().unwrap()), ("::1", 3128, "Basic dTpw"));
        assert!(named("http://p:3128", &Target::parse("http://localhost/", false).unwrap()).unwrap().is_none());
    }
}
