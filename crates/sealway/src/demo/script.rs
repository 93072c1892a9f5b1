//! What the gateways are told, in setkey's language: for each flow an SA and a policy each way.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use sealway_crypto::{Authentication, Encryption, Suite};
use sealway_wire::Family;
use zeroize::Zeroizing;

use super::address::{self, End};
use super::flow::{Encapsulation, Flow, Protection, Traffic, Treatment};

/// SAs of all protected flows, with fresh keys, and policies of all flows.
pub(super) struct Plan {
    suite: Suite,
    /// For each flow the keys from left to right and from right to left.
    keys: Vec<[Keys; 2]>,
}

/// Hexadecimal digits.
struct Keys {
    encryption: Zeroizing<String>,
    authentication: Zeroizing<String>,
}

impl Plan {
    /// Draws the keys.
    ///
    /// # Errors
    /// If the suite does not encrypt: then markers would be seen, rightly.
    pub(super) fn new(flows: &[Flow], suite: Suite) -> Result<Plan> {
        ensure!(
            !matches!(suite.encryption(), Encryption::Null | Encryption::AesGmac),
            "{suite} does not encrypt, so every flow could be read outside: choose another suite"
        );
        let pair = |_| Ok([Keys::draw(suite)?, Keys::draw(suite)?]);
        Ok(Plan {
            suite,
            keys: flows.iter().map(pair).collect::<Result<_>>()?,
        })
    }

    /// The script for the gateway at `end`. The flow named `sabotaged` goes in the clear, whatever
    /// it should.
    pub(super) fn script(
        &self,
        end: End,
        flows: &[Flow],
        sabotaged: Option<&str>,
    ) -> Zeroizing<String> {
        // Room for all, so that no key stays behind in memory that the string outgrew.
        let mut text = Zeroizing::new(String::with_capacity(1024 * (flows.len() + 1)));
        for (flow, keys) in flows.iter().zip(&self.keys) {
            for (from, keys) in End::ALL.into_iter().zip(keys) {
                if flow.protection() == Protection::Protect {
                    self.add(&mut text, flow, from, keys);
                }
            }
            for from in End::ALL {
                let direction = if from == end { "out" } else { "in" };
                let is_clear = sabotaged.is_some_and(|name| name == flow.name);
                let what = match template(flow, from) {
                    Some(template) if !is_clear => format!("ipsec {template}"),
                    _ => "none".to_owned(),
                };
                let _ = writeln!(
                    text,
                    "spdadd {} -P {direction} {what};",
                    selector(flow, from)
                );
            }
        }
        text
    }

    fn add(&self, text: &mut String, flow: &Flow, from: End, keys: &Keys) {
        let (source, destination) = sa_ends(flow, from);
        let protocol = match flow.encapsulation() {
            Some(Encapsulation::Udp) => "esp-udp",
            Some(Encapsulation::Esp) | None => "esp",
        };
        let mode = match flow.treatment {
            Treatment::Tunnel(..) => "tunnel",
            Treatment::Transport(_) | Treatment::Clear => "transport",
        };
        let _ = write!(
            text,
            "add {source} {destination} {protocol} {:#x} -m {mode} -u {} -E {} 0x{}",
            flow.spi(from),
            flow.number,
            self.suite.encryption().name(),
            keys.encryption.as_str()
        );
        if let Some(authentication) = self.suite.authentication() {
            let name = setkey_name(authentication);
            let _ = write!(text, " -A {name} 0x{}", keys.authentication.as_str());
        }
        text.push_str(";\n");
    }
}

impl Keys {
    fn draw(suite: Suite) -> Result<Keys> {
        Ok(Keys {
            encryption: random_digits(suite.key_octets())?,
            authentication: random_digits(suite.authentication_key_octets())?,
        })
    }
}

fn random_digits(octets: usize) -> Result<Zeroizing<String>> {
    let mut key = Zeroizing::new(vec![0; octets]);
    getrandom::fill(&mut key).context("the kernel gives no random octets for keys")?;
    Ok(Zeroizing::new(hex::encode(&*key)))
}

/// The ends of the flow's SA from this end.
fn sa_ends(flow: &Flow, from: End) -> (std::net::IpAddr, std::net::IpAddr) {
    match flow.treatment {
        Treatment::Tunnel(outer, _) => (
            address::tunnel_end(from, outer),
            address::tunnel_end(from.other(), outer),
        ),
        Treatment::Transport(_) | Treatment::Clear => (
            address::gateway_host(from, flow.family),
            address::gateway_host(from.other(), flow.family),
        ),
    }
}

fn template(flow: &Flow, from: End) -> Option<String> {
    let (source, destination) = sa_ends(flow, from);
    let number = flow.number;
    match flow.treatment {
        Treatment::Tunnel(..) => Some(format!("esp/tunnel/{source}-{destination}/unique:{number}")),
        Treatment::Transport(_) => Some(format!("esp/transport//unique:{number}")),
        Treatment::Clear => None,
    }
}

/// The flow's packets that come from this end.
fn selector(flow: &Flow, from: End) -> String {
    let (asking, answering) = flow.ends();
    let port = flow
        .port()
        .map_or("any".to_owned(), |port| port.to_string());
    let upper = match (flow.traffic, flow.family) {
        (Traffic::Ping, Family::V4) => "icmp",
        (Traffic::Ping, Family::V6) => "icmp6",
        (Traffic::Udp, _) => "udp",
        (Traffic::Tcp, _) => "tcp",
    };
    let ports = |from_port: &str, to_port: &str| match flow.port() {
        Some(_) => (format!("[{from_port}]"), format!("[{to_port}]")),
        None => (String::new(), String::new()),
    };
    match from {
        End::Left => {
            let (a, b) = ports("any", &port);
            format!("{asking}{a} {answering}{b} {upper}")
        }
        End::Right => {
            let (a, b) = ports(&port, "any");
            format!("{answering}{a} {asking}{b} {upper}")
        }
    }
}

const fn setkey_name(authentication: Authentication) -> &'static str {
    match authentication {
        Authentication::HmacSha1_96 => "hmac-sha1",
        Authentication::HmacSha256_128 => "hmac-sha2-256",
        Authentication::HmacSha384_192 => "hmac-sha2-384",
        Authentication::HmacSha512_256 => "hmac-sha2-512",
        Authentication::AesXcbc96 => "aes-xcbc-mac",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::demo::marker::Run;

    fn flows() -> Vec<Flow> {
        Flow::all(&Run::new().unwrap())
    }

    #[test]
    fn setkey_reads_the_script_of_every_suite_that_encrypts() {
        let flows = flows();
        let mut read = 0;
        for suite in Suite::all() {
            let Ok(plan) = Plan::new(&flows, suite) else {
                continue;
            };
            for end in End::ALL {
                let script = plan.script(end, &flows, None);
                assert!(sealway_setkey::parse(&script).is_ok(), "{suite}");
            }
            read += 1;
        }
        assert_eq!(read, Suite::all().len() - 3 - 5);
    }

    #[test]
    fn keys_are_fresh_for_each_sa_and_direction_and_the_same_at_both_ends() {
        let flows = flows();
        let plan = Plan::new(&flows, "aes-128-gcm-16".parse().unwrap()).unwrap();
        let added = |end| {
            let script = plan.script(end, &flows, None);
            let sas = script.lines().filter(|line| line.starts_with("add "));
            sas.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(added(End::Left), added(End::Right));
        let mut keys: Vec<_> = added(End::Left)
            .iter()
            .map(|line| line.split(" 0x").last().unwrap().to_owned())
            .collect();
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!((keys.len(), count), (36, 36));
    }

    #[test]
    fn sabotage_takes_the_template_of_one_flow_away_and_of_no_other() {
        let flows = flows();
        let plan = Plan::new(&flows, "aes-128-gcm-16".parse().unwrap()).unwrap();
        let clear = |sabotaged| {
            let script = plan.script(End::Left, &flows, sabotaged);
            script
                .lines()
                .filter(|line| line.ends_with(" none;"))
                .count()
        };
        assert_eq!(clear(Some(flows[1].name.as_str())), clear(None) + 2);
    }
}
