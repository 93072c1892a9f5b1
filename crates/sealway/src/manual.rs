//! Manual pages and completions, made from the definitions of the commands.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Command;

use crate::show;

/// Whose completions.
#[derive(Debug, clap::Args)]
pub(crate) struct Shell {
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Where manual pages go.
#[derive(Debug, clap::Args)]
pub(crate) struct Directory {
    directory: PathBuf,
}

/// Prints the completions of `command` for a shell.
pub(crate) fn completions(command: &mut Command, asked: &Shell) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(asked.shell, command, "sealway", &mut text);
    show::emit(&String::from_utf8(text)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes `sealway.1`, and `sealway-NAME.1` for each command that is not hidden.
pub(crate) fn write(command: Command, asked: &Directory) -> anyhow::Result<ExitCode> {
    let directory = &asked.directory;
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make the directory {}", directory.display()))?;
    let mut command = command.disable_help_subcommand(true);
    command.build();
    clap_mangen::generate_to(command, directory)
        .with_context(|| format!("cannot write manual pages to {}", directory.display()))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_page() {
        let directory = tempfile::tempdir().unwrap();
        let command = Command::new("sealway")
            .subcommand(Command::new("up").about("Run"))
            .subcommand(Command::new("bench").subcommand(Command::new("esp")));
        let asked = Directory {
            directory: directory.path().join("man1"),
        };
        write(command, &asked).unwrap();
        let mut pages: Vec<_> = fs::read_dir(&asked.directory)
            .unwrap()
            .map(|page| page.unwrap().file_name().into_string().unwrap())
            .collect();
        pages.sort();
        let expected = [
            "sealway-bench-esp.1",
            "sealway-bench.1",
            "sealway-up.1",
            "sealway.1",
        ];
        assert_eq!(pages, expected);
    }
}
