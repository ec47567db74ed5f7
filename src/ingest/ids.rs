//! Ids for events that come without one.

use std::{
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use crate::event::GeneratedId;

/// Makes event ids. Randomness is fetched in pieces of many ids: the system call costs more than the id.
#[derive(Default)]
pub(super) struct Ids(Mutex<Vec<[u8; 10]>>);

impl Ids {
    pub(super) fn next(&self, now: SystemTime) -> GeneratedId {
        let millis = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        GeneratedId::event(millis, &self.random())
    }

    fn random(&self) -> [u8; 10] {
        let mut pool = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(random) = pool.pop() {
            return random;
        }
        let mut bytes = [[0; 10]; 100];
        if getrandom::fill(bytes.as_flattened_mut()).is_err() {
            // No system we run on fails here once it is up; ids must differ all the same.
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
            bytes.iter_mut().enumerate().for_each(|(n, id)| id.copy_from_slice(&(now + n as u128).to_be_bytes()[6..]));
        }
        pool.extend_from_slice(&bytes[1..]);
        bytes[0]
    }
}
