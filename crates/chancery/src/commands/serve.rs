//! `chancery serve`: both listeners, until a signal says stop.

use std::{io, net::SocketAddr, sync::Arc};

use audit::EventKind;
use axum::Router;
use flows::{Service, SystemClock, SystemRandom, service::Parts};
use keys::Sealer;
use metrics_exporter_prometheus::PrometheusHandle;
use store::Store;
use tokio_util::sync::CancellationToken;
use web::{App, CertificateHeader, Traced, WebConfig, mutual_router, public_router};

use crate::{
    admin::{self, Readiness},
    cli::{Common, ServeArgs},
    commands::{Failure, database, settings},
    config::{Settings, check::warnings, settings::CertificateHeader as Forwarded},
    evidence,
    listen::{Access, Callers, Certificates, Limits, Listener, reload_on_hangup, stop_on_signal},
    telemetry,
};

/// Serves until a signal says stop.
///
/// # Errors
/// If the configuration is wrong, the database does not answer or is behind, or an address is taken.
pub async fn run(arguments: &ServeArgs, common: &Common) -> Result<(), Failure> {
    let settings = settings(common)?;
    let metrics = telemetry::metrics().map_err(Failure::new)?;
    evidence::describe();
    let traces = telemetry::logs_and_traces(&settings).map_err(Failure::new)?;
    let stop = stop_on_signal().map_err(Failure::new)?;
    let store = database::open(&settings, arguments.migrate || settings.database.migrate_on_start).await?;
    let service = service(&settings, store).await?;
    prepare(&service).await?;
    let listeners = Listeners::bind(&settings).await?;
    let (public, admin) = listeners.addresses().map_err(Failure::new)?;
    service.record_lifecycle(EventKind::ServerStarted).await.map_err(Failure::new)?;
    tracing::info!(issuer = settings.issuer.as_str(), %public, %admin, "serving");
    serve(&settings, service, listeners, metrics, stop).await;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    Ok(())
}

/// The use cases over a store, by these settings. Changes nothing in the store.
///
/// # Errors
/// If the store does not answer, or holds what can't work.
pub async fn service(settings: &Settings, store: Store) -> Result<Service, Failure> {
    let missing = |what| Failure::new(format_args!("{what} is missing"));
    let key = settings.key_encryption_key().ok_or_else(|| missing("secrets.key_encryption_key"))?;
    let pepper = settings.pepper().ok_or_else(|| missing("secrets.password_pepper"))?;
    let parts = Parts {
        store,
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        sealer: Sealer::new(&key, &[]),
        pepper,
        policies: settings.policies().map_err(Failure::new)?,
    };
    Service::assemble(parts).await.map_err(Failure::new)
}

/// How requests are traced by these settings, if at all.
fn traced(settings: &Settings) -> Option<Traced> {
    let traces = &settings.traces;
    let follow = traces.follow_proxies.then_some(telemetry::traces::follow as fn(&_, &_));
    traces.endpoint.is_some().then_some(Traced { follow })
}

/// Makes what a server can't be without and nobody has made yet: signing keys, and the secret of pairwise
/// subjects.
///
/// # Errors
/// If the store does not answer.
pub async fn prepare(service: &Service) -> Result<(), Failure> {
    service.tend_signing_keys().await.map_err(Failure::new)?;
    service.tend_subject_key().await.map_err(Failure::new)?;
    service.reload().await.map_err(Failure::new)?;
    Ok(())
}

/// Serves on bound listeners until `stop` is cancelled and requests in progress have finished.
pub async fn serve(
    settings: &Settings,
    service: Service,
    listeners: Listeners,
    metrics: PrometheusHandle,
    stop: CancellationToken,
) {
    let config =
        WebConfig::new(settings.issuer.as_str(), &settings.pages.bank_name, settings.proxy.trusted.clone())
            .with_limits(settings.limits());
    let config = WebConfig {
        certificate_header: settings.proxy.certificate_header.map(|form| match form {
            Forwarded::Rfc9440 => CertificateHeader::Rfc9440,
            Forwarded::Nginx => CertificateHeader::Nginx,
            Forwarded::Envoy => CertificateHeader::Envoy,
        }),
        language: settings.language().unwrap_or_default(),
        jwks_cache_seconds: settings.keys.jwks_cache.as_seconds(),
        traced: traced(settings),
        ..config
    };
    let app = App::new(service.clone(), config);
    let (public, mutual) = (public_router(&app), mutual_router(&app));
    let store = service.store().clone();
    let ready: Readiness = Arc::new(move || {
        let store = store.clone();
        Box::pin(async move { store.ping().await.map_err(|error| error.to_string()) })
    });
    let observed = service.clone();
    let admin = admin::router(ready, Arc::new(move || observed.observe()), stop.clone(), metrics.clone());
    let watching = service.clone();
    let tending = service.clone();
    let recording = service.clone();
    let telling = service.clone();
    let limits = Arc::clone(&app.limits);
    let background = [
        tokio::spawn(async move { watching.watch_changes().await }),
        tokio::spawn(async move { tending.tend().await }),
        tokio::spawn(async move { recording.keep_audit_queue().await }),
        tokio::spawn(async move { telling.deliver_logouts().await }),
        tokio::spawn(async move { limits.tend().await }),
        tokio::spawn(admin::upkeep(metrics, stop.clone())),
    ];
    // One deadline for connections and for what they began.
    let (stopping, drain) = (stop.clone(), settings.listen.drain.to_duration());
    let drained = tokio::spawn(async move {
        stopping.cancelled().await;
        tokio::time::sleep(drain).await;
    });
    listeners.serve(public, mutual, admin, stop).await;
    app.finish(drained).await;
    background.iter().for_each(tokio::task::JoinHandle::abort);
    service.finish_audit_queue().await;
    if let Err(error) = service.record_lifecycle(EventKind::ServerStopped).await {
        tracing::warn!(%error, "the audit trail does not say that this process stopped");
    }
    service.store().close().await;
}

/// Both sockets, bound but not yet served.
#[derive(Debug)]
pub struct Listeners {
    public: Listener,
    /// For clients that show a certificate.
    mutual: Option<Listener>,
    admin: Listener,
}

impl Listeners {
    /// Binds both addresses, and says what an operator should know.
    ///
    /// # Errors
    /// If an address is taken or a certificate is not usable.
    pub async fn bind(settings: &Settings) -> Result<Self, Failure> {
        for warning in warnings(settings) {
            tracing::warn!("{warning}");
        }
        let limits = Limits::new(settings);
        let certificates = match (&settings.tls.certificate, &settings.tls.key) {
            (Some(certificate), Some(key)) => {
                Some(Certificates::read(certificate, key).map_err(Failure::new)?)
            }
            _ => None,
        };
        let tls = certificates.as_ref().map(|certificates| certificates.server_config()).transpose();
        let tls = tls.map_err(Failure::new)?;
        let mutual = certificates.as_ref().map(|certificates| certificates.mutual_config()).transpose();
        let mutual = mutual.map_err(Failure::new)?;
        reload_on_hangup(certificates).map_err(Failure::new)?;
        let listen = &settings.listen;
        let (public, admin) = (Access::public(settings), Access::admin(settings));
        let mutual = match settings.mtls.listen {
            Some(address) => Some(
                Listener::bind(address, mutual, public.clone(), limits)
                    .await
                    .map_err(Failure::new)?
                    .with_callers(Callers::public(settings)),
            ),
            None => None,
        };
        Ok(Self {
            mutual,
            public: Listener::bind(listen.public, tls, public, limits)
                .await
                .map_err(Failure::new)?
                .with_callers(Callers::public(settings)),
            admin: Listener::bind(listen.admin, None, admin, limits).await.map_err(Failure::new)?,
        })
    }

    /// Where they listen, public first; the ports that the system chose, if 0 was configured.
    ///
    /// # Errors
    /// If a socket is gone.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.public.address()?, self.admin.address()?))
    }

    /// Serves until `stop` is cancelled and requests in progress have finished. The admin listener
    /// outlives the public one, so that health can be asked while it drains.
    pub async fn serve(self, public: Router, mutual: Router, admin: Router, stop: CancellationToken) {
        let after = CancellationToken::new();
        let mutual = self.mutual.map(|listener| tokio::spawn(listener.serve(mutual, stop.clone())));
        let admin = tokio::spawn(self.admin.serve(admin, after.clone()));
        self.public.serve(public, stop).await;
        if let Some(Err(error)) = async { Some(mutual?.await) }.await {
            tracing::error!(%error, "the listener for client certificates ended");
        }
        after.cancel();
        if let Err(error) = admin.await {
            tracing::error!(%error, "the admin listener ended");
        }
    }
}
