//! M4: a long text, typed: stored, sent to an empty peer, opened again.

use automerge::transaction::Transactable as _;
use automerge::{Automerge, ObjType, ROOT, ReadDoc as _};
use mosaic_engine::document::Splice;
use mosaic_engine::hash::DocumentId;
use mosaic_engine::replica::{Replica, TextEdit};
use tempfile::TempDir;

use super::storage::{compact, tables_bytes};
use super::{Context, Size};
use crate::measure::cpu;
use crate::measure::ratio::{Compared, interleaved};
use crate::meeting::Meeting;
use crate::report::{Measure, Row};
use crate::workload::{hub, trace};
use crate::{TIME_MS, disk_store, floor, replica};

/// Edits of one change: what somebody types between two times that an editor saves.
const EDITS_A_CHANGE: usize = 1_000;
/// Edits of the published trace that are written with a change each: such a text takes a
/// device's life for every 2,048.
const KEYSTROKES: usize = 1_500;

/// A text, and how it is written.
pub(crate) struct Case {
    name: String,
    /// The edits, the first of which inserts.
    pub(crate) edits: Vec<Splice>,
    /// How many of them are one change.
    pub(crate) per_change: usize,
    end: Option<String>,
    pairs: usize,
}

pub(super) fn run(context: &Context) -> Row {
    let measures = cases(context).iter().flat_map(|case| measured(context, case)).collect();
    Row {
        name: "M4".into(),
        title: "A long text, typed character by character".into(),
        method: "A text document is typed at a replica on disk through its public interface, so \
                 many edits a change, each change signed and fsynced; then an empty replica on \
                 disk copies it; then the home is opened again and the text read. save(): \
                 Automerge's bytes of a document of the same changes. Beside it Automerge and \
                 automerge::sync at the same edits, a transaction where ours writes a change, in \
                 memory. Disk: table files after a major compaction, journals left out. \
                 Generated edits have the shape of the published trace automerge-paper \
                 (Kleppmann, CC-BY 4.0), which is read from a file if there is one."
            .into(),
        measures,
        plots: Vec::new(),
    }
}

fn cases(context: &Context) -> Vec<Case> {
    let pairs = context.pairs();
    let generated = |edits: usize, per_change: usize| Case {
        name: format!("{edits} generated edits, {per_change} a change"),
        edits: trace::typed(context.seed, edits).edits,
        per_change,
        end: None,
        pairs,
    };
    let (some, one_by_one) =
        context.pick((1_000, 60), (10_000, 500), (50_000, KEYSTROKES), (50_000, KEYSTROKES));
    let mut cases =
        vec![generated(some, (some / 10).min(EDITS_A_CHANGE)), generated(one_by_one, 1)];
    // What is counted must be the same wherever it is counted.
    if context.size == Size::Counts {
        return cases;
    }
    let name = "automerge-paper";
    match context.trace.clone().or_else(trace::found).map(|path| trace::read(&path)) {
        Some(Ok(typed)) => {
            let (all, few) = (typed.edits.len(), KEYSTROKES.min(typed.edits.len()));
            cases.push(Case {
                name: format!("{name}, its first {few} edits, 1 a change"),
                edits: typed.edits[..few].to_vec(),
                per_change: 1,
                end: None,
                pairs,
            });
            cases.push(Case {
                name: format!("{name}, {all} edits, {EDITS_A_CHANGE} a change"),
                edits: typed.edits,
                per_change: EDITS_A_CHANGE,
                end: typed.end,
                pairs: context.pick(1, 1, 3, 5),
            });
        }
        Some(Err(reason)) => context.not_run("M4 automerge-paper", &reason),
        None => context.not_run(
            "M4 automerge-paper",
            "no `--trace FILE`, and cargo has not unpacked the crate loro-internal, whose \
             benches/automerge-paper.json.gz it is",
        ),
    }
    cases
}

fn measured(context: &Context, case: &Case) -> Vec<Measure> {
    let name = &*case.name;
    context.say(name);
    let (typing, Typed { folder, writer, doc }) = typing(context, case);
    let account = writer.account().expect("an account");
    let documents = floor::documents(&writer);
    let document = &documents[&doc];
    let saved = document.save();
    let stored: u64 = document.get_changes(&[]).iter().map(|c| c.raw_bytes().len() as u64).sum();
    let (mut met, mut number) = (None, 0);
    let copied = interleaved(
        case.pairs,
        || {
            number += 1;
            let folder = context.folder();
            let reader = hub::node(disk_store(folder.path()), context.seed + 40 + number);
            hub::keep(&reader, &[account]);
            let (ns, whole) = cpu(|| Meeting::whole([&reader, &writer], number as u8));
            assert!(whole.equal, "{name}: {whole:?}");
            assert_eq!(shown(&reader, &doc), shown(&writer, &doc), "{name}");
            reader.close().expect("a closed replica");
            met = Some(whole);
            ns
        },
        || {
            let mut docs = [Automerge::new(), document.clone()];
            cpu(|| floor::sync(&mut docs, &mut floor::strangers())).0
        },
    );
    writer.close().expect("a closed replica");
    drop(writer);
    let opened = interleaved(
        case.pairs,
        || {
            let (ns, opened) = cpu(|| {
                let opened = replica(disk_store(folder.path()), 1);
                shown(&opened, &doc);
                opened
            });
            opened.close().expect("a closed replica");
            ns
        },
        || cpu(|| text_of(&Automerge::load(&saved).expect("a document"))).0,
    );
    compact(folder.path());
    let disk = tables_bytes(folder.path());
    let reopened = replica(disk_store(folder.path()), 1);
    let stats = reopened.store().stats();
    reopened.close().expect("a closed replica");
    let met = met.expect("a copy");
    let theirs =
        floor::sync(&mut [Automerge::new(), document.clone()], &mut floor::strangers()).total;
    let sizes = Sizes {
        saved: saved.len() as u64,
        stored,
        wire: met.total(),
        theirs,
        disk,
        truth: stats.truth.bytes,
    };
    let mut measures = sizes.measures(name);
    measures.push(Measure::exact(name, "legs until all is there", "legs", met.arrived));
    measures.extend(times(case, &typing, &copied, &opened));
    beside(&mut measures, case);
    measures
}

/// A text that was typed.
struct Typed {
    /// The home of its writer.
    folder: TempDir,
    writer: Replica,
    doc: DocumentId,
}

/// Types a case at a new replica, once for each pair; returns the last one.
fn typing(context: &Context, case: &Case) -> (Compared, Typed) {
    let mut last: Option<Typed> = None;
    let compared = interleaved(
        case.pairs,
        || {
            let (ns, typed) = ours(context, case);
            if let Some(before) = last.replace(typed) {
                before.writer.close().expect("a closed replica");
            }
            ns
        },
        || {
            let (ns, document) = cpu(|| automerge(case));
            if let Some(end) = &case.end {
                assert_eq!(text_of(&document), *end, "{}: another text", case.name);
            }
            ns
        },
    );
    (compared, last.expect("a text"))
}

fn ours(context: &Context, case: &Case) -> (u64, Typed) {
    let folder = context.folder();
    let writer = hub::node(disk_store(folder.path()), context.seed);
    let (ns, doc) = cpu(|| {
        let (first, rest) = case.edits.split_first().expect("an edit");
        let doc = writer.create_text(&first.inserted, TIME_MS).expect("a text");
        for (n, edits) in (1..).zip(rest.chunks(case.per_change)) {
            let edit = TextEdit::Splices(edits.to_vec());
            writer.edit_text(&doc, &edit, TIME_MS + 1_000 * n).expect("an edit");
        }
        doc
    });
    if let Some(end) = &case.end {
        assert_eq!(shown(&writer, &doc), *end, "{}: another text", case.name);
    }
    (ns, Typed { folder, writer, doc })
}

fn shown(replica: &Replica, doc: &DocumentId) -> String {
    replica.read_text(doc).expect("a text").text
}

/// The same edits in Automerge, so many a transaction.
fn automerge(case: &Case) -> Automerge {
    let mut document = Automerge::new();
    let mut begin = document.transaction();
    let text = begin.put_object(ROOT, "text", ObjType::Text).expect("a text");
    begin.commit();
    for edits in case.edits.chunks(case.per_change) {
        let mut transaction = document.transaction();
        for Splice { at, deleted, inserted } in edits {
            let deleted = isize::try_from(*deleted).expect("a count");
            transaction.splice_text(&text, *at, deleted, inserted).expect("an edit");
        }
        transaction.commit();
    }
    document
}

/// The text that a document has at its root.
fn text_of(document: &Automerge) -> String {
    let key = document.keys(ROOT).next().expect("a key");
    let (_, text) = document.get(ROOT, key).expect("a value").expect("a text");
    document.text(&text).expect("a text")
}

/// Bytes of a text in its forms.
struct Sizes {
    saved: u64,
    stored: u64,
    wire: u64,
    theirs: u64,
    disk: u64,
    truth: u64,
}

impl Sizes {
    fn measures(&self, name: &str) -> Vec<Measure> {
        let saved = self.saved as f64;
        let over = |bytes: u64| bytes as f64 / saved;
        vec![
            Measure::exact(name, "bytes of all changes as they are stored", "B", self.stored),
            Measure::exact(name, "bytes on the wire, all", "B", self.wire)
                .limit(saved)
                .beside("automerge::sync", self.theirs as f64),
            Measure::shown(name, "bytes on the wire over save()", "×", over(self.wire))
                .at_most(1.2)
                .limit(1.0),
            Measure::shown(name, "bytes on disk over save()", "×", over(self.disk)).at_most(4.0),
            Measure::shown(name, "of them table truth", "×", over(self.truth)),
        ]
    }
}

fn times(case: &Case, typed: &Compared, copied: &Compared, opened: &Compared) -> Vec<Measure> {
    let name = &*case.name;
    let each = |ns: f64| ns / 1e3 / case.edits.len() as f64;
    vec![
        Measure::ratio(name, "processor time of typing over automerge", typed.ratio),
        Measure::shown(name, "typing, an edit", "µs", each(typed.ours_ns.median))
            .beside("automerge", each(typed.theirs_ns.median)),
        Measure::ratio(name, "processor time of a copy over automerge::sync", copied.ratio),
        Measure::shown(name, "a copy", "ms", copied.ours_ns.median / 1e6)
            .beside("automerge::sync", copied.theirs_ns.median / 1e6),
        Measure::ratio(name, "processor time of opening over Automerge::load", opened.ratio),
        Measure::shown(name, "opening and reading it", "ms", opened.ours_ns.median / 1e6)
            .beside("automerge", opened.theirs_ns.median / 1e6),
    ]
}

/// Puts what another library takes beside ours.
fn beside(measures: &mut [Measure], case: &Case) {
    #[cfg(feature = "peers")]
    {
        let other = crate::peers::typed(&case.edits, case.per_change);
        let each = |ns: u64| ns as f64 / 1e3 / case.edits.len() as f64;
        for measure in &mut *measures {
            let value = match &*measure.what {
                "bytes on the wire, all" => other.bytes as f64,
                "typing, an edit" => each(other.typing_ns),
                "a copy" => other.copy_ns as f64 / 1e6,
                _ => continue,
            };
            measure.peers.insert("yrs".into(), value);
        }
    }
    #[cfg(not(feature = "peers"))]
    let _ = (measures, case);
}
