//! How a home comes to an identity: a new account, or a link to one.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use mosaic_engine::change::value::Value;
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::limits::DEVICE_NAME_BYTES_MAX;
use tokio::time::timeout;

use super::answer::{Answer, Outcome, Sink, blocking, route};
use super::failure::NEW_LINK;
use super::identity::identity;
use super::types::{
    DeviceInvite, DeviceLink, ErrorKind, ErrorRecord, IdentityCreate, Linked, Notice, Record,
    Ticket, rfc3339,
};
use crate::app::App;
use crate::clock;
use crate::endpoint::Net;
use crate::error::NodeError;
use crate::link;
use crate::ticket::LinkTicket;

/// How long a link ticket is good for unless told otherwise.
const INVITE_TTL_MS: u64 = 10 * 60 * 1000;
/// Longest life of a link ticket.
const INVITE_TTL_MS_MAX: u64 = 24 * 60 * 60 * 1000;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = blocking(router, create);
    let router = route(router, invite);
    route(router, link)
}

fn create(app: &App, request: IdentityCreate) -> Result<Record, ErrorRecord> {
    if request.if_missing
        && let Ok(replica) = app.replica()
    {
        return identity(&replica, &replica.account()?);
    }
    let device_name = device_name(request.device_name)?;
    let replica = app.create_account(&device_name)?;
    if let Some(name) = request.name.filter(|name| !name.is_empty()) {
        let edits = vec![("name".to_owned(), Some(Value::Text(name)))];
        replica.edit_profile(edits, clock::now_ms())?;
    }
    identity(&replica, &replica.account()?)
}

async fn invite(app: Arc<App>, request: DeviceInvite) -> Outcome {
    let ttl_ms = request.ttl_ms.unwrap_or(INVITE_TTL_MS);
    if ttl_ms == 0 || ttl_ms > INVITE_TTL_MS_MAX {
        let message = "a link ticket lives from one millisecond to one day";
        return Err(ErrorRecord::new(ErrorKind::Usage, message).with_hint(NEW_LINK));
    }
    if !app.is_node() && !request.wait {
        let message = "without a running node nobody would answer the other device";
        return Err(ErrorRecord::new(ErrorKind::NoNode, message));
    }
    let replica = app.replica()?;
    let network = app.network().await?;
    let (ticket, used) = network.invite(ttl_ms, app.entropy());
    let record = Record::Ticket(Ticket {
        kind: "link".to_owned(),
        ticket: ticket.to_string(),
        expires_at: Some(rfc3339(ticket.expires_ms)),
    });
    if !request.wait {
        return Ok(record.into());
    }
    let account = replica.account()?.to_string();
    Ok(Answer::running(move |sink| async move {
        let _ = sink.send(record).await;
        let waited = tokio::select! {
            used = timeout(Duration::from_millis(ttl_ms), used) => used,
            () = sink.closed() => return Ok(()),
            () = app.stopping().cancelled() => {
                return Err(ErrorRecord::new(ErrorKind::Interrupted, "the node stops"));
            }
        };
        let Ok(Ok(invite)) = waited else {
            let message = "the ticket expired before a device used it";
            return Err(
                ErrorRecord::new(ErrorKind::Timeout, message).with_hint("mosaic device invite")
            );
        };
        let linked = Record::Linked(Linked {
            account,
            device: invite.device.to_string(),
            name: invite.name,
            code: invite.code,
        });
        let _ = sink.send(linked).await;
        if !app.is_node() {
            // the new device fetches the account right after it is linked
            serve_until_equal(&network, &invite.device).await;
        }
        Ok(())
    }))
}

/// Waits a while for the first comparison of a device that has just linked.
async fn serve_until_equal(
    network: &crate::network::Network,
    device: &mosaic_engine::hash::DeviceId,
) {
    const WAIT: Duration = Duration::from_secs(10);
    const LOOK_EVERY: Duration = Duration::from_millis(50);
    let settled = async {
        loop {
            let record = network.peers().record(device);
            if !record.sections.is_empty() && network.peers().live(device).is_none() {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let _ = timeout(WAIT, settled).await;
}

async fn link(app: Arc<App>, request: DeviceLink) -> Outcome {
    let ticket = LinkTicket::parse(&request.ticket)
        .map_err(|error| ErrorRecord::from(error).with_hint(NEW_LINK))?;
    let name = device_name(request.name)?;
    let making = app.clone();
    let secret = tokio::task::spawn_blocking(move || making.new_device()).await;
    let secret = secret.map_err(|error| failed(&error))??;
    Ok(Answer::running(move |sink| async move {
        let joined = join(&app, &ticket, &secret, &name).await;
        // a key that the account may know by now is not thrown away
        if !matches!(joined, Ok(_) | Err(NodeError::Unconfirmed { .. })) {
            app.forget_device();
        }
        let joined = joined?;
        let (adopting, path) = (app.clone(), joined.path);
        let adopted = tokio::task::spawn_blocking(move || adopting.adopt(path)).await;
        let replica = adopted.map_err(|error| failed(&error))??;
        let linked = Record::Linked(Linked {
            account: replica.account()?.to_string(),
            device: replica.device()?.to_string(),
            name,
            code: joined.code,
        });
        fetch_account(&app, &ticket, &sink).await;
        let _ = sink.send(linked).await;
        Ok(())
    }))
}

async fn join(
    app: &App,
    ticket: &LinkTicket,
    secret: &DeviceSecret,
    name: &str,
) -> Result<link::Joined, NodeError> {
    let options = app.net_options(Vec::new())?;
    let net = Net::bind(&secret.signing_seed(), &options, Vec::new()).await?;
    let joined = link::join(&net, ticket, secret, name, app.entropy()).await;
    net.close().await;
    joined
}

/// Brings the account's documents from the inviter. The link holds also if this fails.
async fn fetch_account(app: &Arc<App>, ticket: &LinkTicket, sink: &Sink) {
    let notice = |message: String| Record::Notice(Notice { message });
    let network = match app.network().await {
        Ok(network) => network,
        Err(error) => {
            let _ = sink.send(notice(format!("Not fetched yet: {}", error.message))).await;
            return;
        }
    };
    let (peers, node) = (network.peers().clone(), ticket.node.clone());
    let remembered = tokio::task::spawn_blocking(move || peers.remember(&node, None, true)).await;
    if !matches!(remembered, Ok(Ok(_))) {
        tracing::warn!("the inviter was not remembered as a peer");
    }
    let _ = sink.send(notice("Fetching the account's documents…".to_owned())).await;
    match network.round(&ticket.node).await {
        Ok(report) if report.outcome.as_ref().is_some_and(super::sync::in_sync) => {}
        Ok(_) => {
            let message = "Not everything came; `mosaic sync` fetches the rest.".to_owned();
            let _ = sink.send(notice(message)).await;
        }
        Err(error) => {
            let _ = sink.send(notice(format!("Not fetched yet: {error}"))).await;
        }
    }
}

pub(crate) fn device_name(asked: Option<String>) -> Result<String, ErrorRecord> {
    let name = asked.unwrap_or_else(|| {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        if host.is_empty() { "device".to_owned() } else { host }
    });
    if name.is_empty() || name.len() > DEVICE_NAME_BYTES_MAX {
        let message = format!("a device name has 1 to {DEVICE_NAME_BYTES_MAX} bytes");
        return Err(ErrorRecord::new(ErrorKind::Usage, message));
    }
    Ok(name)
}

fn failed(error: &impl ToString) -> ErrorRecord {
    ErrorRecord::new(ErrorKind::Error, error.to_string())
}
