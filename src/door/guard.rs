//! Who may post: against DNS rebinding, other people's web pages, and whoever has no token.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, header, request::Parts};
use subtle::ConstantTimeEq;

use super::Refusal;
use crate::{endpoint::is_loopback_host, sign::Secret};

/// Who is at the other end of a Unix socket: an extension of the requests that come over one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
}

/// What a request must show.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Of a TCP listener.
    listen: Option<IpAddr>,
    uids: Vec<u32>,
    hosts: Vec<String>,
    tokens: Vec<Secret>,
}

impl Guard {
    /// `hosts` may be named besides this machine's own names; one of `tokens` is wanted where there are any.
    pub fn new(listen: Option<SocketAddr>, hosts: Vec<String>, tokens: Vec<Secret>) -> Guard {
        Guard { listen: listen.map(|address| address.ip()), uids: Vec::new(), hosts, tokens }
    }

    /// The same, but of a Unix socket's users these alone, where there are any.
    pub fn with_uids(self, uids: Vec<u32>) -> Guard {
        Guard { uids, ..self }
    }

    pub fn admits(&self, peer: Peer) -> bool {
        self.uids.is_empty() || self.uids.contains(&peer.uid)
    }

    pub fn check(&self, head: &Parts) -> Result<(), Refusal> {
        let headers = &head.headers;
        match head.extensions.get::<Peer>() {
            // No name led to a Unix socket, and no web page can.
            Some(peer) if self.admits(*peer) => {}
            Some(_) => return Err(Refusal::Unauthorized),
            None => {
                let host = self.host(head)?;
                if !is_same_origin(headers, host) {
                    return Err(Refusal::ForbiddenOrigin);
                }
            }
        }
        if !self.tokens.is_empty() && !self.knows_token(headers) {
            return Err(Refusal::Unauthorized);
        }
        Ok(())
    }

    /// The one `Host`, where it and an absolute target name this sidecar.
    fn host<'r>(&self, head: &'r Parts) -> Result<&'r str, Refusal> {
        let mut named = head.headers.get_all(header::HOST).iter();
        let host = named.next().and_then(|host| host.to_str().ok()).unwrap_or_default();
        let forbidden = |host: &str| Refusal::ForbiddenHost(host.chars().take(255).collect());
        if named.next().is_some() || !self.is_ours(host) {
            return Err(forbidden(host));
        }
        match head.uri.authority() {
            Some(authority) if !self.is_ours(authority.as_str()) => Err(forbidden(authority.as_str())),
            _ => Ok(host),
        }
    }

    fn is_ours(&self, authority: &str) -> bool {
        let Some(host) = without_port(authority) else { return false };
        let is_listen_address = || self.listen.is_some_and(|listen| !listen.is_unspecified() && host.parse() == Ok(listen));
        is_loopback_host(host) || is_listen_address() || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }

    fn knows_token(&self, headers: &HeaderMap) -> bool {
        let sent = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
        let Some((scheme, token)) = sent.split_at_checked(b"Bearer ".len()) else { return false };
        let known = |secret: &Secret| bool::from(secret.expose().as_bytes().ct_eq(token));
        scheme.eq_ignore_ascii_case(b"Bearer ") && self.tokens.iter().any(known)
    }
}

/// The rule of Go 1.25: browsers say where a request comes from, by `Sec-Fetch-Site` or at least by `Origin`; whoever sends
/// neither is no browser.
fn is_same_origin(headers: &HeaderMap, host: &str) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// A `Host`'s name or address, without brackets; `None` where it is none.
fn without_port(authority: &str) -> Option<&str> {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        return (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port)).then_some(host);
    }
    match authority.split_once(':') {
        Some((host, port)) => is_port(port).then_some(host),
        None => Some(authority),
    }
    .filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: &Guard, uri: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        guard.check(&request.body(()).unwrap().into_parts().0)
    }

    fn guard() -> Guard {
        Guard::new("192.0.2.7:7070".parse().ok(), vec!["sidehook.internal".into()], Vec::new())
    }

    #[test]
    fn this_machine_and_the_listed_names_are_ours_on_any_port() {
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1:7070", "127.9.9.9", "[::1]:7070", "192.0.2.7", "Sidehook.internal:80"]
        {
            assert_eq!(check(&guard(), "/events", &[("host", host)]), Ok(()), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example", "192.0.2.8", "[::1", "[::1]x", "127.0.0.1:80x", "a@localhost", ":80"]
        {
            assert!(matches!(check(&guard(), "/events", &[("host", host)]), Err(Refusal::ForbiddenHost(_))), "{host}");
        }
        assert!(check(&guard(), "/events", &[]).is_err());
        assert!(check(&guard(), "/events", &[("host", "localhost"), ("host", "localhost")]).is_err());
    }

    #[test]
    fn an_unspecified_listen_address_is_no_name() {
        let guard = Guard::new("0.0.0.0:7070".parse().ok(), Vec::new(), Vec::new());
        assert!(check(&guard, "/events", &[("host", "0.0.0.0:7070")]).is_err());
    }

    #[test]
    fn an_absolute_target_is_held_to_the_same() {
        assert_eq!(check(&guard(), "http://localhost/events", &[("host", "localhost")]), Ok(()));
        assert!(check(&guard(), "http://evil.example/events", &[("host", "localhost")]).is_err());
    }

    #[test]
    fn web_pages_are_refused_and_programs_are_not() {
        let host = ("host", "localhost:7070");
        for (headers, allowed) in [
            (vec![host], true),
            (vec![host, ("sec-fetch-mode", "cors")], true),
            (vec![host, ("sec-fetch-site", "none")], true),
            (vec![host, ("sec-fetch-site", "same-origin"), ("origin", "http://evil.example")], true),
            (vec![host, ("sec-fetch-site", "same-site")], false),
            (vec![host, ("sec-fetch-site", "cross-site")], false),
            (vec![host, ("origin", "http://localhost:7070")], true),
            (vec![host, ("origin", "http://localhost:3000")], false),
            (vec![host, ("origin", "null")], false),
            (vec![host, ("origin", "http://evil.example")], false),
        ] {
            let expected = if allowed { Ok(()) } else { Err(Refusal::ForbiddenOrigin) };
            assert_eq!(check(&guard(), "/events", &headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn over_a_unix_socket_the_user_counts_and_names_do_not() {
        let check = |guard: &Guard, uid| {
            let request = http::Request::builder().uri("/events").header("host", "evil.example").header("origin", "null");
            guard.check(&request.extension(Peer { uid }).body(()).unwrap().into_parts().0)
        };
        let anybody = Guard::new(None, Vec::new(), Vec::new());
        assert_eq!(check(&anybody, 0), Ok(()));
        let some = anybody.clone().with_uids(vec![1000, 1001]);
        assert_eq!((check(&some, 1001), check(&some, 0)), (Ok(()), Err(Refusal::Unauthorized)));
        let with_token = Guard { tokens: vec![Secret::new("first".to_owned())], ..anybody };
        assert_eq!(check(&with_token, 0), Err(Refusal::Unauthorized));
    }

    #[test]
    fn one_of_two_tokens_is_wanted() {
        let tokens = ["first", "second"].map(|text| Secret::new(text.to_owned())).to_vec();
        let guard = Guard::new("127.0.0.1:7070".parse().ok(), Vec::new(), tokens);
        let with = |value| check(&guard, "/events", &[("host", "localhost"), ("authorization", value)]);
        assert_eq!((with("Bearer first"), with("bearer second")), (Ok(()), Ok(())));
        for wrong in ["", "first", "Bearer", "Bearer ", "Bearer firs", "Bearer first ", "Basic first"] {
            assert_eq!(with(wrong), Err(Refusal::Unauthorized), "{wrong}");
        }
        assert_eq!(check(&guard, "/events", &[("host", "localhost")]), Err(Refusal::Unauthorized));
    }
}
