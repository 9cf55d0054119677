//! A bound on what is read before anything of a sealed file is verified: `age` keeps its whole
//! header in memory, and looks at all of it again for each line.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of a header: 64 recipients take 10 KiB.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Reads a sealed file, of which the header may have so many bytes and no more.
#[derive(Debug)]
pub(crate) struct Bounded<R> {
    from: R,
    left: usize,
    over: HeaderEnd,
}

/// Says that the header is over, and everything after it may come.
#[derive(Clone, Debug, Default)]
pub(super) struct HeaderEnd(Arc<AtomicBool>);

impl HeaderEnd {
    pub(super) fn reached(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<R> Bounded<R> {
    pub(super) fn new(from: R) -> (Self, HeaderEnd) {
        let over = HeaderEnd::default();
        (Self { from, left: HEADER_BYTES_MAX, over: over.clone() }, over)
    }
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.over.0.load(Ordering::Relaxed) {
            return self.from.read(bytes);
        }
        let mut ready = self.fill_buf()?;
        let read = ready.read(bytes)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.over.0.load(Ordering::Relaxed) {
            return self.from.fill_buf();
        }
        if self.left == 0 {
            let message = format!("its header is longer than {HEADER_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let ready = self.from.fill_buf()?;
        let room = ready.len().min(self.left);
        Ok(ready.get(..room).unwrap_or_default())
    }

    fn consume(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
        self.from.consume(bytes);
    }
}
