//! Where a listener is, who may come in, and by which names.
//!
//! **Invariant:** each reads a node whole, or reports it and gives `None`.

use toml::de::DeValue;

use super::{
    reader::{At, Node, Section},
    values::{filled, path, some, text},
};
use crate::config::{Address, problems::Problems, secrets::Text};

pub(super) fn address(node: &Node<'_>, problems: &mut Problems) -> Option<Address> {
    if let DeValue::Integer(port) = node.value {
        return node.wrong("a string", format!("write \"127.0.0.1:{}\"", port.as_str()), problems);
    }
    let text = path(node, problems)?;
    match text.strip_prefix("unix:") {
        Some("") => node.bad("the socket's path is missing, like \"unix:/run/sidehook.sock\"", problems),
        Some(path) => Some(Address::Unix(path.into())),
        None => match text.parse() {
            Ok(address) => Some(Address::Tcp(address)),
            Err(_) => node.bad(address_for(&text), problems),
        },
    }
}

/// What to write where `text` should have been an address.
fn address_for(text: &str) -> String {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "7070"));
    let host = host.rsplit("//").next().unwrap_or_default();
    let port = port.trim_end_matches('/').parse::<u16>().ok();
    match (host, port) {
        ("" | "*", Some(port)) => format!("write \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for all networks"),
        ("localhost", Some(port)) => format!("write \"127.0.0.1:{port}\""),
        (host, Some(port)) if host.parse::<std::net::Ipv4Addr>().is_ok() => format!("write \"{host}:{port}\""),
        _ if text.starts_with('/') => format!("write \"unix:{text}\""),
        _ => "write an IP address and a port, like \"127.0.0.1:7070\", or \"unix:PATH\"".to_owned(),
    }
}

/// A file's permissions, in octal.
pub(super) fn mode(node: &Node<'_>, problems: &mut Problems) -> Option<u32> {
    if let DeValue::Integer(number) = node.value {
        return node.wrong("a string", format!("write \"0{}\"", number.as_str()), problems);
    }
    let text = filled(node, problems)?;
    let octal = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte)).then(|| u32::from_str_radix(&text, 8).ok()).flatten();
    octal.filter(|mode| *mode <= 0o777).or_else(|| node.bad("write it in octal, like \"0660\"", problems))
}

/// The key `token`; one that cannot be read is there nevertheless, with none in it.
pub(super) fn token(section: &mut Section<'_, '_>) -> Option<At<Vec<At<Text>>>> {
    let node = section.node("token")?;
    Some(section.read("token", tokens).unwrap_or(At { value: Vec::new(), span: node.span }))
}

/// One secret, or two while one replaces the other.
fn tokens(node: &Node<'_>, problems: &mut Problems) -> Option<Vec<At<Text>>> {
    match node.value.as_array() {
        None => Some(vec![At { value: text(node, problems)?, span: node.span.clone() }]),
        Some(array) if array.len() > 2 => node.bad("at most two tokens", problems),
        Some(_) => some(text)(node, problems),
    }
}

/// A host as it stands in a `Host` header, without port and brackets, in lower case.
pub(super) fn host(node: &Node<'_>, problems: &mut Problems) -> Option<String> {
    let text = filled(node, problems)?.to_ascii_lowercase();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(&text);
    let is_name = bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) && !bare.is_empty();
    if is_name || bare.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some(bare.to_owned());
    }
    node.bad("write a host name or an address, without scheme and port", problems)
}
