//! `node`: the process that serves this home.

mod logs;
mod run;
mod start;

use std::cell::Cell;
use std::net::SocketAddr;

use clap::{Args, Subcommand};
use mosaic_node::api::types::{
    ErrorKind, ErrorRecord, NodeConnect, NodeForget, NodePeers, NodeStatus, NodeStop, NodeTicket,
    Record,
};
use mosaic_node::home;

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::input;
use crate::render::short;

#[derive(Debug, Subcommand)]
pub(crate) enum Node {
    /// Run the node here until it is stopped
    Run(Settings),
    /// Run the node in the background and return when it answers
    Start(Settings),
    /// Stop the node cleanly
    Stop,
    /// Show the running node; code 17 if there is none
    Status,
    /// List the peers
    Peers {
        /// Only those with an open connection
        #[arg(long)]
        connected: bool,
    },
    /// Connect to another node and remember it
    Connect {
        /// Its ticket, or - to read it from stdin
        #[arg(value_name = "TICKET")]
        ticket: String,
        /// What you call it
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Forget a peer; whoever counts is listed by `mosaic node peers`
    Forget {
        /// Its name, or the start of its device id
        #[arg(value_name = "PEER")]
        peer: String,
    },
    /// Print a ticket with which others connect to this node
    Ticket,
    /// Print the log of the node that runs in the background
    Logs(logs::Logs),
    /// Wait until the node answers
    Wait,
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
    #[arg(long, value_name = "URL")]
    pub(super) relay: Option<String>,
}

impl Node {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Run(settings) => settings.serve(context).await,
            Self::Start(settings) => settings.start(context).await,
            Self::Stop => stop(context).await,
            Self::Status => context.show(&NodeStatus {}).await,
            Self::Peers { connected } => context.show(&NodePeers { connected }).await,
            Self::Connect { ticket, name } => {
                let ticket = input::word_or_stdin(&ticket).await?;
                context.show(&NodeConnect { ticket, name }).await
            }
            Self::Forget { peer } => forget(peer, context).await,
            Self::Ticket => context.answer(&NodeTicket {}, Print::Value, &|_| None).await,
            Self::Logs(logs) => logs.run(context).await,
            Self::Wait => start::wait(context).await,
        }
    }
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
            home::end_process(lone).map_err(ErrorRecord::from)?;
            pid.set(Some(lone));
        }
        None => stopped?,
    }
    let Some(pid) = pid.get() else { return Ok(()) };
    start::wait_until_gone(context, pid).await?;
    context.output.talk(&format!("Node stopped (pid {pid})."));
    Ok(())
}
