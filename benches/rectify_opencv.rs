//! Rectification against OpenCV, in the same run: a 1280x720 YUYV pair to normalised planes, one thread each.
//!
//! ```sh
//! python3 -m venv /tmp/opencv && /tmp/opencv/bin/pip install opencv-python-headless numpy
//! OPENCV_PYTHON=/tmp/opencv/bin/python cargo bench --bench rectify_opencv
//! ```
//!
//! Ours and OpenCV's calls alternate, so that whatever else the machine does falls on both. The table has the median and
//! the least of each, by the clock and by the processor time of the thread (which does not count waiting for a core on a
//! busy machine), against OpenCV's fastest way (`opencv/rectify.py` has ten); in the same rounds, a thread for each view.
//! At the end are the bytes that a pair moves, and how fast this machine copies as many.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench fails by panicking")]
#![allow(clippy::print_stdout, reason = "the report")]

use nalgebra::{Matrix4, Rotation3};
use occdepth::capture::{Image, PixelFormat, Stamp, StereoFrame, YuvEncoding};
use occdepth::rectify::{Rectifier, StereoRectifier};
use occdepth_contract::Normalisation;
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, Distortion, Intrinsics};
use occdepth_geometry::fit::{Fit, NetworkCamera, NetworkCameras};
use occdepth_geometry::rig::StereoRig;
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

fn main() {
    let Some(python) = std::env::var_os("OPENCV_PYTHON") else {
        println!("SKIPPED rectify_opencv: set OPENCV_PYTHON to a Python that has OpenCV");
        return;
    };
    for output in [ImageSize { width: 1220, height: 370 }, ImageSize { width: 1280, height: 720 }] {
        compare(Path::new(&python), output);
    }
}

fn compare(python: &Path, output: ImageSize) {
    let cameras = NetworkCameras::new(&rig(), Fit::Rectify, output).unwrap();
    let (left, right) = (picture(0), picture(37));
    let folder = tempfile::tempdir().unwrap();
    for (side, pixels, camera) in
        [("left", &left, &cameras.left), ("right", &right, &cameras.right)]
    {
        std::fs::write(folder.path().join(format!("{side}.yuyv")), pixels).unwrap();
        let map = camera.map.as_ref().unwrap();
        let bytes: Vec<u8> =
            map.source.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(folder.path().join(format!("{side}.map")), bytes).unwrap();
    }
    let mut opencv = OpenCv::start(python, folder.path(), output);

    let mut rectifier = StereoRectifier::new(
        CAMERA,
        PixelFormat::Yuyv,
        YuvEncoding::default(),
        &cameras,
        &NORMALISATION,
    )
    .unwrap();
    let frame = frame(&left, &right);
    let mut images = vec![0.0_f32; 2 * 3 * output.width as usize * output.height as usize];
    let mut ours = || timed(|| rectifier.rectify(&frame, &mut images).unwrap());

    // Which of OpenCV's ways is the fastest; this warms both up as well.
    let ways = opencv.ways.clone();
    let mut of_ways: Vec<(Times, String)> = ways
        .into_iter()
        .map(|way| {
            let times = (0..20).map(|_| {
                ours();
                opencv.run(&way)
            });
            (Times::of(&times.collect::<Vec<_>>()), way)
        })
        .collect();
    of_ways.sort_by(|a, b| a.0.cpu.median.total_cmp(&b.0.cpu.median));
    let best = of_ways[0].1.clone();

    let mut by_view = [&cameras.left, &cameras.right].map(|camera| {
        let encoding = YuvEncoding::default();
        Rectifier::new(CAMERA, PixelFormat::Yuyv, encoding, camera, output, &NORMALISATION).unwrap()
    });
    let mut other_images = vec![0.0_f32; 2 * by_view[0].values()];
    let (mut our_times, mut opencv_times, mut two_threads) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        our_times.push(ours());
        opencv_times.push(opencv.run(&best));
        let (left, right) = other_images.split_at_mut(by_view[0].values());
        let [of_left, of_right] = &mut by_view;
        two_threads.push(timed(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| of_right.rectify(&frame.right, right).unwrap());
                of_left.rectify(&frame.left, left).unwrap();
            });
        }));
    }
    assert_eq!(images, other_images);
    opencv.run("save");
    let theirs = std::fs::read(folder.path().join("opencv.f32")).unwrap();
    let differences: Vec<f32> = theirs
        .as_chunks::<4>()
        .0
        .iter()
        .zip(&images)
        .map(|(&theirs, ours)| (f32::from_le_bytes(theirs) - ours).abs() * 255.0 * 0.225)
        .collect();
    assert_eq!(differences.len(), images.len());
    let close = differences.iter().filter(|&&difference| difference <= 2.0).count();
    let share = close as f64 / differences.len() as f64;
    assert!(share > 0.999, "only {share} of the values agree to 2 grey levels");

    println!(
        "\n{}x{} from {}x{} YUYV, a pair",
        output.width, output.height, CAMERA.width, CAMERA.height
    );
    println!("OpenCV {}", opencv.version);
    for (times, way) in &of_ways {
        println!(
            "  {way:28} {:6.2} ms ({:.2} of processor time)",
            times.wall.median, times.cpu.median
        );
    }
    let [ours, theirs, two] = [our_times, opencv_times, two_threads].map(|times| Times::of(&times));
    println!(
        "{:>22} {:>10} {:>10} {:>10} {:>10}",
        "ms", "median", "least", "cpu median", "cpu least"
    );
    let row = |name: &str, Times { wall, cpu }: Times| {
        println!(
            "{name:>22} {:>10.2} {:>10.2} {:>10.2} {:>10.2}",
            wall.median, wall.least, cpu.median, cpu.least
        );
    };
    row("occdepth", ours);
    row("OpenCV", theirs);
    row(
        "OpenCV / occdepth",
        Times { wall: theirs.wall.over(ours.wall), cpu: theirs.cpu.over(ours.cpu) },
    );
    println!(
        "{:>22} {:>10.2} {:>10.2}   (a thread started for the second view of every frame)",
        "occdepth, two threads", two.wall.median, two.wall.least
    );
    println!("{share:.6} of the values within 2 grey levels");
    report_bandwidth(&cameras, ours);
}

/// What a pair must move at least: the source rows that its maps show, 8 bytes of table and 12 of planes for each pixel.
fn report_bandwidth(cameras: &NetworkCameras, ours: Times) {
    let of_view = |camera: &NetworkCamera| {
        let map = camera.map.as_ref().unwrap();
        let rows = map.source.iter().map(|[_, y]| f64::from(*y));
        let rows = rows.filter(|y| (0.0..f64::from(CAMERA.height)).contains(y));
        let (first, last) =
            rows.fold((f64::INFINITY, 0.0_f64), |(a, b), y| (a.min(y.floor()), b.max(y.ceil())));
        (last - first + 1.0) * f64::from(2 * CAMERA.width) + 20.0 * map.source.len() as f64
    };
    let bytes = of_view(&cameras.left) + of_view(&cameras.right);
    // A copy reads a half and writes a half of what it moves. Once as large as that, so warm; and once beyond all caches.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some megabytes")]
    let sizes = [("as many bytes, warm", bytes as usize / 2), ("from and to DRAM", 400 << 20)];
    println!(
        "moves {:.1} MB: {:.1} GB/s at the least time",
        bytes / 1e6,
        bytes / 1e6 / ours.wall.least
    );
    for (name, size) in sizes {
        let (source, mut target) = (vec![1_u8; size], vec![0_u8; size]);
        let copies =
            (0..10).map(|_| timed(|| black_box(&mut target).copy_from_slice(black_box(&source))));
        let least = Times::of(&copies.collect::<Vec<_>>()).wall.least;
        println!("memcpy {name}: {:.1} GB/s", 2.0 * size as f64 / 1e6 / least);
    }
}

/// Milliseconds by the clock, and of this thread's processor time.
fn timed(work: impl FnOnce()) -> [f64; 2] {
    let cpu = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 * 1e-6
    };
    let (start, start_cpu) = (Instant::now(), cpu());
    work();
    [start.elapsed().as_secs_f64() * 1e3, cpu() - start_cpu]
}

/// Of many calls.
#[derive(Clone, Copy)]
struct Times {
    wall: Spread,
    cpu: Spread,
}

impl Times {
    fn of(times: &[[f64; 2]]) -> Self {
        let [wall, cpu] = [0, 1].map(|i| {
            let mut times: Vec<f64> = times.iter().map(|time| time[i]).collect();
            times.sort_by(f64::total_cmp);
            Spread { median: times[times.len() / 2], least: times[0] }
        });
        Self { wall, cpu }
    }
}

#[derive(Clone, Copy)]
struct Spread {
    median: f64,
    least: f64,
}

impl Spread {
    fn over(self, other: Self) -> Self {
        Self { median: self.median / other.median, least: self.least / other.least }
    }
}

struct OpenCv {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    version: String,
    ways: Vec<String>,
}

impl OpenCv {
    fn start(python: &Path, folder: &Path, output: ImageSize) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/opencv/rectify.py");
        // Ends by itself when its standard input does.
        #[expect(clippy::zombie_processes, reason = "lives as long as the bench")]
        let mut child = Command::new(python)
            .arg(script)
            .arg(folder)
            .args([CAMERA.width, CAMERA.height, output.width, output.height].map(|n| n.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut this = Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            version: String::new(),
            ways: Vec::new(),
        };
        this.version = this.line();
        this.ways = this.line().split('|').map(str::to_owned).collect();
        this
    }

    /// Milliseconds of one pair, by the clock and of processor time.
    fn run(&mut self, way: &str) -> [f64; 2] {
        writeln!(self.input, "{way}").unwrap();
        let line = self.line();
        let (wall, cpu) = line.split_once(' ').unwrap();
        [wall, cpu].map(|ns| ns.parse::<f64>().unwrap() * 1e-6)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).unwrap() > 0, "the Python script has ended");
        line.trim_end().to_owned()
    }
}

fn frame<'a>(left: &'a [u8], right: &'a [u8]) -> StereoFrame<'a> {
    let image = |data| Image::packed(PixelFormat::Yuyv, CAMERA, data).unwrap();
    let stamp = Stamp { time_ns: 0, sequence: 0 };
    StereoFrame {
        left: image(left),
        right: image(right),
        left_stamp: stamp,
        right_stamp: stamp,
        dropped: 0,
        faulty: 0,
    }
}

/// A picture without colours that have to be clamped, because OpenCV rounds those otherwise.
fn picture(shift: usize) -> Vec<u8> {
    let width = CAMERA.width as usize;
    let pixels = width * CAMERA.height as usize;
    let wave = |i: usize| {
        let (x, y) = ((i % width + shift) as f64, (i / width) as f64);
        (125.0 + 60.0 * (x / 23.0).sin() * (y / 17.0).cos()).round()
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "65 to 185")]
    let luma = |i: usize| wave(i) as u8;
    let of_pair = |pair: usize| {
        let i = 2 * pair;
        let chroma = u8::try_from(108 + pair % 40).unwrap();
        [luma(i), chroma, luma(i + 1), 255 - chroma]
    };
    (0..pixels / 2).flat_map(of_pair).collect()
}

/// A wide-angle rig like those on vehicles: barrel distortion, cameras a degree out of line.
fn rig() -> StereoRig {
    let camera = Camera {
        intrinsics: Intrinsics { fx: 700.0, fy: 700.0, cx: 640.0, cy: 360.0 },
        distortion: Distortion::radial_tangential(&[-0.28, 0.07, 2e-4, -1e-4, 0.0]).unwrap(),
    };
    let mut right_from_left = Rotation3::from_euler_angles(0.017, -0.017, 0.017).to_homogeneous();
    right_from_left.m14 = -0.54;
    StereoRig {
        name: "bench".into(),
        image_size: CAMERA,
        left: camera,
        right: camera,
        right_from_left,
        left_from_ego: Matrix4::identity(),
        rectified: false,
    }
}

const ROUNDS: usize = 100;
const CAMERA: ImageSize = ImageSize { width: 1280, height: 720 };
/// `ImageNet`.
const NORMALISATION: Normalisation =
    Normalisation { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
