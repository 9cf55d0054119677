//! The store: its size, its soundness, its rows.

use std::sync::Arc;

use axum::Router;
use mosaic_engine::store::{STORE_FORMAT, Table};

use super::answer::blocking;
use super::failure::LINK_ANEW;
use super::types::{
    Damage, ErrorKind, ErrorRecord, Garbage, Gc, MetaVersion, Rebuild, Record, Row, StoreDump,
    StoreGc, StoreRebuild, StoreSize, StoreStats, StoreVerify, Verify, VersionInfo,
};
use crate::app::App;
use crate::clock;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = blocking::<StoreStats, _>(router, stats);
    let router = blocking::<StoreVerify, _>(router, verify);
    let router = blocking::<StoreRebuild, _>(router, rebuild);
    let router = blocking::<StoreGc, _>(router, gc);
    let router = blocking::<StoreDump, _>(router, dump);
    blocking::<MetaVersion, _>(router, version)
}

fn version(app: &App, _: MetaVersion) -> Result<Record, ErrorRecord> {
    Ok(Record::VersionInfo(VersionInfo::of_this_program(app.commit())))
}

fn stats(app: &App, _: StoreStats) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let documents = replica.document_list()?;
    let mut changes = 0;
    for (doc, _) in &documents {
        changes += replica.heads(doc)?.iter().map(|chain| chain.held).sum::<u64>();
    }
    let stats = replica.store().stats();
    let (blobs, blob_bytes) = replica.bodies_held()?;
    Ok(Record::StoreStats(StoreSize {
        documents: documents.len() as u64,
        changes,
        blobs,
        blob_bytes,
        truth_bytes: stats.truth.bytes,
        rows_bytes: stats.rows.bytes,
        meta_bytes: stats.meta.bytes,
        commits: stats.commits,
        fsyncs: stats.fsyncs,
        format: STORE_FORMAT,
    }))
}

fn verify(app: &App, _: StoreVerify) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let started_ms = clock::now_ms();
    let report = replica.verify()?;
    if report.set_aside > 0 {
        app.kept_changed();
    }
    let stats = replica.store().stats();
    let mut records: Vec<Record> = report
        .problems
        .iter()
        .map(|problem| {
            let what = problem.split_whitespace().next().unwrap_or("row").to_owned();
            let id = problem.split_whitespace().find(|word| word.len() >= 16);
            let id = id.unwrap_or_default().trim_end_matches(':').to_owned();
            Record::Damage(Damage { what, id, reason: problem.clone() })
        })
        .collect();
    let keys = app.check_keys(&replica);
    if let Err(error) = &keys {
        let (what, id) = ("device.key".to_owned(), replica.device()?.to_string());
        records.push(Record::Damage(Damage { what, id, reason: error.message.clone() }));
    }
    let damaged = records.len() as u64;
    records.push(Record::Verify(Verify {
        ok: damaged == 0,
        heads: report.chains,
        changes: report.changes,
        blobs: report.bodies,
        rows: report.rows,
        read_bytes: stats.truth.bytes + stats.rows.bytes + stats.meta.bytes + stats.blobs.bytes,
        damaged,
        elapsed_ms: clock::now_ms().saturating_sub(started_ms),
    }));
    if damaged > 0 {
        let message = format!("{damaged} faults in the store");
        // Rows are derived, all else is somewhere else or nowhere.
        let row =
            |problem: &String| problem.starts_with("row ") || problem.ends_with("rows are missing");
        let hint = if keys.is_err() {
            LINK_ANEW
        } else if report.problems.iter().all(row) {
            "mosaic store rebuild"
        } else {
            "mosaic sync"
        };
        let error = ErrorRecord::new(ErrorKind::Corrupt, message).with_hint(hint);
        records.push(Record::Error(error));
    }
    Ok(records)
}

fn rebuild(app: &App, _: StoreRebuild) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let started_ms = clock::now_ms();
    let report = replica.rebuild()?;
    let index = replica.rebuild_index()?;
    Ok(Record::Rebuild(Rebuild {
        rows_before: report.before + index.before,
        rows_after: report.rows + index.rows,
        equal: report.mended == 0 && report.removed == 0 && index.equal,
        elapsed_ms: clock::now_ms().saturating_sub(started_ms),
    }))
}

fn gc(app: &App, request: StoreGc) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let started_ms = clock::now_ms();
    let found = if request.dry_run { replica.garbage()? } else { replica.collect_garbage()? };
    let mut records: Vec<Record> = found
        .iter()
        .map(|item| {
            let (what, id) = (item.kind.name().to_owned(), item.hash.to_string());
            Record::Garbage(Garbage { what, id, freed_bytes: item.bytes })
        })
        .collect();
    records.push(Record::Gc(Gc {
        items: found.len() as u64,
        freed_bytes: found.iter().map(|item| item.bytes).sum(),
        dry_run: request.dry_run,
        elapsed_ms: clock::now_ms().saturating_sub(started_ms),
    }));
    Ok(records)
}

fn dump(app: &App, request: StoreDump) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    if let Some(table) = &request.table
        && !Table::ALL.iter().any(|known| known.name() == table)
    {
        let message = format!("no table '{table}': truth, rows or meta");
        return Err(
            ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic store dump --table rows")
        );
    }
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let mut records = Vec::new();
    replica.dump(&mut |table, key, value| {
        if request.table.as_deref().is_none_or(|wanted| wanted == table.name()) {
            records.push(Record::Row(Row {
                table: table.name().into(),
                key: hex(key),
                hash: blake3::hash(value).to_string(),
                size_bytes: value.len() as u64,
                value: request.values.then(|| hex(value)),
            }));
        }
    })?;
    Ok(records)
}
