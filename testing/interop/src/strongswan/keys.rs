//! The keys of CHILD_SAs in charon's log, which tells them at `chd = 4`. Whatever is not as expected
//! is an error: a key that is half read would only show as packets that nobody can open.

use std::net::IpAddr;

use anyhow::{Context, Result, bail, ensure};

/// What marks the lines about CHILD_SAs, behind the number of a thread.
const GROUP: &str = "[CHD] ";
/// Octets in a line of a dump.
const LINE: usize = 16;
/// No key is longer.
const LONGEST: usize = 64;

/// A CHILD_SA, as the end that answered tells it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Child {
    /// Its name in the configuration.
    pub(super) name: String,
    /// From the end that initiated.
    pub(super) inbound: Half,
    /// To it.
    pub(super) outbound: Half,
}

/// One SA of the two.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Half {
    /// Its SPI.
    pub(super) spi: u32,
    /// Outer source.
    pub(super) source: IpAddr,
    /// Outer destination.
    pub(super) destination: IpAddr,
    /// The cipher's key with its salt, in hexadecimal digits; empty for NULL.
    pub(super) cipher_key: String,
    /// The integrity algorithm's key in hexadecimal digits; empty for a combined cipher.
    pub(super) integrity_key: String,
}

/// The CHILD_SAs that a log tells of, in order; those that came to nothing left out.
///
/// # Errors
/// With the line that is not as charon writes it.
pub(super) fn read(log: &str) -> Result<Vec<Child>> {
    let mut lines = log.lines().filter_map(|line| line.split_once(GROUP));
    let mut children = Vec::new();
    while let Some((thread, text)) = lines.next() {
        let Some(name) = state(text, "CREATED => INSTALLING") else {
            continue;
        };
        let mut own = lines
            .by_ref()
            .take_while(|(of, text)| {
                *of == thread && state(text, "INSTALLING => INSTALLED").is_none()
            })
            .map(|(_, text)| text);
        let child = child(name, &mut own)
            .with_context(|| format!("charon's log does not tell all of the CHILD_SA {name}"))?;
        children.push(child);
    }
    Ok(children)
}

/// The name in `CHILD_SA NAME{NUMBER} state change: CHANGE`.
fn state<'a>(text: &'a str, change: &str) -> Option<&'a str> {
    let (name, number) = text
        .strip_prefix("CHILD_SA ")?
        .strip_suffix(change)?
        .strip_suffix("} state change: ")?
        .rsplit_once('{')?;
    number.parse::<u32>().ok()?;
    Some(name)
}

fn child(name: &str, lines: &mut dyn Iterator<Item = &str>) -> Result<Child> {
    let mut keys = [const { String::new() }; 4];
    while let Some(line) = lines.next() {
        if line == "adding inbound ESP SA" {
            let inbound = ends(lines.next())?;
            ensure!(
                lines.next() == Some("adding outbound ESP SA"),
                "no outbound SA follows"
            );
            let outbound = ends(lines.next())?;
            let [cipher_in, cipher_out, integrity_in, integrity_out] = keys;
            let half = |(spi, source, destination), cipher_key, integrity_key| Half {
                spi,
                source,
                destination,
                cipher_key,
                integrity_key,
            };
            return Ok(Child {
                name: name.to_owned(),
                inbound: half(inbound, cipher_in, integrity_in),
                outbound: half(outbound, cipher_out, integrity_out),
            });
        }
        let key = match line.split_once(" key => ") {
            Some(("encryption initiator", _)) => &mut keys[0],
            Some(("encryption responder", _)) => &mut keys[1],
            Some(("integrity initiator", _)) => &mut keys[2],
            Some(("integrity responder", _)) => &mut keys[3],
            Some(_) => bail!("there is a key of another kind"),
            None => continue,
        };
        ensure!(key.is_empty(), "a key is there twice");
        *key = dump(line, lines)?;
    }
    bail!("it ends before the SAs")
}

/// `SPI 0x…, src … dst …`.
fn ends(line: Option<&str>) -> Result<(u32, IpAddr, IpAddr)> {
    let parse = |line: &str| {
        let (spi, rest) = line
            .trim_start()
            .strip_prefix("SPI 0x")?
            .split_once(", src ")?;
        let (source, destination) = rest.split_once(" dst ")?;
        let is_spi = spi.len() == 8 && spi.bytes().all(|octet| octet.is_ascii_hexdigit());
        let spi = u32::from_str_radix(spi, 16).ok().filter(|_| is_spi)?;
        Some((spi, source.parse().ok()?, destination.parse().ok()?))
    };
    line.and_then(parse).context("an SA lacks its SPI and ends")
}

/// The octets behind `… key => N bytes @ …`, in hexadecimal digits.
fn dump(line: &str, lines: &mut dyn Iterator<Item = &str>) -> Result<String> {
    let length = line
        .split_once(" => ")
        .and_then(|(_, rest)| rest.split_once(" bytes @ ")?.0.parse().ok())
        .filter(|length| (1..=LONGEST).contains(length))
        .context("a key has no sensible length")?;
    let mut digits = String::new();
    for offset in (0..length).step_by(LINE) {
        let octets = LINE.min(length - offset);
        let part = lines
            .next()
            .and_then(|line| dumped(line, offset, octets))
            .context("a key is not dumped as it should be")?;
        digits.push_str(&part);
    }
    Ok(digits)
}

/// One line, `   0: 00 01 …  text`: so many octets, and no more.
fn dumped(line: &str, offset: usize, octets: usize) -> Option<String> {
    let (at, rest) = line.split_once(": ")?;
    if at.trim_start().parse() != Ok(offset) {
        return None;
    }
    let (dump, text) = rest.split_at_checked(3 * octets - 1)?;
    let mut digits = String::new();
    for pair in dump.split(' ') {
        if pair.len() != 2 || !pair.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            return None;
        }
        digits.push_str(pair);
    }
    (digits.len() == 2 * octets && text.starts_with("  ")).then(|| digits.to_lowercase())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOG: &str = "\
00[CHD] nothing of interest
14[CHD] CHILD_SA one{1} state change: CREATED => INSTALLING
14[CHD]   using AES_CBC for encryption
14[CHD] seed => 4 bytes @ 0x7fe6160ff940
14[CHD]    0: 8B AB BD 93                                      ....
14[CHD] encryption initiator key => 20 bytes @ 0x7fe5d801b600
14[CHD]    0: BD 95 94 B1 41 61 74 3C 36 D0 81 E6 D7 F8 1A 66  ....Aat<6......f
14[CHD]   16: 37 63 96 5B                                      7c.[
14[CHD] encryption responder key => 2 bytes @ 0x7fe5d801b620
14[CHD]    0: 73 A3                                            s.
14[CHD] integrity initiator key => 1 bytes @ 0x7fe5d801b620
14[CHD]    0: 01                                               01
14[CHD] integrity responder key => 1 bytes @ 0x7fe5d801b620
14[CHD]    0: 02                                               .
14[CHD] adding inbound ESP SA
14[CHD]   SPI 0x069c2ffe, src 192.0.2.1 dst 192.0.2.2
14[CHD] adding outbound ESP SA
14[CHD]   SPI 0x952ed761, src 2001:db8::2 dst 2001:db8::1
14[CHD] CHILD_SA one{1} state change: INSTALLING => INSTALLED
";

    #[test]
    fn keys_are_read_with_their_sas() {
        let children = read(LOG).unwrap();
        assert_eq!(children.len(), 1);
        let Child {
            name,
            inbound,
            outbound,
        } = &children[0];
        assert_eq!(name, "one");
        assert_eq!((inbound.spi, outbound.spi), (0x069c_2ffe, 0x952e_d761));
        assert_eq!(inbound.source.to_string(), "192.0.2.1");
        assert_eq!(outbound.destination.to_string(), "2001:db8::1");
        assert_eq!(
            inbound.cipher_key,
            "bd9594b14161743c36d081e6d7f81a663763965b"
        );
        assert_eq!(
            (&*outbound.cipher_key, &*inbound.integrity_key),
            ("73a3", "01")
        );
    }

    #[test]
    fn what_is_damaged_is_refused() {
        for (right, wrong) in [
            ("BD 95", "BD 9"),
            ("BD 95", "BD 9X"),
            ("  16: 37", "  17: 37"),
            ("16: 37 63 96 5B ", "16: 37 63 96 5B 00"),
            (
                "14[CHD]   16: 37 63 96 5B                                      7c.[\n",
                "",
            ),
            ("=> 20 bytes", "=> 200 bytes"),
            ("0x069c2ffe", "0x69c2ffe"),
            ("dst 192.0.2.2", "dst nobody"),
            ("adding outbound", "adding another"),
            ("integrity responder", "encryption responder"),
            ("14[CHD] adding inbound", "15[CHD] adding inbound"),
        ] {
            let log = LOG.replacen(right, wrong, 1);
            assert_ne!(log, LOG, "{right}");
            assert!(read(&log).is_err(), "{right} as {wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_log_panics(lines in proptest::collection::vec((0..30_usize, "\\PC{0,40}"), 0..40)) {
            let own: Vec<&str> = LOG.lines().collect();
            let text: Vec<String> = lines
                .iter()
                .map(|(at, other)| own.get(*at).map_or(format!("14[CHD] {other}"), |line| {
                    let cut = line.len() - other.len().min(line.len());
                    line.get(..cut).unwrap_or(line).to_owned() + other
                }))
                .collect();
            let _ = read(&text.join("\n"));
        }
    }
}
