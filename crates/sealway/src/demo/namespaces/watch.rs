//! The link between the gateways, watched by a thread.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, anyhow};
use pcap_file::DataLink;
use sealway_io::capture::{Capture, Frame};
use sealway_io::namespace::Namespace;
use sealway_io::netlink::Netlink;
use sealway_io::poll;
use sealway_io::readiness::{Wake, Woken};

use crate::demo::tally::{Recorder, Tally};

/// Octets that may wait to be looked at: what several streams of a demo send. The kernel takes them
/// from its memory only when they wait.
const BUFFER: usize = 512 << 20;
/// Octets of an Ethernet header.
const ETHERNET: usize = 14;

/// The thread that looks at every frame.
pub(super) struct Watch {
    stop: Arc<Wake>,
    thread: JoinHandle<Result<Tally>>,
}

impl Watch {
    /// Starts to watch the interface of this name; every frame also goes into `pcap`, if given.
    pub(super) fn start(
        namespace: &Namespace,
        interface: &'static str,
        tally: Tally,
        pcap: Option<&Path>,
    ) -> Result<Watch> {
        let capture = namespace
            .run(move || -> Result<Capture> {
                let index = Netlink::open()?.link(interface)?.index;
                Ok(Capture::open(index, BUFFER)?)
            })
            .context("cannot capture between the gateways")?;
        let recorder = pcap
            .map(|path| Recorder::create(path, DataLink::ETHERNET))
            .transpose()?;
        let stop = Arc::new(Wake::new()?);
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || watch(capture, tally, recorder, &stopped))?;
        Ok(Watch { stop, thread })
    }

    /// Looks at what is still there and ends.
    pub(super) fn finish(self) -> Result<Tally> {
        self.stop.wake();
        match self.thread.join() {
            Ok(tally) => tally,
            Err(_) => Err(anyhow!("the thread that watches the link panicked")),
        }
    }
}

fn watch(
    mut capture: Capture,
    mut tally: Tally,
    mut recorder: Option<Recorder>,
    stop: &Wake,
) -> Result<Tally> {
    loop {
        let mut fds = [
            poll::readable(capture.as_fd()),
            poll::readable(stop.as_fd()),
        ];
        poll::wait(&mut fds, None)?;
        // A frame is in the queue before its sender goes on: who asked us to stop has seen the last.
        let stopped = stop.clear();
        while let Some(frame) = capture.read().context("cannot capture")? {
            look(&frame, &mut tally, recorder.as_mut())?;
        }
        if stopped == Woken::Yes {
            break;
        }
    }
    tally.set_missed(capture.statistics()?.dropped);
    recorder.map_or(Ok(()), Recorder::finish)?;
    Ok(tally)
}

fn look(frame: &Frame<'_>, tally: &mut Tally, recorder: Option<&mut Recorder>) -> Result<()> {
    if let Some(recorder) = recorder {
        let time = frame.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        recorder.record(frame.octets, time)?;
    }
    tally.see(frame.octets.get(ETHERNET..).unwrap_or(&[]));
    Ok(())
}
