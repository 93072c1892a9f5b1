#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| sealway_fuzz_targets::run("xfrm", octets));
