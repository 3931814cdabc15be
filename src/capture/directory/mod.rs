//! Stereo pairs from image files.
//!
//! Two layouts: KITTI's (`image_2`, `image_3`, `times.txt`), where files pair by name and the number in
//! the name is the line of the times file, or any two globs, where files pair by sorted order. PNG and
//! JPEG. The pixels delivered are always [`PixelFormat::Rgb8`], and the decoding happens on a thread of
//! its own, a few pairs ahead, into buffers that are reused.
//!
//! Networks need colour. A grey file is an error unless [`Grey::Replicate`] says otherwise, because a
//! grey picture in three equal channels is a guess that a network trained on colour was never asked for.
//!
//! Whatever can be known from the names, the times and the first pair's headers is refused at opening;
//! a file that turns out to be damaged later costs its own pair ([`CaptureError::Fault`]).
//!
//! ```no_run
//! use occdepth::capture::directory::{Directory, DirectoryOptions, PairFiles, Times};
//! use occdepth::capture::{Capture, FrameSource};
//! use std::time::Duration;
//!
//! let options = DirectoryOptions::new(PairFiles::Kitti("sequences/08".into()), Times::Recorded);
//! let mut source = Directory::open(&options)?;
//! while let Capture::Frame(frame) = source.next(Duration::from_secs(1))? {
//!     println!("{} ns, missed {}", frame.left_stamp.time_ns, frame.dropped);
//! }
//! # Ok::<(), occdepth::capture::CaptureError>(())
//! ```

mod decode;
mod listing;
mod times;

use super::replay::{PairBuffer, PairMaker, Replay};
use super::{
    Capture, CaptureError, FrameSource, Pacing, PixelFormat, SourceDescription, YuvEncoding,
};
use decode::Decoder;
pub use decode::{FileError, read_grey8, read_rgb8};
use listing::{Listing, Pair};
use occdepth_geometry::ImageSize;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;
use times::Timeline;
pub use times::{TimesError, parse_times};

/// A replay of image files.
#[derive(Debug)]
pub struct Directory {
    replay: Replay,
}

impl Directory {
    /// Lists the files, reads the times, looks at the first pair and starts reading ahead.
    ///
    /// The timeline starts with the first call of [`FrameSource::next`].
    ///
    /// # Errors
    ///
    /// [`CaptureError::Open`] when a directory or file cannot be read;
    /// [`CaptureError::Configuration`] when the options or the files do not fit each other: no files,
    /// different counts, names without partner, too few or not increasing times, sizes that differ
    /// between the views or from the expected one, grey where colour is needed.
    pub fn open(options: &DirectoryOptions) -> Result<Self, CaptureError> {
        let listing = Listing::new(options)?;
        let timeline = Timeline::new(options, &listing)?;
        let pairs = listing.pairs;
        let name = options.pairs.to_string();

        let mut decoder = Decoder::new(options.grey);
        let size = decoder.probe(&pairs[0].left).map_err(at_opening)?;
        let right_size = decoder.probe(&pairs[0].right).map_err(at_opening)?;
        let expected = options.size.unwrap_or(size);
        for (path, found) in [(&pairs[0].left, size), (&pairs[0].right, right_size)] {
            if found != expected {
                let from = if options.size.is_some() { "the rig's" } else { "the left view's" };
                return Err(CaptureError::Configuration {
                    origin: path.display().to_string(),
                    field: "image size",
                    found: format!("{}x{}", found.width, found.height),
                    expected: format!("{}x{}, {from}", expected.width, expected.height),
                });
            }
        }

        let description = SourceDescription {
            name,
            size,
            format: PixelFormat::Rgb8,
            colour: YuvEncoding::default(),
            rate_hz: timeline.rate_hz().filter(|_| options.pacing == Pacing::Clock),
            paced: options.pacing == Pacing::Clock,
        };
        let maker = FileReader { pairs, timeline, decoder, size };
        let replay = Replay::new(
            description,
            options.pacing,
            options.first as u64,
            options.read_ahead.saturating_add(1),
            maker,
        )?;
        Ok(Self { replay })
    }
}

impl FrameSource for Directory {
    fn description(&self) -> &SourceDescription {
        self.replay.description()
    }

    fn next(&mut self, timeout: Duration) -> Result<Capture<'_>, CaptureError> {
        self.replay.next(timeout)
    }
}

/// Which files to replay, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectoryOptions {
    /// The files.
    pub pairs: PairFiles,
    /// When each pair was taken.
    pub times: Times,
    /// Replay at the speed of the times, or as fast as the caller asks.
    pub pacing: Pacing,
    /// What follows the last pair.
    pub at_end: AtEnd,
    /// The first pair to deliver, counted from 0 in sorted order.
    pub first: usize,
    /// The pair to stop before, counted as `first` is; all pairs when absent.
    pub end: Option<usize>,
    /// What to do with grey files.
    pub grey: Grey,
    /// The size that the files must have (the rig's); the first file's when absent.
    pub size: Option<ImageSize>,
    /// Pairs decoded ahead of the caller; memory is `(read_ahead + 1) * 2` images.
    pub read_ahead: usize,
}

impl DirectoryOptions {
    /// Every pair once, at recorded speed, colour only, three pairs ahead.
    pub fn new(pairs: PairFiles, times: Times) -> Self {
        Self {
            pairs,
            times,
            pacing: Pacing::default(),
            at_end: AtEnd::default(),
            first: 0,
            end: None,
            grey: Grey::default(),
            size: None,
            read_ahead: 3,
        }
    }
}

/// Where the files of both views are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairFiles {
    /// A KITTI odometry sequence: `image_2` (left colour) and `image_3` (right colour) with files of
    /// equal, numeric names.
    Kitti(PathBuf),
    /// A folder with files that are named alike but for `left` and `right` (`left01.jpg`, `right01.jpg`), or with subfolders
    /// `left` and `right` that hold files of equal names.
    Folder(PathBuf),
    /// Two globs; their matches, sorted by path, are pairs.
    Globs {
        /// Of the left view.
        left: String,
        /// Of the right view.
        right: String,
    },
}

impl PairFiles {
    /// The files themselves, left and right, in the order of the pairs.
    ///
    /// # Errors
    /// [`CaptureError::Open`] when a directory cannot be read, [`CaptureError::Configuration`] when there are no files or
    /// some have no partner.
    pub fn list(&self) -> Result<Vec<[PathBuf; 2]>, CaptureError> {
        listing::files(self)
    }
}

impl std::fmt::Display for PairFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kitti(root) => write!(f, "KITTI sequence {}", root.display()),
            Self::Folder(root) => write!(f, "image files in {}", root.display()),
            Self::Globs { left, right } => write!(f, "image files {left} and {right}"),
        }
    }
}

/// Where the capture times come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Times {
    /// `times.txt` in the root of a KITTI sequence.
    Recorded,
    /// A file of that form elsewhere: seconds, one line a pair. In the KITTI layout a pair's line is the
    /// number in its name; elsewhere there must be as many lines as pairs.
    File(PathBuf),
    /// No recorded times: this many pairs a second, up to 1000.
    Rate(f64),
}

/// What follows the last pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtEnd {
    /// [`Capture::Ended`].
    #[default]
    Stop,
    /// The first pair again, one mean interval later; time stamps and sequence numbers go on.
    Loop,
}

/// What to do with files that have no colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grey {
    /// An error that names the file.
    #[default]
    Refuse,
    /// The grey value in all three channels.
    Replicate,
}

/// Reads the pairs of a timeline.
#[derive(Debug)]
struct FileReader {
    pairs: Vec<Pair>,
    timeline: Timeline,
    decoder: Decoder,
    size: ImageSize,
}

impl PairMaker for FileReader {
    fn due_ns(&self, index: u64) -> Option<u64> {
        self.timeline.due_ns(index)
    }

    fn make(
        &mut self,
        index: u64,
        pair: &mut PairBuffer,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let files = &self.pairs[self.timeline.position(index)];
        self.decoder.read(&files.left, self.size, &mut pair.left)?;
        self.decoder.read(&files.right, self.size, &mut pair.right)?;
        Ok(())
    }
}

/// The first pair's files: what is wrong with them is wrong with the replay.
fn at_opening(error: FileError) -> CaptureError {
    let origin = error.path().display().to_string();
    match error {
        FileError::Grey { .. } => CaptureError::Configuration {
            origin,
            field: "colour",
            found: "a grey image".into(),
            expected: "colour, or grey = \"replicate\"".into(),
        },
        _ => CaptureError::Open { origin, cause: Box::new(error) },
    }
}

fn open_error(path: &Path, cause: impl Error + Send + Sync + 'static) -> CaptureError {
    CaptureError::Open { origin: path.display().to_string(), cause: Box::new(cause) }
}
