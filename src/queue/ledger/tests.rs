//! Bounds and waits, case by case.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::endpoint::WhenFull;

fn bounds(events: usize, bytes: usize) -> Bounds {
    Bounds { events, bytes, when_full: WhenFull::DropOldest }
}

fn slot(ledger: &Arc<Ledger>, account: &Arc<Account>, bytes: usize) -> Result<(Slot, Share), Full> {
    let mut share = ledger.share(bytes);
    account.reserve(bytes, &mut share).map(|slot| (slot, share))
}

#[test]
fn an_endpoint_is_full_at_its_events_or_its_bytes() {
    let ledger = Ledger::new(1 << 30);
    ledger.resize(1 << 30, 1);
    let account = Account::open(&ledger, bounds(2, 1 << 20));
    let held = [slot(&ledger, &account, 10).unwrap(), slot(&ledger, &account, 10).unwrap()];
    assert_eq!(slot(&ledger, &account, 10).map(drop), Err(Full));
    drop(held);
    assert!(slot(&ledger, &account, (1 << 20) - DELIVERY).is_ok());
    assert_eq!(slot(&ledger, &account, 1 << 20).map(drop), Err(Full));
}

#[test]
fn what_deliveries_share_is_counted_once_and_freed_with_the_last() {
    let ledger = Ledger::new(1 << 20);
    ledger.resize(1 << 20, 3);
    let accounts = [(); 3].map(|()| Account::open(&ledger, bounds(9, 1 << 20)));
    let mut share = ledger.share(1000);
    let slots: Vec<_> = accounts.iter().map(|account| account.reserve(1000, &mut share).unwrap()).collect();
    assert_eq!(ledger.used(), 1000 + 3 * DELIVERY);
    drop(slots);
    assert_eq!(ledger.used(), 1000);
    drop(share);
    assert_eq!(ledger.used(), 0);
}

#[test]
fn a_greedy_endpoint_leaves_the_others_their_reserve() {
    let ledger = Ledger::new(100_000);
    ledger.resize(100_000, 2);
    let [greedy, modest] = [(); 2].map(|()| Account::open(&ledger, bounds(1_000_000, 1 << 20)));
    let mut held = Vec::new();
    while let Ok(taken) = slot(&ledger, &greedy, 100) {
        held.push(taken);
    }
    assert!((70_000..=75_000).contains(&ledger.used()), "{}", ledger.used());
    assert!(slot(&ledger, &modest, 24_000).is_ok());
}

/// An account with `n` places taken, and the places.
fn with_places(n: usize) -> (Arc<Account>, Vec<(Slot, Share)>) {
    let ledger = Ledger::new(1 << 30);
    ledger.resize(1 << 30, 1);
    let account = Account::open(&ledger, bounds(n, 1 << 20));
    let held = (0..n).map(|_| slot(&ledger, &account, 10).unwrap()).collect();
    (account, held)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_wait_is_as_long_as_so_many_places_took_to_get_free() {
    let start = Instant::now();
    let (account, mut held) = with_places(100);
    assert_eq!(account.wait_for(1, start), SECOND);
    held.truncate(96);
    // Four in two seconds: half a second each.
    let now = start + 2 * SECOND;
    assert_eq!([1, 2, 10, 100, 1000].map(|n| account.wait_for(n, now).as_secs()), [1, 1, 5, 50, 60]);
}

#[test]
fn a_queue_that_frees_nothing_is_given_the_longest_wait() {
    let start = Instant::now();
    let (account, _held) = with_places(3);
    account.wait_for(1, start);
    for passed in [1, 5, 9, 60, 600] {
        assert_eq!(account.wait_for(1, start + passed * SECOND), 60 * SECOND, "after {passed} s");
    }
}

#[test]
fn a_queue_that_is_stuck_is_given_the_longest_wait_whenever_it_is_asked() {
    let start = Instant::now();
    let (account, _held) = with_places(3);
    account.wait_for(1, start);
    for passed in [1000, 11_000, 11_100, 11_900, 22_000, 22_001] {
        let now = start + Duration::from_millis(passed);
        assert_eq!(account.wait_for(1, now), 60 * SECOND, "after {passed} ms");
    }
}

#[test]
fn what_was_measured_before_a_quiet_hour_is_not_believed() {
    let start = Instant::now();
    let (account, mut held) = with_places(100);
    account.wait_for(1, start);
    held.clear();
    // All of it was free within a second; then there was nothing to free.
    assert_eq!(account.wait_for(1, start + 3600 * SECOND), SECOND);
}

#[test]
fn a_queue_that_becomes_slower_is_soon_known_to_be() {
    let start = Instant::now();
    let (account, mut held) = with_places(1000);
    for second in 0..60 {
        held.truncate(held.len() - if second < 30 { 20 } else { 1 });
        let wait = account.wait_for(10, start + second * SECOND).as_secs();
        match second {
            3..30 => assert_eq!(wait, 1, "after {second} s"),
            50.. => assert!((8..=12).contains(&wait), "{wait} after {second} s"),
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn the_wait_is_always_1_to_60_seconds(steps in proptest::collection::vec((0usize..5, 0u64..100_000, 1usize..2000), 1..50)) {
        let (account, mut held) = with_places(100);
        let mut now = Instant::now();
        for (freed, millis, events) in steps {
            held.truncate(held.len().saturating_sub(freed));
            now += Duration::from_millis(millis);
            let wait = account.wait_for(events, now);
            prop_assert!((SECOND..=60 * SECOND).contains(&wait), "{:?}", wait);
        }
    }
}

/// A ledger of 2 MiB, and the accounts of `n` endpoints with no bounds of their own to speak of.
fn two_mebibytes(n: usize) -> (Arc<Ledger>, Vec<Arc<Account>>) {
    let ledger = Ledger::new(2 << 20);
    ledger.resize(2 << 20, n);
    let accounts = (0..n).map(|_| Account::open(&ledger, bounds(10_000, 64 << 20))).collect();
    (ledger, accounts)
}

/// Places of `bytes` each until there are no more.
fn fill(ledger: &Arc<Ledger>, account: &Arc<Account>, bytes: usize) -> Vec<(Slot, Share)> {
    std::iter::from_fn(|| slot(ledger, account, bytes).ok()).collect()
}

#[test]
fn endpoints_that_are_new_have_their_reserve_though_another_holds_most_of_the_rest() {
    let (ledger, accounts) = two_mebibytes(1);
    let held: Vec<_> = (0..160).map(|_| slot(&ledger, &accounts[0], 10_500).unwrap()).collect();
    ledger.resize(2 << 20, 3);
    accounts[0].resize(bounds(10_000, 64 << 20));
    let new = [(); 2].map(|()| Account::open(&ledger, bounds(10_000, 64 << 20)));
    let theirs = [slot(&ledger, &new[0], 1000), slot(&ledger, &new[1], 1000)];
    assert!(theirs.iter().all(Result::is_ok));
    assert_eq!(slot(&ledger, &accounts[0], 1000).map(drop), Err(Full), "what is free is reserved for the others");
    let reserve = (2 << 20) / 2 / 3;
    let all: usize =
        new.iter().map(|account| fill(&ledger, account, 1000).iter().map(|(slot, _)| slot.bytes).sum::<usize>()).sum();
    assert!(all > 2 * (reserve - 3000), "{all}");
    drop((held, theirs));
}

#[test]
fn a_reserve_is_there_again_when_what_counted_against_it_is_gone_though_others_keep_the_bodies() {
    let (ledger, accounts) = two_mebibytes(2);
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    loop {
        let mut share = ledger.share(6000);
        let Ok(our) = accounts[0].reserve(6000, &mut share) else { break };
        ours.push(our);
        let Ok(their) = accounts[1].reserve(6000, &mut share) else { break };
        theirs.push((their, share));
    }
    assert!(theirs.len() > 200, "{}: a body counts once past the reserve", theirs.len());
    drop(ours);
    assert!(fill(&ledger, &accounts[0], 6000).len() >= (512 << 10) / (6000 + DELIVERY));
}

#[test]
fn a_retired_endpoint_reserves_nothing() {
    let (ledger, accounts) = two_mebibytes(2);
    let _left = slot(&ledger, &accounts[0], 1000).unwrap();
    accounts[0].retire();
    assert!(fill(&ledger, &accounts[1], 1000).len() > (2 << 20) / (1000 + DELIVERY) - 3);
    ledger.resize(2 << 20, 2);
    accounts[0].resize(bounds(10_000, 64 << 20));
    assert!(slot(&ledger, &accounts[0], 1000).is_ok(), "it has it again once it is back");
}

/// `account` is full; displaces so many of `bytes`, as one request does.
fn displace(ledger: &Arc<Ledger>, account: &Arc<Account>, bytes: usize, many: usize) -> Vec<(Slot, Share)> {
    let mut burst = 0;
    let one = |_| {
        let mut share = ledger.share(bytes);
        account.displace(bytes, &mut share, &mut burst).ok().map(|slot| (slot, share))
    };
    (0..many).map_while(one).collect()
}

#[test]
fn one_request_displaces_as_much_as_it_brings_and_the_next_waits_for_the_lane() {
    let ledger = Ledger::new(1 << 30);
    ledger.resize(1 << 30, 1);
    let account = Account::open(&ledger, bounds(10_000, 4 << 20));
    let held = fill(&ledger, &account, 1500);
    let first = displace(&ledger, &account, 1500, 1000);
    assert_eq!(first.len(), 1000);
    assert_eq!(displace(&ledger, &account, 1500, 1).len(), 0, "it is too far behind");
    drop(held);
    assert_eq!(displace(&ledger, &account, 1500, 1).len(), 1);
}

#[test]
fn what_is_displaced_by_the_same_event_in_several_queues_counts_once() {
    let (ledger, accounts) = two_mebibytes(2);
    accounts.iter().for_each(|account| account.resize(bounds(100, 64 << 20)));
    let mut burst = 0;
    let mut both = |_| {
        let mut share = ledger.share(10_000);
        let slots = [0, 1].map(|at| {
            let slot = accounts[at].reserve(10_000, &mut share);
            slot.or_else(|_| accounts[at].displace(10_000, &mut share, &mut burst)).unwrap()
        });
        (slots, share)
    };
    let _held: Vec<_> = (0..130).map(&mut both).collect();
    let past_the_reserves = 130 - (512 << 10) / (10_000 + DELIVERY);
    let common = ledger.lock().common;
    assert!(common <= past_the_reserves * (10_000 + 2 * DELIVERY), "{common} bytes are common");
}

#[test]
fn requests_that_displace_past_the_global_limit_wait_for_the_lanes_too() {
    let (ledger, accounts) = two_mebibytes(1);
    let _held = fill(&ledger, &accounts[0], 10_000);
    let displaced: Vec<_> = (0..200).flat_map(|_| displace(&ledger, &accounts[0], 10_000, 1)).collect();
    let most = OVERSHOOT / (10_000 + DELIVERY);
    assert!((most..most + 3).contains(&displaced.len()), "{}", ledger.used());
}

#[test]
fn what_cannot_fit_displaces_nothing() {
    let ledger = Ledger::new(1 << 30);
    ledger.resize(1 << 30, 1);
    let account = Account::open(&ledger, bounds(100, 32 << 10));
    let _held = [slot(&ledger, &account, 20_000).unwrap(), slot(&ledger, &account, 500).unwrap()];
    assert_eq!(displace(&ledger, &account, 40_000, 1).len(), 0, "it is larger than the queue");
    account.set_in_flight(1, 20_000 + DELIVERY);
    assert_eq!(displace(&ledger, &account, 14_000, 1).len(), 0, "what is under way leaves no room for it");
    assert_eq!(displace(&ledger, &account, (32 << 10) - 20_000 - 2 * DELIVERY, 1).len(), 1);
}

#[test]
fn what_others_hold_of_the_common_part_cannot_be_displaced() {
    let (ledger, accounts) = two_mebibytes(2);
    let _theirs = fill(&ledger, &accounts[1], 1000);
    let _ours = fill(&ledger, &accounts[0], 1000);
    assert_eq!(displace(&ledger, &accounts[0], 600_000, 1).len(), 0);
    assert_eq!(displace(&ledger, &accounts[0], 500_000, 1).len(), 1);
}

#[test]
fn what_is_reserved_need_not_make_room_for_what_others_hold() {
    let (ledger, accounts) = two_mebibytes(2);
    let (mut ours, mut theirs) = (VecDeque::new(), Vec::new());
    // A stuck endpoint has the same bodies, so that letting go of them gives nearly nothing back.
    while let Ok((our, mut share)) = slot(&ledger, &accounts[0], 6000) {
        theirs.push((accounts[1].reserve(6000, &mut share), share));
        ours.push_back((our, None));
    }
    for _ in 0..400 {
        let (slot, share) = displace(&ledger, &accounts[0], 6000, 1).pop().unwrap();
        ours.push_back((slot, Some(share)));
        while accounts[0].is_over() {
            ours.pop_front();
        }
        assert!(accounts[0].held().1 > (512 << 10) - 7000, "{} bytes are left", accounts[0].held().1);
        assert!(ledger.used() <= 2 << 20);
    }
}
