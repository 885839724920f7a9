//! Signals: SIGTERM and SIGINT stop gently, a second one at once; SIGHUP reads certificates again.

use std::{io, sync::Arc};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::listen::Certificates;

/// A token that is cancelled at the first SIGTERM or SIGINT. The second ends the process, for
/// whoever will not wait for the drain.
///
/// # Errors
/// If the operating system refuses the handlers.
pub fn stop_on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        for second in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if second {
                tracing::warn!("stopping at once; requests in progress are cut");
                std::process::exit(1);
            }
            tracing::info!("stopping; requests in progress may finish");
            told.cancel();
        }
    });
    Ok(stop)
}

/// Reads the certificate files again at every SIGHUP. Without built-in TLS there are none and the
/// signal means nothing, but it does not end the process either.
///
/// # Errors
/// If the operating system refuses the handler.
pub fn reload_on_hangup(certificates: Option<Arc<Certificates>>) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match certificates.as_ref().map(|certificates| certificates.reload()) {
                None => tracing::info!("SIGHUP: there are no certificate files to read again"),
                Some(Ok(())) => tracing::info!("certificate files read again"),
                Some(Err(error)) => {
                    tracing::error!(%error, "certificate files not usable; the former ones stay");
                }
            }
        }
    });
    Ok(())
}
