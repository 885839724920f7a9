//! `chancery config …`

use serde_json::json;

use crate::{
    cli::{Common, ConfigCommand},
    commands::{Failure, answer::Answer, settings},
    config::{check::warnings, reference},
};

/// Runs one of them.
///
/// # Errors
/// The mistakes of the configuration, with exit code 2.
pub fn run(command: ConfigCommand, common: &Common) -> Result<Answer, Failure> {
    match command {
        ConfigCommand::Check => {
            let settings = settings(common)?;
            let warnings: Vec<String> = warnings(&settings).iter().map(ToString::to_string).collect();
            let mut lines: Vec<String> = warnings.iter().map(|warning| format!("note: {warning}")).collect();
            lines.push("the configuration is fine".to_owned());
            Ok(Answer::new(lines.join("\n"), json!({ "fine": true, "notes": warnings })))
        }
        // The text ends with a line feed already.
        ConfigCommand::Reference => {
            let page = reference::markdown();
            Ok(Answer::new(page.trim_end(), json!({ "reference": page })))
        }
    }
}
