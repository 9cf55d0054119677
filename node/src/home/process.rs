//! A process that runs a node, from outside: asked to end, and waited for.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::error::NodeError;

/// A process that was there when it was found.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    /// Tells it from one that gets its number later, where the system can (Linux 5.3).
    handle: Option<OwnedFd>,
}

impl Process {
    /// Finds the process with this number, somebody else's too; `None` if there is none.
    #[must_use]
    pub fn find(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
        is_there(pid).then(|| Self { pid, handle: handle(pid) })
    }

    /// Asks it to end, as `node stop` does.
    ///
    /// # Errors
    /// The system refuses, or it has ended.
    pub fn end(&self) -> Result<(), NodeError> {
        let name = format!("process {}", self.pid.as_raw_nonzero());
        kill_process(self.pid, Signal::TERM)
            .map_err(|error| NodeError::file("end", Path::new(&name))(io::Error::from(error)))
    }

    /// Whether it has ended, where there is a handle also when its parent has not asked how.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let Some(handle) = &self.handle else { return !is_there(self.pid) };
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(handle, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
    }
}

/// One that may not be signalled is there.
fn is_there(pid: Pid) -> bool {
    test_kill_process(pid) != Err(Errno::SRCH)
}

#[cfg(target_os = "linux")]
fn handle(pid: Pid) -> Option<OwnedFd> {
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
const fn handle(_: Pid) -> Option<OwnedFd> {
    None
}
