//! Invitations: making them, and joining by a ticket.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use mosaic_engine::entropy::Entropy;
use mosaic_engine::hash::{ChangeId, HubId};
use mosaic_engine::hub::InviteView;
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::model::entry::HubAction;
use mosaic_engine::replica::{EngineError, Replica, Ticket as Invitation};
use mosaic_engine::seal::EpochKey;
use tokio::task::spawn_blocking;

use super::{govern, name, of_id};
use crate::api::answer::{Answer, Outcome, Sink, blocking, route};
use crate::api::resolve;
use crate::api::types::{
    ErrorKind, ErrorRecord, HubInvite, HubInvites, HubJoin, HubUninvite, Invite, Notice, Record,
    Ticket, rfc3339,
};
use crate::app::App;
use crate::clock;
use crate::ticket::HubTicket;

/// Rounds in which a hub is asked for.
const ROUNDS_MAX: u32 = 4;

/// Time between two of them.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(250);

/// Joins by another ticket, which who may invite makes.
const JOIN_ANEW: &str = "mosaic hub join NEW_TICKET";
/// What to do about a ticket that is of no use.
const ASK_ANEW: &str = "ask who invited you for a new one";

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = route::<HubInvite, _, _>(router, invite);
    let router = blocking::<HubInvites, _>(router, list);
    let router = blocking::<HubUninvite, _>(router, close);
    route::<HubJoin, _, _>(router, join)
}

/// A key from its seed, for signing alone.
fn key(seed: &[u8; 32]) -> Result<DeviceSecret, ErrorRecord> {
    let mut bytes = [0; DeviceSecret::LEN];
    let (signing, sealing) = bytes.split_at_mut(32);
    signing.copy_from_slice(seed);
    sealing.copy_from_slice(seed);
    DeviceSecret::from_bytes(&bytes).ok_or_else(|| {
        let message = format!("the ticket's key is not usable: {ASK_ANEW}");
        ErrorRecord::new(ErrorKind::Usage, message).with_hint(JOIN_ANEW)
    })
}

async fn invite(app: Arc<App>, request: HubInvite) -> Outcome {
    let node = match app.is_node() {
        true => Some(app.network().await?.net().ticket()),
        false => None,
    };
    let unheard = node.is_none();
    let making = spawn_blocking(move || make(&app, request, node));
    let ticket = making.await.map_err(|error| failed(&error))??;
    let mut records = vec![Record::Ticket(ticket)];
    if unheard {
        let message = "No node runs here, so the ticket names no address: whoever has it must \
                       reach a node that keeps this hub by itself."
            .to_owned();
        records.push(Record::Notice(Notice { message }));
    }
    Ok(Answer::Records(records))
}

fn make(
    app: &App,
    request: HubInvite,
    node: Option<crate::ticket::NodeTicket>,
) -> Result<Ticket, ErrorRecord> {
    let replica = app.replica()?;
    let hub = name::hub(&replica, &request.hub)?;
    let account = request.who.as_deref().map(|who| resolve::account(&replica, Some(who)));
    let account = account.transpose()?;
    let mut seed = [0; 32];
    app.entropy().fill(&mut seed);
    let now_ms = clock::now_ms();
    let expires_ms = request.expires_ms.map_or(0, |after| now_ms.saturating_add(after));
    let too_many = |_| {
        let message = "an invitation is for 1 to 1000 accounts, or for any number (0)";
        ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic hub invite --help")
    };
    let action = HubAction::Invite {
        role: name::role(&replica, &hub, request.role.as_deref())?,
        key: Some(key(&seed)?.id()),
        uses: u32::try_from(request.uses.unwrap_or(0)).map_err(too_many)?,
        expires_ms,
        account,
    };
    let invite = replica.hub_operation(&hub, action, "", now_ms);
    let invite = invite.map_err(name::refused(hub, "mosaic hub invite --help"))?;
    let texts = replica.invitation_keys(&hub)?;
    let ticket = HubTicket { hub, invite, seed, node, texts };
    Ok(Ticket {
        kind: "hub".to_owned(),
        ticket: ticket.to_string(),
        expires_at: (expires_ms != 0).then(|| rfc3339(expires_ms)),
    })
}

fn list(app: &App, request: HubInvites) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let hub = name::hub(&replica, &request.hub)?;
    let invites = replica.hub(&hub, |hub| hub.invites())?;
    let names = |accounts: &std::collections::BTreeSet<_>| -> Vec<String> {
        accounts
            .iter()
            .map(|account: &mosaic_engine::hash::AccountId| account.to_string())
            .collect()
    };
    let records = invites.iter().map(|invite| {
        Record::Invite(Invite {
            id: invite.id.to_string(),
            hub: hub.to_string(),
            by: invite.by.to_string(),
            uses: (invite.uses != 0).then_some(u64::from(invite.uses)),
            expires_at: (invite.expires_ms != 0).then(|| rfc3339(invite.expires_ms)),
            account: invite.account.map(|account| account.to_string()),
            closed: invite.closed.into(),
            state: state(invite, clock::now_ms()).to_owned(),
            joined: names(&invite.joined),
            waiting: names(&invite.waiting),
        })
    });
    Ok(records.collect())
}

/// Whether somebody can still join by an invitation, as far as is known here.
fn state(invite: &InviteView, now_ms: u64) -> &'static str {
    let joined = u32::try_from(invite.joined.len()).unwrap_or(u32::MAX);
    if invite.closed {
        "closed"
    } else if invite.expires_ms != 0 && invite.expires_ms <= now_ms {
        "expired"
    } else if invite.uses != 0 && joined >= invite.uses {
        "used"
    } else {
        "open"
    }
}

fn close(app: &App, request: HubUninvite) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let hub = name::hub(&replica, &request.hub)?;
    let invites = replica.hub(&hub, |hub| hub.invites())?;
    let prefix = request.id.trim().to_ascii_lowercase();
    let found: Vec<ChangeId> = invites
        .iter()
        .map(|invite| invite.id)
        .filter(|id| prefix.len() >= 4 && id.to_string().starts_with(&prefix))
        .collect();
    let [invite] = found.as_slice() else {
        let message = format!("{} invitations begin with '{}'", found.len(), prefix.escape_debug());
        let hint = format!("mosaic hub invite {} --list", hub.short());
        return Err(ErrorRecord::new(ErrorKind::NotFound, message).with_hint(hint));
    };
    let action = HubAction::CloseInvite { invite: *invite };
    let id = replica.hub_operation(&hub, action, "", clock::now_ms());
    let id = id.map_err(name::refused(hub, "mosaic hub invite --help"))?;
    govern::operation(&replica, &hub, &id)
}

async fn join(app: Arc<App>, request: HubJoin) -> Outcome {
    let ticket = HubTicket::parse(&request.ticket).map_err(|error| {
        let error = ErrorRecord::from(error);
        let message = format!("{}: {ASK_ANEW}", error.message);
        ErrorRecord::new(error.kind(), message).with_hint(JOIN_ANEW)
    })?;
    let replica = app.replica()?;
    Ok(Answer::running(move |sink| async move {
        let met = fetch(&app, &replica, &ticket, &sink).await?;
        let (joining, hub) = (replica.clone(), ticket.hub);
        let (invite, seed, texts) = (ticket.invite, ticket.seed, ticket.texts.clone());
        let kept_before = met.served_before;
        let alias = request.alias;
        let joined = spawn_blocking(move || {
            let entered = enter(&joining, (hub, invite), &seed, &texts, alias);
            if !kept_before {
                // The list says it on all devices from now on, or it is not kept at all.
                joining.serve_hub(&hub, false)?;
            }
            entered
        });
        let joined = joined.await.map_err(|error| failed(&error))??;
        app.kept_changed();
        match joined {
            true => tell(&app, &ticket, met.node, &sink).await?,
            false => {
                let message = "You were in before, as far as is known here.".to_owned();
                let _ = sink.send(Record::Notice(Notice { message })).await;
            }
        }
        let record = spawn_blocking(move || of_id(&replica, &hub)).await;
        let _ = sink.send(record.map_err(|error| failed(&error))??).await;
        Ok(())
    }))
}

/// How the hub was met.
struct Met {
    /// The node of the ticket answered.
    node: bool,
    /// This node was told to keep the hub before.
    served_before: bool,
}

/// Fetches the hub if it is not here yet.
async fn fetch(
    app: &Arc<App>,
    replica: &Arc<Replica>,
    ticket: &HubTicket,
    sink: &Sink,
) -> Result<Met, ErrorRecord> {
    let (looking, hub, invite) = (replica.clone(), ticket.hub, ticket.invite);
    let here = spawn_blocking(move || {
        let known = looking.hub(&hub, |hub| hub.verdict(&invite).is_some());
        let known = match known {
            Err(EngineError::NotFound { .. }) => false,
            known => known?,
        };
        let served = looking.hubs()?.iter().any(|kept| kept.id == hub && kept.served);
        if !known {
            looking.serve_hub(&hub, true)?;
        }
        Ok::<_, EngineError>((known, served))
    });
    let (here, served_before) = here.await.map_err(|error| failed(&error))??;
    // Of a private hub nobody tells but to who is invited; who has it here may have been taken out
    // without hearing of it.
    let (key, showing) = (key(&ticket.seed)?, replica.clone());
    let shown = spawn_blocking(move || {
        showing.show_ticket(&Invitation { hub, invite, key: Some(&key), texts: &[] })
    });
    shown.await.map_err(|error| failed(&error))??;
    let met = |node| Met { node, served_before };
    // Sessions that run tell of the ticket then.
    app.kept_changed();
    let Some(node) = &ticket.node else {
        if here {
            return Ok(met(false));
        }
        let message = "the ticket names no node, and this hub is not here: sync with a node that \
                       keeps it, then join again";
        return Err(
            ErrorRecord::new(ErrorKind::Retry, message).with_hint("mosaic sync --peer TICKET")
        );
    };
    let network = app.network().await?;
    if !here {
        let message = "Fetching the hub…".to_owned();
        let _ = sink.send(Record::Notice(Notice { message })).await;
    }
    let (peers, remembered) = (network.peers().clone(), node.clone());
    let noting = spawn_blocking(move || peers.remember(&remembered, None, true)).await;
    if !matches!(noting, Ok(Ok(_))) {
        tracing::warn!("a peer was not remembered");
    }
    for round in 0..ROUNDS_MAX {
        match network.round(node).await {
            Ok(_) => {}
            Err(_) if here => return Ok(met(false)),
            Err(error) => {
                return Err(ErrorRecord::from(error).with_hint("mosaic hub join TICKET"));
            }
        }
        // A private hub comes, or goes on, once the node has heard of the invitation.
        let looking = replica.clone();
        let known = spawn_blocking(move || looking.hub(&hub, |_| ()).is_ok());
        if known.await.map_err(|error| failed(&error))? && (round > 0 || !here) {
            break;
        }
        if round + 1 < ROUNDS_MAX {
            tokio::time::sleep(BETWEEN_ROUNDS).await;
        }
    }
    Ok(met(true))
}

/// Joins, unless this account is in already; says whether it was not.
fn enter(
    replica: &Replica,
    (hub, invite): (HubId, ChangeId),
    seed: &[u8; 32],
    texts: &[EpochKey],
    alias: Option<String>,
) -> Result<bool, ErrorRecord> {
    let (me, now_ms) = (replica.account()?, clock::now_ms());
    let member = match replica.hub(&hub, |hub| hub.rank(&me)) {
        Err(EngineError::NotFound { .. }) => {
            let message = format!(
                "the node that the ticket names gives nothing of this hub: the invitation is over or \
                 for somebody else, or the node keeps the hub no more: {ASK_ANEW}"
            );
            return Err(ErrorRecord::new(ErrorKind::Retry, message).with_hint(JOIN_ANEW));
        }
        rank => rank?.is_some(),
    };
    if !member {
        let key = key(seed)?;
        let joined = replica.join_hub(&Invitation { hub, invite, key: Some(&key), texts }, now_ms);
        joined.map_err(name::refused(hub, "mosaic hub join --help"))?;
    }
    let known = replica.hubs()?.into_iter().find(|kept| kept.id == hub);
    let alias = alias.or(known.map(|kept| kept.alias)).unwrap_or_default();
    replica.list_hub(&hub, true, &alias, now_ms)?;
    Ok(!member)
}

/// Brings the news to the node of the ticket.
async fn tell(
    app: &Arc<App>,
    ticket: &HubTicket,
    met: bool,
    sink: &Sink,
) -> Result<(), ErrorRecord> {
    let told = match &ticket.node {
        Some(node) if met => app.network().await?.round(node).await.is_ok(),
        _ => false,
    };
    if !told {
        let message = "You are in; nobody else knows it yet: mosaic sync".to_owned();
        let _ = sink.send(Record::Notice(Notice { message })).await;
    }
    Ok(())
}

fn failed(error: &impl ToString) -> ErrorRecord {
    ErrorRecord::new(ErrorKind::Error, error.to_string())
}
