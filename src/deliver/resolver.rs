//! Names to addresses: the system's resolver, asked seldom and never twice at once for one name.
//!
//! In comes a host as the URL has it; out go its addresses, in the system's order of preference. Lookups block, for many
//! seconds where a name server is gone, so each has a thread of its own, of which there are [`THREADS`] at most; they go on
//! when nobody waits for them any more, and the next attempt finds the answer.
//!
//! **Invariant:** an answer is used for no longer than [`FOUND`] (a failure: [`FAILED`]), and there is at most one lookup
//! of a name under way.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, ToSocketAddrs},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use tokio::{
    sync::{Semaphore, oneshot, watch},
    time::{Instant as Clock, timeout},
};

use super::client::failure;
use crate::retry::{ErrorCode, Failure};

pub(super) struct Resolver {
    /// What was asked, by name; what is too old is thrown out when the next name is asked for.
    names: Mutex<HashMap<Box<str>, watch::Receiver<Option<Answer>>>>,
    threads: Arc<Semaphore>,
    lookup: Lookup,
}

type Lookup = fn(&str) -> io::Result<Vec<IpAddr>>;

#[derive(Clone)]
struct Answer {
    addresses: Result<Arc<[IpAddr]>, Arc<str>>,
    until: Clock,
}

impl Default for Resolver {
    fn default() -> Resolver {
        Resolver::new(system)
    }
}

impl Resolver {
    fn new(lookup: Lookup) -> Resolver {
        Resolver { names: Mutex::default(), threads: Arc::new(Semaphore::new(THREADS)), lookup }
    }

    /// The addresses of `host`, a name or an address without brackets; at least one.
    pub(super) async fn addresses(&self, host: &str) -> Result<Arc<[IpAddr]>, Failure> {
        if let Ok(address) = host.parse() {
            return Ok(Arc::new([address]));
        }
        let mut asked = self.ask(host);
        let answer = match timeout(PATIENCE, asked.wait_for(Option::is_some)).await {
            Ok(Ok(answer)) => answer.as_ref().map(|answer| answer.addresses.clone()),
            Ok(Err(_)) => None,
            Err(_) => Some(Err(format!("no answer within {PATIENCE:?}").into())),
        };
        let error = match answer {
            Some(Ok(addresses)) => return Ok(addresses),
            Some(Err(error)) => error,
            None => "the lookup was broken off".into(),
        };
        Err(failure(ErrorCode::Dns, format!("{host} cannot be resolved: {error}")))
    }

    /// Where the answer for `host` will be, or is already.
    fn ask(&self, host: &str) -> watch::Receiver<Option<Answer>> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Clock::now();
        if let Some(asked) = names.get(host).filter(|asked| is_of_use(asked, now)) {
            return asked.clone();
        }
        names.retain(|_, asked| is_of_use(asked, now));
        let (tell, asked) = watch::channel(None);
        names.insert(host.into(), asked.clone());
        tokio::spawn(look_up(host.into(), self.lookup, Arc::clone(&self.threads), tell));
        asked
    }
}

/// Whether the answer is still to come, or not too old.
fn is_of_use(asked: &watch::Receiver<Option<Answer>>, now: Clock) -> bool {
    match &*asked.borrow() {
        Some(answer) => now < answer.until,
        None => asked.has_changed().is_ok(),
    }
}

async fn look_up(host: Box<str>, lookup: Lookup, threads: Arc<Semaphore>, tell: watch::Sender<Option<Answer>>) {
    let Ok(permit) = threads.acquire_owned().await else { return };
    let (answer, answered) = oneshot::channel();
    let looking = move || {
        let found = lookup(&host);
        drop(permit);
        // Where the runtime has ended nobody wants to know.
        let _ = answer.send(found);
    };
    let found = match thread::Builder::new().name("dns".to_owned()).spawn(looking) {
        Ok(_) => answered.await.unwrap_or_else(|_| Err(io::Error::other("the lookup has failed"))),
        Err(error) => Err(error),
    };
    let addresses = match found {
        Ok(found) if found.is_empty() => Err("it has no address".into()),
        Ok(found) => Ok(found.into()),
        Err(error) => Err(error.to_string().into()),
    };
    let until = Clock::now() + if addresses.is_ok() { FOUND } else { FAILED };
    tell.send_replace(Some(Answer { addresses, until }));
}

fn system(host: &str) -> io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for found in (host, 0).to_socket_addrs()? {
        if !addresses.contains(&found.ip()) {
            addresses.push(found.ip());
        }
    }
    Ok(addresses)
}

/// How long an answer is used: a change of DNS is to be seen, and many lookups a second are not to be made.
const FOUND: Duration = Duration::from_secs(10);

/// How long a failure is used: it holds for those who wait together, and for hardly anybody after them.
const FAILED: Duration = Duration::from_secs(1);

/// How long an attempt waits for a lookup: it then says what is wrong, and not that there was no connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lookups at once: so many names whose servers are gone hold up no other.
const THREADS: usize = 32;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::SeqCst};

    use futures_util::future::join_all;
    use tokio::time::{advance, pause, resume};

    use super::*;

    async fn later(time: Duration) {
        pause();
        advance(time).await;
        resume();
    }

    #[tokio::test]
    async fn an_address_is_its_own_answer() {
        let resolver = Resolver::new(|_| Err(io::Error::other("asked")));
        for host in ["127.0.0.1", "::1", "fe80::1"] {
            assert_eq!(*resolver.addresses(host).await.unwrap(), [host.parse::<IpAddr>().unwrap()]);
        }
    }

    #[tokio::test]
    async fn the_system_knows_localhost_and_numbers_that_are_no_addresses() {
        let resolver = Resolver::default();
        assert!(resolver.addresses("localhost").await.unwrap().iter().all(IpAddr::is_loopback));
        // The metadata service in disguise: why it is the answer that is judged and not the name.
        assert_eq!(*resolver.addresses("2852039166").await.unwrap(), ["169.254.169.254".parse::<IpAddr>().unwrap()]);
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_for_all_who_wait_and_again_when_its_answer_is_old() {
        static LOOKUPS: AtomicU8 = AtomicU8::new(0);
        let resolver = Resolver::new(|_| Ok(vec![IpAddr::from([10, 0, 0, LOOKUPS.fetch_add(1, SeqCst)])]));
        let ask = async || resolver.addresses("a.example").await.unwrap()[0];
        let together = join_all((0..20).map(|_| ask())).await;
        assert!(together.iter().all(|found| *found == IpAddr::from([10, 0, 0, 0])), "{together:?}");
        later(Duration::from_secs(9)).await;
        assert_eq!(ask().await, IpAddr::from([10, 0, 0, 0]));
        later(Duration::from_secs(2)).await;
        assert_eq!(ask().await, IpAddr::from([10, 0, 0, 1]));
    }

    #[tokio::test]
    async fn a_failure_is_remembered_for_a_second_and_then_asked_again() {
        static LOOKUPS: AtomicU8 = AtomicU8::new(0);
        let resolver = Resolver::new(|_| match LOOKUPS.fetch_add(1, SeqCst) {
            0 => Err(io::Error::other("no such name")),
            1 => Ok(Vec::new()),
            2 => panic!("a bug in the system"),
            _ => Ok(vec![IpAddr::from([10, 0, 0, 1])]),
        });
        for error in ["no such name", "no such name", "it has no address", "it has no address", "the lookup has failed"] {
            let failure = resolver.addresses("a.example").await.unwrap_err();
            assert_eq!((failure.code, &*failure.error), (ErrorCode::Dns, &*format!("a.example cannot be resolved: {error}")));
            later(Duration::from_millis(700)).await;
        }
        later(Duration::from_secs(1)).await;
        assert!(resolver.addresses("a.example").await.is_ok());
    }

    #[tokio::test]
    async fn a_name_that_hangs_holds_up_no_other_and_its_answer_is_there_when_it_comes() {
        static OPEN: AtomicBool = AtomicBool::new(false);
        let resolver = Resolver::new(|host| {
            while host == "slow.example" && !OPEN.load(SeqCst) {
                thread::yield_now();
            }
            Ok(vec![IpAddr::from([10, 0, 0, 1])])
        });
        assert!(timeout(Duration::from_millis(1), resolver.addresses("slow.example")).await.is_err());
        assert!(resolver.addresses("fast.example").await.is_ok());
        OPEN.store(true, SeqCst);
        assert!(resolver.addresses("slow.example").await.is_ok());
    }

    #[tokio::test]
    async fn lookups_are_made_side_by_side_and_not_all_at_once() {
        static UNDER_WAY: AtomicU8 = AtomicU8::new(0);
        static MOST: AtomicU8 = AtomicU8::new(0);
        let resolver = Resolver::new(|_| {
            MOST.fetch_max(UNDER_WAY.fetch_add(1, SeqCst) + 1, SeqCst);
            let began = std::time::Instant::now();
            while began.elapsed() < Duration::from_millis(5) {
                thread::yield_now();
            }
            UNDER_WAY.fetch_sub(1, SeqCst);
            Ok(vec![IpAddr::from([10, 0, 0, 1])])
        });
        let names: Vec<_> = (0..100).map(|n| format!("{n}.example")).collect();
        assert!(join_all(names.iter().map(|name| resolver.addresses(name))).await.iter().all(Result::is_ok));
        let most = usize::from(MOST.load(SeqCst));
        assert!((2..=THREADS).contains(&most), "{most}");
    }

    #[tokio::test]
    async fn what_is_too_old_takes_no_room() {
        let resolver = Resolver::new(|_| Ok(vec![IpAddr::from([10, 0, 0, 1])]));
        for n in 0..10 {
            resolver.addresses(&format!("{n}.example")).await.unwrap();
        }
        later(FOUND).await;
        resolver.addresses("last.example").await.unwrap();
        assert_eq!(resolver.names.lock().unwrap().len(), 1);
    }
}
