//! What the system says of this process, under the names that Prometheus' client libraries have agreed on.

use procfs::{
    ProcResult,
    process::{LimitValue, Process},
};

/// Of the moment it was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vitals {
    pub(super) cpu_seconds: f64,
    pub(super) max_fds: Option<u64>,
    pub(super) open_fds: u64,
    pub(super) resident_bytes: u64,
    /// Since the epoch.
    pub(super) start_seconds: f64,
    pub(super) threads: u64,
    pub(super) virtual_bytes: u64,
}

impl Vitals {
    /// None where there is no `/proc` to ask.
    pub(super) fn read() -> Option<Vitals> {
        read().ok()
    }
}

fn read() -> ProcResult<Vitals> {
    let process = Process::myself()?;
    let stat = process.stat()?;
    let ticks = procfs::ticks_per_second() as f64;
    let max_fds = match process.limits()?.max_open_files.soft_limit {
        LimitValue::Unlimited => None,
        LimitValue::Value(most) => Some(most),
    };
    Ok(Vitals {
        cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
        max_fds,
        open_fds: process.fd_count()? as u64,
        resident_bytes: stat.rss * procfs::page_size(),
        start_seconds: procfs::boot_time_secs()? as f64 + stat.starttime as f64 / ticks,
        threads: stat.num_threads as u64,
        virtual_bytes: stat.vsize,
    })
}
