//! `sidehook replay`: dead letters are posted again, each to its endpoint alone.
//!
//! Comes in: a file of dead letters, set aside as FILE.replaying. Goes out: a post for each line that is selected, to
//! `/endpoints/{name}/events` of a running sidecar; every line that was not answered 202 goes back into FILE. Nothing is
//! kept in memory but where those lines are.
//!
//! **Invariant:** a line is in FILE, in FILE.replaying, or was answered 202, whatever ends this process.

mod letters;
mod tally;

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead, BufReader},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::Full;
use serde_json::value::RawValue;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use self::{letters::Letters, tally::Tally};
use super::{
    DOES_NOT_HOLD,
    bar::Bar,
    moment::moment,
    run,
    sidecar::{Answer, Link, PATIENCE, Sidecar, Which},
    terminal,
};
use crate::event::cloud;

#[derive(Debug, clap::Args)]
pub(super) struct Replay {
    /// The dead letters, e.g. state/dead_letters.jsonl
    file: PathBuf,
    /// Only those of this endpoint
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    /// Only those given up at this time (RFC 3339, or a date in UTC) or later, or so long ago at most, e.g. 24h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<jiff::Timestamp>,
    /// At most so many, spread evenly, e.g. 100/s or 6000/m
    #[arg(long, value_parser = between)]
    rate: Option<Duration>,
    /// Print what would be posted, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

impl Replay {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        if self.dry_run {
            return self.show();
        }
        let sidecar = self.which.find()?;
        run::block_on(self.replay(sidecar))
    }

    async fn replay(&self, sidecar: Sidecar) -> anyhow::Result<ExitCode> {
        let interrupted = interrupts()?;
        let mut round = Round {
            replay: self,
            sidecar,
            link: None,
            interrupted,
            next: Instant::now(),
            tally: Tally::default(),
            bar: Bar::new(terminal::obeys(&io::stderr())),
        };
        let left_over = Letters::left_over(&self.file)?;
        let (mut found, mut stopped) = (left_over.is_some(), None);
        if let Some(letters) = left_over {
            stopped = round.work_through(letters).await?;
        }
        if stopped.is_none()
            && let Some(letters) = Letters::take(&self.file)?
        {
            found = true;
            stopped = round.work_through(letters).await?;
        }
        round.bar.clear();
        if !found {
            bail!("there is no file {}", self.file.display());
        }
        terminal::print(if self.json { serde_json::to_string(&round.tally)? } else { round.tally.told() });
        if let Some(why) = stopped {
            terminal::complain(format_args!("error: stopped: {why}"));
        }
        Ok(if round.tally.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(DOES_NOT_HOLD) })
    }

    /// Prints what is selected.
    fn show(&self) -> anyhow::Result<ExitCode> {
        let (mut selected, mut all, mut found) = (0, 0, false);
        for path in [&letters::aside(&self.file), &self.file] {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).with_context(|| format!("cannot open {}", path.display())),
            };
            found = true;
            for line in BufReader::new(file).split(b'\n') {
                let line = line?;
                if line.trim_ascii().is_empty() {
                    continue;
                }
                all += 1;
                if let Some(letter) = Letter::read(&line).filter(|letter| self.selects(letter)) {
                    selected += 1;
                    terminal::print(if self.json { serde_json::to_string(&letter.shown())? } else { letter.told() });
                }
            }
        }
        if !found {
            bail!("there is no file {}", self.file.display());
        }
        terminal::complain(format_args!("{selected} of {} would be posted", terminal::count(all, "dead letter")));
        Ok(ExitCode::SUCCESS)
    }

    fn selects(&self, letter: &Letter<'_>) -> bool {
        let named = self.endpoint.as_ref().is_none_or(|name| *name == letter.endpoint);
        named && self.since.is_none_or(|since| letter.at >= since)
    }
}

/// One run through the files.
struct Round<'a> {
    replay: &'a Replay,
    sidecar: Sidecar,
    link: Option<Link>,
    interrupted: watch::Receiver<bool>,
    /// When the next one may be posted.
    next: Instant,
    tally: Tally,
    bar: Bar,
}

/// What became of a letter that was to be posted.
enum Fate {
    Accepted,
    Refused(String),
    /// It and all that follow stay where they are.
    Stopped(String),
}

impl Round<'_> {
    /// Posts what is selected of a file; says why it stopped before its end.
    async fn work_through(&mut self, mut letters: Letters) -> anyhow::Result<Option<String>> {
        let mut line = Vec::new();
        let stopped = loop {
            self.bar.draw(letters.progress(), |seconds| self.tally.so_far(seconds));
            let Some(range) = letters.next(&mut line)? else { break None };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let Some(letter) = Letter::read(&line) else {
                self.tally.damaged += 1;
                letters.keep(range);
                continue;
            };
            if !self.replay.selects(&letter) {
                self.tally.filtered += 1;
                letters.keep(range);
                continue;
            }
            match self.post(&letter, letters.progress()).await? {
                Fate::Accepted => self.tally.accepted += 1,
                Fate::Refused(why) => {
                    self.tally.refuse(why);
                    letters.keep(range);
                }
                Fate::Stopped(why) => {
                    self.tally.unsent += 1;
                    letters.keep(range);
                    break Some(why);
                }
            }
        };
        self.tally.unsent += letters.finish()?;
        Ok(stopped)
    }

    async fn post(&mut self, letter: &Letter<'_>, progress: f64) -> anyhow::Result<Fate> {
        let target = format!("/endpoints/{}/events", letter.endpoint);
        let body = Bytes::copy_from_slice(letter.event.get().as_bytes());
        let content_type = if letter.is_cloud_event() { cloud::MEDIA_TYPE } else { "application/json" };
        loop {
            if self.wait().await {
                return Ok(Fate::Stopped("interrupted".to_owned()));
            }
            let answer = match self.exchange(&target, content_type, &body).await {
                Ok(answer) => answer,
                Err(error) => return Ok(Fate::Stopped(format!("{error:#}"))),
            };
            self.next = Instant::now() + self.replay.rate.unwrap_or_default();
            match answer.status {
                StatusCode::ACCEPTED => return Ok(Fate::Accepted),
                StatusCode::TOO_MANY_REQUESTS => {
                    self.next = self.next.max(Instant::now() + retry_after(&answer));
                    let told = |seconds| format!("{} (waiting: the queue is full)", self.tally.so_far(seconds));
                    self.bar.draw_now(progress, told);
                }
                // It would say the same to every other.
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::SERVICE_UNAVAILABLE => {
                    return Ok(Fate::Stopped(answer.refusal()));
                }
                // Its detail is the same for all of them, and names the key to raise.
                StatusCode::PAYLOAD_TOO_LARGE => return Ok(Fate::Refused(answer.refusal())),
                status => {
                    let words = [Some(status.as_u16().to_string()), answer.code()];
                    return Ok(Fate::Refused(words.into_iter().flatten().collect::<Vec<_>>().join(" ")));
                }
            }
        }
    }

    /// Waits for its turn; whether it was interrupted.
    async fn wait(&mut self) -> bool {
        // A timer takes a millisecond even for nothing.
        if *self.interrupted.borrow() || self.next <= Instant::now() {
            return *self.interrupted.borrow();
        }
        tokio::select! {
            () = sleep_until(self.next) => false,
            _ = self.interrupted.wait_for(|interrupted| *interrupted) => true,
        }
    }

    async fn exchange(&mut self, target: &str, content_type: &str, body: &Bytes) -> anyhow::Result<Answer> {
        let request = || {
            let request = self.sidecar.request("POST", target).header(header::CONTENT_TYPE, content_type);
            request.body(Full::new(body.clone()))
        };
        // A sidecar closes what lies idle, and that may be just now.
        if let Some(link) = &mut self.link
            && let Ok(answer) = link.exchange(request()?, PATIENCE).await
        {
            return Ok(answer);
        }
        let link = self.link.insert(self.sidecar.connect().await?);
        link.exchange(request()?, PATIENCE).await
    }
}

/// A dead letter, as far as it matters here.
struct Letter<'a> {
    at: jiff::Timestamp,
    timestamp: Cow<'a, str>,
    endpoint: Cow<'a, str>,
    reason: Cow<'a, str>,
    event: &'a RawValue,
}

#[derive(serde::Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    endpoint: Cow<'a, str>,
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow)]
    event: &'a RawValue,
}

#[derive(serde::Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    /// Of a CloudEvent, and of nothing else.
    #[serde(default)]
    specversion: Option<serde::de::IgnoredAny>,
}

#[derive(serde::Serialize)]
struct Shown<'a> {
    timestamp: &'a str,
    endpoint: &'a str,
    reason: &'a str,
    event_type: Cow<'a, str>,
    event_id: Cow<'a, str>,
}

impl<'a> Letter<'a> {
    /// Reads a line; `None` where it is none of a sidecar's.
    fn read(line: &'a [u8]) -> Option<Letter<'a>> {
        let Line { timestamp, endpoint, reason, event } = serde_json::from_slice(line).ok()?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let named = (1..=64).contains(&endpoint.len()) && endpoint.bytes().all(is_name);
        let whole = named && serde_json::from_str::<Event<'_>>(event.get()).is_ok();
        let at = timestamp.parse().ok().filter(|_| whole)?;
        Some(Letter { at, timestamp, endpoint, reason, event })
    }

    fn is_cloud_event(&self) -> bool {
        serde_json::from_str::<Event<'_>>(self.event.get()).is_ok_and(|event| event.specversion.is_some())
    }

    fn shown(&self) -> Shown<'_> {
        let (event_type, id) = serde_json::from_str::<Event<'_>>(self.event.get())
            .map_or((Cow::Borrowed(""), Cow::Borrowed("")), |event| (event.event_type, event.id));
        Shown { timestamp: &self.timestamp, endpoint: &self.endpoint, reason: &self.reason, event_type, event_id: id }
    }

    fn told(&self) -> String {
        let Shown { timestamp, endpoint, reason, event_type, event_id } = self.shown();
        terminal::printable(format!("{timestamp}  {endpoint}  {reason}  {event_type}  {event_id}").as_bytes())
    }
}

/// Becomes true at SIGINT or SIGTERM.
fn interrupts() -> anyhow::Result<watch::Receiver<bool>> {
    let interrupted = run::interrupted()?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        interrupted.await;
        sender.send_replace(true);
        // Who listens must not take the sender's end for a signal.
        sender.closed().await;
    });
    Ok(receiver)
}

fn retry_after(answer: &Answer) -> Duration {
    let seconds = answer.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1).clamp(1, 60))
}

/// The time between two at a rate.
fn between(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number and a unit of time, like 100/s or 6000/m".to_owned();
    let (number, unit) = text.split_once('/').ok_or_else(wrong)?;
    let number: u32 = number.parse().ok().filter(|number| *number > 0).ok_or_else(wrong)?;
    let unit = match unit {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return Err(wrong()),
    };
    Ok(unit / number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_unit() {
        assert_eq!(between("100/s"), Ok(Duration::from_millis(10)));
        assert_eq!(between("6000/m"), Ok(Duration::from_millis(10)));
        for wrong in ["", "100", "0/s", "-1/s", "1.5/s", "100/d", "/s"] {
            assert!(between(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_line_is_a_dead_letter_or_damaged() {
        let line = |endpoint: &str, event: &str| {
            let text = format!(
                r#"{{"timestamp":"2026-11-22T19:00:00.000001Z","endpoint":"{endpoint}","reason":"attempts","attempts":3,"event":{event}}}"#
            );
            Letter::read(text.as_bytes()).map(|letter| letter.told())
        };
        let event = r#"{"type":"a","id":"e1","time":"2026-11-22T19:00:00Z","data":1}"#;
        assert_eq!(line("hook", event).as_deref(), Some("2026-11-22T19:00:00.000001Z  hook  attempts  a  e1"));
        assert_eq!(line("../healthz", event), None);
        assert_eq!(line("hook", "{}"), None);
        assert!(Letter::read(b"{\"timestamp\":").is_none());
    }
}
