//! The mirror of an endpoint's `tls`.

use super::{
    keys,
    reader::{At, Node, Section},
    values::{filled, path, text},
};
use crate::config::{problems::Problems, secrets::Text};

/// What is left out is `None`.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    /// A path.
    pub(crate) ca: Option<At<String>>,
    /// A path.
    pub(crate) certificate: Option<At<String>>,
    pub(crate) key: Option<At<Text>>,
    pub(crate) server_name: Option<At<String>>,
}

pub(super) fn read(section: &mut Section<'_, '_>) -> Tls {
    let Some(mut tls) = section.section("tls", &keys::TLS) else { return Tls::default() };
    Tls {
        ca: tls.read("ca", path),
        certificate: tls.read("certificate", path),
        key: tls.read("key", path_or_reference),
        server_name: tls.read("server_name", filled),
    }
}

/// Unlike with other secrets a string is the path of a file: nobody writes a key into a line.
fn path_or_reference(node: &Node<'_>, problems: &mut Problems) -> Option<Text> {
    match node.value.as_str() {
        Some(_) => path(node, problems).map(Text::File),
        None => text(node, problems),
    }
}
