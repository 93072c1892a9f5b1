//! Under loom the engine's files leave their own tests out, which run where they are at home.

fn main() {
    println!("cargo:rustc-cfg=loom");
}
