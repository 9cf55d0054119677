//! The two halves of a session's stream: a task that only reads, a task that only writes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use iroh::endpoint::{RecvStream, SendStream};
use mosaic_engine::wire::{FRAME_PREFIX_BYTES, frame_length};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Frames that wait for the driver, each at most 64 KiB.
const FRAMES_WAITING: usize = 64;
/// How long the rest of a frame may take, and how long a write may make no progress.
const FRAME_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that wait to be written before the connection is given up: a peer that asks and never
/// reads.
const WRITE_WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Reads frames until the stream ends or one is wrong; the receiver then ends too.
pub(super) fn read(mut recv: RecvStream) -> mpsc::Receiver<Bytes> {
    let (frames, waiting) = mpsc::channel(FRAMES_WAITING);
    tokio::spawn(async move {
        loop {
            let mut prefix = [0; FRAME_PREFIX_BYTES];
            if recv.read_exact(&mut prefix).await.is_err() {
                return;
            }
            let Ok(length) = frame_length(prefix) else {
                // an empty frame is none: the session ends the connection as malformed
                let _ = frames.send(Bytes::new()).await;
                return;
            };
            let mut frame = BytesMut::zeroed(length);
            let read = timeout(FRAME_TIMEOUT, recv.read_exact(&mut frame)).await;
            if !matches!(read, Ok(Ok(()))) || frames.send(frame.freeze()).await.is_err() {
                return;
            }
        }
    });
    waiting
}

/// What the driver holds of the writing task.
pub(super) struct Writer {
    batches: mpsc::UnboundedSender<Bytes>,
    written: mpsc::UnboundedReceiver<usize>,
    waiting: usize,
}

impl Writer {
    pub(super) fn new(mut send: SendStream) -> Self {
        let (batches, mut queue) = mpsc::unbounded_channel::<Bytes>();
        let (done, written) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(batch) = queue.recv().await {
                let length = batch.len();
                let wrote = timeout(FRAME_TIMEOUT, send.write_chunk(batch)).await;
                if !matches!(wrote, Ok(Ok(()))) || done.send(length).is_err() {
                    return;
                }
            }
            let _ = send.finish();
        });
        Self { batches, written, waiting: 0 }
    }

    /// Queues bytes that were put together; `false` if too many wait or the stream is gone.
    pub(super) fn write(&mut self, batch: Bytes) -> bool {
        if batch.is_empty() {
            return true;
        }
        self.waiting = self.waiting.saturating_add(batch.len());
        self.waiting <= WRITE_WAITING_BYTES_MAX && self.batches.send(batch).is_ok()
    }

    /// Whether everything queued has been written.
    pub(super) const fn is_idle(&self) -> bool {
        self.waiting == 0
    }

    /// Waits until some batch is written; `false` if the stream is gone.
    pub(super) async fn wrote(&mut self) -> bool {
        match self.written.recv().await {
            Some(length) => {
                self.waiting = self.waiting.saturating_sub(length);
                true
            }
            None => false,
        }
    }
}
