//! Why a target is missed: where the cost is, and what would be next.

/// Benchmarks, what is counted, and what is known about it. The counters of the report itself
/// show it unless a profile is named.
const REASONS: &[(&[&str], &str, &str)] = &[
    (
        &["R0"],
        "bytes each way, at most",
        "who never met is told sums of 44 tips at once, or of 24 where there are few, so that what \
         is new is there with the third message: equal peers do not need them. 64 bytes and three \
         messages exclude each other. The next session costs 74 bytes. Next: sums of 8 bytes a \
         chain that went on instead of 16.",
    ),
    (
        &["R1", "R6", "R4"],
        "bytes to find out",
        "at the first meeting sums of 44 tips at once; lists that differ by more than seven spaces, \
         34 bytes each in Open and 3 in Answer; a want of 20 bytes for each chain asked for. Next: \
         sums of half the length, shorter wants.",
    ),
    (
        &["R1", "R6"],
        "control bytes",
        "a signature of 64 bytes and 7 more for each chain that moved. Next: a head that covers \
         several chains of one device.",
    ),
    (
        &["R1", "R4", "R6"],
        "legs until all is there",
        "more than the sums of the first message tell, 20 chains that went on, is found by a sketch of \
         the answerer: what it has comes in a fourth leg, and in a sixth where the lists differ; two \
         more for each pack that waits for the one before. Next: sums of half the length.",
    ),
    (
        &["E1"],
        "processor time over automerge::sync",
        "profile at 65525df, 20,000 changes, both ends: more than half of the session is the giver \
         reading bodies one by one, because their rows are sorted by hash and so lie apart; a fifth \
         of all samples is allocation; then building changes and rows, hashing, and the database's \
         writing. Before, filters and indexes of tables were read again and again: tables have them in \
         parts now. Next: rows of bodies by document, read in one scan.",
    ),
    (
        &["E1"],
        "processor time a change over that at 10,000",
        "profile at ac1f38e: what grows is the database. Up to some 8 MiB nothing is merged and \
         all is in memory; at 100,000 changes merging is 28 % at the receiver, and the giver \
         looks bodies up in tables instead of memory. Nothing that looks at all sections is \
         above 1 %. Next: fewer bytes and rows a change, bodies read in order.",
    ),
    (
        &["E1"],
        "signatures checked",
        "two chains an account, its log and its wall, and one head for each: 2 an account. Next: \
         a head that covers several chains of one device.",
    ),
    (
        &["H1"],
        "signatures checked",
        "two a member: the head of the log and the head of the page. Of the proof that the ticket was \
         there who invited says that he had it, for members of whom he had 32 or more. Next: a head \
         that covers several chains of one device.",
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
        "each body is in a row under its hash and its document, 66 bytes beside it; each entry has \
         one of 50 under its id, and an event of 34 in the journal. Next: the document in the \
         key of a body by a short name.",
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
        "profile at ac1f38e, log pages up to 100,000 changes, when one committed 553 bytes and \
         not 375 as now: 43 % flushing and merging tables, 24 % allocation (keys and values of \
         rows, steps of a chain), 13 % building changes and rows, 8 % handing over to the \
         database, 7 % kernel and fsync, 2 % hashing, 1 % signatures, 2 % reads. Map documents: \
         each change is tried before it counts. Next: one buffer for the rows of a chain.",
    ),
    (
        &["M3"],
        "processor time over Automerge::load of all",
        "opening reads the journals of the database and then what the first screen needs; a \
         store that was closed has an empty journal. Next: a profile of one that was not.",
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
        "profile at ac1f38e, of ours: 28 % flushing and merging tables, 18 % reading bodies by \
         their keys at the giver (three looks a body, now one), 16 % building changes and \
         rows, 13 % commits and closing, 9 % \
         fsync, 6 % hashing, 6 % allocation, 4 % kernel, 1 % signatures. At 5,000 changes \
         opening and closing stores weighs on both. Next: what E1 needs.",
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
    (
        &["M1"],
        "processor time a change over that at 10,000",
        "profile at ac1f38e, when rows were half as large again: merging tables, which 10,000 \
         changes are too few for, is 43 % of all; Automerge's own cost a change rises by 1.7 in \
         the same run, for memory that no \
         cache holds. Next: fewer bytes a change.",
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
