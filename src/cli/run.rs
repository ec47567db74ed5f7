//! `sidehook run`: the sidecar.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use futures_util::FutureExt as _;
use tokio::signal::unix::{SignalKind, signal};

use super::{COULD_NOT_START, ConfigFile, EVENTS_LOST, terminal};
use crate::{
    app::{self, App, Shutdown, Stopped, Trigger},
    log::diagnostics,
};

#[derive(Debug, clap::Args)]
pub(super) struct Run {
    #[command(flatten)]
    config: ConfigFile,
}

impl Run {
    pub(super) fn run(&self) -> ExitCode {
        match runtime().and_then(|runtime| runtime.block_on(self.sidecar())) {
            Ok(Stopped::Clean) => ExitCode::SUCCESS,
            Ok(Stopped::EventsLost(_)) => ExitCode::from(EVENTS_LOST),
            Err(error) => {
                match error.downcast_ref() {
                    Some(app::Error::Config(problems)) if io::stderr().is_terminal() => {
                        terminal::complain_of(problems);
                        terminal::complain("\n");
                        terminal::fail(format_args!("not started: {}", problems.summary()));
                    }
                    _ => diagnostics::error(format_args!("{error:#}")),
                }
                ExitCode::from(COULD_NOT_START)
            }
        }
    }

    async fn sidecar(&self) -> anyhow::Result<Stopped> {
        let (trigger, shutdown) = Shutdown::channel();
        listen_to_signals(trigger)?;
        let app = App::bind(&self.config.path()).await?;
        Ok(app.run(shutdown).await)
    }
}

/// One thread for everything that is not a file: on loopback a second one costs more than it brings.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    Ok(runtime.enable_all().event_interval(EVENT_INTERVAL).max_blocking_threads(BLOCKING).build()?)
}

/// Runs a command to its end. Boxed, so that the runtime's loop is not compiled anew for each.
pub(super) fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    runtime()?.block_on(command.boxed_local())
}

/// Ends at the first SIGINT or SIGTERM from now on.
pub(super) fn interrupted() -> io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

fn listen_to_signals(trigger: Trigger) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    // A file over the limit of its size is an error like others, not the end: having a handler is ignoring it.
    let mut file_size = signal(SignalKind::from_raw(SIGXFSZ))?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => trigger.drain(),
                _ = interrupt.recv() => trigger.drain(),
                _ = hang_up.recv() => trigger.reload(),
                _ = file_size.recv() => {}
            }
        }
    });
    Ok(())
}

/// How many tasks are polled between two looks at the sockets: half of tokio's own 61, so that lanes see answers while a
/// burst of requests is still being taken, and keep up with it (measured: 8 MiB at the peak instead of 110, the same CPU).
const EVENT_INTERVAL: u32 = 31;

/// Of name look-ups and of reading the config: few, and each idle one costs its stack.
const BLOCKING: usize = 4;

/// Linux, on every architecture but MIPS.
const SIGXFSZ: i32 = 25;
