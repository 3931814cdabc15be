//! Rectification against OpenCV, in the same run: a 1280x720 YUYV pair to normalised planes, one thread each.
//!
//! ```sh
//! python3 -m venv /tmp/opencv && /tmp/opencv/bin/pip install opencv-python-headless numpy
//! OPENCV_PYTHON=/tmp/opencv/bin/python cargo bench --bench rectify_opencv
//! ```
//!
//! Ours and OpenCV's calls alternate, so that whatever else the machine does falls on both. The table has the median and
//! the fastest of each; the ratio is of medians, against OpenCV's fastest way (`opencv/rectify.py` has six).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench fails by panicking")]
#![allow(clippy::print_stdout, reason = "the report")]

use nalgebra::{Matrix4, Rotation3};
use occdepth::capture::{Image, PixelFormat, Stamp, StereoFrame, YuvEncoding};
use occdepth::rectify::StereoRectifier;
use occdepth_contract::Normalisation;
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, Distortion, Intrinsics};
use occdepth_geometry::fit::{Fit, NetworkCameras};
use occdepth_geometry::rig::StereoRig;
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
    let mut ours = || {
        let start = Instant::now();
        rectifier.rectify(&frame, &mut images).unwrap();
        start.elapsed().as_secs_f64() * 1e3
    };

    // Which of OpenCV's ways is the fastest; this warms both up as well.
    let ways = opencv.ways.clone();
    let mut of_ways: Vec<(f64, String)> = ways
        .into_iter()
        .map(|way| {
            let times = (0..20).map(|_| {
                ours();
                opencv.run(&way)
            });
            (median(times.collect()), way)
        })
        .collect();
    of_ways.sort_by(|a, b| a.0.total_cmp(&b.0));
    let best = of_ways[0].1.clone();

    let (mut our_times, mut opencv_times) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        our_times.push(ours());
        opencv_times.push(opencv.run(&best));
    }
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
    for (time, way) in &of_ways {
        println!("  {way:28} {time:6.2} ms");
    }
    let (our_median, their_median) = (median(our_times.clone()), median(opencv_times.clone()));
    let least = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
    println!("{:>12} {:>10} {:>10}", "", "median ms", "least ms");
    println!("{:>12} {our_median:>10.2} {:>10.2}", "occdepth", least(&our_times));
    println!("{:>12} {their_median:>10.2} {:>10.2}", "OpenCV", least(&opencv_times));
    println!(
        "OpenCV / occdepth: {:.2} ({:.4} of the values within 2 grey levels)",
        their_median / our_median,
        share
    );
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

    /// Milliseconds of one pair.
    fn run(&mut self, way: &str) -> f64 {
        writeln!(self.input, "{way}").unwrap();
        self.line().parse::<f64>().unwrap() * 1e-6
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).unwrap() > 0, "the Python script has ended");
        line.trim_end().to_owned()
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
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
