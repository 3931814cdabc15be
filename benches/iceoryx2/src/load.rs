//! A process that keeps every core and the memory busy.

use crate::child::settle;
use crate::contender::Failure;
use std::hint::black_box;

/// Copies memory in as many threads as there are cores, until it is killed.
pub(crate) fn run() -> Result<(), Failure> {
    settle(None)?;
    let cores = std::thread::available_parallelism()?.get();
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let source = vec![1_u8; BUFFER_BYTES];
                let mut target = vec![0_u8; BUFFER_BYTES];
                loop {
                    target.copy_from_slice(black_box(&source));
                    black_box(&target);
                }
            });
        }
    });
    Ok(())
}

/// More than the caches hold, so that the copies reach the memory.
const BUFFER_BYTES: usize = 64 << 20;
