//! The accept loop and the life of one connection.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use hyper::{Request, body::Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use ipnet::IpNet;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceBuilder;
use web::peer::Peer;

use crate::config::Settings;

/// Pause after a failed accept (out of file descriptors, say), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The largest header of a request, in bytes.
const MAX_HEADER: usize = 32 * 1024;
/// Streams that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 128;
/// Streams that a peer may reset before they were looked at (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the header of a request, and between two requests.
    pub header_timeout: Duration,
    /// For a TLS handshake.
    pub handshake_timeout: Duration,
    /// For requests in progress when the server stops.
    pub drain: Duration,
    /// Open connections.
    pub max_connections: usize,
}

impl Limits {
    /// As configured.
    pub fn new(settings: &Settings) -> Self {
        let listen = &settings.listen;
        Self {
            header_timeout: listen.header_timeout.to_duration(),
            handshake_timeout: listen.handshake_timeout.to_duration(),
            drain: listen.drain.to_duration(),
            max_connections: usize::try_from(listen.max_connections).unwrap_or(usize::MAX),
        }
    }
}

/// Who may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Anyone,
    /// Only this machine and these networks; others are cut off without an answer.
    Only(Vec<IpNet>),
}

impl Access {
    /// The public listener's: a plain one serves loopback and the proxies that end TLS, so that a
    /// browser that reaches past the proxy gets nothing in clear (BCP-15).
    pub fn public(settings: &Settings) -> Self {
        if settings.has_tls() { Self::Anyone } else { Self::Only(settings.proxy.trusted.clone()) }
    }

    pub(crate) fn admits(&self, address: SocketAddr) -> bool {
        // An IPv4 client of a dual-stack socket appears as ::ffff:a.b.c.d.
        let address: IpAddr = address.ip().to_canonical();
        match self {
            Self::Anyone => true,
            Self::Only(networks) => {
                address.is_loopback() || networks.iter().any(|network| network.contains(&address))
            }
        }
    }
}

/// One bound socket and how it is served.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    access: Access,
    limits: Limits,
}

impl Listener {
    /// Binds the address; port 0 lets the system choose.
    ///
    /// # Errors
    /// If the address is taken or not ours; the message names it.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
        access: Access,
        limits: Limits,
    ) -> io::Result<Self> {
        let tcp = TcpListener::bind(address)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
        Ok(Self { tcp, tls, access, limits })
    }

    /// The address that was bound.
    ///
    /// # Errors
    /// If the socket has none any more.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves `app` until `stop` is cancelled and the last request has finished, or the drain
    /// deadline has passed. Every request carries a [`Peer`] extension.
    pub async fn serve(self, app: Router, stop: CancellationToken) {
        let Self { tcp, tls, access, limits } = self;
        let tls = tls.map(TlsAcceptor::from);
        let slots = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
        let connections = TaskTracker::new();
        while let Some((stream, address, slot)) = accept(&tcp, &slots, &stop).await {
            if !access.admits(address) {
                tracing::debug!(%address, "connection from outside the configured proxies refused");
                continue;
            }
            let (tls, app, stop) = (tls.clone(), app.clone(), stop.clone());
            connections.spawn(async move {
                connection(stream, address, tls, app, limits, stop).await;
                drop(slot);
            });
        }
        drop(tcp);
        connections.close();
        if timeout(limits.drain, connections.wait()).await.is_err() {
            tracing::warn!(open = connections.len(), "the drain deadline has passed; connections are cut");
        }
    }
}

/// The next connection, once there is a slot for it; `None` at the stop.
async fn accept(
    tcp: &TcpListener,
    slots: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let next = async {
        let slot = Arc::clone(slots).acquire_owned().await.ok()?;
        loop {
            match tcp.accept().await {
                Ok((stream, address)) => return Some((stream, address, slot)),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => None,
        next = next => next,
    }
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    app: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    // Answers are small; waiting to fill a segment would only delay them.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = tls else {
        return exchange(stream, Peer { address, tls: false }, false, app, limits, stop).await;
    };
    match timeout(limits.handshake_timeout, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            exchange(stream, Peer { address, tls: true }, http2, app, limits, stop).await;
        }
        Ok(Err(error)) => tracing::debug!(%address, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(%address, "TLS handshake took too long"),
    }
}

/// HTTP on one connection. The version is known beforehand (ALPN, or 1.1 without TLS): guessing it
/// from the first bytes would wait for them without a limit.
async fn exchange<S>(stream: S, peer: Peer, http2: bool, app: Router, limits: Limits, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = ServiceBuilder::new()
        .map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request
        })
        .service(app);
    let server = auto::Builder::new(TokioExecutor::new());
    let mut server = if http2 { server.http2_only() } else { server.http1_only() };
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(MAX_HEADER);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_header_list_size(u32::try_from(MAX_HEADER).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.header_timeout)
        .keep_alive_timeout(limits.header_timeout);
    let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(address = %peer.address, error, "connection ended early");
    }
}
