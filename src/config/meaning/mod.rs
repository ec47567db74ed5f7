//! What is allowed and yet likely a mistake.
//!
//! Comes in: a file without errors, as it was typed and as it was resolved, and the world outside. Goes out: warnings, each
//! at the value to change.
//!
//! **Invariant:** a warning is right or not there: what cannot be told for sure is left alone.

mod files;
mod retries;
mod routes;
mod secrets;
mod trust;

use std::{collections::HashMap, path::Path, sync::Arc};

pub(super) use self::secrets::literal_text;
use super::{
    Outside, State,
    problems::Problems,
    raw::{self, At},
    secrets::Text,
};
use crate::{endpoint::Endpoint, log::Destination, route::Route};

/// What there is to judge a config by that has no errors.
pub(super) struct Evidence<'a> {
    pub(super) path: &'a Path,
    pub(super) file: &'a raw::File,
    pub(super) log: &'a Destination,
    pub(super) state: &'a State,
    /// In the file's order, as are the routes.
    pub(super) endpoints: &'a [Arc<Endpoint>],
    pub(super) routes: &'a [Route],
    /// How many bytes a secret has, by where its place in the file begins.
    pub(super) lengths: &'a HashMap<usize, usize>,
    pub(super) outside: &'a Outside,
}

/// Warns of all there is to warn of.
pub(super) fn warn(evidence: &Evidence<'_>, problems: &mut Problems) {
    routes::warn(evidence, problems);
    secrets::warn(evidence, problems);
    for endpoint in evidence.endpoints().filter(|endpoint| endpoint.made.active) {
        trust::warn(&endpoint, problems);
        retries::warn(&endpoint, problems);
    }
    files::warn(evidence, problems);
}

impl<'a> Evidence<'a> {
    fn endpoints(&self) -> impl Iterator<Item = Both<'a>> {
        let defaults = &self.file.defaults;
        let typed = self.file.endpoints.iter().map(|(_, own)| own);
        typed.zip(self.endpoints).map(move |(own, made)| Both { own, defaults, made })
    }

    /// Those of both listeners.
    fn tokens(&self) -> impl Iterator<Item = &'a At<Text>> {
        let listen = self.file.listen.token.iter();
        let admin = self.file.admin.iter().filter_map(|admin| admin.token.as_ref());
        listen.chain(admin).flat_map(|tokens| &tokens.value)
    }

    /// Every table of an endpoint's settings that was typed.
    fn tables(&self) -> impl Iterator<Item = &'a raw::Endpoint> {
        self.file.endpoints.iter().map(|(_, own)| own).chain([&self.file.defaults])
    }
}

/// An endpoint as it was typed and as it is.
struct Both<'a> {
    own: &'a raw::Endpoint,
    defaults: &'a raw::Endpoint,
    made: &'a Endpoint,
}

impl<'a> Both<'a> {
    /// A setting of its own, or of the defaults.
    fn typed<T>(&self, pick: impl Fn(&'a raw::Endpoint) -> &'a Option<At<T>>) -> Option<&'a At<T>> {
        pick(self.own).as_ref().or(pick(self.defaults).as_ref())
    }

    fn headers(&self) -> impl Iterator<Item = &'a raw::Header> {
        let own = &self.own.headers;
        let is_own = |name| own.iter().any(|header| header.name.value == name);
        own.iter().chain(self.defaults.headers.iter().filter(move |header| !is_own(&header.name.value)))
    }
}
