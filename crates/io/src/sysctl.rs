//! The switches under `/proc/sys/net` of the calling thread's network namespace.

use std::fs;
use std::io;

/// A switch could not be read or set.
#[derive(Debug, thiserror::Error)]
#[error("the switch net/{path} could not be {done}: {error}")]
pub struct Error {
    path: String,
    done: &'static str,
    /// What the kernel said.
    #[source]
    pub error: io::Error,
}

/// Sets a switch, such as `ipv4/ip_forward` to `1`.
pub fn set(path: &str, value: &str) -> Result<(), Error> {
    fs::write(format!("/proc/sys/net/{path}"), value).map_err(|error| Error {
        path: path.to_owned(),
        done: "set",
        error,
    })
}

/// Reads a switch, without the line's end.
pub fn read(path: &str) -> Result<String, Error> {
    let text = fs::read_to_string(format!("/proc/sys/net/{path}"));
    text.map(|text| text.trim_end().to_owned())
        .map_err(|error| Error {
            path: path.to_owned(),
            done: "read",
            error,
        })
}
