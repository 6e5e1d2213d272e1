//! The accept loop: connections in, requests to the router, an end that loses no answer.
//!
//! In: a bound listener and a router. Out: served connections. Never here: routes. Every
//! connection is bounded: how many there are, how long a head or a body may take, how large a head
//! may be, and how long the last answers may take when the process stops.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;

use super::deadline::DeadlineBody;
use crate::model::limits::{HTTP_CONNECTIONS_MAX, HTTP_READ_TIMEOUT};
use crate::runtime::{self, Shutdown};

/// Limits of the server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Most connections open at a time; more wait in the kernel's queue.
    pub connections_max: usize,
    /// How long the head of a request may take. The wait for the next request of a kept-alive
    /// connection counts, so this is also how long a connection may be idle.
    pub head_timeout: Duration,
    /// How long the gap between two pieces of a request's body may be.
    pub body_gap_max: Duration,
    /// How long a request's body may take in all.
    pub body_timeout: Duration,
    /// Largest head of a request, in bytes; a URL with a long query is part of it.
    pub head_bytes_max: usize,
    /// Most header fields of a request.
    pub headers_max: usize,
    /// How long answers in progress may take once the process stops.
    pub drain_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions {
            connections_max: HTTP_CONNECTIONS_MAX,
            head_timeout: HTTP_READ_TIMEOUT,
            body_gap_max: Duration::from_secs(30),
            body_timeout: HTTP_READ_TIMEOUT,
            // Grafana sends long queries in the URL when it is set to GET.
            head_bytes_max: 1 << 20,
            headers_max: 128,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl ServerOptions {
    /// The defaults with what the configuration sets.
    pub fn new(read_timeout: Duration, connections_max: usize) -> ServerOptions {
        let default = ServerOptions::default();
        ServerOptions {
            connections_max,
            head_timeout: read_timeout,
            body_gap_max: default.body_gap_max.min(read_timeout),
            body_timeout: read_timeout,
            ..default
        }
    }
}

/// How long to wait after the system refused to hand out a connection: out of file descriptors, for
/// instance, which a busy loop would not cure.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until `shutdown`, then lets the answers in progress finish.
/// Returns the number of connections that had to be cut off.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: ServerOptions,
    shutdown: Shutdown,
) -> usize {
    let connections = Arc::new(Semaphore::new(options.connections_max));
    let open = GracefulShutdown::new();
    // Pulled by being dropped when this function ends: what is still open then is cut off, and
    // with its connection a query is.
    let (_cut_off, cut) = Shutdown::new();
    loop {
        tokio::select! {
            () = shutdown.requested() => break,
            accepted = accept(&listener, &connections) => match accepted {
                Ok((stream, place)) => {
                    let connection = connection(stream, router.clone(), &options);
                    let connection = open.watch(connection);
                    serve_connection(connection, place, cut.clone());
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting an HTTP connection failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
    drop(listener);
    drain(open, &options).await
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(connections).acquire_owned().await;
    let place = place.expect("BUG: the semaphore is never closed");
    let (stream, _) = listener.accept().await?;
    // Answers are written whole; waiting for more to send only delays them.
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

fn connection(
    stream: TcpStream,
    router: Router,
    options: &ServerOptions,
) -> impl GracefulConnection<Error = hyper::Error> + Send + use<> {
    let (gap_max, limit) = (options.body_gap_max, options.body_timeout);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let request = request.map(|body| Body::new(DeadlineBody::new(body, gap_max, limit)));
        answer(router.clone(), request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.head_timeout)
        .max_buf_size(options.head_bytes_max)
        .max_headers(options.headers_max)
        .serve_connection(TokioIo::new(stream), service)
}

/// Serves one connection in a task of its own until it ends or `cut` is pulled.
fn serve_connection(
    connection: impl Future<Output = Result<(), hyper::Error>> + Send + 'static,
    place: OwnedSemaphorePermit,
    cut: Shutdown,
) {
    runtime::spawn("http-connection", async move {
        let _place = place;
        tokio::select! {
            // What ends a connection early (a reset, a timeout, no HTTP) is the client's doing.
            ended = connection => if let Err(error) = ended {
                tracing::debug!(%error, "HTTP connection ended early");
            },
            () = cut.requested() => {}
        }
    });
}

async fn answer(router: Router, request: Request) -> Result<Response, Infallible> {
    router.oneshot(request).await
}

/// Waits for the answers in progress; returns how many were not finished in time.
async fn drain(open: GracefulShutdown, options: &ServerOptions) -> usize {
    let left = open.count();
    match tokio::time::timeout(options.drain_timeout, open.shutdown()).await {
        Ok(()) => 0,
        Err(_) => {
            tracing::warn!(connections = left, "HTTP answers were still in progress, cut off");
            left
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn slow() -> &'static str {
        tokio::time::sleep(Duration::from_millis(200)).await;
        "done"
    }

    async fn started(
        options: ServerOptions,
    ) -> (std::net::SocketAddr, runtime::ShutdownTrigger, tokio::task::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let address = listener.local_addr().expect("bound");
        let (trigger, shutdown) = Shutdown::new();
        let router = Router::new().route("/", get(|| async { "ok" })).route("/slow", get(slow));
        #[allow(clippy::disallowed_methods)] // a test
        let server = tokio::spawn(serve(listener, router, options, shutdown));
        (address, trigger, server)
    }

    async fn exchange(address: std::net::SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(request).await.expect("sent");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn answers_in_progress_are_finished_before_the_end() {
        let (address, trigger, server) = started(ServerOptions::default()).await;
        let request = b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n";
        #[allow(clippy::disallowed_methods)] // a test
        let client = tokio::spawn(async move { exchange(address, request).await });
        tokio::time::sleep(Duration::from_millis(80)).await;
        trigger.request();
        assert_eq!(server.await.expect("ended"), 0);
        assert!(client.await.expect("client").ends_with("done"));
        assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
    }

    #[tokio::test]
    async fn answers_that_take_too_long_are_cut_off() {
        let options = ServerOptions { drain_timeout: Duration::ZERO, ..ServerOptions::default() };
        let (address, trigger, server) = started(options).await;
        let request = b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n";
        #[allow(clippy::disallowed_methods)] // a test
        let _client = tokio::spawn(async move { exchange(address, request).await });
        tokio::time::sleep(Duration::from_millis(80)).await;
        trigger.request();
        assert_eq!(server.await.expect("ended"), 1);
    }

    #[tokio::test]
    async fn silent_clients_and_huge_heads_are_turned_away() {
        let options = ServerOptions {
            head_timeout: Duration::from_millis(100),
            head_bytes_max: 16 << 10,
            ..ServerOptions::default()
        };
        let (address, _trigger, _server) = started(options).await;
        exchange(address, b"GET / HT").await;
        let huge = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(64 << 10));
        let answer = exchange(address, huge.as_bytes()).await;
        assert!(!answer.contains("200 OK"), "{answer}");
        let fine =
            exchange(address, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        assert!(fine.starts_with("HTTP/1.1 200 OK"), "{fine}");
    }

    #[tokio::test]
    async fn a_connection_above_the_limit_waits_its_turn() {
        let options = ServerOptions { connections_max: 1, ..ServerOptions::default() };
        let (address, _trigger, _server) = started(options).await;
        let first = TcpStream::connect(address).await.expect("connected");
        let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let waiting = exchange(address, request);
        let early = tokio::time::timeout(Duration::from_millis(100), waiting).await;
        assert!(early.is_err(), "the only place is taken");
        drop(first);
        assert!(exchange(address, request).await.starts_with("HTTP/1.1 200 OK"));
    }
}
