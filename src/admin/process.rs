//! What the system says of this process, under the names that Prometheus' client libraries have agreed on.

use std::fs;

use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Resource, getrlimit},
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
        let stat = fs::read("/proc/self/stat").ok()?;
        let stat = String::from_utf8_lossy(&stat);
        let field = |number| field(&stat, number);
        let system = fs::read_to_string("/proc/stat").ok()?;
        let booted: u64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
        let ticks = clock_ticks_per_second() as f64;
        Some(Vitals {
            cpu_seconds: (field(14)? + field(15)?) as f64 / ticks,
            max_fds: getrlimit(Resource::Nofile).current,
            open_fds: fs::read_dir("/proc/self/fd").ok()?.count() as u64,
            resident_bytes: field(24)? * page_size() as u64,
            start_seconds: booted as f64 + field(22)? as f64 / ticks,
            threads: field(20)?,
            virtual_bytes: field(23)?,
        })
    }
}

/// A number of `/proc/PID/stat`, counted as in proc(5).
fn field(stat: &str, number: usize) -> Option<u64> {
    // The second field is the program's name in brackets, and may hold blanks and brackets itself.
    let third_on = stat.rsplit_once(") ")?.1;
    third_on.split(' ').nth(number - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_whatever_the_program_is_called() {
        let stat =
            "7 (side) hook 9 (x) S 1 7 7 0 -1 4194304 98 0 0 0 21 22 0 0 20 0 6 0 2576833 3133440 394 18446744073709551615\n";
        assert_eq!([14, 15, 20, 22, 23, 24].map(|number| field(stat, number)), [21, 22, 6, 2_576_833, 3_133_440, 394].map(Some));
        assert_eq!(field(stat, 99), None);
    }

    #[test]
    fn this_process_is_told_of() {
        let vitals = Vitals::read().unwrap();
        assert!(vitals.resident_bytes > 0 && vitals.virtual_bytes > vitals.resident_bytes, "{vitals:?}");
        assert!(vitals.threads > 0 && vitals.open_fds > 2 && vitals.start_seconds > 1e9, "{vitals:?}");
    }
}
