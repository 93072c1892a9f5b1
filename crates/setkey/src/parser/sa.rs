//! The commands about SAs.

use std::net::IpAddr;

use super::values::{Families, narrow};
use super::{Lost, Parsed, Parser, shown};
use crate::algorithm::{Authentication, Encryption};
use crate::diagnostic::Diagnostic;
use crate::mask::is_flag;
use crate::span::{Span, Spanned};
use crate::suggest;
use crate::tree::{
    Add, Df, KeyedAlgorithm, Lifetime, Mode, Original, Padding, Protocol, SaId, SaPair, Selector,
    UdpEncapsulation,
};

/// Every word that stands for a protocol of SAs, refused ones included.
pub(super) const PROTOCOLS: [&str; 7] =
    ["esp", "ah", "esp-udp", "esp-old", "ah-old", "ipcomp", "tcp"];

const EXTENSIONS: [&str; 20] = [
    "-m", "-r", "-window", "-u", "-f", "-lh", "-ls", "-bh", "-bs", "-esn", "-seq", "-roams", "-df",
    "-sel", "-natt", "-ctx", "-E", "-A", "-C", "-P",
];

/// The widest replay window, in packets.
const WIDEST_WINDOW: u64 = 65_536;

/// Where RFC 3948 puts ESP in UDP.
const NAT_T_PORT: u16 = 4500;

/// An address of an SA and the UDP port behind it.
struct End {
    address: Option<Spanned<IpAddr>>,
    port: Option<Spanned<u16>>,
}

/// The protocol of an SA as it is written.
#[derive(Clone)]
enum Carrier {
    Plain(Protocol),
    Udp(Option<Spanned<IpAddr>>),
}

/// What stands between the SPI and the `;`.
#[derive(Default)]
struct Extensions<'a> {
    /// What was given, well or badly, and where.
    seen: Vec<Spanned<&'a str>>,
    mode: Option<Spanned<Mode>>,
    reqid: Option<Spanned<u32>>,
    window: Option<Spanned<u32>>,
    esn: Option<Spanned<()>>,
    first_sequence: Option<Spanned<u64>>,
    roams: Option<Spanned<()>>,
    padding: Option<Spanned<Padding>>,
    no_cyclic_sequence: Option<Spanned<()>>,
    hard: Lifetime,
    soft: Lifetime,
    df: Option<Spanned<Df>>,
    selector: Option<Spanned<Selector>>,
    natt: Option<Spanned<UdpEncapsulation>>,
    encryption: Option<KeyedAlgorithm<Encryption>>,
    authentication: Option<KeyedAlgorithm<Authentication>>,
}

impl Extensions<'_> {
    fn place_of(&self, name: &str) -> Option<Span> {
        let seen = self.seen.iter().find(|seen| seen.value == name)?;
        Some(seen.span)
    }
}

impl<'a> Parser<'a> {
    /// `src dst protocol spi [extensions] algorithm…`
    pub(super) fn add(&mut self) -> Parsed<Add> {
        let (source, destination) = self.ends()?;
        let carrier = self.carrier()?;
        let spi = self.spi()?;
        let extensions = self.extensions()?;
        let Some(carrier) = carrier else {
            return Ok(None);
        };
        self.check_algorithms(&carrier, &extensions);
        self.check_sequence(&extensions);
        let udp = self.encapsulation(&carrier, &source, &destination, &extensions);
        self.check_roaming(udp.as_ref().map(|udp| udp.span), &extensions);
        Ok((|| {
            Some(Add {
                source: source.address?,
                destination: destination.address?,
                protocol: carrier.map(Carrier::protocol),
                spi: spi?,
                mode: extensions.mode,
                reqid: extensions.reqid,
                window: extensions.window,
                esn: extensions.esn,
                first_sequence: extensions.first_sequence,
                roams: extensions.roams,
                padding: extensions.padding,
                no_cyclic_sequence: extensions.no_cyclic_sequence,
                hard: extensions.hard,
                soft: extensions.soft,
                df: extensions.df,
                selector: extensions.selector,
                udp,
                encryption: extensions.encryption,
                authentication: extensions.authentication,
            })
        })())
    }

    /// `src dst protocol spi`, of `get` and `delete`. Extensions are read, as
    /// every setkey does, and mean nothing.
    pub(super) fn sa_id(&mut self) -> Parsed<SaId> {
        let (source, destination) = self.ends()?;
        let carrier = self.carrier()?;
        let spi = self.spi()?;
        let extensions = self.extensions()?;
        for name in ["-E", "-A"] {
            if let Some(place) = extensions.place_of(name) {
                self.report(
                    Diagnostic::new(place, format!("`{name}` has no place in this command"))
                        .help("an SA is named by its addresses, protocol and SPI"),
                );
            }
        }
        Ok((|| {
            Some(SaId {
                source: source.address?,
                destination: destination.address?,
                protocol: carrier?.map(Carrier::protocol),
                spi: spi?,
            })
        })())
    }

    /// `src dst [protocol]`, of `deleteall`.
    pub(super) fn sa_pair(&mut self) -> Parsed<SaPair> {
        let (source, destination) = self.ends()?;
        let protocol = self.optional_protocol()?;
        Ok((|| {
            Some(SaPair {
                source: source.address?,
                destination: destination.address?,
                protocol: protocol?,
            })
        })())
    }

    /// `[protocol]`, of `flush` and `dump`.
    pub(super) fn optional_protocol(&mut self) -> Parsed<Option<Spanned<Protocol>>> {
        if self.peek_word().is_none() {
            return Ok(Some(None));
        }
        let carrier = self.carrier()?;
        Ok(carrier.map(|carrier| Some(carrier.map(Carrier::protocol))))
    }

    // ---- Ends and protocol -------------------------------------------------

    fn ends(&mut self) -> Result<(End, End), Lost> {
        let families = self.families();
        let source = self.end("a source address", families)?;
        let destination = self.end("a destination address", families)?;
        self.same_family(source.address, destination.address);
        Ok((source, destination))
    }

    fn end(&mut self, what: &str, families: Families) -> Result<End, Lost> {
        let address = self.address(what, families)?;
        let port = self.end_port()?.flatten();
        Ok(End { address, port })
    }

    fn carrier(&mut self) -> Parsed<Spanned<Carrier>> {
        let word = self.word("a protocol (esp, esp-udp or ah)")?;
        let carrier = match word.value {
            "esp" => Carrier::Plain(Protocol::Esp),
            "ah" => Carrier::Plain(Protocol::Ah),
            "esp-udp" => {
                let original = self
                    .peek_word()
                    .and_then(|word| Some(Spanned::new(word.value.parse().ok()?, word.span)));
                self.at += usize::from(original.is_some());
                Carrier::Udp(original)
            }
            name => {
                self.report(no_protocol(name, word.span));
                self.refused_protocol = PROTOCOLS.contains(&name);
                return Ok(None);
            }
        };
        Ok(Some(Spanned::new(carrier, word.span)))
    }

    /// What `esp-udp` or `-natt` asks for.
    fn encapsulation(
        &mut self,
        carrier: &Spanned<Carrier>,
        source: &End,
        destination: &End,
        extensions: &Extensions<'_>,
    ) -> Option<Spanned<UdpEncapsulation>> {
        let natt = extensions.place_of("-natt");
        let Carrier::Udp(original) = &carrier.value else {
            for port in [source.port, destination.port].into_iter().flatten() {
                let error = Diagnostic::new(port.span, "a port here is for ESP in UDP only");
                self.report(error.help("write `esp-udp` as the protocol, or leave the port out"));
            }
            if let (Some(natt), Carrier::Plain(Protocol::Ah)) = (natt, &carrier.value) {
                let error = Diagnostic::new(natt, "AH cannot pass a NAT (RFC 3948 §1)");
                self.report(error.help("use esp"));
            }
            return extensions.natt.clone();
        };
        if let Some(natt) = natt {
            let error = Diagnostic::new(natt, "UDP encapsulation is asked for twice");
            self.report(error.related(carrier.span, "first here"));
        }
        let port = |end: &End| end.port.unwrap_or(Spanned::new(NAT_T_PORT, carrier.span));
        let udp = UdpEncapsulation {
            source_port: port(source),
            destination_port: port(destination),
            original: original.map(Original::Peer),
        };
        Some(Spanned::new(udp, carrier.span))
    }

    // ---- Extensions --------------------------------------------------------

    fn extensions(&mut self) -> Result<Extensions<'a>, Lost> {
        let mut extensions = Extensions::default();
        while let Some(flag) = self.peek_word().filter(|word| is_flag(word.value)) {
            self.at += 1;
            self.extension(flag, &mut extensions)?;
        }
        Ok(extensions)
    }

    fn extension(&mut self, flag: Spanned<&'a str>, to: &mut Extensions<'a>) -> Result<(), Lost> {
        match flag.value {
            "-m" => to.mode = self.choice("a mode", &MODES)?,
            "-r" => to.window = self.window("`-r` (octets of bitmap)", 8)?,
            "-window" => to.window = self.window("`-window` (packets)", 1)?,
            "-u" => to.reqid = self.reqid()?,
            "-f" => return self.padding_or_cycle(flag.span, to),
            "-lh" => to.hard.seconds = self.limit("`-lh` (seconds)")?,
            "-ls" => to.soft.seconds = self.limit("`-ls` (seconds)")?,
            "-bh" => to.hard.octets = self.limit("`-bh` (octets)")?,
            "-bs" => to.soft.octets = self.limit("`-bs` (octets)")?,
            "-esn" => to.esn = Some(Spanned::new((), flag.span)),
            "-seq" => to.first_sequence = self.number("`-seq`", 1..=u64::MAX)?,
            "-roams" => to.roams = Some(Spanned::new((), flag.span)),
            "-df" => to.df = self.choice("what becomes of DF", &DF)?,
            "-sel" => {
                let selector = self.selector(Families::default())?;
                let span = flag.span.to(self.last_span());
                to.selector = selector.map(|selector| Spanned::new(selector, span));
            }
            "-natt" => to.natt = self.natt(flag.span)?,
            "-E" => to.encryption = self.encryption()?,
            "-A" => to.authentication = self.authentication()?,
            "-ctx" => self.refuse_security_context(flag.span)?,
            "-C" => self.refuse_compression(flag.span)?,
            "-natt_mtu" | "-hwif" => self.refuse_operand(flag)?,
            _ => return Err(self.lose(no_extension(flag))),
        }
        self.once(flag, to);
        Ok(())
    }

    /// Remembers an extension and reports its second time.
    fn once(&mut self, name: Spanned<&'a str>, to: &mut Extensions<'a>) {
        let same = |name: &str| if name == "-window" { "-r" } else { name }.to_owned();
        let first = to
            .seen
            .iter()
            .find(|seen| same(seen.value) == same(name.value));
        if let Some(first) = first {
            let error = Diagnostic::new(name.span, format!("`{}` is given twice", name.value));
            self.report(error.related(first.span, "first here"));
        }
        to.seen.push(name);
    }

    /// A window in packets, written in units of `packets`.
    fn window(&mut self, what: &str, packets: u64) -> Parsed<Spanned<u32>> {
        let units = self.number(what, 0..=WIDEST_WINDOW / packets)?;
        Ok(units.and_then(|units| narrow(units.map(|units| units * packets))))
    }

    /// `-u 0` is every setkey's way to say that there is no such number.
    fn reqid(&mut self) -> Parsed<Spanned<u32>> {
        let reqid = self.number("`-u`", 0..=u64::from(u32::MAX))?;
        Ok(reqid.filter(|reqid| reqid.value != 0).and_then(narrow))
    }

    /// A limit of 0 is no limit.
    fn limit(&mut self, what: &str) -> Parsed<Spanned<u64>> {
        let limit = self.number(what, 0..=u64::MAX)?;
        Ok(limit.filter(|limit| limit.value != 0))
    }

    fn padding_or_cycle(&mut self, flag: Span, to: &mut Extensions<'a>) -> Result<(), Lost> {
        let Some(choice) = self.choice("a padding", &PADDING)? else {
            return Ok(());
        };
        let span = flag.to(choice.span);
        match choice.value {
            Some(padding) => {
                to.padding = Some(Spanned::new(padding, choice.span));
                self.once(Spanned::new("-f", span), to);
            }
            None => {
                to.no_cyclic_sequence = Some(Spanned::new((), choice.span));
                self.once(Spanned::new("-f nocyclic-seq", span), to);
            }
        }
        Ok(())
    }

    /// `oai[sport] oar[dport]`, FreeBSD's way.
    fn natt(&mut self, flag: Span) -> Parsed<Spanned<UdpEncapsulation>> {
        let source = self.end("the sender's address before NAT", Families::default())?;
        let destination = self.end("the receiver's address before NAT", Families::default())?;
        self.same_family(source.address, destination.address);
        let span = flag.to(self.last_span());
        Ok((|| {
            let (before, after) = (source.address?, destination.address?);
            let default = |end: Span| Spanned::new(NAT_T_PORT, end);
            let udp = UdpEncapsulation {
                source_port: source.port.unwrap_or(default(before.span)),
                destination_port: destination.port.unwrap_or(default(after.span)),
                original: Some(Original::Both {
                    source: before,
                    destination: after,
                }),
            };
            Some(Spanned::new(udp, span))
        })())
    }

    fn refuse_compression(&mut self, flag: Span) -> Result<(), Lost> {
        self.word("a compression algorithm")?;
        self.take_word("-R");
        let error = Diagnostic::refused(flag, "compression (`-C`) is not supported");
        self.report(error.help("leave it out: compressing beside encrypting leaks what is sent"));
        Ok(())
    }

    fn refuse_operand(&mut self, flag: Spanned<&str>) -> Result<(), Lost> {
        self.word("an operand")?;
        let error = Diagnostic::refused(flag.span, format!("`{}` is not supported", flag.value));
        self.report(error.help(match flag.value {
            "-natt_mtu" => "leave it out: the path MTU is found by itself",
            _ => "leave it out: there is no offload to hardware",
        }));
        Ok(())
    }

    // ---- Checks ------------------------------------------------------------

    fn check_algorithms(&mut self, carrier: &Spanned<Carrier>, extensions: &Extensions<'_>) {
        let encryption = extensions.place_of("-E");
        match (&carrier.value, encryption) {
            (Carrier::Plain(Protocol::Ah), Some(place)) => {
                let error = Diagnostic::new(place, "AH does not encrypt");
                self.report(error.help("leave `-E` out, or use esp"));
            }
            (Carrier::Plain(Protocol::Ah), None) => {
                if extensions.place_of("-A").is_none() {
                    let error = Diagnostic::new(carrier.span, "ah needs an algorithm and a key");
                    self.report(error.help("write `-A hmac-sha2-256 KEY`"));
                }
            }
            (_, None) => {
                let error = Diagnostic::new(carrier.span, "esp needs an encryption algorithm");
                self.report(
                    error.help("write `-E aes-gcm-16 KEY`, or `-E null` to authenticate only"),
                );
            }
            (_, Some(_)) => {}
        }
    }

    fn check_sequence(&mut self, extensions: &Extensions<'_>) {
        let Extensions {
            esn,
            window,
            first_sequence,
            ..
        } = extensions;
        if let (Some(esn), Some(window)) = (esn, window.filter(|window| window.value == 0)) {
            let error = Diagnostic::new(
                esn.span,
                "extended sequence numbers need replay protection (RFC 4303 §3.3.3)",
            );
            self.report(
                error
                    .related(window.span, "this switches it off")
                    .help("give a window of at least 32 packets (`-r 4`), or leave `-esn` out"),
            );
        }
        let long = first_sequence.filter(|first| first.value > u64::from(u32::MAX));
        if let (Some(first), None) = (long, extensions.place_of("-esn")) {
            let error = Diagnostic::new(first.span, "sequence numbers have 32 bits without ESN");
            self.report(error.help("write `-esn`, or a number below 4294967296"));
        }
    }

    fn check_roaming(&mut self, udp: Option<Span>, extensions: &Extensions<'_>) {
        let Some(roams) = extensions.roams else {
            return;
        };
        if udp.is_none() && extensions.place_of("-natt").is_none() {
            let error = Diagnostic::new(roams.span, "only a peer behind ESP in UDP can roam");
            self.report(error.help("write `esp-udp` as the protocol, or leave `-roams` out"));
        }
        if let Some(window) = extensions.window.filter(|window| window.value == 0) {
            let error = Diagnostic::new(
                roams.span,
                "a peer that roams needs replay protection: any packet recorded before would move it",
            );
            self.report(
                error
                    .related(window.span, "this switches it off")
                    .help("give a window of at least 32 packets (`-r 4`), or leave `-roams` out"),
            );
        }
    }
}

impl Carrier {
    fn protocol(self) -> Protocol {
        match self {
            Carrier::Plain(protocol) => protocol,
            Carrier::Udp(_) => Protocol::Esp,
        }
    }
}

const MODES: [(&str, Mode); 3] = [
    ("transport", Mode::Transport),
    ("tunnel", Mode::Tunnel),
    ("any", Mode::Any),
];

const DF: [(&str, Df); 3] = [("copy", Df::Copy), ("set", Df::Set), ("clear", Df::Clear)];

/// The operands of `-f`; `None` is `nocyclic-seq`.
const PADDING: [(&str, Option<Padding>); 4] = [
    ("zero-pad", Some(Padding::Zero)),
    ("random-pad", Some(Padding::Random)),
    ("seq-pad", Some(Padding::Sequential)),
    ("nocyclic-seq", None),
];

/// Why a word is no protocol that Sealway has SAs for.
pub(super) fn no_protocol(name: &str, span: Span) -> Diagnostic {
    let (message, help) = match name {
        "esp-old" => (
            "esp-old (RFC 1827) has neither integrity nor replay protection",
            "use esp",
        ),
        "ah-old" => ("ah-old (RFC 1826) has no replay protection", "use ah"),
        "ipcomp" => (
            "ipcomp is not supported",
            "leave it out: compressing beside encrypting leaks what is sent",
        ),
        "tcp" => (
            "TCP-MD5 signs TCP segments and is no part of IPsec",
            "give the key to the BGP daemon instead",
        ),
        _ => {
            let found = shown(name);
            return Diagnostic::new(span, format!("expected a protocol, found {found}"))
                .label("expected esp, esp-udp or ah");
        }
    };
    Diagnostic::refused(span, message).help(help)
}

fn no_extension(flag: Spanned<&str>) -> Diagnostic {
    let message = format!("{} is no extension of an SA", shown(flag.value));
    let error = Diagnostic::new(flag.span, message);
    match suggest::closest(flag.value, EXTENSIONS) {
        Some("-P") => error.help("a policy is added with spdadd"),
        Some(meant) => error.help(format!("did you mean `{meant}`?")),
        None => error.help(format!("extensions are {}", EXTENSIONS.join(", "))),
    }
}
