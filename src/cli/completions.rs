//! `occdepth completions`: scripts for shells.

use super::{Cli, Failure};
use clap::CommandFactory as _;
use clap_complete::Shell;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The shell; for bash: `occdepth completions bash > ~/.local/share/bash-completion/completions/occdepth`
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "occdepth", &mut script);
    super::output::print(&script)
}
