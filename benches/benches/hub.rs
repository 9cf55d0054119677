//! A channel of many messages by many members, kept by a running node: how long its newest
//! messages take to be read, how soon a newcomer's node shows them, and what both take of memory.
//! Prints one JSON object a line. With `--test` a small run.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mosaic_benches::measure::process::peak_rss;
use mosaic_benches::workload::community::{self, Community};
use mosaic_benches::{disk_store, replica};
use mosaic_node::api::types::{
    HubServe, IdentityCreate, MessageList, NodeStop, NodeTicket, Request, SearchFind, SyncRun,
};
use mosaic_node::client::Client;
use mosaic_node::{App, AppOptions, ServeOptions, serve, socket_path};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const MESSAGES: (u64, u64) = (100_000, 1_000);
const MESSAGES_SMALL: (u64, u64) = (600, 20);
/// Messages on a screen.
const SCREEN: u64 = 50;
const READS: usize = 100;
const LONG: Duration = Duration::from_secs(600);

async fn call<R: Request>(client: &Client, request: &R) -> Vec<Value> {
    let mut answer = client.call(request).await.expect("an answer");
    let mut lines = Vec::new();
    while let Some(line) = answer.line().await.expect("a line") {
        lines.push(serde_json::from_slice(&line).expect("a record"));
    }
    lines
}

/// As a command does: a connection of its own.
async fn ask<R: Request>(folder: &Path, request: &R) -> Vec<Value> {
    let client = Client::connect(&socket_path(&folder.join("home"))).await.expect("a node");
    call(&client, request).await
}

fn open(folder: &Path) -> Arc<App> {
    let (home, state_dir) = (folder.join("home"), folder.join("state"));
    App::open(AppOptions { home, state_dir, ..AppOptions::default() }).expect("a home")
}

/// Serves a home until somebody stops the node, and says what it took of memory.
async fn be_node(folder: &Path) {
    let app = open(folder);
    let mut node = tokio::spawn(serve(app.clone(), ServeOptions::default()));
    tokio::select! {
        () = app.ready() => println!("ready"),
        ended = &mut node => panic!("the node ended at once: {ended:?}"),
    }
    node.await.expect("a node that ended").expect("a clean end");
    println!("{}", peak_rss());
}

/// A node in a process of its own.
struct Node {
    folder: PathBuf,
    process: Child,
    lines: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl Node {
    fn start(folder: &Path) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new(program);
        command.arg("--node").arg(folder).stdout(Stdio::piped());
        let mut process = command.spawn().expect("a process");
        let out = process.stdout.take().expect("its output");
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(out));
        let ready = lines.next().expect("a line").expect("a line");
        assert_eq!(ready, "ready");
        Self { folder: folder.to_path_buf(), process, lines }
    }

    /// Ends it; returns the highest memory that it took, in bytes.
    async fn stop(mut self) -> u64 {
        ask(&self.folder, &NodeStop::default()).await;
        let peak = self.lines.next().expect("a line").expect("a line");
        self.process.wait().expect("an end");
        peak.parse().expect("a number")
    }
}

async fn create(folder: &Path, name: &str) {
    let app = open(folder);
    let name = Some(name.to_owned());
    let create = IdentityCreate { device_name: name, ..IdentityCreate::default() };
    call(&Client::local(app.router()), &create).await;
    app.close().await;
}

fn fill(folder: &Path, messages: u64, members: u64) -> Community {
    let begun = Instant::now();
    let node = replica(disk_store(folder), 1);
    let community = community::write(&node, 1, messages, members, &mut |_, _| {});
    node.close().expect("a closed replica");
    let elapsed_ms = begun.elapsed().as_millis();
    println!(
        "{}",
        json!({"type": "fill", "messages": messages, "members": members,
        "elapsed_ms": elapsed_ms as u64})
    );
    community
}

fn list(community: &Community) -> MessageList {
    let channel = format!("{}/{}", community.hub, community.channel);
    MessageList { channel, limit: Some(SCREEN), ..MessageList::default() }
}

fn percentiles(mut took: Vec<Duration>) -> Value {
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)].as_micros();
    json!({"p50_us": at(50) as u64, "p95_us": at(95) as u64, "max_us": at(100) as u64})
}

async fn read(folder: &Path, community: &Community) {
    let mut took = Vec::new();
    for _ in 0..READS {
        let begun = Instant::now();
        let read = ask(folder, &list(community)).await;
        took.push(begun.elapsed());
        assert_eq!(read.len() as u64, SCREEN, "{:?}", read.first());
    }
    println!(
        "{}",
        json!({"type": "read", "messages": SCREEN, "reads": READS,
        "took": percentiles(took)})
    );
}

/// Looks for words in the hub: the first time its index is made.
async fn search(folder: &Path, community: &Community) {
    const WORDS: [&str; 5] =
        ["river", "\"morning bridge\"", "harbour ferry", "winter -bread", "lett*"];
    let mut took = Vec::new();
    let (mut found, mut indexed) = (0, Duration::ZERO);
    for n in 0..=READS {
        let query = format!("in:{} {}", community.hub, WORDS[n % WORDS.len()]);
        let begun = Instant::now();
        let request = SearchFind { query, limit: Some(20), ..SearchFind::default() };
        let lines = ask(folder, &request).await;
        let fault = lines.iter().find(|line| line["type"] == "error");
        assert!(fault.is_none(), "{fault:?}");
        match n {
            0 => indexed = begun.elapsed(),
            _ => took.push(begun.elapsed()),
        }
        found += lines.len();
    }
    println!(
        "{}",
        json!({"type": "search", "queries": READS, "found": found,
        "index_ms": indexed.as_millis() as u64, "took": percentiles(took)})
    );
}

/// A node that comes new reads while it syncs.
async fn join(folder: &Path, from: &Path, community: &Community) {
    let ticket = ask(from, &NodeTicket::default()).await;
    let ticket = ticket[0]["ticket"].as_str().expect("a ticket").to_owned();
    let hub = community.hub.to_string();
    ask(folder, &HubServe { hub, ..HubServe::default() }).await;
    let begun = Instant::now();
    let peers = vec![ticket];
    let timeout_ms = Some(LONG.as_millis() as u64);
    let folder_of_sync = folder.to_path_buf();
    let sync = tokio::spawn(async move {
        ask(&folder_of_sync, &SyncRun { peers, timeout_ms, ..SyncRun::default() }).await
    });
    let (shown, state) = loop {
        let read = ask(folder, &list(community)).await;
        if read.len() as u64 == SCREEN {
            break (begun.elapsed(), read[0]["state"].clone());
        }
        assert!(begun.elapsed() < LONG, "nothing to read: {read:?}");
    };
    let told = sync.await.expect("a sync");
    let last = told.iter().rfind(|line| line["type"] == "sync_result").expect("a result");
    assert_eq!(last["state"], "in-sync", "{told:?}");
    println!(
        "{}",
        json!({"type": "join", "newest_shown_ms": shown.as_millis() as u64,
        "state_then": state, "all_ms": begun.elapsed().as_millis() as u64,
        "progress": told.iter().filter(|line| line["type"] == "progress").count(),
        "round_trips": last["round_trips"], "signatures": last["signatures_checked"]})
    );
}

async fn measure(folder: &Path, (messages, members): (u64, u64)) {
    let [keeper, newcomer] = ["keeper", "newcomer"].map(|name| folder.join(name));
    create(&keeper, "laptop").await;
    create(&newcomer, "phone").await;
    let community = fill(&keeper, messages, members);
    let node = Node::start(&keeper);
    read(&keeper, &community).await;
    search(&keeper, &community).await;
    let new = Node::start(&newcomer);
    join(&newcomer, &keeper, &community).await;
    read(&newcomer, &community).await;
    let peaks = [node.stop().await, new.stop().await];
    println!(
        "{}",
        json!({"type": "memory", "keeper_peak_bytes": peaks[0],
        "newcomer_peak_bytes": peaks[1]})
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = Runtime::new().expect("a runtime");
    if let Some(at) = arguments.iter().position(|argument| argument == "--node") {
        return runtime.block_on(be_node(Path::new(&arguments[at + 1])));
    }
    let small = arguments.iter().any(|argument| argument == "--test");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let size = if small { MESSAGES_SMALL } else { MESSAGES };
    runtime.block_on(measure(folder.path(), size));
}
