//! `chancery keys abandon-sealed`: on with the service after the key-encryption key was lost.
//!
//! It works on the database alone, because a server can't even be put together when its signing keys
//! do not open.

use flows::{
    SystemClock, SystemRandom,
    backup::{Operator, abandon_unopened},
};
use keys::Sealer;
use serde_json::json;

use super::{Failure, answer::Answer, database, input, operator, settings};
use crate::cli::{Common, Confirm};

/// Gives up what does not open.
///
/// # Errors
/// If nobody agreed, or the database does not answer.
pub async fn run(confirm: Confirm, common: &Common) -> Result<Answer, Failure> {
    input::confirm(
        confirm,
        "Give up every signing key and authenticator that the configured key does not open?",
    )?;
    let settings = settings(common)?;
    let key = settings.key_encryption_key();
    let key = key.ok_or_else(|| Failure::new("secrets.key_encryption_key is missing"))?;
    let store = database::open(&settings, false).await?;
    let operator = Operator { name: operator::name(), clock: &SystemClock, random: &SystemRandom };
    let abandoned = abandon_unopened(&store, &Sealer::new(&key, &[]), &operator).await;
    store.close().await;
    let abandoned = abandoned.map_err(Failure::new)?;
    let (keys, authenticators) = (abandoned.keys.len(), abandoned.authenticators);
    let mut text = format!("{keys} signing keys are revoked, {authenticators} authenticators removed");
    if abandoned.subject_key {
        text.push_str("; clients with pairwise subjects will know people by new names");
    }
    let json = json!({
        "keys": abandoned.keys,
        "authenticators": authenticators,
        "subject_key": abandoned.subject_key,
    });
    let answer = Answer::new(text, json);
    Ok(if keys == 0 && authenticators == 0 && !abandoned.subject_key {
        answer.note("everything that is sealed opens with the configured key")
    } else {
        answer.note("servers make new signing keys when they start; people enrol anew at their next sign-in")
    })
}
