//! The store and its documents.

use mosaic_node::api::types::{
    AccountExported, AccountImported, Backup, Bench, Change, Check, Damage, Document,
    DocumentValue, Garbage, Gc, Head, History, Migration, Pack, Rebuild, Restored, Row, Setting,
    StoreSize, Verify, VersionInfo,
};

use super::{Cell, Fields, View};

pub(super) fn setting(setting: &Setting) -> View {
    let value = match &setting.value {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(serde_json::Value::Array(list)) => {
            list.iter().filter_map(|part| part.as_str()).collect::<Vec<_>>().join(",")
        }
        Some(value) => value.to_string(),
        None => String::new(),
    };
    let mut cells = vec![Cell::Name(setting.key.clone()), Cell::Text(value)];
    cells.extend(setting.origin.clone().map(Cell::Text));
    cells.extend(setting.state.clone().map(Cell::Text));
    View::Row(cells)
}

pub(super) fn check(check: &Check) -> View {
    View::Row(vec![
        Cell::Text(check.state.clone()),
        Cell::Name(check.name.clone()),
        Cell::Text(check.message.clone()),
        Cell::Text(check.fix.clone().unwrap_or_default()),
    ])
}

pub(super) fn size(size: &StoreSize) -> View {
    Fields::default()
        .put("documents", Cell::Count(size.documents, ""))
        .put("changes", Cell::Count(size.changes, ""))
        .put("blobs", Cell::Count(size.blobs, ""))
        .put("blob bytes", Cell::Bytes(size.blob_bytes))
        .put("truth", Cell::Bytes(size.truth_bytes))
        .put("rows", Cell::Bytes(size.rows_bytes))
        .put("meta", Cell::Bytes(size.meta_bytes))
        .put("commits", Cell::Count(size.commits, ""))
        .put("fsyncs", Cell::Count(size.fsyncs, ""))
        .put("format", Cell::Count(u64::from(size.format), ""))
        .view()
}

pub(super) fn damage(damage: &Damage) -> View {
    View::Row(vec![
        Cell::Text("damaged".to_owned()),
        Cell::Text(damage.what.clone()),
        Cell::Id(damage.id.clone()),
        Cell::Text(damage.reason.clone()),
    ])
}

pub(super) fn verify(verify: &Verify) -> View {
    Fields::default()
        .put("ok", Cell::Text(if verify.ok { "yes" } else { "no" }.to_owned()))
        .put("heads", Cell::Count(verify.heads, ""))
        .put("changes", Cell::Count(verify.changes, ""))
        .put("blobs", Cell::Count(verify.blobs, ""))
        .put("rows", Cell::Count(verify.rows, ""))
        .put("read", Cell::Bytes(verify.read_bytes))
        .put("damaged", Cell::Count(verify.damaged, ""))
        .put("took", Cell::Millis(verify.elapsed_ms))
        .view()
}

pub(super) fn rebuild(rebuild: &Rebuild) -> View {
    Fields::default()
        .put("rows before", Cell::Count(rebuild.rows_before, ""))
        .put("rows after", Cell::Count(rebuild.rows_after, ""))
        .put("equal", Cell::Text(if rebuild.equal { "yes" } else { "no" }.to_owned()))
        .put("took", Cell::Millis(rebuild.elapsed_ms))
        .view()
}

pub(super) fn garbage(garbage: &Garbage) -> View {
    View::Row(vec![
        Cell::Text(garbage.what.clone()),
        Cell::Id(garbage.id.clone()),
        Cell::Bytes(garbage.freed_bytes),
    ])
}

pub(super) fn gc(gc: &Gc) -> View {
    Fields::default()
        .put(if gc.dry_run { "would remove" } else { "removed" }, Cell::Count(gc.items, ""))
        .put(if gc.dry_run { "would free" } else { "freed" }, Cell::Bytes(gc.freed_bytes))
        .put("took", Cell::Millis(gc.elapsed_ms))
        .view()
}

pub(super) fn row(row: &Row) -> View {
    let mut cells = vec![
        Cell::Text(row.table.clone()),
        Cell::Text(row.key.clone()),
        Cell::Text(row.hash.clone()),
        Cell::Bytes(row.size_bytes),
    ];
    cells.extend(row.value.clone().map(Cell::Text));
    View::Row(cells)
}

pub(super) fn document(document: &Document) -> View {
    View::Row(vec![
        Cell::Id(document.id.clone()),
        Cell::Text(document.kind.clone()),
        Cell::Count(document.page, ""),
        Cell::Id(document.space.clone()),
        Cell::Id(document.account.clone()),
        Cell::Count(document.chains, "chain"),
        Cell::Count(document.held_changes, ""),
        Cell::Count(document.known_changes, "change"),
        Cell::Bytes(document.held_bytes),
    ])
}

pub(super) fn head(head: &Head) -> View {
    View::Row(vec![
        Cell::Id(head.doc.clone()),
        Cell::Text(head.kind.clone()),
        Cell::Count(head.page, ""),
        Cell::Id(head.device.clone()),
        Cell::Id(head.incarnation.clone()),
        Cell::Count(head.n, ""),
        Cell::Id(head.link.clone()),
    ])
}

pub(super) fn pack(pack: &Pack) -> View {
    View::Row(vec![
        Cell::Id(pack.doc.clone()),
        Cell::Text(pack.kind.clone()),
        Cell::Count(pack.page, ""),
        Cell::Text(pack.hash.clone()),
        Cell::Bytes(pack.size_bytes),
        Cell::Count(pack.chains, "chain"),
        Cell::Count(pack.changes, "change"),
    ])
}

pub(super) fn change(change: &Change) -> View {
    View::Row(vec![
        Cell::Id(change.id.clone()),
        Cell::Id(change.device.clone()),
        Cell::Id(change.incarnation.clone()),
        Cell::Count(change.n, ""),
        Cell::Bytes(change.size_bytes),
        Cell::Text(change.standing.clone()),
        Cell::Id(change.hash.clone().unwrap_or_default()),
    ])
}

pub(super) fn document_value(document: &DocumentValue) -> View {
    let text = serde_json::to_string_pretty(&document.value).unwrap_or_default();
    View::Block {
        rows: vec![vec![
            Cell::Id(document.doc.clone()),
            Cell::Text(document.heads.join(",")),
            Cell::Text(serde_json::to_string(&document.value).unwrap_or_default()),
        ]],
        head: vec![Cell::Id(document.doc.clone()), Cell::Count(count(document), "head")],
        lines: text.lines().map(str::to_owned).collect(),
    }
}

fn count(document: &DocumentValue) -> u64 {
    u64::try_from(document.heads.len()).unwrap_or(u64::MAX)
}

pub(super) fn history(history: &History) -> View {
    View::Row(vec![
        Cell::Id(history.id.clone()),
        Cell::Id(history.device.clone()),
        Cell::Count(history.n, ""),
        Cell::Time(history.created_at.clone().unwrap_or_default()),
        Cell::Name(history.action.clone()),
        Cell::Id(history.target.clone().unwrap_or_default()),
        Cell::Text(history.standing.clone()),
    ])
}

pub(super) fn backup(backup: &Backup) -> View {
    View::Row(vec![
        Cell::Text(backup.path.clone()),
        Cell::Bytes(backup.size_bytes),
        Cell::Text(format!("commit {}", backup.commit)),
    ])
}

pub(super) fn restored(restored: &Restored) -> View {
    Fields::default()
        .put("account", Cell::Id(restored.account.clone()))
        .put("device", Cell::Id(restored.device.clone()))
        .put("made", Cell::Time(restored.created_at.clone()))
        .put("changes", Cell::Count(restored.changes, ""))
        .put("blobs", Cell::Count(restored.blobs, ""))
        .put("keys", Cell::Text(if restored.keys { "yes" } else { "no" }.to_owned()))
        .view()
}

pub(super) fn exported(exported: &AccountExported) -> View {
    View::Row(vec![
        Cell::Text(exported.path.clone()),
        Cell::Bytes(exported.size_bytes),
        Cell::Text(format!("commit {}", exported.commit)),
    ])
}

pub(super) fn imported(imported: &AccountImported) -> View {
    let mut fields = Fields::default()
        .put("account", Cell::Id(imported.account.clone()))
        .put("device", Cell::Id(imported.device.clone()))
        .put("made", Cell::Time(imported.created_at.clone()))
        .put("documents", Cell::Count(imported.documents, ""))
        .put("changes", Cell::Count(imported.changes, ""))
        .put("blobs", Cell::Count(imported.blobs, ""))
        .put("keys", Cell::Text(if imported.keys { "yes" } else { "no" }.to_owned()));
    if imported.missing > 0 {
        fields = fields.put("missing", Cell::Count(imported.missing, ""));
    }
    if imported.left_out > 0 {
        fields = fields.put("left out", Cell::Count(imported.left_out, ""));
    }
    fields.view()
}

pub(super) fn migration(migration: &Migration) -> View {
    View::Row(vec![
        Cell::Text(format!("format {}", migration.from)),
        Cell::Text(match (migration.from == migration.to, migration.migrated.0) {
            (true, _) => "is the newest".to_owned(),
            (false, true) => format!("became {}", migration.to),
            (false, false) => format!("becomes {}", migration.to),
        }),
    ])
}

pub(super) fn version_info(version: &VersionInfo) -> View {
    Fields::default()
        .put("mosaic", Cell::Text(version.version.clone()))
        .put("api", Cell::Text(format!("v{}", version.api)))
        .put("store format", Cell::Count(u64::from(version.store_format), ""))
        .view()
}

pub(super) fn bench(bench: &Bench) -> View {
    let mut cells = vec![
        Cell::Name(format!("{}/{}", bench.suite, bench.case)),
        Cell::Text(format!("median {}", milliseconds(bench.median_us))),
        Cell::Text(format!("p95 {}", milliseconds(bench.p95_us))),
        Cell::Count(bench.changes, "change"),
    ];
    cells.extend(bench.wire_bytes.map(Cell::Bytes));
    View::Row(cells)
}

fn milliseconds(us: u64) -> String {
    format!("{}.{:02} ms", us / 1000, us % 1000 / 10)
}
