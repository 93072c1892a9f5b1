//! `[run]`: what only `sealway run` reads.

use std::net::IpAddr;

use sealway_setkey::Diagnostic;
use toml::Spanned;

use super::file;
use super::{unicast, wrong};

/// Whom a command asks for names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Name servers, in the order in which they are asked; none: names are not resolved.
    pub servers: Vec<IpAddr>,
    /// Domains that short names are looked for in.
    pub search: Vec<String>,
}

pub(super) fn names(run: &file::Run) -> Result<Option<Names>, Box<Diagnostic>> {
    let Some(servers) = &run.resolv else {
        return match run.search.as_deref() {
            Some([first, ..]) => Err(wrong(
                first.span().into(),
                "domains to search in need name servers: name them in `resolv`",
            )),
            Some([]) | None => Ok(None),
        };
    };
    let search = run.search.iter().flatten().map(domain);
    Ok(Some(Names {
        servers: servers.iter().map(unicast).collect::<Result<_, _>>()?,
        search: search.collect::<Result<_, _>>()?,
    }))
}

fn domain(name: &Spanned<String>) -> Result<String, Box<Diagnostic>> {
    let text = name.get_ref();
    let taken = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
    if (1..254).contains(&text.len()) && text.bytes().all(taken) {
        return Ok(text.clone());
    }
    let message = format!("{text:?} is no domain: expected one such as \"example.org\"");
    Err(wrong(name.span().into(), message))
}
