//! The file of `sealway up`, in TOML; `docs/configuration.md` is its manual.
//!
//! Read in two steps: `file` says what may stand there, this module what it means. Every mistake
//! points at its place in the text.

mod file;
mod offload;
mod run;

use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sealway_core::path::Paths;
use sealway_core::selector::AddressRange;
use sealway_core::{DefaultAction, Keepalive, Mss};
use sealway_io::offload::Kinds;
use sealway_setkey::{Colour, Diagnostic, Span};
use serde::{Deserialize, Serialize};
use toml::Spanned;
use zeroize::Zeroizing;

use super::metrics::Place;
use crate::setkey::Source;
pub use run::Names;

/// What `sealway up` is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The protected side.
    pub inside: Inside,
    /// The unprotected side.
    pub outside: Outside,
    /// What to do with traffic that no policy speaks of.
    pub default: DefaultAction,
    /// What becomes of the Maximum Segment Size in TCP's SYNs.
    pub mss: Mss,
    /// Scripts in setkey's language, to be applied as one transaction.
    pub scripts: Vec<Script>,
    /// The control socket, where one is named.
    pub control: Option<PathBuf>,
    /// Where metrics are served.
    pub metrics: Option<Place>,
    /// The directory that keeps the numbers of SAs; `None`: they are lost with the process.
    pub state: Option<PathBuf>,
    /// Whether the host is guarded.
    pub guard: Guard,
    /// Whether the daemon gives up what it does not need.
    pub leash: Leash,
    /// The offloads that are used where the kernel has them.
    pub offload: Kinds,
    /// How names are resolved in `sealway run`; `None`: as the host does.
    pub names: Option<Names>,
}

/// Whether the daemon gives up files and system calls once it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leash {
    /// It does.
    On,
    /// It keeps them, for whoever looks for a mistake in it.
    Off,
}

/// Whether packets pass between the kernel and the daemon together, where the kernel can: all
/// offloads, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Offload {
    /// As super-packets and trains.
    On,
    /// Each alone.
    Off,
}

/// Whether packets are kept from going round Sealway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// They are.
    On,
    /// That is left to the user.
    Off,
}

/// The protected side: a TUN device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// Its name.
    pub device: String,
    /// Its addresses.
    pub addresses: Vec<Prefix>,
    /// What the host is to send into it.
    pub routes: Vec<Prefix>,
    /// Other interfaces that protected hosts are on.
    pub interfaces: Vec<String>,
    /// The largest packet, in octets; `None`: what fits the outside in most cases.
    pub mtu: Option<u32>,
}

/// The unprotected side: sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Our addresses, at least one.
    pub addresses: Vec<IpAddr>,
    /// The port of UDP encapsulation; 0: the kernel chooses.
    pub port: u16,
    /// The device for BYPASS traffic.
    pub clear: Option<String>,
    /// How long a path's MTU is remembered.
    pub mtu_expires: Duration,
    /// How long nothing may leave in UDP before a keepalive does; `None`: none is sent.
    pub keepalive: Option<Duration>,
    /// What a keepalive is.
    pub keepalive_packet: Keepalive,
}

/// An address and the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefix {
    /// The address.
    pub address: IpAddr,
    /// 0 to 32, or 128.
    pub length: u8,
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// A file that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its path, seen from the current directory.
    pub path: PathBuf,
    /// Where the configuration names it.
    span: Span,
}

/// Something is wrong with what was asked for. Shown as it is: the text underlined, what was
/// expected.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Diagnosed(pub String);

/// The control socket of `sealway up` where the configuration names none.
pub const CONTROL: &str = "/run/sealway/control.sock";

/// UDP encapsulation (RFC 3948 §2).
const PORT: u16 = 4500;
/// Seconds between NAT keepalives (RFC 3948 §4).
const KEEPALIVE: u32 = 20;
/// The smallest MTU that IPv6 works over (RFC 8200 §5), and the largest that IP has.
const MTU: std::ops::RangeInclusive<u32> = 1280..=65_535;

impl Config {
    /// Reads the configuration and the scripts that it names.
    ///
    /// # Errors
    /// What is wrong, with file, line and column.
    pub fn load(path: &Path, colour: Colour) -> Result<(Config, Vec<Source>), Diagnosed> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|error| Diagnosed(format!("error: cannot read {name}: {error}\n")))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Config::parse(&text, directory)
            .and_then(|config| {
                let sources = config.scripts.iter().map(Script::read);
                Ok((sources.collect::<Result<_, _>>()?, config))
            })
            .map(|(sources, config)| (config, sources))
            .map_err(|diagnostic| Diagnosed(diagnostic.render(&name, &text, colour)))
    }

    /// Reads the configuration and none of the scripts.
    ///
    /// # Errors
    /// What is wrong, with file, line and column.
    pub fn load_alone(path: &Path, colour: Colour) -> Result<Config, Diagnosed> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|error| Diagnosed(format!("error: cannot read {name}: {error}\n")))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Config::parse(&text, directory)
            .map_err(|diagnostic| Diagnosed(diagnostic.render(&name, &text, colour)))
    }

    /// Reads a configuration that stands in `directory`.
    ///
    /// # Errors
    /// The first mistake.
    pub fn parse(text: &str, directory: &Path) -> Result<Config, Box<Diagnostic>> {
        let file = file::File::parse(text)?;
        let control = file.daemon.control.as_ref();
        let inside = inside(one(file.inside, "inside", text)?)?;
        let config = Config {
            outside: outside(one(file.outside, "outside", text)?, &inside)?,
            inside,
            default: default(file.policy.default.as_ref())?,
            mss: if file.policy.clamp_mss {
                Mss::Clamped
            } else {
                Mss::Kept
            },
            scripts: scripts(&file.policy.setkey, directory),
            control: control.map(|path| directory.join(path)),
            metrics: metrics(file.daemon.metrics.as_ref(), directory)?,
            state: file.daemon.state.as_ref().map(|path| directory.join(path)),
            guard: match file.daemon.guard {
                Some(false) => Guard::Off,
                Some(true) | None => Guard::On,
            },
            leash: match file.daemon.leash {
                Some(false) => Leash::Off,
                Some(true) | None => Leash::On,
            },
            offload: offload::wanted(file.daemon.offload.as_ref())?,
            names: run::names(&file.run)?,
        };
        check(&file.daemon)?;
        Ok(config)
    }

    /// The control socket of `sealway up`.
    pub fn control_socket(&self) -> &Path {
        self.control.as_deref().unwrap_or(Path::new(CONTROL))
    }
}

impl Script {
    /// Where the configuration names it.
    pub fn span(&self) -> Span {
        self.span
    }

    fn read(&self) -> Result<Source, Box<Diagnostic>> {
        let name = self.path.display().to_string();
        match fs::read_to_string(&self.path).map(Zeroizing::new) {
            Ok(text) => Ok(Source { name, text }),
            Err(error) => Err(wrong(self.span, format!("cannot read {name}: {error}"))),
        }
    }
}

/// Lists from the start; one of each is what can be served.
fn one<T>(list: Vec<Spanned<T>>, name: &str, text: &str) -> Result<T, Box<Diagnostic>> {
    let mut list = list.into_iter();
    match (list.next(), list.next()) {
        (Some(only), None) => Ok(only.into_inner()),
        (None, _) => Err(wrong(
            Span::new(text.len(), text.len()),
            format!("a section [[{name}]] is missing"),
        )),
        (Some(_), Some(second)) => {
            let message = format!("a second [[{name}]]: this version serves one");
            Err(refused(file::first_line(second.span(), text), message))
        }
    }
}

fn inside(inside: file::Inside) -> Result<Inside, Box<Diagnostic>> {
    if let Some(namespace) = &inside.namespace {
        return Err(not_yet(
            namespace.span(),
            "a namespace for the inside device",
        ));
    }
    if let Some(mtu) = &inside.mtu
        && !MTU.contains(mtu.get_ref())
    {
        let message = format!(
            "an MTU of {}: expected {} to {}",
            mtu.get_ref(),
            MTU.start(),
            MTU.end()
        );
        return Err(wrong(mtu.span().into(), message));
    }
    let name = device(inside.device)?;
    Ok(Inside {
        interfaces: interfaces(inside.interfaces, &name)?,
        device: name,
        addresses: prefixes(&inside.addresses, "an address such as 10.1.0.1/24")?,
        routes: networks(&inside.routes)?,
        mtu: inside.mtu.map(Spanned::into_inner),
    })
}

fn interfaces(names: Vec<Spanned<String>>, inside: &str) -> Result<Vec<String>, Box<Diagnostic>> {
    let one = |name: Spanned<String>| {
        let span = name.span();
        let name = device(name)?;
        if name == inside || name == "lo" {
            let message =
                "protected hosts are on no interface of this name: name the one that leads to them";
            return Err(wrong(span.into(), message));
        }
        Ok(name)
    };
    names.into_iter().map(one).collect()
}

fn outside(outside: file::Outside, inside: &Inside) -> Result<Outside, Box<Diagnostic>> {
    let span = outside.addresses.span();
    let addresses: Vec<IpAddr> = outside
        .addresses
        .into_inner()
        .iter()
        .map(unicast)
        .collect::<Result<_, _>>()?;
    if addresses.is_empty() {
        let message = "the outside has no address: name at least one of this host";
        return Err(wrong(span.into(), message));
    }
    if let Some(clear) = &outside.clear
        && *clear.get_ref() == inside.device
    {
        let message = "the clear device must be another than the inside device";
        return Err(wrong(clear.span().into(), message));
    }
    if let Some(clear) = &outside.clear
        && inside.interfaces.contains(clear.get_ref())
    {
        let message = "the clear device is no interface that protected hosts are on";
        return Err(wrong(clear.span().into(), message));
    }
    Ok(Outside {
        addresses,
        port: outside.port.unwrap_or(PORT),
        clear: outside.clear.map(device).transpose()?,
        mtu_expires: seconds(outside.mtu_expires.as_ref())?.unwrap_or(Paths::MEMORY),
        keepalive: match outside.keepalive.unwrap_or(KEEPALIVE) {
            0 => None,
            seconds => Some(Duration::from_secs(seconds.into())),
        },
        keepalive_packet: keepalive_packet(outside.keepalive_packet.as_ref())?,
    })
}

fn seconds(number: Option<&Spanned<u32>>) -> Result<Option<Duration>, Box<Diagnostic>> {
    match number {
        Some(zero) if *zero.get_ref() == 0 => {
            let message = "a time of 0: expected a number of seconds";
            Err(wrong(zero.span().into(), message))
        }
        number => Ok(number.map(|number| Duration::from_secs((*number.get_ref()).into()))),
    }
}

/// A name that an interface can have: the kernel's rule, and no sign that means something to a
/// packet filter.
fn device(name: Spanned<String>) -> Result<String, Box<Diagnostic>> {
    let span = name.span();
    let name = name.into_inner();
    let taken = |octet: u8| octet.is_ascii_graphic() && !b"/:%*\"\\".contains(&octet);
    let sound = (1..16).contains(&name.len()) && name.bytes().all(taken) && !name.starts_with("..");
    if sound && name != "." {
        return Ok(name);
    }
    let message = "no interface can have this name: expected 1 to 15 letters, digits or signs \
                   without '/', ':', '%', '*', '\"', '\\' and blanks";
    Err(wrong(span.into(), message))
}

fn unicast(text: &Spanned<String>) -> Result<IpAddr, Box<Diagnostic>> {
    let span: Span = text.span().into();
    let address: IpAddr = text.get_ref().parse().map_err(|_| {
        let message = format!("{:?} is no IP address", text.get_ref());
        Box::new(
            Diagnostic::new(span, message)
                .label("expected an address such as 192.0.2.1")
                .without_keys(),
        )
    })?;
    if address.is_unspecified() || address.is_multicast() {
        let message = format!("{address} cannot be an address of this host");
        return Err(wrong(span, message));
    }
    Ok(address)
}

fn prefixes(list: &[Spanned<String>], expected: &str) -> Result<Vec<Prefix>, Box<Diagnostic>> {
    let one = |text: &Spanned<String>| {
        prefix(text.get_ref()).ok_or_else(|| {
            let message = format!("{:?} is no address with a prefix length", text.get_ref());
            let diagnostic = Diagnostic::new(text.span().into(), message);
            Box::new(
                diagnostic
                    .label(format!("expected {expected}"))
                    .without_keys(),
            )
        })
    };
    list.iter().map(one).collect()
}

/// Prefixes without bits behind their length: the kernel takes no others for routes.
fn networks(list: &[Spanned<String>]) -> Result<Vec<Prefix>, Box<Diagnostic>> {
    let prefixes = prefixes(list, "a prefix such as 10.2.0.0/24")?;
    for (prefix, text) in prefixes.iter().zip(list) {
        let network = AddressRange::prefix(prefix.address, prefix.length)
            .map_or(prefix.address, |range| range.first());
        if network != prefix.address {
            let message = format!("{prefix} has bits behind its prefix");
            let diagnostic = Diagnostic::new(text.span().into(), message).without_keys();
            let label = format!("did you mean {network}/{}?", prefix.length);
            return Err(Box::new(diagnostic.label(label)));
        }
    }
    Ok(prefixes)
}

/// `ADDRESS/LENGTH`, or an address alone.
fn prefix(text: &str) -> Option<Prefix> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.unwrap_or(most);
    (length <= most).then_some(Prefix { address, length })
}

fn default(name: Option<&Spanned<String>>) -> Result<DefaultAction, Box<Diagnostic>> {
    let Some(name) = name else {
        return Ok(DefaultAction::Discard);
    };
    match name.get_ref().as_str() {
        "discard" => Ok(DefaultAction::Discard),
        "bypass" => Ok(DefaultAction::Bypass),
        _ => Err(unlike(name, "default", "\"discard\" or \"bypass\"")),
    }
}

fn keepalive_packet(name: Option<&Spanned<String>>) -> Result<Keepalive, Box<Diagnostic>> {
    let Some(name) = name else {
        return Ok(Keepalive::Octet);
    };
    match name.get_ref().as_str() {
        "octet" => Ok(Keepalive::Octet),
        "dummy" => Ok(Keepalive::Dummy),
        _ => Err(unlike(name, "kind of keepalive", "\"octet\" or \"dummy\"")),
    }
}

fn unlike(name: &Spanned<String>, what: &str, expected: &str) -> Box<Diagnostic> {
    let message = format!("{:?} is no {what}", name.get_ref());
    let diagnostic = Diagnostic::new(name.span().into(), message);
    let label = format!("expected {expected}");
    Box::new(diagnostic.label(label).without_keys())
}

fn scripts(names: &[Spanned<String>], directory: &Path) -> Vec<Script> {
    let script = |name: &Spanned<String>| Script {
        path: directory.join(name.get_ref()),
        span: name.span().into(),
    };
    names.iter().map(script).collect()
}

fn metrics(
    place: Option<&Spanned<String>>,
    directory: &Path,
) -> Result<Option<Place>, Box<Diagnostic>> {
    let Some(place) = place else {
        return Ok(None);
    };
    let text = place.get_ref();
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(Some(Place::Loopback(address))),
        Ok(_) => Err(wrong(
            place.span().into(),
            "metrics are served on a loopback address only: whoever can connect may read them",
        )),
        Err(_) if text.contains('/') => Ok(Some(Place::Socket(directory.join(text)))),
        Err(_) => Err(wrong(
            place.span().into(),
            "expected an address with a port, such as \"127.0.0.1:9478\", or the path of a socket",
        )),
    }
}

/// Keys of `[daemon]` that later versions will serve.
fn check(daemon: &file::Daemon) -> Result<(), Box<Diagnostic>> {
    match &daemon.workers {
        Some(workers) if !is_one(workers.get_ref()) => {
            Err(not_yet(workers.span(), "more than one worker"))
        }
        Some(_) | None => Ok(()),
    }
}

fn is_one(workers: &toml::Value) -> bool {
    workers.as_str() == Some("auto") || workers.as_integer() == Some(1)
}

fn wrong(span: Span, message: impl Into<String>) -> Box<Diagnostic> {
    Box::new(Diagnostic::new(span, message).without_keys())
}

fn refused(span: Span, message: impl Into<String>) -> Box<Diagnostic> {
    Box::new(Diagnostic::refused(span, message).without_keys())
}

fn not_yet(span: std::ops::Range<usize>, what: &str) -> Box<Diagnostic> {
    let message = format!("{what} is not built yet: leave this key out");
    refused(span.into(), message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
