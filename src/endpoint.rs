//! Where: a receiver, and how it wants to be spoken to.
//!
//! Everything here was checked when the config was read; what an [`Endpoint`] says can be done.
//!
//! **Invariant:** no field needs validating by its reader, and no `Debug` print shows a secret.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri, uri::Authority};
use percent_encoding::{AsciiSet, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::{
    encode::Shape,
    retry,
    sign::{self, Placeholder, Secret, Signer, Template},
    transform::Program,
};

/// A receiver, with all its settings. Two are equal when all of these are, secrets included.
#[derive(PartialEq)]
pub struct Endpoint {
    pub name: Arc<str>,
    /// Stable over restarts and renamings of anything but the endpoint.
    pub id: Box<str>,
    pub description: Option<Box<str>>,
    pub target: Target,
    pub method: Method,
    pub active: bool,
    /// What a body for this endpoint looks like.
    pub shape: Arc<Shape>,
    /// What the config asks for besides what sidehook writes.
    pub headers: Vec<(HeaderName, HeaderText)>,
    pub auth: Option<Auth>,
    pub signatures: Vec<Signer>,
    /// From the start of an attempt to the end of the answer's head.
    pub timeout: Duration,
    pub success: Success,
    pub retry: retry::Policy,
    pub queue: Bounds,
    /// Attempts in flight at once.
    pub concurrency: usize,
    pub order: Sequence,
    pub batch: Option<Batch>,
    pub pace: Pace,
    /// How long failures disable it, where not for good.
    pub resume_after: Option<Duration>,
    /// How long a connection may lie idle before it is closed.
    pub idle_timeout: Duration,
    /// Whether `traceparent` and `tracestate` travel on.
    pub trace: bool,
    /// Every secret text of this endpoint, to be masked in what its receiver answers.
    pub secrets: Vec<Secret>,
    pub digest: Digest,
}

/// An endpoint's URL, taken apart for the one who dials.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    pub tls: bool,
    /// Beyond the usual: the system's authorities, no certificate of our own, the host's name.
    pub tls_settings: Option<Arc<Tls>>,
    pub http: Http,
    /// Through which it is dialled.
    pub proxy: Option<Arc<Proxy>>,
    /// A name or an address, without brackets.
    pub host: Box<str>,
    pub port: u16,
    pub network: Network,
    /// The `host` header: in lower case, with the port where it is not the scheme's own.
    pub authority: HeaderValue,
    /// The origin form, at least `/`.
    pub path_and_query: Uri,
    /// The absolute form, its authority as in `host`.
    pub uri: Uri,
    /// The same as text.
    pub uri_text: Box<str>,
    /// How the URL is written where people read it: query values masked, scheme and host only where it is a secret.
    pub shown: Box<str>,
}

/// Who passes requests on. It resolves names, too: what an address is allowed to be is then asked of its own alone.
#[derive(PartialEq, Eq)]
pub struct Proxy {
    /// A name or an address, without brackets.
    pub host: Box<str>,
    pub port: u16,
    /// The value of `proxy-authorization`.
    pub authorization: Option<HeaderValue>,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

/// How the receiver proves who it is, and this side to it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates in DER of whom to trust besides the system's authorities.
    pub ca: Vec<Box<[u8]>>,
    pub identity: Option<Identity>,
    /// Asked for and verified in place of the URL's host.
    pub server_name: Option<Box<str>>,
}

/// A certificate of this side, and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// In DER, the certificate first.
    pub chain: Vec<Box<[u8]>>,
    /// In DER: PKCS#8, PKCS#1 or SEC1.
    pub key: Zeroizing<Vec<u8>>,
}

/// Which version of HTTP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// What TLS agrees on (RFC 7301); without TLS 1.1.
    Auto,
    One,
    Two,
}

/// Which addresses an endpoint may be dialled at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Private ones too, but none that no receiver has.
    Any,
    Public,
}

/// Why a text is no endpoint's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("a URL holds neither blanks nor control characters")]
    Blank,
    #[error("a fragment (#…) is never sent")]
    Fragment,
    #[error("not an absolute http:// or https:// URL")]
    NotAbsolute,
    #[error("port 0 cannot be dialled")]
    PortZero,
    #[error("a URL has {} bytes at most", LONGEST_URL)]
    TooLong,
    #[error("user and password do not belong in a URL: use auth = {{ type = \"basic\", … }}")]
    Userinfo,
}

impl Target {
    /// Reads an absolute URL, to be dialled at any network; `secret` hides all of it but scheme and host where people read it.
    /// Characters that no request line may hold are percent-encoded, as browsers do.
    pub fn parse(url: &str, secret: bool) -> Result<Target, TargetError> {
        if url.contains('#') {
            return Err(TargetError::Fragment);
        }
        if url.contains(|character: char| character.is_control() || character == ' ') {
            return Err(TargetError::Blank);
        }
        let (scheme, rest) = url.split_once("://").ok_or(TargetError::NotAbsolute)?;
        let tls = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => false,
            _ if scheme.eq_ignore_ascii_case("https") => true,
            _ => return Err(TargetError::NotAbsolute),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority: Authority = authority.parse().map_err(|_| TargetError::NotAbsolute)?;
        if authority.as_str().contains('@') {
            return Err(TargetError::Userinfo);
        }
        // Whom a signature over it is for compares it in lower case (RFC 9421, section 2.2.3).
        let written_host = authority.host().to_ascii_lowercase();
        let host = written_host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(TargetError::NotAbsolute);
        }
        let scheme_port = if tls { 443 } else { 80 };
        let port = match authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, port)| port).rsplit_once(':') {
            Some((_, "")) | None => scheme_port,
            Some((_, port)) => port.parse().map_err(|_| TargetError::NotAbsolute)?,
        };
        if port == 0 {
            return Err(TargetError::PortZero);
        }
        let host_text = if port == scheme_port { written_host.clone() } else { format!("{written_host}:{port}") };
        let root = if path.starts_with('/') { "" } else { "/" };
        let path_and_query = format!("{root}{}", utf8_percent_encode(path, UNSENDABLE));
        let origin = format!("{}://{host_text}", if tls { "https" } else { "http" });
        let absolute = format!("{origin}{path_and_query}");
        if absolute.len() > LONGEST_URL {
            return Err(TargetError::TooLong);
        }
        let path_and_query: Uri = path_and_query.parse().map_err(|_| TargetError::NotAbsolute)?;
        Ok(Target {
            tls,
            tls_settings: None,
            http: Http::Auto,
            proxy: None,
            host: host.into(),
            port,
            network: Network::Any,
            authority: HeaderValue::try_from(&host_text).map_err(|_| TargetError::NotAbsolute)?,
            uri: absolute.parse().map_err(|_| TargetError::NotAbsolute)?,
            uri_text: absolute.into(),
            shown: if secret { origin } else { shown(origin, &path_and_query) }.into(),
            path_and_query,
        })
    }

    /// What `shown` leaves out, decoded, to be masked elsewhere: the values of the query, and where the URL is a `secret` all
    /// its parts from the path on. Short ones are not worth it.
    pub fn hidden(&self, secret: bool) -> Vec<Secret> {
        let (path, query) = (self.path_and_query.path(), self.path_and_query.query().unwrap_or_default());
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), String::from);
        // Here a blank may be a `+`; a mask knows that, too.
        let value = |pair: &str| decoded(&pair.split_once('=').map_or(pair, |(_, value)| value).replace('+', " "));
        let mut texts: Vec<String> = query.split('&').map(value).collect();
        if secret {
            texts.extend([decoded(path), decoded(query)]);
            texts.extend(path.split('/').map(decoded));
        }
        texts.into_iter().filter(|text| sign::is_telling(text)).map(Secret::new).collect()
    }
}

impl Target {
    /// Whether its proxy is asked for a tunnel, and not to pass each request on.
    pub fn is_tunnelled(&self) -> bool {
        self.tls || self.http == Http::Two
    }
}

/// Whether `host`, a name or an address without brackets, is this machine itself.
pub fn is_loopback_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The address that `host` is without being looked up, in any of the ways in which resolvers take one: `127.0.0.1`, `127.1`,
/// `0x7f000001`, `::ffff:127.0.0.1`. One of IPv4 comes out as that.
pub fn literal_address(host: &str) -> Option<IpAddr> {
    let address = host.parse().ok().or_else(|| in_numbers(host).map(IpAddr::from));
    address.map(|address| address.to_canonical())
}

/// An IPv4 address as `inet_aton` reads it: one to four numbers, of which the last has all the room that is left.
fn in_numbers(text: &str) -> Option<Ipv4Addr> {
    let number = |part: &str| {
        let hex = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X"));
        let (digits, radix) = match (hex, part.strip_prefix('0')) {
            (Some(digits), _) => (digits, 16),
            (None, Some(digits)) if !digits.is_empty() => (digits, 8),
            _ => (part, 10),
        };
        let is_bare = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
        u32::from_str_radix(digits, radix).ok().filter(|_| is_bare)
    };
    let parts: Vec<u32> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    let fits = first.len() <= 3 && first.iter().all(|part| *part < 256) && u64::from(*last) < 1 << (32 - 8 * first.len());
    let bits = || first.iter().zip([24, 16, 8]).fold(*last, |bits, (part, place)| bits | part << place);
    fits.then(|| Ipv4Addr::from_bits(bits()))
}

fn shown(origin: String, path_and_query: &Uri) -> String {
    let mut text = origin + path_and_query.path();
    for (n, pair) in path_and_query.query().into_iter().flat_map(|query| query.split('&')).enumerate() {
        text.push(if n == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((name, _)) => {
                text.push_str(name);
                text.push_str("=***");
            }
            None => text.push_str("***"),
        }
    }
    text
}

/// What the `http` crate can hold, percent-encoded as it is sent.
const LONGEST_URL: usize = u16::MAX as usize - 1;

/// What neither a path nor a query holds (RFC 3986, section 3), but for what all receivers take; beside it whatever is not ASCII.
const UNSENDABLE: &AsciiSet = &AsciiSet::EMPTY.add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'}');

/// A custom header's value.
#[derive(Clone, PartialEq)]
pub enum HeaderText {
    Fixed(HeaderValue),
    /// Filled in for each attempt.
    Template(Template<HeaderPlaceholder>),
}

/// What a custom header's value may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderPlaceholder {
    Attempt,
    Id,
    Time,
    Type,
}

impl Placeholder for HeaderPlaceholder {
    const NAMES: &'static [(&'static str, HeaderPlaceholder)] = &[
        ("id", HeaderPlaceholder::Id),
        ("type", HeaderPlaceholder::Type),
        ("time", HeaderPlaceholder::Time),
        ("attempt", HeaderPlaceholder::Attempt),
    ];
}

/// How the receiver knows who is calling.
#[derive(Clone, PartialEq)]
pub enum Auth {
    /// The whole header, made at load: basic, bearer and API key do not change between attempts.
    Header(HeaderName, HeaderValue),
    /// A bearer token that is fetched when it is needed.
    OAuth2(Arc<OAuth2>),
}

/// Where tokens are had, and for what (RFC 6749, 4.4).
#[derive(PartialEq)]
pub struct OAuth2 {
    pub target: Target,
    /// Who asks.
    pub authorization: HeaderValue,
    /// What is asked for, as a form.
    pub body: Bytes,
    pub secrets: Vec<Secret>,
}

/// The statuses that mean an event has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success(Vec<(u16, u16)>);

impl Success {
    /// Inclusive ranges of statuses.
    pub fn new(ranges: Vec<(u16, u16)>) -> Success {
        Success(ranges)
    }

    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }
}

/// What an endpoint's queue may hold, over all states of its deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub events: usize,
    pub bytes: usize,
    pub when_full: WhenFull,
}

/// A digest of all that the config says of an endpoint, secrets included, in hex: what tells other settings from the same ones
/// after a restart. Within a process the settings themselves do, so that it counts for nothing in a comparison.
#[derive(Clone, Debug, Default)]
pub struct Digest(pub Box<str>);

impl PartialEq for Digest {
    fn eq(&self, _: &Digest) -> bool {
        true
    }
}

/// In which order an endpoint's deliveries are attempted.
#[derive(Clone, Debug, PartialEq)]
pub enum Sequence {
    /// One after the other, as they came.
    Fifo,
    /// One after the other of those for which this says the same.
    Keyed(Arc<Program>),
    /// As they come, side by side.
    Parallel,
}

/// How many of an endpoint's deliveries go out in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    pub max_events: usize,
    /// Of the whole body.
    pub max_bytes: usize,
    /// How long the first one waits for others.
    pub max_wait: Duration,
}

/// When a receiver that fails is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Transient failures in a row.
    pub failures: u32,
    pub pause: Duration,
}

/// How an endpoint as a whole answers to what becomes of its attempts, and how fast they may come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// The time from one attempt to the next.
    pub interval: Option<Duration>,
    pub breaker: Option<Breaker>,
    /// Permanent failures in a row after which it is disabled.
    pub disable_after: Option<u32>,
}

/// What happens to an event for a full endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    DeadLetter,
    /// The oldest that waits makes room.
    DropOldest,
    Reject,
}

#[cfg(test)]
impl Endpoint {
    /// For tests: `hook` at `http://a.example/hook`, which gets JSON, and is tried four times, a minute apart.
    pub(crate) fn example() -> Endpoint {
        let format = crate::encode::Format::Json;
        let content_type = HeaderValue::from_static(format.content_type());
        let shape = Shape { envelope: crate::envelope::Envelope::Event, format, content_type };
        let minute = Duration::from_secs(60);
        let waits = retry::Waits::Fixed { attempts: 4, delay: minute };
        Endpoint {
            name: "hook".into(),
            id: "app_hook".into(),
            description: None,
            target: Target::parse("http://a.example/hook", false).unwrap(),
            method: Method::POST,
            active: true,
            shape: Arc::new(shape),
            headers: Vec::new(),
            auth: None,
            signatures: Vec::new(),
            timeout: Duration::from_secs(10),
            success: Success::new(vec![(200, 299)]),
            retry: retry::Policy { waits, max_delay: 10 * minute, jitter: 0.0, max_age: None, on: retry::On::Transient },
            queue: Bounds { events: 10_000, bytes: 64 << 20, when_full: WhenFull::DeadLetter },
            concurrency: 8,
            order: Sequence::Parallel,
            batch: None,
            pace: Pace::default(),
            resume_after: None,
            idle_timeout: Duration::from_secs(4),
            trace: false,
            secrets: Vec::new(),
            digest: Digest::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_for_the_dialler() {
        let target = Target::parse("https://[::1]:8443/a/b?key=secret&flag&c=", false).unwrap();
        assert_eq!((&*target.host, target.port, target.tls), ("::1", 8443, true));
        assert_eq!(target.authority, "[::1]:8443");
        assert_eq!(target.path_and_query, "/a/b?key=secret&flag&c=");
        assert_eq!(&*target.shown, "https://[::1]:8443/a/b?key=***&***&c=***");
        let target = Target::parse("http://example.com:80", true).unwrap();
        assert_eq!((target.authority.to_str().unwrap(), target.path_and_query.path()), ("example.com", "/"));
        assert_eq!(target.uri, "http://example.com/");
        assert_eq!(&*Target::parse("https://example.com/tok/en?x=1", true).unwrap().shown, "https://example.com");
    }

    #[test]
    fn what_is_sent_of_a_url_is_what_a_request_may_hold() {
        for (url, sent) in [
            ("http://a.example?x=1", "http://a.example/?x=1"),
            ("http://a.example", "http://a.example/"),
            ("HTTP://LocalHost:80/A", "http://localhost/A"),
            ("https://A.example:/?", "https://a.example/?"),
            ("http://a.example:8080/\u{e9}/%C3%A9?q=\u{df}", "http://a.example:8080/%C3%A9/%C3%A9?q=%C3%9F"),
            ("http://a.example/a//b/../c?y={z}\"&t[]=a|b", "http://a.example/a//b/../c?y=%7Bz%7D%22&t[]=a|b"),
        ] {
            let target = Target::parse(url, false).unwrap();
            assert_eq!(&*target.uri_text, sent, "{url}");
            assert_eq!(target.uri, sent, "{url}");
            let origin = format!("http{}://{}", if target.tls { "s" } else { "" }, target.authority.to_str().unwrap());
            assert_eq!(format!("{origin}{}", target.path_and_query), sent, "{url}");
        }
    }

    #[test]
    fn what_is_not_shown_of_a_url_is_to_be_masked() {
        let hidden = |url, secret| -> Vec<String> {
            let hidden = Target::parse(url, secret).unwrap().hidden(secret);
            hidden.iter().map(|secret| secret.expose().to_owned()).collect()
        };
        assert_eq!(hidden("http://a.example/hooks?a=1&token=a%20b+cd&lonely&b=", false), ["a b cd", "lonely"]);
        assert_eq!(
            hidden("http://a.example/T0/s%2Fcret?tok=%c3%a9tude", true),
            ["\u{e9}tude", "/T0/s/cret", "tok=\u{e9}tude", "s/cret"]
        );
        assert!(hidden("http://a.example", true).is_empty() && hidden("http://a.example/hook?v=1", false).is_empty());
    }

    #[test]
    fn what_cannot_be_dialled_is_refused() {
        for (url, error) in [
            ("ftp://example.com/", TargetError::NotAbsolute),
            ("/hooks", TargetError::NotAbsolute),
            ("example.com", TargetError::NotAbsolute),
            ("http://", TargetError::NotAbsolute),
            ("http://exa mple.com/", TargetError::Blank),
            ("http://a.example/x\n", TargetError::Blank),
            ("http://a.example/\u{7f}", TargetError::Blank),
            ("http://?x=1", TargetError::NotAbsolute),
            ("http://a.example:99999/", TargetError::NotAbsolute),
            ("http://a.example:0/", TargetError::PortZero),
            ("http://user:pw@a.example/", TargetError::Userinfo),
            ("http://a.example/#x", TargetError::Fragment),
        ] {
            assert_eq!(Target::parse(url, false).err(), Some(error), "{url}");
        }
        let long = |length: usize| Target::parse(&format!("http://a.example/?{}", "x".repeat(length)), false);
        assert_eq!(long(LONGEST_URL).err(), Some(TargetError::TooLong));
        assert!(long(LONGEST_URL - "http://a.example/?".len()).is_ok());
    }
}
