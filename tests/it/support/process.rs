//! The real binary: one command and its output, or a running sidecar.

use std::{
    fs::File,
    io::{Read, Seek},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
};

use tokio::time::{sleep, timeout};

use super::{LIMIT, LOOK_EVERY, json_lines, telling};

/// The binary, to be run in `folder`, with nothing of this environment that it would listen to.
pub(crate) fn sidehook(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidehook"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    for name in ["SIDEHOOK_CONFIG", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
        command.env_remove(name);
    }
    command
}

/// A process that is killed with the test.
pub(crate) struct Process {
    child: Child,
    /// Files, for a pipe that nobody reads would stop it.
    stdout: File,
    stderr: File,
}

impl Process {
    /// Starts `command` with its output kept for [`Process::ended`].
    pub(crate) fn start(command: &mut Command) -> Process {
        let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
        Process { child: command.spawn().unwrap(), stdout, stderr }
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
        Output { status, stdout: whole(&mut self.stdout), stderr: whole(&mut self.stderr) }
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
    }
}

fn whole(file: &mut File) -> Vec<u8> {
    let mut content = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut content).unwrap();
    content
}
