//! What `sealway show … --json` prints.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

/// Packets per SPI, from `show sa --json`: a list of objects.
///
/// # Errors
/// If the text is something else.
pub fn packets(text: &str) -> Result<BTreeMap<u32, u64>> {
    let sas: Value = serde_json::from_str(text).context("show sa --json printed no JSON")?;
    let sas = sas.as_array().context("show sa --json printed no list")?;
    let count = |sa: &Value| {
        let spi = u32::try_from(sa["spi"].as_u64()?).ok()?;
        Some((spi, sa["packets"].as_u64()?))
    };
    sas.iter()
        .map(count)
        .collect::<Option<_>>()
        .context("an SA lacks spi or packets")
}

/// Packets dropped, from `show stats --json`: an object with the object `drops`.
///
/// # Errors
/// If the text is something else.
pub fn drops(text: &str) -> Result<BTreeMap<String, u64>> {
    let stats: Value = serde_json::from_str(text).context("show stats --json printed no JSON")?;
    let drops = stats["drops"]
        .as_object()
        .context("show stats --json lacks drops")?;
    let count = |(name, count): (&String, &Value)| Some((name.clone(), count.as_u64()?));
    drops
        .iter()
        .map(count)
        .collect::<Option<_>>()
        .context("a drop is no number")
}

/// A counter of the devices, from `show stats --json`.
///
/// # Errors
/// If the text is something else, or there is none of that name.
pub fn device(text: &str, counter: &str) -> Result<u64> {
    let stats: Value = serde_json::from_str(text).context("show stats --json printed no JSON")?;
    stats["devices"][counter]
        .as_u64()
        .with_context(|| format!("show stats --json lacks the device counter {counter}"))
}

/// Packets delivered, from `show stats --json`.
///
/// # Errors
/// If the text is something else.
pub fn delivered(text: &str) -> Result<u64> {
    let stats: Value = serde_json::from_str(text).context("show stats --json printed no JSON")?;
    stats["delivered"]
        .as_u64()
        .context("show stats --json lacks delivered")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn packets_stand_beside_their_spi() {
        let text = r#"[{"spi": 4096, "packets": 7, "bytes": 1}, {"spi": 4097, "packets": 0}]"#;
        assert_eq!(
            packets(text).unwrap(),
            BTreeMap::from([(4096, 7), (4097, 0)])
        );
        assert!(packets("{}").is_err());
        assert!(packets(r#"[{"spi": 4096}]"#).is_err());
    }

    #[test]
    fn drops_are_an_object_of_numbers() {
        let text = r#"{"sent": 3, "drops": {"replay": 2}}"#;
        assert_eq!(
            drops(text).unwrap(),
            BTreeMap::from([("replay".to_owned(), 2)])
        );
        assert!(drops("{}").is_err());
    }
}
