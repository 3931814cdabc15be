//! From pictures of a chessboard, in files or from live cameras, to what `occdepth-calibration` makes a rig of.
//!
//! [`files::look`] finds the board in pairs of image files, [`live::collect`] in pairs of a [`FrameSource`], keeping the
//! pictures; [`picture::report`] shows what came of it.
//!
//! [`FrameSource`]: crate::capture::FrameSource

pub mod files;
pub mod live;
pub mod picture;
