//! Search over many posts through a running node: how long indexing takes, how large the index
//! is, and how long queries take. Prints one JSON object a line. With `--test` a small run.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mosaic_node::api::types::{IdentityCreate, PostCreate, Request, SearchFind};
use mosaic_node::client::Client;
use mosaic_node::{App, AppOptions, ServeOptions, serve, socket_path};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const POSTS: u64 = 100_000;
const POSTS_SMALL: u64 = 300;
const QUERIES: usize = 100;
const WRITERS: u64 = 16;
/// Words that texts are made of; how often each occurs follows Zipf's law.
const WORDS: usize = 20_000;
const WORDS_A_POST: usize = 18;

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// The number of a word; small ones are frequent.
    fn word(&mut self) -> usize {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        (((WORDS + 1) as f64).powf(unit) as usize - 1).min(WORDS - 1)
    }
}

fn text(n: u64) -> String {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15 ^ (n + 1).wrapping_mul(0x2545_f491_4f6c_dd1d));
    numbers.next();
    let words: Vec<String> = (0..WORDS_A_POST).map(|_| format!("w{:05}", numbers.word())).collect();
    format!("Post n{n}: {}", words.join(" "))
}

fn query(n: usize, posts: u64) -> String {
    let some = (n as u64).wrapping_mul(7919) % posts;
    let words: Vec<String> = text(some).split(' ').skip(2).map(str::to_owned).collect();
    match n % 5 {
        0 => format!("w{:05}", 40 + 97 * n),
        1 => format!("w{:05} w{:05}", n % 30, 100 + 13 * n),
        2 => format!("{} {}", words[3], words[9]),
        3 => format!("\"{} {}\"", words[5], words[6]),
        _ => format!("w{:04}* -w{:05}", 10 + n, n % 7),
    }
}

async fn call<R: Request>(client: &Client, request: &R) -> usize {
    let mut answer = client.call(request).await.expect("an answer");
    let mut lines = 0;
    while let Some(line) = answer.line().await.expect("a line") {
        assert!(!line.starts_with(b"{\"type\":\"error\""), "{line:?}");
        lines += 1;
    }
    lines
}

fn disk_bytes(folder: &Path) -> u64 {
    let entries =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| {
            let of = entry.metadata().expect("metadata");
            if of.is_dir() { disk_bytes(&entry.path()) } else { of.len() }
        })
        .sum()
}

fn open(folder: &Path) -> Arc<App> {
    let (home, state_dir) = (folder.join("home"), folder.join("state"));
    App::open(AppOptions { home, state_dir, ..AppOptions::default() }).expect("a home")
}

async fn fill(app: &Arc<App>, posts: u64) {
    let client = Client::local(app.router());
    let name = Some("laptop".to_owned());
    call(&client, &IdentityCreate { device_name: name, ..IdentityCreate::default() }).await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let client = Client::local(app.router());
        writers.spawn(async move {
            for n in (writer..posts).step_by(WRITERS as usize) {
                call(&client, &PostCreate { text: text(n), ..PostCreate::default() }).await;
            }
        });
    }
    while writers.join_next().await.is_some() {}
}

fn find(query: &str) -> SearchFind {
    SearchFind { query: query.to_owned(), limit: Some(20), ..SearchFind::default() }
}

async fn ask(socket: &Path, posts: u64) -> std::io::Result<()> {
    let mut took = Vec::new();
    let mut found = 0;
    for n in 0..QUERIES {
        let query = query(n, posts);
        let begun = Instant::now();
        // as a command does: a connection of its own
        let client = Client::connect(socket).await?;
        found += call(&client, &find(&query)).await;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)].as_micros();
    println!(
        "{{\"type\":\"search\",\"posts\":{posts},\"queries\":{QUERIES},\"found\":{found},\
         \"p50_us\":{},\"p95_us\":{},\"p99_us\":{},\"max_us\":{}}}",
        at(50),
        at(95),
        at(99),
        at(100)
    );
    Ok(())
}

fn per_second(count: u64, took: Duration) -> u64 {
    (count as f64 / took.as_secs_f64()) as u64
}

async fn measure(folder: &Path, posts: u64) {
    let app = open(folder);
    let begun = Instant::now();
    fill(&app, posts).await;
    let took = begun.elapsed();
    app.close().await;
    let before = disk_bytes(folder);
    println!(
        "{{\"type\":\"fill\",\"posts\":{posts},\"writers\":{WRITERS},\"elapsed_ms\":{},\
         \"posts_per_second\":{},\"disk_bytes\":{before}}}",
        took.as_millis(),
        per_second(posts, took)
    );
    let app = open(folder);
    let begun = Instant::now();
    let found = call(&Client::local(app.router()), &find("n17")).await;
    let took = begun.elapsed();
    assert_eq!(found, 1, "the post that has this word");
    app.close().await;
    let after = disk_bytes(folder);
    println!(
        "{{\"type\":\"index\",\"posts\":{posts},\"elapsed_ms\":{},\"posts_per_second\":{},\
         \"index_bytes\":{},\"index_bytes_per_post\":{}}}",
        took.as_millis(),
        per_second(posts, took),
        after.saturating_sub(before),
        after.saturating_sub(before) / posts
    );
    let app = open(folder);
    let socket = socket_path(&folder.join("home"));
    let mut node = tokio::spawn(serve(app.clone(), ServeOptions::default()));
    tokio::select! {
        () = app.ready() => {}
        ended = &mut node => panic!("the node ended at once: {ended:?}"),
    }
    if let Err(error) = ask(&socket, posts).await {
        panic!("{error}; the node ended: {:?}", node.await);
    }
    let client = Client::connect(&socket).await.expect("a node");
    call(&client, &mosaic_node::api::types::NodeStop::default()).await;
    node.await.expect("a node that ended").expect("a clean end");
}

fn main() {
    let small = std::env::args().any(|argument| argument == "--test");
    let posts = if small { POSTS_SMALL } else { POSTS };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    Runtime::new().expect("a runtime").block_on(measure(folder.path(), posts));
}
