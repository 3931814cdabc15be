//! From pictures of a board, in files and from a running source, to pairs of corners; and a picture of the result.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "pixels and grey levels are small; colours are compared with themselves"
)]

mod files;
mod live;
mod picture;
#[path = "../../crates/calibration/tests/chessboard/render.rs"]
#[allow(dead_code, reason = "these tests need a part of what the crate's own share")]
mod render;
#[path = "../../crates/calibration/tests/chessboard/support.rs"]
#[allow(dead_code, reason = "these tests need a part of what the crate's own share")]
mod support;

use render::Renderer;
use support::{SIZE, Truth, board, poses};

/// Grey pictures of both views of each pose.
fn pictures(count: usize) -> Vec<[Vec<u8>; 2]> {
    let truth = Truth::radial_tangential();
    let board = board();
    let renderers = [0, 1].map(|view| Renderer::new(&truth.camera(view), SIZE));
    let poses = poses(&board, 0.5);
    let picture = |index: usize, view: usize| {
        let pose = truth.seen(view, &poses[index]);
        renderers[view].picture(&board, &pose, (2 * index + view) as u64)
    };
    (0..count).map(|index| [picture(index, 0), picture(index, 1)]).collect()
}
