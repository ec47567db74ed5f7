//! `sidehook completions` and `sidehook man`: what the command line knows of itself, for shells and for man(1).

use std::process::ExitCode;

use clap::CommandFactory as _;

use super::{Cli, Stop, terminal};

#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

impl Completions {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "sidehook", &mut script);
        write(&script)
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Man {
    /// The page of a command [default: the one of all]
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

impl Man {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut all = Cli::command().disable_help_subcommand(true);
        all.build();
        let page = match &self.command {
            Some(name) => all.find_subcommand(name).ok_or_else(|| Stop::Usage(format!("there is no command {name}")))?.clone(),
            None => all,
        };
        let mut roff = Vec::new();
        clap_mangen::Man::new(page).render(&mut roff)?;
        write(&roff)
    }
}

fn write(text: &[u8]) -> anyhow::Result<ExitCode> {
    terminal::try_print(String::from_utf8_lossy(text).trim_end())?;
    Ok(ExitCode::SUCCESS)
}
