use super::*;
use findings::Finding;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// The kinds found in a file of this name, each with its line and column.
fn found(name: &str, text: &str) -> Vec<(&'static str, usize, usize)> {
    let report = report(name, text);
    let place = |finding: Finding| (finding.kind, finding.line, finding.column);
    report.findings.into_iter().map(place).collect()
}

fn report(name: &str, text: &str) -> Report {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(name);
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let script = directory.path().join("site.setkey");
    if script != file {
        fs::write(&script, SOUND).unwrap();
    }
    files::check(&file).report()
}

const SOUND: &str =
    "add 192.0.2.1 192.0.2.2 esp 0x10001 -E aes-gcm-16 0x000102030405060708090a0b0c0d0e0f10111213;
spdadd 10.1.0.0/16 10.2.0.0/16 any -P out ipsec esp/tunnel/192.0.2.1-192.0.2.2/require;
";

const CONFIGURATION: &str = "[[inside]]\ndevice = \"seal0\"\n[[outside]]\naddresses = [\"192.0.2.1\"]\n[policy]\nsetkey = [\"site.setkey\"]\n";

#[test]
fn a_sound_script_has_nothing_to_be_told_of() {
    assert_eq!(found("site.setkey", SOUND), []);
    assert_eq!(found("site.conf", SOUND), []);
}

#[test]
fn a_policy_behind_another_that_takes_its_traffic_is_shadowed() {
    let narrow = "spdadd 10.1.9.0/24 10.2.0.1 tcp -P out discard;\n";
    assert_eq!(
        found("a.setkey", &(SOUND.to_owned() + narrow)),
        [("shadowed", 3, 1)]
    );
    let first = narrow.replace("out", "out prio 1");
    assert_eq!(found("a.setkey", &(SOUND.to_owned() + &first)), []);
    let other_way = narrow.replace("out", "in");
    assert_eq!(found("a.setkey", &(SOUND.to_owned() + &other_way)), []);
}

#[test]
fn levels_that_leak_and_templates_without_an_sa_are_told() {
    let lax = "spdadd 192.0.2.1 192.0.2.2 udp -P out ipsec esp/transport//use;\n";
    assert_eq!(
        found("a.setkey", &(SOUND.to_owned() + lax)),
        [("leak", 3, 1)]
    );
    let alone = "spdadd 192.0.2.1 192.0.2.3 udp -P in ipsec esp/transport//require;\n";
    assert_eq!(
        found("a.setkey", &(SOUND.to_owned() + alone)),
        [("no_sa", 3, 1)]
    );
}

#[test]
fn a_key_that_two_sas_have_is_told() {
    let twice = "add 192.0.2.2 192.0.2.1 esp 0x10001 -E aes-gcm-16 0x000102030405060708090a0b0c0d0e0f10111213;\n";
    assert_eq!(
        found("a.setkey", &(SOUND.to_owned() + twice)),
        [("key_used_twice", 3, 1)]
    );
}

#[test]
fn a_configuration_is_checked_with_its_scripts() {
    let report = report("sealway.toml", CONFIGURATION);
    // The script was written with the rights of the test's umask.
    let kinds: Vec<_> = report.findings.iter().map(|f| f.kind).collect();
    assert!(
        kinds.iter().all(|kind| *kind == "readable_keys"),
        "{kinds:?}"
    );
    assert_eq!(report.default.as_deref(), Some("discard"));
    assert_eq!((report.policies, report.sas), (1, 1));
    assert_ne!(report.worst(), Some(Severity::Error));
    let open = CONFIGURATION.to_owned() + "default = \"bypass\"\n";
    let report = super::tests::report("sealway.toml", &open);
    let default = report
        .findings
        .iter()
        .find(|f| f.kind == "default")
        .unwrap();
    assert_eq!((default.line, default.column), (7, 11));
}

#[test]
fn what_cannot_be_used_is_an_error_with_its_place() {
    let wrong = |name, text: &str| {
        let report = report(name, text);
        assert_eq!(report.worst(), Some(Severity::Error));
        report
            .findings
            .into_iter()
            .map(|f| (f.kind, f.line, f.column))
            .collect::<Vec<_>>()
    };
    assert_eq!(wrong("a.setkey", "flush;\nadd ::1;\n"), [("script", 2, 8)]);
    let misspelt = CONFIGURATION.replace("device", "devise");
    assert_eq!(wrong("a.toml", &misspelt), [("configuration", 2, 1)]);
    let missing = CONFIGURATION.replace("site.setkey", "nowhere.setkey");
    assert_eq!(wrong("a.conf", &missing), [("unreadable", 6, 11)]);
    let nothing = files::check(std::path::Path::new("/nowhere/at/all"));
    assert_eq!(nothing.report().worst(), Some(Severity::Error));
    assert_eq!(
        nothing.render(Colour::Never),
        "error: cannot read /nowhere/at/all: No such file or directory (os error 2)\n"
    );
}

#[test]
fn keys_that_others_may_read_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.setkey");
    fs::write(&file, SOUND).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let report = files::check(&file).report();
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].kind, "readable_keys");
    let shown = files::check(&file).render(Colour::Never);
    assert!(!shown.contains("000102"), "{shown}");
    assert!(shown.contains("chmod 600"), "{shown}");
}
