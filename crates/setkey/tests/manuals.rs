//! The examples of the manuals of NetBSD, FreeBSD and ipsec-tools are read:
//! each becomes a tree, or is refused for what it asks and not for how.
#![allow(clippy::unwrap_used)]

use sealway_setkey::{Colour, Keys, Kind, parse};

/// Reads every block of a file; how many were taken and how many refused.
fn read(file: &str) -> (usize, usize) {
    let (mut taken, mut refused) = (0, 0);
    let has_command = |block: &&str| block.lines().any(|line| !line.starts_with('#'));
    for block in file
        .split(
            "

",
        )
        .filter(has_command)
    {
        let expected: Vec<&str> = block
            .lines()
            .filter_map(|line| line.strip_prefix("# refused: "))
            .collect();
        match parse(block) {
            Ok(script) => {
                assert!(expected.is_empty(), "taken: {block}");
                assert_eq!(script.commands.len(), 1, "{block}");
                let printed = script.commands[0].display(Keys::Shown).to_string();
                assert_eq!(parse(&printed).unwrap(), script, "{printed}");
                taken += 1;
            }
            Err(errors) => {
                assert!(
                    errors.iter().all(|error| error.kind == Kind::Refused),
                    "{errors:?}"
                );
                let messages: Vec<&str> = errors.iter().map(|error| &*error.message).collect();
                assert_eq!(messages, expected, "{block}");
                refused += 1;
            }
        }
    }
    (taken, refused)
}

#[test]
fn the_examples_of_netbsd_are_read() {
    assert_eq!(read(include_str!("data/netbsd.setkey")), (10, 10));
}

#[test]
fn the_examples_of_freebsd_are_read() {
    assert_eq!(read(include_str!("data/freebsd.setkey")), (7, 4));
}

#[test]
fn the_examples_of_ipsec_tools_are_read() {
    assert_eq!(read(include_str!("data/ipsec-tools.setkey")), (17, 7));
}

#[test]
fn the_examples_of_our_own_manual_are_taken() {
    let manual = include_str!("../../../docs/setkey.md");
    let examples = manual.split("```setkey\n").skip(1);
    let examples = examples.map(|rest| rest.split("```").next().unwrap());
    let mut commands = 0;
    for example in examples {
        match parse(example) {
            Ok(script) => commands += script.commands.len(),
            Err(errors) => panic!("{}", errors[0].render("setkey.md", example, Colour::Never)),
        }
    }
    assert_eq!(commands, 17);
}
