//! Figures of the node in the text form of Prometheus. No document, account or peer is named:
//! however much is stored, the lines stay as few.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use mosaic_engine::store::{Store, StoreStats};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::answer::{raw, refuse};
use super::sync_status;
use super::types::{ErrorKind, ErrorRecord, NodeMetrics};
use crate::app::App;
use crate::clock;

const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = raw::<NodeMetrics, _, _>(router, |app, _| scrape(app));
    router.route(
        "/metrics",
        get(|State(app): State<Arc<App>>| async { scrape(app).await.unwrap_or_else(refuse) }),
    )
}

async fn scrape(app: Arc<App>) -> Result<Response, ErrorRecord> {
    let failed = |error: String| ErrorRecord::new(ErrorKind::Error, error);
    let gathered = tokio::task::spawn_blocking(move || gather(&app)).await;
    let figures = gathered.map_err(|error| failed(error.to_string()))??;
    let mut registry = Registry::with_prefix("mosaic");
    registry.register_collector(Box::new(figures));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)
        .map_err(|error| failed(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, TEXT)], text).into_response())
}

/// Everything that is shown, as it was at one moment.
#[derive(Debug)]
struct Figures {
    store: StoreStats,
    started_ms: u64,
    uptime_ms: u64,
    in_bytes: u64,
    out_bytes: u64,
    peers: BTreeMap<&'static str, u64>,
    sections: BTreeMap<String, u64>,
    refused: BTreeMap<&'static str, u64>,
    deferred: BTreeMap<&'static str, u64>,
}

fn gather(app: &App) -> Result<Figures, ErrorRecord> {
    let replica = app.replica()?;
    let mut figures = Figures {
        store: app.disk()?.stats(),
        started_ms: 0,
        uptime_ms: 0,
        in_bytes: 0,
        out_bytes: 0,
        peers: BTreeMap::from([("connected", 0), ("away", 0)]),
        sections: ["in-sync", "differs", "failed", "unknown"]
            .map(|state| (state.to_owned(), 0))
            .into(),
        refused: BTreeMap::new(),
        deferred: BTreeMap::new(),
    };
    if let Some(info) = app.node() {
        figures.started_ms = info.started_ms;
        figures.uptime_ms = clock::now_ms().saturating_sub(info.started_ms);
    }
    if let Some(network) = app.running_network() {
        for (device, record) in network.peers().met() {
            let (sent, received) = network.net().traffic(&device);
            figures.in_bytes += record.in_bytes.saturating_add(received);
            figures.out_bytes += record.out_bytes.saturating_add(sent);
            let live = network.peers().live(&device);
            let open = live.is_some_and(|live| live.connection.close_reason().is_none());
            let state = if open { "connected" } else { "away" };
            *figures.peers.entry(state).or_default() += 1;
        }
        let counts = network.sessions().refused(None);
        (figures.refused, figures.deferred) = (counts.refused, counts.deferred);
    }
    for (_, state) in sync_status::all(app, &replica)? {
        *figures.sections.entry(state.state).or_default() += 1;
    }
    Ok(figures)
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let to = &mut encoder;
        let store = &self.store;
        counter(to, "commits", "Batches committed", store.commits)?;
        counter(to, "fsyncs", "Flushes to stable storage for commits", store.fsyncs)?;
        counter(to, "committed_bytes", "Keys and values committed", store.bytes_written)?;
        gauge(to, "last_commit", "Number of the last commit ever", store.last_commit.0)?;
        gauge(to, "store_bytes", "Bytes of the store on disk", store.disk_bytes)?;
        gauge(to, "blob_files", "Large blobs", store.blobs.rows)?;
        gauge(to, "blob_files_bytes", "Bytes of large blobs", store.blobs.bytes)?;
        let tables = [("truth", store.truth), ("rows", store.rows), ("meta", store.meta)];
        let sizes: Vec<(&str, u64)> = tables.map(|(name, table)| (name, table.bytes)).to_vec();
        gauges(to, "table_bytes", "Bytes of a table on disk", "table", sizes)?;
        counter(to, "received_bytes", "Bytes from peers that are remembered", self.in_bytes)?;
        counter(to, "sent_bytes", "Bytes to peers that are remembered", self.out_bytes)?;
        let peers = self.peers.iter().map(|(state, count)| (*state, *count));
        gauges(to, "peers", "Peers by state", "state", peers)?;
        let sections = self.sections.iter().map(|(state, count)| (state.as_str(), *count));
        gauges(to, "sync_sections", "Sections at peers by state", "state", sections)?;
        let refused = self.refused.iter().map(|(reason, count)| (*reason, *count));
        counters(to, "refused", "Not taken from peers, for good", refused)?;
        let deferred = self.deferred.iter().map(|(reason, count)| (*reason, *count));
        counters(to, "deferred", "Not taken from peers for now", deferred)?;
        gauge(to, "start_time_seconds", "Start since 1970", self.started_ms / 1000)?;
        gauge(to, "uptime_seconds", "Time since the start", self.uptime_ms / 1000)
    }
}

fn counter(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    ConstCounter::new(value).encode(to.encode_descriptor(name, help, None, MetricType::Counter)?)
}

fn gauge(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    ConstGauge::new(value).encode(to.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn gauges<'a>(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: impl IntoIterator<Item = (&'a str, u64)>,
) -> fmt::Result {
    let mut family: MetricEncoder<'_> =
        to.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (value, count) in values {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        ConstGauge::new(count).encode(family.encode_family(&[(label, value)])?)?;
    }
    Ok(())
}

fn counters<'a>(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (&'a str, u64)>,
) -> fmt::Result {
    let mut family = to.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (reason, count) in values {
        ConstCounter::new(count).encode(family.encode_family(&[("reason", reason)])?)?;
    }
    Ok(())
}
