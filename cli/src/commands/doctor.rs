//! `doctor`: what may be wrong, each with the way to mend it.

use clap::Args;
use mosaic_node::api::types::{Check, ErrorKind, ErrorRecord, NodePeers, NodeStatus, Record};
use mosaic_node::client::Client;
use mosaic_node::doctor::{self, Places};

use crate::context::Context;
use crate::error::Failure;

#[derive(Debug, Args)]
pub(crate) struct Doctor {}

impl Doctor {
    pub(crate) async fn run(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let layers = context.layers();
        let node_answers = Client::connect(&context.socket()).await.is_ok();
        let places = Places {
            home: &context.paths.home,
            state: &context.paths.state,
            layers: &layers,
            node_answers,
        };
        let mut checks = doctor::examine(&places);
        if node_answers {
            checks.extend(ask(context).await);
        } else {
            checks.push(doctor::ok("peers", "not asked: no node is running"));
        }
        let failed = checks.iter().filter(|check| check.state == "fail").count();
        let first = checks.iter().find(|check| check.state == "fail").cloned();
        for check in checks {
            context.output.record(&Record::Check(check))?;
        }
        context.output.flush()?;
        let Some(first) = first else { return Ok(()) };
        let message = format!("{failed} of these keep it from working: {}", first.name);
        let fix = first.fix.filter(|fix| fix.starts_with("mosaic ") && !fix.contains(" doctor"));
        let hint = fix.unwrap_or_else(|| "mosaic doctor --json".to_owned());
        Err(ErrorRecord::new(ErrorKind::Error, message).with_hint(hint).into())
    }
}

/// What only the node knows: its warnings, and its peers.
async fn ask(context: &mut Context<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    match context.records(&NodeStatus {}).await {
        Ok(records) => {
            for record in records {
                let Record::Node(node) = record else { continue };
                for warning in node.warnings {
                    checks.push(doctor::warn("node", warning, "mosaic node restart"));
                }
            }
        }
        Err(_) => checks.push(doctor::fail(
            "node",
            "it does not say how it is".to_owned(),
            "mosaic node restart",
        )),
    }
    let Ok(peers) = context.records(&NodePeers { connected: false }).await else { return checks };
    let connected =
        |record: &&Record| matches!(record, Record::Peer(peer) if peer.state == "connected");
    let (all, open) = (peers.len(), peers.iter().filter(connected).count());
    checks.push(match (all, open) {
        (0, _) => doctor::ok("peers", "none is known"),
        (_, 0) => {
            let message = format!("none of {all} is connected");
            doctor::warn("peers", message, "mosaic node peers")
        }
        _ => doctor::ok("peers", &format!("{open} of {all} are connected")),
    });
    checks
}
