//! What is logged: simulated cameras log on the thread of their test, so each test can count its own lines.

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

struct Lines;

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            LINES.with_borrow_mut(|lines| lines.push((record.level(), record.args().to_string())));
        }
    }

    fn flush(&self) {}
}

/// Starts to collect this thread's lines, from nothing.
pub(crate) fn collect() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        log::set_logger(&Lines).expect("the first logger");
        log::set_max_level(LevelFilter::Info);
    });
    LINES.with_borrow_mut(Vec::clear);
}

/// The lines since then, or since they were taken last: what a default log shows.
pub(crate) fn take() -> Vec<String> {
    let lines = LINES.with_borrow_mut(std::mem::take);
    lines.into_iter().map(|(_, line)| line).collect()
}

/// Checks that there were so many lines as patterns, each with its words in this order.
#[track_caller]
pub(crate) fn expect(patterns: &[&[&str]]) {
    let lines = take();
    let fits = |line: &str, words: &[&str]| {
        let mut rest = line;
        words.iter().all(|word| {
            let found = rest.find(word);
            rest = found.map_or("", |at| &rest[at + word.len()..]);
            found.is_some()
        })
    };
    let all = lines.len() == patterns.len()
        && lines.iter().zip(patterns).all(|(line, words)| fits(line, words));
    assert!(all, "expected {patterns:#?}, found {lines:#?}");
}
