//! `node run`: the network, the socket, and an end that loses nothing.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use crate::api::types::ErrorRecord;
use crate::app::App;
use crate::clock;
use crate::config::{Config, Settings};
use crate::drafts;
use crate::endpoint::NetOptions;
use crate::error::NodeError;
use crate::home::{Home, read_bounded, replace, socket_path};
use crate::indexing::keep_indexed;
use crate::mending::keep_mended;
use crate::network::Network;
use crate::reload::{Apply, reload};
use crate::service;
use crate::socket::{Accepting, NodeSocket};

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
    /// Brings changed settings of the process into force.
    pub apply: Option<Apply>,
}

/// What a running node says of itself.
#[derive(Debug)]
pub(crate) struct NodeInfo {
    pub started_ms: u64,
    pub socket: PathBuf,
    /// The UDP addresses that were asked for.
    pub listen: Vec<SocketAddr>,
    pub lan: bool,
    pub relay: Option<String>,
    /// Whether a service manager runs it.
    pub watched: bool,
    /// The settings in force.
    pub settings: Mutex<Settings>,
    pub apply: Option<Apply>,
}

/// Serves until SIGTERM, SIGINT or `node stop`; then removes the socket, drains within five
/// seconds and closes the store. SIGHUP has it read its settings again.
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
    let mut signals = Signals::listen()?;
    app.replica()?;
    let (socket, accepting, path) = api_socket(app, options.socket)?;
    let settings = app.load_settings()?;
    let configured = Config::from(&settings).node.listen;
    let listen = if options.listen.is_empty() { configured } else { options.listen };
    let net_options = app.net_options(listen.clone())?;
    let network = start_network(app, &net_options).await?;
    app.become_node(NodeInfo {
        started_ms: clock::now_ms(),
        socket: path,
        listen,
        lan: net_options.lan,
        relay: net_options.relay,
        watched: service::is_watched(),
        settings: Mutex::new(settings),
        apply: options.apply,
    })?;
    let home = Home::open_or_create(app.home())?;
    // a socket elsewhere, as for a long path, leaves it to be made
    home.run_folder()?;
    let pid_file = home.pid_file();
    replace(&pid_file, std::process::id().to_string().as_bytes())?;
    network.keep_connected();
    let indexing = tokio::spawn(keep_indexed(app.clone()));
    let mending = tokio::spawn(keep_mended(app.clone()));
    drafts::keep_posting(app);
    keep_to_limits(app)?;
    let stop = app.stopping().clone();
    app.note("node.ready").await;
    let serving =
        axum::serve(accepting, app.router()).with_graceful_shutdown(stop.clone().cancelled_owned());
    let mut serving = tokio::spawn(serving.into_future());
    let addresses: Vec<String> =
        network.net().listening().iter().map(ToString::to_string).collect();
    let status = format!("listening at {}", addresses.join(", "));
    service::ready(&status);
    let living = tokio::spawn(service::show_life(stop.clone()));
    wait_for_the_end(app, &mut signals, &status).await;
    service::stopping();
    stop.cancel();
    living.abort();
    let _ = std::fs::remove_file(&pid_file);
    // from now on a command waits for the store instead of asking a node that ends
    drop(socket);
    indexing.abort();
    mending.abort();
    if timeout(DRAIN_TIMEOUT, &mut serving).await.is_err() {
        tracing::warn!("some requests were cut off");
        serving.abort();
        let _ = serving.await;
    }
    Ok(())
}

/// Gives up, beside everything else, what a fetch that was interrupted left over a limit.
fn keep_to_limits(app: &App) -> Result<(), ErrorRecord> {
    let replica = app.replica()?;
    tokio::task::spawn_blocking(move || {
        if let Err(error) = replica.enforce_limits() {
            tracing::warn!(%error, "what is over a limit was not given up");
        }
    });
    Ok(())
}

/// Returns where the local API is served: the socket that a service manager handed over, which
/// stays its own, else one that goes with the node.
fn api_socket(
    app: &App,
    wanted: Option<PathBuf>,
) -> Result<(Option<NodeSocket>, Accepting, PathBuf), NodeError> {
    let refuse = |error: std::io::Error| NodeError::Listen {
        on: "the socket handed over".to_owned(),
        reason: error.to_string(),
    };
    if let Some(passed) = service::passed_socket().map_err(refuse)? {
        let address = passed.local_addr().map_err(refuse)?;
        let path = address.as_pathname().unwrap_or(app.home()).to_owned();
        return Ok((None, Accepting::passed(passed).map_err(refuse)?, path));
    }
    let path = wanted.unwrap_or_else(|| socket_path(app.home()));
    let (socket, accepting) = NodeSocket::bind(&path)?;
    Ok((Some(socket), accepting, path))
}

/// Waits until the node is to end; reads the settings again when that is wanted.
async fn wait_for_the_end(app: &Arc<App>, signals: &mut Signals, status: &str) {
    loop {
        tokio::select! {
            told = signals.told() => match told {
                Told::End => {
                    app.note("node.stopping").await;
                    return;
                }
                Told::Reload => {
                    service::reloading();
                    let app = app.clone();
                    let reloaded = tokio::task::spawn_blocking(move || reload(&app)).await;
                    if let Ok(Err(error)) = reloaded {
                        tracing::error!(error = %error.message, "the settings stay as they were");
                    }
                    service::ready(status);
                }
            },
            () = app.stopping().cancelled() => return,
        }
    }
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
            tracing::warn!(error = %error.message, "the port of last time is not to be had: another one is used");
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

/// What a signal asks for.
enum Told {
    End,
    Reload,
}

/// The signals that a node obeys.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<Self, NodeError> {
        let listen = |kind| {
            signal(kind).map_err(|error| NodeError::Listen {
                on: "signals".to_owned(),
                reason: error.to_string(),
            })
        };
        let terminate = listen(SignalKind::terminate())?;
        let interrupt = listen(SignalKind::interrupt())?;
        Ok(Self { terminate, interrupt, hangup: listen(SignalKind::hangup())? })
    }

    async fn told(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
            _ = self.hangup.recv() => Told::Reload,
        }
    }
}
