//! Changing a running daemon, and looking at it.

use serde_json::json;

use crate::host::{POLICIES, SAS, TUNNEL, done, exchange, for_host, hosts, nothing_arrives, until};

#[test]
fn flushed_sas_stop_the_traffic_and_new_ones_let_it_go_on() {
    let (left, right) = hosts();
    let a = left.up(
        &for_host(1, TUNNEL),
        &(SAS.to_owned() + &for_host(1, POLICIES)),
    );
    let b = right.up(
        &for_host(2, TUNNEL),
        &(SAS.to_owned() + &for_host(2, POLICIES)),
    );
    let (here, there) = (left.socket("10.1.0.1:4000"), right.socket("10.2.0.1:4000"));
    exchange(&here, &there, b"before");
    done(&a.setkey("flush;"));
    nothing_arrives(&here, &there);
    assert_eq!(a.dropped("no_sa_out"), 1);
    let fresh = SAS
        .replace("0x1000", "0x2000")
        .replace("-m tunnel", "-m tunnel -esn");
    done(&a.setkey(&fresh));
    done(&b.setkey(&fresh));
    exchange(&here, &there, b"after");
    assert_eq!(a.show("sa")[0]["spi"], 0x20001);
    assert_eq!(a.show("sa")[0]["esn"], true);
}

#[test]
fn a_refused_script_changes_nothing_and_says_where_it_is_wrong() {
    let (left, _right) = hosts();
    let a = left.up(&for_host(1, TUNNEL), SAS);
    let output = a.setkey("flush;\nadd 192.0.2.1 192.0.2.2 esp 0x10003 -E aes-gcm-16 0x0011;\n");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("control.setkey:2:51"), "{said}");
    assert!(
        said.contains("takes a key of 20, 28 or 36 octets"),
        "{said}"
    );
    assert!(!said.contains("0011"), "{said}");
    assert_eq!(a.show("sa").as_array().unwrap().len(), 2);
}

#[test]
fn setkey_speaks_as_setkey_does() {
    let (left, _right) = hosts();
    let a = left.up(
        &for_host(1, TUNNEL),
        &(SAS.to_owned() + &for_host(1, POLICIES)),
    );
    let dump = done(&a.run(&["setkey", "-D"]));
    assert!(
        dump.starts_with(
            "192.0.2.1 192.0.2.2 \n\tesp mode=tunnel spi=65537(0x00010001) reqid=0(0x00000000)\n"
        ),
        "{dump}"
    );
    assert!(dump.contains("E: aes-gcm-16  ******** ******** "), "{dump}");
    assert!(
        done(&a.run(&["setkey", "-D", "--keys", "--yes"])).contains("E: aes-gcm-16  00010203 ")
    );
    let policies = done(&a.run(&["setkey", "-DP"]));
    assert!(policies.starts_with("10.1.0.0/24[any] 10.2.0.0/24[any] any\n\tout prio def ipsec\n\tesp/tunnel/192.0.2.1-192.0.2.2/require\n"), "{policies}");
    done(&a.run(&["setkey", "-FP"]));
    assert_eq!(done(&a.run(&["setkey", "-DP"])), "No SPD entries.\n");
    done(&a.run(&["setkey", "-F"]));
    assert_eq!(done(&a.run(&["setkey", "-D"])), "No SAD entries.\n");
}

#[test]
fn setkeys_flags_do_what_setkey_does() {
    let (left, _right) = hosts();
    let a = left.up(&for_host(1, TUNNEL), SAS);
    let file = left.write("more.setkey", "delete ::1 ::2 esp 256;\nflush;\n");
    let file = file.to_str().unwrap();
    let output = a.run(&["setkey", "-n", "-v", "-f", file]);
    assert_eq!(done(&output), "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("delete ::1 ::2 esp 0x00000100;\nflush;\nwarning: there is no esp ::2"),
        "{said}"
    );
    let dump = done(&a.run(&["setkey", "-D"]));
    assert!(dump.contains("0x00010001") && dump.contains("0x00010002"));
    assert_eq!(done(&a.run(&["setkey", "-D", "-a", "-k"])), dump);
    assert_eq!(a.run(&["setkey", "-D", "--keys"]).status.code(), Some(1));
    done(&a.run(&["setkey", "-f", file]));
    assert_eq!(done(&a.run(&["setkey", "-D"])), "No SAD entries.\n");
}

#[test]
fn a_script_of_ip_xfrm_works() {
    let (left, _right) = hosts();
    let a = left.up(&for_host(1, TUNNEL), "");
    let words = "xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x10001 mode tunnel aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 128";
    let command = |words: &str, socket: &std::path::Path| {
        let mut words: Vec<&str> = words.split(' ').collect();
        words.splice(1..1, ["--control", socket.to_str().unwrap()]);
        crate::host::sealway().args(&words).output().unwrap()
    };
    assert_eq!(done(&command(words, &a.control)), "");
    let batch = left.write(
        "site.xfrm",
        "xfrm policy add src 10.1.0.0/24 dst 10.2.0.0/24 dir out tmpl src 192.0.2.1 dst 192.0.2.2 proto esp mode tunnel\nxfrm policy list\n",
    );
    let listed = done(&command(
        &format!("xfrm -batch {}", batch.display()),
        &a.control,
    ));
    assert!(
        listed.starts_with("src 10.1.0.0/24 dst 10.2.0.0/24\n\tdir out priority 0\n"),
        "{listed}"
    );
    let output = command("xfrm state add mode beet", &a.control);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("command:1:16"), "{said}");
    assert_eq!(a.show("sa").as_array().unwrap().len(), 1);
}

#[test]
fn show_prints_tables_and_json() {
    let (left, _right) = hosts();
    let script = SAS.replace("esp 0x10001", "esp-udp 0x10001 -u 7 -window 64");
    let a = left.up(&for_host(1, TUNNEL), &(script + &for_host(1, POLICIES)));
    let sas = a.show("sa");
    assert_eq!(
        sas[0],
        json!({
            "source": "192.0.2.1", "destination": "192.0.2.2", "protocol": "esp", "spi": 65537,
            "mode": "tunnel", "suite": "aes-128-gcm-16", "packets": 0, "bytes": 0, "sequence": 1,
            "reqid": 7, "replay_window": 64, "esn": false,
            "encapsulation": {"source": 4500, "destination": 4500}, "peer": null, "selector": null,
            "received": 0,
            "restart": {
                "kept": false, "exact": false, "loses": ["sequence", "replay"],
                "sent_up_to": null, "accepted_up_to": null,
            },
            "lifetime": {
                "since_added": sas[0]["lifetime"]["since_added"], "since_used": null,
                "hard": {"bytes": null, "packets": null, "since_added": null, "since_used": null},
                "soft": {"bytes": null, "packets": null, "since_added": null, "since_used": null},
            },
        })
    );
    let policies = a.show("policy");
    assert_eq!(policies[0]["direction"], "out");
    assert_eq!(policies[0]["selector"]["source"], "10.1.0.0/24");
    assert_eq!(
        policies[0]["templates"],
        json!(["esp/tunnel/192.0.2.1-192.0.2.2/require"])
    );
    let mut devices = a.show("device");
    let offloads = devices[0].as_object_mut().unwrap().remove("offloads");
    let offloads = offloads.unwrap();
    // "uso" is refused before Linux 6.2.
    for (place, name) in [(0, "checksum"), (1, "tso4"), (2, "tso6"), (4, "coalesce")] {
        assert_eq!(offloads[place], json!({"name": name, "state": "on"}));
    }
    assert_eq!(offloads[3]["name"], "uso");
    for (place, name) in [(0, "gso"), (1, "gro")] {
        assert_eq!(
            devices[1]["offloads"][place],
            json!({"name": name, "state": "on"})
        );
    }
    assert_eq!(
        devices[0],
        json!({
            "role": "inside", "name": "seal0", "mtu": 1400, "port": null,
            "addresses": ["10.1.0.1/24", "fd00:1::1/64"], "routes": ["10.2.0.0/24", "fd00:2::/64"],
        })
    );
    assert_eq!(devices[1]["port"], 4500);
    let stats = a.show("stats");
    assert_eq!(
        stats["drops"].as_object().unwrap().len(),
        sealway_core::DropReason::ALL.len()
    );
    for what in ["sa", "policy", "device"] {
        let table = done(&a.run(&["show", what]));
        assert!(
            table.contains("192.0.2.1") || what == "policy" && table.contains("10.1.0.0/24"),
            "{table}"
        );
    }
    let all = done(&a.run(&["show", "stats", "--all"]));
    assert!(all.contains("XfrmInStateSeqError"), "{all}");
    assert!(!done(&a.run(&["show", "stats"])).contains("XfrmInStateSeqError"));
}

#[test]
fn keys_for_wireshark_are_not_printed_unasked() {
    let (left, _right) = hosts();
    let a = left.up(&for_host(1, TUNNEL), SAS);
    let output = a.run(&["show", "sa", "--wireshark"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().contains("--yes"));
    let table = done(&a.run(&["show", "sa", "--wireshark", "--yes"]));
    let line = r#""IPv4","192.0.2.1","192.0.2.2","0x00010001","AES-GCM with 16 octet ICV [RFC4106]","0x000102030405060708090a0b0c0d0e0f10111213","NULL","""#;
    assert_eq!(table.lines().next(), Some(line));
}

#[test]
fn an_sa_ends_at_its_hard_limit_and_says_so() {
    let (left, right) = hosts();
    let limited = SAS.replacen("-m tunnel", "-m tunnel -bh 3000 -bs 1500", 1);
    let mut a = left.up(&for_host(1, TUNNEL), &(limited + &for_host(1, POLICIES)));
    let _b = right.up(
        &for_host(2, TUNNEL),
        &(SAS.to_owned() + &for_host(2, POLICIES)),
    );
    let (here, there) = (left.socket("10.1.0.1:4000"), right.socket("10.2.0.1:4000"));
    exchange(&here, &there, &[1; 100]);
    assert_eq!(a.show("sa")[0]["lifetime"]["hard"]["bytes"], 3000);
    let shown = done(&a.setkey("dump;"));
    assert!(
        shown.contains("hard: 3000(bytes)\tsoft: 1500(bytes)"),
        "{shown}"
    );
    assert!(done(&a.run(&["show", "sa"])).contains("(soft 1500, hard 3000)"));
    for _ in 0..4 {
        here.send_to(&[2; 1000], there.local_addr().unwrap())
            .unwrap();
    }
    a.wait_for("has reached its soft limit of octets");
    a.wait_for("has reached its hard limit of octets and ends");
    until(|| a.show("sa").as_array().unwrap().len() == 1);
    here.send_to(b"too late", there.local_addr().unwrap())
        .unwrap();
    until(|| a.dropped("no_sa_out") > 0);
}
