//! What passes one of the router's devices, kept.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::net::if_::if_nametoindex;
use sealway_io::capture::{Capture, Direction};

use crate::frame::EspFrame;
use crate::host::Namespace;
use crate::peer::in_namespace;

/// Octets that may wait in the kernel.
const BUFFER: usize = 64 << 20;
/// The first octets of addresses inside, on both sides.
const INSIDE: [[u8; 2]; 4] = [[10, 1], [10, 2], [0xfd, 0], [0xfd, 1]];

/// A frame, and which way it went.
pub(super) type Frame = (Direction, Vec<u8>);

/// Keeps every frame until it is stopped.
pub(super) struct Recorder {
    frames: Receiver<Frame>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Recorder {
    /// Starts on this device.
    pub(super) fn start(namespace: &Namespace, device: &str) -> Result<Self> {
        let mut capture = in_namespace(namespace.name(), || -> Result<Capture> {
            let index = if_nametoindex(device)?;
            Ok(Capture::open(index, BUFFER)?)
        })?
        .with_context(|| format!("cannot capture on {device}"))?;
        let (kept, frames) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !told.load(Relaxed) {
                while let Some(frame) = capture.read()? {
                    let _ = kept.send((frame.direction, frame.octets.to_vec()));
                }
                thread::sleep(Duration::from_millis(1));
            }
            ensure!(
                capture.statistics()?.dropped == 0,
                "the capture has lost frames"
            );
            Ok(())
        });
        Ok(Self {
            frames,
            stop,
            thread: Some(thread),
        })
    }

    /// The frames since the last time.
    pub(super) fn take(&self) -> Vec<Frame> {
        self.frames.try_iter().collect()
    }

    /// The last frames. An error if some are missing.
    pub(super) fn stop(mut self) -> Result<Vec<Frame>> {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            result.map_err(|_| anyhow::anyhow!("the recorder panicked"))??;
        }
        Ok(self.take())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How many frames that went this way show an address inside.
pub(super) fn clear(frames: &[Frame], way: Direction) -> usize {
    let shows = |octets: &[u8]| {
        let starts: [usize; 2] = match octets.get(12..14) {
            Some([0x08, 0x00]) => [14 + 12, 14 + 16],
            Some([0x86, 0xdd]) => [14 + 8, 14 + 24],
            _ => return false,
        };
        let is_inside = |at: usize| {
            octets
                .get(at..at + 2)
                .is_some_and(|start| INSIDE.iter().any(|inside| inside == start))
        };
        starts.into_iter().any(is_inside)
    };
    frames
        .iter()
        .filter(|(direction, octets)| *direction == way && shows(octets))
        .count()
}

/// The ESP that went this way.
pub(super) fn esp(frames: &[Frame], way: Direction) -> Vec<EspFrame> {
    frames
        .iter()
        .filter(|(direction, _)| *direction == way)
        .filter_map(|(_, octets)| EspFrame::parse(octets))
        .collect()
}

/// How many of these have an SPI and an IV of so many octets that another one has. An SPI stands for
/// one key, and in one row only: what is never so in a row is never so in all captures.
pub(super) fn repeated_ivs(frames: &[EspFrame], octets: usize) -> usize {
    let ivs: HashSet<(u32, &[u8])> = frames
        .iter()
        .map(|frame| (frame.spi(), frame.iv(octets)))
        .collect();
    frames.len() - ivs.len()
}
