//! M3, E7, E8: what is on the disk, and how it is opened again.

use std::path::Path;
use std::sync::Arc;

use automerge::Automerge;
use fjall::{Database, KeyspaceCreateOptions};
use mosaic_engine::description::SectionClass;
use mosaic_engine::replica::Replica;
use mosaic_engine::store::Table;
use mosaic_engine::sync::exchange::Exchange;

use super::Context;
use crate::child;
use crate::floor;
use crate::measure::cpu;
use crate::measure::process::written;
use crate::measure::ratio::interleaved;
use crate::report::{Measure, Row};
use crate::workload::{hub, messages};
use crate::{disk_store, replica};

/// Newest posts that a reader looks at first.
const SCREEN: usize = 50;

pub(super) fn opening(context: &Context) -> Row {
    let sizes: &[(u64, u64)] = context.pick(
        &[(500, 5)][..],
        &[(2_000, 10)],
        &[(10_000, 10), (100_000, 100)],
        &[(10_000, 10), (100_000, 100), (1_000_000, 1_000)],
    );
    let mut measures = Vec::new();
    for (changes, authors) in sizes {
        context.say(&format!("{changes} changes by {authors} accounts"));
        let folder = context.folder();
        let source = hub::node(disk_store(folder.path()), context.seed);
        let mut progress = context.progress("accounts");
        let accounts = messages::write(&source, context.seed, *changes, *authors, &mut progress);
        let saved: Vec<Vec<u8>> = floor::documents(&source).values().map(Automerge::save).collect();
        source.close().expect("a closed replica");
        drop(source);
        let compared = interleaved(
            context.pairs(),
            || {
                let (ns, opened) = cpu(|| {
                    let opened = replica(disk_store(folder.path()), 1);
                    opened.wall(&accounts[0], None, SCREEN).expect("a wall");
                    opened
                });
                opened.close().expect("a closed replica");
                ns
            },
            || {
                let load = |bytes: &Vec<u8>| Automerge::load(bytes).expect("a document");
                cpu(|| saved.iter().map(load).collect::<Vec<_>>()).0
            },
        );
        let told = child::open_apart(folder.path(), context.folder().path());
        let case = format!("{changes} changes, {authors} accounts");
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        measures.extend([
            Measure::ratio(&case, "processor time over Automerge::load of all", compared.ratio)
                .at_most(1.2),
            Measure::shown(&case, "processor time", "ms", compared.ours_ns.median / 1e6)
                .beside("automerge", compared.theirs_ns.median / 1e6),
            Measure::shown(&case, "memory of a process that opened it", "MiB", mib(told.rss)),
        ]);
    }
    Row {
        name: "M3".into(),
        title: "Opening what is stored, and the first screen".into(),
        method: "A home on disk is opened, and the newest 50 posts of a wall are read. Beside it \
                 Automerge::load of all saved documents, from memory."
            .into(),
        measures,
        plots: Vec::new(),
    }
}

pub(super) fn size(context: &Context) -> Row {
    let (changes, authors) =
        context.pick((500, 5), (5_000, 50), (100_000, 1_000), (100_000, 1_000));
    let folder = context.folder();
    let io = written();
    let source = hub::node(disk_store(folder.path()), context.seed);
    let mut progress = context.progress("accounts");
    messages::write(&source, context.seed, changes, authors, &mut progress);
    let raw = raw_bytes(&source);
    let (_, bodies) = source.bodies_held().expect("a store");
    let payload = (raw + bodies) as f64;
    let stats = source.store().stats();
    source.close().expect("a closed replica");
    drop(source);
    let put = written() - io;
    compact(folder.path());
    let reopened = replica(disk_store(folder.path()), 1);
    let disk = tables_bytes(folder.path());
    let after = reopened.store().stats();
    let indexed = reopened.settle_index();
    reopened.close().expect("a closed replica");
    indexed.expect("a store");
    let case = format!("{changes} messages, {authors} accounts");
    let over = |bytes: u64| bytes as f64 / payload;
    let mut measures = vec![
        Measure::exact(&case, "bytes of raw changes", "B", raw),
        Measure::exact(&case, "bytes of bodies", "B", bodies),
        Measure::exact(&case, "bytes committed", "B", stats.bytes_written),
        Measure::shown(&case, "disk over payload, compacted", "×", over(disk)).at_most(1.5),
        Measure::shown(&case, "written over payload", "×", over(put)).at_most(4.0),
        Measure::shown(&case, "committed over payload", "×", over(stats.bytes_written)),
    ];
    for (name, table) in [("truth", after.truth), ("rows", after.rows), ("meta", after.meta)] {
        let what = format!("table {name} over payload");
        measures.push(Measure::shown(&case, &what, "×", over(table.bytes)));
    }
    Row {
        name: "E7".into(),
        title: "What is on the disk for what was written".into(),
        method:
            "A hub takes messages of many accounts, 64 accounts at a time. Payload: the stored \
                 bytes of all changes, and their bodies. Disk: table files after a major \
                 compaction of each table, journals left out. Written: what the kernel says this \
                 process wrote, compactions that happened meanwhile included."
                .into(),
        measures,
        plots: Vec::new(),
    }
}

/// Stored bytes of all changes that anybody may read.
fn raw_bytes(source: &Replica) -> u64 {
    let mut bytes = 0;
    for section in source.held_sections().expect("sections") {
        if section.class != SectionClass::Private {
            for tip in source.tips(&section).expect("tips") {
                let changes = floor::changes_of(source, &section, &tip);
                bytes += changes.iter().map(|change| change.len() as u64).sum::<u64>();
            }
        }
    }
    bytes
}

/// Compacts each table whole, as the database does by and by.
pub(super) fn compact(home: &Path) {
    let path = home.join("home/store/db");
    let database = Database::builder(&path).open().expect("a database");
    for table in Table::ALL {
        let keyspace = database.keyspace(table.name(), KeyspaceCreateOptions::default);
        let keyspace = keyspace.expect("a table");
        keyspace.rotate_memtable_and_wait().expect("a flush");
        keyspace.major_compact().expect("a compaction");
    }
}

/// Bytes of the files of all tables and blobs, without the journals.
pub(super) fn tables_bytes(home: &Path) -> u64 {
    let (tables, blobs) = (home.join("home/store/db/keyspaces"), home.join("home/store/blobs"));
    folder_bytes(&tables) + folder_bytes(&blobs)
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

pub(super) fn known(context: &Context) -> Row {
    let documents = context.pick(50, 500, 10_000, 10_000);
    let folders = [context.folder(), context.folder()];
    let empty = hub::node(disk_store(folders[0].path()), context.seed);
    empty.close().expect("a closed replica");
    let store = disk_store(folders[1].path());
    let full = hub::node(Arc::clone(&store), context.seed + 1);
    let mut progress = context.progress("accounts");
    // Two messages: the median of the published distribution.
    messages::write(&full, context.seed, 2 * documents, documents, &mut progress);
    full.close().expect("a closed replica");
    drop((empty, full, store));
    let told =
        [0, 1].map(|at: usize| child::open_apart(folders[at].path(), context.folder().path()));
    let case = format!("{documents} accounts with a wall each, 10 open or fewer");
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let more = told[1].rss.saturating_sub(told[0].rss) as f64;
    Row {
        name: "E8".into(),
        title: "Many documents that are known and closed".into(),
        method: "A home that keeps the walls of many accounts is opened in a process of its own; \
                 memory beside that of an empty home."
            .into(),
        measures: vec![
            Measure::shown(&case, "time to open, on the clock", "s", told[1].wall_ns as f64 / 1e9)
                .at_most(1.0),
            Measure::shown(&case, "processor time to open", "ms", told[1].cpu_ns as f64 / 1e6)
                .beside("an empty home", told[0].cpu_ns as f64 / 1e6),
            Measure::shown(&case, "memory", "MiB", mib(told[1].rss))
                .beside("an empty home", mib(told[0].rss)),
            Measure::shown(&case, "memory a document", "B", more / documents as f64)
                .at_most(2_048.0),
        ],
        plots: Vec::new(),
    }
}
