//! `sidehook check`: is this config right?

use std::{path::Path, process::ExitCode};

use super::{ConfigFile, DOES_NOT_HOLD, terminal};
use crate::config::{self, Code, Config, Entry, Problem, Problems, Range};

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigFile,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    /// How to write what is found: for people, as one line of JSON, or as annotations of GitHub Actions
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Github,
    Json,
    Text,
}

impl Check {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let path = self.config.path();
        let loaded = config::load(&path);
        let problems = loaded.as_ref().map_or_else(|problems| problems, |config| &config.warnings);
        let ok = loaded.is_ok() && (!self.strict || problems.is_empty());
        match self.format {
            Format::Github => problems.iter().for_each(|problem| terminal::print(github(&path, problems, problem))),
            Format::Json => terminal::print(json(&path, problems, ok)?),
            Format::Text => {
                terminal::complain_of(problems);
                match loaded.as_ref().ok().filter(|_| ok) {
                    Some(config) => terminal::print(told(&path, config)),
                    None => {
                        terminal::complain("\n");
                        let strictly = if problems.errors() == 0 { ", and --strict allows none" } else { "" };
                        terminal::fail(format_args!("{}{strictly}", problems.summary()));
                    }
                }
            }
        }
        Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(DOES_NOT_HOLD) })
    }
}

/// The help's end: `examples`, what is in the JSON, and what the codes mean.
pub(super) fn codes(examples: &str) -> String {
    let line = |code: &Code| format!("  {:16} {}\n", code.as_str(), code.means());
    let lines: String = Code::ALL.iter().map(line).collect();
    format!("{examples}\n\n{JSON_FIELDS}\n\nCodes of problems:\n{}", lines.trim_end())
}

fn told(path: &Path, config: &Config) -> String {
    let endpoints = terminal::count(config.endpoints.len(), "endpoint");
    let warnings = config.warnings.iter().count();
    let warnings = if warnings > 0 { format!(", {}", terminal::count(warnings, "warning")) } else { String::new() };
    format!("{}: ok, {endpoints}, {}{warnings}", path.display(), terminal::count(config.routes.len(), "route"))
}

#[derive(serde::Serialize)]
struct Report<'a> {
    file: String,
    ok: bool,
    /// Those that are not listed included.
    errors: usize,
    problems: Vec<Entry<'a>>,
}

fn json(path: &Path, problems: &Problems, ok: bool) -> serde_json::Result<String> {
    let file = path.display().to_string();
    serde_json::to_string(&Report { file, ok, errors: problems.errors(), problems: problems.entries() })
}

/// A workflow command (GitHub, "Workflow commands for GitHub Actions").
fn github(path: &Path, problems: &Problems, problem: &Problem) -> String {
    let place = problem.span.as_ref().map(|span| match problems.range(span) {
        Range { line, column, end_line, end_column } if line == end_line => {
            format!(",line={line},endLine={line},col={column},endColumn={end_column}")
        }
        // There are no columns over several lines.
        Range { line, end_line, .. } => format!(",line={line},endLine={end_line}"),
    });
    let place = place.unwrap_or_default();
    let message = [Some(&problem.message), problem.label.as_ref(), problem.help.as_ref()];
    let message = message.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("\n");
    let file = escaped(&path.display().to_string()).replace(':', "%3A").replace(',', "%2C");
    format!("::{} file={file}{place},title={}::{}", problem.severity.as_str(), problem.code.as_str(), escaped(&message))
}

fn escaped(text: &str) -> String {
    terminal::printable(text.as_bytes()).replace('%', "%25").replace('\n', "%0A")
}

const JSON_FIELDS: &str = "--format json is one object with file, ok, errors (how many) and problems: a list of objects with
severity, code and message, and where there are any line, column, end_line and end_column (from 1, in
characters, the end behind the last one), label, help and related (other places, with a label).";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Outside, parse};

    #[test]
    fn an_annotation_has_its_place() {
        let source = "[[routes]]\nevents = [\n]\nto = 'a%b'\ncolour = 1\n";
        let lines = annotations(source);
        let places = ["line=2,endLine=3", "line=4,endLine=4,col=6,endColumn=11", "line=5,endLine=5,col=1,endColumn=7"];
        for (line, place) in lines.iter().zip(places) {
            assert!(line.starts_with(&format!("::error file=a%3Ab%2Cc.toml,{place},title=")), "{line}");
        }
        assert!(lines[1].ends_with("::`to` must be a list, not a string%0Awrite [\"a%25b\"]"), "{}", lines[1]);
        assert_eq!(lines.len(), 3, "{lines:?}");
    }

    proptest! {
        #[test]
        fn an_annotation_is_one_line_whatever_the_file_holds(
            before in "(\\PC|\n|\"){0,40}",
            key in "[a-z]{1,6} ?[=:] ?(\\PC|\n|\r|\t){0,20}",
        ) {
            for line in annotations(&format!("{before}\n{key}")) {
                prop_assert!(line.starts_with("::") && !line.contains(['\n', '\r']), "{line}");
            }
        }
    }

    fn annotations(source: &str) -> Vec<String> {
        let path = Path::new("a:b,c.toml");
        let problems = parse(source, path, &Outside::process()).map_or_else(|problems| problems, |config| config.warnings);
        problems.iter().map(|problem| github(path, &problems, problem)).collect()
    }
}
