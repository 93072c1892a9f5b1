//! The same traffic as between kernels, without fragments: smoltcp makes none for IPv6.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use sealway_wire::build::Packet;
use sealway_wire::{Family, Layout, icmp, icmpv6};
use sha2::{Digest, Sha256};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::{AnySocket, icmp as ping_socket, tcp, udp};

use super::host::{Host, MTU};
use super::world::World;
use crate::demo::address::End;
use crate::demo::flow::{Flow, Traffic};
use crate::demo::limit::Limit;
use crate::demo::measure::{DATAGRAM_COUNT, DATAGRAMS, Datagram, Measured, PINGS, PINGS_EACH};

/// Octets that a TCP socket holds.
const WINDOW: usize = 256 << 10;
/// Octets of IP and ICMP or UDP headers, at most.
const HEADERS: usize = 48;
/// The port, or what ICMP has instead, of who asks.
const ASKING: u16 = 0x5ea1;

type Icmp = ping_socket::Socket<'static>;
type Udp = udp::Socket<'static>;
type Tcp = tcp::Socket<'static>;

/// Sends the flow; datagrams are also written down in `sent`.
pub(super) fn run(
    world: &mut World,
    flow: &Flow,
    limit: &Limit,
    sent: &mut Vec<Datagram>,
    octets: usize,
) -> Result<Measured> {
    match flow.traffic {
        Traffic::Ping => ping(world, flow, limit),
        Traffic::Udp => datagrams(world, flow, limit, sent),
        Traffic::Tcp => stream(world, flow, limit, octets),
    }
}

fn ping(world: &mut World, flow: &Flow, limit: &Limit) -> Result<Measured> {
    let (source, destination) = flow.ends();
    let buffer = || {
        ping_socket::PacketBuffer::new(vec![ping_socket::PacketMetadata::EMPTY; 4], vec![0; 8192])
    };
    let mut asking = Icmp::new(buffer(), buffer());
    asking.bind(ping_socket::Endpoint::Ident(ASKING))?;
    let handle = world.host(End::Left, flow).sockets.add(asking);
    let reply = match flow.family {
        Family::V4 => icmp::ECHO_REPLY,
        Family::V6 => icmpv6::ECHO_REPLY,
    };
    let sizes = PINGS.into_iter().filter(|octets| octets + HEADERS <= MTU);
    let mut times = Vec::new();
    for octets in sizes.flat_map(|octets| [octets; PINGS_EACH]) {
        let sequence = times.len() as u16;
        let data = flow.marker.payload(octets, u64::from(sequence));
        let packet = Packet::new(source, destination).echo_request(ASKING, sequence, &data);
        let layout = Layout::parse(&packet).map_err(|error| anyhow!("{error}"))?;
        let request = layout.payload(&packet);
        let start = Instant::now();
        socket::<Icmp>(world, End::Left, flow, handle).send_slice(request, destination.into())?;
        let doing = format!("a ping of {octets} octets");
        world.until(&doing, limit, |world| {
            let answer = socket::<Icmp>(world, End::Left, flow, handle).recv().ok();
            let answered = answer.is_some_and(|(message, _)| {
                message.first() == Some(&reply) && message.get(4..) == request.get(4..)
            });
            Ok(answered.then_some(()))
        })?;
        times.push(start.elapsed());
    }
    world.host(End::Left, flow).sockets.remove(handle);
    Ok(Measured::answers(times))
}

fn datagrams(
    world: &mut World,
    flow: &Flow,
    limit: &Limit,
    sent: &mut Vec<Datagram>,
) -> Result<Measured> {
    let (asking, service) = endpoints(flow);
    let client = udp_socket(world.host(End::Left, flow), asking)?;
    let server = udp_socket(world.host(End::Right, flow), service)?;
    let sizes = DATAGRAMS
        .into_iter()
        .filter(|octets| octets + HEADERS <= MTU);
    let mut times = Vec::new();
    for (index, octets) in sizes.cycle().take(DATAGRAM_COUNT).enumerate() {
        let payload = flow.marker.payload(octets, index as u64);
        let start = Instant::now();
        socket::<Udp>(world, End::Left, flow, client).send_slice(&payload, service)?;
        let doing = format!("a datagram of {octets} octets");
        world.until(&doing, limit, |world| {
            let server = socket::<Udp>(world, End::Right, flow, server);
            if let Ok((question, from)) = server.recv().map(|(data, from)| (data.to_vec(), from)) {
                server.send_slice(&question, from)?;
            }
            let client = socket::<Udp>(world, End::Left, flow, client);
            let answer = client.recv().ok();
            Ok(answer
                .is_some_and(|(data, _)| data == payload)
                .then_some(()))
        })?;
        times.push(start.elapsed());
        for (source, destination) in [(asking, service), (service, asking)] {
            let payload = payload.clone();
            sent.push(Datagram {
                source,
                destination,
                payload,
            });
        }
    }
    world.host(End::Left, flow).sockets.remove(client);
    world.host(End::Right, flow).sockets.remove(server);
    Ok(Measured::answers(times))
}

fn stream(world: &mut World, flow: &Flow, limit: &Limit, octets: usize) -> Result<Measured> {
    let (asking, service) = endpoints(flow);
    let server = world.host(End::Right, flow).sockets.add(tcp_socket());
    socket::<Tcp>(world, End::Right, flow, server).listen(service)?;
    let host = world.host(End::Left, flow);
    let client = host.sockets.add(tcp_socket());
    let socket_of_client = host.sockets.get_mut::<Tcp>(client);
    socket_of_client.connect(host.interface.context(), service, asking)?;
    let stream = flow.marker.payload(octets, 0);
    let mut rest = stream.as_slice();
    let mut hasher = Sha256::new();
    let start = Instant::now();
    let time = world.until("sending the stream", limit, |world| {
        let client = socket::<Tcp>(world, End::Left, flow, client);
        if client.can_send() && !rest.is_empty() {
            let taken = client.send_slice(rest)?;
            rest = rest.get(taken..).unwrap_or(&[]);
            if rest.is_empty() {
                client.close();
            }
        }
        let server = socket::<Tcp>(world, End::Right, flow, server);
        while server.can_recv() {
            server.recv(|octets| (octets.len(), hasher.update(octets)))?;
        }
        let ended = server.state() == tcp::State::CloseWait;
        Ok(ended.then(|| start.elapsed()))
    })?;
    ensure!(
        hasher.finalize() == Sha256::digest(&stream),
        "the stream arrived damaged: its hash is another"
    );
    part(world, flow, limit, (client, server))?;
    Ok(Measured::Stream { octets, time })
}

/// Ends both ends of a connection.
fn part(
    world: &mut World,
    flow: &Flow,
    limit: &Limit,
    (client, server): (SocketHandle, SocketHandle),
) -> Result<()> {
    /// How long the farewell may take; nobody waits for it to be perfect.
    const FAREWELL: Duration = Duration::from_millis(100);
    socket::<Tcp>(world, End::Right, flow, server).close();
    let start = Instant::now();
    world.until("closing the connection", limit, |world| {
        let server = socket::<Tcp>(world, End::Right, flow, server);
        let parted = !server.is_open() || start.elapsed() > FAREWELL;
        Ok(parted.then_some(()))
    })?;
    world.host(End::Left, flow).sockets.remove(client);
    world.host(End::Right, flow).sockets.remove(server);
    Ok(())
}

fn endpoints(flow: &Flow) -> (SocketAddr, SocketAddr) {
    let (source, destination) = flow.ends();
    let port = flow.port().unwrap_or(0);
    (
        SocketAddr::new(source, ASKING + flow.number),
        SocketAddr::new(destination, port),
    )
}

fn udp_socket(host: &mut Host, bound: SocketAddr) -> Result<SocketHandle> {
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 8], vec![0; 16_384]);
    let mut socket = Udp::new(buffer(), buffer());
    socket
        .bind(bound)
        .with_context(|| format!("cannot bind {bound}"))?;
    Ok(host.sockets.add(socket))
}

fn tcp_socket() -> Tcp {
    let buffer = || tcp::SocketBuffer::new(vec![0; WINDOW]);
    let mut socket = Tcp::new(buffer(), buffer());
    socket.set_ack_delay(None);
    socket
}

fn socket<'a, T: AnySocket<'static>>(
    world: &'a mut World,
    end: End,
    flow: &Flow,
    handle: SocketHandle,
) -> &'a mut T {
    world.host(end, flow).sockets.get_mut(handle)
}
