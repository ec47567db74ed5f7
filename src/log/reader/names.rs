//! Which files beside a log are rotated parts of it, told by their names.
//!
//! Ours are `deliveries-20261122T192153.123456Z.jsonl`; logrotate's are `deliveries.jsonl.1`, `deliveries.jsonl-20261122` or
//! whatever its `dateformat` makes, and with `extension` the same in front of it: `deliveries-20261122.jsonl`. All of them may
//! be compressed.

/// Whether `name` is that of a rotated part of the log named `log`.
pub(super) fn is_rotated(name: &[u8], log: &[u8]) -> bool {
    let name = uncompressed(name).unwrap_or(name);
    let dot = log.iter().rposition(|byte| *byte == b'.').filter(|at| *at > 0);
    let (stem, extension) = log.split_at(dot.unwrap_or(log.len()));
    let behind = name.strip_prefix(log);
    let between = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(extension));
    [behind, between].into_iter().flatten().any(is_turn)
}

/// The name without what a compressor adds; nothing for others.
pub(super) fn uncompressed(name: &[u8]) -> Option<&[u8]> {
    [&b".gz"[..], b".zst", b".xz", b".bz2", b".Z", b".lz4"].into_iter().find_map(|added| name.strip_suffix(added))
}

/// `.1`, or a date behind a dash, an underscore or a dot.
fn is_turn(text: &[u8]) -> bool {
    let Some((mark, rest)) = text.split_first() else { return false };
    let digits = rest.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_number = *mark == b'.' && (1..5).contains(&digits) && digits == rest.len();
    let is_date = b"-_.".contains(mark)
        && digits >= DATE
        && rest[0].is_ascii_digit()
        && rest.iter().all(|byte| byte.is_ascii_digit() || b"TZ:._-".contains(byte));
    is_number || is_date
}

/// Digits of a date, at least: another sidecar's `deliveries-2.jsonl` has fewer.
const DATE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_files_are_known_by_their_names() {
        let is = |name: &str| is_rotated(name.as_bytes(), b"deliveries.jsonl");
        for name in [
            "deliveries-20261122T192153.123456Z.jsonl",
            "deliveries-20261122T192153.123456Z.jsonl.gz",
            "deliveries.jsonl.1",
            "deliveries.jsonl.12.gz",
            "deliveries.jsonl-20261122",
            "deliveries.jsonl-20261122.gz",
            "deliveries.jsonl-20261122-1795374000",
            "deliveries.jsonl-2026-11-22_19:00.zst",
            "deliveries.jsonl.20261122",
            "deliveries-20261122.jsonl",
            "deliveries-20261122.jsonl.xz",
            "deliveries.1.jsonl",
        ] {
            assert!(is(name), "{name}");
        }
        for name in [
            "deliveries.jsonl",
            "deliveries.jsonl.gz",
            "deliveries-2.jsonl",
            "deliveries-test.jsonl",
            "deliveries-20261122T192153.123456Z.jsonl.gz.part",
            "deliveries.jsonl.1.bak",
            "deliveries.jsonl~",
            "deliveries20261122.jsonl",
            "deliveries--20261122.jsonl",
            "deliveries.jsonl.",
            "deliveries.jsonl.12345",
            "deliveries-audit-20261122.jsonl",
            "dead_letters.jsonl.1",
        ] {
            assert!(!is(name), "{name}");
        }
        assert!(is_rotated(b"log.1", b"log") && is_rotated(b"log-20261122.gz", b"log") && !is_rotated(b"log1", b"log"));
        assert!(is_rotated(b".log.1", b".log") && !is_rotated(b"-20261122.log", b".log"));
    }
}
