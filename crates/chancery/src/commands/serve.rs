//! `chancery serve`: both listeners, until a signal says stop.

use std::{io, net::SocketAddr, sync::Arc};

use axum::Router;
use tokio_util::sync::CancellationToken;

use crate::{
    commands::Failure,
    config::{Settings, check::warnings},
    listen::{Access, Certificates, Limits, Listener, reload_on_hangup},
};

/// Both sockets, bound but not yet served.
#[derive(Debug)]
pub struct Listeners {
    public: Listener,
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
        let tls = match (&settings.tls.certificate, &settings.tls.key) {
            (Some(certificate), Some(key)) => {
                let certificates = Certificates::read(certificate, key).map_err(Failure::new)?;
                reload_on_hangup(Arc::clone(&certificates)).map_err(Failure::new)?;
                Some(certificates.server_config().map_err(Failure::new)?)
            }
            _ => None,
        };
        let (listen, access) = (&settings.listen, Access::public(settings));
        Ok(Self {
            public: Listener::bind(listen.public, tls, access, limits).await.map_err(Failure::new)?,
            admin: Listener::bind(listen.admin, None, Access::Anyone, limits).await.map_err(Failure::new)?,
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
    pub async fn serve(self, public: Router, admin: Router, stop: CancellationToken) {
        let after = CancellationToken::new();
        let admin = tokio::spawn(self.admin.serve(admin, after.clone()));
        self.public.serve(public, stop).await;
        after.cancel();
        if let Err(error) = admin.await {
            tracing::error!(%error, "the admin listener ended");
        }
    }
}
