//! `node start` and `node wait`: a node in the background.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use mosaic_node::Unlock;
use mosaic_node::api::types::{ErrorKind, NodeStatus, Record};
use mosaic_node::client::Client;
use mosaic_node::clock;
use mosaic_node::home::{self, Home};

use super::Settings;
use super::logs::last_words;
use crate::context::Context;
use crate::error::Failure;

/// How often the socket is tried.
const TRY_AGAIN: Duration = Duration::from_millis(20);
/// How often is looked whether a process that has closed its store is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// How long a node may take to answer, or to go, if no --timeout is given.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one may take to end that answered and does not any more.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(5);

impl Settings {
    /// Runs this program again as a node of its own, and returns when it answers.
    pub(super) async fn start(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let socket = context.socket();
        if Client::connect(&socket).await.is_ok() {
            context.output.talk("The node is running already.");
            return report(context).await;
        }
        let unlock = context.opened_keys().await?;
        let mut child = self.spawn(unlock.as_ref(), context)?;
        let started = clock::instant();
        loop {
            let status = child.try_wait().map_err(cannot_start)?;
            // If another process answers, this one is to have given up before we return.
            let answers = serves(&socket, child.id()).await;
            if answers || (status.is_some() && Client::connect(&socket).await.is_ok()) {
                let Err(failure) = report(context).await else { return Ok(()) };
                // It may have listened here before it found that it cannot be reached elsewhere.
                let status = end_of(&mut child).await.map_err(cannot_start)?;
                return Err(status.map_or(failure, |status| ended(status.code(), context)));
            }
            if let Some(status) = status {
                return Err(ended(status.code(), context));
            }
            if clock::instant().saturating_duration_since(started) > PATIENCE {
                let message = format!("the node does not answer after {PATIENCE:?}");
                return Err(Failure::new(ErrorKind::Timeout, message));
            }
            crate::pause(TRY_AGAIN).await;
        }
    }

    fn spawn(&self, unlock: Option<&Unlock>, context: &Context<'_>) -> Result<Child, Failure> {
        let log = open_log(context)?;
        let program = std::env::current_exe().map_err(cannot_start)?;
        let mut command = Command::new(program);
        command.arg("--home").arg(&context.paths.home).arg("--no-input");
        if context.globals.verbose > 0 {
            command.arg(format!("-{}", "v".repeat(usize::from(context.globals.verbose))));
        }
        if let Some(socket) = &context.globals.node {
            command.arg("--node").arg(socket);
        }
        for setting in &context.globals.set {
            command.arg("--set").arg(setting);
        }
        if unlock.is_some() {
            command.args(["--passphrase-file", "-"]);
        }
        command.args(["node", "run", "--background"]);
        // it is nobody's service
        command.env_remove("NOTIFY_SOCKET");
        for address in &self.listen {
            command.arg("--listen").arg(address.to_string());
        }
        if self.lan {
            command.arg("--lan");
        }
        if let Some(relay) = &self.relay {
            command.arg("--relay").arg(relay);
        }
        if let Some(format) = self.log_format {
            command.arg("--log-format").arg(format.name());
        }
        let second = log.try_clone().map_err(cannot_start)?;
        let stdin = if unlock.is_some() { Stdio::piped() } else { Stdio::null() };
        command.stdin(stdin).stdout(Stdio::from(log)).stderr(Stdio::from(second));
        // Ctrl-C in this terminal is not meant for it.
        command.process_group(0);
        let mut child = command.spawn().map_err(cannot_start)?;
        if let (Some(unlock), Some(mut pipe)) = (unlock, child.stdin.take()) {
            // One that has ended already says why itself.
            let _ = unlock.hand_over(&mut pipe);
        }
        Ok(child)
    }
}

/// Waits for a node that does not answer any more; `None` if it goes on all the same.
async fn end_of(child: &mut Child) -> std::io::Result<Option<ExitStatus>> {
    let started = clock::instant();
    loop {
        let status = child.try_wait()?;
        if status.is_some()
            || clock::instant().saturating_duration_since(started) > PATIENCE_AT_THE_END
        {
            return Ok(status);
        }
        crate::pause(TRY_AGAIN).await;
    }
}

/// Returns where a node in the background says what keeps it from starting.
fn start_log(context: &Context<'_>) -> PathBuf {
    context.paths.logs().join("start.err")
}

fn open_log(context: &Context<'_>) -> Result<File, Failure> {
    let refused = |error: mosaic_node::NodeError| {
        Failure::from(mosaic_node::api::types::ErrorRecord::from(error))
    };
    Home::open_or_create(&context.paths.home).map_err(refused)?;
    home::private_folder(&context.paths.logs()).map_err(refused)?;
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true).mode(0o600);
    options.open(start_log(context)).map_err(cannot_start)
}

fn cannot_start(error: std::io::Error) -> Failure {
    Failure::new(ErrorKind::Error, format!("cannot start the node: {error}"))
}

/// The node ended before it answered: its own exit code says why.
fn ended(code: Option<i32>, context: &Context<'_>) -> Failure {
    let kind = code.and_then(|code| u8::try_from(code).ok()).map(ErrorKind::from_code);
    let words = last_words(&start_log(context));
    let message = format!("the node ended before it answered: {words}");
    Failure::Error(
        mosaic_node::api::types::ErrorRecord::new(kind.unwrap_or(ErrorKind::Error), message)
            .with_hint("mosaic node logs"),
    )
}

async fn report(context: &mut Context<'_>) -> Result<(), Failure> {
    if context.output.is_json() {
        return context.show(&NodeStatus {}).await;
    }
    for record in context.records(&NodeStatus {}).await? {
        if let Record::Node(node) = record {
            let addresses = node.addresses.join(", ");
            context.output.talk(&format!("Node running (pid {}) at {addresses}.", node.pid));
        }
    }
    Ok(())
}

/// Waits until the node answers; `--timeout` ends that with code 124.
pub(super) async fn wait(context: &mut Context<'_>) -> Result<(), Failure> {
    let limit = context.globals.timeout.unwrap_or(PATIENCE);
    let socket = context.socket();
    let started = clock::instant();
    while Client::connect(&socket).await.is_err() {
        if clock::instant().saturating_duration_since(started) > limit {
            let message = format!("no node answers at {}", socket.display());
            return Err(Failure::Error(
                mosaic_node::api::types::ErrorRecord::new(ErrorKind::Timeout, message)
                    .with_hint("mosaic node start"),
            ));
        }
        crate::pause(TRY_AGAIN).await;
    }
    report(context).await
}

/// Waits until this process no longer serves the home, has closed its store and is gone. What
/// another one does with the home meanwhile is that one's business. One that stays for long behind a
/// closed store (it waits for a disk or a debugger) keeps nobody from going on.
pub(super) async fn wait_until_gone(context: &Context<'_>, pid: u32) -> Result<(), Failure> {
    let socket = context.socket();
    let process = home::Process::find(pid);
    let started = clock::instant();
    while home::holder(&context.paths.home) == Some(pid) || serves(&socket, pid).await {
        if clock::instant().saturating_duration_since(started) > PATIENCE {
            let message = format!("the node has not ended after {PATIENCE:?}");
            return Err(Failure::new(ErrorKind::Timeout, message));
        }
        crate::pause(TRY_AGAIN).await;
    }
    let closed = clock::instant();
    while process.as_ref().is_some_and(|process| !process.has_ended())
        && clock::instant().saturating_duration_since(closed) <= PATIENCE_AT_THE_END
    {
        crate::pause(LOOK_AGAIN).await;
    }
    Ok(())
}

/// Whether this process is the one that listens at the socket.
async fn serves(socket: &Path, pid: u32) -> bool {
    Client::process(socket).await == Some(pid)
}
