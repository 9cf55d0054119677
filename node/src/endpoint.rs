//! The network endpoint of this device: one key, one socket, nothing unasked.
//!
//! No relay, no address lookup, no port mapping, and only the loopback interface, unless the
//! options say otherwise: a socket bound to loopback cannot send a packet anywhere else.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iroh::endpoint::{
    Connection, ConnectionStats, NetReportConfig, PortmapperConfig, WeakConnectionHandle, presets,
};
use iroh::{Endpoint, EndpointAddr, EndpointId, RelayMode, RelayUrl, SecretKey, TransportAddr};
use iroh_mdns_address_lookup::{DiscoveryEvent, MdnsAddressLookup};
use mosaic_engine::hash::DeviceId;
use tokio::sync::Notify;
use tokio_stream::StreamExt;

use crate::error::NodeError;
use crate::ticket::{Address, NodeTicket, TICKET_ADDRESSES_MAX};

/// How long to wait for somebody to answer.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Devices of the local network that are remembered.
const FOUND_MAX: usize = 256;
/// Devices whose traffic is counted.
const COUNTED_MAX: usize = 4096;

/// Where to listen and whom to ask.
#[derive(Clone, Debug, Default)]
pub struct NetOptions {
    /// UDP addresses; none means a free port of the loopback interface, or of every interface
    /// with `lan`.
    pub listen: Vec<SocketAddr>,
    /// The port if no address is given; 0 means a free one.
    pub port: u16,
    /// Whether packets may leave the loopback interface, and mDNS is used.
    pub lan: bool,
    /// The one relay server to use.
    pub relay: Option<String>,
}

/// A bound endpoint. Clones share it.
#[derive(Clone, Debug)]
pub struct Net {
    endpoint: Endpoint,
    lan: bool,
    relay: bool,
    mdns: Option<MdnsAddressLookup>,
    traffic: Arc<Mutex<Traffic>>,
    ended: Arc<Notify>,
}

/// UDP payload bytes, headers of QUIC included.
#[derive(Debug, Default)]
struct Traffic {
    /// Sent and received over connections that ended, by device.
    ended: HashMap<DeviceId, (u64, u64)>,
    /// Weak: a connection ends when those who use it are done, and counting is no use.
    open: HashMap<usize, (DeviceId, WeakConnectionHandle)>,
}

impl Net {
    /// Binds the endpoint with the device's Ed25519 seed as its key.
    ///
    /// # Errors
    /// An address is taken, not of this machine, or beyond what the options allow.
    pub async fn bind(
        seed: &[u8; 32],
        options: &NetOptions,
        alpns: Vec<Vec<u8>>,
    ) -> Result<Self, NodeError> {
        let leaves = options.lan || options.relay.is_some();
        let mut builder = Endpoint::builder(presets::Minimal)
            .secret_key(SecretKey::from_bytes(seed))
            .alpns(alpns)
            .relay_mode(relay_mode(options)?)
            .clear_address_lookup()
            .portmapper_config(PortmapperConfig::Disabled)
            .net_report_config(NetReportConfig::minimal())
            .clear_ip_transports();
        #[cfg(feature = "keylog")]
        {
            builder = builder.keylog(std::env::var_os("SSLKEYLOGFILE").is_some());
        }
        let addresses = listen_addresses(options);
        for address in addresses.iter().copied() {
            if !leaves && !address.ip().is_loopback() {
                let reason = "it is not on the loopback interface; add --lan".to_owned();
                return Err(NodeError::Listen { on: address.to_string(), reason });
            }
            builder = builder.bind_addr(address).map_err(|error| listen_error(address, &error))?;
        }
        let endpoint = builder.bind().await.map_err(|error| {
            let on: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
            listen_error(on.join(", "), &whole(&error))
        })?;
        let mdns = if options.lan { Some(discover(&endpoint)?) } else { None };
        let relay = options.relay.is_some();
        let (traffic, ended) = (Arc::default(), Arc::default());
        Ok(Self { endpoint, lan: options.lan, relay, mdns, traffic, ended })
    }

    /// This device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        DeviceId::from_bytes(*self.endpoint.id().as_bytes())
    }

    /// The endpoint itself, for protocol routers.
    #[must_use]
    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Addresses bound to.
    #[must_use]
    pub fn listening(&self) -> Vec<SocketAddr> {
        self.endpoint.bound_sockets()
    }

    /// A ticket with every address known to lead here.
    #[must_use]
    pub fn ticket(&self) -> NodeTicket {
        let known = self.endpoint.addr();
        let mut addresses: Vec<_> = known.addrs.iter().filter_map(address).collect();
        for socket in self.endpoint.bound_sockets() {
            if !socket.ip().is_unspecified() {
                addresses.push(Address::Socket(socket));
            }
        }
        addresses.sort();
        addresses.dedup();
        addresses.truncate(TICKET_ADDRESSES_MAX);
        NodeTicket { device: self.device(), addresses }
    }

    /// Connects to the device of a ticket; the connection is authenticated as that device.
    ///
    /// # Errors
    /// [`NodeError::Unreachable`] within [`CONNECT_TIMEOUT`].
    pub async fn connect(&self, to: &NodeTicket, alpn: &[u8]) -> Result<Connection, NodeError> {
        let peer = to.device.short();
        let unreachable = |reason: String| NodeError::Unreachable { peer: peer.clone(), reason };
        let id = EndpointId::from_bytes(to.device.as_bytes())
            .map_err(|_| NodeError::Ticket { reason: "its device id is not a key" })?;
        let usable: Vec<_> = to.addresses.iter().filter_map(|to| self.usable(to)).collect();
        if usable.is_empty() && !to.addresses.is_empty() && !self.lan {
            return Err(unreachable("its addresses are not on this machine; add --lan".to_owned()));
        }
        if usable.is_empty() && self.mdns.is_none() {
            return Err(unreachable("no address is known".to_owned()));
        }
        let address = EndpointAddr::from_parts(id, usable);
        let connecting = self.endpoint.connect(address, alpn);
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(connection)) => {
                self.count(&connection);
                Ok(connection)
            }
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Err(_) => {
                let waited = CONNECT_TIMEOUT.as_secs();
                Err(unreachable(format!(
                    "no answer within {waited} s; it may be off, or have another address now, \
                     which `mosaic node ticket` prints there"
                )))
            }
        }
    }

    /// Returns where a connection leads, to reach the same device again.
    pub(crate) fn other_end(connection: &Connection) -> NodeTicket {
        let device = DeviceId::from_bytes(*connection.remote_id().as_bytes());
        let paths = connection.paths();
        let addresses = paths.iter().filter_map(|path| address(path.remote_addr())).collect();
        NodeTicket { device, addresses }
    }

    /// Counts the traffic of a connection; does not keep it open.
    pub fn count(&self, connection: &Connection) {
        let device = DeviceId::from_bytes(*connection.remote_id().as_bytes());
        let (id, handle) = (connection.stable_id(), connection.weak_handle());
        let closed = handle.closed();
        self.sums().open.insert(id, (device, handle));
        let net = self.clone();
        tokio::spawn(async move {
            let closed = closed.await;
            net.sums().end(id, closed.map(|closed| closed.stats));
            net.ended.notify_waiters();
        });
    }

    /// Resolves when no connection is open any more, and all are counted.
    pub(crate) async fn quiet(&self) {
        loop {
            let ended = self.ended.notified();
            if self.sums().open.is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// UDP payload bytes sent to and received from a device so far, over all connections.
    #[must_use]
    pub fn traffic(&self, device: &DeviceId) -> (u64, u64) {
        let traffic = self.sums();
        let (mut sent, mut received) = traffic.ended.get(device).copied().unwrap_or_default();
        for (of, handle) in traffic.open.values() {
            if of == device
                && let Some(connection) = handle.upgrade()
            {
                let stats = connection.stats();
                sent = sent.saturating_add(stats.udp_tx.bytes);
                received = received.saturating_add(stats.udp_rx.bytes);
            }
        }
        (sent, received)
    }

    /// Calls `found` with each device that appears in the local network; ends with the endpoint.
    /// Returns at once without mDNS.
    pub async fn watch_lan(&self, mut found: impl FnMut(NodeTicket) + Send) {
        let Some(mdns) = &self.mdns else { return };
        let mut events = mdns.subscribe().await;
        let mut count = 0;
        while let Some(event) = events.next().await {
            let DiscoveryEvent::Discovered { endpoint_info, .. } = event else { continue };
            count += 1;
            if count > FOUND_MAX {
                return;
            }
            let device = DeviceId::from_bytes(*endpoint_info.endpoint_id.as_bytes());
            let addresses = endpoint_info.addrs().filter_map(address).collect();
            found(NodeTicket { device, addresses });
        }
    }

    /// Closes all connections and the socket.
    pub async fn close(&self) {
        self.endpoint.close().await;
    }

    fn sums(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn usable(&self, address: &Address) -> Option<TransportAddr> {
        match address {
            Address::Socket(socket) => (self.lan || self.relay || socket.ip().is_loopback())
                .then_some(TransportAddr::Ip(*socket)),
            Address::Relay(url) if self.relay => url.parse().ok().map(TransportAddr::Relay),
            Address::Relay(_) => None,
        }
    }
}

impl Traffic {
    /// Moves a connection that has ended to the sums.
    fn end(&mut self, id: usize, stats: Option<ConnectionStats>) {
        let (Some((device, _)), Some(stats)) = (self.open.remove(&id), stats) else { return };
        if self.ended.len() >= COUNTED_MAX && !self.ended.contains_key(&device) {
            return;
        }
        let sums = self.ended.entry(device).or_default();
        sums.0 = sums.0.saturating_add(stats.udp_tx.bytes);
        sums.1 = sums.1.saturating_add(stats.udp_rx.bytes);
    }
}

fn relay_mode(options: &NetOptions) -> Result<RelayMode, NodeError> {
    let Some(url) = &options.relay else { return Ok(RelayMode::Disabled) };
    let parsed = url.parse::<RelayUrl>().ok();
    // Another scheme would be found wanting at each try to connect, and told nobody.
    let web = parsed.filter(|url| matches!(url.scheme(), "https" | "http"));
    let web = web.ok_or_else(|| NodeError::Relay {
        url: url.clone(),
        reason: "a relay is an address that begins with https:// or http://".to_owned(),
    })?;
    Ok(RelayMode::custom([web]))
}

fn listen_addresses(options: &NetOptions) -> Vec<SocketAddr> {
    if !options.listen.is_empty() {
        return options.listen.clone();
    }
    let leaves = options.lan || options.relay.is_some();
    let ip = if leaves { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    vec![SocketAddr::new(ip.into(), options.port)]
}

fn discover(endpoint: &Endpoint) -> Result<MdnsAddressLookup, NodeError> {
    let built = MdnsAddressLookup::builder().service_name("mosaic").build(endpoint.id());
    let mdns = built.map_err(|error| listen_error("mDNS", &error))?;
    let lookups = endpoint.address_lookup().map_err(|error| listen_error("mDNS", &error))?;
    lookups.add(mdns.clone());
    Ok(mdns)
}

fn address(of: &TransportAddr) -> Option<Address> {
    match of {
        TransportAddr::Ip(socket) => Some(Address::Socket(*socket)),
        TransportAddr::Relay(url) => Some(Address::Relay(url.to_string())),
        _ => None,
    }
}

/// What failed, and why: libraries tell the reason apart.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.ends_with(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = error.source();
    }
    text
}

fn listen_error(on: impl ToString, error: &impl ToString) -> NodeError {
    NodeError::Listen { on: on.to_string(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALPN: &[u8] = b"mosaic/test/1";

    async fn bound(seed: u8) -> Net {
        Net::bind(&[seed; 32], &NetOptions::default(), vec![ALPN.to_vec()]).await.unwrap()
    }

    #[tokio::test]
    async fn a_ticket_leads_to_the_device_and_only_to_it() {
        let (server, client) = (bound(1).await, bound(2).await);
        assert!(server.listening().iter().all(|at| at.ip().is_loopback()));
        let accepting = server.clone();
        let task = tokio::spawn(async move {
            let connection = accepting.endpoint().accept().await.unwrap().await.unwrap();
            connection.closed().await;
            connection.remote_id()
        });
        let ticket = NodeTicket::parse(&server.ticket().to_string()).unwrap();
        let connection = client.connect(&ticket, ALPN).await.unwrap();
        assert_eq!(connection.remote_id().as_bytes(), server.device().as_bytes());
        assert!(client.traffic(&server.device()).0 > 1000);
        let mut wrong = ticket.clone();
        wrong.device = bound(3).await.device();
        assert!(matches!(client.connect(&wrong, ALPN).await, Err(NodeError::Unreachable { .. })));
        drop(connection);
        assert_eq!(task.await.unwrap().as_bytes(), client.device().as_bytes());
        client.quiet().await;
        assert!(client.traffic(&server.device()).0 > 1000, "what has ended stays counted");
        client.close().await;
        server.close().await;
    }

    #[test]
    fn a_relay_is_a_web_address() {
        let mode =
            |url: &str| relay_mode(&NetOptions { relay: Some(url.into()), ..Default::default() });
        assert!(matches!(mode("https://relay.example"), Ok(RelayMode::Custom(_))));
        for wrong in ["bad://x", "relay.example", "", "mailto:a@b"] {
            assert!(matches!(mode(wrong), Err(NodeError::Relay { .. })), "{wrong}");
        }
    }

    #[tokio::test]
    async fn nothing_beyond_loopback_is_bound_or_dialled_unasked() {
        let options =
            NetOptions { listen: vec!["0.0.0.0:0".parse().unwrap()], ..Default::default() };
        let refused = Net::bind(&[1; 32], &options, vec![]).await;
        assert!(matches!(refused, Err(NodeError::Listen { .. })));
        let taken = bound(4).await.listening();
        let options = NetOptions { listen: taken.clone(), ..Default::default() };
        let error = Net::bind(&[1; 32], &options, vec![]).await.unwrap_err().to_string();
        assert!(error.contains(&taken[0].to_string()), "{error}");
        assert!(error.contains("in use"), "{error}");
        let net = bound(1).await;
        let device = bound(2).await.device();
        let addresses = vec![Address::Socket("192.0.2.1:4747".parse().unwrap())];
        let error = net.connect(&NodeTicket { device, addresses }, ALPN).await.unwrap_err();
        assert!(error.to_string().contains("--lan"), "{error}");
        let nowhere = NodeTicket { device, addresses: vec![] };
        let error = net.connect(&nowhere, ALPN).await.unwrap_err();
        assert!(error.to_string().contains("no address"), "{error}");
    }
}
