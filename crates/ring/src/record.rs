//! What is said of one grid: the producer's record, and what publication adds to it.

/// What the producer says of one grid. Times are `CLOCK_MONOTONIC` nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GridRecord {
    /// The producer's number of the stereo pair; a gap is a pair without a grid.
    pub frame_id: u64,
    /// When the left image was captured, ns.
    pub left_capture_time_ns: u64,
    /// When the right image was captured, ns.
    pub right_capture_time_ns: u64,
    /// How long each stage took.
    pub stages: StageTimes,
    /// The producer's judgement of itself when it made this grid.
    pub health: Health,
    /// What is degraded; empty when nothing is.
    pub degradation: Degradation,
    /// Whether the calibration of the rig still fits the images.
    pub calibration: CalibrationState,
    /// How far points lie from their epipolar line in the rectified images: root mean square over the image of
    /// a robust fit to matched points, pixels; `None` when it was not measured. (`Some(NaN)` cannot be told from `None` on the wire.)
    pub epipolar_error_px: Option<f64>,
    /// How the right camera sits against where the calibration has it; `None` when it was not measured.
    /// (One with a NaN in it cannot be told from `None` on the wire.)
    pub rig_error: Option<RigError>,
}

/// How the right camera of a rig sits against where its calibration has it, as the images show it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RigError {
    /// Rotation about the right camera's x axis (to the right), radians.
    pub pitch_rad: f64,
    /// Rotation about its z axis (forward), radians.
    pub roll_rad: f64,
    /// Right focal length over left one, minus what the calibration says: 0.005 is half a per cent.
    pub focal: f64,
}

impl RigError {
    pub(crate) const UNKNOWN: Self =
        Self { pitch_rad: f64::NAN, roll_rad: f64::NAN, focal: f64::NAN };

    pub(crate) fn is_known(&self) -> bool {
        ![self.pitch_rad, self.roll_rad, self.focal].iter().any(|value| value.is_nan())
    }
}

impl GridRecord {
    /// Capture time of the right image minus that of the left image, ns; saturates.
    pub fn skew_ns(&self) -> i64 {
        let skew = i128::from(self.right_capture_time_ns) - i128::from(self.left_capture_time_ns);
        i64::try_from(skew).unwrap_or(if skew < 0 { i64::MIN } else { i64::MAX })
    }
}

/// How long each stage of the pipeline took for one grid, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// From the exposure of the images to the pair in the pipeline's hands.
    pub capture_ns: u64,
    /// Camera pixels to network input.
    pub rectify_ns: u64,
    /// A look at the rectified pair for signs that the calibration no longer fits; 0 of writers before ABI
    /// 1.1, which counted it to rectification.
    pub watch_ns: u64,
    /// Network input to logits.
    pub infer_ns: u64,
    /// Logits to labels.
    pub label_ns: u64,
    /// Labels to the slot: checksum and copy. The writer measures it; what a producer sets here is
    /// replaced.
    pub publish_ns: u64,
}

/// How the producer judged itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Health {
    /// Not judged, or a judgement of a newer minor version.
    #[default]
    Unknown,
    /// All as configured.
    Ok,
    /// Grids are valid, but something is not as configured: see [`Degradation`].
    Degraded,
    /// Grids should not be relied on.
    Failing,
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
        })
    }
}

impl Health {
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Unknown => 0,
            Self::Ok => 1,
            Self::Degraded => 2,
            Self::Failing => 3,
        }
    }

    pub(crate) fn from_code(code: u32) -> Self {
        match code {
            1 => Self::Ok,
            2 => Self::Degraded,
            3 => Self::Failing,
            _ => Self::Unknown,
        }
    }
}

/// Whether the calibration still fits the images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CalibrationState {
    /// Not measured, or a state of a newer minor version.
    #[default]
    Unknown,
    /// The epipolar error is within its bounds.
    Ok,
    /// The epipolar error has grown: the rig may have moved.
    Suspect,
    /// The images no longer fit the calibration; grids are wrong.
    Lost,
}

impl CalibrationState {
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Unknown => 0,
            Self::Ok => 1,
            Self::Suspect => 2,
            Self::Lost => 3,
        }
    }

    pub(crate) fn from_code(code: u32) -> Self {
        match code {
            1 => Self::Ok,
            2 => Self::Suspect,
            3 => Self::Lost,
            _ => Self::Unknown,
        }
    }
}

/// A set of flags that say what is degraded. Bits that this version does not know are kept.
///
/// ```
/// use occdepth_ring::Degradation;
/// let flags = Degradation::LATE | Degradation::THERMAL_LIMIT;
/// assert!(flags.contains(Degradation::LATE));
/// assert_eq!(flags.names().collect::<Vec<_>>(), ["late", "thermal limit"]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Degradation(u64);

impl Degradation {
    /// Nothing is degraded.
    pub const NONE: Self = Self(0);
    /// Frames were dropped since the previous grid.
    pub const FRAMES_DROPPED: Self = Self(1 << 0);
    /// The grid was published later than its budget allows.
    pub const LATE: Self = Self(1 << 1);
    /// The board limits its clocks because of heat.
    pub const THERMAL_LIMIT: Self = Self(1 << 2);
    /// The board limits its clocks because of power.
    pub const POWER_LIMIT: Self = Self(1 << 3);
    /// Another engine runs than the one configured (a CPU for a GPU).
    pub const ENGINE_SUBSTITUTED: Self = Self(1 << 4);
    /// Another precision runs than the one configured (FP32 for FP16).
    pub const PRECISION_SUBSTITUTED: Self = Self(1 << 5);
    /// The capture times of the pair are further apart than configured.
    pub const SKEW_EXCEEDED: Self = Self(1 << 6);
    /// A camera delivered a faulty image, or was restarted, since the previous grid.
    pub const CAMERA_FAULT: Self = Self(1 << 7);
    /// A camera is lost, or being opened again: no pairs come, or have only just begun to. Since ABI 1.1.
    pub const SOURCE_INTERRUPTED: Self = Self(1 << 8);
    /// For long nothing has shown whether the calibration still fits. Since ABI 1.1.
    pub const CALIBRATION_UNPROVEN: Self = Self(1 << 9);

    /// The flags of these bits, as `ABI.md` numbers them.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits, as `ABI.md` numbers them.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether every flag of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no flag is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Names of the flags that are set and known, for people.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        const NAMES: [&str; 10] = [
            "frames dropped",
            "late",
            "thermal limit",
            "power limit",
            "engine substituted",
            "precision substituted",
            "skew exceeded",
            "camera fault",
            "source interrupted",
            "calibration unproven",
        ];
        NAMES.into_iter().enumerate().filter(move |(bit, _)| self.0 >> bit & 1 == 1).map(|(_, n)| n)
    }
}

impl std::ops::BitOr for Degradation {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for Degradation {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// How a writer is, whether or not it publishes grids: see [`Writer::report`](crate::Writer::report).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterStatus {
    /// When it said so, `CLOCK_MONOTONIC` ns: with every grid, and several times a second while it waits for its cameras;
    /// not while it computes a grid.
    pub time_ns: u64,
    /// Its judgement of itself.
    pub health: Health,
    /// What is degraded; the lower 56 flags.
    pub degradation: Degradation,
}

impl WriterStatus {
    /// Health and degradation in one word, so that no reader sees one without the other.
    pub(crate) fn encode(health: Health, degradation: Degradation) -> u64 {
        u64::from(health.code()) | degradation.bits() << 8
    }

    /// What the two words of the control block say; `None` when the writer has said nothing.
    pub(crate) fn decode(time_ns: u64, status: u64) -> Option<Self> {
        #[allow(clippy::cast_possible_truncation, reason = "the lowest byte is wanted")]
        let health = Health::from_code(u32::from(status as u8));
        let degradation = Degradation::from_bits(status >> 8);
        (time_ns != 0).then_some(Self { time_ns, health, degradation })
    }

    /// How long ago that was at `now_ns` (`CLOCK_MONOTONIC`), ns; saturates at 0.
    pub fn age_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.time_ns)
    }
}

/// A grid's record as it stands in the ring: the producer's part and what publication added.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PublishedGrid {
    /// Number of the grid in its segment, from 1, without gaps.
    pub sequence: u64,
    /// When the grid was published, `CLOCK_MONOTONIC` ns.
    pub publish_time_ns: u64,
    /// `CLOCK_REALTIME` minus `CLOCK_MONOTONIC` at publication, ns: add it to any time of this
    /// record for wall time (nanoseconds since the Unix epoch).
    pub wall_offset_ns: i64,
    /// CRC-32 of labels, confidences and record; see `ABI.md`.
    pub checksum: u32,
    /// The producer's part.
    pub record: GridRecord,
}

impl PublishedGrid {
    /// Wall time of a time of this record, ns since the Unix epoch; saturates.
    ///
    /// ```
    /// let grid = occdepth_ring::PublishedGrid { wall_offset_ns: -3, ..Default::default() };
    /// assert_eq!(grid.wall_time_ns(10), 7);
    /// ```
    pub fn wall_time_ns(&self, time_ns: u64) -> u64 {
        time_ns.saturating_add_signed(self.wall_offset_ns)
    }

    /// Age of the images at `now_ns` (`CLOCK_MONOTONIC`, see [`monotonic_now_ns`]), counted from the
    /// earlier of the two captures, ns; saturates at 0.
    ///
    /// [`monotonic_now_ns`]: crate::monotonic_now_ns
    pub fn age_ns(&self, now_ns: u64) -> u64 {
        let captured = self.record.left_capture_time_ns.min(self.record.right_capture_time_ns);
        now_ns.saturating_sub(captured)
    }
}
