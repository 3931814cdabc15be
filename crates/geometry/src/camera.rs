//! One camera: intrinsics and lens distortion.
use nalgebra::Matrix3;

/// fx, fy, cx, cy in pixels; pixel centres are at integer coordinates (OpenCV).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intrinsics {
    pub fx: f64,
    pub fy: f64,
    pub cx: f64,
    pub cy: f64,
}
impl Intrinsics {
    /// The matrix K.
    pub fn matrix(&self) -> Matrix3<f64> {
        todo!()
    }
}
/// Lens distortion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distortion {
    /// OpenCV radial-tangential: k1 k2 p1 p2 k3 k4 k5 k6 (zero padded).
    RadialTangential([f64; 8]),
    /// Kannala-Brandt (OpenCV fisheye): k1..k4.
    KannalaBrandt([f64; 4]),
}
/// A camera.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Camera {
    pub intrinsics: Intrinsics,
    pub distortion: Distortion,
}
