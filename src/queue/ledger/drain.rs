//! How fast an endpoint's queue frees places.

use std::time::{Duration, Instant};

/// What the drain rate is judged by.
#[derive(Debug, Default)]
pub(super) struct Drain {
    freed: u64,
    /// Two times at which the endpoint was seen to be full, the earlier to measure from, and how much it had freed by then.
    marks: Option<[(Instant, u64); 2]>,
}

impl Drain {
    /// A place is free again.
    pub(super) fn count(&mut self) {
        self.freed += 1;
    }

    /// When a place for `events` more may be free, judged by how fast places were freed since the queue was last full.
    pub(super) fn wait_for(&mut self, events: usize, now: Instant) -> Duration {
        let here = (now, self.freed);
        let [mut since, mut latest] = self.marks.unwrap_or([here; 2]);
        let unasked = now.duration_since(latest.0);
        if unasked > 2 * MARK && latest.1 < here.1 {
            // It was not full all the while, and to divide by that time would make it seem slow.
            (since, latest) = (here, here);
        } else if unasked > MARK {
            (since, latest) = (latest, here);
        }
        self.marks = Some([since, latest]);
        let (passed, freed) = (now.duration_since(since.0), here.1 - since.1);
        let one = match freed {
            0 if passed < SHORTEST_WAIT => SHORTEST_WAIT,
            0 => LONGEST_WAIT,
            freed => passed.div_f64(freed as f64),
        };
        one.mul_f64(events as f64).clamp(SHORTEST_WAIT, LONGEST_WAIT)
    }
}

/// The drain rate is that of the last one or two of these.
const MARK: Duration = Duration::from_secs(10);

const SHORTEST_WAIT: Duration = Duration::from_secs(1);

const LONGEST_WAIT: Duration = Duration::from_secs(60);
