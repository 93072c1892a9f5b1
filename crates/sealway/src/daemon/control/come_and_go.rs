//! Devices of ours that somebody removes: they are made again.

use anyhow::bail;

use super::{Daemon, worker};
use crate::daemon::devices;
use crate::daemon::worker::Role;
use crate::show::report::Event;

impl Daemon {
    /// The worker misses a device, and says so about once a second. Everything else goes on.
    ///
    /// # Errors
    /// If devices cannot be made any more: in `sealway run`, whose rights are gone.
    pub(super) fn make_device_again(&mut self, role: Role) -> anyhow::Result<()> {
        let Some(name) = self.name_of(role) else {
            return Ok(());
        };
        let Some(perimeter) = &mut self.perimeter else {
            bail!("the device {name} was removed");
        };
        let is_news = !self.missing.contains(&role);
        if is_news {
            self.missing.push(role);
            tracing::warn!("somebody removed the device {name}: it is made again");
            self.news.push(told(role, &name, "gone"));
        }
        let netlink = self.network.netlink();
        let config = self.files.config();
        let mtu = self.picture.mtu;
        let made = devices::make_again(role, &self.own, config, netlink, mtu)
            .and_then(|()| perimeter.follow(netlink));
        match made {
            Ok(()) => {
                self.missing.retain(|missing| *missing != role);
                self.worker.ask(worker::Request::IsBack(role));
                tracing::info!("the device {name} is there again");
                self.news.push(told(role, &name, "back"));
            }
            Err(error) if is_news => {
                tracing::error!("{error:#}; it is tried again every second");
            }
            Err(error) => tracing::debug!("{error:#}"),
        }
        Ok(())
    }

    fn name_of(&self, role: Role) -> Option<String> {
        let tun = match role {
            Role::Inside => &self.own.inside,
            Role::Clear => self.own.clear.as_ref()?.tun(),
        };
        Some(tun.name().to_owned())
    }
}

fn told(role: Role, name: &str, state: &str) -> Event {
    Event::Device {
        device: role.name().into(),
        name: name.into(),
        state: state.into(),
    }
}
