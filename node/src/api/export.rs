//! The own account as an archive: a stream of bytes, sealed before it leaves.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;

use super::answer::raw;
use super::stream;
use super::types::{ErrorKind, ErrorRecord, IdentityExport, rfc3339};
use crate::app::App;
use crate::archive::{Secrets, Source, check_sealed};
use crate::clock;
use crate::kept;
use crate::seal::{Passphrase, Sealing};

/// Header of the answer that says what is in it: an object of counts, and the commit.
pub const CONTENTS_HEADER: &str = "mosaic-contents";

const HELP: &str = "mosaic help export mosaic";

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    raw::<IdentityExport, _, _>(router, |app, request| async move {
        let begun = tokio::task::spawn_blocking(move || begin(&app, &request)).await;
        begun.map_err(|error| ErrorRecord::new(ErrorKind::Error, error.to_string()))?
    })
}

fn begin(app: &App, request: &IdentityExport) -> Result<Response, ErrorRecord> {
    let sealing = sealing(request)?;
    check_sealed(!request.without_keys, sealing.as_ref())?;
    let replica = app.replica()?;
    let snapshot = app.disk()?.snapshot()?;
    let secrets = match request.without_keys {
        true => None,
        false => {
            let keys = app.device_secret()?.to_bytes().to_vec().into();
            Some(Secrets { keys, words: kept::sealed(app.home())? })
        }
    };
    let (account, device) = (replica.account()?, replica.device()?);
    let source = Source::new(snapshot, &account, &device, secrets, rfc3339(clock::now_ms()))?;
    let mut contents = serde_json::to_value(source.contents())
        .map_err(|error| ErrorRecord::new(ErrorKind::Error, error.to_string()))?;
    if let Some(object) = contents.as_object_mut() {
        object.insert("commit".to_owned(), source.commit().into());
    }
    let kind = "application/octet-stream".to_owned();
    let headers = [("content-type", kind), (CONTENTS_HEADER, contents.to_string())];
    Ok(stream::answer(headers, "export", move |to| source.write(sealing.as_ref(), to)))
}

fn sealing(request: &IdentityExport) -> Result<Option<Sealing>, ErrorRecord> {
    let usage = |message: String| ErrorRecord::new(ErrorKind::Usage, message).with_hint(HELP);
    match (&request.passphrase, request.recipients.is_empty()) {
        (Some(_), false) => {
            Err(usage("either a passphrase or recipients: age knows no file with both".to_owned()))
        }
        (Some(text), true) => {
            let passphrase = Passphrase::from_bytes(text.as_bytes());
            Ok(Some(Sealing::Passphrase(passphrase.map_err(|error| usage(error.to_string()))?)))
        }
        (None, false) => {
            let recipients = Sealing::recipients(request.recipients.iter().map(String::as_str));
            Ok(Some(recipients.map_err(|error| usage(error.to_string()))?))
        }
        (None, true) => Ok(None),
    }
}
