//! Where the relay and the writer's thread meet: a bounded buffer of lines behind one short lock.
//!
//! In come records, from anybody, at some hundred nanoseconds each; out go batches, to the one writer, and orders.
//! The state is shared: whoever holds the lock may change it, and nobody holds it while a file is touched.
//!
//! **Invariant:** every record is in a batch, in `lines`, or counted in `lost`; memory stays under [`MAX_HELD`] twice over.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::oneshot;

use super::{
    Format, Rotation,
    batch::{self, Batch},
    counters::Counters,
    line::{self, MAX_LINE, Stamp},
    output::Output,
    record::{Process, Record},
};

pub(super) struct Buffer {
    state: Mutex<State>,
    /// Of [`Counters`]: most events have no line of their own, and this needs no lock.
    received: AtomicU64,
    /// For the writer: there is something to do.
    work: Condvar,
    /// For whoever closes: the writer has ended.
    end: Condvar,
}

/// What the writer is told besides lines.
#[derive(Default)]
pub(super) struct Orders {
    pub(super) close: bool,
    pub(super) output: Option<Output>,
    pub(super) reopen: bool,
    /// Of the output, the new one if there is one.
    pub(super) rotation: Option<Option<Rotation>>,
}

/// Tells whether lines were written. Who drops it takes back those that the writer has not taken yet.
pub struct Receipt(Option<oneshot::Receiver<()>>);

impl Receipt {
    /// Waits until the system has taken all the lines (true), or it is known that it does not (false).
    pub async fn written(self) -> bool {
        match self.0 {
            Some(told) => told.await.is_ok(),
            None => false,
        }
    }
}

impl Buffer {
    pub(super) fn new(format: Format) -> Buffer {
        Buffer::holding(MAX_HELD, format)
    }

    /// With room for so many bytes of lines.
    pub(super) fn holding(most: usize, format: Format) -> Buffer {
        let state = State {
            most,
            lines: Vec::new(),
            format,
            stamp: Stamp::default(),
            counters: Counters::default(),
            unreported: 0,
            writer: Writer::Busy,
            batch_bytes: 0,
            batch_lines: 0,
            reporting: 0,
            orders: Orders::default(),
            taken: 0,
            receipts: VecDeque::new(),
            failing: false,
        };
        Buffer { state: Mutex::new(state), received: AtomicU64::new(0), work: Condvar::new(), end: Condvar::new() }
    }

    /// Counts `record` and appends its line, or counts it as lost.
    pub(super) fn add(&self, now: SystemTime, record: &Record<'_>) {
        let mut state = self.lock();
        state.counters.count(record);
        if state.writer == Writer::Ended || state.is_full() {
            return state.lose(1);
        }
        state.append(now, record);
        let wake = match state.writer {
            Writer::Busy | Writer::Ended => false,
            Writer::Gathering => state.lines.len() >= ENOUGH,
            Writer::Idle => true,
        };
        if wake {
            // Now, and not when it runs: a lock's worth later would be a system call for each line until then.
            state.writer = if state.lines.len() >= ENOUGH { Writer::Busy } else { Writer::Gathering };
            drop(state);
            self.work.notify_one();
        }
    }

    /// Counts `record`, whose line was written first.
    pub(super) fn count(&self, record: &Record<'_>) {
        self.lock().counters.count(record);
    }

    /// Appends the lines of `records` to be written at once, or none of them. Where they cannot be, they are given up and
    /// not lost: whoever asked is told, and counts them if they are.
    pub(super) fn add_first(&self, now: SystemTime, records: &[Record<'_>]) -> Receipt {
        let mut state = self.lock();
        if state.writer == Writer::Ended || state.failing || state.is_full() {
            return Receipt(None);
        }
        let start = state.end();
        for record in records {
            state.append(now, record);
        }
        let (tell, told) = oneshot::channel();
        let end = state.end();
        state.receipts.push_back(Owed { start, end, tell });
        if matches!(state.writer, Writer::Gathering | Writer::Idle) {
            state.writer = Writer::Busy;
            drop(state);
            self.work.notify_one();
        }
        Receipt(Some(told))
    }

    /// Writing fails: gives up the lines that somebody waits for, but for a line that was begun. Those that wait for
    /// nobody stay.
    pub(super) fn fail(&self, batch: &mut Batch) {
        let mut state = self.lock();
        state.withdraw(|_| true);
        let written = state.taken - batch.len() as u64;
        let first = batch.begun();
        let left = |position: u64| (position.saturating_sub(written) as usize).max(first);
        let ranges: Vec<_> = state.receipts.drain(..).map(|owed| left(owed.start)..left(owed.end)).collect();
        let before = batch.len();
        batch.cut(&ranges);
        state.taken -= (before - batch.len()) as u64;
        state.failing = !batch.is_empty();
        (state.batch_bytes, state.batch_lines) = (batch.len(), batch.lines());
    }

    /// Of the lines that are yet to come.
    pub(super) fn set_format(&self, format: Format) {
        self.lock().format = format;
    }

    pub(super) fn order(&self, give: impl FnOnce(&mut Orders)) {
        give(&mut self.lock().orders);
        self.work.notify_one();
    }

    /// Counts events that were answered as accepted.
    pub(super) fn receive(&self, events: u64) {
        self.received.fetch_add(events, Ordering::Relaxed);
    }

    /// Counts events that were refused.
    pub(super) fn refuse(&self, code: &'static str, events: u64) {
        self.lock().counters.refuse(code, events);
    }

    pub(super) fn retain(&self, kept: impl Fn(&str) -> bool) {
        self.lock().counters.retain(kept);
    }

    pub(super) fn counters(&self) -> Counters {
        let mut counters = self.lock().counters.clone();
        counters.received = self.received.load(Ordering::Relaxed);
        counters
    }

    pub(super) fn lost(&self) -> u64 {
        self.lock().counters.lost
    }

    /// Waits for the writer to end, to `deadline` at most. Whether it has, and the lines lost and not reported by then.
    pub(super) fn wait_for_end(&self, deadline: Instant) -> (bool, u64) {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.end.wait_timeout_while(self.lock(), left, |state| state.writer != Writer::Ended);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (state.writer == Writer::Ended, state.unreported + state.reporting + state.unwritten_lines())
    }

    /// Waits until there is something to do, and takes it: lines where `batch` is empty, and orders. A batch that is not
    /// empty could not be written, and is to be tried again after `pause`.
    pub(super) fn take(&self, batch: &mut Batch, pause: Duration) -> Orders {
        let mut state = self.lock();
        if batch.is_empty() {
            state = self.gather(state);
            state.fill(batch);
        } else {
            let waited = self.work.wait_timeout_while(state, pause, |state| !state.has_orders());
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.writer = Writer::Busy;
        mem::take(&mut state.orders)
    }

    /// Takes what there is, without waiting; whether that is anything. Only for an empty batch.
    pub(super) fn take_rest(&self, batch: &mut Batch) -> bool {
        self.lock().fill(batch);
        !batch.is_empty()
    }

    /// Tells how much of `batch` is left, after some was written.
    pub(super) fn progress(&self, batch: &Batch) {
        let mut state = self.lock();
        state.batch_bytes = batch.len();
        state.batch_lines = batch.lines();
        if batch.is_empty() {
            state.reporting = 0;
            state.failing = false;
        }
        let written = state.taken - batch.len() as u64;
        let settled = state.receipts.iter().take_while(|owed| owed.end <= written).count();
        for owed in state.receipts.drain(..settled) {
            // Who has gone does not want to know.
            let _ = owed.tell.send(());
        }
    }

    /// The writer ends; what is left will never be written.
    pub(super) fn finish(&self) {
        let mut state = self.lock();
        let left = state.unwritten_lines();
        state.unreported += mem::take(&mut state.reporting);
        state.lose(left);
        (state.lines, state.batch_bytes, state.batch_lines) = (Vec::new(), 0, 0);
        state.receipts.clear();
        state.writer = Writer::Ended;
        self.end.notify_all();
    }

    /// Sleeps while there is nothing, then a little longer, so that lines share a wake-up and a `write(2)`.
    fn gather<'s>(&'s self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        if state.unreported > 0 {
            return state;
        }
        if state.lines.is_empty() {
            state.writer = Writer::Idle;
            let waited = self.work.wait_while(state, |state| state.lines.is_empty() && !state.has_orders());
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        if state.lines.len() < ENOUGH {
            state.writer = Writer::Gathering;
        }
        let waited = self.work.wait_timeout_while(state, GATHER, State::may_gather);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State {
    /// Bytes of lines, the writer's batch included; past it lines are lost.
    most: usize,
    lines: Vec<u8>,
    format: Format,
    stamp: Stamp,
    counters: Counters,
    /// Lines lost since the last report of it.
    unreported: u64,
    writer: Writer,
    /// What of the writer's batch is not written yet.
    batch_bytes: usize,
    batch_lines: u64,
    /// Lines lost that the last line of the batch reports.
    reporting: u64,
    orders: Orders,
    /// Bytes that batches have taken so far: the position of the first of `lines`.
    taken: u64,
    /// In the order of their lines.
    receipts: VecDeque<Owed>,
    /// The last write failed, and what it was to write is still there.
    failing: bool,
}

/// Whole lines that somebody waits for, by their positions in all that was ever logged.
struct Owed {
    start: u64,
    end: u64,
    tell: oneshot::Sender<()>,
}

#[derive(PartialEq, Eq)]
enum Writer {
    Busy,
    Ended,
    Gathering,
    Idle,
}

impl State {
    fn is_full(&self) -> bool {
        self.lines.len() + self.batch_bytes + MAX_LINE > self.most
    }

    fn append(&mut self, now: SystemTime, record: &Record<'_>) {
        line::append(&mut self.lines, self.format, self.stamp.at(now), record);
    }

    fn lose(&mut self, count: u64) {
        self.unreported += count;
        self.counters.lost += count;
    }

    /// Lines lost are reported behind the lines held, which are older.
    fn fill(&mut self, batch: &mut Batch) {
        if self.unreported > 0 {
            let report = Record::Process(Process::LogLost { count: self.unreported });
            self.counters.count(&report);
            self.append(SystemTime::now(), &report);
            self.reporting = mem::take(&mut self.unreported);
        }
        self.withdraw(|owed| owed.tell.is_closed());
        batch.swap(&mut self.lines);
        self.taken += batch.len() as u64;
        self.batch_bytes = batch.len();
        self.batch_lines = batch.lines();
    }

    /// But for the line that reports lost ones: nobody asked for that one.
    fn unwritten_lines(&self) -> u64 {
        let report = u64::from(self.reporting > 0);
        self.batch_lines - report + memchr::memchr_iter(b'\n', &self.lines).count() as u64
    }

    /// The position behind the last line.
    fn end(&self) -> u64 {
        self.taken + self.lines.len() as u64
    }

    /// Takes back lines that no batch has taken.
    fn withdraw(&mut self, given_up: impl Fn(&Owed) -> bool) {
        let (taken, mut gone) = (self.taken, 0);
        let mut ranges = Vec::new();
        self.receipts.retain_mut(|owed| {
            if owed.start < taken {
                return true;
            }
            if given_up(owed) {
                ranges.push((owed.start - taken) as usize..(owed.end - taken) as usize);
                gone += owed.end - owed.start;
                return false;
            }
            (owed.start, owed.end) = (owed.start - gone, owed.end - gone);
            true
        });
        if !ranges.is_empty() {
            self.lines = batch::cut(&self.lines, &ranges);
        }
    }

    /// Whether lines may wait for others.
    fn may_gather(&mut self) -> bool {
        self.lines.len() < ENOUGH && !self.has_orders() && self.receipts.is_empty()
    }

    fn has_orders(&self) -> bool {
        let Orders { close, output, reopen, rotation } = &self.orders;
        *close || *reopen || output.is_some() || rotation.is_some()
    }
}

/// See [`State::most`].
const MAX_HELD: usize = 4 * 1024 * 1024;
/// Bytes worth a `write(2)`.
const ENOUGH: usize = 48 * 1024;
/// How long a line may wait for others; half of what the interface allows.
const GATHER: Duration = Duration::from_millis(50);
