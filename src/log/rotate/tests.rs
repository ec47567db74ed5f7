//! Rotation as operators see it: a folder, and what is in it.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    super::{
        Destination, Format, Log, Settings,
        tests::{close, names, note, place, wait_for},
    },
    *,
};

#[test]
fn no_file_grows_beyond_its_size_and_no_line_is_lost_or_doubled() {
    for (size, lines) in [(64 << 10, 3_000), (3_000, 500), (1, 20)] {
        let (_folder, path) = place();
        let log = open(&path, Rotation { size: Some(size), ..NEVER });
        let expected: Vec<String> = (0..lines).map(|line| line.to_string()).collect();
        expected.iter().for_each(|line| note(&log, line));
        assert_eq!(close(&log), 0);
        assert_eq!(all(&path), expected);
        let files = rotated(&path);
        assert!(files.len() > 5, "{files:?}");
        for file in &files {
            let length = fs::metadata(file).unwrap().len();
            assert!(length <= size || names(file).len() == 1, "{length} bytes of {size}");
        }
    }
}

#[test]
fn a_file_of_another_day_is_done_at_the_first_line_of_this_one() {
    for (age, expected) in [(DAY, 1), (40 * DAY, 1), (Duration::ZERO, 0)] {
        let (_folder, path) = place();
        let daily = Rotation { daily: true, ..NEVER };
        let log = open(&path, daily.clone());
        note(&log, "before");
        assert_eq!(close(&log), 0);
        make_older(&path, age);
        let log = open(&path, daily);
        assert_eq!(rotated(&path).len(), 0);
        note(&log, "after");
        assert_eq!(close(&log), 0);
        assert_eq!((rotated(&path).len(), all(&path)), (expected, vec!["before".to_owned(), "after".to_owned()]));
    }
}

#[test]
fn an_empty_file_is_not_rotated() {
    let (_folder, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "").unwrap();
    make_older(&path, DAY);
    let log = open(&path, Rotation { daily: true, size: Some(1), ..NEVER });
    note(&log, "one");
    assert_eq!(close(&log), 0);
    assert_eq!((rotated(&path).len(), names(&path)), (0, vec!["one".to_owned()]));
}

#[test]
fn the_oldest_go_when_there_are_too_many_and_what_is_not_ours_stays() {
    let (_folder, path) = place();
    let folder = path.parent().unwrap();
    fs::create_dir_all(folder.join("deliveries-20200101T000000.000000Z.jsonl")).unwrap();
    let others = [
        "deliveries-old.jsonl",
        "deliveries.jsonl.1",
        "deliveries-billing-20200101T000000.000000Z.jsonl",
        "deliveries-20200101T000000.000000Z.jsonl.bz2",
    ];
    others.iter().for_each(|other| fs::write(folder.join(other), "").unwrap());
    fs::write(folder.join("deliveries-20200102T000000.000000Z.jsonl"), "").unwrap();
    fs::write(folder.join("deliveries-20200102T000000.000000Z.jsonl.gz"), "").unwrap();
    let log = open(&path, Rotation { size: Some(1), keep: Some(3), ..NEVER });
    for line in 0..10 {
        note(&log, &line.to_string());
        wait_for(|| path.exists() && names(&path) == [line.to_string()]);
    }
    wait_for(|| rotated(&path).len() == 3);
    assert_eq!(close(&log), 0);
    assert_eq!(all(&path), ["6", "7", "8", "9"]);
    assert!(others.iter().all(|other| folder.join(other).exists()));
    assert!(folder.join("deliveries-20200101T000000.000000Z.jsonl").is_dir());
}

#[test]
fn all_files_together_take_no_more_than_they_may_also_while_one_grows() {
    let (_folder, path) = place();
    let folder = path.parent().unwrap();
    fs::create_dir_all(folder).unwrap();
    for year in 2020..2025 {
        fs::write(folder.join(format!("deliveries-{year}0101T000000.000000Z.jsonl")), [b'\n'; 1000]).unwrap();
    }
    let log = open(&path, Rotation { daily: true, total: Some(4_500), ..NEVER });
    wait_for(|| rotated(&path).len() == 4);
    let mut written = 0;
    while fs::metadata(&path).unwrap().len() < 2_000 {
        note(&log, "line");
        written += 1;
        wait_for(|| names(&path).len() == written);
    }
    wait_for(|| rotated(&path).len() == 2);
    assert_eq!(close(&log), 0);
    assert!(rotated(&path)[0].to_string_lossy().contains("2023"));
}

#[test]
fn files_that_are_old_enough_are_compressed_but_for_the_newest() {
    let (_folder, path) = place();
    let log = open(&path, Rotation { size: Some(1), gzip: true, ..NEVER });
    ["one", "two"].iter().for_each(|line| note(&log, line));
    note(&log, "three");
    wait_for(|| path.exists() && names(&path) == ["three"]);
    let old = rotated(&path);
    fs::set_permissions(&old[0], PermissionsExt::from_mode(0o604)).unwrap();
    old.iter().for_each(|file| make_older(file, Duration::from_secs(3600)));
    let before = fs::metadata(&old[0]).unwrap();
    let text = fs::read_to_string(&old[0]).unwrap();
    note(&log, "four");
    wait_for(|| zipped(&old[0]).exists() && zipped(&old[1]).exists() && !old[1].exists());
    assert_eq!(close(&log), 0);
    assert_eq!(all(&path), ["one", "two", "three", "four"]);
    let after = fs::metadata(zipped(&old[0])).unwrap();
    assert_eq!((after.mode(), after.mtime(), after.mtime_nsec()), (before.mode(), before.mtime(), before.mtime_nsec()));
    assert_eq!(unzipped(&zipped(&old[0])), text);
    let header = flate2::read::GzDecoder::new(File::open(zipped(&old[0])).unwrap()).header().map(|header| header.mtime());
    assert_eq!(header.map(i64::from), Some(before.mtime()));
    assert!(!old[0].exists());
    // Not old enough, and the newest.
    assert_eq!(rotated(&path).iter().filter(|file| file.extension().is_some_and(|kind| kind == "jsonl")).count(), 1);
}

#[test]
fn a_file_that_becomes_old_enough_is_compressed_without_another_line() {
    let (_folder, path) = place();
    let log = open(&path, Rotation { size: Some(1), gzip: true, ..NEVER });
    ["one", "two"].iter().for_each(|line| note(&log, line));
    wait_for(|| path.exists() && names(&path) == ["two"]);
    let old = rotated(&path);
    make_older(&old[0], Duration::from_secs(29));
    note(&log, "three");
    wait_for(|| zipped(&old[0]).exists() && !old[0].exists());
    assert_eq!(close(&log), 0);
    assert_eq!((rotated(&path).len(), all(&path)), (2, ["one", "two", "three"].map(String::from).to_vec()));
}

#[test]
fn what_a_crash_left_half_compressed_is_gone_after_the_next_start() {
    let (_folder, path) = place();
    let folder = path.parent().unwrap();
    fs::create_dir_all(folder).unwrap();
    let [part, busy] = ["20200101", "20200102"].map(|day| folder.join(format!(".deliveries-{day}T000000.000000Z.jsonl.gz.part")));
    fs::write(&part, "half").unwrap();
    let other = File::create(&busy).unwrap();
    other.lock().unwrap();
    let log = open(&path, Rotation { size: Some(1), gzip: true, ..NEVER });
    wait_for(|| !part.exists());
    assert!(busy.exists(), "another sidecar is at it");
    drop(other);
    ["one", "two"].iter().for_each(|line| note(&log, line));
    wait_for(|| !busy.exists());
    assert_eq!(close(&log), 0);
}

#[test]
fn compressing_that_is_told_to_end_or_meets_a_change_leaves_the_file_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (plain, unfinished, zipped) = (path("plain"), path("unfinished"), path("zipped"));
    let stages = gzip::Stages { plain: &plain, unfinished: &unfinished, zipped: &zipped };
    let text = "x".repeat(1 << 20);
    fs::write(&plain, &text).unwrap();
    let mut pieces = 0;
    assert!(
        !gzip::zip(&stages, |_| {
            pieces += 1;
            pieces < 3
        })
        .unwrap()
    );
    assert_eq!(pieces, 3);
    let append = |_| fs::write(&plain, format!("{text}more")).is_ok();
    assert!(!gzip::zip(&stages, append).unwrap());
    assert!(
        !gzip::zip(&stages, |_| {
            let _ = fs::remove_file(&plain);
            true
        })
        .unwrap(),
        "what was deleted does not come back"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::write(&plain, &text).unwrap();
    assert!(gzip::zip(&stages, |_| true).unwrap());
    assert_eq!((unzipped(&zipped), fs::read_dir(folder.path()).unwrap().count()), (text, 1));
}

#[test]
fn a_name_is_later_than_all_that_are_there_also_when_the_clock_is_not() {
    let (_folder, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let later = path.with_file_name("deliveries-29990101T000000.999999Z.jsonl.gz");
    fs::write(&later, "").unwrap();
    let log = open(&path, Rotation { size: Some(1), ..NEVER });
    ["one", "two", "three"].iter().for_each(|line| note(&log, line));
    assert_eq!(close(&log), 0);
    let found: Vec<_> = rotated(&path).iter().map(|file| file.file_name().unwrap().to_owned()).collect();
    let [one, two] = ["01.000000", "01.000001"].map(|time| format!("deliveries-29990101T0000{time}Z.jsonl"));
    assert_eq!(found, [later.file_name().unwrap().to_str().unwrap(), &one, &two]);
}

#[test]
fn a_link_stays_and_what_it_leads_to_is_rotated_where_it_is() {
    let (folder, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::create_dir(folder.path().join("disk")).unwrap();
    let real = folder.path().join("disk/real.jsonl");
    symlink(&real, &path).unwrap();
    let log = open(&path, Rotation { size: Some(1), keep: Some(2), ..NEVER });
    ["one", "two", "three", "four"].iter().for_each(|line| note(&log, line));
    wait_for(|| names(&path) == ["four"] && rotated(&real).len() == 2);
    assert_eq!(close(&log), 0);
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    assert_eq!((rotated(&path).len(), all(&real)), (0, vec!["two".to_owned(), "three".to_owned(), "four".to_owned()]));
}

#[test]
fn a_new_file_has_the_mode_of_the_old_one() {
    let (_folder, path) = place();
    let log = open(&path, Rotation { size: Some(1), ..NEVER });
    note(&log, "one");
    wait_for(|| names(&path) == ["one"]);
    fs::set_permissions(&path, PermissionsExt::from_mode(0o646)).unwrap();
    note(&log, "two");
    assert_eq!(close(&log), 0);
    assert_eq!((names(&path), fs::metadata(&path).unwrap().mode() & 0o7777), (vec!["two".to_owned()], 0o646));
}

#[test]
fn a_pipe_is_not_rotated() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
    let log = open(Path::new(&path), Rotation { size: Some(1), daily: true, keep: Some(1), ..NEVER });
    ["one", "two", "three"].iter().for_each(|line| note(&log, line));
    assert_eq!(close(&log), 0);
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn other_rules_are_in_force_without_another_file() {
    let (_folder, path) = place();
    let log = Log::open(Destination::File(path.clone())).unwrap();
    (0..5).for_each(|line| note(&log, &line.to_string()));
    wait_for(|| names(&path).len() == 5);
    let before = fs::metadata(&path).unwrap().ino();
    log.switch(settings(&path, Rotation { size: Some(1 << 20), ..NEVER })).unwrap();
    note(&log, "5");
    wait_for(|| names(&path).len() == 6);
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
    log.switch(settings(&path, Rotation { size: Some(1), ..NEVER })).unwrap();
    wait_for(|| {
        note(&log, "more");
        rotated(&path).len() > 1
    });
    log.switch(Destination::File(path.clone())).unwrap();
    ["x", "y"].iter().for_each(|line| note(&log, line));
    assert_eq!(close(&log), 0);
    assert!(names(&path).ends_with(&["x".to_owned(), "y".to_owned()]));
    assert_eq!(names(&rotated(&path)[0]).len(), 6);
}

#[test]
fn a_folder_that_is_gone_is_made_again_and_rotation_goes_on() {
    let (folder, path) = place();
    let log = open(&path, Rotation { size: Some(1), ..NEVER });
    for round in 0..3 {
        let expected = ["a", "b", "c"].map(|line| format!("{round}{line}"));
        expected.iter().for_each(|line| note(&log, line));
        wait_for(|| all(&path) == expected);
        fs::remove_dir_all(folder.path().join("logs")).unwrap();
    }
}

fn open(path: &Path, rotation: Rotation) -> Log {
    Log::open(settings(path, rotation)).unwrap()
}

fn settings(path: &Path, rotation: Rotation) -> Settings {
    Settings { destination: Destination::File(path.into()), format: Format::Plain, rotate: Some(rotation) }
}

/// The rotated files of the log at `path`, in order.
fn rotated(path: &Path) -> Vec<PathBuf> {
    let known = Names::of(path).unwrap();
    let Ok(there) = fs::read_dir(known.folder()) else { return Vec::new() };
    let mut found: Vec<PathBuf> = there.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| known.read(path.file_name().unwrap()).is_some_and(|name| name.is != Is::Unfinished) && path.is_file());
    found.sort();
    found
}

/// The lines of all files, in order.
fn all(path: &Path) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let text: String = rotated(path)
        .iter()
        .map(|file| match file.extension() {
            Some(kind) if kind == "gz" => unzipped(file),
            _ => fs::read_to_string(file).unwrap(),
        })
        .chain([fs::read_to_string(path).unwrap_or_default()])
        .collect();
    fs::write(folder.path().join("all"), text).unwrap();
    names(&folder.path().join("all"))
}

fn zipped(plain: &Path) -> PathBuf {
    format!("{}.gz", plain.display()).into()
}

fn unzipped(path: &Path) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

fn make_older(path: &Path, age: Duration) {
    File::options().append(true).open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

const DAY: Duration = Duration::from_secs(86_400);
const NEVER: Rotation = Rotation { size: None, daily: false, keep: None, total: None, gzip: false };
