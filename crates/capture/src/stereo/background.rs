//! Work on a thread of its own, for calls into a driver that may take seconds or never end.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Work that somebody asks about until it is done.
///
/// Dropping it waits for the work for a while, so that a device is closed when its source is gone. A driver that hangs
/// must not hang whoever stops: after that while the thread is left alone, and what it makes is dropped when it ends.
#[derive(Debug)]
pub(super) struct Background<T> {
    thread: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> Background<T> {
    /// Starts `work` on a thread called `name`.
    ///
    /// # Errors
    /// Where there is no thread to be had; the work, with all that it owns, is dropped then.
    pub(super) fn spawn(
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Self, std::io::Error> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { thread: Some(thread) })
    }

    /// Whether it is done.
    pub(super) fn is_done(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// What it made, once it is done; the work itself before. Never waits.
    pub(super) fn take(mut self) -> Result<T, Self> {
        match self.thread.take() {
            Some(thread) if thread.is_finished() => match thread.join() {
                Ok(made) => Ok(made),
                Err(panic) => std::panic::resume_unwind(panic),
            },
            thread => {
                self.thread = thread;
                Err(self)
            }
        }
    }
}

impl<T> Drop for Background<T> {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let start = Instant::now();
        while !thread.is_finished() {
            if start.elapsed() > PATIENCE {
                let name = thread.thread().name().unwrap_or("thread").to_owned();
                log::warn!("{name}: a driver does not answer; left behind after {PATIENCE:?}");
                return;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        // A thread that panicked has nothing left to give.
        let _ = thread.join();
    }
}

/// Longer than any driver takes that is in order, shorter than a service manager's patience.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn what_is_done_is_taken_and_dropping_waits() {
        let (done, ended) = channel();
        let mut work = Background::spawn("test", || 7).expect("a thread");
        let made = loop {
            match work.take() {
                Ok(made) => break made,
                Err(again) => work = again,
            }
        };
        assert_eq!(made, 7);
        let work = move || {
            std::thread::sleep(Duration::from_millis(50));
            done.send(()).expect("somebody listens");
        };
        drop(Background::spawn("test", work).expect("a thread"));
        assert!(ended.try_recv().is_ok(), "not waited for");
    }

    /// Says when it is closed.
    struct Device(std::sync::mpsc::Sender<()>);

    impl Drop for Device {
        fn drop(&mut self) {
            self.0.send(()).expect("the test listens");
        }
    }

    /// An ioctl that never ends: whoever stops goes on all the same, and what it makes at last is dropped.
    #[test]
    fn a_call_that_hangs_is_left_behind() {
        let (wake, asleep) = channel::<()>();
        let (made, dropped) = channel();
        let hung = Background::spawn("test", move || {
            let _ = asleep.recv();
            Device(made)
        })
        .expect("a thread");
        let start = Instant::now();
        drop(hung);
        let waited = start.elapsed();
        assert!(waited >= PATIENCE && waited < 3 * PATIENCE, "{waited:?}");
        wake.send(()).expect("the thread waits");
        dropped.recv_timeout(PATIENCE).expect("closed when the driver answers");
    }
}
