//! The local API of a running node, called many times without starting a program each time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use mosaic_node::client::Client;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::home::{Home, field};

/// A way to the API of a running node.
#[derive(Debug)]
pub struct Api {
    runtime: Runtime,
    client: Client,
}

impl Api {
    /// Connects to the node of a home.
    ///
    /// # Panics
    /// If none answers.
    #[must_use]
    pub fn of(home: &Path) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let socket = mosaic_node::socket_path(home);
        let client = runtime.block_on(Client::connect(&socket)).expect("a node");
        Self { runtime, client }
    }

    /// Calls an operation; the records of its answer, or nothing if the node has gone.
    pub fn try_call(&self, path: &str, body: &Value) -> Vec<Value> {
        self.runtime.block_on(async {
            let Ok(mut answer) = self.client.post(path, body.to_string().into_bytes()).await else {
                return Vec::new();
            };
            let mut records = Vec::new();
            while let Ok(Some(line)) = answer.line().await {
                records.extend(serde_json::from_slice::<Value>(&line).ok());
            }
            records
        })
    }

    /// Calls an operation that succeeds; its first record.
    ///
    /// # Panics
    /// If it fails.
    pub fn call(&self, path: &str, body: &Value) -> Value {
        let records = self.try_call(path, body);
        let first = records.into_iter().next().unwrap_or_else(|| panic!("{path}: no answer"));
        assert_ne!(first["type"], "error", "{path} {body}: {first}");
        first
    }
}

/// Somebody who posts through the node of a home, one post after the other.
#[derive(Debug)]
pub struct Writer {
    stop: Arc<AtomicBool>,
    ids: Receiver<String>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Begins to write.
    #[must_use]
    pub fn begin(home: &Home) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, folder, (told, ids)) = (stop.clone(), home.path.clone(), channel());
        let thread = std::thread::spawn(move || {
            let api = Api::of(&folder);
            for n in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let text = format!("post {n}");
                let records = api.try_call("/v1/post/create", &json!({ "text": text }));
                told.send(field(&records[0], "id")).expect("a listener");
            }
        });
        Self { stop, ids, thread }
    }

    /// Waits for the next acknowledged posts.
    #[must_use]
    pub fn told(&self, count: usize) -> Vec<String> {
        self.ids.iter().take(count).collect()
    }

    /// Ends after the post that is on its way.
    ///
    /// # Panics
    /// If the node gave no answer.
    pub fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a writer");
    }
}
