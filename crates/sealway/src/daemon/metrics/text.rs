//! What `show` shows as metrics: names as Prometheus' guide has them; the counters of drops also
//! carry the names that Linux and BSD have for them.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use sealway_core::DropReason;

use crate::show::report::{Policy, Sa, Stats};

/// How things stand.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) stats: Stats,
    pub(super) sas: Vec<Sa>,
    pub(super) policies: Vec<Policy>,
}

/// As text.
pub(super) fn write(seen: Seen) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("sealway");
    registry.register_collector(Box::new(seen));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Seen {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        self.packets(encoder)?;
        self.drops(encoder)?;
        let devices = self.stats.devices.iter();
        counters(
            encoder,
            ("device_events", "What sockets and devices count"),
            devices.map(|(name, count)| ([("event", name.clone())], *count)),
        )?;
        self.sas(encoder)?;
        counters(
            encoder,
            ("policy_packets", "Packets that a policy decided"),
            self.policies.iter().map(|policy| {
                let labels = [
                    ("id", policy.id.to_string()),
                    ("direction", policy.direction.clone()),
                    ("selector", policy.selector.text.clone()),
                    ("action", policy.action.clone()),
                ];
                (labels, policy.packets)
            }),
        )
    }
}

impl Seen {
    fn packets(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let stats = &self.stats;
        counters(
            encoder,
            (
                "received_packets",
                "Packets read, or made by Sealway itself",
            ),
            [
                ([("from", "inside".into())], stats.received_inside),
                ([("from", "outside".into())], stats.received_outside),
                ([("from", "sealway".into())], stats.originated),
            ],
        )?;
        counters(
            encoder,
            (
                "packets",
                "What became of packets; dropped ones by reason elsewhere",
            ),
            [
                ([("verdict", "sent".into())], stats.sent),
                ([("verdict", "delivered".into())], stats.delivered),
                ([("verdict", "dropped".into())], stats.dropped),
                ([("verdict", "consumed".into())], stats.consumed),
            ],
        )?;
        let held = i64::try_from(stats.held).unwrap_or(i64::MAX);
        let waiting = ("held_packets", "Packets that wait for an SA");
        let encoder = encoder.encode_descriptor(waiting.0, waiting.1, None, MetricType::Gauge)?;
        ConstGauge::new(held).encode(encoder)
    }

    fn drops(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        counters(
            encoder,
            (
                "dropped_packets",
                "Packets dropped, with the counters of Linux (xfrm_stat) and BSD (netstat -s) that are like this one",
            ),
            self.stats.drops.iter().map(|(reason, count)| {
                let known = DropReason::ALL.iter().find(|known| known.name() == reason);
                let labels = [
                    ("reason", reason.clone()),
                    ("xfrm_stat", known.map_or("", |known| known.linux()).into()),
                    ("netstat", known.map_or("", |known| known.bsd()).into()),
                ];
                (labels, *count)
            }),
        )
    }

    fn sas(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let labels = |sa: &Sa| {
            [
                ("spi", format!("{:#010x}", sa.spi)),
                ("source", sa.source.to_string()),
                ("destination", sa.destination.to_string()),
                ("protocol", sa.protocol.clone()),
            ]
        };
        counters(
            encoder,
            ("sa_packets", "Packets that an SA sealed or opened"),
            self.sas.iter().map(|sa| (labels(sa), sa.packets)),
        )?;
        counters(
            encoder,
            ("sa_bytes", "Octets in them, without what ESP adds"),
            self.sas.iter().map(|sa| (labels(sa), sa.bytes)),
        )
    }
}

/// A counter with a value for each set of labels.
fn counters<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    values: impl IntoIterator<Item = ([(&'static str, String); N], u64)>,
) -> fmt::Result
where
    [(&'static str, String); N]: EncodeLabelSet,
{
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in values {
        ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_reason_has_the_names_that_dashboards_know() {
        let drops: BTreeMap<_, _> = DropReason::ALL
            .iter()
            .zip(1..)
            .map(|(reason, count)| (reason.name().to_owned(), count))
            .collect();
        let stats = Stats {
            received_inside: 7,
            received_outside: 0,
            originated: 0,
            sent: 5,
            delivered: 0,
            dropped: 0,
            held: 2,
            pending: 0,
            consumed: 0,
            drops,
            devices: BTreeMap::from([("keepalives".into(), 3)]),
        };
        let (sas, policies) = (Vec::new(), Vec::new());
        let text = write(Seen {
            stats,
            sas,
            policies,
        })
        .unwrap();
        for line in [
            r#"sealway_received_packets_total{from="inside"} 7"#,
            r#"sealway_packets_total{verdict="sent"} 5"#,
            "sealway_held_packets 2",
            r#"sealway_device_events_total{event="keepalives"} 3"#,
            r#"sealway_dropped_packets_total{reason="no_sa_in",xfrm_stat="XfrmInNoStates",netstat="notdb"} 3"#,
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
