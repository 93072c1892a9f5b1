//! Build and test commands.
#![forbid(unsafe_code)]

fn main() {
    println!("xtask");
}
