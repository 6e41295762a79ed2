//! The gate's listeners: TLS, bounds on what a connection may take, reloads, and an end that loses no request.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use linkgate_verifier::instant::Instant;
use tokio::net::TcpSocket;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Gate;
use super::face;
use super::tls::{Certificates, TlsError};
use crate::record::link;

/// Where and how a gate listens.
#[derive(Clone, Debug)]
pub struct Listening {
    /// The address of its faces.
    pub address: SocketAddr,
    /// The address on which callers may name everything; off if there is none.
    pub whole_requests: Option<SocketAddr>,
    /// Its certificates.
    pub certificates: Certificates,
    /// The authorities of clients; none: clients need no certificate.
    pub clients: Option<PathBuf>,
    /// How often files are looked at.
    pub reload: Duration,
    /// How long requests under way may take after the end was asked for.
    pub drain: Duration,
}

/// Why a gate does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address that cannot be had.
    #[error("cannot listen on {address}: {cause}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// No TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A listener that ended.
    #[error("the listener ended: {0}")]
    Ended(io::Error),
}

/// Connections at once. One more is closed before it costs a handshake.
const CONNECTIONS: usize = 4096;
/// Of these from one address: whoever opens as many as it can leaves room for others, and for probes.
const OF_ONE_ADDRESS: usize = 1024;
/// Requests at once on one connection of HTTP/2.
const STREAMS: u32 = 250;
/// Bytes that the system keeps for a connection, each way.
const SOCKET: u32 = 64 << 10;
/// Connections that wait to be taken.
const BACKLOG: u32 = 1024;
/// Bytes of a body that may have come over HTTP/2 before anybody reads them, of one request and of all on a connection.
const WINDOW: u32 = 64 << 10;
const WINDOWS: u32 = 128 << 10;
/// Bytes of a request's head.
const HEAD: usize = 64 << 10;
/// How long a client may take for its handshake, and for a request's head.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an idle connection of HTTP/2 is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Answers until the process is told to end. `ready` is called once everybody can ask.
pub async fn serve(gate: Arc<Gate>, listening: Listening, ready: impl FnOnce(SocketAddr)) -> Result<(), ServerError> {
    let (policies_told, certificates_told) = (hangups(), hangups());
    let tls = RustlsConfig::from_config(listening.certificates.load(listening.clients.as_deref())?);
    let handle = Handle::new();
    let open = Arc::new(Open::default());
    let (address, faces) = start(listening.address, face::router(&gate), &tls, &handle, &open)?;
    let whole = match listening.whole_requests {
        None => None,
        Some(address) => {
            let (address, whole) = start(address, face::whole_requests(&gate), &tls, &handle, &open)?;
            tracing::warn!(%address, "whole requests are answered here: whoever asks chooses layout, keys and time");
            Some(whole)
        }
    };
    tokio::spawn(watch_policies(Arc::clone(&gate), listening.reload, policies_told));
    tokio::spawn(watch_certificates(
        Arc::clone(&gate),
        tls,
        listening.clone(),
        certificates_told,
    ));
    match told_to_end() {
        Ok(told) => drop(tokio::spawn(drain(told, handle, listening.drain))),
        Err(error) => tracing::error!(%error, "signals cannot be waited for: the process ends without draining"),
    }
    tracing::info!(%address, policies = gate.policies().all.len(), "ready");
    ready(address);
    let ended = |ended: Result<io::Result<()>, _>| match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(ServerError::Ended(error)),
        Err(error) => Err(ServerError::Ended(io::Error::other(error))),
    };
    ended(faces.await)?;
    if let Some(whole) = whole {
        ended(whole.await)?;
    }
    tracing::info!("ended: every request under way was answered, or had no time left");
    Ok(())
}

type Task = tokio::task::JoinHandle<io::Result<()>>;

fn start(
    address: SocketAddr,
    router: Router,
    tls: &RustlsConfig,
    handle: &Handle<SocketAddr>,
    open: &Arc<Open>,
) -> Result<(SocketAddr, Task), ServerError> {
    let failed = |cause| ServerError::Address { address, cause };
    let listener = listen(address).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let acceptor = Bounded {
        tls: RustlsAcceptor::new(tls.clone()).handshake_timeout(PATIENCE),
        open: Arc::clone(open),
    };
    let mut server = axum_server::from_tcp(listener)
        .map_err(failed)?
        .acceptor(acceptor)
        .first_request_timeout(PATIENCE)
        .handle(handle.clone());
    let builder = server.http_builder();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOWS)
        .max_send_buf_size(SOCKET as usize)
        .max_header_list_size(u32::try_from(HEAD).unwrap_or(u32::MAX))
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(PATIENCE);
    Ok((address, tokio::spawn(server.serve(router.into_make_service()))))
}

/// A socket whose connections keep little in the system: it belongs to this process, too, where its memory is bounded.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SOCKET)?;
    socket.set_recv_buffer_size(SOCKET)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Lets in no more connections than the gate has room for, and not all of them from one address.
#[derive(Clone)]
struct Bounded {
    tls: RustlsAcceptor,
    open: Arc<Open>,
}

/// The open connections of each address.
#[derive(Debug, Default)]
struct Open(Mutex<HashMap<IpAddr, usize>>);

impl Open {
    /// A place for one more, if there is one.
    fn place(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let own = open.get(&address).copied().unwrap_or_default();
        if all >= CONNECTIONS || own >= OF_ONE_ADDRESS {
            return None;
        }
        open.insert(address, own + 1);
        Some(Place(Arc::new(Held {
            open: Arc::clone(self),
            address,
        })))
    }
}

/// A place among the open connections, given back with the connection's service.
#[derive(Clone)]
struct Place(#[expect(dead_code, reason = "it is held, not read")] Arc<Held>);

struct Held {
    open: Arc<Open>,
    address: IpAddr,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut open = self.open.0.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.address) {
            Some(own) if *own > 1 => *own -= 1,
            _ => {
                open.remove(&self.address);
            }
        }
    }
}

/// A connection's service that holds its place.
#[derive(Clone)]
struct Placed<S> {
    service: S,
    _place: Place,
}

impl<S, R> tower_service::Service<R> for Placed<S>
where
    S: tower_service::Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.service.call(request)
    }
}

type Accepting<T> = std::pin::Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl<S: Send + 'static> Accept<tokio::net::TcpStream, S> for Bounded {
    type Stream = <RustlsAcceptor as Accept<tokio::net::TcpStream, S>>::Stream;
    type Service = Placed<<RustlsAcceptor as Accept<tokio::net::TcpStream, S>>::Service>;
    type Future = Accepting<(Self::Stream, Self::Service)>;

    fn accept(&self, stream: tokio::net::TcpStream, service: S) -> Self::Future {
        // Of such a time neither TLS nor HTTP can make anything. Whoever gets no answer refuses.
        if !(0..=Instant::LAST.0).contains(&link::now().0) {
            tracing::error!("no connection is taken: by this machine's clock it is before 1970 or after 9999");
            return Box::pin(async { Err(io::Error::other("the clock is not set")) });
        }
        let place = stream.peer_addr().ok().and_then(|peer| self.open.place(peer.ip()));
        let Some(place) = place else {
            return Box::pin(async { Err(io::Error::other("too many connections")) });
        };
        // An answer is small and complete: it is not kept back for more.
        let _ = stream.set_nodelay(true);
        let accepting = self.tls.accept(stream, service);
        Box::pin(async move {
            let (stream, service) = accepting.await?;
            let placed = Placed { service, _place: place };
            Ok((stream, placed))
        })
    }
}

/// Looks at policies now and then, and reads anew what has changed; all of it when a signal says so.
async fn watch_policies(gate: Arc<Gate>, every: Duration, mut told: Option<Signal>) {
    loop {
        let anew = tokio::select! {
            () = tokio::time::sleep(every) => false,
            () = heard(&mut told) => true,
        };
        if anew {
            tracing::info!("SIGHUP: policies and certificates are read anew");
        }
        let reloading = Arc::clone(&gate);
        // Reading files and asking tokens for keys keeps no request waiting.
        let _ = tokio::task::spawn_blocking(move || reloading.reload(anew)).await;
    }
}

/// The same for certificates, which wait for no policy, nor policies for them.
async fn watch_certificates(gate: Arc<Gate>, tls: RustlsConfig, listening: Listening, mut told: Option<Signal>) {
    let mut before = read_certificates(&listening).await;
    loop {
        let anew = tokio::select! {
            () = tokio::time::sleep(listening.reload) => false,
            () = heard(&mut told) => true,
        };
        let now = read_certificates(&listening).await;
        if anew || now != before {
            before = now;
            reload_certificates(&gate, &tls, &listening);
        }
    }
}

fn reload_certificates(gate: &Gate, tls: &RustlsConfig, listening: &Listening) {
    match listening.certificates.load(listening.clients.as_deref()) {
        Ok(config) => {
            tls.reload_from_config(config);
            gate.metrics().reloaded("certificates", true);
            tracing::info!("certificates reloaded");
        }
        Err(error) => {
            gate.metrics().reloaded("certificates", false);
            tracing::error!(%error, "certificates not reloaded: those from before stay in force");
        }
    }
}

/// Waits for a signal; for ever, where there is none to wait for.
async fn heard(told: &mut Option<Signal>) {
    match told {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// SIGHUP, which ends the process no more from this call on.
fn hangups() -> Option<Signal> {
    signal(SignalKind::hangup())
        .inspect_err(|error| tracing::error!(%error, "SIGHUP cannot be waited for"))
        .ok()
}

/// The bytes of the certificates' files as they are now.
async fn read_certificates(listening: &Listening) -> Vec<Option<Vec<u8>>> {
    let (certificates, clients) = (listening.certificates.clone(), listening.clients.clone());
    let reading = tokio::task::spawn_blocking(move || certificates.fingerprint(clients.as_deref()));
    reading.await.unwrap_or_default()
}

/// Waits until the process is told to end; that is heard from this call on, before anybody waits.
fn told_to_end() -> io::Result<impl Future<Output = ()>> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    })
}

/// Ends the listeners once the process is told to: no new connection, and what is under way is answered.
async fn drain(told: impl Future<Output = ()>, handle: Handle<SocketAddr>, longest: Duration) {
    told.await;
    tracing::info!(connections = handle.connection_count(), "draining");
    handle.graceful_shutdown(Some(longest));
}
