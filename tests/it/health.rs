//! `sidehook health`: for containers without a shell.

use crate::support::{Receiver, Sidecar, closed_port, run};

#[tokio::test]
async fn a_sidecar_that_takes_events_is_healthy() {
    let sidecar = Sidecar::start("").await;
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), &["health", "--to", &sidecar.address().to_string()]).await;
    assert_eq!((said.code, &*said.stdout, &*said.stderr), (0, "ready\n", ""));
}

#[tokio::test]
async fn one_that_drains_or_is_not_there_exits_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let draining = Receiver::replying([503]).await.with_body("{\"code\":\"draining\",\"detail\":\"going\"}");
    let said = run(folder.path(), &["health", "--to", &draining.url()]).await;
    assert_eq!((said.code, &*said.stdout), (1, "not ready: 503 draining: going\n"));
    assert_eq!(draining.received(1).await[0].path, "/readyz");
    let nobody = run(folder.path(), &["health", "--to", &closed_port()]).await;
    assert!(nobody.code == 1 && nobody.stderr.contains("no sidecar at http://127.0.0.1:"), "{}", nobody.stderr);
}
