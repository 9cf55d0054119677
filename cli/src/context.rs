//! What every command has: flags, folders, the way to the API, and how to print.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mosaic_node::api::types::{ErrorKind, ErrorRecord, Notice, Record, Request};
use mosaic_node::client::{Answer, Client};
use mosaic_node::config::{KEYS, Key, Layers, Settings};
use mosaic_node::{App, AppOptions, NodeError, clock, home};

use crate::args::Globals;
use crate::commands::COMMIT;
use crate::editor::Written;
use crate::error::Failure;
use crate::input;
use crate::output::Output;
use crate::passphrase::Passphrases;
use crate::paths::Paths;

/// How long a command waits for another one that holds the store.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
/// How often it tries.
const LOCK_TRY_AGAIN: Duration = Duration::from_millis(20);

/// Everything a command needs.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// The flags of every command.
    pub(crate) globals: Globals,
    /// The folders of this home.
    pub(crate) paths: Paths,
    /// Where it prints.
    pub(crate) output: &'a mut Output,
    /// A text that was written in an editor for this command.
    pub(crate) written: Option<Written>,
    /// What opens the keys.
    pub(crate) passphrases: Passphrases,
    client: Option<Client>,
    app: Option<Arc<App>>,
    skew_told: bool,
}

/// What of an answer goes to stdout for people and pipes; JSON always gets all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Print {
    /// Every record.
    Records,
    /// Only the id, or the one value that matters.
    Value,
    /// Only tickets.
    Ticket,
    /// Nothing: what is said on stderr is enough.
    Nothing,
}

/// Says a sentence about a record on stderr.
pub(crate) type Say<'a> = &'a dyn Fn(&Record) -> Option<String>;

impl<'a> Context<'a> {
    /// Prepares a command.
    ///
    /// # Errors
    /// If no home can be found.
    pub(crate) fn new(globals: Globals, output: &'a mut Output) -> Result<Self, Failure> {
        let paths = Paths::find(&globals)?;
        Ok(Self {
            globals,
            paths,
            output,
            written: None,
            passphrases: Passphrases::default(),
            client: None,
            app: None,
            skew_told: false,
        })
    }

    /// Refuses wrong settings of flags and of the environment, whether the command reads
    /// settings or not.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub(crate) fn check_settings(&self) -> Result<(), Failure> {
        let given = Layers { file: PathBuf::new(), ..self.layers() };
        let Err(error) = Settings::load(&given) else { return Ok(()) };
        let variable =
            given.environment.iter().find(|(name, _)| error.to_string().starts_with(name.as_str()));
        let hint = match variable {
            Some(_) => "mosaic help environment",
            None => "mosaic config list",
        };
        Err(ErrorRecord::from(error).with_hint(hint).into())
    }

    /// Returns the socket where the node of this home answers.
    pub(crate) fn socket(&self) -> PathBuf {
        let own = || mosaic_node::socket_path(&self.paths.home);
        self.globals.node.clone().unwrap_or_else(own)
    }

    /// Sends a request and prints its records.
    ///
    /// # Errors
    /// The last error of the answer, which is its outcome.
    pub(crate) async fn show<R: Request>(&mut self, request: &R) -> Result<(), Failure> {
        self.answer(request, Print::Records, &|_| None).await
    }

    /// Sends a request and prints its records, through a pager if a person reads them: for
    /// answers that end by themselves and may be longer than a screen.
    ///
    /// # Errors
    /// The last error of the answer, which is its outcome.
    pub(crate) async fn list<R: Request>(&mut self, request: &R) -> Result<(), Failure> {
        self.output.page();
        self.show(request).await
    }

    /// Sends a request, prints `print` of its records and says what `say` has to say.
    ///
    /// # Errors
    /// The last error of the answer, which is its outcome.
    pub(crate) async fn answer<R: Request>(
        &mut self,
        request: &R,
        print: Print,
        say: Say<'_>,
    ) -> Result<(), Failure> {
        let answer = self.call(request).await?;
        self.pass_on(answer, print, say).await
    }

    /// Prints what an answer holds, and says what `say` has to say.
    ///
    /// # Errors
    /// The last error of the answer, which is its outcome.
    pub(crate) async fn pass_on(
        &mut self,
        mut answer: Answer,
        print: Print,
        say: Say<'_>,
    ) -> Result<(), Failure> {
        let mut outcome: Option<ErrorRecord> = None;
        while let Some(line) = answer.line().await? {
            let record = serde_json::from_slice::<Record>(&line);
            match record {
                Ok(Record::Error(error)) => {
                    if let Some(earlier) = outcome.replace(error) {
                        self.output.error(&earlier);
                    }
                }
                Ok(Record::Notice(notice)) => self.output.notice(&notice),
                Ok(Record::Progress(progress)) => self.output.progress(&progress),
                record if self.output.is_json() => {
                    let written = self.output.line(&line);
                    if let Ok(record) = record {
                        written.map_err(|failure| unwritten(failure, &record, print))?;
                        // It may want to know, although nothing is said under JSON.
                        let _ = say(&record);
                    } else {
                        written?;
                    }
                }
                Ok(record) => {
                    self.print(&record, print)
                        .map_err(|failure| unwritten(failure, &record, print))?;
                    if let Some(sentence) = say(&record) {
                        self.output.talk(&sentence);
                    }
                }
                Err(_) => self.output.unknown(&String::from_utf8_lossy(&line))?,
            }
        }
        self.output.flush()?;
        match outcome {
            Some(error) => Err(error.into()),
            None if answer.status() >= 300 => {
                let message = format!("the node answered with status {}", answer.status());
                Err(Failure::new(ErrorKind::Error, message))
            }
            None => Ok(()),
        }
    }

    /// Sends a request for each of several targets; `-` among them reads more from stdin, one
    /// a line. One that fails is told and the others go on.
    ///
    /// # Errors
    /// `partial` if some failed, the last failure if all did.
    pub(crate) async fn each<R: Request>(
        &mut self,
        targets: &[String],
        request: impl Fn(String) -> R,
        print: Print,
        say: Say<'_>,
    ) -> Result<(), Failure> {
        let targets = input::ids(targets).await?;
        let count = targets.len();
        let mut failures = Vec::new();
        for target in targets {
            match self.answer(&request(target), print, say).await {
                Ok(()) => {}
                Err(Failure::Error(error)) if count > 1 && is_about_one(error.kind()) => {
                    self.output.error(&error);
                    failures.push(error.kind());
                }
                Err(failure) => return Err(failure),
            }
        }
        match failures.last() {
            None => Ok(()),
            Some(kind) if failures.len() == count => Err(Failure::Told(*kind)),
            Some(_) => {
                let message = format!("{} of {count} failed", failures.len());
                Err(Failure::new(ErrorKind::Partial, message))
            }
        }
    }

    fn print(&mut self, record: &Record, print: Print) -> Result<(), Failure> {
        match print {
            Print::Records => self.output.record(record)?,
            Print::Value => {
                if let Some(value) = value_of(record) {
                    self.output.value(value)?;
                }
            }
            Print::Ticket => {
                if let Record::Ticket(ticket) = record {
                    self.output.value(&ticket.ticket)?;
                }
            }
            Print::Nothing => {}
        }
        if matches!(record, Record::Event(_) | Record::SyncResult(_)) {
            self.output.flush()?;
        }
        Ok(())
    }

    /// Sends a request and collects its records, for commands that need to know something
    /// before they act.
    ///
    /// # Errors
    /// The last error of the answer.
    pub(crate) async fn records<R: Request>(
        &mut self,
        request: &R,
    ) -> Result<Vec<Record>, Failure> {
        let mut answer = self.call(request).await?;
        let mut records = Vec::new();
        let mut outcome = Ok(());
        while let Some(line) = answer.line().await? {
            match serde_json::from_slice::<Record>(&line) {
                Ok(Record::Error(error)) => outcome = Err(error),
                Ok(record) => records.push(record),
                Err(error) => {
                    let message =
                        format!("the node answered what this program cannot read: {error}");
                    return Err(Failure::new(ErrorKind::Error, message));
                }
            }
        }
        outcome?;
        Ok(records)
    }

    /// Sends a request.
    ///
    /// # Errors
    /// If neither a node answers nor the store can be opened.
    pub(crate) async fn call<R: Request>(&mut self, request: &R) -> Result<Answer, Failure> {
        let client = self.client(R::NEEDS_NODE).await?;
        let answer = client.call(request).await?;
        self.compare_versions(&answer);
        Ok(answer)
    }

    /// Posts JSON to a path of the API.
    ///
    /// # Errors
    /// If neither a node answers nor the store can be opened.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        body: Vec<u8>,
        needs_node: bool,
    ) -> Result<Answer, Failure> {
        let client = self.client(needs_node).await?;
        let answer = client.post(path, body).await?;
        self.compare_versions(&answer);
        Ok(answer)
    }

    /// Says once if the node is of another version than this program.
    fn compare_versions(&mut self, answer: &Answer) {
        let own = env!("CARGO_PKG_VERSION");
        let skewed = answer.version().is_none_or(|theirs| theirs != own);
        if skewed && !self.skew_told {
            self.skew_told = true;
            let theirs = answer.version().unwrap_or("older than this one");
            let message = format!(
                "The node is of version {theirs}, this program of {own}. Restart it: mosaic node \
                 stop && mosaic node start"
            );
            self.output.notice(&Notice { message });
        }
    }

    /// Finds the way to the API: a node that answers, else the store in this process.
    async fn client(&mut self, needs_node: bool) -> Result<Client, Failure> {
        if let Some(client) = &self.client
            && (client.is_node() || !needs_node)
        {
            return Ok(client.clone());
        }
        let socket = self.socket();
        let started = clock::instant();
        let client = loop {
            match Client::connect(&socket).await {
                Ok(client) => break client,
                Err(error) if self.globals.node.is_some() => {
                    let message = format!("no node answers at {}: {error}", socket.display());
                    return Err(Failure::new(ErrorKind::NoNode, message));
                }
                Err(_) if needs_node => return Err(self.no_node(&socket)),
                Err(_) => {}
            }
            let unlock = self.unlock().await?;
            match App::open(AppOptions { unlock, ..self.options() }) {
                Ok(app) => {
                    let client = Client::local(app.router());
                    self.app = Some(app);
                    break client;
                }
                Err(error) => wait_for_lock(error, started).await?,
            }
        };
        self.client = Some(client.clone());
        Ok(client)
    }

    fn no_node(&self, socket: &Path) -> Failure {
        let message = format!("no node is running for {}", self.paths.home.display());
        let Some(pid) = home::node_process(&self.paths.home) else {
            return Failure::new(ErrorKind::NoNode, message);
        };
        let message = format!("the node (pid {pid}) does not answer at {}", socket.display());
        Failure::Error(ErrorRecord::new(ErrorKind::NoNode, message).with_hint("mosaic node stop"))
    }

    /// Opens the store in this process, for a command that becomes the node or needs that there
    /// is none. It waits for another one that ends, not for another node: or it would become one
    /// when that is stopped.
    ///
    /// # Errors
    /// What keeps it from opening.
    pub(crate) async fn open(&mut self, options: AppOptions) -> Result<Arc<App>, Failure> {
        let started = clock::instant();
        loop {
            if home::node_process(&self.paths.home).is_some() {
                return Err(ErrorRecord::from(NodeError::Running).into());
            }
            let unlock = self.unlock().await?;
            match App::open(AppOptions { unlock, ..options.clone() }) {
                Ok(app) => return Ok(app),
                Err(error) => wait_for_lock(error, started).await?,
            }
        }
    }

    /// Returns how this home is opened.
    pub(crate) fn options(&self) -> AppOptions {
        AppOptions {
            home: self.paths.home.clone(),
            state_dir: self.paths.state.clone(),
            layers: self.layers(),
            commit: COMMIT,
            ..AppOptions::default()
        }
    }

    /// Returns where settings are looked for.
    pub(crate) fn layers(&self) -> Layers {
        let variable = |key: &Key| {
            let name = key.variable();
            std::env::var(&name).ok().map(|value| (name, value))
        };
        Layers {
            file: self.paths.config.clone(),
            environment: KEYS.iter().filter_map(variable).collect(),
            flags: self.globals.set.clone(),
        }
    }

    /// Says where a text is that was written for a command that then failed.
    pub(crate) fn keep_written(&mut self) {
        if let Some(path) = self.written.take().and_then(Written::keep) {
            let message = format!("Your text is kept in {}.", path.display());
            self.output.notice(&Notice { message });
        }
    }

    /// Closes the store if this process opened it.
    pub(crate) async fn close(&mut self) {
        self.client = None;
        if let Some(app) = self.app.take() {
            app.close().await;
        }
    }
}

/// Whether a failure is of one target, and the next may fare better.
const fn is_about_one(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Usage
            | ErrorKind::Denied
            | ErrorKind::NotFound
            | ErrorKind::Ambiguous
            | ErrorKind::Conflict
    )
}

/// Waits before the next try if the store is locked: by a command that is about to end, or by a
/// node that starts or stops right now.
async fn wait_for_lock(error: ErrorRecord, started: Instant) -> Result<(), Failure> {
    let patient = clock::instant().saturating_duration_since(started) < LOCK_PATIENCE;
    if error.kind() != ErrorKind::Locked || !patient {
        return Err(error.into());
    }
    crate::pause(LOCK_TRY_AGAIN).await;
    Ok(())
}

/// Adds to a failure of the output that what was asked for is done: it must not be done twice.
fn unwritten(failure: Failure, record: &Record, print: Print) -> Failure {
    let (Failure::Error(error), Print::Value | Print::Nothing) = (&failure, print) else {
        return failure;
    };
    let (what, id, hint) = match record {
        Record::Post(post) => ("post", &post.id, format!("mosaic wall show {}", post.id)),
        Record::Comment(comment) => {
            ("comment", &comment.id, format!("mosaic wall show {}", comment.id))
        }
        Record::Reaction(reaction) => {
            ("reaction on", &reaction.target, format!("mosaic wall show {}", reaction.target))
        }
        Record::Draft(draft) => ("draft", &draft.id, "mosaic draft list".to_owned()),
        Record::Identity(identity) => {
            ("account", &identity.account, "mosaic identity show".to_owned())
        }
        Record::Linked(linked) => ("device", &linked.device, "mosaic device list".to_owned()),
        Record::Recovered(recovered) => {
            ("account", &recovered.account, "mosaic identity show".to_owned())
        }
        _ => return failure,
    };
    let message = format!("the {what} {id} is stored, do not ask again; {}", error.message);
    Failure::hinted(error.kind(), message, hint)
}

/// Returns the one value of a record that a script wants.
fn value_of(record: &Record) -> Option<&str> {
    match record {
        Record::Identity(identity) => Some(&identity.account),
        Record::Device(device) => Some(&device.id),
        Record::Ticket(ticket) => Some(&ticket.ticket),
        Record::Linked(linked) => Some(&linked.device),
        Record::Recovered(recovered) => Some(&recovered.account),
        Record::Post(post) => Some(&post.id),
        Record::Draft(draft) => Some(&draft.id),
        Record::Report(report) => Some(&report.id),
        Record::Comment(comment) => Some(&comment.id),
        Record::Imported(one) => one.id.as_deref().filter(|_| one.state == "added"),
        Record::Reaction(reaction) => reaction.id.as_deref(),
        Record::Saved(saved) => Some(&saved.path),
        Record::Hub(hub) => Some(&hub.id),
        Record::Channel(channel) => Some(&channel.id),
        Record::Message(message) => Some(&message.id),
        Record::DirectMessage(message) => Some(&message.id),
        Record::Audience(audience) => Some(&audience.id),
        Record::Conversation(conversation) => Some(&conversation.id),
        Record::Role(role) => Some(&role.id),
        _ => None,
    }
}
