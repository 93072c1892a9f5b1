//! Files that are wrong: told with file, line and column, and nothing is opened.

use crate::host::{TUNNEL, for_host, hosts};

#[test]
fn a_mistake_in_the_configuration_is_underlined() {
    let (left, _right) = hosts();
    let said = left.refused(&for_host(1, TUNNEL).replace("device", "devise"), "");
    assert!(said.contains("sealway.toml:3:1"), "{said}");
    assert!(said.contains("did you mean `device`?"), "{said}");
    assert_eq!(left.interfaces(), ["lo", "veth"]);
}

#[test]
fn a_missing_script_is_told_where_it_is_named() {
    let (left, _right) = hosts();
    let said = left.refused(
        &for_host(1, TUNNEL).replace("site.setkey", "sight.setkey"),
        "",
    );
    assert!(
        said.contains("cannot read sight.setkey: No such file or directory"),
        "{said}"
    );
    assert!(said.contains("sealway.toml:11:11"), "{said}");
}

#[test]
fn a_mistake_in_a_script_is_underlined_and_nothing_is_opened() {
    let (left, _right) = hosts();
    let said = left.refused(
        &for_host(1, TUNNEL),
        "add 192.0.2.1 192.0.2.2 esp 255 -E null -A hmac-sha1 0x00;",
    );
    assert!(said.contains("site.setkey:1:29"), "{said}");
    assert!(said.contains("below 256"), "{said}");
    assert_eq!(left.interfaces(), ["lo", "veth"]);
}
