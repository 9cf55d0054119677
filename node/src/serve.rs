//! `node run`: the network, the socket, and an end that loses nothing.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::api::types::ErrorRecord;
use crate::app::App;
use crate::clock;
use crate::config::Config;
use crate::error::NodeError;
use crate::home::{self, Home, socket_path};
use crate::socket::NodeSocket;

/// How long requests may take to end once the node stops.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(1500);

/// How a node serves.
#[derive(Clone, Debug, Default)]
pub struct ServeOptions {
    /// UDP addresses; none means those of the configuration, else a free one on loopback.
    pub listen: Vec<SocketAddr>,
    /// Where the local API listens; none means [`socket_path`] of the home.
    pub socket: Option<PathBuf>,
}

/// What a running node says of itself.
#[derive(Clone, Debug)]
pub(crate) struct NodeInfo {
    pub started_ms: u64,
    pub socket: PathBuf,
    pub lan: bool,
    pub relay: Option<String>,
}

/// Serves until SIGTERM, SIGINT or `node stop`; then drains within five seconds, closes the
/// store and removes the socket.
///
/// # Errors
/// `no_identity`, `locked` if a node runs, or what keeps it from listening.
pub async fn serve(app: Arc<App>, options: ServeOptions) -> Result<(), ErrorRecord> {
    let path = options.socket.clone().unwrap_or_else(|| socket_path(app.home()));
    let socket = match app.replica() {
        Ok(_) => NodeSocket::bind(&path).map_err(Into::into),
        Err(error) => Err(error),
    };
    let served = match &socket {
        Ok(socket) => run(&app, options, socket, path).await,
        Err(error) => Err(error.clone()),
    };
    app.close().await;
    // whoever waits for the end sees it only now, with the store closed
    drop(socket);
    served
}

async fn run(
    app: &Arc<App>,
    options: ServeOptions,
    socket: &NodeSocket,
    path: PathBuf,
) -> Result<(), ErrorRecord> {
    let configured = Config::load(&app.home().join("config.toml"))?.node.listen;
    let listen = if options.listen.is_empty() { configured } else { options.listen };
    let net_options = app.net_options(listen)?;
    let network = app.start_network(net_options.clone()).await?;
    app.become_node(NodeInfo {
        started_ms: clock::now_ms(),
        socket: path,
        lan: net_options.lan,
        relay: net_options.relay,
    })?;
    let pid_file = Home::open_or_create(app.home())?.pid_file();
    home::replace(&pid_file, std::process::id().to_string().as_bytes())?;
    network.keep_connected();
    let stop = app.stopping().clone();
    let listen_error = |error: std::io::Error| NodeError::Listen {
        on: "signals".to_owned(),
        reason: error.to_string(),
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(listen_error)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(listen_error)?;
    let serving = axum::serve(socket.accepting(), app.router())
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    let mut serving = tokio::spawn(serving.into_future());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = stop.cancelled() => {}
    }
    stop.cancel();
    let _ = std::fs::remove_file(&pid_file);
    if timeout(DRAIN_TIMEOUT, &mut serving).await.is_err() {
        tracing::warn!("some requests were cut off");
        serving.abort();
        let _ = serving.await;
    }
    Ok(())
}
