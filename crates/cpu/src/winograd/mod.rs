//! Convolutions with three taps along every axis, by F(4x4, 3x3): 36 products for 16 outputs where
//! direct sums take 144.
//!
//! Almost all of a network's arithmetic is in such convolutions: 3x3 on images, 3x3x3 on volumes, both
//! of stride 1 with as much padding as dilation. Tiles cover two axes of the input; their 6x6 inputs
//! are transformed, multiplied by the transformed weights for all channels (36 matrix products), and
//! transformed back to 4x4 outputs, bias and activation included.
//!
//! | | tiles along | lanes of a vector |
//! |---|---|---|
//! | image `[C, Y, X]` | y and x | tiles, row after row |
//! | volume `[C, X, Y, Z]` | x and y, on each of the grids that a dilation leaves separate | z, tile after tile |
//!
//! Along z of a volume the three taps are added as they are: the products of a tap are those of the
//! same transformed values, a dilation further.
//!
//! Work is cut twice: into bands of tile rows, which threads share, and these into blocks whose
//! transformed values and products stay in a core's cache. Sums do not depend on the cuts.
//!
//! | module | job |
//! |---|---|
//! | `transform` | the transforms in one dimension |
//! | `kernel` | vector arithmetic on a block |
//! | `image`, `volume` | what a block covers: from its input to lanes, from lanes to its output |

mod image;
mod kernel;
mod transform;
mod volume;

use image::Image;
use kernel::{Analyse, HALF_PANEL, MAX_LANES, Multiply, PANEL, Synthesise};
use rayon::prelude::*;
use rten_simd::SimdOp;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use transform::{OUTPUTS, PRODUCTS};
use volume::Volume;

/// What follows a convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Activation {
    /// Nothing.
    None,
    /// `max(y, 0)`.
    Relu,
    /// `y` where it is not negative, else this many times y.
    LeakyRelu(f32),
}

/// The extents that a convolution slides over; output and input have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extents {
    /// `[Y, X]`, dilation 1.
    Image([usize; 2]),
    /// `[X, Y, Z]`.
    Volume([usize; 3], Dilation),
}

/// Distance between taps along each axis; padding is the same on each side.
pub(crate) type Dilation = usize;

/// What a convolution works on, `[B, C, ..] -> [B, O, ..]`; no extent is 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) extents: Extents,
    /// C.
    pub(crate) channels: usize,
    /// O.
    pub(crate) outputs: usize,
}

/// A convolution, prepared: `[B, C, ..] -> [B, O, ..]`.
pub(crate) struct Convolution {
    domain: Domain,
    channels: usize,
    outputs: usize,
    /// `[36, panels, taps along the lanes, C, rows of the panel]`, see [`kernel::Multiply`].
    weights: Vec<f32>,
    /// `[O]`.
    bias: Vec<f32>,
    activation: Activation,
}

/// Where the tiles are.
enum Domain {
    Image(Image),
    Volume(Volume),
}

/// Memory of one band at a time, kept from run to run.
#[derive(Default)]
pub(crate) struct Scratch(Mutex<Vec<Block>>);

/// Memory for the lanes of one block.
#[derive(Default)]
struct Block {
    /// Inputs of one channel, laid out for the transform.
    inputs: Vec<f32>,
    /// `[36, C, value_stride]`.
    values: Vec<f32>,
    /// `[36, O padded, product_stride]`.
    products: Vec<f32>,
    /// `[16, product_stride]` of one output channel.
    outputs: Vec<f32>,
}

/// A part of the output that one thread computes.
struct Band<'a> {
    /// `[C, ..]` of its batch.
    input: &'a [f32],
    /// Rows of tiles.
    tiles: Range<usize>,
    /// Those rows of each output channel.
    outputs: Vec<&'a mut [f32]>,
}

impl Convolution {
    /// For a practical shape; `weights` are `[O, C, 3, 3]` or `[O, C, 3, 3, 3]`, `bias` is `[O]`.
    pub(crate) fn new(
        shape: Shape,
        weights: &[f32],
        bias: Vec<f32>,
        activation: Activation,
    ) -> Self {
        let Shape { extents, channels, outputs } = shape;
        let domain = match extents {
            Extents::Image(extents) => Domain::Image(Image::new(extents)),
            Extents::Volume(extents, dilation) => Domain::Volume(Volume::new(extents, dilation)),
        };
        let weights = arrange(weights, outputs, channels, shape.taps());
        Self { domain, channels, outputs, weights, bias, activation }
    }

    /// Memory of the transformed weights.
    pub(crate) fn weight_bytes(&self) -> usize {
        size_of_val(self.weights.as_slice())
    }

    /// Values of the input of one batch.
    pub(crate) fn input_len(&self) -> usize {
        self.channels * self.domain.positions()
    }

    /// Values of the output of one batch.
    pub(crate) fn output_len(&self) -> usize {
        self.outputs * self.domain.positions()
    }

    /// Convolves whole batches on the threads of the current pool. Every value of `output` is written.
    pub(crate) fn run(&self, input: &[f32], output: &mut [f32], scratch: &Scratch) {
        let threads = rayon::current_num_threads();
        let batches = input.len() / self.input_len().max(1);
        let rows = self.domain.tile_rows();
        // Bands that hold some blocks each; every thread gets one, or several to even out.
        let lanes = rows * self.domain.row_lanes();
        let wanted = (lanes / BAND_LANES).clamp(threads.div_ceil(batches.max(1)), 4 * threads);
        let band_rows = if threads == 1 { rows } else { rows.div_ceil(wanted) }.max(1);

        let mut bands = Vec::new();
        let inputs = input.chunks_exact(self.input_len().max(1));
        for (input, output) in inputs.zip(output.chunks_exact_mut(self.output_len().max(1))) {
            let first = bands.len();
            for start in (0..rows).step_by(band_rows) {
                let tiles = start..(start + band_rows).min(rows);
                bands.push(Band { input, tiles, outputs: Vec::with_capacity(self.outputs) });
            }
            for plane in output.chunks_exact_mut(self.domain.positions().max(1)) {
                let parts = plane.chunks_mut(band_rows * self.domain.tile_row_len());
                for (band, part) in bands[first..].iter_mut().zip(parts) {
                    band.outputs.push(part);
                }
            }
        }
        bands.into_par_iter().for_each(|mut band| {
            let mut block = scratch.take();
            self.run_band(&mut band, &mut block);
            scratch.put(block);
        });
    }

    fn run_band(&self, band: &mut Band<'_>, block: &mut Block) {
        let rows = self.outputs.next_multiple_of(HALF_PANEL);
        let units = self.domain.units(&band.tiles);
        let per_block = self.units_per_block(units);
        for start in (0..units).step_by(per_block) {
            let range = start..(start + per_block).min(units);
            let lanes = self.domain.lanes(&range);
            let product_stride = lanes.next_multiple_of(MAX_LANES);
            // What the last taps read, and room for the last vector of a row of tiles.
            let value_stride = (lanes + (self.domain.taps() - 1) * self.domain.tap_lanes())
                .next_multiple_of(MAX_LANES)
                + MAX_LANES;
            grow(&mut block.values, PRODUCTS * self.channels * value_stride);
            grow(&mut block.products, PRODUCTS * rows * product_stride);
            grow(&mut block.outputs, OUTPUTS * OUTPUTS * product_stride);

            let plane = self.domain.positions();
            for (channel, input) in band.input.chunks_exact(plane.max(1)).enumerate() {
                let values = &mut block.values[channel * value_stride..];
                let stride = self.channels * value_stride;
                let inputs = &mut block.inputs;
                let analyse = |inputs: &[f32], offsets, lane: usize, lanes| {
                    let values = &mut values[lane..];
                    Analyse { inputs, offsets, lanes, values, stride }.dispatch();
                };
                match &self.domain {
                    Domain::Image(image) => image.gather(input, band, &range, inputs, analyse),
                    Domain::Volume(volume) => volume.gather(input, band, &range, inputs, analyse),
                }
            }
            Multiply {
                weights: &self.weights,
                rows,
                values: &block.values,
                value_stride,
                channels: self.channels,
                taps: self.domain.taps(),
                tap_lanes: self.domain.tap_lanes(),
                products: &mut block.products,
                product_stride,
                lanes,
            }
            .dispatch();
            let tiles = band.tiles.start;
            for (output, (plane, &bias)) in band.outputs.iter_mut().zip(&self.bias).enumerate() {
                Synthesise {
                    products: &block.products[output * product_stride..],
                    stride: rows * product_stride,
                    lanes,
                    bias,
                    activation: self.activation,
                    outputs: &mut block.outputs,
                    output_stride: product_stride,
                }
                .dispatch();
                match &self.domain {
                    Domain::Image(image) => {
                        image.scatter(&block.outputs, product_stride, tiles, &range, plane);
                    }
                    Domain::Volume(volume) => {
                        volume.scatter(&block.outputs, product_stride, tiles, &range, plane);
                    }
                }
            }
        }
    }

    /// How many of a band's units a block takes: as the cache holds, in blocks of similar size.
    fn units_per_block(&self, units: usize) -> usize {
        let bytes_per_lane = 4 * PRODUCTS * (self.channels + self.outputs);
        let lanes = (BLOCK_BYTES / bytes_per_lane).max(MIN_BLOCK_LANES);
        let most = (lanes / self.domain.unit_lanes()).max(1);
        let blocks = units.div_ceil(most).max(1);
        let unit = self.domain.unit_lanes();
        // Whole vectors, where a unit is one lane.
        let even = units.div_ceil(blocks).max(1);
        if unit == 1 { even.next_multiple_of(MAX_LANES) } else { even }
    }
}

impl Shape {
    /// Whether the smallest block of it fits a machine's memory, and tiles are not mostly padding: a row
    /// of tiles covers four dilations along x, however few positions there are.
    pub(crate) fn is_practical(&self) -> bool {
        // A tile of a volume is never cut along z.
        let lanes = match self.extents {
            Extents::Image(_) => MIN_BLOCK_LANES,
            Extents::Volume([_, _, z], dilation) if dilation <= MAX_DILATION => {
                MIN_BLOCK_LANES.max(z + 3 * dilation)
            }
            Extents::Volume(..) => return false,
        };
        let rows = self.outputs.next_multiple_of(HALF_PANEL);
        // Vectors and what the last one reads beyond them.
        let lane_stride = lanes.next_multiple_of(MAX_LANES) + MAX_LANES;
        let values = (self.channels + rows).saturating_mul(PRODUCTS * lane_stride);
        values <= MAX_BLOCK_BYTES / size_of::<f32>()
    }

    /// Memory of the transformed weights.
    pub(crate) fn weight_bytes(&self) -> usize {
        let rows = self.outputs.next_multiple_of(HALF_PANEL);
        let depth = self.taps() * self.channels;
        rows.saturating_mul(depth).saturating_mul(PRODUCTS * size_of::<f32>())
    }

    /// Taps that are added along the lanes.
    fn taps(&self) -> usize {
        match self.extents {
            Extents::Image(_) => 1,
            Extents::Volume(..) => 3,
        }
    }
}

impl std::fmt::Debug for Convolution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Convolution")
            .field("channels", &self.channels)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

impl Domain {
    /// Positions of one channel.
    fn positions(&self) -> usize {
        match self {
            Self::Image(image) => image.positions(),
            Self::Volume(volume) => volume.positions(),
        }
    }

    /// Taps that are added along the lanes.
    fn taps(&self) -> usize {
        match self {
            Self::Image(_) => 1,
            Self::Volume(_) => 3,
        }
    }

    /// Lanes from one tap to the next.
    fn tap_lanes(&self) -> usize {
        match self {
            Self::Image(_) => 0,
            Self::Volume(volume) => volume.dilation(),
        }
    }

    /// Rows of tiles: the first axis, which bands share out.
    fn tile_rows(&self) -> usize {
        match self {
            Self::Image(image) => image.tile_rows(),
            Self::Volume(volume) => volume.tile_rows(),
        }
    }

    /// Values of one channel under a row of tiles.
    fn tile_row_len(&self) -> usize {
        match self {
            Self::Image(image) => image.tile_row_len(),
            Self::Volume(volume) => volume.tile_row_len(),
        }
    }

    /// Units of work under some rows of tiles: what is not cut any further.
    fn units(&self, rows: &Range<usize>) -> usize {
        match self {
            Self::Image(image) => rows.len() * image.tiles_per_row(),
            Self::Volume(volume) => rows.len() * volume.tiles_per_row(),
        }
    }

    fn unit_lanes(&self) -> usize {
        match self {
            Self::Image(_) => 1,
            Self::Volume(volume) => volume.tile_lanes(),
        }
    }

    fn row_lanes(&self) -> usize {
        self.units(&(0..1)) * self.unit_lanes()
    }

    /// Lanes of products of some units.
    fn lanes(&self, units: &Range<usize>) -> usize {
        units.len() * self.unit_lanes()
    }
}

impl Scratch {
    fn take(&self) -> Block {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn put(&self, block: Block) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(block);
    }
}

/// The transformed weights in the order in which [`Multiply`] reads them.
fn arrange(weights: &[f32], outputs: usize, channels: usize, taps: usize) -> Vec<f32> {
    let depth = taps * channels;
    let rows = outputs.next_multiple_of(HALF_PANEL);
    let mut arranged = vec![0.0; PRODUCTS * rows * depth];
    for output in 0..outputs {
        let panel = output / PANEL * PANEL;
        let width = PANEL.min(rows - panel);
        for channel in 0..channels {
            let kernels = &weights[(output * channels + channel) * 9 * taps..][..9 * taps];
            for tap in 0..taps {
                // [.., taps of the tiles' axes, taps along the lanes].
                let kernel = std::array::from_fn(|at| f64::from(kernels[at * taps + tap]));
                for (product, value) in transform::weights(kernel).into_iter().enumerate() {
                    let column = tap * channels + channel;
                    let at = (product * rows + panel) * depth + column * width + output - panel;
                    arranged[at] = value;
                }
            }
        }
    }
    arranged
}

fn grow(values: &mut Vec<f32>, len: usize) {
    if values.len() < len {
        values.resize(len, 0.0);
    }
}

/// Transformed values and products of a block: half of a core's second-level cache today.
const BLOCK_BYTES: usize = 640 * 1024;

/// More than any network's block takes, less than any machine has: 256 MiB.
const MAX_BLOCK_BYTES: usize = 256 << 20;

/// Far above it tiles are empty; published networks have dilations of 1 to 3.
const MAX_DILATION: usize = 16;

/// Even where the cache does not hold them: fewer lanes read the weights too often.
const MIN_BLOCK_LANES: usize = 96;

/// A band is worth a thread from about this size.
const BAND_LANES: usize = 256;
