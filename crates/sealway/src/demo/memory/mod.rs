//! The demo without a kernel: two engines joined in memory, and plain smoltcp hosts at both ends.

mod host;
mod traffic;
mod world;

use std::path::Path;

use anyhow::{Result, ensure};
use pcap_file::DataLink;

use super::flow::Flow;
use super::measure::Datagram;
use super::tally::{Recorder, Tally};
use super::{Order, Played, flow_limit};
use world::{Sight, World};

/// Sends every flow.
pub(super) fn play(order: &Order<'_>) -> Result<Played> {
    ensure!(
        order.wireshark.is_none(),
        "--wireshark asks the gateways' daemons for their SAs, and in memory there are none"
    );
    let recorder = order
        .pcap
        .map(|path: &Path| Recorder::create(path, DataLink::RAW))
        .transpose()?;
    let sight = Sight::new(Tally::new(order.flows), recorder);
    let mut world = World::new(order, sight.clone())?;
    let mut outcomes = Vec::new();
    let mut sent: Vec<(&Flow, Vec<Datagram>)> = Vec::new();
    for flow in order.flows {
        order.stage.doing(&flow.name);
        order.interrupt.check()?;
        let limit = flow_limit(flow, order);
        let mut datagrams = Vec::new();
        let in_time = order.limit.check("the demo");
        outcomes.push(
            in_time.and_then(|()| {
                traffic::run(&mut world, flow, &limit, &mut datagrams, order.stream)
            }),
        );
        sent.push((flow, datagrams));
        order.stage.done();
    }
    order.interrupt.check()?;
    if let Some(path) = order.sent {
        super::sent::write(path, &sent)?;
    }
    let failed = outcomes.iter().any(Result::is_err);
    let log = failed.then(|| world.drops());
    drop(world);
    Ok(Played {
        outcomes,
        tally: sight.finish()?,
        log,
    })
}
