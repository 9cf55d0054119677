//! Homes on disk, commands in them, nodes that serve them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::binary::binary;

/// How long a node may take for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A home, and the state folder outside it.
#[derive(Debug, Clone)]
pub struct Home {
    /// The folder of the identity.
    pub path: PathBuf,
    state: PathBuf,
}

/// What a command came to.
#[derive(Debug)]
pub struct Done {
    /// Its exit code; 128 and more if a signal ended it.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it said.
    pub err: String,
}

impl Home {
    /// Names a home below `root`; nothing is made yet.
    #[must_use]
    pub fn new(root: &Path, name: &str) -> Self {
        Self { path: root.join(name), state: root.join(format!("{name}.state")) }
    }

    /// Makes an account whose first device is this home.
    #[must_use]
    pub fn init(root: &Path, name: &str) -> Self {
        let home = Self::new(root, name);
        home.ok(&["init", "--name", name, "--device", name]);
        home
    }

    /// The same home at another path.
    #[must_use]
    pub fn at(&self, path: PathBuf) -> Self {
        Self { path, state: self.state.clone() }
    }

    /// A command in this home.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.env_clear().env("HOME", &self.state).env("MOSAIC_HOME", &self.path);
        command.env("MOSAIC_STATE", &self.state).args(args).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Done {
        let output = self.command(args).output().expect("mosaic runs");
        Done {
            code: output.status.code().unwrap_or(128),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a command that succeeds, and returns what it printed, without the last newline.
    ///
    /// # Panics
    /// If it fails.
    pub fn ok(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert_eq!(done.code, 0, "mosaic {args:?} in {}:\n{}", self.path.display(), done.err);
        done.out.trim_end().to_owned()
    }

    /// Runs a command with `--json` and returns its records, whatever it exits with.
    ///
    /// # Panics
    /// If it prints what is not JSON.
    #[must_use]
    pub fn json(&self, args: &[&str]) -> Vec<Value> {
        let done = self.run(&[args, &["--json"]].concat());
        let parse =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        done.out.lines().map(parse).collect()
    }

    /// The account of this home.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn account(&self) -> String {
        field(&self.json(&["identity", "show"])[0], "account")
    }

    /// Starts a node and returns when it answers.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn node(&self) -> Node {
        self.node_as(self.command(&["node", "run"]))
    }

    /// Starts a node by a command of one's own.
    ///
    /// # Panics
    /// If it does not answer.
    #[must_use]
    pub fn node_as(&self, mut command: Command) -> Node {
        let log = std::fs::File::create(self.state.with_extension("log")).expect("a log");
        let child = command.stdout(Stdio::null()).stderr(log).spawn().expect("a node");
        let node = Node { child, home: self.clone() };
        until("the node answers", || self.run(&["node", "wait", "--timeout", "5s"]).code == 0);
        node
    }

    /// Syncs with one peer only; returns the record of it.
    ///
    /// # Panics
    /// If there is none.
    pub fn sync(&self, peer: &str) -> Value {
        let records = self.json(&["sync", "--peer", peer, "--timeout", "60s"]);
        let result = records.iter().find(|record| record["type"] == "sync_result");
        result.unwrap_or_else(|| panic!("no result in {records:?}")).clone()
    }
}

/// A node that runs as a process of its own, until dropped.
#[derive(Debug)]
pub struct Node {
    child: Child,
    home: Home,
}

impl Node {
    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How others connect to it.
    #[must_use]
    pub fn ticket(&self) -> String {
        self.home.ok(&["node", "ticket"])
    }

    /// Stops it cleanly.
    ///
    /// # Panics
    /// If it does not end well.
    pub fn stop(self) {
        self.home.ok(&["node", "stop"]);
        self.ended();
    }

    /// Waits until it has ended, by itself or because it was told.
    ///
    /// # Panics
    /// If it does not end well.
    pub fn ended(mut self) {
        assert!(self.child.wait().expect("an end").success());
    }

    /// Ends it as a power cut would.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("an end");
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// If the system does not say.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a state").is_none()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again until it is so.
///
/// # Panics
/// If it is not within [`PATIENCE`].
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "{what}: not within {} s", PATIENCE.as_secs());
        std::thread::yield_now();
    }
}

/// A text field of a record.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn field(record: &Value, name: &str) -> String {
    record[name].as_str().unwrap_or_else(|| panic!("no {name} in {record}")).to_owned()
}

/// Links a new home to the account of `first`, by way of its node.
///
/// # Panics
/// If it fails.
#[must_use]
pub fn link(first: &Home, root: &Path, name: &str) -> Home {
    let node = first.node();
    let ticket = first.ok(&["device", "invite", "--no-wait"]);
    let home = Home::new(root, name);
    home.ok(&["device", "link", &ticket, "--name", name]);
    until("the new device has its account's log", || {
        let _ = home.run(&["sync", "--peer", &node.ticket(), "--timeout", "20s"]);
        home.json(&["device", "list"]).len() >= 2
    });
    node.stop();
    home
}
