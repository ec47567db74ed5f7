//! `sidehook logs`: what the delivery log says.
//!
//! Comes in: the files of a log, or of several, and what is wanted of them. Goes out: the lines that match, in one of the
//! formats, or what they come to.
//!
//! **Invariant:** what is left out of the answer, and could belong to it, is said on stderr.

mod formats;
mod jsonl;
mod output;
mod printer;
mod wanted;

use std::{
    fs::{self, File},
    io::{self, IsTerminal},
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, anyhow, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::FileType,
};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    formats::{Csv, Pdf, Stats, Table},
    jsonl::Jsonl,
    output::Output,
    printer::{Printer, Writer},
    wanted::Wanted,
};
use super::{ConfigFile, DOES_NOT_HOLD, Stop, run, terminal};
use crate::{
    config,
    log::{
        Destination,
        export::{Look, pdf},
        reader::{self, Failure, Follower, Scan, Snapshot, Source, Tally},
    },
};

#[derive(Debug, clap::Args)]
pub(super) struct Logs {
    /// Logs to read, each with the rotated files beside it; - is stdin [default: the config's log.deliveries]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Then go on with what comes, also after a rotation, until Ctrl-C
    #[arg(long, conflicts_with_all = ["until", "stats", "output"])]
    follow: bool,
    /// In place of the lines: counts, the share of successes and times, for each endpoint; with --format jsonl as JSON
    #[arg(long)]
    stats: bool,
    /// How to write what is found: a table, the lines as they are, a spreadsheet's rows, or a report
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Write to this file, which is replaced once all is written
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// A font (TrueType or OpenType) for a PDF's text, in place of the built-in ones, which are for Western languages
    #[arg(long, value_name = "FILE")]
    font: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigFile,
    // The last, for its heading is also that of what follows.
    #[command(flatten)]
    wanted: Wanted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Csv,
    Jsonl,
    Pdf,
    Table,
}

impl Logs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        self.check_usage()?;
        let files = self.files()?;
        if self.follow { self.follow(&files) } else { self.search(&files) }
    }

    fn check_usage(&self) -> Result<(), Stop> {
        let wrong = |why: &str| Err(Stop::Usage(why.to_owned()));
        if self.wanted.is_never() {
            return wrong("--until is not later than --since; a date stands for its first moment");
        }
        match self.format {
            Format::Csv | Format::Pdf if self.stats => wrong("--stats is a table, or JSON with --format jsonl"),
            Format::Pdf if self.follow => wrong("a PDF has an end: leave --follow out"),
            Format::Pdf if self.output.is_none() && io::stdout().is_terminal() => {
                wrong("a PDF is nothing for a terminal: --output report.pdf writes it to a file")
            }
            Format::Csv | Format::Jsonl | Format::Table if self.font.is_some() => wrong("--font is for --format pdf"),
            _ => Ok(()),
        }
    }

    /// What is to be read: what was typed, or the config's log.
    fn files(&self) -> Result<Vec<PathBuf>, Stop> {
        if !self.files.is_empty() {
            return Ok(self.files.clone());
        }
        let config = self.config.path();
        if fs::metadata(&config).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            let config = config.display();
            return Err(Stop::CouldNotStart(anyhow!(
                "there is no config file {config} to say where the log is: name the log's files, - for stdin, or --config FILE"
            )));
        }
        match config::load_log(&config).map_err(Stop::Config)? {
            Destination::File(path) => Ok(vec![path]),
            Destination::Stdout => {
                let why = "the config's log goes to stdout (log.deliveries): name the files that it is kept in, or - for stdin";
                Err(Stop::Usage(why.to_owned()))
            }
        }
    }

    /// What writes what is found in `files`.
    fn writer(&self, files: &[PathBuf]) -> anyhow::Result<Box<dyn Writer>> {
        // What may be wrong with it is told before a file is touched.
        let font = self.font.as_deref().map(font).transpose()?;
        let (output, seen) = match &self.output {
            Some(path) => (Output::file(path)?, false),
            None => (Output::stdout()?, io::stdout().is_terminal()),
        };
        let look = Look {
            width: terminal::width(io::stdout()).filter(|_| seen),
            colours: seen && terminal::wants_colours(&io::stdout()),
            // How long ago something was does not stay true.
            clock: self.follow || !seen,
        };
        Ok(match self.format {
            Format::Csv => Box::new(Csv::new(output)?),
            Format::Jsonl if self.stats => Box::new(Stats::new(output, None)),
            Format::Jsonl => Box::new(Jsonl::new(output, seen)),
            Format::Pdf => Box::new(Pdf::new(output, self.report(files, font))),
            Format::Table if self.stats => Box::new(Stats::new(output, Some(look))),
            Format::Table => Box::new(Table::new(output, look)),
        })
    }

    /// Whether nobody writes on the terminal while files are read: neither this nor, most likely, who reads its lines.
    fn is_quiet(&self) -> bool {
        let stdout = io::stdout();
        let is_pipe = || rustix::fs::fstat(&stdout).is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Fifo);
        self.output.is_some() || if stdout.is_terminal() { self.stats } else { !is_pipe() }
    }

    fn report(&self, files: &[PathBuf], font: Option<pdf::Font>) -> pdf::Options {
        let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        let mut filter = vec![("log".to_owned(), names.join(", "))];
        filter.extend(self.wanted.told());
        pdf::Options { title: "Webhook deliveries".to_owned(), filter, made: SystemTime::now(), font }
    }

    /// Reads what there is, once.
    fn search(&self, files: &[PathBuf]) -> anyhow::Result<ExitCode> {
        let (sources, failed) = opened(files)?;
        if let Some(output) = &self.output
            && sources.iter().any(|source| is_same(&source.path, output))
        {
            return Err(Stop::Usage(format!("{} is one of the files that are read", output.display())).into());
        }
        let interrupts = self.output.is_some().then(interrupts).transpose()?;
        let mut printer = Printer::new(self.writer(files)?, interrupts.as_ref());
        if terminal::obeys(&io::stderr()) && self.is_quiet() {
            printer = printer.with_bar(&sources);
        }
        let filter = self.wanted.filter();
        let mut scan = Scan::new(&filter);
        let mut complete = failed.is_empty();
        for error in failed {
            terminal::complain(format_args!("warning: left out: {:#}", anyhow::Error::new(error)));
        }
        for source in &sources {
            printer.turn_to(source);
            match scan.all(source, &mut printer) {
                Ok(()) => {}
                Err(Failure::Read(error)) => {
                    printer.clear();
                    complete &= is_cut(&error);
                    terminal::complain(format_args!("warning: {}", read_in_part(&source.path, &error)));
                }
                Err(Failure::Take(error)) => return self.stopped(error),
            }
        }
        match printer.end() {
            Ok(()) => {}
            Err(error) => return self.stopped(error),
        }
        // Nothing else would say that something was searched.
        if scan.tally.matched == 0 && self.format == Format::Table && !self.stats {
            terminal::complain(format_args!("nothing found in {}", terminal::count(sources.len(), "file")));
        }
        tell(scan.tally);
        Ok(if complete { ExitCode::SUCCESS } else { ExitCode::from(DOES_NOT_HOLD) })
    }

    /// Reads what there is and what comes, until somebody wants the end.
    fn follow(&self, files: &[PathBuf]) -> anyhow::Result<ExitCode> {
        let [path] = files else { return Err(Stop::Usage("--follow goes with one log".to_owned()).into()) };
        // What comes by a pipe is read as it comes, without being followed.
        if path == Path::new(STDIN) || fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return self.search(files);
        }
        let interrupts = interrupts()?;
        let mut printer = Printer::new(self.writer(files)?, Some(&interrupts));
        let filter = self.wanted.filter();
        let (mut scan, mut follower) = (Scan::new(&filter), Follower::new(path.clone()));
        let mut told = String::new();
        let mut say = |text: String| {
            if text != told {
                terminal::complain(&text);
                told = text;
            }
        };
        let stdout = io::stdout();
        loop {
            let looked = follower.look(&mut scan, &mut printer);
            let looked = looked.and_then(|()| printer.flush().map_err(Failure::Take));
            let readable = follower.failed.is_empty();
            for error in follower.failed.drain(..) {
                say(format!("warning: {:#}", anyhow::Error::new(error)));
            }
            match looked {
                Ok(()) if readable && follower.is_waiting() => say(format!("waiting for {}", path.display())),
                Ok(()) => {}
                Err(Failure::Read(error)) => say(format!("warning: {}", read_in_part(path, &error))),
                Err(Failure::Take(error)) if error.kind() == io::ErrorKind::Interrupted => break,
                Err(Failure::Take(error)) => return self.stopped(error),
            }
            match interrupts.recv_timeout(LOOK_EVERY) {
                Err(RecvTimeoutError::Timeout) if is_read(&stdout) => {}
                Ok(()) | Err(_) => break,
            }
        }
        tell(scan.tally);
        Ok(ExitCode::SUCCESS)
    }

    /// How it ends where no more lines can be written.
    fn stopped(&self, error: io::Error) -> anyhow::Result<ExitCode> {
        match (error.kind(), &self.output) {
            // Who read it has seen enough.
            (io::ErrorKind::BrokenPipe, None) => Ok(ExitCode::SUCCESS),
            (io::ErrorKind::Interrupted, Some(path)) => bail!("interrupted: {} is not written", path.display()),
            (_, Some(path)) => Err(error).with_context(|| format!("cannot write {}", path.display())),
            (_, None) => Err(error).context("cannot write to stdout"),
        }
    }
}

fn font(path: &Path) -> anyhow::Result<pdf::Font> {
    let bytes = fs::read(path).with_context(|| format!("cannot read the font {}", path.display()))?;
    pdf::Font::read(bytes).with_context(|| format!("cannot use the font {}", path.display()))
}

/// Opens all that is named, each of which must be there at least by a rotated file; and says what of the rest cannot be read.
fn opened(files: &[PathBuf]) -> anyhow::Result<(Vec<Source>, Vec<reader::Error>)> {
    let (stdin, logs): (Vec<PathBuf>, Vec<PathBuf>) = files.iter().cloned().partition(|path| path == Path::new(STDIN));
    let Snapshot { mut sources, failed } = reader::open(&logs);
    let mut left_out = Vec::new();
    for error in failed {
        let is_rotated = |source: &Source| !source.named && source.path.parent() == error.path().parent();
        match logs.iter().any(|log| log == error.path()) {
            // Between a rotation and the next line there is none.
            true if error.is_missing() && sources.iter().any(is_rotated) => {}
            true => return Err(error.into()),
            false => left_out.push(error),
        }
    }
    if !stdin.is_empty() {
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        sources.push(Source::stream(Path::new("stdin"), file)?);
    }
    Ok((sources, left_out))
}

fn is_same(one: &Path, other: &Path) -> bool {
    fs::canonicalize(one).is_ok_and(|one| fs::canonicalize(other).is_ok_and(|other| one == other))
}

fn tell(tally: Tally) {
    if tally.damaged > 0 {
        let lines = terminal::count(usize::try_from(tally.damaged).unwrap_or(usize::MAX), "damaged line");
        terminal::complain(format_args!("warning: {lines} left out"));
    }
}

/// Whether a gzip ends before its end: it is being written, or somebody was stopped writing it.
fn is_cut(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

fn read_in_part(path: &Path, error: &io::Error) -> String {
    match is_cut(error) {
        true => format!("{} is cut off, or still being written: what is there was read", path.display()),
        false => format!("{} was read only in part: {error}", path.display()),
    }
}

/// Gives something at SIGINT or SIGTERM.
fn interrupts() -> anyhow::Result<Receiver<()>> {
    let (sender, receiver) = mpsc::channel();
    let runtime = run::runtime()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        // Who does not listen any more is at its end.
        let _ = sender.send(());
    })?;
    Ok(receiver)
}

/// Whether somebody may still read what is written there.
fn is_read(stdout: &io::Stdout) -> bool {
    let mut asked = [PollFd::new(stdout, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&now)).is_err() || !asked[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

/// What stands for stdin among files.
const STDIN: &str = "-";

/// Well below what people notice; such a look costs a microsecond or two.
const LOOK_EVERY: Duration = Duration::from_millis(100);
