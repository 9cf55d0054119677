//! One dial of a peer at a time: two at once would each close the session of the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use mosaic_engine::hash::DeviceId;
use tokio::sync::{Mutex as TurnMutex, MutexGuard as TurnGuard};

/// Who is being dialled. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Dialling {
    turns: Arc<Mutex<HashMap<DeviceId, Arc<TurnMutex<()>>>>>,
}

/// A turn at dialling one device.
#[derive(Debug)]
pub(super) struct Turn {
    dialling: Dialling,
    device: DeviceId,
    lock: Arc<TurnMutex<()>>,
}

impl Dialling {
    /// Queues up.
    pub(super) fn turn(&self, device: DeviceId) -> Turn {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = turns.entry(device).or_default().clone();
        Turn { dialling: self.clone(), device, lock }
    }
}

impl Turn {
    /// Waits for those who came before.
    pub(super) async fn wait(&self) -> TurnGuard<'_, ()> {
        self.lock.lock().await
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = self.dialling.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // the map's and this one: nobody else waits
        if Arc::strong_count(&self.lock) <= 2 {
            turns.remove(&self.device);
        }
    }
}
