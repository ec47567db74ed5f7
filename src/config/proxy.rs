//! Which proxy leads to an endpoint, if any.
//!
//! **Invariant:** this machine itself is never proxied, whatever the environment says.

use data_encoding::BASE64;
use http::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;
use percent_encoding::percent_decode_str;

use super::secrets::{self, Secrets};
use crate::{
    endpoint::{Proxy, Target, literal_address},
    sign::Secret,
};

/// Why something is no proxy that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("write the URL of a proxy, like \"http://proxy.example.com:3128\"")]
    Malformed,
    #[error("a proxy's URL has no path, query or fragment")]
    Path,
    #[error("only http:// proxies are spoken to: neither https:// nor SOCKS")]
    Scheme,
    #[error("an `@` in a proxy's user or password is written %40")]
    Userinfo,
}

/// Why the environment does not say which proxy to take.
#[derive(Debug, thiserror::Error)]
pub(super) enum EnvironmentError {
    #[error(transparent)]
    Unreadable(#[from] secrets::Error),
    #[error("the environment variable {variable} names a proxy that cannot be used: {error}")]
    Unusable { variable: &'static str, error: Error },
}

/// What stands for no URL: what the environment says, and no proxy.
pub(super) const WORDS: [&str; 2] = [OF_ENVIRONMENT, NONE];
pub(super) const NONE: &str = "none";
pub(super) const OF_ENVIRONMENT: &str = "env";

/// The proxy at this URL.
pub(super) fn named(url: &str) -> Result<Proxy, Error> {
    if url.contains("://") { parse(url) } else { Err(Error::Malformed) }
}

/// Whether it is this machine itself, to which no proxy leads.
pub(super) fn is_this_machine(target: &Target) -> bool {
    let name = target.host.strip_suffix('.').unwrap_or(&target.host).to_ascii_lowercase();
    // All names below it are this machine, too (RFC 6761, 6.3).
    let is_localhost = name == "localhost" || name.ends_with(".localhost");
    is_localhost || literal_address(&target.host).is_some_and(|address| address.is_loopback())
}

/// What the environment says, as other programs read it: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, the lower
/// case before the upper.
pub(super) fn of_environment(secrets: &Secrets<'_>, target: &Target) -> Result<Option<Proxy>, EnvironmentError> {
    if is_this_machine(target) {
        return Ok(None);
    }
    let read = |names: [&'static str; 2]| -> Result<Option<(&'static str, String)>, secrets::Error> {
        for name in names {
            if let Some(value) = secrets.variable(name)?.filter(|value| !value.is_empty()) {
                return Ok(Some((name, value)));
            }
        }
        Ok(None)
    };
    let own = if target.tls { ["https_proxy", "HTTPS_PROXY"] } else { ["http_proxy", "HTTP_PROXY"] };
    let found = match read(own)? {
        None => read(["all_proxy", "ALL_PROXY"])?,
        own => own,
    };
    let Some((variable, url)) = found else { return Ok(None) };
    if read(["no_proxy", "NO_PROXY"])?.is_some_and(|(_, list)| excludes(&list, target)) {
        return Ok(None);
    }
    parse(&url).map(Some).map_err(|error| EnvironmentError::Unusable { variable, error })
}

/// The secret texts of a proxy's credentials: the whole in base64, and the password.
pub(super) fn secrets_of(proxy: &Proxy) -> Vec<Secret> {
    let Some(encoded) = proxy.authorization.as_ref().and_then(|value| value.to_str().ok()?.strip_prefix("Basic ")) else {
        return Vec::new();
    };
    let decoded = BASE64.decode(encoded.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let password = decoded.as_ref().and_then(|text| text.split_once(':')).map(|(_, password)| password);
    let password = password.filter(|password| !password.is_empty());
    [Some(encoded), password].into_iter().flatten().map(|text| Secret::new(text.to_owned())).collect()
}

/// As curl and Go read `NO_PROXY`: names with all below them, networks, each maybe for one port alone.
fn excludes(list: &str, target: &Target) -> bool {
    let list: Vec<&str> = list.split([',', ' ']).filter_map(|entry| for_port(entry, target.port)).collect();
    Matcher::builder().all("http://proxy").no(list.join(",")).build().intercept(&target.uri).is_none()
}

/// The name or network of an entry, where it is for this port.
fn for_port(entry: &str, port: u16) -> Option<&str> {
    let (name, only) = match entry.rsplit_once(':') {
        Some((name, only)) if !name.contains(':') || name.ends_with(']') => (name, Some(only)),
        _ => (entry, None),
    };
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    only.is_none_or(|only| only.parse() == Ok(port)).then(|| name.trim_start_matches('[').trim_end_matches(']'))
}

/// Without a scheme it is `http`.
fn parse(url: &str) -> Result<Proxy, Error> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(Error::Scheme);
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (userinfo, place) = match authority.rsplit_once('@') {
        Some((userinfo, place)) => (Some(userinfo), place),
        None => (None, authority),
    };
    if userinfo.is_some_and(|userinfo| userinfo.contains('@')) {
        return Err(Error::Userinfo);
    }
    let place = Target::parse(&format!("http://{place}/"), true).map_err(|_| Error::Malformed)?;
    if !matches!(path, "" | "/") {
        return Err(Error::Path);
    }
    let authorization = userinfo.map(basic).transpose()?;
    Ok(Proxy { host: place.host, port: place.port, authorization })
}

/// RFC 7617, of what a URL holds.
fn basic(userinfo: &str) -> Result<HeaderValue, Error> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let credentials = BASE64.encode(format!("{}:{}", decoded(user), decoded(password)).as_bytes());
    let mut value = HeaderValue::try_from(format!("Basic {credentials}")).map_err(|_| Error::Malformed)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::{env::VarError, path::Path};

    use super::*;
    use crate::config::Outside;

    type Found = Result<Option<(String, u16, bool)>, EnvironmentError>;

    fn environment(variables: &'static [(&'static str, &'static str)], url: &str) -> Found {
        let variable = move |name: &str| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
        };
        let outside = Outside { variable: Box::new(variable), ..Outside::empty() };
        let secrets = Secrets { outside: &outside, directory: Path::new(""), files: Vec::new(), revealed: Default::default() };
        let target = Target::parse(url, false).unwrap();
        let proxy = of_environment(&secrets, &target)?;
        Ok(proxy.map(|proxy| (proxy.host.into(), proxy.port, proxy.authorization.is_some())))
    }

    #[test]
    fn the_environment_is_read_as_others_read_it() {
        let both = &[
            ("HTTP_PROXY", "http://plain:3128"),
            ("https_proxy", "http://me:pw@secure:8080"),
            ("NO_PROXY", "in.example,.x.example, *.y.example 10.0.0.0/8,z.example:8080,[2001:db8::1]:9,2001:db8::2"),
        ];
        for (url, expected) in [
            ("http://a.example/", Some(("plain".to_owned(), 3128, false))),
            ("https://a.example/", Some(("secure".to_owned(), 8080, true))),
            ("https://in.example/", None),
            ("https://a.x.example/", None),
            ("https://a.y.example/", None),
            ("https://z.example:8080/", None),
            ("https://z.example/", Some(("secure".to_owned(), 8080, true))),
            ("http://10.1.2.3/", None),
            ("http://[2001:db8::1]:9/", None),
            ("http://[2001:db8::1]/", Some(("plain".to_owned(), 3128, false))),
            ("http://[2001:db8::2]/", None),
            ("http://localhost:9/", None),
            ("http://127.0.0.1:9/", None),
            ("https://[::1]/", None),
        ] {
            assert_eq!(environment(both, url).unwrap(), expected, "{url}");
        }
        assert_eq!(environment(&[], "http://a.example/").unwrap(), None);
        assert_eq!(environment(&[("ALL_PROXY", "p:3128")], "http://a.example/").unwrap(), Some(("p".to_owned(), 3128, false)));
    }

    #[test]
    fn a_proxy_of_the_environment_that_cannot_be_used_is_an_error_where_it_would_be() {
        let socks = &[("ALL_PROXY", "socks5://p:1080"), ("http_proxy", "p:99999"), ("NO_PROXY", "in.example")];
        for (url, says) in [("https://a.example/", "ALL_PROXY names"), ("http://a.example/", "http_proxy names")] {
            let error = environment(socks, url).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        for url in ["https://in.example/", "http://localhost/"] {
            assert_eq!(environment(socks, url).unwrap(), None, "{url}");
        }
    }

    #[test]
    fn this_machine_is_never_proxied_however_it_is_written() {
        for host in ["localhost", "LocalHost.", "a.localhost", "127.1", "0x7f000001", "2130706433", "017700000001", "[::1]"] {
            assert!(is_this_machine(&Target::parse(&format!("http://{host}/"), false).unwrap()), "{host}");
        }
        assert!(is_this_machine(&Target::parse("http://[::ffff:127.0.0.1]/", false).unwrap()));
        for host in ["localhost.example", "nolocalhost", "128.1", "1.2.3.4.5", "127.0.0.256", "0x", "127.a"] {
            assert!(!is_this_machine(&Target::parse(&format!("http://{host}/"), false).unwrap()), "{host}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused() {
        for (url, error) in [
            ("proxy", Error::Malformed),
            ("proxy:3128", Error::Malformed),
            ("http://", Error::Malformed),
            ("http://:80", Error::Malformed),
            ("http://p:0", Error::Malformed),
            ("http://p:99999", Error::Malformed),
            ("http://p:3128/path", Error::Path),
            ("http://p:3128#f", Error::Path),
            ("http://p:3128?x", Error::Path),
            ("http://u:p@ss@p:3128", Error::Userinfo),
            ("socks5://p:1080", Error::Scheme),
            ("https://p:3128", Error::Scheme),
        ] {
            assert_eq!(named(url).err(), Some(error), "{url}");
        }
        let proxy = named("HTTP://u:p%40@[::1]:3128/").unwrap();
        let secrets = secrets_of(&proxy);
        assert_eq!((&*proxy.host, proxy.port, proxy.authorization.unwrap().to_str().unwrap()), ("::1", 3128, "Basic dTpwQA=="));
        assert_eq!(secrets.iter().map(Secret::expose).collect::<Vec<_>>(), ["dTpwQA==", "p@"]);
        assert_eq!(secrets_of(&named("http://u@p").unwrap()).len(), 1, "an empty password is not looked for");
    }
}
