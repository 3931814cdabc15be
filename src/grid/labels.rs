//! Arg-max over classes with the winner's confidence, in one pass.
//!
//! The logits of a full grid are large (20 classes of 256 x 256 x 32 voxels: 168 MB), so memory is
//! the limit and they are read once, a block of voxels at a time: class after class updates the
//! block's running maximum. The softmax needs that maximum first and every logit again; the block's
//! logits are therefore kept in a contiguous scratch of 64 KiB on the stack. (Reading them again
//! where they are would miss the cache: grid planes lie a power of two apart and compete for the
//! same cache sets.)

use super::{GridError, GridOutput, UNKNOWN, VisibilityMask};
use occdepth_contract::Class;
use occdepth_cuda::LabelPlan;

/// What is labelled [`UNKNOWN`] besides voxels with a logit that is not finite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelOptions {
    /// Voxels whose confidence, in the 8 bits of [`GridOutput::confidence`], is below this; 0: none.
    pub unknown_below: u8,
    /// Voxels that this mask hides: those that no camera sees.
    pub visibility: Option<VisibilityMask>,
}

/// Turns logits `[C, X, Y, Z]` into labels `[X, Y, Z]`.
///
/// The label of a voxel is the id of the class with the greatest logit, among equals the lowest id.
/// It is [`UNKNOWN`], with confidence 0, where any class's logit is infinite or NaN (the network
/// failed there), and where [`LabelOptions`] say so.
///
/// The confidence is the winner's softmax probability times 255, rounded to the nearest integer (a
/// half to the even one).
/// It is computed with a quadratic approximation of the exponential (relative error below 0.2 %),
/// which moves the value by at most 0.13 before it is rounded.
///
/// ```
/// use occdepth::grid::{GridOutput, LabelOptions, Labeller, UNKNOWN};
/// use occdepth_contract::Class;
///
/// let class = |id, name: &str| Class { id, name: name.into(), colour: [0; 3] };
/// let labeller = Labeller::new(&[class(0, "empty"), class(9, "road")], LabelOptions::default())?;
/// // [C, voxels]: three voxels; the third one's logits are broken.
/// let logits = [0.5, 0.0, f32::NAN, 0.5, 3.0, 0.0];
/// let (mut labels, mut confidence) = ([0; 3], [0; 3]);
/// let confidence_out = Some(&mut confidence[..]);
/// let output = GridOutput { labels: &mut labels, confidence: confidence_out, logits: None };
/// labeller.label(&logits, 3, output)?;
/// assert_eq!(labels, [0, 9, UNKNOWN]);
/// assert_eq!(confidence, [128, 243, 0]); // 1/2, 1/(1 + exp(-3))
/// # Ok::<(), occdepth::grid::GridError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Labeller {
    /// Plane in the logits and class id, ascending by id: the first of equals has the lowest id.
    planes: Vec<(usize, u8)>,
    options: LabelOptions,
}

impl Labeller {
    /// A labeller for logits whose plane `i` belongs to `classes[i]`.
    ///
    /// # Errors
    /// No classes, an id twice, or a class with the id of [`UNKNOWN`].
    pub fn new(classes: &[Class], options: LabelOptions) -> Result<Self, GridError> {
        if classes.is_empty() {
            return Err(GridError::NoClasses);
        }
        if let Some(class) = classes.iter().find(|class| class.id == UNKNOWN) {
            return Err(GridError::ReservedClass { name: class.name.clone() });
        }
        let mut planes: Vec<_> =
            classes.iter().enumerate().map(|(plane, class)| (plane, class.id)).collect();
        planes.sort_by_key(|&(_, id)| id);
        if let Some(pair) = planes.windows(2).find(|pair| pair[0].1 == pair[1].1) {
            return Err(GridError::DuplicateClass {
                id: pair[0].1,
                first: classes[pair[0].0].name.clone(),
                second: classes[pair[1].0].name.clone(),
            });
        }
        Ok(Self { planes, options })
    }

    /// The same for a GPU that labels `voxels` voxels.
    ///
    /// # Errors
    /// A visibility mask of another length than the grid.
    pub fn device_plan(&self, voxels: usize) -> Result<LabelPlan, GridError> {
        let hidden = self.options.visibility.as_ref().map(VisibilityMask::hidden);
        if let Some(hidden) = hidden
            && hidden.len() != voxels
        {
            return Err(GridError::Mask { found: hidden.len(), expected: voxels });
        }
        // Ids are bytes and unique, so there are at most 255 planes.
        let plane = |&(plane, id): &(usize, u8)| (u16::try_from(plane).unwrap_or(u16::MAX), id);
        Ok(LabelPlan {
            planes: self.planes.iter().map(plane).collect(),
            voxels,
            unknown_below: self.options.unknown_below,
            hidden: hidden.map(<[u8]>::to_vec),
        })
    }

    /// Labels `voxels` voxels; `logits` is f32 `[C, voxels]`. Allocates nothing.
    ///
    /// # Errors
    /// A slice (or the visibility mask) of another length than the grid; nothing is written then.
    pub fn label(
        &self,
        logits: &[f32],
        voxels: usize,
        output: GridOutput<'_>,
    ) -> Result<(), GridError> {
        let classes = self.planes.len();
        if voxels.checked_mul(classes) != Some(logits.len()) {
            return Err(GridError::Logits { found: logits.len(), classes, voxels });
        }
        let check = |field, found, expected| {
            if found == expected {
                Ok(())
            } else {
                Err(GridError::Output { field, found, expected })
            }
        };
        let GridOutput { labels, mut confidence, logits: mut copy } = output;
        check("labels", labels.len(), voxels)?;
        if let Some(confidence) = &confidence {
            check("confidence", confidence.len(), voxels)?;
        }
        if let Some(copy) = &copy {
            check("logits", copy.len(), logits.len())?;
        }
        let hidden = self.options.visibility.as_ref().map(VisibilityMask::hidden);
        if let Some(hidden) = hidden
            && hidden.len() != voxels
        {
            return Err(GridError::Mask { found: hidden.len(), expected: voxels });
        }

        let softmax = confidence.is_some() || self.options.unknown_below > 0;
        let block_voxels =
            if softmax { (SCRATCH / classes).min(BLOCK) / LANES * LANES } else { BLOCK };
        let mut block = Block::new();
        for first in (0..voxels).step_by(block_voxels) {
            let range = first..voxels.min(first + block_voxels);
            block.start(range.len());
            for (nth, &(plane, id)) in self.planes.iter().enumerate() {
                let values = &logits[plane * voxels..][range.clone()];
                if softmax {
                    block.keep(nth, values);
                }
                block.offer(values, id);
                if let Some(copy) = &mut copy {
                    copy[plane * voxels..][range.clone()].copy_from_slice(values);
                }
            }
            if softmax {
                block.softmax(classes);
            }
            let hidden = hidden.map(|hidden| &hidden[range.clone()]);
            block.finish(self.options.unknown_below, hidden);
            labels[range.clone()].copy_from_slice(&block.labels[..range.len()]);
            if let Some(confidence) = &mut confidence {
                confidence[range.clone()].copy_from_slice(&block.confidence[..range.len()]);
            }
        }
        Ok(())
    }
}

/// The running state of up to [`BLOCK`] voxels.
struct Block {
    voxels: usize,
    /// Greatest logit so far.
    best: [f32; BLOCK],
    /// Its class id, as wide as the logits so that both are selected by one comparison.
    id: [u32; BLOCK],
    /// 0, or NaN once any logit was not finite.
    fault: [f32; BLOCK],
    /// `[C, voxels]`: the logits, for the softmax.
    scratch: [f32; SCRATCH],
    labels: [u8; BLOCK],
    confidence: [u8; BLOCK],
}

impl Block {
    #[expect(clippy::large_stack_arrays, reason = "64 KiB, instead of an allocation per frame")]
    fn new() -> Self {
        Self {
            voxels: 0,
            best: [0.0; BLOCK],
            id: [0; BLOCK],
            fault: [0.0; BLOCK],
            scratch: [0.0; SCRATCH],
            labels: [0; BLOCK],
            confidence: [0; BLOCK],
        }
    }

    fn start(&mut self, voxels: usize) {
        self.voxels = voxels;
        self.best.fill(f32::NEG_INFINITY);
        self.fault.fill(0.0);
    }

    fn keep(&mut self, nth: usize, values: &[f32]) {
        self.scratch[nth * self.voxels..][..self.voxels].copy_from_slice(values);
    }

    /// One more class.
    fn offer(&mut self, values: &[f32], id: u8) {
        let n = self.voxels;
        let (values, best) = (&values[..n], &mut self.best[..n]);
        let (best_id, fault) = (&mut self.id[..n], &mut self.fault[..n]);
        for i in 0..n {
            let value = values[i];
            // With masks: a conditional assignment becomes a branch around a store, voxel by voxel.
            let better = u32::from(value > best[i]).wrapping_neg();
            best[i] = f32::from_bits(value.to_bits() & better | best[i].to_bits() & !better);
            best_id[i] = u32::from(id) & better | best_id[i] & !better;
            fault[i] += value * 0.0; // NaN unless the value is finite
        }
    }

    /// The winners' probabilities: 1 / sum(exp(logit - greatest logit)).
    fn softmax(&mut self, classes: usize) {
        let mut sums = [0.0; BLOCK];
        for values in self.scratch[..classes * self.voxels].chunks_exact(self.voxels) {
            for ((&value, &best), sum) in values.iter().zip(&self.best).zip(&mut sums) {
                *sum += exp_of_negative(value - best);
            }
        }
        for (confidence, sum) in self.confidence.iter_mut().zip(sums) {
            // In 2^23 and beyond the last bit of an f32 is 1: the sum is rounded to an integer.
            #[expect(clippy::cast_possible_truncation, reason = "the low byte is the integer")]
            let rounded = (255.0 / sum + MAGIC_U23).to_bits() as u8;
            *confidence = rounded;
        }
    }

    /// Labels, and what is unknown.
    fn finish(&mut self, unknown_below: u8, hidden: Option<&[u8]>) {
        let n = self.voxels;
        let (id, fault) = (&self.id[..n], &self.fault[..n]);
        let (labels, confidence) = (&mut self.labels[..n], &mut self.confidence[..n]);
        for i in 0..n {
            let unknown = fault[i] != 0.0 || confidence[i] < unknown_below;
            let unknown = if unknown { UNKNOWN } else { 0 };
            #[expect(clippy::cast_possible_truncation, reason = "ids are bytes")]
            let known = id[i] as u8;
            labels[i] = known | unknown;
            confidence[i] &= !unknown;
        }
        if let Some(hidden) = hidden {
            let state = self.labels.iter_mut().zip(&mut self.confidence);
            for (&hidden, (label, confidence)) in hidden.iter().zip(state) {
                *label |= hidden;
                *confidence &= !hidden;
            }
        }
    }
}

/// exp(x) for x <= 0, exactly 1 for 0, relative error below 0.2 %; at least 2^-126.
///
/// 2^t with t = x log2(e) = n + f, n the nearest integer: the exponent gets n, the mantissa a
/// quadratic in f (Schraudolph, Neural Computation 11, 1999, has the idea with a linear one).
#[inline]
fn exp_of_negative(x: f32) -> f32 {
    let t = (x * std::f32::consts::LOG2_E).max(-126.0);
    let n = t + MAGIC_I22;
    let f = t - (n - MAGIC_I22);
    let mantissa = 1.0 + f * (EXP2_LINEAR + f * EXP2_QUADRATIC);
    f32::from_bits(mantissa.to_bits().wrapping_add(n.to_bits() << (f32::MANTISSA_DIGITS - 1)))
}

/// Voxels in a block: a page of each class's logits, which is as far as hardware prefetches.
const BLOCK: usize = 1024;
/// Logits kept for the softmax: 64 KiB; with 255 classes still a block of 64 voxels.
const SCRATCH: usize = 16384;
/// Blocks are whole vectors.
const LANES: usize = 16;
/// 2^23: adding it to 0 <= x < 2^23 leaves x, rounded, in the low bits.
const MAGIC_U23: f32 = 8_388_608.0;
/// 1.5 * 2^23: the same for -2^22 <= x <= 2^22, in two's complement.
const MAGIC_I22: f32 = 12_582_912.0;
/// Minimax fit of 1 + a f + b f^2 to 2^f for |f| <= 1/2, relative error below 0.002.
const EXP2_LINEAR: f32 = 0.702_94;
const EXP2_QUADRATIC: f32 = 0.239_87;
