//! One party of the demo: a home with its own store, called through the local API.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use mosaic_node::api::types::{
    DeviceInvite, DeviceLink, ErrorKind, ErrorRecord, IdentityCreate, NodeTicket, Record, Request,
    SyncResult, SyncRun, WallShow,
};
use mosaic_node::client::{Answer, Client};
use mosaic_node::{App, AppOptions, ServeOptions};
use tokio::task::JoinHandle;

use crate::error::Failure;
use crate::paths::Paths;

/// A home, opened in this process.
pub(super) struct Party {
    name: &'static str,
    options: AppOptions,
    app: Mutex<Arc<App>>,
    serving: Mutex<Option<JoinHandle<Result<(), ErrorRecord>>>>,
}

impl Party {
    /// Opens the home `name` below `root`. One that is kept has its state where the ordinary
    /// command line will look for it.
    pub(super) async fn open(root: &Path, name: &'static str, keep: bool) -> Result<Self, Failure> {
        let mut paths = Paths::of(&root.join(name))?;
        if !keep {
            paths.state = root.join("state").join(name);
        }
        let options =
            AppOptions { home: paths.home, state_dir: paths.state, ..AppOptions::default() };
        let app = Mutex::new(open(options.clone()).await?);
        Ok(Self { name, options, app, serving: Mutex::new(None) })
    }

    fn app(&self) -> Arc<App> {
        self.app.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn client(&self) -> Client {
        Client::local(self.app().router())
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// Sends a request; returns the records of the answer, or its error.
    pub(super) async fn ask<R: Request>(&self, request: &R) -> Result<Vec<Record>, Failure> {
        let mut answer = self.client().call(request).await?;
        let mut records = Vec::new();
        while let Some(record) = next(&mut answer).await? {
            records.push(record);
        }
        Ok(records)
    }

    /// Makes an identity; returns the account.
    pub(super) async fn create(&self, name: &str, device: &str) -> Result<String, Failure> {
        let request = IdentityCreate {
            name: Some(name.to_owned()),
            device_name: Some(device.to_owned()),
            if_missing: false,
        };
        match self.ask(&request).await?.into_iter().next() {
            Some(Record::Identity(identity)) => Ok(identity.account),
            other => Err(failed(format!("no identity: {other:?}"))),
        }
    }

    /// Serves as a node until [`Party::close`]; returns its ticket.
    pub(super) async fn serve(&self) -> Result<String, Failure> {
        let app = self.app();
        let mut task = tokio::spawn(mosaic_node::serve(app.clone(), ServeOptions::default()));
        tokio::select! {
            () = app.ready() => {}
            ended = &mut task => {
                ended.map_err(|error| failed(error.to_string()))??;
                return Err(failed(format!("{} stopped serving", self.name)));
            }
        }
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        match self.ask(&NodeTicket::default()).await?.into_iter().next() {
            Some(Record::Ticket(ticket)) => Ok(ticket.ticket),
            other => Err(failed(format!("no ticket: {other:?}"))),
        }
    }

    /// Meets one peer and is offline again afterwards, its store closed and opened anew.
    pub(super) async fn meet(&self, peer: &str) -> Result<SyncResult, Failure> {
        let met = self.sync(peer).await;
        self.rest().await?;
        met
    }

    async fn rest(&self) -> Result<(), Failure> {
        self.app().close().await;
        let app = open(self.options.clone()).await?;
        *self.app.lock().unwrap_or_else(PoisonError::into_inner) = app;
        Ok(())
    }

    async fn sync(&self, peer: &str) -> Result<SyncResult, Failure> {
        let request = SyncRun { peers: vec![peer.to_owned()], ..SyncRun::default() };
        let result = self.ask(&request).await?.into_iter().find_map(|record| match record {
            Record::SyncResult(result) => Some(result),
            _ => None,
        });
        result.ok_or_else(|| failed(format!("{} met nobody", self.name)))
    }

    /// Returns how many comments and reactions a post has here.
    pub(super) async fn answers(&self, id: &str) -> Result<(usize, u64), Failure> {
        let records = self.ask(&WallShow { id: id.to_owned(), ..WallShow::default() }).await?;
        let comments = records.iter().filter(|r| matches!(r, Record::Comment(_))).count();
        let reactions = records.iter().find_map(|record| match record {
            Record::Post(post) => Some(post.reactions.values().sum()),
            _ => None,
        });
        Ok((comments, reactions.unwrap_or(0)))
    }

    /// Closes the home; what was acknowledged is on disk already.
    pub(super) async fn close(&self) {
        self.app().close().await;
        let task = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            drop(task.await);
        }
    }
}

async fn open(options: AppOptions) -> Result<Arc<App>, Failure> {
    let opened = tokio::task::spawn_blocking(move || App::open(options)).await;
    Ok(opened.map_err(|error| failed(error.to_string()))??)
}

/// Links `second` to the account of `first` by ticket; both are offline again afterwards.
pub(super) async fn link(first: &Party, second: &Party) -> Result<(), Failure> {
    let request = DeviceInvite { wait: true, ..DeviceInvite::default() };
    let mut invite = first.client().call(&request).await?;
    let ticket = loop {
        match next(&mut invite).await? {
            Some(Record::Ticket(ticket)) => break ticket.ticket,
            Some(_) => {}
            None => return Err(failed(format!("{} gave no ticket", first.name))),
        }
    };
    let request = DeviceLink { ticket, name: Some(second.name.to_owned()) };
    let invited = async {
        while next(&mut invite).await?.is_some() {}
        Ok(())
    };
    tokio::try_join!(second.ask(&request), invited)?;
    first.rest().await?;
    second.rest().await
}

/// Returns the next record that is neither a notice nor progress.
async fn next(answer: &mut Answer) -> Result<Option<Record>, Failure> {
    while let Some(line) = answer.line().await? {
        match serde_json::from_slice(&line).map_err(|error| failed(error.to_string()))? {
            Record::Error(error) => return Err(error.into()),
            Record::Notice(_) | Record::Progress(_) => {}
            record => return Ok(Some(record)),
        }
    }
    Ok(None)
}

fn failed(message: String) -> Failure {
    Failure::new(ErrorKind::Error, message)
}
