//! `chancery apply`: makes the server agree with a file that describes the bank.

use std::io::{self, BufRead, IsTerminal};

use flows::{FlowError, Service};
use serde_json::json;

use crate::{
    cli::{ApplyArgs, Common},
    commands::{Failure, MISCONFIGURED, answer::Answer, database, say, serve, settings},
    declare::{
        self, Change, Declared, DeclaredPassword, difference,
        difference::{Shown, is_change},
    },
};

/// Reads the file, shows the difference, asks, and acts.
///
/// # Errors
/// Mistakes in the file with exit code 2, before anything is changed.
pub async fn run(arguments: &ApplyArgs, common: &Common) -> Result<Answer, Failure> {
    let wanted = read(arguments)?;
    let settings = settings(common)?;
    let store = database::open(&settings, false).await?;
    let service = serve::service(&settings, store).await?;
    let changes = changes(&service, &wanted).await.map_err(Failure::new)?;
    // The rooms' rules come before the question: nobody agrees to what can't be done.
    check(&service, &wanted).await?;
    let applied = agreed(arguments, &changes, common.json)?;
    if applied {
        service.declare(&wanted).await.map_err(Failure::new)?.map_err(misdeclared)?;
    }
    service.store().close().await;
    let text = if applied { "applied" } else { "" };
    Ok(Answer::new(text, json!({ "changes": changes, "applied": applied })))
}

async fn check(service: &Service, wanted: &Declared) -> Result<(), Failure> {
    service.check_declaration(wanted).await.map_err(Failure::new)?.map_err(misdeclared)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn misdeclared(fault: flows::declare::DeclareFault) -> Failure {
    Failure { message: fault.to_string(), code: MISCONFIGURED }
}

/// What the file would change. A password in clear is compared with the stored hash, so that a
/// file that repeats it changes nothing.
///
/// # Errors
/// If the store does not answer.
pub async fn changes(service: &Service, wanted: &Declared) -> Result<Vec<Change>, FlowError> {
    let current = service.declaration().await?;
    let mut same = Vec::new();
    for user in &wanted.users {
        if let Some(DeclaredPassword::Plain(password)) = &user.password
            && service.is_password_of(&user.username, password).await?
        {
            same.push(password.clone());
        }
    }
    Ok(difference(&current, wanted, |password, _| same.contains(password)))
}

/// Reads the file.
///
/// # Errors
/// All mistakes in one message, with exit code 2.
pub fn read(arguments: &ApplyArgs) -> Result<Declared, Failure> {
    declare::read(&arguments.file).map_err(|faults| Failure {
        message: faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        code: MISCONFIGURED,
    })
}

/// Shows the difference and says whether to go on: not if there is nothing to do or it is a dry run;
/// else if `--yes` is given or the person at the terminal agrees.
///
/// # Errors
/// If there is nobody to ask.
pub fn agreed(arguments: &ApplyArgs, changes: &[Change], as_json: bool) -> Result<bool, Failure> {
    if !as_json {
        say(Shown(changes))?;
    }
    if arguments.dry_run || !is_change(changes) {
        return Ok(false);
    }
    if arguments.yes {
        return Ok(true);
    }
    if as_json || !io::stdin().is_terminal() {
        return Err(Failure::new("nothing was changed: there is nobody to ask; repeat with --yes"));
    }
    say("Apply these changes? [y/N]")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(Failure::new)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
