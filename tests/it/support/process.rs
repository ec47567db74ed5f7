//! The real binary: one command and its output, or a running sidecar.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
};

use tempfile::NamedTempFile;
use tokio::time::{sleep, timeout};

use super::{
    LIMIT, LOOK_EVERY, json_lines, telling,
    valid::{ValidLog, validate_stdout},
};

/// The binary, to be run in `folder`, with nothing of this environment that it would listen to.
pub(crate) fn sidehook(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidehook"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    for name in [
        "SIDEHOOK_CONFIG",
        "STATE_DIRECTORY",
        "CREDENTIALS_DIRECTORY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "no_proxy",
        "NO_PROXY",
    ] {
        command.env_remove(name);
    }
    command
}

/// What a command said, and how it ended.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command in `folder` to its end.
pub(crate) async fn run(folder: &Path, arguments: &[&str]) -> Said {
    let Output { status, stdout, stderr } = Process::start(&mut sidehook(folder, arguments)).ended().await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: status.code().expect("an exit code"), stdout: text(stdout), stderr: text(stderr) }
}

/// A process that is killed with the test.
pub(crate) struct Process {
    child: Child,
    /// Files, for a pipe that nobody reads would stop it.
    stdout: NamedTempFile,
    stderr: NamedTempFile,
    /// Of one that writes a log; what others show may be lines that a test made up.
    log: Option<ValidLog>,
}

impl Process {
    /// Starts `command` with its output kept for [`Process::ended`].
    pub(crate) fn start(command: &mut Command) -> Process {
        let stdout = NamedTempFile::new().unwrap();
        let to = stdout.reopen().unwrap().into();
        Process::start_into(command, to, stdout)
    }

    /// Starts `command` with its output going somewhere else, which the test reads.
    pub(crate) fn start_writing_to(command: &mut Command, to: impl Into<Stdio>) -> Process {
        Process::start_into(command, to.into(), NamedTempFile::new().unwrap())
    }

    fn start_into(command: &mut Command, to: Stdio, stdout: NamedTempFile) -> Process {
        let stderr = NamedTempFile::new().unwrap();
        command.stdout(to).stderr(stderr.reopen().unwrap());
        let writes = command.get_args().next().is_some_and(|name| name == "run");
        let log = command.get_current_dir().filter(|_| writes).map(ValidLog::begin);
        Process { child: command.spawn().unwrap(), stdout, stderr, log }
    }

    /// Sends a signal by its name, e.g. `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id();
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
        assert!(sent.success(), "kill -{name}: {sent}");
    }

    /// Where it listens, once the delivery log in `folder` says so.
    pub(crate) async fn address(&mut self, folder: &Path) -> SocketAddr {
        let log = folder.join("deliveries.jsonl");
        let started = async {
            loop {
                if let Some(line) = telling(&json_lines(&log), "started").last() {
                    return line["address"].as_str().expect("an address").parse().expect("a socket address");
                }
                let ended = self.child.try_wait().unwrap();
                assert!(ended.is_none(), "it did not start: {ended:?}");
                sleep(LOOK_EVERY).await;
            }
        };
        timeout(LIMIT, started).await.expect("a `started` line in the delivery log")
    }

    /// Waits until the delivery log in `folder` has at least `n` lines that tell of `outcome`.
    pub(crate) async fn logged(&self, folder: &Path, outcome: &str, n: usize) {
        let log = folder.join("deliveries.jsonl");
        let logged = async {
            while telling(&json_lines(&log), outcome).len() < n {
                sleep(LOOK_EVERY).await;
            }
        };
        let waited = timeout(LIMIT, logged).await;
        assert!(waited.is_ok(), "{n} `{outcome}` lines are not in {}: {}", log.display(), self.complained());
    }

    /// What it wrote to stdout so far.
    pub(crate) fn printed(&self) -> String {
        String::from_utf8(content(&self.stdout)).unwrap()
    }

    /// What it wrote to stderr so far.
    pub(crate) fn complained(&self) -> String {
        String::from_utf8(content(&self.stderr)).unwrap()
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> Output {
        let end = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                sleep(LOOK_EVERY).await;
            }
        };
        let status = timeout(6 * LIMIT, end).await.expect("it ends");
        Output { status, stdout: content(&self.stdout), stderr: content(&self.stderr) }
    }

    pub(crate) async fn exit_status(self) -> ExitStatus {
        self.ended().await.status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ended = self.child.kill();
        let _status = self.child.wait();
        if self.log.is_some() && !std::thread::panicking() {
            validate_stdout(&String::from_utf8_lossy(&content(&self.stdout)));
        }
    }
}

fn content(file: &NamedTempFile) -> Vec<u8> {
    std::fs::read(file.path()).unwrap()
}
