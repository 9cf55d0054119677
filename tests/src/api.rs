//! The local API of a running node, called many times without starting a program each time.

use std::path::Path;

use mosaic_node::client::Client;
use serde_json::Value;
use tokio::runtime::Runtime;

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
