//! `sidehook check`: is this config right?

use std::{path::Path, process::ExitCode};

use super::{ConfigFile, DOES_NOT_HOLD, terminal};
use crate::config::{self, Config, Entry, Problem, Problems};

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
                terminal::complain(problems);
                if let Some(config) = loaded.as_ref().ok().filter(|_| ok) {
                    terminal::print(told(&path, config));
                }
            }
        }
        Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(DOES_NOT_HOLD) })
    }
}

fn told(path: &Path, config: &Config) -> String {
    let endpoints = terminal::count(config.endpoints.len(), "endpoint");
    format!("{}: ok, {endpoints}, {}", path.display(), terminal::count(config.routes.len(), "route"))
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
    let place = problem.span.as_ref().map(|span| problems.position(span));
    let place = place.map(|(line, column)| format!(",line={line},col={column}")).unwrap_or_default();
    let message = [Some(&problem.message), problem.label.as_ref(), problem.help.as_ref()];
    let message = message.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("\n");
    let file = escaped(&path.display().to_string()).replace(':', "%3A").replace(',', "%2C");
    format!("::{} file={file}{place},title={}::{}", problem.severity.as_str(), problem.code.as_str(), escaped(&message))
}

fn escaped(text: &str) -> String {
    terminal::printable(text.as_bytes()).replace('%', "%25").replace('\n', "%0A")
}
