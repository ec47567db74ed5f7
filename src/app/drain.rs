//! The end, in good order.

use std::time::{Duration, Instant, SystemTime};

use tokio::time::timeout;

use super::{Core, Shutdown, Signal, Stopped, doors::Doors};
use crate::{
    config,
    log::{self, diagnostics, record},
    queue::{pending, pending::Leftover},
};

impl Core {
    /// Ends in good order. `signal` is what asked for it; a further one skips what may be skipped.
    pub(super) async fn drain(mut self, signal: Signal, mut shutdown: Shutdown, doors: Doors) -> Stopped {
        self.log(record::Process::Draining);
        let config::Shutdown { grace, linger } = self.config.shutdown;
        diagnostics::info(format_args!("draining for at most {:?}", linger + grace));
        let mut hurried = signal == Signal::Now;
        if !hurried {
            hurried = timeout(linger, shutdown.hurry()).await.is_ok();
        }
        self.admin.close();
        self.ingest.close().await;
        let grace = if hurried { Duration::ZERO } else { grace };
        self.lanes.drain(Instant::now() + grace);
        let mut left = tokio::select! {
            left = self.lanes.join() => left,
            () = shutdown.hurry() => {
                self.lanes.drain(Instant::now());
                self.lanes.join().await
            }
        };
        doors.close().await;
        self.register.write();
        left.extend(self.dead_letters.close().into_iter().map(Leftover::Letter));
        self.keep(&left)
    }

    /// Writes what is left for the next start, and says so for each; then the log's last line.
    fn keep(self, left: &[Leftover]) -> Stopped {
        let written = if left.is_empty() { Ok(()) } else { pending::write(&self.directory, left, SystemTime::now()) };
        let outcome = match &written {
            Ok(()) => record::Outcome::Pending,
            Err(error) => {
                let path = self.directory.pending();
                diagnostics::error(format_args!("{} deliveries are lost: {}: {error}", left.len(), path.display()));
                record::Outcome::Dropped { reason: "shutdown", error_code: None }
            }
        };
        for leftover in left {
            self.write(&log::Record::Delivery(leftover.line(outcome)));
        }
        let count = left.len() as u64;
        let pending = if written.is_ok() { count } else { 0 };
        self.log(record::Process::Stopped { pending });
        let unwritten = self.log.close(Instant::now() + LAST_LINES);
        if unwritten > 0 {
            diagnostics::error(format_args!("{unwritten} lines of the delivery log could not be written"));
        }
        diagnostics::info(format_args!("stopped, deliveries left pending: {pending}"));
        if written.is_ok() { Stopped::Clean } else { Stopped::EventsLost(count) }
    }
}

/// How long the log's last lines may take: a disk that does not answer must not hold the end up.
const LAST_LINES: Duration = Duration::from_secs(5);
