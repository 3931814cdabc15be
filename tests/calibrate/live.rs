//! Collecting from a source that does what cameras do.

use crate::support::{SIZE, board};
use occdepth::calibrate::live::{CollectError, Look, Next, collect};
use occdepth::capture::{
    Capture, CaptureError, FrameSource, Image, PixelFormat, SourceDescription, Stamp, StereoFrame,
    YuvEncoding,
};
use occdepth_calibration::collector::{Collector, Verdict};
use std::time::Duration;

/// What the source does at a call.
#[derive(Clone, Copy, Debug)]
enum Event {
    Pair(usize),
    Silence,
    Fault,
    Lost,
}

#[derive(Debug)]
struct Script {
    description: SourceDescription,
    pictures: Vec<[Vec<u8>; 2]>,
    events: Vec<Event>,
    calls: usize,
}

impl Script {
    fn new(events: &[Event]) -> Self {
        let description = SourceDescription {
            name: "script".to_owned(),
            size: SIZE,
            format: PixelFormat::Grey8,
            colour: YuvEncoding::default(),
            rate_hz: Some(10.0),
            paced: true,
        };
        Self { description, pictures: crate::pictures(2), events: events.to_vec(), calls: 0 }
    }
}

impl FrameSource for Script {
    fn description(&self) -> &SourceDescription {
        &self.description
    }

    fn next(&mut self, _: Duration) -> Result<Capture<'_>, CaptureError> {
        let call = self.calls;
        self.calls += 1;
        let origin = "script".to_owned();
        match self.events.get(call) {
            None => Ok(Capture::Ended),
            Some(Event::Silence) => Ok(Capture::TimedOut),
            Some(Event::Fault) => {
                Err(CaptureError::Fault { origin, sequence: call as u64, cause: "damaged".into() })
            }
            Some(Event::Lost) => Err(CaptureError::Lost { origin, cause: "unplugged".into() }),
            Some(&Event::Pair(index)) => {
                let image = |view: usize| {
                    Image::packed(PixelFormat::Grey8, SIZE, &self.pictures[index][view]).unwrap()
                };
                let stamp = Stamp { time_ns: 100_000_000 * call as u64, sequence: call as u64 };
                Ok(Capture::Frame(StereoFrame {
                    left: image(0),
                    right: image(1),
                    left_stamp: stamp,
                    right_stamp: stamp,
                    dropped: 0,
                    faulty: 0,
                }))
            }
        }
    }
}

#[test]
fn pairs_are_kept_with_their_pictures_until_it_is_enough() {
    use Event::{Fault, Pair, Silence};
    let mut source =
        Script::new(&[Silence, Pair(0), Pair(0), Pair(0), Fault, Pair(1), Pair(1), Pair(0)]);
    let mut collector = Collector::new(board(), SIZE);
    let mut verdicts = Vec::new();
    let mut kept = Vec::new();
    let result: Result<(), CollectError> = collect(&mut source, &mut collector, |look| {
        let Some(look) = look else {
            verdicts.push(None);
            return Ok(Next::Continue);
        };
        if look.verdict == Verdict::Kept {
            kept.push(look.pictures.map(<[u8]>::to_vec));
        }
        verdicts.push(Some(look.verdict));
        Ok(if look.collector.pairs().len() == 2 { Next::Stop } else { Next::Continue })
    });
    result.unwrap();
    assert_eq!(source.calls, 7, "it goes on after it was told to stop");
    assert_eq!(verdicts.len(), 7);
    assert_eq!((&verdicts[0], &verdicts[4]), (&None, &None));
    assert_eq!(verdicts[1], Some(Verdict::Moving { speed_px_s: None }));
    assert_eq!((&verdicts[2], &verdicts[3]), (&Some(Verdict::Kept), &Some(Verdict::Known)));
    assert!(matches!(verdicts[5], Some(Verdict::Moving { speed_px_s: Some(_) })));
    assert_eq!(verdicts[6], Some(Verdict::Kept));
    // The pictures are those of the pairs: grey in three channels.
    assert_eq!(kept.len(), 2);
    for (index, pictures) in kept.iter().enumerate() {
        for (view, rgb) in pictures.iter().enumerate() {
            let grey: Vec<u8> = rgb.as_chunks::<3>().0.iter().map(|[r, ..]| *r).collect();
            assert!(grey == source.pictures[index][view], "pair {index}, view {view}");
        }
    }
}

#[test]
fn a_source_that_ends_or_is_lost_ends_it() {
    let mut collector = Collector::new(board(), SIZE);
    let go_on = |_: Option<Look<'_>>| Ok::<_, CollectError>(Next::Continue);
    let mut source = Script::new(&[Event::Silence]);
    collect(&mut source, &mut collector, go_on).unwrap();
    assert_eq!(source.calls, 2);
    let mut source = Script::new(&[Event::Lost, Event::Pair(0)]);
    let error = collect(&mut source, &mut collector, go_on).unwrap_err();
    assert!(matches!(error, CollectError::Capture(CaptureError::Lost { .. })), "{error}");
    assert_eq!(source.calls, 1);
}
