//! Why a map or text change is invalid, for every replica alike.

use thiserror::Error;

use crate::limits::{
    CHANGE_BYTES_MAX, CHANGE_DEPENDENCIES_MAX, CHANGE_OPERATIONS_MAX, CHANGE_PREDECESSORS_MAX,
    MAP_KEY_BYTES_MAX, OPERATION_COUNTER_MAX,
};

/// Why a map or text change is invalid: a function of its bytes and its causal past alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Too many bytes.
    #[error("change of {len} bytes, limit {CHANGE_BYTES_MAX}")]
    Size {
        /// Length in bytes.
        len: usize,
    },
    /// The chunk ends early.
    #[error("change ends early")]
    Short,
    /// Bytes follow the chunk.
    #[error("{count} bytes after the change")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// No Automerge chunk.
    #[error("not a chunk: wrong magic")]
    Magic,
    /// A document, a compressed change, a bundle, or no chunk type at all.
    #[error("chunk of type {found}, only 1 (uncompressed change) is accepted")]
    ChunkType {
        /// The type byte.
        found: u8,
    },
    /// The checksum is not the hash's beginning.
    #[error("checksum does not fit the bytes")]
    Checksum,
    /// A number is not in its shortest form.
    #[error("a number is not in its shortest form")]
    Varint,
    /// Too many dependencies.
    #[error("{count} dependencies, limit {CHANGE_DEPENDENCIES_MAX}")]
    Dependencies {
        /// How many.
        count: u64,
    },
    /// Dependencies not sorted, or one twice.
    #[error("dependencies are not sorted and unique")]
    DependencyOrder,
    /// An actor that is not 16 bytes long.
    #[error("actor of {len} bytes")]
    ActorLength {
        /// Its length.
        len: u64,
    },
    /// A time is set.
    #[error("time is set")]
    Time,
    /// A message is set.
    #[error("message of {len} bytes")]
    Message {
        /// Its length.
        len: u64,
    },
    /// Bytes behind the columns.
    #[error("{len} extra bytes")]
    ExtraBytes {
        /// How many.
        len: usize,
    },
    /// A column nobody knows.
    #[error("unknown column {column:#04x}")]
    Column {
        /// Its specification.
        column: u64,
    },
    /// A column that is deflated.
    #[error("deflated column {column:#04x}")]
    Deflated {
        /// Its specification.
        column: u64,
    },
    /// Columns out of order, or one twice.
    #[error("columns are not in strictly rising order")]
    ColumnOrder,
    /// Columns of different lengths.
    #[error("column {column:#04x} does not fit the number of operations")]
    ColumnLength {
        /// The one that does not fit.
        column: u64,
    },
    /// A run of no length, or of nulls where there are none.
    #[error("malformed run in column {column:#04x}")]
    Run {
        /// The column.
        column: u64,
    },
    /// No operation.
    #[error("change without operations")]
    Empty,
    /// Too many operations.
    #[error("more than {CHANGE_OPERATIONS_MAX} operations")]
    Operations,
    /// Too many predecessors.
    #[error("more than {CHANGE_PREDECESSORS_MAX} predecessors")]
    Predecessors,
    /// An operation on an object other than the root.
    #[error("operation on an object below the root")]
    Object,
    /// An operation on a list element.
    #[error("operation on a list element")]
    ListKey,
    /// An insertion.
    #[error("insertion into the root map")]
    Insert,
    /// A mark.
    #[error("mark in a map")]
    Mark,
    /// An action that this kind of document does not have.
    #[error("action {action} has no place here")]
    Action {
        /// Automerge's number of it.
        action: u64,
    },
    /// A key that is empty, too long, or no text.
    #[error("key is not text of 1 to {MAP_KEY_BYTES_MAX} bytes")]
    Key,
    /// Two operations on one key.
    #[error("two operations on one key")]
    DuplicateKey,
    /// A kind of value that maps do not hold.
    #[error("value of kind {kind}")]
    ValueKind {
        /// Automerge's number of it.
        kind: u8,
    },
    /// A value that does not decode.
    #[error("malformed value")]
    Value,
    /// A delete with a value.
    #[error("delete with a value")]
    DeleteValue,
    /// A delete that deletes nothing.
    #[error("delete without predecessor")]
    DeleteNothing,
    /// A predecessor by an actor that is not listed.
    #[error("actor {index} is not listed")]
    ActorIndex {
        /// The index.
        index: u64,
    },
    /// Predecessors not sorted, or one twice.
    #[error("predecessors are not sorted and unique")]
    PredecessorOrder,
    /// An operation counter that is no number from 1 on, or too high.
    #[error("operation counter out of range, limit {OPERATION_COUNTER_MAX}")]
    Counter,
    /// A text made where there is one already, or none made where there is none.
    #[error("a change makes the text exactly if it depends on nothing")]
    Make,
    /// An insertion of no character, or of several.
    #[error("insertion of something else than one character")]
    Character,
    /// A text or a character that its past does not have, or not there.
    #[error("text or character that is not visible at the dependencies")]
    Element,
    /// Automerge's parser refuses it.
    #[error("automerge does not parse it")]
    Parser,
    /// It does not come out the same when encoded again.
    #[error("not in the canonical encoding")]
    NotCanonical,
    /// By another actor than the chain's.
    #[error("actor is not the chain's")]
    Actor,
    /// The sequence number is not the change's number in the chain.
    #[error("sequence number {found}, the chain's is {expected}")]
    Sequence {
        /// The number in the chain.
        expected: u64,
        /// The number in the change.
        found: u64,
    },
    /// The chain's change before is not among the dependencies.
    #[error("own previous change is not a dependency")]
    Previous,
    /// Depends on a change of its own chain that is not the one before.
    #[error("depends on another change of its own chain")]
    OwnBranch,
    /// First operation not one above the dependencies.
    #[error("first operation is {found}, one above the dependencies is {expected}")]
    StartOperation {
        /// One above the highest operation of the dependencies.
        expected: u64,
        /// What the change says.
        found: u64,
    },
    /// The predecessors are not the values visible at the dependencies.
    #[error("predecessors are not the values visible at the dependencies")]
    NotVisible,
}

impl Malformed {
    /// Returns a stable name for counters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Size { .. } => "size",
            Self::Short => "short",
            Self::Trailing { .. } => "trailing",
            Self::Magic => "magic",
            Self::ChunkType { .. } => "chunk_type",
            Self::Checksum => "checksum",
            Self::Varint => "varint",
            Self::Dependencies { .. } => "dependencies",
            Self::DependencyOrder => "dependency_order",
            Self::ActorLength { .. } => "actor_length",
            Self::Time => "time",
            Self::Message { .. } => "message",
            Self::ExtraBytes { .. } => "extra_bytes",
            Self::Column { .. } => "column",
            Self::Deflated { .. } => "deflated",
            Self::ColumnOrder => "column_order",
            Self::ColumnLength { .. } => "column_length",
            Self::Run { .. } => "run",
            Self::Empty => "empty",
            Self::Operations => "operations",
            Self::Predecessors => "predecessors",
            Self::Object => "object",
            Self::ListKey => "list_key",
            Self::Insert => "insert",
            Self::Mark => "mark",
            Self::Action { .. } => "action",
            Self::Key => "key",
            Self::DuplicateKey => "duplicate_key",
            Self::ValueKind { .. } => "value_kind",
            Self::Value => "value",
            Self::DeleteValue => "delete_value",
            Self::DeleteNothing => "delete_nothing",
            Self::ActorIndex { .. } => "actor_index",
            Self::PredecessorOrder => "predecessor_order",
            Self::Counter => "counter",
            Self::Make => "make",
            Self::Character => "character",
            Self::Element => "element",
            Self::Parser => "parser",
            Self::NotCanonical => "not_canonical",
            Self::Actor => "actor",
            Self::Sequence { .. } => "sequence",
            Self::Previous => "previous",
            Self::OwnBranch => "own_branch",
            Self::StartOperation { .. } => "start_operation",
            Self::NotVisible => "not_visible",
        }
    }
}
