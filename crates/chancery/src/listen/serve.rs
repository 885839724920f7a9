//! The accept loop and the life of one connection.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use flows::context::PresentedCertificate;
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use jose::certificate::ClientCertificate;
use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;
use web::{
    limits::header::MAX_FIELDS,
    peer::{Peer, PeerCertificate},
};

use crate::{
    config::Settings,
    listen::{
        Access,
        busy::Busy,
        callers::{Callers, Place},
    },
};

/// Pause after a failed accept (out of file descriptors, say), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The largest header of a request, in bytes.
const MAX_HEADER: usize = 32 * 1024;
/// Streams that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 128;
/// Streams that a peer may reset before they were looked at (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;
/// Streams that the server may have to reset because of what the peer sent (CVE-2025-8671).
const MAX_OWN_RESETS: usize = 64;
/// Bytes of answers that wait in memory for one HTTP/2 stream's peer to read them.
const MAX_UNSENT: usize = 64 * 1024;

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the header of a request, and between two requests of a connection.
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

/// One bound socket and how it is served.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    access: Access,
    callers: Arc<Callers>,
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
        Ok(Self { tcp, tls, access, callers: Callers::unlimited(), limits })
    }

    /// The same with a limit on the connections of each caller.
    #[must_use]
    pub fn with_callers(self, callers: Arc<Callers>) -> Self {
        Self { callers, ..self }
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
        let Self { tcp, tls, access, callers, limits } = self;
        let tls = tls.map(TlsAcceptor::from);
        let slots = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
        let connections = TaskTracker::new();
        while let Some((stream, address, slot)) = accept(&tcp, &slots, &stop).await {
            let Some(place) = admit(&access, &callers, address) else { continue };
            let (tls, app, stop) = (tls.clone(), app.clone(), stop.clone());
            connections.spawn(async move {
                connection(stream, address, tls, app, limits, stop).await;
                drop((place, slot));
            });
        }
        drop(tcp);
        connections.close();
        if timeout(limits.drain, connections.wait()).await.is_err() {
            tracing::warn!(open = connections.len(), "the drain deadline has passed; connections are cut");
        }
    }
}

/// A place for a connection, or nothing: then it is closed at once, without an answer.
fn admit(access: &Access, callers: &Arc<Callers>, address: SocketAddr) -> Option<Place> {
    if !access.admits(address) {
        tracing::debug!(%address, "connection from outside the configured networks refused");
        return None;
    }
    let place = callers.place(address.ip()).ok();
    if place.is_none() {
        metrics::counter!("chancery_requests_limited_total", "limit" => "connection").increment(1);
        tracing::debug!(%address, "too many connections of one caller");
    }
    place
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
        return exchange(stream, (Peer { address, tls: false }, None), false, app, limits, stop).await;
    };
    match timeout(limits.handshake_timeout, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let certificate = shown(stream.get_ref().1.peer_certificates());
            exchange(stream, (Peer { address, tls: true }, certificate), http2, app, limits, stop).await;
        }
        Ok(Err(error)) => tracing::debug!(%address, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(%address, "TLS handshake took too long"),
    }
}

/// The certificate of a handshake, read once for all requests of the connection.
fn shown(chain: Option<&[CertificateDer<'_>]>) -> Option<PeerCertificate> {
    let read = ClientCertificate::from_der(chain?);
    let presented =
        read.map_or(PresentedCertificate::Unreadable, |one| PresentedCertificate::One(Arc::new(one)));
    Some(PeerCertificate(presented))
}

/// HTTP on one connection. The version is known beforehand (ALPN, or 1.1 without TLS): guessing it
/// from the first bytes would wait for them without a limit.
async fn exchange<S>(
    stream: S,
    (peer, certificate): (Peer, Option<PeerCertificate>),
    http2: bool,
    app: Router,
    limits: Limits,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let busy = Busy::default();
    let idle = busy.idle_for(limits.header_timeout);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        certificate.clone().map(|certificate| request.extensions_mut().insert(certificate));
        // A router is always ready.
        let answer = app.clone().call(request);
        let working = http2.then(|| busy.work());
        async move {
            let answer = answer.await;
            drop(working);
            answer
        }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    let mut server = if http2 { server.http2_only() } else { server.http1_only() };
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(MAX_FIELDS)
        .max_buf_size(MAX_HEADER);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_OWN_RESETS)
        .max_send_buf_size(MAX_UNSENT)
        .max_header_list_size(u32::try_from(MAX_HEADER).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.header_timeout)
        .keep_alive_timeout(limits.header_timeout);
    let connection = server.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        // HTTP/1 ends by its header timeout; HTTP/2 knows none between requests. Whoever does not
        // take the goodbye is cut.
        () = idle, if http2 => {
            connection.as_mut().graceful_shutdown();
            timeout(limits.header_timeout, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(address = %peer.address, error, "connection ended early");
    }
}
