//! Why a target is missed: where the cost is, and what would be next.

/// Benchmarks, what is counted, and what is known about it. The counters of the report itself
/// show it unless a profile is named.
const REASONS: &[(&[&str], &str, &str)] = &[
    (
        &["R0"],
        "bytes each way, at most",
        "the opener lists each kept space with 42 bytes (tag, two digests), in every session, also \
         to who was equal before. Next: a sketch over the spaces' digests, one total for remembered \
         peers.",
    ),
    (
        &["R1", "R6", "R4"],
        "bytes to find out",
        "42 bytes for each kept space in Open and 3 in Answer whether it differs or not; 26 bytes \
         for each chain of a section of which one chain differs. Next: sketches, keyed for the \
         session, over spaces and over tips.",
    ),
    (
        &["R1", "R6"],
        "control bytes",
        "the lists above; a signed head of 217 bytes for each chain that moved, and a certificate \
         path for each device. Next: sketches, and heads that leave out what the tip said.",
    ),
    (
        &["R1", "R4", "R6"],
        "legs until all is there",
        "list, tips, wants, gives: four legs where both have news, and two more for each pack that \
         waits for the one before. Next: what the answerer can tell from the list goes along with \
         the answer; more packs under way at once.",
    ),
    (
        &["E1"],
        "processor time over automerge::sync",
        "it grows with the number of accounts, not only of changes: each frame taken goes through \
         something of all kept sections. Next: a profile of taking; then no step that looks at more \
         than what came.",
    ),
    (
        &["E1"],
        "processor time a change over that at 10,000",
        "as above: time a change follows the number of accounts.",
    ),
    (
        &["E1"],
        "signatures checked",
        "two chains an account, its log and its wall, and one head for each: 2 an account. Next: \
         a head that covers several chains of one device.",
    ),
    (
        &["E2"],
        "fsyncs until it is there and known to be",
        "two at each side: the commit of the post, and another that notes what the peer is known to \
         have. Next: the note rides in the next commit.",
    ),
    (
        &["E7"],
        "disk over payload, compacted",
        "the truth itself is stored as whole changes and bodies under 32-byte keys; rows and states \
         of bodies are as many again. Next: closed pages as packs that rebuild the exact changes.",
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
        "log pages: rows, states and bodies of each change are separate puts, each with its key, \
         cloned on the way to the database. Map documents: each change is tried on a document of its \
         own before it counts, and loaded again with what was there. Next: a profile of each.",
    ),
    (
        &["M3"],
        "processor time over Automerge::load of all",
        "opening reads the journals of the database and then what the first screen needs; for small \
         stores the database's own opening is most of it. Next: a profile.",
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
        "tips of all visitors of a wall are listed when one of them moved. Next: a sketch over tips.",
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
