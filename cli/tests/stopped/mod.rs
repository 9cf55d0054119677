//! A home whose node does not outlive its test.

use std::path::PathBuf;

use crate::common::run;

/// Stops the node of a home when it is dropped, should one have been left behind.
pub struct Stopped(pub PathBuf);

impl Drop for Stopped {
    fn drop(&mut self) {
        run(&self.0, &["node", "stop"]);
    }
}
