//! `node`: the process that serves this home.

mod install;
mod logs;
mod run;
mod start;

use std::cell::Cell;
use std::net::SocketAddr;

use clap::{Args, Subcommand, ValueEnum};
use mosaic_node::api::types::{
    ErrorKind, ErrorRecord, NodeConnect, NodeForget, NodeMetrics, NodePeers, NodeReload,
    NodeStatus, NodeStop, NodeTicket, Record,
};
use mosaic_node::config::Key;
use mosaic_node::home;

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::input;
use crate::render::short;

#[derive(Debug, Subcommand)]
pub(crate) enum Node {
    /// Run the node here until it is stopped
    Run(Run),
    /// Run the node in the background and return when it answers
    Start(Settings),
    /// Stop the node cleanly
    Stop,
    /// Stop the node and start it again; without flags as it was started
    Restart(Settings),
    /// Have the node read its settings again
    Reload,
    /// Show the running node; code 17 if there is none
    Status,
    /// List the peers
    Peers {
        /// Only those with an open connection
        #[arg(long)]
        connected: bool,
    },
    /// Connect to another node and remember it
    ///
    /// You let that node keep what is private, sealed as it is: direct messages, posts to audiences and
    /// your lists. It sees who takes part and when, and reads nothing of it. `mosaic node forget` ends that;
    /// what it has by then it keeps.
    Connect {
        /// Its ticket, or - to read it from stdin
        #[arg(value_name = "TICKET")]
        ticket: String,
        /// What you call it
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Forget a peer; whoever counts is listed by `mosaic node peers`
    ///
    /// You do not let it keep what is private any more: it gets nothing new of that, and what it has it
    /// keeps.
    Forget {
        /// Its name, or the start of its device id
        #[arg(value_name = "PEER")]
        peer: String,
    },
    /// Print a ticket with which others connect to this node
    Ticket,
    /// Print the log of the node that runs in the background
    Logs(logs::Logs),
    /// Print the figures of the node for Prometheus
    Metrics,
    /// Wait until the node answers
    Wait,
    /// Let systemd run the node: write its unit
    Install(install::Install),
    /// Remove the unit
    Uninstall(install::Uninstall),
}

/// How a node runs in this process.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(super) settings: Settings,
    /// Log to files instead of stderr
    #[arg(long, hide = true)]
    pub(super) background: bool,
}

/// Reads a relay as the setting of this name is read.
fn relay(text: &str) -> Result<String, String> {
    let key = Key::find("node.relay")?;
    let value = key.kind.parse(text)?;
    value.map(|value| value.to_string()).ok_or_else(|| format!("it must be {}", key.kind))
}

/// How lines of the log look.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One object a line
    Json,
}

impl LogFormat {
    const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// How a node meets others.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// UDP address to listen on; repeat for more; default: loopback, at the port of
    /// last time if it is free
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Vec<SocketAddr>,
    /// Find peers in the local network, and be found
    #[arg(long)]
    pub(super) lan: bool,
    /// Use this relay; none is used otherwise
    #[arg(long, value_name = "URL", value_parser = relay)]
    pub(super) relay: Option<String>,
    /// How lines of the log look
    #[arg(long, value_name = "FORMAT")]
    pub(super) log_format: Option<LogFormat>,
}

impl Node {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Run(run) => run.serve(context).await,
            Self::Start(settings) => settings.start(context).await,
            Self::Stop => stop(context).await,
            Self::Restart(settings) => settings.restart(context).await,
            Self::Reload => reload(context).await,
            Self::Status => context.show(&NodeStatus {}).await,
            Self::Peers { connected } => context.show(&NodePeers { connected }).await,
            Self::Connect { ticket, name } => {
                let ticket = input::word_or_stdin(&ticket).await?;
                context.show(&NodeConnect { ticket, name }).await
            }
            Self::Forget { peer } => forget(peer, context).await,
            Self::Ticket => context.answer(&NodeTicket {}, Print::Value, &|_| None).await,
            Self::Logs(logs) => logs.run(context).await,
            Self::Metrics => metrics(context).await,
            Self::Wait => start::wait(context).await,
            Self::Install(install) => install.run(context),
            Self::Uninstall(uninstall) => uninstall.run(context),
        }
    }
}

impl Settings {
    /// Starts the node anew; what no flag says stays as it was.
    async fn restart(mut self, context: &mut Context<'_>) -> Result<(), Failure> {
        let running = match context.records(&NodeStatus {}).await {
            Ok(records) => records.into_iter().find_map(|record| match record {
                Record::Node(node) => Some(node),
                _ => None,
            }),
            Err(Failure::Error(error)) if error.kind() == ErrorKind::NoNode => None,
            Err(error) => return Err(error),
        };
        if let Some(node) = running {
            if node.supervised {
                let message = "this node is run by systemd: restart its unit, mosaic.service";
                return Err(Failure::usage(message, "mosaic node status"));
            }
            if self.listen.is_empty() {
                self.listen =
                    node.listen.iter().filter_map(|address| address.parse().ok()).collect();
            }
            self.lan |= node.lan;
            self.relay = self.relay.or(node.relay);
            // before it is too late to go on as before
            context.opened_keys().await?;
            stop(context).await?;
        }
        self.start(context).await
    }
}

async fn metrics(context: &mut Context<'_>) -> Result<(), Failure> {
    let mut answer = context.call(&NodeMetrics {}).await?;
    let refused = answer.status() >= 300;
    let mut text = Vec::new();
    while let Some(bytes) = answer.bytes().await? {
        text.extend_from_slice(&bytes);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    if refused {
        return Err(match serde_json::from_str(&text) {
            Ok(Record::Error(error)) => error.into(),
            _ => Failure::new(ErrorKind::Error, "the node has no figures"),
        });
    }
    if context.output.is_json() {
        return context.output.object("metrics", &[("text", &text)]);
    }
    context.output.bytes(text.as_bytes())
}

/// Says of each setting that changed whether it is in force.
async fn reload(context: &mut Context<'_>) -> Result<(), Failure> {
    let changed = Cell::new(0);
    let say = |record: &Record| {
        let Record::Setting(setting) = record else { return None };
        changed.set(changed.get() + 1);
        Some(match setting.state.as_deref() {
            Some("applied") => format!("{} is in force.", setting.key),
            _ => format!("{} needs: mosaic node restart", setting.key),
        })
    };
    context.answer(&NodeReload {}, Print::Nothing, &say).await?;
    if changed.get() == 0 {
        context.output.talk("Nothing changed.");
    }
    Ok(())
}

async fn forget(peer: String, context: &mut Context<'_>) -> Result<(), Failure> {
    let say = |record: &Record| {
        let Record::Peer(peer) = record else { return None };
        let name = peer.name.clone().unwrap_or_else(|| short(&peer.device));
        Some(format!("{name} is forgotten; it no longer counts here."))
    };
    context.answer(&NodeForget { peer }, Print::Nothing, &say).await
}

/// Stops the node and returns when it is gone; also one whose socket is gone.
async fn stop(context: &mut Context<'_>) -> Result<(), Failure> {
    let pid = Cell::new(None);
    let note = |record: &Record| {
        if let Record::Node(node) = record {
            pid.set(Some(node.pid));
        }
        None
    };
    let stopped = context.answer(&NodeStop {}, Print::Nothing, &note).await;
    let lone = match &stopped {
        Err(Failure::Error(error)) if error.kind() == ErrorKind::NoNode => {
            home::node_process(&context.paths.home).filter(|_| context.globals.node.is_none())
        }
        _ => None,
    };
    match lone {
        Some(lone) => {
            if let Some(process) = home::Process::find(lone) {
                process.end().map_err(ErrorRecord::from)?;
            }
            pid.set(Some(lone));
        }
        None => stopped?,
    }
    let Some(pid) = pid.get() else { return Ok(()) };
    start::wait_until_gone(context, pid).await?;
    context.output.talk(&format!("Node stopped (pid {pid})."));
    Ok(())
}
