//! `sealway reload`, `status` and `monitor`: short questions to the running daemon.

mod monitor;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::daemon::client::{self, Error};
use crate::daemon::config::{CONTROL, Diagnosed};
use crate::daemon::protocol::Request;
use crate::show::report::{Reload, Status};
use crate::show::{self, Format};

pub use monitor::run as monitor;

/// What each of them takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// JSON instead of text for people
    #[arg(long)]
    json: bool,
    /// The daemon's control socket
    #[arg(long, value_name = "SOCKET", default_value = CONTROL)]
    control: PathBuf,
}

impl Arguments {
    /// Text for people, from the daemon at this socket.
    pub(crate) fn of(control: PathBuf) -> Self {
        Arguments {
            json: false,
            control,
        }
    }

    fn format(&self) -> Format {
        if self.json {
            Format::Json
        } else {
            Format::Text
        }
    }
}

/// `systemctl status` and every init script since the Linux Standard Base say so.
const NOT_RUNNING: u8 = 3;

/// Has the daemon read its files again.
///
/// # Errors
/// What went wrong, as a sentence or as text that underlines the mistakes; then everything is as it
/// was.
pub fn reload(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let answer = client::ask_warned(&arguments.control, &Request::Reload {});
    let (reload, warning): (Reload, String) = match answer {
        Ok(answer) => answer,
        Err(Error::Refused { message, .. }) if message.starts_with("error: ") => {
            return Err(Diagnosed(message).into());
        }
        Err(error) => return Err(error.into()),
    };
    eprint!("{warning}");
    show::print(&reload, arguments.format(), |reload| {
        format!(
            "SAs: {} kept, {} added, {} removed\npolicies: {} kept, {} added, {} removed",
            reload.sas_kept,
            reload.sas_added,
            reload.sas_removed,
            reload.policies_kept,
            reload.policies_added,
            reload.policies_removed
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Says how the daemon is: exit code 0 if it runs and 3 if it does not.
///
/// # Errors
/// What went wrong, as a sentence.
pub fn status(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let status: Status = match client::ask(&arguments.control, &Request::Status {}) {
        Ok(status) => status,
        Err(error @ Error::NoDaemon(_)) => {
            eprintln!("sealway: {error}");
            return Ok(ExitCode::from(NOT_RUNNING));
        }
        Err(error) => return Err(error.into()),
    };
    show::print(&status, arguments.format(), text)?;
    Ok(ExitCode::SUCCESS)
}

fn text(status: &Status) -> String {
    let devices = status.devices.iter().map(|device| {
        let name = device.name.as_deref().unwrap_or("sockets");
        format!("\n  {}: {name} {}", device.role, device.addresses.join(" "))
    });
    format!(
        "sealway {} runs as process {} for {}\n\
         file: {}, read again {} times\n\
         {} policies, {} SAs; without a policy: {}\n\
         packets: {} sent, {} delivered, {} dropped\n\
         leash: files {}, system calls {}\n\
         devices:{}",
        status.version,
        status.pid,
        duration(status.uptime),
        status.file,
        status.reloads,
        status.policies,
        status.sas,
        status.default,
        status.sent,
        status.delivered,
        status.dropped,
        status.leash.files,
        status.leash.calls,
        devices.collect::<String>()
    )
}

/// `2 days 3:04:05`
fn duration(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    match days {
        0 => clock,
        1 => format!("1 day {clock}"),
        days => format!("{days} days {clock}"),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_are_written_as_people_do() {
        assert_eq!(duration(5), "0:00:05");
        assert_eq!(duration(86_400 + 3_661), "1 day 1:01:01");
        assert_eq!(duration(2 * 86_400), "2 days 0:00:00");
    }
}
