//! From a target to a TCP connection: resolve, judge, connect.
//!
//! **Invariant:** the address that is dialled is one that was judged, whatever its name resolves to a moment later.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{net::TcpStream, time::sleep};

use super::{client::failure, proxy, reach, resolver::Resolver};
use crate::{
    endpoint::{Network, Target, literal_address},
    retry::{ErrorCode, Failure},
};

/// Where this sidecar itself takes events over TCP: an endpoint there would be a loop.
#[derive(Debug, Default)]
pub struct OwnListeners(Mutex<Vec<SocketAddr>>);

impl OwnListeners {
    /// Replaces what was known.
    pub fn set(&self, addresses: Vec<SocketAddr>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    fn include(&self, address: SocketAddr) -> bool {
        let own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        own.iter().any(|listener| reach::arrives_at(*listener, address, is_local))
    }
}

/// Connects to the first of the target's addresses that answers, of those that may be dialled; or to its proxy, and through
/// that where it is to see nothing.
pub(super) async fn connect(target: &Target, resolver: &Resolver, own: &OwnListeners) -> Result<TcpStream, Failure> {
    let Some(proxy) = &target.proxy else {
        return direct((&target.host, target.port, target.network), resolver, own).await;
    };
    // Its names are the proxy's to resolve; an address needs no resolving.
    let literal = literal_address(&target.host);
    if let Some((address, objection)) = literal.and_then(|address| Some((address, reach::objection(address, target.network)?))) {
        return Err(failure(ErrorCode::NetworkForbidden, format!("{address} {objection}")));
    }
    let reached = direct((&proxy.host, proxy.port, Network::Any), resolver, own).await;
    let stream = reached.map_err(|found| Failure { error: format!("the proxy {proxy}: {}", found.error).into(), ..found })?;
    if target.is_tunnelled() { proxy::tunnel(stream, proxy, target).await } else { Ok(stream) }
}

/// Connects to a name or an address.
async fn direct(
    (host, port, network): (&str, u16, Network),
    resolver: &Resolver,
    own: &OwnListeners,
) -> Result<TcpStream, Failure> {
    let found = resolver.addresses(host).await?;
    let mut allowed = Vec::with_capacity(found.len());
    let mut objections = Vec::new();
    for address in found.iter().map(|address| SocketAddr::new(*address, port)) {
        match reach::objection(address.ip(), network) {
            Some(objection) => objections.push(format!("{} {objection}", address.ip())),
            None if own.include(address) => objections.push(format!("{address} is where this sidecar itself listens")),
            None => allowed.push(address),
        }
    }
    if allowed.is_empty() {
        return Err(failure(ErrorCode::NetworkForbidden, objections.join("; ")));
    }
    race(&interleaved(&allowed)).await
}

/// Dials one address after the other, the next where the one before has failed or has not answered within [`STAGGER`], and
/// takes the first connection there is (RFC 8305, section 5).
async fn race(addresses: &[SocketAddr]) -> Result<TcpStream, Failure> {
    let mut waiting = addresses.iter();
    let mut dialled = FuturesUnordered::new();
    let mut last = failure(ErrorCode::Dns, "there is no address");
    loop {
        if let Some(address) = waiting.next() {
            dialled.push(dial(*address));
        }
        // Only a failure, or the time being up, lets the next begin.
        tokio::select! {
            ended = dialled.next() => match ended {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(failure)) => last = failure,
                None => return Err(last),
            },
            () = sleep(STAGGER), if waiting.len() > 0 => {}
        }
    }
}

async fn dial(address: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(address).await.map_err(|error| {
        let code = match error.kind() {
            io::ErrorKind::TimedOut => ErrorCode::ConnectTimeout,
            io::ErrorKind::ConnectionReset => ErrorCode::Reset,
            _ => ErrorCode::ConnectRefused,
        };
        failure(code, format!("{address}: {error}"))
    })?;
    // A request is written at once and whole: waiting for more would only delay it.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// The families by turns, each in its order, from the one that is preferred (RFC 8305, section 4).
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_family = addresses.first().map(SocketAddr::is_ipv4);
    let (mut first, mut second): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
    for address in addresses {
        let family = if Some(address.is_ipv4()) == first_family { &mut first } else { &mut second };
        family.push((family.len(), *address));
    }
    // Stable: of two at the same place the preferred family's comes first.
    first.append(&mut second);
    first.sort_by_key(|(place, _)| *place);
    first.into_iter().map(|(_, address)| address).take(MOST).collect()
}

/// Whether an address is one of this host's: only at such a one a socket can be bound.
fn is_local(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// The time RFC 8305 recommends between two attempts.
const STAGGER: Duration = Duration::from_millis(250);

/// Who has more addresses than these is reached at one of them, or not at all.
const MOST: usize = 16;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::{net::TcpListener, time::timeout};

    use super::*;

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// One that accepts nobody: further connections to it hang.
    async fn full() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut guests = Vec::new();
        while let Ok(Ok(guest)) = timeout(Duration::from_millis(50), TcpStream::connect(address)).await {
            guests.push(guest);
        }
        (listener, guests, address)
    }

    fn target(url: &str) -> Target {
        Target::parse(url, false).unwrap()
    }

    async fn connect_to(target: &Target, own: &[SocketAddr]) -> Result<SocketAddr, Failure> {
        let listeners = OwnListeners::default();
        listeners.set(own.to_vec());
        connect(target, &Resolver::default(), &listeners).await.map(|stream| stream.peer_addr().unwrap())
    }

    #[test]
    fn families_take_turns_from_the_preferred_one() {
        let addresses = |list: &[&str]| list.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 1)).collect::<Vec<_>>();
        let given = addresses(&["::1", "::2", "::3", "10.0.0.1", "10.0.0.2"]);
        assert_eq!(interleaved(&given), addresses(&["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"]));
        assert!(interleaved(&[]).is_empty());
        let many = vec![given[0]; 100];
        assert_eq!(interleaved(&many).len(), MOST);
    }

    #[tokio::test]
    async fn an_address_that_refuses_or_hangs_gives_way_to_the_next() {
        let (_full, _guests, hanging) = full().await;
        let (refusing, closed) = listener().await;
        drop(refusing);
        let (_listener, answering) = listener().await;
        for first in [closed, hanging] {
            let began = std::time::Instant::now();
            assert_eq!(race(&[first, answering]).await.unwrap().peer_addr().unwrap(), answering);
            assert!(began.elapsed() < STAGGER * 3, "{first}");
        }
        let refused = race(&[closed, closed]).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::ConnectRefused);
        assert!(refused.error.contains(&closed.to_string()), "{}", refused.error);
    }

    #[tokio::test]
    async fn what_a_name_resolves_to_is_judged_and_not_the_name() {
        for url in ["http://2852039166/", "http://0xa9fea9fe/", "http://[::ffff:169.254.169.254]/", "http://0/"] {
            let failure = connect_to(&target(url), &[]).await.unwrap_err();
            assert_eq!(failure.code, ErrorCode::NetworkForbidden, "{url}: {}", failure.error);
        }
        let (_listener, address) = listener().await;
        let mut target = target(&format!("http://localhost:{}", address.port()));
        assert_eq!(connect_to(&target, &[]).await.unwrap(), address);
        target.network = Network::Public;
        let failure = connect_to(&target, &[]).await.unwrap_err();
        assert_eq!(failure.code, ErrorCode::NetworkForbidden);
        assert!(failure.error.contains("127.0.0.1 is not a public address"), "{}", failure.error);
    }

    #[tokio::test]
    async fn the_sidecars_own_listeners_are_not_dialled() {
        let (_listener, address) = listener().await;
        let target = target(&format!("http://{address}"));
        let anywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
        for own in [address, anywhere] {
            let failure = connect_to(&target, &[own]).await.unwrap_err();
            assert_eq!(failure.code, ErrorCode::NetworkForbidden, "{own}");
        }
        let other = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port() ^ 1));
        assert_eq!(connect_to(&target, &[other]).await.unwrap(), address);
    }

    #[tokio::test]
    async fn no_proxy_is_asked_for_an_address_that_is_never_dialled() {
        let (_listener, address) = listener().await;
        let proxy = crate::endpoint::Proxy { host: address.ip().to_string().into(), port: address.port(), authorization: None };
        let proxy = Some(std::sync::Arc::new(proxy));
        for url in ["http://169.254.169.254/", "http://0xa9fea9fe/", "http://0.0.0.0/", "http://[::ffff:169.254.169.254]/"] {
            let target = Target { proxy: proxy.clone(), ..target(url) };
            assert_eq!(connect_to(&target, &[]).await.unwrap_err().code, ErrorCode::NetworkForbidden, "{url}");
        }
        assert_eq!(connect_to(&Target { proxy, ..target("http://10.0.0.1/") }, &[]).await.unwrap(), address);
    }

    #[test]
    fn only_this_hosts_addresses_are_local() {
        assert!(is_local(Ipv4Addr::LOCALHOST.into()));
        assert!(!is_local(Ipv4Addr::new(192, 0, 2, 1).into()));
    }
}
