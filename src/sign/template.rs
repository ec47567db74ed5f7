//! Texts with `{placeholders}`, read once and filled in many times.
//!
//! Comes in: a text of the config, in which `{{` and `}}` are braces. Goes out: its parts in order; what a placeholder
//! stands for is the business of whoever fills it in.
//!
//! **Invariant:** a template names only placeholders its kind knows, and no two literals stand side by side.

use std::fmt;

/// The set of placeholders one kind of template may name.
pub trait Placeholder: Copy + PartialEq + 'static {
    /// Each placeholder with its name, as it stands between the braces.
    const NAMES: &'static [(&'static str, Self)];
}

/// A text with placeholders of the kind `P`. `Display` writes it as it would stand in the config.
#[derive(Clone, PartialEq, Eq)]
pub struct Template<P> {
    parts: Box<[Part<P>]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<P> {
    Filled(P),
    /// Never empty, and without the doubling of its braces.
    Literal(Box<str>),
}

/// Why a text is no template; `at` is the byte where it shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("a `{{` or `}}` has no partner: write `{{{{` and `}}}}` for braces that are only text")]
    Unbalanced { at: usize },
    #[error("`{{{name}}}` is not known here: there is {}", listed(known))]
    Unknown { at: usize, name: String, known: Vec<&'static str> },
}

impl<P: Placeholder> Template<P> {
    pub fn parse(text: &str) -> Result<Template<P>, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            let at = text.len() - rest.len() + brace;
            let (before, tail) = rest.split_at(brace);
            literal.push_str(before);
            if let Some(after) = tail.strip_prefix("{{").or_else(|| tail.strip_prefix("}}")) {
                literal.push_str(&tail[..1]);
                rest = after;
                continue;
            }
            let (placeholder, after) = placeholder(tail, at)?;
            push_literal(&mut parts, &mut literal);
            parts.push(Part::Filled(placeholder));
            rest = after;
        }
        literal.push_str(rest);
        push_literal(&mut parts, &mut literal);
        Ok(Template { parts: parts.into() })
    }

    /// The whole text, where nothing is filled in.
    pub fn literal(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    pub fn uses(&self, placeholder: P) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Filled(used) if *used == placeholder))
    }

    /// Appends the text to `out`; `fill` appends what a placeholder stands for.
    pub fn render(&self, out: &mut Vec<u8>, mut fill: impl FnMut(P, &mut Vec<u8>)) {
        for part in &self.parts {
            match part {
                Part::Filled(placeholder) => fill(*placeholder, out),
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
            }
        }
    }

    pub fn parts(&self) -> &[Part<P>] {
        &self.parts
    }
}

impl<P: Placeholder> fmt::Display for Template<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Filled(placeholder) => {
                    let name = P::NAMES.iter().find(|(_, named)| named == placeholder).map_or("", |(name, _)| *name);
                    write!(f, "{{{name}}}")?;
                }
                Part::Literal(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}"))?,
            }
        }
        Ok(())
    }
}

impl<P: Placeholder> fmt::Debug for Template<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

/// Reads the placeholder that `tail` begins with, and what stands behind it.
fn placeholder<P: Placeholder>(tail: &str, at: usize) -> Result<(P, &str), TemplateError> {
    let closed = tail.strip_prefix('{').and_then(|open| open.split_once('}'));
    let (name, after) = closed.filter(|(name, _)| !name.contains('{')).ok_or(TemplateError::Unbalanced { at })?;
    match P::NAMES.iter().find(|(known, _)| *known == name) {
        Some((_, placeholder)) => Ok((*placeholder, after)),
        None => {
            let known = P::NAMES.iter().map(|(known, _)| *known).collect();
            Err(TemplateError::Unknown { at, name: name.to_owned(), known })
        }
    }
}

fn push_literal<P>(parts: &mut Vec<Part<P>>, literal: &mut String) {
    if !literal.is_empty() {
        parts.push(Part::Literal(std::mem::take(literal).into()));
    }
}

fn listed(known: &[&str]) -> String {
    known.iter().map(|name| format!("`{{{name}}}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Fruit {
        Apple,
        Pear,
    }

    impl Placeholder for Fruit {
        const NAMES: &'static [(&'static str, Fruit)] = &[("apple", Fruit::Apple), ("pear", Fruit::Pear)];
    }

    fn rendered(text: &str) -> String {
        let mut out = Vec::new();
        let template = Template::<Fruit>::parse(text).unwrap();
        template.render(&mut out, |fruit, out| out.extend_from_slice(format!("<{fruit:?}>").as_bytes()));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn placeholders_are_filled_in_and_doubled_braces_are_braces() {
        for (text, expected) in [
            ("", ""),
            ("plain ü", "plain ü"),
            ("{apple}", "<Apple>"),
            ("a{apple}b{pear}{apple}c", "a<Apple>b<Pear><Apple>c"),
            ("{{apple}}", "{apple}"),
            ("{{{apple}}}", "{<Apple>}"),
            ("}}{{", "}{"),
        ] {
            assert_eq!(rendered(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_template_says_where_and_what_would_be() {
        let known = vec!["apple", "pear"];
        let unknown = |at, name: &str| TemplateError::Unknown { at, name: name.to_owned(), known: known.clone() };
        for (text, error) in [
            ("ab{", TemplateError::Unbalanced { at: 2 }),
            ("ä}", TemplateError::Unbalanced { at: 2 }),
            ("{apple", TemplateError::Unbalanced { at: 0 }),
            ("{apple}}", TemplateError::Unbalanced { at: 7 }),
            ("{a{apple}", TemplateError::Unbalanced { at: 0 }),
            ("x{}", unknown(1, "")),
            ("{apple}{ pear }", unknown(7, " pear ")),
            ("{Apple}", unknown(0, "Apple")),
        ] {
            assert_eq!(Template::<Fruit>::parse(text), Err(error), "{text}");
        }
        assert_eq!(unknown(0, "plum").to_string(), "`{plum}` is not known here: there is `{apple}`, `{pear}`");
        assert_eq!(
            TemplateError::Unbalanced { at: 0 }.to_string(),
            "a `{` or `}` has no partner: write `{{` and `}}` for braces that are only text"
        );
    }

    #[test]
    fn a_template_knows_whether_and_what_it_fills_in() {
        let template = |text| Template::<Fruit>::parse(text).unwrap();
        assert_eq!(template("").literal(), Some(""));
        assert_eq!(template("{{x}}").literal(), Some("{x}"));
        assert_eq!(template("x{apple}").literal(), None);
        assert!(template("x{apple}").uses(Fruit::Apple) && !template("x{apple}").uses(Fruit::Pear));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_is_read_is_written_back(text in "[a-z{}ü]{0,12}|(\\{apple\\}|\\{pear\\}|\\{\\{|\\}\\}|ü| ){0,8}") {
            if let Ok(template) = Template::<Fruit>::parse(&text) {
                prop_assert_eq!(template.to_string(), text);
            }
        }

        #[test]
        fn a_text_with_its_braces_doubled_is_a_literal(text in any::<String>()) {
            let template = Template::<Fruit>::parse(&text.replace('{', "{{").replace('}', "}}")).unwrap();
            prop_assert_eq!(template.literal(), Some(text.as_str()));
        }
    }
}
