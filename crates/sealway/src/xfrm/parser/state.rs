//! `state`: SAs.

use std::net::IpAddr;
use std::time::Duration;

use sealway_core::sad::{Lifetime, Lifetimes};
use sealway_setkey::{
    Add, Df, Diagnostic, Mode, Original, Protocol, Selector, Spanned, UdpEncapsulation,
};

use super::algorithm::Algorithms;
use super::selector::Said;
use super::{Parsed, Verb, Words, expected, once, refused};
use crate::xfrm::tree::{Command, How, StateId, anything};

/// What names an SA, as far as it is said.
#[derive(Default)]
pub(super) struct Id {
    pub(super) source: Option<Spanned<IpAddr>>,
    pub(super) destination: Option<Spanned<IpAddr>>,
    pub(super) protocol: Option<Spanned<Protocol>>,
    pub(super) spi: Option<Spanned<u32>>,
}

/// What else is said of an SA.
#[derive(Default)]
struct Rest {
    mode: Option<Spanned<Mode>>,
    reqid: Option<Spanned<u32>>,
    window: Option<Spanned<u32>>,
    /// `replay-seq`, `replay-oseq` and the high halves of both.
    sequences: [Option<Spanned<u32>>; 4],
    esn: Option<Spanned<()>>,
    df: Option<Spanned<Df>>,
    selector: Option<Spanned<Selector>>,
    udp: Option<Spanned<UdpEncapsulation>>,
    lifetimes: Lifetimes,
    algorithms: Algorithms,
}

/// The numbers that `limit` takes, by their names; INF is none.
const SEQUENCES: [&str; 4] = [
    "replay-seq",
    "replay-oseq",
    "replay-seq-hi",
    "replay-oseq-hi",
];

impl Words<'_> {
    pub(super) fn state(mut self, verb: Spanned<Verb>) -> Parsed<Command> {
        let command = match verb.value {
            Verb::Add => return self.add_state(How::Add),
            Verb::Update => return self.add_state(How::Update),
            Verb::Delete => Command::DeleteState(self.state_id()?),
            Verb::Get => Command::GetState(self.state_id()?),
            Verb::DeleteAll => self.delete_states()?,
            Verb::Flush => Command::FlushStates(match self.take("proto") {
                Some(_) => Some(self.protocol()?.value),
                None => None,
            }),
            Verb::List => {
                let _ = self.take("nokeys");
                Command::ListStates
            }
            Verb::Count => Command::CountStates,
            Verb::AllocSpi => {
                let message = "`allocspi` is for key managers";
                let help = "choose an SPI of 0x100 or above that the other end does not use";
                return Err(refused(verb.span, message, help));
            }
            Verb::Set | Verb::SetDefault | Verb::GetDefault => {
                let message = "`state` knows add, update, delete, get, list, flush and count";
                return Err(Box::new(Diagnostic::new(verb.span, message)));
            }
        };
        self.done()?;
        Ok(command)
    }

    /// Takes one word of an ID with what belongs to it; whether the next word was one.
    pub(super) fn id_word(&mut self, id: &mut Id) -> Parsed<bool> {
        let Some(name) = self.peek() else {
            return Ok(false);
        };
        self.at += 1;
        match name.value {
            "src" => {
                let address = self.address("an address")?;
                once(&mut id.source, address, &name)?;
            }
            "dst" => {
                let address = self.address("an address")?;
                once(&mut id.destination, address, &name)?;
            }
            "proto" => {
                let protocol = self.protocol()?;
                once(&mut id.protocol, protocol, &name)?;
            }
            "spi" => {
                let spi = self.number("an SPI")?;
                once(&mut id.spi, spi, &name)?;
            }
            _ => {
                self.at -= 1;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn state_id(&mut self) -> Parsed<StateId> {
        let mut id = Id::default();
        while self.id_word(&mut id)? {}
        if let Some(mark) = self.peek().filter(|word| word.value == "mark") {
            return Err(no_marks(&mark));
        }
        Ok(StateId {
            source: id.source,
            destination: self.needed(id.destination, "dst ADDRESS")?,
            protocol: self.needed(id.protocol, "proto esp")?,
            spi: self.needed(id.spi, "spi SPI")?,
        })
    }

    pub(super) fn needed<T>(&self, value: Option<T>, what: &str) -> Parsed<T> {
        value.ok_or_else(|| {
            let message = format!("this command needs `{what}`");
            Box::new(Diagnostic::new(self.end(), message))
        })
    }

    fn delete_states(&mut self) -> Parsed<Command> {
        let mut id = Id::default();
        while self.id_word(&mut id)? {}
        match (id.source, id.destination, id.protocol, id.spi) {
            (None, None, protocol, None) => Ok(Command::FlushStates(
                protocol.map(|protocol| protocol.value),
            )),
            (Some(source), Some(destination), None, None) => {
                Ok(Command::DeleteStates(source.value, destination.value))
            }
            _ => {
                let message = "`deleteall` takes no choice, `proto`, or both `src` and `dst`";
                Err(refused(self.end(), message, "delete the others one by one"))
            }
        }
    }

    fn add_state(mut self, how: How) -> Parsed<Command> {
        let (mut id, mut rest) = (Id::default(), Rest::default());
        while let Some(name) = self.peek() {
            if self.id_word(&mut id)? {
                continue;
            }
            self.at += 1;
            self.extension(name, &mut rest)?;
        }
        let add = Add {
            source: self.needed(id.source, "src ADDRESS")?,
            destination: self.needed(id.destination, "dst ADDRESS")?,
            protocol: self.needed(id.protocol, "proto esp")?,
            spi: self.needed(id.spi, "spi SPI")?,
            // Linux's own default.
            mode: Some(
                rest.mode
                    .unwrap_or(Spanned::new(Mode::Transport, self.end())),
            ),
            reqid: rest.reqid.filter(|reqid| reqid.value != 0),
            window: rest.window,
            esn: rest.esn,
            first_sequence: self.first_sequence(&rest)?,
            padding: None,
            roams: None,
            no_cyclic_sequence: None,
            hard: Default::default(),
            soft: Default::default(),
            df: rest.df,
            selector: rest.selector,
            udp: rest.udp,
            encryption: rest.algorithms.encryption,
            authentication: rest.algorithms.authentication,
        };
        Ok(Command::State(Box::new(add), rest.lifetimes, how))
    }

    fn extension(&mut self, name: Spanned<&str>, to: &mut Rest) -> Parsed<()> {
        match name.value {
            "enc" | "auth" | "auth-trunc" | "aead" | "comp" => {
                self.algorithm(name, &mut to.algorithms)
            }
            "mode" => {
                let mode = self.mode()?;
                once(&mut to.mode, mode, &name)
            }
            "reqid" => {
                let reqid = self.number("a number")?;
                once(&mut to.reqid, reqid, &name)
            }
            // A label of key managers'.
            "seq" => self.number::<u32>("a number").map(|_| ()),
            "replay-window" => {
                let window = self.number("a number of packets")?;
                once(&mut to.window, window, &name)
            }
            "replay-seq" | "replay-oseq" | "replay-seq-hi" | "replay-oseq-hi" => {
                let number = self.number("a sequence number")?;
                let place = SEQUENCES.iter().position(|known| *known == name.value);
                match place.and_then(|place| to.sequences.get_mut(place)) {
                    Some(slot) => once(slot, number, &name),
                    None => Ok(()),
                }
            }
            "flag" => self.flags(to),
            "sel" => self.own_selector(name, to),
            "limit" => self.limit(&mut to.lifetimes),
            "encap" => self.encap(name, to),
            "mark" | "output-mark" | "if_id" => Err(no_marks(&name)),
            "coa" => Err(refused(
                name.span,
                "Mobile IPv6 is not supported",
                "leave `coa` out",
            )),
            "ctx" => Err(refused(
                name.span,
                "security labels are not supported",
                "leave `ctx` out",
            )),
            "offload" => {
                let help = "leave `offload` out";
                Err(refused(name.span, "there is no offload to hardware", help))
            }
            "tfcpad" => {
                let help = "leave `tfcpad` out";
                Err(refused(
                    name.span,
                    "padding to a length is not supported",
                    help,
                ))
            }
            "extra-flag" => {
                let help = "leave it out: sequence numbers never wrap, and DSCP is copied";
                Err(refused(name.span, "extra flags are not supported", help))
            }
            _ => Err(expected(
                "a word of `state add`, such as aead, mode, reqid or sel",
                &name,
            )),
        }
    }

    pub(super) fn mode(&mut self) -> Parsed<Spanned<Mode>> {
        let word = self.next("transport or tunnel")?;
        match word.value {
            "transport" => Ok(Spanned::new(Mode::Transport, word.span)),
            "tunnel" => Ok(Spanned::new(Mode::Tunnel, word.span)),
            "beet" | "ro" | "in_trigger" => {
                let message = format!("mode {} is not supported", word.value);
                Err(refused(word.span, message, "use transport or tunnel"))
            }
            _ => Err(expected("transport or tunnel", &word)),
        }
    }

    /// Flags, as long as there are some.
    fn flags(&mut self, to: &mut Rest) -> Parsed<()> {
        loop {
            let flag = self.next("a flag")?;
            match flag.value {
                "esn" => to.esn = Some(Spanned::new((), flag.span)),
                "nopmtudisc" => to.df = Some(Spanned::new(Df::Clear, flag.span)),
                // Tunnels carry both families in any case.
                "af-unspec" => {}
                "noecn" | "decap-dscp" | "wildrecv" | "icmp" | "align4" => {
                    let message = format!("the flag {} is not supported", flag.value);
                    return Err(refused(flag.span, message, "leave it out"));
                }
                _ => return Err(expected("a flag such as esn or af-unspec", &flag)),
            }
            let flags = [
                "esn",
                "nopmtudisc",
                "af-unspec",
                "noecn",
                "decap-dscp",
                "wildrecv",
                "icmp",
                "align4",
            ];
            if !self.peek().is_some_and(|word| flags.contains(&word.value)) {
                return Ok(());
            }
        }
    }

    fn own_selector(&mut self, name: Spanned<&str>, to: &mut Rest) -> Parsed<()> {
        // An SA may carry the other family.
        let family = self.is_v6.take();
        let mut said = Said::default();
        while self.selector_word(&mut said)? {}
        self.is_v6 = self.is_v6.or(family);
        let selector = self.selector(said)?;
        self.is_v6 = family;
        let span = name.span.to(self.end());
        if !anything(&selector) {
            once(&mut to.selector, Spanned::new(selector, span), &name)?;
        }
        Ok(())
    }

    fn limit(&mut self, to: &mut Lifetimes) -> Parsed<()> {
        let name = self.next("a limit such as byte-hard")?;
        let value = self.next("a number, or INF")?;
        let number = match value.value {
            "INF" | "inf" => None,
            text => Some(super::number(text).ok_or_else(|| expected("a number, or INF", &value))?),
        };
        let number = number.filter(|number| *number != 0);
        let time = number.map(Duration::from_secs);
        let severity = |hard: bool| if hard { Severity::Hard } else { Severity::Soft };
        let (kind, severity) = match name.value.rsplit_once('-') {
            Some((kind, "hard")) => (kind, severity(true)),
            Some((kind, "soft")) => (kind, severity(false)),
            _ => return Err(expected("a limit such as byte-hard", &name)),
        };
        let to: &mut Lifetime = match severity {
            Severity::Hard => &mut to.hard,
            Severity::Soft => &mut to.soft,
        };
        match kind {
            "time" => to.since_added = time,
            "time-use" => to.since_used = time,
            "byte" => to.octets = number,
            "packet" => to.packets = number,
            _ => return Err(expected("a limit such as byte-hard", &name)),
        }
        Ok(())
    }

    /// `espinudp SPORT DPORT OADDR`
    fn encap(&mut self, name: Spanned<&str>, to: &mut Rest) -> Parsed<()> {
        let kind = self.next("espinudp")?;
        match kind.value {
            "espinudp" => {}
            "espinudp-nonike" | "espintcp" => {
                let message = format!("{} is not supported", kind.value);
                return Err(refused(kind.span, message, "use espinudp (RFC 3948)"));
            }
            _ => return Err(expected("espinudp", &kind)),
        }
        let source_port = self.number("the port of `src`")?;
        let destination_port = self.number("the port of `dst`")?;
        let family = self.is_v6.take();
        let before = self.address("the peer's address before NAT, or 0.0.0.0")?;
        self.is_v6 = family;
        let is_said = !before.value.is_unspecified();
        let udp = UdpEncapsulation {
            source_port,
            destination_port,
            original: is_said.then_some(Original::Peer(before)),
        };
        once(
            &mut to.udp,
            Spanned::new(udp, name.span.to(before.span)),
            &name,
        )
    }

    /// `replay-seq` and `replay-oseq` name the last number used, with which both directions go on.
    fn first_sequence(&self, rest: &Rest) -> Parsed<Option<Spanned<u64>>> {
        let [seq, oseq, seq_hi, oseq_hi] = rest.sequences;
        let whole = |low: Option<Spanned<u32>>, high: Option<Spanned<u32>>| {
            let part = |number: Option<Spanned<u32>>| number.map_or(0, |n| u64::from(n.value));
            part(high) << 32 | part(low)
        };
        let (received, sent) = (whole(seq, seq_hi), whole(oseq, oseq_hi));
        let Some(place) = rest.sequences.iter().flatten().next() else {
            return Ok(None);
        };
        if received != 0 && sent != 0 && received != sent {
            let message = "replay-seq and replay-oseq differ: an SA goes in one direction";
            return Err(refused(
                place.span,
                message,
                "say only the one that its direction uses",
            ));
        }
        let first = received.max(sent).saturating_add(1);
        Ok(Some(Spanned::new(first, place.span)))
    }
}

enum Severity {
    Hard,
    Soft,
}

pub(super) fn no_marks(name: &Spanned<&str>) -> Box<Diagnostic> {
    let message = format!("`{}` is not supported", name.value);
    refused(
        name.span,
        message,
        "leave it out: there are no marks and no xfrm interfaces here",
    )
}
