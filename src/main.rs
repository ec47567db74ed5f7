//! The `sidehook` command. Everything it does is in the library; see [`sidehook::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    sidehook::cli::main()
}
