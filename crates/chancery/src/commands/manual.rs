//! `chancery completions`, `chancery man`, and the reference of the command line, all made of the
//! grammar. `docs/cli.md` is the reference; a test compares the two.

use std::{fmt::Write, fs, path::Path};

use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use serde_json::json;

use super::{Failure, answer::Answer};
use crate::cli::Cli;

const PREFACE: &str = "# Command line

<!-- Generated from the grammar in crates/chancery/src/cli.rs.
     Regenerate: cargo run -p chancery -- reference > docs/cli.md -->

Every command takes `--config FILE` (or `CHANCERY_CONFIG`) and `--json`: answers then come as JSON on standard
output, failures as `{\"error\": …, \"exit_code\": …}` on standard error.

| Exit code | |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | the command line, the configuration or what was given is wrong |
| 3 | there is nothing of that name |

Secrets and passwords are read from files or standard input (`-`), never from arguments. One that is made is printed
once, alone on standard output: `SECRET=$(chancery clients rotate-secret ledgerline)`.

What takes something away asks first; `--yes` answers. Commands work on the database, so they need no running server;
servers that run notice within a second. Whoever runs a command stands in the audit trail under the name that the
operating system knows them by.

`chancery completions bash|zsh|fish` prints a completion script, `chancery man` the manual page.
";

/// A completion script.
///
/// # Errors
/// Never.
pub fn completions(shell: Shell) -> Result<Answer, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "chancery", &mut script);
    let script = String::from_utf8_lossy(&script);
    Ok(Answer::new(script.trim_end(), json!({ "completions": script })))
}

/// The manual page; or the pages of all commands, as files in a directory.
///
/// # Errors
/// If they can't be written.
pub fn man(directory: Option<&Path>) -> Result<Answer, Failure> {
    let Some(directory) = directory else {
        let mut page = Vec::new();
        Man::new(Cli::command()).render(&mut page).map_err(Failure::new)?;
        let page = String::from_utf8_lossy(&page);
        return Ok(Answer::new(page.trim_end(), json!({ "man": page })));
    };
    fs::create_dir_all(directory).map_err(Failure::new)?;
    clap_mangen::generate_to(Cli::command(), directory).map_err(Failure::new)?;
    Ok(Answer::new(format!("the pages are in {}", directory.display()), json!({ "directory": directory })))
}

/// The whole reference as Markdown.
pub fn markdown() -> String {
    let mut root = Cli::command();
    root.build();
    let mut page = PREFACE.to_owned();
    for command in visible(&root) {
        section(&mut page, command);
    }
    page
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

fn section(page: &mut String, command: &Command) {
    let has_subcommands = visible(command).next().is_some();
    let depth =
        if command.get_bin_name().is_some_and(|name| name.split(' ').count() == 2) { "##" } else { "###" };
    let title = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string);
    // Writing to a String cannot fail.
    let _ = write!(page, "\n{depth} {title}\n\n{}\n", sentence(&about.unwrap_or_default()));
    if !has_subcommands {
        let usage = command.clone().render_usage().to_string();
        let _ = write!(page, "\n```\n{}\n```\n", usage.trim_start_matches("Usage: "));
    }
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && !argument.is_global_set())
        .filter(|argument| !["help", "version"].contains(&argument.get_id().as_str()))
        .collect();
    if !arguments.is_empty() {
        page.push_str("\n| | |\n|---|---|\n");
        for argument in arguments {
            let _ = writeln!(page, "| {} | {} |", spelled(argument), explained(argument));
        }
    }
    for command in visible(command) {
        section(page, command);
    }
}

fn spelled(argument: &Arg) -> String {
    let value = || {
        let names = argument.get_value_names().unwrap_or_default();
        names.iter().map(|name| format!(" <{name}>")).collect::<String>()
    };
    let value = if argument.get_action().takes_values() { value() } else { String::new() };
    match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) => format!("`-{short}`, `--{long}{value}`"),
        (None, Some(long)) => format!("`--{long}{value}`"),
        _ => format!("`{}`", value.trim_start()),
    }
}

fn explained(argument: &Arg) -> String {
    let mut text = sentence(&argument.get_help().map(ToString::to_string).unwrap_or_default());
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() && argument.get_action().takes_values() {
        let _ = write!(text, " Default: `{}`.", defaults.join(" "));
    }
    let possible = argument.get_possible_values();
    let names: Vec<_> = possible.iter().map(|value| format!("`{}`", value.get_name())).collect();
    if !names.is_empty() && argument.get_action().takes_values() && !argument.is_hide_possible_values_set() {
        let _ = write!(text, " One of {}.", names.join(", "));
    }
    text.replace('|', "\\|")
}

/// The text with a full stop at the end of each paragraph.
fn sentence(text: &str) -> String {
    let closed = |text: &str| if text.ends_with(['.', ':']) { text.to_owned() } else { format!("{text}.") };
    let paragraphs = text.split("\n\n").map(str::trim).filter(|text| !text.is_empty());
    paragraphs.map(closed).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_committed_reference_is_generated() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
        let committed = fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == markdown(),
            "docs/cli.md is out of date; regenerate it with: cargo run -p chancery -- reference > docs/cli.md"
        );
    }

    #[test]
    fn every_argument_is_explained() {
        fn check(command: &Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        let mut root = Cli::command();
        root.build();
        visible(&root).for_each(check);
    }

    #[test]
    fn scripts_and_pages_know_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completions(shell).unwrap();
            assert!(script.text().contains("rotate-secret"), "{shell}");
        }
        assert!(man(None).unwrap().text().contains("resource\\-servers"));
        let directory = tempfile::tempdir().unwrap();
        let _ = man(Some(directory.path())).unwrap();
        assert!(directory.path().join("chancery-keys-rotate.1").exists());
    }
}
