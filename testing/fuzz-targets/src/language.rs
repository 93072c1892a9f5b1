//! What people write: setkey's language, lines of `ip xfrm`, and the configuration file.

use std::path::Path;

use sealway::daemon::config::Config;
use sealway_setkey::{Colour, Keys, parse};

/// Reads a script; mistakes can be shown, and what was read can be written and read again.
pub(crate) fn setkey(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    match parse(&text) {
        Ok(script) => {
            let written: String = script
                .commands
                .iter()
                .map(|command| format!("{}\n", command.display(Keys::Shown)))
                .collect();
            match parse(&written) {
                Ok(again) => assert_eq!(again.commands, script.commands, "{written}"),
                Err(mistakes) => panic!("{written:?}: {mistakes:?}"),
            }
        }
        Err(mistakes) => {
            for mistake in mistakes.iter().take(3) {
                let _ = mistake.render("fuzz.setkey", &text, Colour::Never);
            }
        }
    }
}

/// Reads a configuration; a mistake can be shown.
pub(crate) fn toml(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    if let Err(mistake) = Config::parse(&text, Path::new("/etc/sealway")) {
        let _ = mistake.render("fuzz.toml", &text, Colour::Never);
    }
}

/// Reads lines of `ip xfrm`; mistakes can be shown.
pub(crate) fn xfrm(octets: &[u8]) {
    sealway::xfrm::feed(&String::from_utf8_lossy(octets));
}
