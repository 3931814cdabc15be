//! What a source says of itself: states, counters, skew.

use super::statistics::Skew;

/// How well a camera, or a source, works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceState {
    /// As configured.
    #[default]
    Running,
    /// Something is not as configured: a stream that is being rebuilt, many damaged images, pairing by less than was
    /// asked for. Pairs that are delivered are valid.
    Degraded,
    /// Nothing can be delivered until a camera comes back.
    Lost,
}

impl std::fmt::Display for SourceState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Running => "running",
            Self::Degraded => "degraded",
            Self::Lost => "lost",
        })
    }
}

/// By what the two images of a pair are found to belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pairing {
    /// The driver's time stamps lie within the permitted skew.
    Timestamp,
    /// The drivers' image counters, whose offset is found from the times. For cameras with a common trigger.
    Sequence,
    /// The moments at which the images reached this process. The last resort: bus and scheduler are in these times.
    Arrival,
    /// Both views are parts of one image.
    OneImage,
}

impl std::fmt::Display for Pairing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Timestamp => "timestamp",
            Self::Sequence => "sequence",
            Self::Arrival => "arrival",
            Self::OneImage => "one image",
        })
    }
}

/// Why the drivers' time stamps are not used although they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mistrust {
    /// A driver gives no time, a time of another clock, or one that is impossible now.
    Unusable,
    /// One driver stamps the start of exposure and the other the end of the frame: up to a frame period apart.
    DifferentMoments,
}

impl std::fmt::Display for Mistrust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unusable => "a driver's time stamps are missing, or not of the monotonic clock",
            Self::DifferentMoments => {
                "one camera stamps the start of exposure, the other the end of the frame"
            }
        })
    }
}

/// The health of a source. All counters run from the opening of the source on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SourceHealth {
    /// The worst of the cameras' states; degraded also when pairs are found by less than was asked for, degraded and
    /// then lost also when both cameras deliver and their images make no pairs.
    pub state: SourceState,
    /// How pairs are found at present; `None` for sources that have pairs from the start.
    pub pairing: Option<Pairing>,
    /// Why the drivers' times are not used at present.
    pub mistrust: Option<Mistrust>,
    /// Pairs delivered.
    pub pairs: u64,
    /// Pairs given up because they had waited too long in the drivers' queues.
    pub stale_pairs: u64,
    /// Pairs by sequence number that the times contradicted: not delivered, and the offset found anew.
    pub contradicted_pairs: u64,
    /// Right time minus left time of the delivered pairs, by the times that were asked for: pairs by arrival for want
    /// of anything better are not in it.
    pub skew: Skew,
    /// While there are no pairs although both cameras deliver: the least distance between their images, ns.
    pub nearest_ns: Option<u64>,
    /// How much faster the right camera's frames follow each other than the left's, parts per million; `None` until
    /// enough were seen.
    pub drift_ppm: Option<f64>,
    /// Left and right camera; `None` for sources without. One device with both views is the left camera.
    pub cameras: [Option<CameraHealth>; 2],
}

impl std::fmt::Display for SourceHealth {
    /// One line: "running; 1200 pairs by timestamp; skew 0.31 ms (-1.02 to 1.40, std 0.22); ...".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.state)?;
        let Some(pairing) = self.pairing else { return Ok(()) };
        write!(f, "; {} pairs by {pairing}", self.pairs)?;
        if let Some(why) = self.mistrust {
            write!(f, " ({why})")?;
        }
        if self.skew.count > 0 {
            let ms = |ns: f64| ns / 1e6;
            write!(
                f,
                "; skew {:.2} ms ({:.2} to {:.2}, std {:.2})",
                ms(self.skew.mean_ns),
                ms(self.skew.min_ns as f64),
                ms(self.skew.max_ns as f64),
                ms(self.skew.std_ns())
            )?;
        }
        if let Some(nearest_ns) = self.nearest_ns {
            write!(f, "; no pairs: images are {:.2} ms apart at best", nearest_ns as f64 / 1e6)?;
        }
        if let Some(drift) = self.drift_ppm {
            write!(f, "; drift {drift:.1} ppm")?;
        }
        let counted = [("stale", self.stale_pairs), ("contradicted", self.contradicted_pairs)];
        for (name, count) in counted.into_iter().filter(|(_, count)| *count > 0) {
            write!(f, "; {count} {name}")?;
        }
        let names = if self.cameras[1].is_some() { ["left", "right"] } else { ["camera", ""] };
        for (name, camera) in names.into_iter().zip(&self.cameras) {
            if let Some(camera) = camera {
                write!(f, "; {name} {camera}")?;
            }
        }
        Ok(())
    }
}

/// The health of one camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CameraHealth {
    /// Its state.
    pub state: SourceState,
    /// Images received, damaged ones included.
    pub images: u64,
    /// Images that the driver counted and did not deliver.
    pub dropped: u64,
    /// Holes in the driver's count.
    pub gaps: u64,
    /// Images that the driver flagged as damaged; never lent.
    pub damaged: u64,
    /// Images that were shorter than their format, or did not decode; never lent.
    pub unreadable: u64,
    /// Images that found no partner.
    pub unpaired: u64,
    /// Images given up for newer ones, because the caller was late.
    pub superseded: u64,
    /// Times that the stream was rebuilt, or the camera came back.
    pub recoveries: u64,
    /// What went wrong, by kind.
    pub faults: FaultCounts,
}

impl CameraHealth {
    /// The counters of images by name, for people and machine-readable output.
    pub fn counters(&self) -> [(&'static str, u64); 8] {
        [
            ("images", self.images),
            ("dropped", self.dropped),
            ("gaps", self.gaps),
            ("damaged", self.damaged),
            ("unreadable", self.unreadable),
            ("unpaired", self.unpaired),
            ("superseded", self.superseded),
            ("recoveries", self.recoveries),
        ]
    }

    /// All faults together.
    pub fn fault_total(&self) -> u64 {
        self.faults.counts.iter().sum()
    }
}

impl std::fmt::Display for CameraHealth {
    /// State and every counter that is not zero.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.state)?;
        let faults = Fault::ALL.map(|fault| (fault.name(), self.faults.of(fault)));
        let counted = self.counters().into_iter().chain(faults).filter(|(_, count)| *count > 0);
        for (name, count) in counted {
            write!(f, " {count} {name}")?;
        }
        Ok(())
    }
}

/// The kinds of faults of a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The device is gone, or its node is missing.
    Disconnected,
    /// No good image for too long.
    Silent,
    /// The stream broke while it ran (EIO).
    StreamBroken,
    /// The device or its stream could not be opened or started, a control not be set, or a buffer not be queued.
    Refused,
    /// Another program has the device.
    Busy,
    /// The device delivers another format or size than the source was opened with.
    FormatChanged,
    /// The driver's count went back without a rebuild of the stream.
    SequenceRestarted,
}

impl Fault {
    /// Every kind, in the order of [`FaultCounts`].
    pub const ALL: [Self; 7] = [
        Self::Disconnected,
        Self::Silent,
        Self::StreamBroken,
        Self::Refused,
        Self::Busy,
        Self::FormatChanged,
        Self::SequenceRestarted,
    ];

    /// For people and machine-readable output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Silent => "silent",
            Self::StreamBroken => "stream_broken",
            Self::Refused => "refused",
            Self::Busy => "busy",
            Self::FormatChanged => "format_changed",
            Self::SequenceRestarted => "sequence_restarted",
        }
    }
}

/// One counter per kind of fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    counts: [u64; Fault::ALL.len()],
}

impl FaultCounts {
    /// How often `fault` happened.
    pub fn of(&self, fault: Fault) -> u64 {
        self.counts[fault as usize]
    }

    pub(super) fn count(&mut self, fault: Fault) {
        self.counts[fault as usize] += 1;
    }
}
