//! `node run`: the network, the socket, and an end that loses nothing.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use crate::api::types::ErrorRecord;
use crate::app::App;
use crate::clock;
use crate::config::Config;
use crate::endpoint::NetOptions;
use crate::error::NodeError;
use crate::home::{Home, read_bounded, replace, socket_path};
use crate::indexing::keep_indexed;
use crate::network::Network;
use crate::socket::NodeSocket;

/// How long requests may take to end once the node stops.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(1500);

/// Where the home remembers the port of last time.
const PORT_FILE: &str = "node.port";
/// Bytes of that file.
const PORT_BYTES_MAX: usize = 8;

/// How a node serves.
#[derive(Clone, Debug, Default)]
pub struct ServeOptions {
    /// UDP addresses; none means those of the configuration, else the port of last time on
    /// loopback if it is free, else a free one.
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

/// Serves until SIGTERM, SIGINT or `node stop`; then removes the socket, drains within five
/// seconds and closes the store.
///
/// # Errors
/// `no_identity`, `locked` if a node runs, or what keeps it from listening.
pub async fn serve(app: Arc<App>, options: ServeOptions) -> Result<(), ErrorRecord> {
    let served = run(&app, options).await;
    app.close().await;
    served
}

async fn run(app: &Arc<App>, options: ServeOptions) -> Result<(), ErrorRecord> {
    // first of all: whoever sees the socket may end the node
    let mut ends = Ends::listen()?;
    app.replica()?;
    let path = options.socket.clone().unwrap_or_else(|| socket_path(app.home()));
    let (socket, accepting) = NodeSocket::bind(&path)?;
    let configured = Config::load(&app.home().join("config.toml"))?.node.listen;
    let listen = if options.listen.is_empty() { configured } else { options.listen };
    let net_options = app.net_options(listen)?;
    let network = start_network(app, &net_options).await?;
    app.become_node(NodeInfo {
        started_ms: clock::now_ms(),
        socket: path,
        lan: net_options.lan,
        relay: net_options.relay,
    })?;
    let home = Home::open_or_create(app.home())?;
    // a socket elsewhere, as for a long path, leaves it to be made
    home.run_folder()?;
    let pid_file = home.pid_file();
    replace(&pid_file, std::process::id().to_string().as_bytes())?;
    network.keep_connected();
    let indexing = tokio::spawn(keep_indexed(app.clone()));
    let stop = app.stopping().clone();
    app.note("node.ready").await;
    let serving =
        axum::serve(accepting, app.router()).with_graceful_shutdown(stop.clone().cancelled_owned());
    let mut serving = tokio::spawn(serving.into_future());
    tokio::select! {
        () = ends.told() => app.note("node.stopping").await,
        () = stop.cancelled() => {}
    }
    stop.cancel();
    let _ = std::fs::remove_file(&pid_file);
    // from now on a command waits for the store instead of asking a node that ends
    drop(socket);
    indexing.abort();
    if timeout(DRAIN_TIMEOUT, &mut serving).await.is_err() {
        tracing::warn!("some requests were cut off");
        serving.abort();
        let _ = serving.await;
    }
    Ok(())
}

/// Binds the network: if nothing is said about addresses, to the port of last time, so that
/// those who know this node find it again. The port is written down for the next time.
async fn start_network(app: &Arc<App>, options: &NetOptions) -> Result<Arc<Network>, ErrorRecord> {
    let file = app.home().join(PORT_FILE);
    let port = read_bounded(&file, PORT_BYTES_MAX).ok().and_then(|text| last_port(&text));
    let free = options.listen.is_empty();
    let again = NetOptions { port: port.filter(|_| free).unwrap_or_default(), ..options.clone() };
    let network = match app.start_network(again).await {
        Err(error) if free && port.is_some() => {
            tracing::warn!(error = %error.message, "the port of last time is taken: another one is used");
            app.start_network(options.clone()).await?
        }
        started => started?,
    };
    let bound = network.net().listening().first().map(SocketAddr::port);
    if bound != port
        && let Some(bound) = bound
    {
        let kept =
            tokio::task::spawn_blocking(move || replace(&file, format!("{bound}\n").as_bytes()));
        if !matches!(kept.await, Ok(Ok(()))) {
            tracing::warn!("the port was not written down; the next start may use another one");
        }
    }
    Ok(network)
}

fn last_port(text: &[u8]) -> Option<u16> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// The signals that end a node.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    fn listen() -> Result<Self, NodeError> {
        let listen = |kind| {
            signal(kind).map_err(|error| NodeError::Listen {
                on: "signals".to_owned(),
                reason: error.to_string(),
            })
        };
        let terminate = listen(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
