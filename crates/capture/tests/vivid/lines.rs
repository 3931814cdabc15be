//! The log of this program, for checks of what is said.

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::sync::Mutex;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            LINES.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

pub(crate) fn install() {
    log::set_logger(&Lines).unwrap();
    log::set_max_level(LevelFilter::Info);
}

/// The lines since they were taken last.
pub(crate) fn take() -> Vec<String> {
    std::mem::take(&mut LINES.lock().unwrap())
}
