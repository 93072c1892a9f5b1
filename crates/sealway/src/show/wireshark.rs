//! The running SAs as Wireshark's table `esp_sa`: the lines of its file, or the values of tshark's
//! `-o 'uat:esp_sa:LINE'`.

use anyhow::Context;
use sealway_crypto::{Authentication, Encryption, Suite};
use zeroize::Zeroizing;

use super::report::Sa;

/// One line per SA; a comment where Wireshark does not have the suite.
///
/// # Errors
/// If an SA came without its keys.
pub(super) fn table(sas: &[Sa]) -> anyhow::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    for sa in sas {
        text.push_str(&line(sa)?);
    }
    Ok(text)
}

fn line(sa: &Sa) -> anyhow::Result<Zeroizing<String>> {
    let keys = sa.keys.as_ref().context("the daemon sent no keys")?;
    let suite: Suite = sa.suite.parse()?;
    let Some(encryption) = encryption(suite.encryption()) else {
        let what = format!("# {:#010x}: Wireshark does not have {suite}\n", sa.spi);
        return Ok(Zeroizing::new(what));
    };
    let family = if sa.source.is_ipv4() { "IPv4" } else { "IPv6" };
    let authentication = authentication(suite.authentication());
    // Before 4.2 Wireshark knows no extended sequence numbers and passes over these fields.
    let esn = if sa.esn {
        r#","64-bit","0x00000000""#
    } else {
        ""
    };
    Ok(Zeroizing::new(format!(
        "\"{family}\",\"{}\",\"{}\",\"{:#010x}\",\"{encryption}\",\"{}\",\"{authentication}\",\"{}\"{esn}\n",
        sa.source,
        sa.destination,
        sa.spi,
        *hex(&keys.encryption),
        *hex(&keys.authentication),
    )))
}

fn hex(key: &str) -> Zeroizing<String> {
    Zeroizing::new(match key {
        "" => String::new(),
        key => format!("0x{key}"),
    })
}

fn encryption(encryption: Encryption) -> Option<&'static str> {
    match encryption {
        Encryption::Null => Some("NULL"),
        Encryption::AesCbc => Some("AES-CBC [RFC3602]"),
        Encryption::AesCtr => Some("AES-CTR [RFC3686]"),
        Encryption::AesGcm16 => Some("AES-GCM with 16 octet ICV [RFC4106]"),
        Encryption::AesGmac
        | Encryption::AesCcm8
        | Encryption::AesCcm12
        | Encryption::AesCcm16
        | Encryption::ChaCha20Poly1305 => None,
    }
}

fn authentication(authentication: Option<Authentication>) -> &'static str {
    match authentication {
        None => "NULL",
        Some(Authentication::HmacSha1_96) => "HMAC-SHA-1-96 [RFC2404]",
        Some(Authentication::HmacSha256_128) => "HMAC-SHA-256-128 [RFC4868]",
        Some(Authentication::HmacSha384_192) => "HMAC-SHA-384-192 [RFC4868]",
        Some(Authentication::HmacSha512_256) => "HMAC-SHA-512-256 [RFC4868]",
        Some(Authentication::AesXcbc96) => "ANY 96 bit authentication [no checking]",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::show::report::{Keys, Lifetime, Restart};

    fn sa(suite: &str, encryption: &str, authentication: &str) -> Sa {
        Sa {
            source: "192.0.2.1".parse().unwrap(),
            destination: "192.0.2.2".parse().unwrap(),
            protocol: "esp".into(),
            spi: 0x10001,
            mode: "tunnel".into(),
            suite: suite.into(),
            packets: 0,
            bytes: 0,
            sequence: 1,
            reqid: 0,
            replay_window: 1024,
            esn: false,
            encapsulation: None,
            peer: None,
            selector: None,
            received: 0,
            restart: Restart::default(),
            lifetime: Lifetime::default(),
            keys: Some(Keys {
                encryption: Zeroizing::new(encryption.into()),
                authentication: Zeroizing::new(authentication.into()),
            }),
        }
    }

    #[test]
    fn lines_are_as_tshark_reads_them() {
        let mut extended = sa("aes-128-cbc+aes-xcbc-96", "0102", "03");
        extended.esn = true;
        let sas = [
            sa("aes-128-gcm-16", "0011", ""),
            sa("null+hmac-sha2-256-128", "", "aabb"),
            extended,
            sa("chacha20-poly1305", "0011", ""),
        ];
        let expected = r#""IPv4","192.0.2.1","192.0.2.2","0x00010001","AES-GCM with 16 octet ICV [RFC4106]","0x0011","NULL",""
"IPv4","192.0.2.1","192.0.2.2","0x00010001","NULL","","HMAC-SHA-256-128 [RFC4868]","0xaabb"
"IPv4","192.0.2.1","192.0.2.2","0x00010001","AES-CBC [RFC3602]","0x0102","ANY 96 bit authentication [no checking]","0x03","64-bit","0x00000000"
# 0x00010001: Wireshark does not have chacha20-poly1305
"#;
        assert_eq!(*table(&sas).unwrap(), expected);
    }
}
