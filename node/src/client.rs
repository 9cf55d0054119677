//! Calls of the local API: over a node's socket, or straight into the router of an app that
//! is open in this process. The answers are the same bytes.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Response, header};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tower::ServiceExt;

use crate::api::types::{ErrorKind, ErrorRecord, MESSAGE_BYTES_MAX, Request, VERSION_HEADER};

/// A way to the API.
#[derive(Clone)]
pub struct Client {
    way: Way,
}

#[derive(Clone)]
enum Way {
    Socket(PathBuf),
    Local(Router),
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            Way::Socket(path) => write!(f, "Client({})", path.display()),
            Way::Local(_) => f.write_str("Client(in process)"),
        }
    }
}

impl Client {
    /// Finds out whether a node answers at `socket`.
    ///
    /// # Errors
    /// The system's word on why not; a socket that a killed node left behind is
    /// [`io::ErrorKind::ConnectionRefused`].
    pub async fn connect(socket: &Path) -> io::Result<Self> {
        UnixStream::connect(socket).await?;
        Ok(Self { way: Way::Socket(socket.to_owned()) })
    }

    /// Returns the process that listens at `socket`.
    pub async fn process(socket: &Path) -> Option<u32> {
        let stream = UnixStream::connect(socket).await.ok()?;
        let pid = stream.peer_cred().ok()?.pid()?;
        u32::try_from(pid).ok()
    }

    /// Calls a router in this process.
    #[must_use]
    pub const fn local(router: Router) -> Self {
        Self { way: Way::Local(router) }
    }

    /// Whether the other end is a running node.
    #[must_use]
    pub const fn is_node(&self) -> bool {
        matches!(self.way, Way::Socket(_))
    }

    /// Sends one request. The answer may well be a refusal: its lines say so.
    ///
    /// # Errors
    /// `no_node` if the node does not answer any more.
    pub async fn call<R: Request>(&self, request: &R) -> Result<Answer, ErrorRecord> {
        let body = serde_json::to_vec(request)
            .map_err(|error| ErrorRecord::new(ErrorKind::Usage, error.to_string()))?;
        self.post(R::PATH, body).await
    }

    /// Posts JSON to a path.
    ///
    /// # Errors
    /// `no_node` if the node does not answer any more.
    pub async fn post(&self, path: &str, body: Vec<u8>) -> Result<Answer, ErrorRecord> {
        let request = axum::http::Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::HOST, "mosaic")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| ErrorRecord::new(ErrorKind::Usage, error.to_string()))?;
        let response = match &self.way {
            Way::Local(router) => match router.clone().oneshot(request.map(Body::from)).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
            Way::Socket(socket) => over(socket, request.map(Full::from)).await?,
        };
        Ok(Answer::new(response))
    }
}

async fn over(
    socket: &Path,
    request: axum::http::Request<Full<Bytes>>,
) -> Result<Response<Body>, ErrorRecord> {
    let gone = |reason: String| {
        let message = format!("the node at {} does not answer: {reason}", socket.display());
        ErrorRecord::new(ErrorKind::NoNode, message)
    };
    let stream = UnixStream::connect(socket).await.map_err(|error| gone(error.to_string()))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| gone(error.to_string()))?;
    // It ends with the response body; its errors surface there.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| gone(error.to_string()))?;
    Ok(response.map(Body::new))
}

/// The lines of one answer, as they come.
#[derive(Debug)]
pub struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Body,
    buffer: BytesMut,
    ended: bool,
}

impl Answer {
    fn new(response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        Self { status, headers: head.headers, body, buffer: BytesMut::new(), ended: false }
    }

    /// Returns the version of the program that answers; `None` if it does not say.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.headers.get(VERSION_HEADER).and_then(|version| version.to_str().ok())
    }

    /// Returns the HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Returns a header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the next bytes of an answer that is no lines; `None` at the end.
    ///
    /// # Errors
    /// `no_node` if the answer breaks off.
    pub async fn bytes(&mut self) -> Result<Option<Bytes>, ErrorRecord> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| broke_off(&error))?;
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Returns the next line without its line break; `None` at the end.
    ///
    /// # Errors
    /// `no_node` if the answer breaks off, `error` if a line is longer than
    /// [`MESSAGE_BYTES_MAX`].
    pub async fn line(&mut self) -> Result<Option<Bytes>, ErrorRecord> {
        let mut searched = 0;
        loop {
            let rest = self.buffer.get(searched..).unwrap_or_default();
            if let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
                let mut line = self.buffer.split_to(searched + at + 1);
                line.truncate(searched + at);
                return Ok(Some(line.freeze()));
            }
            searched = self.buffer.len();
            if searched > MESSAGE_BYTES_MAX {
                let message = format!("a record is longer than {MESSAGE_BYTES_MAX} bytes");
                return Err(ErrorRecord::new(ErrorKind::Error, message));
            }
            if self.ended {
                let rest = self.buffer.split();
                return Ok((!rest.is_empty()).then(|| rest.freeze()));
            }
            match self.body.frame().await {
                None => self.ended = true,
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.buffer.extend_from_slice(&bytes);
                    }
                }
                Some(Err(error)) => return Err(broke_off(&error)),
            }
        }
    }
}

fn broke_off(error: &axum::Error) -> ErrorRecord {
    let mut message = format!("the answer broke off: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        message = format!("{message}: {deeper}");
        cause = deeper.source();
    }
    ErrorRecord::new(ErrorKind::NoNode, message)
}

#[cfg(test)]
mod tests {
    use axum::routing::post;
    use tokio::net::UnixListener;

    use super::*;
    use crate::api::types::MetaVersion;

    fn router() -> Router {
        let body = "{\"type\":\"a\"}\n{\"type\":\"b\"}\n{\"type\":\"c\"}";
        Router::new().route("/v1/meta/version", post(move || async move { body }))
    }

    async fn lines(client: &Client) -> Vec<Bytes> {
        let mut answer = client.call(&MetaVersion::default()).await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut lines = Vec::new();
        while let Some(line) = answer.line().await.unwrap() {
            lines.push(line);
        }
        lines
    }

    #[tokio::test]
    async fn both_ways_give_the_same_lines() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("node.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move { axum::serve(listener, router()).await });
        let over_socket = lines(&Client::connect(&socket).await.unwrap()).await;
        let in_process = lines(&Client::local(router())).await;
        assert_eq!(over_socket, in_process);
        assert_eq!(in_process.len(), 3);
    }

    #[tokio::test]
    async fn a_socket_that_was_left_behind_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("node.sock");
        drop(UnixListener::bind(&socket).unwrap());
        let error = Client::connect(&socket).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = Client::connect(&folder.path().join("none")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_line_without_end_is_not_collected_for_ever() {
        let long = "x".repeat(MESSAGE_BYTES_MAX + 2);
        let router = Router::new().route("/v1/meta/version", post(move || async move { long }));
        let mut answer = Client::local(router).call(&MetaVersion::default()).await.unwrap();
        assert_eq!(answer.line().await.unwrap_err().code, ErrorKind::Error.code());
    }
}
