//! Proving that nothing is broken, building rows again, and looking inside.

use std::collections::BTreeMap;

use super::body_rows::bytes_in;
use super::damage::is_damage;
use super::entry_rows::is_name;
use super::stored::entry_of;
use super::{BodyState, EngineError, Replica, State};
use crate::chain::{ChainKey, SignedHead, extend};
use crate::description::Description;
use crate::hash::{BlobHash, ChangeId, DocumentId};
use crate::store::{Batch, Row, Table, keys};
use crate::view::{EntryRow, change_kind, rows_of};

/// What [`Replica::verify`] looked at and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Documents looked at.
    pub documents: u64,
    /// Chains whose head and links were checked.
    pub chains: u64,
    /// Changes hashed.
    pub changes: u64,
    /// Bodies and files hashed.
    pub bodies: u64,
    /// Rows compared with what documents give.
    pub rows: u64,
    /// Each damage, in one line.
    pub problems: Vec<String>,
    /// How many of these are bodies that the next sync fetches again.
    pub set_aside: u64,
}

/// What [`Replica::rebuild`] found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Rows that were there.
    pub before: u64,
    /// Rows that the documents give.
    pub rows: u64,
    /// Rows that were missing or different.
    pub mended: u64,
    /// Rows that no document gives.
    pub removed: u64,
}

/// A chain as `doc heads` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainView {
    /// Which.
    pub key: ChainKey,
    /// Position of the newest known head.
    pub n: u64,
    /// Its link.
    pub link: crate::hash::Link,
    /// Changes held here.
    pub held: u64,
    /// Their value bytes (log) or stored bytes (map).
    pub bytes: u64,
    /// Void from this change on, if its device was revoked.
    pub void_from: Option<u64>,
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;
type Keys = std::collections::BTreeSet<Vec<u8>>;

/// What [`Replica::dump`] calls: table, key, value.
pub type DumpVisitor<'a> = dyn FnMut(Table, &[u8], &[u8]) + 'a;

impl Replica {
    /// Reads everything and checks every hash, link and signature. Damage that stops the
    /// reading itself is an error. Damaged bodies are set aside.
    ///
    /// # Errors
    /// If the store's own files are damaged.
    pub fn verify(&self) -> Result<Verification, EngineError> {
        self.store.verify_files()?;
        let mut report = Verification::default();
        let mut count = |_: &[u8], _: &[u8]| Ok(());
        for table in Table::ALL {
            self.store.verify(table, &mut count)?;
        }
        for (doc, description) in self.document_list()? {
            report.documents += 1;
            self.twice(&mut report, |report| self.verify_document(&doc, &description, report))?;
        }
        self.verify_bodies(&mut report)?;
        self.verify_keyring(&mut report.problems)?;
        self.verify_rows(&mut report)?;
        Ok(report)
    }

    /// Looks again at what seems damaged: a replica that is written to may have been seen
    /// half-way, but never twice in the same place.
    fn twice(
        &self,
        report: &mut Verification,
        look: impl Fn(&mut Verification) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let before = report.problems.len();
        look(report)?;
        if report.problems.len() > before {
            self.wait_for_disk()?;
            let mut again = Verification::default();
            look(&mut again)?;
            let found = report.problems.split_off(before);
            let lasting = found.into_iter().filter(|problem| again.problems.contains(problem));
            report.problems.extend(lasting);
        }
        Ok(())
    }

    /// Waits until what was written so far can be read.
    fn wait_for_disk(&self) -> Result<(), EngineError> {
        self.store.commit(Batch::new())?;
        Ok(())
    }

    fn verify_document(
        &self,
        doc: &DocumentId,
        description: &Description,
        report: &mut Verification,
    ) -> Result<(), EngineError> {
        let chains = self.chains_of(&mut self.lock(), doc)?;
        for (key, chain) in chains {
            report.chains += 1;
            if let Err(error) = self.verify_head(description, &key, &chain.head) {
                report.problems.push(format!("head of chain {}: {error}", short(&key)));
            }
            let ids = self.change_ids(&key, 1, chain.held)?;
            if ids.len() as u64 != chain.held {
                report.problems.push(format!(
                    "chain {}: {} of {} changes are listed",
                    short(&key),
                    ids.len(),
                    chain.held
                ));
                continue;
            }
            let mut link = key.origin(&description.space.id());
            for (n, id) in (1..).zip(&ids) {
                report.changes += 1;
                match self.verify_change(description, &key, n, id) {
                    Ok(Some(())) => {}
                    Ok(None) => report.problems.push(format!("change {id} is missing")),
                    Err(error) => report.problems.push(format!("change {id}: {error}")),
                }
                link = extend(&link, n, id);
            }
            let ends = if chain.held == chain.known { chain.known_link } else { chain.link };
            if link != ends || link != chain.link {
                report
                    .problems
                    .push(format!("chain {}: links do not lead to the head", short(&key)));
            }
        }
        Ok(())
    }

    fn verify_change(
        &self,
        description: &Description,
        key: &ChainKey,
        n: u64,
        id: &ChangeId,
    ) -> Result<Option<()>, EngineError> {
        if description.kind.is_log() {
            return Ok(self.change_at(key, n)?.map(drop));
        }
        Ok(self.blob_bytes(&id.blob())?.map(drop))
    }

    fn verify_head(
        &self,
        description: &Description,
        key: &ChainKey,
        head: &[u8],
    ) -> Result<(), EngineError> {
        let head = SignedHead::from_bytes(head).map_err(EngineError::corrupt)?;
        let known = self
            .known_device(&mut self.lock(), &key.device)?
            .ok_or_else(|| EngineError::corrupt("certificate path is missing"))?;
        head.verify(description, &known.device, &self.verifier).map_err(EngineError::corrupt)?;
        Ok(())
    }

    /// Checks the bodies that are held. Damaged ones are set aside, to be fetched again, and
    /// named until they have come.
    fn verify_bodies(&self, report: &mut Verification) -> Result<(), EngineError> {
        let mut reasons = BTreeMap::new();
        self.each_body(&mut |hash, _, row| {
            if BodyState::parse(row) == Some(BodyState::Held) {
                report.bodies += 1;
                let whole = bytes_in(row).is_some_and(|bytes| BlobHash::of(&bytes) == hash);
                if !whole && let Err(error) = self.verify_blob(&hash) {
                    reasons.insert(hash, error.to_string());
                }
            }
            Ok(true)
        })?;
        if !reasons.is_empty() {
            // Looked at again, as it may have been withdrawn meanwhile, before it is set aside.
            self.wait_for_disk()?;
        }
        for (hash, why) in std::mem::take(&mut reasons) {
            if self.is_held_anywhere(&hash)? && self.verify_blob(&hash).is_err() {
                self.note_damage(&hash, &why);
                reasons.insert(hash, why);
            }
        }
        let refused = self.set_damaged_aside().err();
        for hash in self.damaged_bodies()? {
            let why = reasons.remove(&hash).unwrap_or_else(|| "it was damaged".to_owned());
            report.set_aside += 1;
            report.problems.push(format!(
                "body {hash}: {why}; it is set aside, and the next sync fetches it again"
            ));
        }
        for (hash, why) in reasons {
            let refused = refused.as_ref().map(|error| format!("; not set aside: {error}"));
            report.problems.push(format!("body {hash}: {why}{}", refused.unwrap_or_default()));
        }
        Ok(())
    }

    /// Reads a blob whole and compares it with its hash.
    pub(crate) fn verify_blob(&self, hash: &BlobHash) -> Result<(), EngineError> {
        let Some(info) = self.store.blob_info(hash)? else {
            return match self.blob_bytes(hash)? {
                Some(_) => Ok(()),
                None => Err(EngineError::MissingBlob(*hash)),
            };
        };
        self.store.blob_check(&info)?;
        let mut hasher = blake3::Hasher::new();
        let mut offset = 0;
        while offset < info.size {
            let part = self.store.blob_read(hash, offset, crate::store::BLOB_READ_BYTES_MAX)?;
            let Some(bytes) = part.filter(|bytes| !bytes.is_empty()) else {
                return Err(EngineError::MissingBlob(*hash));
            };
            hasher.update(&bytes);
            offset += bytes.len() as u64;
        }
        if hasher.finalize().as_bytes() == hash.as_bytes() {
            Ok(())
        } else {
            Err(EngineError::Corrupt(format!("blob {hash} does not match its hash")))
        }
    }

    fn verify_rows(&self, report: &mut Verification) -> Result<(), EngineError> {
        self.forget_names();
        let expected = match self.expected_rows().or_else(|_| {
            self.wait_for_disk()?;
            self.expected_rows()
        }) {
            Ok(expected) => expected,
            Err(error) => {
                report.problems.push(error.to_string());
                return Ok(());
            }
        };
        report.rows = expected.len() as u64;
        let (mut wrong, mut missing) = self.compare_rows(&expected)?;
        if !(wrong.is_empty() && missing.is_empty()) {
            self.wait_for_disk()?;
            let again = self.compare_rows(&self.expected_rows()?)?;
            wrong.retain(|key| again.0.contains(key));
            missing.retain(|key| again.1.contains(key));
        }
        for key in wrong {
            report.problems.push(format!("row {} is not what documents give", hex(&key)));
        }
        if !missing.is_empty() {
            report.problems.push(format!("{} rows are missing", missing.len()));
        }
        Ok(())
    }

    /// Rows that are not as expected, and rows that are not there.
    fn compare_rows(&self, expected: &Rows) -> Result<(Keys, Keys), EngineError> {
        let mut missing: Keys = expected.keys().cloned().collect();
        let mut wrong = Keys::new();
        for row in self.entry_rows()? {
            match self.meant_by(&row, expected)? {
                None => {
                    wrong.insert(row.0.to_vec());
                }
                Some(right) => right.iter().for_each(|key| {
                    missing.remove(key);
                }),
            }
        }
        Ok((wrong, missing))
    }

    /// The expected rows that a row stands for: itself, several posts, or none where it names a
    /// chain; `None` if it is wrong.
    fn meant_by(&self, row: &Row, expected: &Rows) -> Result<Option<Vec<Vec<u8>>>, EngineError> {
        let (key, value) = row;
        let meant = match key.first() {
            Some(b'n') => return Ok(is_name(key, value).then(Vec::new)),
            Some(b'v') => self.single_rows(row)?,
            Some(b'e') => match self.read_entry_row(value) {
                Ok(entry) => vec![(key.to_vec(), entry.encode())],
                Err(error) if is_damage(&error) => Vec::new(),
                Err(error) => return Err(error),
            },
            _ => vec![(key.to_vec(), value.to_vec())],
        };
        let right = meant.iter().all(|(key, value)| expected.get(key) == Some(value));
        let keys = meant.into_iter().map(|(key, _)| key).collect();
        Ok(Some(keys).filter(|keys: &Vec<_>| right && !keys.is_empty()))
    }

    /// All rows but those of the search index, read in steps.
    fn entry_rows(&self) -> Result<Vec<Row>, EngineError> {
        const STEP: usize = 4096;
        let mut all = Vec::new();
        let mut start: Option<Vec<u8>> = None;
        loop {
            let rows = self.store.scan(Table::Rows, &[], start.as_deref(), false, STEP)?;
            let Some((last, _)) = rows.last() else { return Ok(all) };
            let mut next = last.to_vec();
            next.push(0);
            if last.starts_with(keys::SEARCH) {
                next = keys::AFTER_SEARCH.to_vec();
            }
            start = Some(next);
            all.extend(rows.into_iter().filter(|(key, _)| !key.starts_with(keys::SEARCH)));
        }
    }

    /// Drops all rows and builds them again from the documents.
    ///
    /// # Errors
    /// If a document cannot be read or the store fails.
    pub fn rebuild(&self) -> Result<Rebuilt, EngineError> {
        let expected = self.expected_rows()?;
        self.forget_names();
        let mut report = Rebuilt { rows: expected.len() as u64, ..Rebuilt::default() };
        let mut batch = Batch::new();
        let mut right = std::collections::BTreeSet::new();
        for row in self.entry_rows()? {
            let meant = self.meant_by(&row, &expected)?;
            report.before += meant.as_ref().map_or(1, |meant| meant.len() as u64);
            if meant.is_none() && !expected.contains_key(row.0.as_ref()) {
                report.removed += 1;
                batch.delete(Table::Rows, row.0);
            }
            right.extend(meant.into_iter().flatten());
            self.flush(&mut batch, false)?;
        }
        for (key, value) in expected {
            if !right.contains(&key) {
                report.mended += 1;
                batch.put(Table::Rows, key, value);
                self.flush(&mut batch, false)?;
            }
        }
        self.flush(&mut batch, true)?;
        Ok(report)
    }

    fn flush(&self, batch: &mut Batch, all: bool) -> Result<(), EngineError> {
        if batch.len() >= 4096 || (all && !batch.is_empty()) {
            self.store.commit(std::mem::take(batch))?;
        }
        Ok(())
    }

    /// Every row that the held changes give.
    fn expected_rows(&self) -> Result<Rows, EngineError> {
        let mut rows = Rows::new();
        for (doc, description) in self.document_list()? {
            let chains = self.chains_of(&mut self.lock(), &doc)?;
            for (key, chain) in chains {
                for (n, id) in (1..).zip(self.change_ids(&key, 1, chain.held)?) {
                    self.rows_of_change(&description, &key, n, &id, &mut rows)?;
                }
            }
        }
        Ok(rows)
    }

    fn rows_of_change(
        &self,
        description: &Description,
        key: &ChainKey,
        n: u64,
        id: &ChangeId,
        rows: &mut Rows,
    ) -> Result<(), EngineError> {
        let mut row = EntryRow {
            doc: key.doc,
            device: key.device,
            incarnation: key.incarnation,
            n,
            time_ms: 0,
            kind: change_kind(description.kind),
        };
        if !description.kind.is_log() {
            rows.insert(keys::entry(id), row.encode());
            return Ok(());
        }
        let change = self
            .change_at(key, n)?
            .ok_or_else(|| EngineError::Corrupt(format!("change {id} is missing")))?;
        let entry = entry_of(&change)?;
        row.time_ms = change.time_ms;
        row.kind = entry.kind();
        rows.extend(rows_of(description, id, &row, &entry));
        Ok(())
    }

    /// Documents that are known here, with their descriptions.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn document_list(&self) -> Result<Vec<(DocumentId, Description)>, EngineError> {
        let mut state = self.lock();
        let mut out = Vec::new();
        for space in self.known_spaces()? {
            for (doc, description) in self.documents(&mut state, &space)? {
                out.push((doc, (*description).clone()));
            }
        }
        Ok(out)
    }

    /// Chains of a document.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn heads(&self, doc: &DocumentId) -> Result<Vec<ChainView>, EngineError> {
        let mut state = self.lock();
        if self.description(&mut state, doc)?.is_none() {
            return Err(EngineError::MissingDocument(*doc));
        }
        let mut out = Vec::new();
        for (key, chain) in self.chains_of(&mut state, doc)? {
            let void_from = self.first_void(&mut state, &key, chain.known)?;
            out.push(ChainView {
                key,
                n: chain.known,
                link: chain.known_link,
                held: chain.held,
                bytes: chain.bytes,
                void_from,
            });
        }
        Ok(out)
    }

    fn first_void(
        &self,
        state: &mut State,
        key: &ChainKey,
        known: u64,
    ) -> Result<Option<u64>, EngineError> {
        // What is void is a suffix.
        let (mut low, mut high) = (1, known + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.is_cut(state, key, middle)? {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok((low <= known).then_some(low))
    }

    /// Resolves a document by id prefix.
    ///
    /// # Errors
    /// If nothing or more than one document fits.
    pub fn resolve_document(&self, text: &str) -> Result<DocumentId, EngineError> {
        if let Some(id) = DocumentId::parse_hex(text.trim()) {
            return Ok(id);
        }
        let found = self.matching(Table::Truth, b"d", text.trim())?;
        let ids = found.iter().filter_map(|key| keys::parse_space_document(key)).collect();
        super::walls::one("document", text, ids)
    }

    /// Resolves an account by id prefix among those known here.
    ///
    /// # Errors
    /// If nothing or more than one account fits.
    pub fn resolve_account(&self, text: &str) -> Result<crate::hash::AccountId, EngineError> {
        let text = text.trim();
        if let Some(id) = crate::hash::AccountId::parse_hex(text) {
            return Ok(id);
        }
        let mut ids = Vec::new();
        for kind in [&b"g"[..], &b"s"[..]] {
            let found = self.matching(Table::Meta, kind, text)?;
            ids.extend(found.iter().filter_map(|key| {
                key.last_chunk::<32>().map(|id| crate::hash::AccountId::from_bytes(*id))
            }));
        }
        super::walls::one("account", text, ids)
    }

    /// Calls `visit` with table, key and value of every row, and hash and size of every
    /// blob file: for looking inside.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn dump(&self, visit: &mut DumpVisitor<'_>) -> Result<(), EngineError> {
        for table in Table::ALL {
            self.store.verify(table, &mut |key, value| {
                visit(table, key, value);
                Ok(())
            })?;
        }
        Ok(())
    }
}

fn short(key: &ChainKey) -> String {
    format!("{}/{}", key.doc.short(), key.device.short())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
