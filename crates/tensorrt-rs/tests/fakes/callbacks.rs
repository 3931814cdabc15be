//! What TensorRT calls: logger, profiler, progress monitor.

use crate::support::{Fake, engine, for_each_version, parsed, skipped};
use std::ffi::c_void;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;
use tensorrt_fake::FakeVersion;
use tensorrt_rs::{Builder, Profiler, ProgressMonitor, TensorRtError};

/// Keeps what is logged with our target, for the whole process.
struct Collector {
    records: Mutex<Vec<(log::Level, String)>>,
    /// A message with this panics.
    poison: Mutex<Option<String>>,
}

static COLLECTOR: Collector =
    Collector { records: Mutex::new(Vec::new()), poison: Mutex::new(None) };

impl log::Log for Collector {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let message = record.args().to_string();
        let poison = self.poison.lock().expect("not poisoned").clone();
        if let Some(poison) = poison
            && message.contains(&poison)
        {
            panic!("a subscriber that panics");
        }
        if record.target() == "tensorrt" {
            self.records.lock().expect("not poisoned").push((record.level(), message));
        }
    }

    fn flush(&self) {}
}

fn collect() -> &'static Collector {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&COLLECTOR).expect("the first");
        log::set_max_level(log::LevelFilter::Trace);
    });
    &COLLECTOR
}

/// Tests that look at the log take turns.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn messages_go_to_the_log_by_severity() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let collector = collect();
    for_each_version("messages_go_to_the_log_by_severity", |fake| {
        fake.fake.control("chatty=yes");
        collector.records.lock().expect("not poisoned").clear();
        drop(Builder::new(fake.load()).expect("a builder"));
        let records = collector.records.lock().expect("not poisoned").clone();
        for (level, severity) in [
            (log::Level::Error, 0),
            (log::Level::Error, 1),
            (log::Level::Warn, 2),
            (log::Level::Debug, 3),
            (log::Level::Trace, 4),
        ] {
            let expected = (level, format!("severity {severity}"));
            assert!(records.contains(&expected), "{}: {expected:?}", fake.fake.version);
        }
        fake.assert_no_violation();
    });
}

#[test]
fn a_subscriber_that_panics_does_not_reach_tensorrt() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let collector = collect();
    for_each_version("a_subscriber_that_panics_does_not_reach_tensorrt", |fake| {
        fake.fake.control("chatty=yes");
        *collector.poison.lock().expect("not poisoned") = Some("severity 2".to_owned());
        let builder = Builder::new(fake.load());
        *collector.poison.lock().expect("not poisoned") = None;
        builder.expect("a builder all the same");
    });
}

struct Panics;

impl Profiler for Panics {
    fn layer_time(&mut self, _: &str, _: f32) {
        panic!("a profiler that panics");
    }
}

#[test]
fn layers_report_their_times() {
    for_each_version("layers_report_their_times", |fake| {
        let engine = engine(fake.load());
        let mut context = engine.create_context().expect("a context");
        let error = context.report_to_profiler().expect_err("there is none");
        assert!(error.to_string().contains("no profiler"), "{error}");
        // Device memory is host memory in the fakes; the largest tensor has 96 bytes.
        let mut memory = vec![[0_u64; 16]; 4];
        for (name, buffer) in [c"x", c"index", c"y", c"h"].into_iter().zip(&mut memory) {
            let address: *mut c_void = buffer.as_mut_ptr().cast();
            // SAFETY: the memory is large enough and lives until the frames are done.
            unsafe { context.set_tensor_address(name, address) }.expect("an address");
        }
        let times = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&times);
        let profiler = move |layer: &str, milliseconds: f32| {
            sink.lock().expect("not poisoned").push((layer.to_owned(), milliseconds));
        };
        assert!(context.set_profiler(Some(Box::new(profiler))).expect("set").is_none());
        let frame: Vec<_> = [("conv", 0.5), ("gather", 1.5), ("soft", 2.5)]
            .into_iter()
            .map(|(layer, milliseconds)| (layer.to_owned(), milliseconds))
            .collect();
        // SAFETY: the fake runs the work at once, on no stream.
        unsafe { context.enqueue(std::ptr::null_mut()) }.expect("a frame");
        assert_eq!(std::mem::take(&mut *times.lock().expect("not poisoned")), frame);
        context.set_enqueue_emits_profile(false).expect("every version");
        // SAFETY: as above.
        unsafe { context.enqueue(std::ptr::null_mut()) }.expect("a frame");
        assert!(times.lock().expect("not poisoned").is_empty());
        context.report_to_profiler().expect("a frame was run");
        assert_eq!(std::mem::take(&mut *times.lock().expect("not poisoned")), frame);

        // The profiler comes back, and TensorRT has forgotten it.
        let mut profiler = context.set_profiler(None).expect("set").expect("it was there");
        profiler.layer_time("mine", 9.0);
        assert_eq!(times.lock().expect("not poisoned").len(), 1);
        drop(profiler);
        assert_eq!(Arc::strong_count(&times), 1);
        assert!(context.report_to_profiler().is_err());

        // One that panics: the frame is run all the same, and the next profiler works.
        drop(context.set_profiler(Some(Box::new(Panics))).expect("set"));
        context.report_to_profiler().expect("TensorRT sees nothing of it");
        drop(context);
        fake.assert_no_violation();
    });
}

/// Writes down what it sees, and cancels after so many steps.
#[derive(Clone, Default)]
struct Watch {
    seen: Arc<Mutex<Vec<String>>>,
    cancel_after: Option<u32>,
    panics: bool,
}

impl Watch {
    fn saw(&self, what: String) {
        self.seen.lock().expect("not poisoned").push(what);
    }
}

impl ProgressMonitor for Watch {
    fn phase_start(&self, phase: &str, parent: Option<&str>, steps: u32) {
        self.saw(format!("{phase} in {parent:?}, {steps} steps"));
    }

    fn step_complete(&self, phase: &str, step: u32) -> bool {
        assert!(!self.panics, "a monitor that panics");
        self.saw(format!("{phase} {step}"));
        self.cancel_after.is_none_or(|last| step < last)
    }

    fn phase_finish(&self, phase: &str) {
        self.saw(format!("{phase} over"));
    }
}

#[test]
fn a_build_reports_how_far_it_is() {
    for_each_version("a_build_reports_how_far_it_is", |fake| {
        let (builder, network, mut config) = parsed(fake.load(), 2);
        let watch = Watch::default();
        let set = config.set_progress_monitor(Box::new(watch.clone()));
        if fake.fake.version.major == 8 {
            assert!(matches!(set, Err(TensorRtError::Unsupported(_))), "{set:?}");
            assert_eq!(Arc::strong_count(&watch.seen), 1);
            return;
        }
        set.expect("from 10");
        drop(builder.build_serialized(&network, &mut config).expect("a plan"));
        assert_eq!(
            *watch.seen.lock().expect("not poisoned"),
            [
                "Building engine in None, 1 steps",
                "Timing tactics in Some(\"Building engine\"), 3 steps",
                "Timing tactics 0",
                "Timing tactics 1",
                "Timing tactics 2",
                "Timing tactics over",
                "Building engine over",
            ]
        );
        // Cancelled: the build fails and says so.
        let cancelling = Watch { cancel_after: Some(1), ..Watch::default() };
        config.set_progress_monitor(Box::new(cancelling.clone())).expect("from 10");
        assert_eq!(Arc::strong_count(&watch.seen), 1, "the first one is gone");
        let error = builder.build_serialized(&network, &mut config).expect_err("cancelled");
        assert!(error.to_string().contains("cancelled by the progress monitor"), "{error}");
        let seen = cancelling.seen.lock().expect("not poisoned").clone();
        assert!(seen.contains(&"Timing tactics 1".to_owned()), "{seen:?}");
        assert!(!seen.contains(&"Timing tactics 2".to_owned()), "{seen:?}");
        // A panic cancels, too.
        let panicking = Watch { panics: true, ..Watch::default() };
        config.set_progress_monitor(Box::new(panicking)).expect("from 10");
        assert!(builder.build_serialized(&network, &mut config).is_err());
        drop((config, network, builder));
        fake.assert_no_violation();
    });
}

#[test]
fn a_slow_build_can_be_watched_from_elsewhere() {
    if skipped("a_slow_build_can_be_watched_from_elsewhere") {
        return;
    }
    let fake = Fake::new(FakeVersion::ALL[4]);
    fake.fake.control("build.step_ms=30");
    let (builder, network, mut config) = parsed(fake.load(), 2);
    let watch = Watch::default();
    config.set_progress_monitor(Box::new(watch.clone())).expect("from 10");
    let started = std::time::Instant::now();
    drop(builder.build_serialized(&network, &mut config).expect("a plan"));
    assert!(started.elapsed() >= Duration::from_millis(90), "three layers of 30 ms");
    assert_eq!(watch.seen.lock().expect("not poisoned").len(), 7);
}
