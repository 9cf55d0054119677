//! Why a target is missed: where the cost is, and what would be next.

/// Benchmarks, what is counted, and what is known about it. The counters of the report itself
/// show it unless a profile is named.
const REASONS: &[(&[&str], &str, &str)] = &[
    (
        &["R0"],
        "bytes each way, at most",
        "at the first meeting of two accounts the opener lists each kept space with 34 \
         bytes (name, two digests); it is noted then, and the next session costs 79 \
         bytes. Next: a sketch over the spaces for those who never met.",
    ),
    (
        &["R1", "R6", "R4"],
        "bytes to find out",
        "at the first meeting the list of spaces, 34 bytes each in Open and 3 in Answer; \
         after that what is left is a want of 20 bytes for each chain asked for. Next: a \
         sketch over the spaces, shorter wants.",
    ),
    (
        &["R1", "R6"],
        "control bytes",
        "the list of the first meeting; a signed head of 217 bytes for each chain that \
         moved, and a certificate path for each device. Next: heads that leave out what \
         the tip said.",
    ),
    (
        &["R1", "R4", "R6"],
        "legs until all is there",
        "check or list, sketch, wants, gives: both know after the third leg what differs, \
         and what the answerer has comes in a fourth; two more for each pack that waits \
         for the one before. Next: each side pushes at once what it has written since \
         both met.",
    ),
    (
        &["E1"],
        "processor time over automerge::sync",
        "about half is the database's: five rows a change (change, entry, wall, state of \
         the body, body), each for itself. Next: closed pages stored as packs, with rows \
         by page.",
    ),
    (
        &["E1"],
        "processor time a change over that at 10,000",
        "what is left that looks at all kept sections at the end of a round. Next: a \
         profile at 1,000 accounts.",
    ),
    (
        &["E1"],
        "signatures checked",
        "two chains an account, its log and its wall, and one head for each: 2 an account. Next: \
         a head that covers several chains of one device.",
    ),
    (&["E2"], "fsyncs until it is there and known to be", "one at each side for the post."),
    (
        &["E2"],
        "fsyncs a post",
        "an own post lets go of the replica while it waits for the disk, so that others join its \
         commit; what a peer gives is judged and committed before anything else is looked at. Next: \
         the same for what peers push.",
    ),
    (
        &["E7"],
        "disk over payload, compacted",
        "bodies and what a change is built of are rows of their own under 32-byte keys; \
         rows and states of bodies are as many again. Next: closed pages as packs that \
         rebuild the exact changes.",
    ),
    (
        &["E7"],
        "written over payload",
        "each byte goes to the journal, to a table, and through compactions. Next: fewer and smaller \
         rows; the truth of closed pages written once.",
    ),
    (
        &["M1"],
        "processor time over apply_changes",
        "log pages: rows, states and bodies of each change are separate puts, each with \
         its key. Map documents: each change is tried on a document of its own before it \
         counts, and loaded again with what was there. Next: a profile of each.",
    ),
    (
        &["M3"],
        "processor time over Automerge::load of all",
        "opening reads the journals of the database and then what the first screen needs; for small \
         stores the database's own opening is most of it. Next: a profile.",
    ),
    (
        &["M4"],
        "bytes on the wire over save()",
        "a short text travels in frames as it is stored, not folded into columns, and its account \
         log, certificate and head go along. Next: fold what is new of a text from some changes up.",
    ),
    (
        &["M4"],
        "bytes on disk over save()",
        "each change is kept as Automerge writes it alone, about 100 bytes for one character and \
         three times save() at 1,000 edits a change, because its hash and the signed head are over \
         these bytes; what save() shares between changes stands in each. Of one change for each \
         character the rows (entry, id, journal) are as much again. Next: closed runs of a \
         chain kept as the folded columns that packs have, which rebuild the exact bytes.",
    ),
    (
        &["S"],
        "stock processor time over ours",
        "ours verifies, derives rows and commits some packs at a time, and pays for each account what \
         E1 shows; the blob transfer itself is a small part. Next: what E1 needs, then one commit for \
         many packs.",
    ),
    (
        &["R5"],
        "rounds of the lying session",
        "a difference that nobody explains is looked at again, each time later, until the session \
         ends for silence.",
    ),
    (
        &["R5"],
        "control bytes",
        "a sketch of the visitors' tips where one of them moved, and a head for each that \
         is new.",
    ),
];

/// Returns what is known about a miss.
#[must_use]
pub fn reason(row: &str, what: &str) -> String {
    let known = REASONS.iter().find(|(rows, w, _)| rows.contains(&row) && *w == what);
    known.map_or_else(
        || format!("{what}: not looked into yet"),
        |(_, _, reason)| format!("{what}: {reason}"),
    )
}
