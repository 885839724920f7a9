//! `chancery config …`

use crate::{
    cli::{Common, ConfigCommand},
    commands::{Failure, say, settings},
    config::{check::warnings, reference},
};

/// Runs one of them.
///
/// # Errors
/// The mistakes of the configuration, with exit code 2.
pub fn run(command: ConfigCommand, common: &Common) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check => {
            let settings = settings(common)?;
            for warning in warnings(&settings) {
                say(format_args!("note: {warning}"))?;
            }
            say("the configuration is fine")
        }
        // The text ends with a line feed already.
        ConfigCommand::Reference => say(reference::markdown().trim_end()),
    }
}
