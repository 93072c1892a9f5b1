//! What holds for every script.
#![allow(clippy::unwrap_used)]

mod common;

use common::command;
use proptest::prelude::*;
use sealway_setkey::{Colour, Command, Keys, parse};

/// Whether a shown text has a piece of a key in it.
fn leaks(shown: &str, command: &Command) -> bool {
    let Command::Add(add) = command else {
        return false;
    };
    let encryption = add.encryption.as_ref().map(|keyed| &keyed.key);
    let authentication = add.authentication.as_ref().map(|keyed| &keyed.key);
    encryption.into_iter().chain(authentication).any(|key| {
        let mut pieces = key.octets().chunks_exact(8);
        pieces.any(|piece| {
            let digits: String = piece.iter().map(|octet| format!("{octet:02x}")).collect();
            shown.contains(&digits)
        })
    })
}

/// Every diagnostic of a text can be shown; the texts.
fn rendered(text: &str) -> Vec<String> {
    let errors = parse(text).err().unwrap_or_default();
    let colours = [Colour::Never, Colour::Always];
    let render = |colour| {
        let texts = errors
            .iter()
            .map(move |error| error.render("file", text, colour));
        texts.collect::<Vec<_>>()
    };
    colours.into_iter().flat_map(render).collect()
}

proptest! {
    #[test]
    fn printed_commands_read_back_to_the_same_tree(commands in prop::collection::vec(command(), 1..5)) {
        let text: String = commands
            .iter()
            .map(|command| format!("{}\n", command.display(Keys::Shown)))
            .collect();
        let script = parse(&text).map_err(|errors| {
            TestCaseError::fail(format!("{}\n{}", text, errors[0].render("printed", &text, Colour::Never)))
        })?;
        let read: Vec<Command> = script.commands.iter().map(|command| command.value.clone()).collect();
        prop_assert_eq!(read, commands);
        for (line, command) in text.lines().zip(script.commands) {
            prop_assert_eq!(&text[command.span.range()], line);
        }
    }

    #[test]
    fn masked_commands_show_no_key_and_are_not_read_back(command in command()) {
        let text = command.to_string();
        prop_assert!(!leaks(&text, &command));
        let debug = format!("{command:?}");
        prop_assert!(!leaks(&debug, &command));
        if text.contains('*') {
            prop_assert!(parse(&text).is_err());
        }
    }

    #[test]
    fn random_text_is_read_without_panic(text in ".{0,200}") {
        rendered(&text);
    }

    #[test]
    fn random_octets_are_read_without_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        rendered(&String::from_utf8_lossy(&octets));
    }

    #[test]
    fn words_of_the_language_in_any_order_are_read_without_panic(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..40),
        gap in prop::sample::select(&[" ", "", "\n"]),
    ) {
        rendered(&words.join(gap));
    }

    #[test]
    fn a_changed_command_is_read_without_panic_and_shows_no_key(
        command in command(),
        at in any::<prop::sample::Index>(),
        removed in 0..3usize,
        put in prop::sample::select(WORDS),
    ) {
        let text = command.display(Keys::Shown).to_string();
        let mut words: Vec<&str> = text.split(' ').collect();
        let at = at.index(words.len());
        let end = words.len().min(at + removed);
        words.splice(at..end, [put]);
        let changed = words.join(" ");
        for shown in rendered(&changed) {
            prop_assert!(!leaks(&shown, &command), "{}", shown);
        }
    }

    #[test]
    fn a_command_with_one_sign_changed_is_read_without_panic(
        command in command(),
        at in any::<prop::sample::Index>(),
        sign in any::<char>(),
    ) {
        let text = command.display(Keys::Shown).to_string();
        let mut signs: Vec<char> = text.chars().collect();
        let at = at.index(signs.len());
        signs[at] = sign;
        rendered(&signs.into_iter().collect::<String>());
    }
}

const WORDS: &[&str] = &[
    "add",
    "get",
    "delete",
    "deleteall",
    "flush",
    "dump",
    "spdadd",
    "spdupdate",
    "spddelete",
    "spdflush",
    "spddump",
    "exit",
    "tagged",
    ";",
    ";",
    "[",
    "]",
    "/",
    "-",
    "+",
    "#",
    "\n",
    "\"",
    "\"key\"",
    "\"key",
    "0x",
    "0x0",
    "0x1",
    "0x100",
    "0x00112233445566778899aabbccddeeff",
    "-4",
    "-6",
    "-n",
    "-46n",
    "-m",
    "-r",
    "-window",
    "-u",
    "-f",
    "-lh",
    "-ls",
    "-bh",
    "-bs",
    "-esn",
    "-seq",
    "-roams",
    "-df",
    "-sel",
    "-natt",
    "-natt_mtu",
    "-hwif",
    "-ctx",
    "-E",
    "-A",
    "-C",
    "-R",
    "-P",
    "esp",
    "ah",
    "esp-udp",
    "esp-old",
    "ipcomp",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "gre",
    "any",
    "8,0",
    "8,",
    ",",
    "3,0-4",
    "10.0.0.1",
    "10.0.0.0",
    "10.0.0.1-10.0.0.9",
    "::1",
    "fe80::1%lo",
    "2001:db8::",
    "[80]",
    "[80-90]",
    "[any]",
    "8",
    "129",
    "99999999999999999999999",
    "-5",
    "in",
    "out",
    "fwd",
    "prio",
    "low",
    "low+5",
    "high-",
    "none",
    "discard",
    "ipsec",
    "esp/transport//require",
    "esp/tunnel/10.0.0.1-10.0.0.2/unique:7",
    "ah/tunnel",
    "unique:0",
    "aes-gcm-16",
    "aes-cbc",
    "null",
    "hmac-sha1",
    "des-cbc",
    "tunnel",
    "transport",
    "seq-pad",
    "nocyclic-seq",
    "copy",
    "host.example",
    "é",
    "\u{feff}",
    "\u{1b}[31m",
    "\0",
];
