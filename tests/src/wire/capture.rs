//! All datagrams from and to some ports, as the system sends them.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_recv_buffer_size_force, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketType, recv, socket};

/// Every protocol, as the kernel numbers them.
const ALL: u32 = 0x0003;
/// Bytes that may wait to be read.
const WAITING: usize = 64 << 20;

/// A capture that goes on until it is stopped.
#[derive(Debug)]
pub struct Capture {
    stop: Arc<AtomicBool>,
    reading: JoinHandle<Vec<(u16, u16, Vec<u8>)>>,
}

impl Capture {
    /// Begins to read what goes over this machine; `None` if the system does not allow it.
    #[must_use]
    pub fn begin() -> Option<Self> {
        let protocol = NonZeroU32::new(u32::from((ALL as u16).to_be())).map(Protocol::from_raw);
        let socket = socket(AddressFamily::PACKET, SocketType::DGRAM, protocol).ok()?;
        set_socket_recv_buffer_size_force(&socket, WAITING).ok()?;
        set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_millis(50))).ok()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let reading = std::thread::spawn(move || read(&socket, &stopped));
        Some(Self { stop, reading })
    }

    /// Ends it, and returns what went from or to these ports: each payload once, in order.
    ///
    /// # Panics
    /// If reading failed.
    #[must_use]
    pub fn end(self, ports: &[u16]) -> Vec<Vec<u8>> {
        self.stop.store(true, Ordering::Relaxed);
        let all = self.reading.join().expect("a capture").into_iter();
        let ours = all.filter(|(from, to, _)| ports.contains(from) || ports.contains(to));
        let mut seen = HashSet::new();
        // What stays on this machine is seen as it goes and as it comes.
        ours.map(|(.., payload)| payload).filter(|payload| seen.insert(payload.clone())).collect()
    }
}

fn read(socket: &OwnedFd, stop: &AtomicBool) -> Vec<(u16, u16, Vec<u8>)> {
    let mut all = Vec::new();
    let mut packet = vec![0; 1 << 17];
    // What came before the end is read to its end.
    loop {
        let ending = stop.load(Ordering::Relaxed);
        let flags = if ending { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
        match recv(socket, &mut packet[..], flags) {
            Ok((length, _)) => all.extend(packet.get(..length).and_then(udp)),
            Err(_) if ending => return all,
            Err(_) => {}
        }
    }
}

/// Ports and payload of a UDP datagram, from the header of IP on.
fn udp(packet: &[u8]) -> Option<(u16, u16, Vec<u8>)> {
    let header = match packet.first()? >> 4 {
        4 if packet.get(9) == Some(&17) => usize::from(packet.first()? & 15) * 4,
        6 if packet.get(6) == Some(&17) => 40,
        _ => return None,
    };
    let udp = packet.get(header..)?;
    let word = |at: usize| Some(u16::from_be_bytes([*udp.get(at)?, *udp.get(at + 1)?]));
    Some((word(0)?, word(2)?, udp.get(8..)?.to_vec()))
}
