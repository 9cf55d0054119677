//! Recovery: everything is lost but the words and a node that keeps the account.
//!
//! The device that the words bring in is written into the log first, so that keepers give it
//! what is private. Only when all of that is here, and the walls on which the account spoke, are
//! the devices of before taken out: their cuts name what is here.

use std::sync::Arc;

use axum::Router;
use mosaic_engine::description::{SectionClass, Space};
use mosaic_engine::identity::{CertificatePath, RecoverySecret};
use mosaic_engine::replica::{Recoverable, Replica, TakenOut};
use mosaic_engine::sync::exchange::{Exchange, ExchangeError, Section};
use tokio::task::spawn_blocking;

use super::answer::{Answer, Outcome, Sink, blocking, route};
use super::failure::NODE_TICKET;
use super::identity::identity;
use super::join::device_name;
use super::resolve;
use super::types::{
    ErrorKind, ErrorRecord, IdentityRecover, IdentityRotate, Notice, Record, Recovered,
};
use crate::app::App;
use crate::clock;
use crate::endpoint::Net;
use crate::network::Network;
use crate::recovery::ask;
use crate::ticket::NodeTicket;
use crate::words::Words;

/// Nodes that are asked.
const PEERS_MAX: usize = 16;
/// What to run when it has to be run again.
pub(super) const RECOVER: &str = "mosaic init --recover FILE --peer TICKET";

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = blocking::<IdentityRotate, _>(router, rotate);
    route(router, recover)
}

/// What the user gave.
struct Asked {
    secret: RecoverySecret,
    peers: Vec<NodeTicket>,
    name: String,
    without_private: bool,
}

async fn recover(app: Arc<App>, request: IdentityRecover) -> Outcome {
    let secret = secret(&request.words, RECOVER)?;
    let tickets = request.peers.iter().map(|ticket| NodeTicket::parse(ticket.trim()));
    let peers = tickets.collect::<Result<Vec<_>, _>>();
    let peers = peers.map_err(|error| ErrorRecord::from(error).with_hint(NODE_TICKET))?;
    if peers.is_empty() || peers.len() > PEERS_MAX {
        let message = format!("recovery needs 1 to {PEERS_MAX} tickets of nodes that keep you");
        return Err(ErrorRecord::new(ErrorKind::Usage, message).with_hint(RECOVER));
    }
    let name = device_name(request.device_name)?;
    let asked = Asked { secret, peers, name, without_private: request.without_private };
    let begun = app.replica().ok();
    if let Some(replica) = &begun {
        check_begun(replica, &asked.secret)?;
    }
    Ok(Answer::running(move |sink| async move {
        let replica = match begun {
            Some(replica) => replica,
            None => begin(&app, &asked, &sink).await?,
        };
        go_on(&app, &replica, asked, &sink).await
    }))
}

fn secret(words: &str, hint: &str) -> Result<RecoverySecret, ErrorRecord> {
    let usage = |message: String| ErrorRecord::new(ErrorKind::Usage, message).with_hint(hint);
    let words = Words::parse(words).map_err(|error| usage(error.to_string()))?;
    words.secret().ok_or_else(|| usage("these words give no usable keys".to_owned()))
}

/// A home that has an identity already may only go on with what it began.
fn check_begun(replica: &Replica, secret: &RecoverySecret) -> Result<(), ErrorRecord> {
    let path = replica.path(&replica.device()?)?;
    let recovery = path.as_ref().and_then(|path| path.recovery.as_ref());
    if recovery.is_some_and(|certificate| certificate.policy == *secret.policy()) {
        return Ok(());
    }
    let message = format!("this home already belongs to account {}", replica.account()?);
    Err(ErrorRecord::new(ErrorKind::Conflict, message)
        .with_hint("mosaic --home NEW_FOLDER init --recover FILE --peer TICKET"))
}

/// Finds the account and becomes a device of it that nobody knows yet.
async fn begin(app: &Arc<App>, asked: &Asked, sink: &Sink) -> Result<Arc<Replica>, ErrorRecord> {
    let making = app.clone();
    let device = spawn_blocking(move || making.new_device()).await;
    let device = device.map_err(|error| failed(&error))??;
    let found = find(app, asked, &device.signing_seed(), sink).await;
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            app.forget_device();
            return Err(error);
        }
    };
    let (account, rank) = (found.genesis.account(), found.next_rank());
    let now_ms = clock::now_ms();
    let certificate = asked.secret.certify(account, found.rotations, &device, rank, now_ms);
    let certificate = certificate.map_err(|error| failed(&error))?;
    let path = CertificatePath::recovered(found.genesis, certificate);
    let adopting = app.clone();
    let adopted = spawn_blocking(move || adopting.adopt(path)).await;
    adopted.map_err(|error| failed(&error))?
}

/// Asks all nodes for the account; one that knows of more recoveries is believed.
async fn find(
    app: &Arc<App>,
    asked: &Asked,
    seed: &[u8; 32],
    sink: &Sink,
) -> Result<Recoverable, ErrorRecord> {
    let net = Net::bind(seed, &app.net_options(Vec::new())?, Vec::new()).await?;
    let (mut best, mut answered, mut failure): (Option<Recoverable>, _, _) = (None, false, None);
    for peer in &asked.peers {
        match ask(&net, peer, asked.secret.policy()).await {
            Ok(found) => {
                answered = true;
                let better = found.filter(|found| {
                    best.as_ref().is_none_or(|best| best.next_rank() < found.next_rank())
                });
                best = better.or(best);
            }
            Err(error) => {
                if asked.peers.len() > 1 {
                    notice(sink, format!("Not asked: {error}")).await;
                }
                failure = Some(error);
            }
        }
    }
    net.close().await;
    match (best, answered, failure) {
        (Some(found), ..) if found.frozen => {
            let message = format!(
                "account {} is frozen: it was recovered with different words, and nobody can tell \
                 whose hold",
                found.genesis.account()
            );
            Err(ErrorRecord::new(ErrorKind::Denied, message).with_hint("mosaic init --name NAME"))
        }
        (Some(found), ..) => Ok(found),
        (None, false, Some(error)) => Err(error.into()),
        (None, ..) => {
            let message = "the words are well-formed, but no account with these words is known \
                           there: they may be of another account, or were replaced by others, or \
                           that node does not keep yours";
            Err(ErrorRecord::new(ErrorKind::NotFound, message).with_hint(RECOVER))
        }
    }
}

/// Fetches the account, announces this device, fetches what is private and whom it followed, and
/// takes out the devices of before.
async fn go_on(
    app: &Arc<App>,
    replica: &Arc<Replica>,
    asked: Asked,
    sink: &Sink,
) -> Result<(), ErrorRecord> {
    let account = replica.account()?;
    notice(sink, format!("Found account {}. Fetching it…", account.short())).await;
    let network = app.network().await?;
    let (peers, tickets) = (network.peers().clone(), asked.peers.clone());
    let remembered = spawn_blocking(move || {
        tickets.iter().try_for_each(|ticket| peers.remember(ticket, None, true).map(|_| ()))
    });
    if !matches!(remembered.await, Ok(Ok(()))) {
        tracing::warn!("a peer was not remembered");
    }
    rounds(&network, &asked.peers).await?;
    if !log_is_here(replica).await? {
        let message = "the account's log did not come: nothing was changed";
        return Err(ErrorRecord::new(ErrorKind::Retry, message).with_hint(RECOVER));
    }
    let (announcing, name) = (replica.clone(), asked.name.clone());
    store(move || announcing.announce_recovery(&name, clock::now_ms())).await?;
    let mut private = rounds(&network, &asked.peers).await?;
    // now that they know this device they give it what is private
    private |= rounds(&network, &asked.peers).await?;
    // a node may be willing to keep it and never have met a device that gave it
    private &= private_is_here(replica).await?;
    if !private && !asked.without_private {
        let message = "none of these nodes has anything that your devices had in private (follows, \
                       blocks, petnames, read marks): give one more that has; if there never was \
                       any, or to give it up for good, say --without-private; the devices of \
                       before are not out yet";
        // A hint is taken as it stands: giving up what is private is not for it to say.
        return Err(ErrorRecord::new(ErrorKind::Partial, message).with_hint(RECOVER));
    }
    let (opening, secret) = (replica.clone(), Arc::new(asked.secret));
    let words = secret.clone();
    let keys = store(move || opening.open_backup(&words)).await?;
    notice(sink, "Fetching the walls you followed…".to_owned()).await;
    app.kept_changed();
    rounds(&network, &asked.peers).await?;
    let finishing = replica.clone();
    let taken = store(move || finishing.finish_recovery(&secret, clock::now_ms())).await?;
    if rounds(&network, &asked.peers).await.is_err() {
        let message = "The devices of before are out here, but no peer knows it yet: mosaic sync";
        notice(sink, message.to_owned()).await;
    }
    let record = recovered(replica, asked.name, &taken, private && keys > 0)?;
    let _ = sink.send(record).await;
    Ok(())
}

fn recovered(
    replica: &Replica,
    name: String,
    taken: &TakenOut,
    private: bool,
) -> Result<Record, ErrorRecord> {
    let ids = |devices: &[mosaic_engine::hash::DeviceId]| {
        devices.iter().map(ToString::to_string).collect()
    };
    Ok(Record::Recovered(Recovered {
        account: replica.account()?.to_string(),
        device: replica.device()?.to_string(),
        name,
        revoked: ids(&taken.devices),
        others: ids(&taken.others),
        private,
    }))
}

/// Compares with all peers; returns whether one of them keeps the private section.
async fn rounds(network: &Arc<Network>, peers: &[NodeTicket]) -> Result<bool, ErrorRecord> {
    let (mut private, mut reached, mut failure) = (false, false, None);
    for peer in peers {
        match network.round(peer).await {
            Ok(report) => {
                reached = true;
                let outcome = report.outcome.iter().flat_map(|outcome| &outcome.sections);
                private |= outcome
                    .into_iter()
                    .any(|known| known.section.class == SectionClass::Private && known.kept_there);
            }
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if !reached => Err(ErrorRecord::from(error).with_hint(RECOVER)),
        _ => Ok(private),
    }
}

async fn log_is_here(replica: &Arc<Replica>) -> Result<bool, ErrorRecord> {
    let looking = replica.clone();
    store(move || {
        let account = looking.account()?;
        let authority = looking.authority(&account)?;
        Ok(authority.is_some_and(|authority| authority.recovery.policy.is_some()))
    })
    .await
}

/// Whether something private came, and all of what is known of it.
async fn private_is_here(replica: &Arc<Replica>) -> Result<bool, ErrorRecord> {
    let space = Space::Account(replica.account()?).id();
    let (looking, section) = (replica.clone(), Section { space, class: SectionClass::Private });
    let looked = spawn_blocking(move || {
        let known = !looking.tips(&section)?.is_empty();
        Ok(known && looking.incomplete(&section, 1)?.is_empty())
    });
    let looked = looked.await.map_err(|error| failed(&error))?;
    looked.map_err(|error: ExchangeError| failed(&error))
}

async fn store<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, mosaic_engine::replica::EngineError> + Send + 'static,
) -> Result<T, ErrorRecord> {
    let done = spawn_blocking(work).await.map_err(|error| failed(&error))?;
    done.map_err(ErrorRecord::from)
}

async fn notice(sink: &Sink, message: String) {
    let _ = sink.send(Record::Notice(Notice { message })).await;
}

fn failed(error: &impl ToString) -> ErrorRecord {
    ErrorRecord::new(ErrorKind::Error, error.to_string())
}

fn rotate(app: &App, request: IdentityRotate) -> Result<Record, ErrorRecord> {
    const ROTATE: &str = "mosaic identity rotate --words FILE";
    let replica = app.replica()?;
    let account = replica.account()?;
    let name = resolve::profile_name(&replica, &account)?.unwrap_or_default();
    let short = account.short();
    if request.confirm.is_empty() || (request.confirm != name && request.confirm != short) {
        let shown = if name.is_empty() { short } else { name };
        let message = format!(
            "the old words will be worth nothing: confirm with the name of the account, '{shown}'"
        );
        let hint = format!("mosaic identity rotate --confirm '{shown}'");
        return Err(ErrorRecord::new(ErrorKind::Usage, message).with_hint(hint));
    }
    let old = match &request.words {
        Some(words) => secret(words, ROTATE)?,
        None => app.kept_words()?.and_then(|words| words.secret()).ok_or_else(|| {
            let message = "the words are not on this device any more: rotating needs them";
            ErrorRecord::new(ErrorKind::Usage, message).with_hint(ROTATE)
        })?,
    };
    app.rotate_words(&replica, &old)?;
    identity(&replica, &account)
}
