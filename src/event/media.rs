//! Media types: what a `Content-Type`, or a CloudEvent's `datacontenttype`, calls a text.

/// A media type (RFC 9110, section 8.3.1), as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType<'a> {
    /// `type/subtype`, as written.
    essence: &'a str,
    /// Whether its text is UTF-8: of another charset where that is named.
    pub is_utf8: bool,
}

impl<'a> MediaType<'a> {
    /// Reads `type/subtype` with its parameters; of these only the charset is looked at.
    pub fn parse(text: &'a str) -> Option<MediaType<'a>> {
        let mut parts = unquoted_parts(text);
        let essence = parts.next()?.trim();
        let (main, sub) = essence.split_once('/')?;
        if !(is_token(main) && is_token(sub)) {
            return None;
        }
        let charset = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
        let is_utf8 = charset.is_none_or(|(_, value)| value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"));
        Some(MediaType { essence, is_utf8 })
    }

    /// Whether this is the type `essence`, whatever its parameters.
    pub fn is(&self, essence: &str) -> bool {
        self.essence.eq_ignore_ascii_case(essence)
    }

    /// Whether what is of this type is JSON (RFC 6839 for the suffix).
    pub fn is_json(&self) -> bool {
        let suffix = self.essence.rsplit_once('+').map(|(_, suffix)| suffix);
        self.is("application/json") || self.is("text/json") || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("json"))
    }
}

/// What stands between the semicolons of a media type; those in quotes are text.
fn unquoted_parts(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        let ends = character == ';' && !quoted;
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        ends
    })
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_by_type_or_suffix_and_its_charset_from_others() {
        for (text, expected) in [
            ("application/json", Some((true, true))),
            (" Application/JSON ; charset=UTF-8", Some((true, true))),
            ("text/json;x=\";charset=a\";charset=\"utf-8\"", Some((true, true))),
            ("application/vnd.x+json; Charset = utf-16", Some((true, false))),
            ("application/json+xml", Some((false, true))),
            ("application/xjson", Some((false, true))),
            ("text/plain;charset=us-ascii", Some((false, false))),
            ("", None),
            ("json", None),
            ("application/", None),
            ("/json", None),
            ("application/json json", None),
            ("a/b/c", None),
        ] {
            assert_eq!(MediaType::parse(text).map(|media| (media.is_json(), media.is_utf8)), expected, "{text}");
        }
    }
}
