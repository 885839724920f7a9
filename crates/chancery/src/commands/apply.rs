//! `chancery apply`: what can be decided before the store is asked to change anything.

use std::io::{self, BufRead, IsTerminal};

use crate::{
    cli::ApplyArgs,
    commands::{Failure, MISCONFIGURED, say},
    declare::{
        Change, Declared,
        difference::{Shown, is_change},
    },
};

/// Reads the file.
///
/// # Errors
/// All mistakes in one message, with exit code 2.
pub fn read(arguments: &ApplyArgs) -> Result<Declared, Failure> {
    Declared::read(&arguments.file).map_err(|faults| Failure {
        message: faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        code: MISCONFIGURED,
    })
}

/// Shows the difference and says whether to go on: not if there is nothing to do or it is a dry run;
/// else if `--yes` is given or the person at the terminal agrees.
///
/// # Errors
/// If there is nobody to ask.
pub fn agreed(arguments: &ApplyArgs, changes: &[Change]) -> Result<bool, Failure> {
    say(Shown(changes))?;
    if arguments.dry_run || !is_change(changes) {
        return Ok(false);
    }
    if arguments.yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::new("nothing was changed: there is nobody to ask; repeat with --yes"));
    }
    say("Apply these changes? [y/N]")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(Failure::new)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
