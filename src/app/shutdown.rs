//! What the outside asks of a running sidecar.

use tokio::sync::mpsc;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// End in good order: the first `SIGTERM` or `SIGINT`.
    Drain,
    /// End without the grace: the second.
    Now,
    /// Read the config and open the log again: `SIGHUP`.
    Reload,
}

/// The asking side. Dropping all of them asks for the end.
#[derive(Clone, Debug)]
pub struct Trigger(mpsc::UnboundedSender<Signal>);

/// The sidecar's side.
#[derive(Debug)]
pub struct Shutdown(mpsc::UnboundedReceiver<Signal>);

impl Shutdown {
    pub fn channel() -> (Trigger, Shutdown) {
        let (ask, asked) = mpsc::unbounded_channel();
        (Trigger(ask), Shutdown(asked))
    }

    /// The next thing asked. However often a reload was, one answers; and an end does not wait for it.
    pub(super) async fn next(&mut self) -> Signal {
        let mut signal = self.0.recv().await.unwrap_or(Signal::Drain);
        while signal == Signal::Reload
            && let Ok(next) = self.0.try_recv()
        {
            signal = next;
        }
        signal
    }

    /// Waits for a second signal to end.
    pub(super) async fn hurry(&mut self) {
        loop {
            match self.0.recv().await {
                Some(Signal::Drain | Signal::Now) => return,
                Some(Signal::Reload) => {}
                None => std::future::pending().await,
            }
        }
    }
}

impl Trigger {
    pub fn drain(&self) {
        self.ask(Signal::Drain);
    }

    pub fn now(&self) {
        self.ask(Signal::Now);
    }

    pub fn reload(&self) {
        self.ask(Signal::Reload);
    }

    fn ask(&self, signal: Signal) {
        // A sidecar that has ended already needs no asking.
        let _ = self.0.send(signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reloads_that_wait_are_one_and_an_end_goes_first() {
        let (trigger, mut asked) = Shutdown::channel();
        for _ in 0..3 {
            trigger.reload();
        }
        assert_eq!(asked.next().await, Signal::Reload);
        trigger.reload();
        trigger.drain();
        trigger.now();
        assert_eq!([asked.next().await, asked.next().await], [Signal::Drain, Signal::Now]);
    }
}
