//! What a session wants done, in order, and what it costs.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::sync::outcome::{Counters, Outcome};
use crate::sync::session::{CloseReason, Output};
use crate::wire::{Message, PackRef};

/// Outputs not yet polled.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: VecDeque<Output>,
    bytes: usize,
    pub counters: Counters,
}

impl Outbox {
    pub fn send(&mut self, message: &Message) {
        let frame = Bytes::from(message.encode());
        self.count(message, frame.len());
        self.bytes += frame.len();
        self.queue.push_back(Output::Send(frame));
    }

    /// Counts a frame of `bytes` with its length in front, sent or received.
    pub fn count(&mut self, message: &Message, bytes: usize) {
        let (inline, bodies) = payload(message);
        self.counters.frames += 1;
        self.counters.inline_bytes += inline as u64;
        self.counters.body_bytes += bodies as u64;
        self.counters.control_bytes += bytes.saturating_sub(inline + bodies) as u64;
    }

    pub fn fetch(&mut self, pack: PackRef) {
        self.queue.push_back(Output::Fetch(pack));
    }

    pub fn finished(&mut self, outcome: Outcome) {
        self.queue.push_back(Output::Finished(Box::new(outcome)));
    }

    pub fn close(&mut self, reason: CloseReason) {
        self.queue.push_back(Output::Close(reason));
    }

    pub fn go_on(&mut self) {
        self.queue.push_back(Output::Continue);
    }

    pub fn poll(&mut self) -> Option<Output> {
        let output = self.queue.pop_front();
        if let Some(Output::Send(frame)) = &output {
            self.bytes -= frame.len();
        }
        output
    }

    /// Bytes of frames not yet polled.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

fn payload(message: &Message) -> (usize, usize) {
    match message {
        Message::Give { chains, bodies, .. } => {
            let parts = chains.iter().flat_map(|chain| &chain.parts);
            let changes = parts.map(crate::wire::Part::encoded_len).sum();
            (changes, bodies.iter().map(Bytes::len).sum())
        }
        Message::Newest(newest) => {
            let changes = newest.excerpts.iter().map(|excerpt| excerpt.part.encoded_len()).sum();
            (changes, newest.bodies.iter().map(Bytes::len).sum())
        }
        Message::Bodies { inline, .. } => (0, inline.iter().map(Bytes::len).sum()),
        _ => (0, 0),
    }
}
