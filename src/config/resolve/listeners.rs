//! The two ways in, and whether others can reach them.

use std::{net::Ipv4Addr, path::Path, time::Duration};

use super::{Scope, bytes, or, place};
use crate::{
    config::{
        Address, Admin, Dedupe, Listen, Outside,
        problems::{Code, Problem, Problems},
        raw::{self, At},
        secrets::Text,
    },
    sign::Secret,
};

/// Makes the listener's part of the config alone.
pub(in crate::config) fn resolve_listen(
    file: &raw::File,
    path: &Path,
    outside: &Outside,
    problems: Problems,
) -> Result<Listen, Problems> {
    let mut scope = Scope::new(path, outside, problems);
    let listen = listen(&file.listen, &mut scope);
    scope.end(listen)
}

/// Makes the admin listener's part of the config alone.
pub(in crate::config) fn resolve_admin(
    file: &raw::File,
    path: &Path,
    outside: &Outside,
    problems: Problems,
) -> Result<Option<Admin>, Problems> {
    let mut scope = Scope::new(path, outside, problems);
    let admin = file.admin.as_ref().and_then(|typed| opened(typed, &mut scope));
    scope.end(admin)
}

/// Where events come in.
pub(super) fn listen(typed: &raw::Listen, scope: &mut Scope<'_>) -> Listen {
    let address = or(&typed.address, Address::Tcp((Ipv4Addr::LOCALHOST, 7070).into())).within(scope.secrets.directory);
    if typed.token.is_none() {
        closed(typed.address.as_ref(), scope);
    }
    let of_socket = [("mode", place(&typed.mode)), ("uids", place(&typed.uids))];
    for (key, span) in of_socket.into_iter().filter_map(|(key, span)| Some((key, span?))) {
        if address.tcp().is_some() {
            let problem = Problem::error(Code::Conflict, span, format!("`{key}` goes with a Unix socket only"));
            let problem = problem.help("listen on one: address = \"unix:/run/sidehook.sock\"");
            scope.problems.push(problem.beside(place(&typed.address), "this is TCP"));
        }
    }
    Listen {
        address,
        mode: or(&typed.mode, 0o660),
        uids: typed.uids.iter().flat_map(|uids| &uids.value).filter_map(|uid| uid.value.try_into().ok()).collect(),
        max_body: bytes(or(&typed.max_body, 1 << 20)),
        max_batch: bytes(or(&typed.max_batch, 1000)),
        header_timeout: or(&typed.header_timeout, Duration::from_secs(5)),
        body_timeout: or(&typed.body_timeout, Duration::from_secs(10)),
        keep_alive: or(&typed.keep_alive, Duration::from_secs(75)),
        max_connections: bytes(or(&typed.max_connections, 1024)),
        tokens: tokens(typed.token.as_ref(), scope),
        source: typed.source.as_ref().map_or("/sidehook", |source| &source.value).into(),
        hosts: hosts(typed.hosts.as_ref()),
        dedupe: Dedupe { ids: bytes(or(&typed.dedupe.ids, 10_000)), window: or(&typed.dedupe.window, Duration::from_secs(600)) },
    }
}

/// Where people look in.
pub(super) fn admin(file: &raw::File, listen: &Listen, scope: &mut Scope<'_>) -> Option<Admin> {
    let typed = file.admin.as_ref()?;
    let admin = opened(typed, scope)?;
    let is_taken = admin.address == listen.address && admin.address.tcp().is_none_or(|address| address.port() != 0);
    if let Some(address) = typed.address.as_ref().filter(|_| is_taken) {
        let problem = Problem::error(Code::Conflict, &address.span, "events come in at this address already");
        scope.problems.push(problem.beside(place(&file.listen.address), "here"));
    }
    Some(admin)
}

fn opened(typed: &raw::Admin, scope: &mut Scope<'_>) -> Option<Admin> {
    if typed.token.is_none() {
        closed(typed.address.as_ref(), scope);
    }
    Some(Admin {
        address: typed.address.as_ref()?.value.clone().within(scope.secrets.directory),
        tokens: tokens(typed.token.as_ref(), scope),
        hosts: hosts(typed.hosts.as_ref()),
        shown: typed.shown.clone(),
    })
}

/// Complains where a listener without a token could be reached from outside.
fn closed(address: Option<&At<Address>>, scope: &mut Scope<'_>) {
    let is_open = |address: &&At<Address>| address.value.tcp().is_some_and(|address| !address.ip().is_loopback());
    if let Some(address) = address.filter(is_open) {
        let problem = Problem::error(Code::Conflict, &address.span, "a listener that others can reach needs a token");
        scope.problems.push(problem.help("add token = { env = \"NAME\" }, or listen on \"127.0.0.1:7070\""));
    }
}

fn tokens(typed: Option<&At<Vec<At<Text>>>>, scope: &mut Scope<'_>) -> Vec<Secret> {
    let mut tokens = Vec::new();
    for token in typed.iter().flat_map(|tokens| &tokens.value) {
        let Some(secret) = scope.secret(token) else { continue };
        if secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            tokens.push(secret);
        } else {
            scope.error(Code::Secret, &token.span, "a token is made of visible ASCII characters");
        }
    }
    tokens
}

fn hosts(typed: Option<&At<Vec<At<String>>>>) -> Vec<String> {
    typed.iter().flat_map(|hosts| &hosts.value).map(|host| host.value.clone()).collect()
}
