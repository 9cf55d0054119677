//! What the repository says of itself: its layers, its documents, what it is made of.

mod docs;
mod layering;
mod supply;
