//! `api`: an operation of the local API, as it is.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use mosaic_node::api::types::{MESSAGE_BYTES_MAX, OPERATIONS, openapi};

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Api {
    /// Operation, for example wall/list
    #[arg(value_name = "PATH", required_unless_present = "openapi")]
    path: Option<String>,
    /// File with the arguments as one JSON object; - reads stdin
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Print the OpenAPI document of all operations and records
    #[arg(long, conflicts_with_all = ["path", "input"])]
    openapi: bool,
}

impl Api {
    /// Whether it only prints the document, for which no home is needed.
    pub(crate) const fn is_document(&self) -> bool {
        self.openapi
    }

    /// Prints the document: whole, or what a program of `--jq` makes of it.
    pub(crate) fn print(output: &mut Output) -> Result<(), Failure> {
        let document = openapi();
        if output.picks() {
            return output.line(document.to_string().as_bytes());
        }
        output.bytes(format!("{document:#}\n").as_bytes())
    }

    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let body = match self.input {
            None => Vec::new(),
            Some(path) => crate::apart(move || read(&path)).await?,
        };
        let path = path_of(&self.path.unwrap_or_default());
        let needs_node =
            OPERATIONS.iter().any(|operation| operation.path == path && operation.needs_node);
        let answer = context.post(&path, body, needs_node).await?;
        context.pass_on(answer, Print::Records, &|_| None).await
    }
}

/// Returns the path of an operation that is named with or without its version.
fn path_of(name: &str) -> String {
    let name = name.trim_start_matches('/');
    if name.starts_with("v1/") { format!("/{name}") } else { format!("/v1/{name}") }
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, Failure> {
    let cannot = |error: std::io::Error| {
        let message = format!("cannot read {}: {error}", path.display());
        Failure::usage(message, "mosaic help api")
    };
    let from: Box<dyn Read> = if path == std::path::Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).map_err(cannot)?)
    };
    let mut body = Vec::new();
    from.take(MESSAGE_BYTES_MAX as u64 + 1).read_to_end(&mut body).map_err(cannot)?;
    if body.len() > MESSAGE_BYTES_MAX {
        let message = format!("{} has more than {MESSAGE_BYTES_MAX} bytes", path.display());
        return Err(Failure::usage(message, "mosaic help api"));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_named_with_or_without_the_version() {
        for name in ["wall/list", "/wall/list", "v1/wall/list", "/v1/wall/list"] {
            assert_eq!(path_of(name), "/v1/wall/list");
        }
        assert_eq!(path_of("v2/wall/list"), "/v1/v2/wall/list");
    }
}
