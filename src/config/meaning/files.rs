//! Files and folders that are not as they should be.

use std::{
    collections::HashSet,
    path::{Component, Path},
};

use super::Evidence;
use crate::config::{
    Look,
    problems::{Code, Problem, Problems, Severity},
    raw::{self, At},
    secrets::Text,
    source::Span,
};
use crate::log::Destination;

pub(super) fn warn(evidence: &Evidence<'_>, problems: &mut Problems) {
    state_folder(evidence, problems);
    rotation(evidence, problems);
    let mounts = (evidence.outside.mounts)();
    let look = |path: &Path| (evidence.outside.look)(path);
    if look(evidence.path).is_some_and(|look| mounts.contains(&look.path)) {
        let problem = Problem::whole(Code::MountedFile, "the config file is mounted by itself, without its folder");
        problems.push(Problem { severity: Severity::Warning, ..problem.help(MOUNT_THE_FOLDER) });
    }
    let directory = evidence.path.parent().unwrap_or(Path::new(""));
    for (path, span) in secret_files(evidence) {
        let Some(look) = look(&directory.join(path)).filter(|look| !is_kept_by_a_runtime(look)) else { continue };
        if look.is_open_to_all {
            let problem = Problem::warning(Code::ReadableSecret, span, "every user of this machine can read this secret");
            problems.push(problem.help(format!("take that right away: chmod o= {}", look.path.display())));
        }
        if mounts.contains(&look.path) {
            let problem = Problem::warning(Code::MountedFile, span, "this file is mounted by itself, without its folder");
            problems.push(problem.help(MOUNT_THE_FOLDER));
        }
    }
}

fn state_folder(evidence: &Evidence<'_>, problems: &mut Problems) {
    let Err(error) = (evidence.outside.folder)(&evidence.state.directory) else { return };
    let message = format!("this user cannot write to the state folder {}: {error}", evidence.state.directory.display());
    let span = evidence.file.state.directory.as_ref().map(|directory| directory.span.clone());
    problems.push(Problem { span, severity: Severity::Warning, ..Problem::whole(Code::StateFolder, message) });
}

fn rotation(evidence: &Evidence<'_>, problems: &mut Problems) {
    let log = &evidence.file.log;
    let Some(At { value: Some(_), span }) = &log.rotate else { return };
    if *evidence.log == Destination::Stdout {
        let problem = Problem::warning(Code::Unused, span, "`rotate` does nothing: the log goes to stdout");
        let deliveries = log.deliveries.as_ref().map(|deliveries| &deliveries.span);
        problems.push(problem.help("`deliveries` names a file").beside(deliveries, "to stdout"));
    }
}

/// Every file that a secret is in, once, as it is named.
fn secret_files<'a>(evidence: &Evidence<'a>) -> impl Iterator<Item = (&'a String, &'a Span)> {
    let mut seen = HashSet::new();
    evidence.tokens().chain(evidence.tables().flat_map(texts)).filter_map(move |at| match &at.value {
        Text::File(path) if seen.insert(path) => Some((path, &at.span)),
        _ => None,
    })
}

fn texts(table: &raw::Endpoint) -> impl Iterator<Item = &At<Text>> {
    let auth = table.auth.iter().filter_map(|auth| auth.value.as_ref()).flat_map(|auth| match auth {
        raw::Auth::ApiKey { value, .. } => vec![value],
        raw::Auth::Basic { username, password } => vec![username, password],
        raw::Auth::Bearer { token } => vec![token],
        raw::Auth::OAuth2 { token_url, client_id, client_secret, .. } => vec![token_url, client_id, client_secret],
    });
    let signatures = table.signatures.iter().flat_map(|signatures| &signatures.value).flat_map(|signature| &signature.secrets);
    let headers = table.headers.iter().map(|header| &header.value);
    let others = [table.url.as_ref(), table.proxy.as_ref(), table.tls.key.as_ref()].into_iter().flatten();
    auth.chain(signatures).chain(headers).chain(others)
}

/// Docker and the kubelet say themselves how a secret is mounted, and there is nobody else in a container.
fn is_kept_by_a_runtime(look: &Look) -> bool {
    let is_version = |part: Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(b"..");
    look.path.starts_with("/run/secrets") || look.path.components().any(is_version)
}

const MOUNT_THE_FOLDER: &str = "what replaces it outside never arrives here: mount its folder";
