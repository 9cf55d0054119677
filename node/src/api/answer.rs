//! Requests in, records out: what every operation has in common.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::types::{ErrorKind, ErrorRecord, MESSAGE_BYTES_MAX, NDJSON, Record, Request};
use crate::app::App;

/// Records that wait for a slow reader.
const RECORDS_WAITING: usize = 64;

/// What an operation answers.
#[derive(Debug)]
pub(super) enum Answer {
    /// Everything at once.
    Records(Vec<Record>),
    /// As it happens.
    Stream(mpsc::Receiver<Record>),
}

/// Where a long operation puts its records.
pub(super) type Sink = mpsc::Sender<Record>;

pub(super) type Outcome = Result<Answer, ErrorRecord>;

impl From<Record> for Answer {
    fn from(record: Record) -> Self {
        Self::Records(vec![record])
    }
}

impl From<Vec<Record>> for Answer {
    fn from(records: Vec<Record>) -> Self {
        Self::Records(records)
    }
}

impl Answer {
    /// Runs `work` beside the answer, which is sent while it runs; an error ends it.
    pub(super) fn running<F, W>(work: W) -> Self
    where
        W: FnOnce(Sink) -> F,
        F: Future<Output = Result<(), ErrorRecord>> + Send + 'static,
    {
        let (sink, records) = mpsc::channel(RECORDS_WAITING);
        let working = work(sink.clone());
        tokio::spawn(async move {
            if let Err(error) = working.await {
                let _ = sink.send(Record::Error(error)).await;
            }
        });
        Self::Stream(records)
    }
}

/// Adds an operation that runs on the async threads.
pub(super) fn route<R, F, H>(router: Router<Arc<App>>, handler: H) -> Router<Arc<App>>
where
    R: Request,
    H: Fn(Arc<App>, R) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Outcome> + Send + 'static,
{
    raw::<R, _, _>(router, move |app, request| {
        let outcome = handler(app, request);
        async move { Ok(respond(outcome.await)) }
    })
}

/// Adds an operation whose answer is no records but bytes.
pub(super) fn raw<R, F, H>(router: Router<Arc<App>>, handler: H) -> Router<Arc<App>>
where
    R: Request,
    H: Fn(Arc<App>, R) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response, ErrorRecord>> + Send + 'static,
{
    router.route(
        R::PATH,
        post(move |State(app): State<Arc<App>>, body: Body| async move {
            let answer = match request::<R>(&app, body).await {
                Ok(request) => handler(app, request).await,
                Err(error) => Err(error),
            };
            answer.unwrap_or_else(refuse)
        }),
    )
}

/// Adds an operation that may block: it gets a thread that may wait.
pub(super) fn blocking<R, A>(
    router: Router<Arc<App>>,
    handler: fn(&App, R) -> Result<A, ErrorRecord>,
) -> Router<Arc<App>>
where
    R: Request,
    A: Into<Answer> + Send + 'static,
{
    route::<R, _, _>(router, move |app, request| async move {
        let work = tokio::task::spawn_blocking(move || handler(&app, request));
        match work.await {
            Ok(answer) => answer.map(Into::into),
            Err(error) => Err(ErrorRecord::new(ErrorKind::Error, error.to_string())),
        }
    })
}

async fn request<R: Request>(app: &App, body: Body) -> Result<R, ErrorRecord> {
    if R::NEEDS_NODE && !app.is_node() {
        return Err(ErrorRecord::new(ErrorKind::NoNode, "no node is running for this home"));
    }
    let bytes = to_bytes(body, MESSAGE_BYTES_MAX).await;
    let usage = |message: String| ErrorRecord::new(ErrorKind::Usage, message);
    let bytes: Bytes = bytes.map_err(|error| {
        // The reader of the body tells its own limit by these words only.
        let over = error.to_string().contains("limit");
        usage(match over {
            true => format!("the request is over {MESSAGE_BYTES_MAX} bytes"),
            false => format!("the request ends before its end: {error}"),
        })
    })?;
    let bytes = if bytes.is_empty() { Bytes::from_static(b"{}") } else { bytes };
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(usage(format!("{}: the arguments are no JSON object", R::PATH)));
    }
    serde_json::from_slice(&bytes).map_err(|error| usage(format!("{}: {error}", R::PATH)))
}

fn respond(outcome: Outcome) -> Response {
    match outcome {
        Ok(Answer::Records(records)) => {
            let lines: Vec<u8> = records.iter().flat_map(Record::to_line).collect();
            ([(header::CONTENT_TYPE, NDJSON)], lines).into_response()
        }
        Ok(Answer::Stream(records)) => {
            let lines = ReceiverStream::new(records)
                .map(|record| Ok::<_, Infallible>(Bytes::from(record.to_line())));
            ([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response()
        }
        Err(error) => refuse(error),
    }
}

/// Answers one error record with its status.
pub(super) fn refuse(error: ErrorRecord) -> Response {
    let status = StatusCode::from_u16(error.kind().http_status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let line = Record::Error(error).to_line();
    (status, [(header::CONTENT_TYPE, NDJSON)], line).into_response()
}
