//! Datagrams of IKE, between the worker, which has the port, and the clients that asked for them.

use std::net::SocketAddr;

use sealway_wire::esp::NON_ESP_MARKER;

use super::clients::{self, Client};
use super::{Daemon, report};
use crate::daemon::protocol::{Datagram, Reply};
use crate::daemon::worker::{self, ike};
use crate::show::report::Event;

/// The longest message: with its marker it must fit a UDP datagram over IPv4.
const LONGEST: usize = 65_507 - NON_ESP_MARKER.len();

impl Daemon {
    /// Has the worker hand on what comes in as long as somebody wants it.
    pub(super) fn listen_for_ike(&mut self, clients: &[Client]) {
        let hearing = match clients.iter().any(Client::wants_ike) {
            true => ike::Hearing::KeyManager,
            false => ike::Hearing::Nobody,
        };
        if hearing != self.ike_hearing {
            self.ike_hearing = hearing;
            self.worker.ask(worker::Request::HearIke(hearing));
        }
    }

    /// Hands what came in to those who asked for it. Strangers sent it: who is slow to read is given
    /// none before he is kept from hearing what we have to tell.
    pub(super) fn hand_over_ike(&mut self, clients: &mut [Client]) {
        for datagram in std::mem::take(&mut self.ike) {
            let event = Event::Ike {
                source: report::place(datagram.source),
                destination: report::place(datagram.destination),
                data: hex::encode(&datagram.message),
            };
            let line = clients::line(&event);
            let wanting = clients.iter_mut().filter(|client| client.wants_ike());
            if wanting.filter_map(|client| client.offer(&line)).count() == 0 {
                datagram.place.was_in_vain();
            }
        }
    }

    /// Has a client's datagram sent.
    pub(super) fn send_ike(&mut self, asked: &Datagram) -> Reply {
        let destination = SocketAddr::new(asked.destination.address, asked.destination.port);
        if !self.outside.contains(&asked.source) {
            return Reply::error(format!(
                "{} is no address of the outside: choose one of those in [[outside]]",
                asked.source
            ));
        }
        if asked.source.is_ipv4() != destination.is_ipv4() || destination.port() == 0 {
            return Reply::error(format!(
                "nothing can be sent from {} to {destination}",
                asked.source
            ));
        }
        let Some(message) = hex::decode(&asked.data)
            .ok()
            .filter(|message| message.len() <= LONGEST)
        else {
            return Reply::error(format!(
                "data is to be hexadecimal, of at most {LONGEST} octets"
            ));
        };
        let Some(place) = self.ike_out.take() else {
            return Reply::error("too many datagrams wait to be sent: try again");
        };
        self.worker.ask(worker::Request::Ike(ike::Datagram {
            source: SocketAddr::new(asked.source, 0),
            destination,
            message,
            place,
        }));
        Reply::ok(())
    }
}
