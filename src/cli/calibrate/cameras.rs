//! Pairs from live cameras, with words for whoever holds the board.

use super::Arguments;
use crate::cli::camera::devices;
use crate::cli::{Failure, output, setup};
use occdepth::calibrate::live::{self, CollectError, Look, Next};
use occdepth::capture::FrameSource as _;
use occdepth_calibration::board::Board;
use occdepth_calibration::collector::{Collector, Verdict};
use occdepth_calibration::coverage::{COLUMNS, Coverage, ROWS};
use occdepth_geometry::ImageSize;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Keeps pairs in the folder until nothing is wanting, or a signal comes.
pub(super) fn collect(
    cameras: &[PathBuf],
    arguments: &Arguments,
    board: Board,
) -> Result<(), Failure> {
    let folder = empty_folder(&arguments.keep)?;
    let mut source = devices::open(cameras, &arguments.mode)?;
    let stop = setup::stop_on_signals()?;
    let size = source.description().size;
    let mut collector = Collector::new(board, size);
    let mut prompter = Prompter::new(arguments.json);
    prompter.say(&format!(
        "{}: {}x{}. Hold the board still in front of both cameras, then elsewhere, tilted, near and far. Ctrl-C ends.",
        source.description().name,
        size.width,
        size.height
    ))?;
    live::collect(&mut source, &mut collector, |look| {
        if let Some(look) = look {
            if look.verdict == Verdict::Kept {
                save(folder, look.collector.pairs().len(), look.pictures, size)?;
            }
            prompter.tell(&look)?;
            if look.collector.coverage().wanting().is_empty() {
                return Ok(Next::Stop);
            }
        } else {
            prompter.silence()?;
        }
        Ok(if stop.load(Ordering::Relaxed) { Next::Stop } else { Next::Continue })
    })
    .map_err(|Ended(failure)| failure)?;
    let kept = collector.pairs().len();
    if kept == 0 {
        return Err(Failure::work(format!("no pair was kept: {}", prompter.last)));
    }
    prompter.say(&format!("{kept} pairs are in {}", folder.display()))
}

/// Made when it is not there.
fn empty_folder(folder: &Path) -> Result<&Path, Failure> {
    let failed = |error: std::io::Error| {
        Failure::configuration(format!("--keep {}", folder.display())).because(error)
    };
    fs::create_dir_all(folder).map_err(failed)?;
    if fs::read_dir(folder).map_err(failed)?.next().is_some() {
        let context =
            format!("--keep {}: found files in it, expected an empty folder", folder.display());
        return Err(Failure::configuration(context).hint(
            "name another folder, or calibrate from the pairs in it: occdepth calibrate FOLDER",
        ));
    }
    Ok(folder)
}

fn save(
    folder: &Path,
    number: usize,
    pictures: [&[u8]; 2],
    size: ImageSize,
) -> Result<(), Failure> {
    for (view, rgb) in ["left", "right"].into_iter().zip(pictures) {
        let path = folder.join(format!("{view}{number:03}.png"));
        output::write_png(&path, rgb, size.width, size.height)?;
    }
    Ok(())
}

/// A failure on the way out of the collecting loop.
struct Ended(Failure);

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl From<CollectError> for Ended {
    fn from(error: CollectError) -> Self {
        Self(Failure::work("the cameras failed").because(error))
    }
}

/// Says what changes, at most once a second, and every pair that is kept.
struct Prompter {
    /// Machine-readable output is the report only.
    quiet: bool,
    last: String,
    said: Option<Instant>,
}

impl Prompter {
    fn new(quiet: bool) -> Self {
        Self { quiet, last: "the cameras delivered none".to_owned(), said: None }
    }

    fn say(&self, line: &str) -> Result<(), Failure> {
        if self.quiet { Ok(()) } else { output::print_line(line) }
    }

    fn tell(&mut self, look: &Look<'_>) -> Result<(), Failure> {
        let coverage = look.collector.coverage();
        let words = match &look.verdict {
            Verdict::Kept => {
                self.last.clear();
                self.said = None;
                return self.say(&progress(coverage));
            }
            Verdict::NotSeen { left: Some(left), right: None } => format!("left image: {left}"),
            Verdict::NotSeen { left: None, right: Some(right) } => format!("right image: {right}"),
            Verdict::NotSeen { left, .. } => match left {
                Some(left) => format!("both images: {left}"),
                None => "the board is not seen".to_owned(),
            },
            Verdict::Moving { .. } => "hold the board still".to_owned(),
            Verdict::Known => match coverage.wanting().first() {
                Some(wanting) => format!("seen already; wanted: {wanting}"),
                None => "seen already".to_owned(),
            },
        };
        self.change(words)
    }

    fn silence(&mut self) -> Result<(), Failure> {
        self.change("the cameras deliver no pairs".to_owned())
    }

    fn change(&mut self, words: String) -> Result<(), Failure> {
        let soon = self.said.is_some_and(|said| said.elapsed() < Duration::from_secs(1));
        if soon || words == self.last {
            return Ok(());
        }
        self.said = Some(Instant::now());
        self.last = words;
        self.say(&self.last)
    }
}

/// A map of both views, and what is still wanting.
fn progress(coverage: &Coverage) -> String {
    let mut text = format!(
        "pair {}: left {:.0} % and right {:.0} % covered\n",
        coverage.pairs(),
        100.0 * coverage.covered(0),
        100.0 * coverage.covered(1)
    );
    for row in 0..ROWS {
        for view in [0, 1] {
            let cell = |column| if coverage.seen(view, column, row) { '#' } else { '.' };
            text += "  ";
            text.extend((0..COLUMNS).map(cell));
        }
        text += "\n";
    }
    match coverage.wanting()[..] {
        [] => text += "  enough",
        ref wanting => {
            for wanted in wanting {
                text += &format!("  wanted: {wanted}\n");
            }
            text.truncate(text.trim_end().len());
        }
    }
    text
}
