//! What the text of `ip xfrm` says: setkey's tree where that has words for it.

use std::net::IpAddr;

use sealway_core::sad::Lifetimes;
use sealway_setkey::{Add, Protocol, Selector, Spanned, SpdDelete, SpdEntry};

/// One command, in the words of the manual of ip-xfrm(8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// `state add`, `state update`.
    State(Box<Add>, Lifetimes, How),
    /// `state delete`.
    DeleteState(StateId),
    /// `state deleteall`, of what lies between two addresses.
    DeleteStates(IpAddr, IpAddr),
    /// `state flush`.
    FlushStates(Option<Protocol>),
    /// `state get`.
    GetState(StateId),
    /// `state list`.
    ListStates,
    /// `state count`.
    CountStates,
    /// `policy add`, `policy update`.
    Policy(Box<SpdEntry>, How),
    /// `policy delete`.
    DeletePolicy(Box<SpdDelete>),
    /// `policy flush`.
    FlushPolicies,
    /// `policy get`.
    GetPolicy(Box<SpdDelete>),
    /// `policy list`.
    ListPolicies,
    /// `policy count`.
    CountPolicies,
}

/// What becomes of one that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// `add`: then it is an error.
    Add,
    /// `update`: it is replaced.
    Update,
}

/// What names an SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateId {
    /// Need not be said.
    pub(crate) source: Option<Spanned<IpAddr>>,
    pub(crate) destination: Spanned<IpAddr>,
    pub(crate) protocol: Spanned<Protocol>,
    pub(crate) spi: Spanned<u32>,
}

/// A selector where none is said.
pub(crate) fn anything(selector: &Selector) -> bool {
    use sealway_setkey::{Addresses, Upper};
    let all = |addresses| matches!(addresses, Addresses::Prefix { length: 0, .. });
    all(selector.source.addresses.value)
        && all(selector.destination.addresses.value)
        && selector.upper.value == Upper::Any
}
