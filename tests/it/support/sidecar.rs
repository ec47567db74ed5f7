//! A sidecar inside the test's own runtime, in a folder of its own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde_json::Value;
use sidehook::app::{App, Error, Shutdown, Stopped, Trigger};
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{Answer, LIMIT, LOOK_EVERY, exchange, json_lines, telling, valid::ValidLog};

pub(crate) struct Sidecar {
    /// Before the folder goes.
    _log: ValidLog,
    folder: TempDir,
    address: SocketAddr,
    admin: Option<SocketAddr>,
    trigger: Trigger,
    running: JoinHandle<Stopped>,
}

impl Sidecar {
    /// Starts on a free port; what `toml` leaves out of listen address, log and state is filled in.
    pub(crate) async fn start(toml: &str) -> Sidecar {
        Sidecar::start_in(tempfile::tempdir().unwrap(), toml).await
    }

    /// Starts in a folder that may hold what an earlier sidecar left.
    pub(crate) async fn start_in(folder: TempDir, toml: &str) -> Sidecar {
        let config = write_config(folder.path(), toml);
        let log = ValidLog::begin(folder.path());
        let app = Box::pin(App::bind(&config)).await.unwrap_or_else(|error| panic!("{error:#?} with\n{toml}"));
        // A sidecar on a Unix socket has none, and its test asks for none.
        let address = app.address().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
        let admin = app.admin_address();
        let (trigger, shutdown) = Shutdown::channel();
        let running = tokio::spawn(app.run(shutdown));
        Sidecar { _log: log, folder, address, admin, trigger, running }
    }

    /// Why a sidecar in `folder` would not start.
    pub(crate) async fn refusal(folder: &Path, toml: &str) -> Option<Error> {
        Box::pin(App::bind(&write_config(folder, toml))).await.err()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    pub(crate) fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// Posts one request on a connection of its own.
    pub(crate) async fn post(&self, path: &str, content_type: &str, body: impl AsRef<[u8]>) -> Answer {
        self.request("POST", path, &[("content-type", content_type)], body).await
    }

    /// Posts JSON to `/events`.
    pub(crate) async fn event(&self, body: impl AsRef<[u8]>) -> Answer {
        self.post("/events", "application/json", body).await
    }

    /// One request with these headers besides `connection` and `content-length`, and `host` where they have none.
    pub(crate) async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        self.request_at(self.address, method, path, (headers, body.as_ref())).await
    }

    /// Asks the admin listener.
    pub(crate) async fn admin(&self, method: &str, path: &str) -> Answer {
        self.admin_with(method, path, &[], "").await
    }

    /// The same, with these headers and this body.
    pub(crate) async fn admin_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let address = self.admin.expect("an admin listener over TCP");
        self.request_at(address, method, path, (headers, body.as_bytes())).await
    }

    async fn request_at(
        &self,
        address: SocketAddr,
        method: &str,
        path: &str,
        (headers, body): (&[(&str, &str)], &[u8]),
    ) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request += &format!("host: {address}\r\n");
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        let mut request = (request + "\r\n").into_bytes();
        request.extend_from_slice(body);
        Answer::parse(&exchange(address, &request).await)
    }

    /// Sends these bytes as they are, and gives what came back until the connection was closed.
    pub(crate) async fn send(&self, bytes: &[u8]) -> Vec<u8> {
        exchange(self.address, bytes).await
    }

    /// Replaces the config file's content, and waits until the sidecar says what came of it: `loaded` or `rejected`.
    pub(crate) async fn edit(&self, toml: &str) -> Value {
        self.changing(|| drop(write_config(self.dir(), toml))).await
    }

    /// Does `change` and waits for the next `config` line of the log.
    pub(crate) async fn changing(&self, change: impl FnOnce()) -> Value {
        // Told by time: a line about what was before may still be on its way to the file.
        let began = jiff::Timestamp::now();
        let time = |line: &Value| line["timestamp"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let is_answer = |line: &&Value| {
            line["kind"] == "config" && time(line).is_some_and(|at| at.as_microsecond() >= began.as_microsecond())
        };
        change();
        let lines = self.wait_for_log(|lines| lines.iter().any(|line| is_answer(&line))).await;
        lines.iter().rfind(is_answer).cloned().unwrap()
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.dir().join("deliveries.jsonl")
    }

    /// The delivery log as far as it is written.
    pub(crate) fn log(&self) -> Vec<Value> {
        json_lines(&self.log_file())
    }

    /// The log, once `there` holds of it.
    pub(crate) async fn wait_for_log(&self, there: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let look = async {
            loop {
                let lines = self.log();
                if there(&lines) {
                    return lines;
                }
                sleep(LOOK_EVERY).await;
            }
        };
        timeout(LIMIT, look).await.unwrap_or_else(|_| {
            let written: String = self.log().iter().map(|line| format!("{line}\n")).collect();
            panic!("not in the log after {LIMIT:?}. The log is:\n{written}")
        })
    }

    /// The lines that tell of `outcome`, once there are at least `n`.
    pub(crate) async fn logged(&self, outcome: &str, n: usize) -> Vec<Value> {
        telling(&self.wait_for_log(|lines| telling(lines, outcome).len() >= n).await, outcome)
    }

    pub(crate) fn dead_letters(&self) -> Vec<Value> {
        json_lines(&self.dir().join("state/dead_letters.jsonl"))
    }

    pub(crate) fn pending(&self) -> Vec<Value> {
        json_lines(&self.dir().join("state/pending.jsonl"))
    }

    /// Drains, as at the first SIGTERM, and gives the folder on.
    pub(crate) async fn stop(self) -> (Stopped, TempDir) {
        self.trigger.drain();
        self.stopped().await
    }

    /// Waits for the end of a sidecar that was told to stop.
    pub(crate) async fn stopped(mut self) -> (Stopped, TempDir) {
        let stopped = timeout(2 * LIMIT, &mut self.running).await.expect("it stops").expect("it does not panic");
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        (stopped, folder)
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Writes `sidehook.toml` with the address, log and state that a test needs and `toml` does not name.
fn write_config(folder: &Path, toml: &str) -> PathBuf {
    let mut text = toml.to_owned();
    let needed = [
        ("[listen]", "address", "\"127.0.0.1:0\""),
        ("[log]", "deliveries", "\"deliveries.jsonl\""),
        ("[state]", "directory", "\"state\""),
    ];
    for (table, key, value) in needed {
        let table_line = format!("{table}\n");
        let Some(at) = text.find(&table_line) else {
            text += &format!("\n{table}\n{key} = {value}\n");
            continue;
        };
        let body_at = at + table_line.len();
        let body_end = text[body_at..].find("\n[").map_or(text.len(), |end| body_at + end);
        if !text[body_at..body_end].lines().any(|line| line.split('=').next().is_some_and(|name| name.trim() == key)) {
            text.insert_str(body_at, &format!("{key} = {value}\n"));
        }
    }
    let path = folder.join("sidehook.toml");
    std::fs::write(&path, text).unwrap();
    path
}
