//! The self-test beside an exported file: all its outputs, also those that no runtime asks for.

use occdepth_contract::{Contract, onnx::ModelProto, self_test::SelfTest};

use super::{VerifyError, compare::Comparison, exported, report::SelfTestRun};

/// Runs `model` on the frame of `test`, and compares every output of the contract at the test's places.
pub(super) fn run(
    model: &ModelProto,
    origin: &str,
    contract: &Contract,
    test: &SelfTest,
    threads: Option<usize>,
) -> Result<SelfTestRun, VerifyError> {
    let frame = test.frame(contract, "the self-test")?;
    let exported = exported::run(model.clone(), origin, contract, &frame, &[], false, threads)?;
    let outputs = contract.outputs.iter().map(|output| {
        let values = exported.tensor(&output.name);
        // Refuses an output without samples, and samples beyond its end.
        test.compare(&output.name, values)?;
        let samples = test.outputs.iter().filter(|samples| samples.name == output.name);
        let places = samples.flat_map(|samples| samples.indices.iter().zip(&samples.values));
        let (found, expected): (Vec<f32>, Vec<f32>) =
            places.map(|(&index, &expected)| (values[index as usize], expected)).unzip();
        Ok(Comparison::new(&output.name, &found, &expected, None))
    });
    let outputs = outputs.collect::<Result<_, VerifyError>>()?;
    Ok(SelfTestRun { tolerance: test.tolerance, outputs })
}
