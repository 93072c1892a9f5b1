//! `setkey -D -l`: one line for each SA, again and again, as ipsec-tools prints it.

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use crate::daemon::client;
use crate::daemon::protocol::{KeyDisplay, Request, What};
use crate::show::{self, report};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks until it is interrupted.
///
/// # Errors
/// What went wrong, as a sentence.
pub(super) fn run(socket: &Path) -> anyhow::Result<ExitCode> {
    let request = Request::Show {
        what: What::Sa,
        keys: KeyDisplay::Masked,
    };
    loop {
        let sas: Vec<report::Sa> = client::ask(socket, &request)?;
        show::emit(&lines(&sas))?;
        thread::sleep(PAUSE);
    }
}

fn lines(sas: &[report::Sa]) -> String {
    let header = "p s spi      packets    bytes        src -> dst\n".to_owned();
    sas.iter().fold(header, |text, sa| {
        // ESP and mature: there is nothing else.
        let line = format!(
            "e M {:08x} {:<10} {:<12} {} -> {}\n",
            sa.spi, sa.packets, sa.bytes, sa.source, sa.destination
        );
        text + &line
    })
}
