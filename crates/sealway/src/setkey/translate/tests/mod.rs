//! What scripts mean to the engine.

mod mistakes;

use std::sync::Arc;
use std::time::Duration;

use sealway_core::sad::{
    DontFragmentRule, Lifetime, Lifetimes, Peer, Sa, SaMode, UdpEncapsulation,
};
use sealway_core::spd::{Action, Direction, Level, Mode, PolicyConfig};
use sealway_core::{Control, DefaultAction};
use sealway_crypto::Sequence;
use sealway_setkey::{Colour, Keys};
use zeroize::Zeroizing;

use crate::setkey::{Source, apply, examine, priority_of};

fn control() -> Control {
    Control::new(DefaultAction::Discard, 1500)
}

fn sources(texts: &[&str]) -> Vec<Source> {
    let source = |(number, text): (usize, &&str)| Source {
        name: format!("site{number}.setkey"),
        text: Zeroizing::new((*text).into()),
    };
    texts.iter().enumerate().map(source).collect()
}

fn run(control: &mut Control, text: &str) -> String {
    let sources = sources(&[text]);
    match apply(control, &sources, Keys::Masked) {
        Ok(applied) => applied.output,
        Err(mistakes) => panic!("{}", mistakes.render(&sources, Colour::Never)),
    }
}

/// The one SA of a script.
fn sa(text: &str) -> Arc<Sa> {
    let mut control = control();
    run(&mut control, text);
    let tables = control.tables();
    assert_eq!(tables.sad.iter().len(), 1);
    Arc::clone(tables.sad.iter().next().unwrap())
}

/// The policies of a script.
fn policies(text: &str) -> Vec<PolicyConfig> {
    let mut control = control();
    run(&mut control, text);
    control
        .tables()
        .spd
        .iter()
        .map(|policy| policy.config.clone())
        .collect()
}

const KEY: &str = "-E aes-gcm-16 0x000102030405060708090a0b0c0d0e0f10111213";

#[test]
fn an_sa_with_everything_is_what_was_asked_for() {
    let sa = sa(&format!(
        "add 192.0.2.1[4501] 192.0.2.2[30000] esp-udp 0x10001 -m tunnel -u 9 -window 64 -esn
             -seq 5000000000 -roams -df set -sel 10.0.0.0/8[1-9] 10.9.0.1-10.9.0.7[80] tcp
             -f seq-pad -f nocyclic-seq -ls 60 {KEY};"
    ));
    let config = &sa.config;
    assert_eq!(config.id.to_string(), "esp 192.0.2.2 spi 0x00010001");
    assert_eq!(config.source.to_string(), "192.0.2.1");
    assert_eq!(config.mode, SaMode::Tunnel);
    assert_eq!(config.suite.name(), "aes-128-gcm-16");
    assert_eq!(config.encryption_key.len(), 20);
    assert_eq!(config.sequence.form, Sequence::Extended);
    assert_eq!(
        config.sequence.window.map(|window| window.packets()),
        Some(64)
    );
    assert_eq!(sa.runtime.next_sequence(), 5_000_000_000);
    let ports = UdpEncapsulation {
        source: 4501,
        destination: 30_000,
        peer: Peer::Roams,
    };
    assert_eq!(config.encapsulation, Some(ports));
    assert_eq!(config.reqid, 9);
    assert_eq!(config.dont_fragment, DontFragmentRule::Set);
    let selector = config.selector.as_ref().unwrap().to_string();
    assert_eq!(selector, "10.0.0.0/8 10.9.0.1-10.9.0.7 tcp 1-9,80");
}

#[test]
fn lifetimes_are_kept_and_zero_is_none() {
    let sa = sa(&format!(
        "add 192.0.2.1 192.0.2.2 esp 0x10001 -lh 3600 -ls 3000 -bh 1000000 -bs 0 {KEY};"
    ));
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let hard = Lifetime {
        octets: Some(1_000_000),
        since_added: seconds(3600),
        ..Lifetime::default()
    };
    let soft = Lifetime {
        since_added: seconds(3000),
        ..Lifetime::default()
    };
    assert_eq!(sa.config.lifetimes, Lifetimes { hard, soft });
}

#[test]
fn an_sa_with_nothing_said_has_the_defaults() {
    let sa = sa(&format!("add 192.0.2.1 192.0.2.2 esp 0x10001 {KEY};"));
    let config = &sa.config;
    assert_eq!(config.mode, SaMode::Any);
    assert_eq!(config.sequence.form, Sequence::Short);
    assert_eq!(
        config.sequence.window.map(|window| window.packets()),
        Some(1024)
    );
    assert_eq!(sa.runtime.next_sequence(), 1);
    assert_eq!((config.encapsulation, config.reqid), (None, 0));
    assert_eq!(config.dont_fragment, DontFragmentRule::Copy);
    assert!(config.selector.is_none());
}

#[test]
fn windows_are_octets_with_r_and_none_with_zero() {
    let window = |extension: &str| {
        let sa = sa(&format!(
            "add 192.0.2.1 192.0.2.2 esp 0x10001 {extension} {KEY};"
        ));
        sa.config.sequence.window.map(|window| window.packets())
    };
    assert_eq!(window("-r 4"), Some(32));
    assert_eq!(window("-r 0"), None);
    assert_eq!(window("-window 65536"), Some(65_536));
}

#[test]
fn every_suite_of_the_language_reaches_the_engine() {
    let key = |octets: usize| "11".repeat(octets);
    for suite in sealway_crypto::Suite::all() {
        let name = suite.encryption().name();
        let mut algorithms = match suite.key_octets() {
            0 => format!("-E {name}"),
            octets => format!("-E {name} 0x{}", key(octets)),
        };
        if let Some(authentication) = suite.authentication() {
            let name = match authentication.name() {
                "hmac-sha1-96" => "hmac-sha1",
                "hmac-sha2-256-128" => "hmac-sha2-256",
                "hmac-sha2-384-192" => "hmac-sha2-384",
                "hmac-sha2-512-256" => "hmac-sha2-512",
                _ => "aes-xcbc-mac",
            };
            algorithms += &format!(" -A {name} 0x{}", key(authentication.key_octets()));
        }
        let sa = sa(&format!("add ::1 ::2 esp 0x10001 {algorithms};"));
        assert_eq!(sa.config.suite, suite);
    }
}

#[test]
fn policies_say_what_setkey_says() {
    let policies = policies(
        "spdadd 10.0.0.0/8 10.9.0.1-10.9.0.7 any -P out prio high ipsec
             esp/transport//use esp/tunnel/192.0.2.1[4500]-192.0.2.2[4500]/unique:7;
         spdadd 10.0.0.0/8[53] 10.9.0.0/16[1024-65535] udp -P in none;
         spdadd ::/0 ::/0 icmp6 135,0-3 -P fwd prio def - 5 discard;",
    );
    let [protect, bypass, discard] = policies.as_slice() else {
        panic!("{policies:?}");
    };
    assert_eq!(
        (protect.direction, protect.priority),
        (Direction::Out, 1 << 30)
    );
    let Action::Protect(templates) = &protect.action else {
        panic!("{protect:?}");
    };
    assert_eq!(
        (templates[0].mode, templates[0].level),
        (Mode::Transport, Level::Use)
    );
    assert_eq!(
        templates[1].to_string(),
        "esp/tunnel/192.0.2.1-192.0.2.2/unique:7"
    );
    assert_eq!(
        (bypass.direction, bypass.priority),
        (Direction::In, 1 << 31)
    );
    assert_eq!(
        bypass.selector.to_string(),
        "10.0.0.0/8 10.9.0.0/16 udp 53,1024-65535"
    );
    assert_eq!(bypass.action, Action::Bypass);
    assert_eq!(discard.selector.to_string(), "::/0 ::/0 icmp6 135,0-3");
    assert_eq!(
        (discard.action.clone(), priority_of(discard)),
        (Action::Discard, -5)
    );
}

#[test]
fn default_level_means_require() {
    let policies = policies("spdadd ::1 ::2 any -P out ipsec esp/transport;");
    let Action::Protect(templates) = &policies[0].action else {
        panic!("{policies:?}");
    };
    assert_eq!(templates[0].level, Level::Require);
}

#[test]
fn any_with_ports_means_the_protocols_that_have_ports() {
    let add = "spdadd 10.0.0.1 10.0.0.2[80] any -P out none;";
    let upper: Vec<_> = policies(add)
        .iter()
        .map(|p| p.selector.to_string())
        .collect();
    let expected = ["tcp", "udp", "33", "132", "136"]
        .map(|name| format!("10.0.0.1/32 10.0.0.2/32 {name} any,80"));
    assert_eq!(upper, expected);
    let delete = "spddelete 10.0.0.1 10.0.0.2[80] any -P out;";
    assert_eq!(policies(&format!("{add} {delete}")), []);
}

#[test]
fn spdupdate_replaces_whatever_its_priority_or_adds() {
    let updated = policies(
        "spdadd ::1 ::2 any -P out prio 5 none; spdadd ::1 ::2 any -P out prio 6 none;
         spdupdate ::1 ::2 any -P out prio 7 discard; spdupdate ::3 ::4 any -P out none;",
    );
    let priorities: Vec<_> = updated.iter().map(priority_of).collect();
    assert_eq!(priorities, [7, 0]);
}

#[test]
fn deleteall_takes_what_lies_between_two_addresses() {
    let mut control = control();
    let add = |ends: &str, spi: u32| format!("add {ends} esp {spi} {KEY};");
    let script = [
        add("192.0.2.1 192.0.2.2", 256),
        add("192.0.2.1 192.0.2.2", 257),
        add("192.0.2.3 192.0.2.2", 258),
        "deleteall 192.0.2.1 192.0.2.2; deleteall 192.0.2.7 192.0.2.8;".into(),
    ];
    run(&mut control, &script.concat());
    let left: Vec<_> = control
        .tables()
        .sad
        .iter()
        .map(|sa| sa.config.id.spi.value())
        .collect();
    assert_eq!(left, [258]);
    run(&mut control, "deleteall 192.0.2.3 192.0.2.2 esp;");
    assert_eq!(control.tables().sad.iter().len(), 0);
}

#[test]
fn an_sa_may_be_replaced_in_one_transaction() {
    let mut control = control();
    let add = format!("add ::1 ::2 esp 256 {KEY};");
    run(&mut control, &add);
    run(&mut control, &format!("delete ::1 ::2 esp 256; {add}"));
    run(&mut control, &format!("flush esp; {add} flush ah;"));
    assert_eq!(control.tables().sad.iter().len(), 1);
}

#[test]
fn questions_before_the_first_change_see_what_was_and_others_what_is() {
    let mut control = control();
    let add = format!("add ::1 ::2 esp 256 -lh 60 -bs 999 {KEY};");
    let said = run(
        &mut control,
        &format!("dump; {add} get ::1 ::2 esp 256; spddump;"),
    );
    let expected = "No SAD entries.\n::1 ::2 \n\tesp mode=any spi=256(0x00000100) \
                    reqid=0(0x00000000)\n\tE: aes-gcm-16  ******** ******** ******** ******** ********\n\
                    \tseq=0x00000000 replay=1024 state=mature \n\tdiff: 0(s)\thard: 60(s)\tsoft: 0(s)\n\
                    \tused: 0(s)\thard: 0(s)\tsoft: 0(s)\n\
                    \tcurrent: 0(bytes)\thard: 0(bytes)\tsoft: 999(bytes)\n\
                    \tallocated: 0\thard: 0\tsoft: 0\n\
                    No SPD entries.\n";
    assert_eq!(said, expected);
}

#[test]
fn what_follows_exit_is_not_applied() {
    assert_eq!(policies("exit; spdadd ::1 ::2 any -P out none;"), []);
}

#[test]
fn a_policy_dump_reads_back_as_its_selector_and_action() {
    let mut control = control();
    run(
        &mut control,
        "spdadd 10.0.0.1[0-0] 10.0.0.2[80] tcp -P in prio 3 none;
         spdadd ::/0 ::/0 icmp6 1,any -P out prio -3 discard;",
    );
    let expected = "::/0[any] ::/0[any] icmp6 1,any\n\tout prio def - 3 discard\n\tspid=1 packets=0\n\
                    10.0.0.1/32[0-0] 10.0.0.2/32[80] tcp\n\tin prio def + 3 none\n\tspid=0 packets=0\n";
    assert_eq!(run(&mut control, "spddump;"), expected);
}

#[test]
fn the_manuals_examples_are_taken_by_the_daemon() {
    let manual = include_str!("../../../../../../docs/setkey.md");
    let examples: Vec<&str> = manual
        .split("```setkey\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(examples.len() > 2);
    for example in examples {
        let dump = run(&mut control(), &format!("{example}\ndump; spddump;"));
        assert!(!dump.is_empty());
    }
}

#[test]
fn a_nat_is_between_the_ends_if_an_address_says_so() {
    let before = |end: &str| {
        sa(&format!("add 192.0.2.1 192.0.2.2 {end} {KEY};"))
            .config
            .before_nat
    };
    let ends = |source: &str, destination: &str| {
        Some((source.parse().unwrap(), destination.parse().unwrap()))
    };
    assert_eq!(before("esp-udp 0x10001"), None);
    assert_eq!(before("esp-udp 192.0.2.1 0x10001"), None);
    assert_eq!(
        before("esp-udp 10.0.0.7 0x10001"),
        ends("10.0.0.7", "192.0.2.2")
    );
    let natt = "esp 0x10001 -natt 10.0.0.7[4500] 10.0.0.8[4501]";
    assert_eq!(before(natt), ends("10.0.0.7", "10.0.0.8"));
}

#[test]
fn what_is_examined_is_not_applied() {
    let control = control();
    let texts = sources(&[&format!(
        "add ::1 ::2 esp 256 {KEY}; delete ::1 ::2 esp 257;"
    )]);
    let warnings = examine(&control.tables(), &texts).unwrap();
    assert_eq!(warnings.count(), 1);
    assert_eq!(control.tables().sad.iter().len(), 0);
    assert!(examine(&control.tables(), &sources(&["add;"])).is_err());
}
