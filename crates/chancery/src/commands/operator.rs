//! How commands reach the use cases of operators.

use flows::{
    FlowError, Service,
    operate::{Operate, OperateFault},
};
use store::Store;

use super::{Failure, MISCONFIGURED, NOT_FOUND, database, serve, settings};
use crate::cli::Common;

/// Runs a command on the database alone, for what only reads; no key is needed for that.
///
/// # Errors
/// If the configuration is wrong or the database does not answer; else what the command says.
pub async fn with_store<T>(
    common: &Common,
    command: impl AsyncFnOnce(&Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let store = database::open(&settings(common)?, false).await?;
    let done = command(&store).await;
    store.close().await;
    done
}

/// Runs a command on the use cases.
///
/// # Errors
/// Like [`with_store`].
pub async fn with_service<T>(
    common: &Common,
    command: impl AsyncFnOnce(&Service) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let settings = settings(common)?;
    let store = database::open(&settings, false).await?;
    let service = serve::service(&settings, store).await?;
    let done = command(&service).await;
    service.store().close().await;
    done
}

/// The use cases of whoever runs the command, as the operating system knows them.
pub fn operate(service: &Service) -> Operate<'_> {
    service.operate(name())
}

/// Who runs the command.
pub fn name() -> String {
    operator(|name| std::env::var(name).ok(), uid())
}

/// Who was there before `sudo`, else who is there; names can be claimed, so the number of the account
/// stands beside it.
fn operator(environment: impl Fn(&str) -> Option<String>, uid: Option<u32>) -> String {
    let mut names = ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(environment);
    let name = names.find(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned());
    uid.map_or_else(|| name.clone(), |uid| format!("{name} (uid {uid})"))
}

/// The owner of this process.
#[cfg(target_os = "linux")]
fn uid() -> Option<u32> {
    let process = std::fs::metadata("/proc/self").ok()?;
    Some(std::os::unix::fs::MetadataExt::uid(&process))
}

#[cfg(not(target_os = "linux"))]
const fn uid() -> Option<u32> {
    None
}

/// The outcome of a use case as that of a command.
///
/// # Errors
/// With exit code 3 if there is nothing of that name, 2 if rules are broken, else 1.
pub fn outcome<T>(outcome: Result<Result<T, OperateFault>, FlowError>) -> Result<T, Failure> {
    outcome.map_err(Failure::new)?.map_err(|fault| {
        let code = match &fault {
            OperateFault::NotFound { .. } => NOT_FOUND,
            OperateFault::Rules(_) | OperateFault::Weak(_) => MISCONFIGURED,
            _ => super::FAILED,
        };
        Failure { message: fault.to_string(), code }
    })
}

/// What was looked for, or exit code 3.
///
/// # Errors
/// If there is none.
pub fn found<T>(what: &str, name: impl std::fmt::Display, found: Option<T>) -> Result<T, Failure> {
    found.ok_or_else(|| Failure { message: format!("there is no {what} {name}"), code: NOT_FOUND })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sudo_does_not_hide_who_it_was() {
        let environment = |name: &str| match name {
            "SUDO_USER" => Some("alex".to_owned()),
            "USER" => Some("root".to_owned()),
            _ => None,
        };
        assert_eq!(operator(environment, Some(0)), "alex (uid 0)");
        assert_eq!(operator(|name| environment(name).filter(|user| user == "root"), None), "root");
        assert_eq!(operator(|_| Some(String::new()), Some(7)), "unknown (uid 7)");
    }

    #[test]
    fn faults_have_exit_codes() {
        let code = |fault| outcome::<()>(Ok(Err(fault))).err().map(|failure| failure.code);
        assert_eq!(code(OperateFault::NotFound { what: "client", name: "x".to_owned() }), Some(3));
        assert_eq!(code(OperateFault::Rules(vec!["a".to_owned()])), Some(2));
        assert_eq!(code(OperateFault::Exists { what: "client", name: "x".to_owned() }), Some(1));
        assert_eq!(found::<()>("client", "x", None).err().map(|failure| failure.code), Some(3));
    }
}
