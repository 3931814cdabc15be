//! Whether an engine computes its network.

use super::{BuildError, NetworkFile};
use crate::engine::cache::SelfTestRecord;
use crate::engine::recipe::Recipe;
use crate::engine::{Engine, EngineError};
use crate::grid::{GridOutput, LabelOptions};
use occdepth_contract::self_test::{Comparison, SelfTest, Tolerance};
use occdepth_contract::tensor;

/// Runs the self-test of the network on an engine that was built from it.
///
/// The tolerance is that of the network, or of the recipe's precision where that is narrower.
///
/// # Errors
/// An engine that fails, or gives wrong answers; a self-test for another network.
pub fn test(
    engine: &mut dyn Engine,
    network: &NetworkFile,
    mut test: SelfTest,
    recipe: &Recipe,
) -> Result<SelfTestRecord, BuildError> {
    let precision = recipe.precision.of_contract();
    if precision != network.contract.precision {
        let Tolerance { largest, rms } = Tolerance::of(precision);
        test.tolerance.largest = test.tolerance.largest.max(largest);
        test.tolerance.rms = test.tolerance.rms.max(rms);
    }
    let comparison = compare(engine, &test, &network.name)?;
    if !comparison.passed() {
        return Err(BuildError::Wrong(Box::new(comparison)));
    }
    let Comparison { samples, largest, rms, .. } = comparison;
    Ok(SelfTestRecord { samples, largest, rms })
}

/// Runs the frame of a self-test on `engine` and compares its logits with those expected.
///
/// # Errors
/// An engine that fails; a self-test for another network.
pub fn compare(
    engine: &mut dyn Engine,
    test: &SelfTest,
    origin: &str,
) -> Result<Comparison, BuildError> {
    let frame = test.frame(engine.contract(), origin)?;
    let run = |error: EngineError| BuildError::Run(error);
    engine.bind(&frame.geometry, LabelOptions::default()).map_err(run)?;
    let contract = engine.contract();
    let voxels = contract.grid.dims.iter().map(|&n| n as usize).product();
    let classes = contract.classes.len();
    let (mut labels, mut logits) = (vec![0; voxels], vec![f32::NAN; voxels * classes]);
    let grid = GridOutput { labels: &mut labels, confidence: None, logits: Some(&mut logits) };
    engine.run(&frame.images, grid).map_err(run)?;
    Ok(test.compare(tensor::SSC_LOGITS, &logits)?)
}
