//! Publishes grids whose content follows from their frame id, for trying clients out and testing
//! them.
//!
//! ```text
//! publish SOCKET [--grids N] [--every-us N] [--slots N] [--dims X Y Z] [--first-frame N]
//!         [--no-confidence] [--commands] [--mode OCTAL] [--group GID] [--everyone]
//!         [--allow-uid UID]... [--allow-gid GID]... [--protect]
//! ```
//!
//! The last two lines are who may read: mode and group of the socket, and who is given the segment. `--protect` makes the
//! process undumpable, as a writer is whose grids mean something.
//!
//! Without `--commands` it publishes `--grids` grids (0: without end), one every `--every-us`
//! microseconds, and ends. With `--commands` it reads numbers from its standard input, one a line,
//! publishes that many grids and prints the sequence of the newest; it ends when its input does.
//! It prints `ready` when clients can connect.
//!
//! Byte `i` of the labels of frame `f` is byte `i % 8` (little-endian) of
//! `mix(f << 32 | i / 8)`; of its confidences, of `mix(f << 32 | 1 << 31 | i / 8)`. [`mix`] is
//! `SplitMix64`: no two frames agree over a few bytes, so any mixture of two is seen. [`record`] gives
//! every field of a grid's record, [`description`] those of the stream.
#![allow(clippy::print_stdout, reason = "it tells whoever started it how far it is")]

use occdepth_ring::{
    Access, Axes, CalibrationState, Class, Degradation, GridGeometry, GridRecord, Health,
    RectifiedCamera, RigError, StageTimes, StreamDescription, Writer, WriterOptions,
};
use std::error::Error;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let description = description(arguments.dims, arguments.confidence);
    let options = WriterOptions {
        slot_count: arguments.slots,
        socket_mode: arguments.mode,
        socket_group: arguments.group,
        access: arguments.access.clone(),
        // Grids of no meaning need no protection, and a tester may want a debugger.
        protect_process: arguments.protect,
        ..WriterOptions::new(&arguments.socket)
    };
    let mut publisher = Publisher {
        writer: Writer::create(&description, &options)?,
        frame_id: arguments.first_frame,
        every: Duration::from_micros(arguments.every_us),
        labels: vec![0; voxels(arguments.dims)],
        confidence: arguments.confidence.then(|| vec![0; voxels(arguments.dims)]),
    };
    say("ready")?;
    if arguments.commands {
        for line in std::io::stdin().lock().lines() {
            let newest = publisher.publish(line?.trim().parse()?)?;
            say(&newest.to_string())?;
        }
    } else {
        let grids = if arguments.grids == 0 { u64::MAX } else { arguments.grids };
        publisher.publish(grids)?;
    }
    Ok(())
}

struct Publisher {
    writer: Writer,
    frame_id: u64,
    every: Duration,
    labels: Vec<u8>,
    confidence: Option<Vec<u8>>,
}

impl Publisher {
    /// Publishes `grids` grids and returns the sequence of the last; 0 when there is none.
    fn publish(&mut self, grids: u64) -> Result<u64, Box<dyn Error>> {
        let mut due = Instant::now();
        let mut sequence = 0;
        for _ in 0..grids {
            fill(&mut self.labels, self.frame_id << 32);
            if let Some(confidence) = &mut self.confidence {
                fill(confidence, self.frame_id << 32 | 1 << 31);
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due += self.every;
            let record = record(self.frame_id);
            sequence = self.writer.publish(&record, &self.labels, self.confidence.as_deref())?;
            self.frame_id += 1;
        }
        Ok(sequence)
    }
}

/// Every field of a record, all of them following from the frame id.
fn record(frame_id: u64) -> GridRecord {
    GridRecord {
        frame_id,
        left_capture_time_ns: frame_id * 1_000 + 1,
        right_capture_time_ns: frame_id * 1_000 + 18,
        stages: StageTimes {
            capture_ns: frame_id + 100,
            rectify_ns: frame_id + 200,
            infer_ns: frame_id + 300,
            label_ns: frame_id + 400,
            publish_ns: 0,
            watch_ns: frame_id + 500,
        },
        health: Health::Degraded,
        degradation: Degradation::LATE | Degradation::from_bits(1 << 60),
        calibration: CalibrationState::Suspect,
        epipolar_error_px: (!frame_id.is_multiple_of(4)).then_some(frame_id as f64 / 8.0),
        rig_error: (!frame_id.is_multiple_of(4)).then_some(RigError {
            pitch_rad: frame_id as f64 / 1024.0,
            roll_rad: frame_id as f64 / -512.0,
            focal: frame_id as f64 / 128.0,
        }),
    }
}

fn description(dims: [u32; 3], confidence: bool) -> StreamDescription {
    StreamDescription {
        stream: "front".into(),
        producer: "ring publish example".into(),
        grid: GridGeometry {
            axes: Axes::ForwardLeftUp,
            frame: "ego".into(),
            origin_m: [0.0, -25.6, -2.0],
            voxel_size_m: 0.2,
            dims,
        },
        rectified_from_ego: [
            [0.0, -1.0, 0.0, 0.06],
            [0.0, 0.0, -1.0, -0.08],
            [1.0, 0.0, 0.0, -0.27],
            [0.0, 0.0, 0.0, 1.0],
        ],
        rectified: RectifiedCamera {
            fx_px: 707.0,
            fy_px: 707.5,
            cx_px: 601.75,
            cy_px: 183.25,
            width_px: 1220,
            height_px: 370,
        },
        classes: vec![
            Class { id: 0, name: "empty".into(), colour: [0, 0, 0] },
            Class { id: 1, name: "car".into(), colour: [100, 150, 245] },
            Class { id: 254, name: "Straßenbahn".into(), colour: [255, 254, 253] },
        ],
        confidence,
        trained: true,
        network_sha256: counting(|i| i),
        engine_sha256: counting(|i| 255 - i),
    }
}

fn counting(byte: impl Fn(u8) -> u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    (0..).zip(&mut bytes).for_each(|(i, target)| *target = byte(i));
    bytes
}

fn voxels(dims: [u32; 3]) -> usize {
    dims.into_iter().map(|dim| dim as usize).product()
}

fn fill(bytes: &mut [u8], first: u64) {
    for (state, chunk) in (first..).zip(bytes.chunks_mut(8)) {
        chunk.copy_from_slice(&mix(state).to_le_bytes()[..chunk.len()]);
    }
}

/// `SplitMix64`.
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Prints a line at once, also into a pipe.
fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

struct Arguments {
    socket: PathBuf,
    grids: u64,
    every_us: u64,
    slots: u32,
    dims: [u32; 3],
    first_frame: u64,
    confidence: bool,
    commands: bool,
    mode: u32,
    group: Option<u32>,
    access: Access,
    protect: bool,
}

impl Arguments {
    fn parse(mut given: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut arguments = Self {
            socket: given.next().ok_or("usage: publish SOCKET [options]; see the source")?.into(),
            grids: 0,
            every_us: 100_000,
            slots: 4,
            dims: [5, 3, 7],
            first_frame: 1,
            confidence: true,
            commands: false,
            mode: 0o660,
            group: None,
            access: Access::default(),
            protect: false,
        };
        while let Some(option) = given.next() {
            match option.as_str() {
                "--grids" => arguments.grids = number(&option, &mut given)?,
                "--every-us" => arguments.every_us = number(&option, &mut given)?,
                "--slots" => arguments.slots = number(&option, &mut given)?,
                "--dims" => {
                    for dim in &mut arguments.dims {
                        *dim = number(&option, &mut given)?;
                    }
                }
                "--first-frame" => arguments.first_frame = number(&option, &mut given)?,
                "--no-confidence" => arguments.confidence = false,
                "--commands" => arguments.commands = true,
                "--mode" => {
                    let digits = given.next().ok_or("--mode lacks a number")?;
                    arguments.mode = u32::from_str_radix(&digits, 8)?;
                }
                "--group" => arguments.group = Some(number(&option, &mut given)?),
                "--everyone" => arguments.access.everyone = true,
                "--allow-uid" => arguments.access.uids.push(number(&option, &mut given)?),
                "--allow-gid" => arguments.access.gids.push(number(&option, &mut given)?),
                "--protect" => arguments.protect = true,
                _ => return Err(format!("unknown option {option}").into()),
            }
        }
        Ok(arguments)
    }
}

fn number<T: FromStr<Err: Error + 'static>>(
    option: &str,
    given: &mut impl Iterator<Item = String>,
) -> Result<T, Box<dyn Error>> {
    let text = given.next().ok_or_else(|| format!("{option} lacks a number"))?;
    Ok(text.parse()?)
}
