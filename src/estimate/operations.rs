//! Operations and reads of one node.
//!
//! | operator | operations |
//! |---|---|
//! | `Conv` | 2 · outputs · input channels of a group · taps, and 1 an output for the bias |
//! | `ConvTranspose` | 2 · inputs · output channels of a group · taps (those that fall outside included), and the bias |
//! | `MatMul`, `Gemm` | 2 · outputs · inner extent, and 1 an output for what is added |
//! | on single elements | those of the formula, a root or an exponential being one: [`per_element`] |
//! | `Softmax` | 5 an element: maximum, difference, exponential, sum, quotient |
//! | normalisations over elements | 7 an element: mean, difference, square, mean, quotient, factor, summand |
//! | `AveragePool`, `MaxPool` | taps an output, 1 less for a maximum |
//! | `ReduceSum` and its kind | inputs less outputs; `ReduceMean` one more an output, `ReduceL2` twice the inputs |
//! | `Resize` | linear 2 · 2ⁿ - 1, cubic 2 · 4ⁿ - 1 an output over n resized axes; nearest none |
//! | `Gather`, `Concat`, `Slice`, `Split`, `Pad`, `Transpose`, `Expand`, `Cast` | none: they move numbers |
//! | `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze`, `Identity` | none, and nothing moves |

use super::values::Values;
use occdepth_contract::onnx::NodeProto;

/// What one node does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Operations; a multiply-add counts as two.
    pub operations: u64,
    /// Multiply-adds of a convolution or a matrix product.
    pub multiply_adds: u64,
    /// How it can run.
    pub kind: Kind,
    /// Elements that are read of each input; inputs that only say how are not read.
    pub reads: Vec<u64>,
}

/// How a node can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not at all: its output is its input under another shape.
    View,
    /// Element by element: together with what computes its input.
    Pointwise,
    /// On its own.
    Whole,
}

/// Operations for each output element of an operator on single elements; `None`: it is no such
/// operator. `inputs` is how many it has.
pub fn per_element(operator: &str, inputs: u64) -> Option<u64> {
    Some(match operator {
        "Cast" => 0,
        "Abs" | "And" | "Ceil" | "Div" | "Equal" | "Erf" | "Exp" | "Floor" | "Greater"
        | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Log" | "Mod" | "Mul" | "Neg" | "Not"
        | "Or" | "Pow" | "Reciprocal" | "Relu" | "Round" | "Sign" | "Sqrt" | "Sub" | "Tanh"
        | "Add" | "Where" | "Xor" => 1,
        "Max" | "Min" | "Sum" => inputs.saturating_sub(1),
        // The sum, and the quotient.
        "Mean" => inputs,
        // A comparison and a product; two comparisons; a scaled and shifted element.
        "LeakyRelu" | "PRelu" | "Clip" | "BatchNormalization" | "DequantizeLinear" => 2,
        // Exponential, difference, product; exponential, sum, logarithm; quotient, rounding, sum.
        "Elu" | "Softplus" | "QuantizeLinear" => 3,
        // Negation, exponential, sum, quotient; product, sum, two comparisons.
        "Sigmoid" | "HardSigmoid" => 4,
        // The hard sigmoid and a product; quotient, error function, sum, two products.
        "HardSwish" | "Gelu" => 5,
        _ => return None,
    })
}

/// What a node does.
///
/// # Errors
/// Why it cannot be told: an operator without a rule, or a shape that is unknown.
pub(super) fn of(node: &NodeProto, values: &Values<'_>) -> Result<Work, String> {
    let operator = node.op_type.as_str();
    if !matches!(node.domain.as_str(), "" | "ai.onnx") {
        return Err(format!("an operator of {:?}", node.domain));
    }
    let count = |name: Option<&String>| {
        let name = name.filter(|name| !name.is_empty()).ok_or("an input or output is missing")?;
        values.count(name).ok_or_else(|| format!("the shape of `{name}` is unknown"))
    };
    let shape = |position: usize| {
        let name = node.input.get(position).ok_or("an input is missing")?;
        values.shapes.of(name).ok_or_else(|| format!("the shape of `{name}` is unknown"))
    };
    let outputs: u64 = {
        let names = node.output.iter().filter(|name| !name.is_empty());
        names.map(|name| count(Some(name))).sum::<Result<_, _>>()?
    };
    let input = || count(node.input.first());
    let has = |position: usize| node.input.get(position).is_some_and(|name| !name.is_empty());
    let all_inputs = || -> Result<Vec<u64>, String> {
        let given = |name: &String| if name.is_empty() { Ok(0) } else { count(Some(name)) };
        node.input.iter().map(given).collect()
    };
    let whole = |operations| {
        Ok(Work { operations, multiply_adds: 0, kind: Kind::Whole, reads: all_inputs()? })
    };
    let product = |multiply_adds: u64, added: u64| {
        let operations = multiply_adds.saturating_mul(2).saturating_add(added);
        Ok(Work { operations, multiply_adds, kind: Kind::Whole, reads: all_inputs()? })
    };
    // Only the first input is data, and `read` elements of it are needed.
    let moves = |read: u64| {
        Ok(Work { operations: 0, multiply_adds: 0, kind: Kind::Whole, reads: vec![read] })
    };
    let taps = |shape: &[usize]| shape.iter().skip(2).product::<usize>() as u64;

    if let Some(each) = per_element(operator, node.input.len() as u64) {
        return Ok(Work {
            operations: each.saturating_mul(outputs),
            multiply_adds: 0,
            kind: Kind::Pointwise,
            reads: all_inputs()?,
        });
    }
    match operator {
        "Flatten" | "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" => {
            Ok(Work { operations: 0, multiply_adds: 0, kind: Kind::View, reads: vec![] })
        }
        "Conv" => {
            let weights = shape(1)?;
            let channels = *weights.get(1).ok_or("its weights have no channels")? as u64;
            let bias = if has(2) { outputs } else { 0 };
            product(outputs.saturating_mul(channels).saturating_mul(taps(weights)), bias)
        }
        "ConvTranspose" => {
            let weights = shape(1)?;
            let channels = *weights.get(1).ok_or("its weights have no channels")? as u64;
            let bias = if has(2) { outputs } else { 0 };
            product(input()?.saturating_mul(channels).saturating_mul(taps(weights)), bias)
        }
        "MatMul" => {
            let inner = *shape(0)?.last().ok_or("its input is a scalar")? as u64;
            product(outputs.saturating_mul(inner), 0)
        }
        "Gemm" => {
            let transposed = node.attribute("transA").and_then(|a| a.i).unwrap_or(0) != 0;
            let inner = *shape(0)?.get(usize::from(!transposed)).ok_or("its input is no matrix")?;
            product(outputs.saturating_mul(inner as u64), if has(2) { outputs } else { 0 })
        }
        // The logarithms of the sums of a LogSoftmax are too few to count.
        "LogSoftmax" | "Softmax" => whole(5 * outputs),
        "InstanceNormalization" | "LayerNormalization" => whole(7 * outputs),
        "AveragePool" | "MaxPool" => {
            let kernel = node.attribute("kernel_shape").ok_or("it has no `kernel_shape`")?;
            let taps: Option<u64> = kernel.ints.iter().map(|&n| u64::try_from(n).ok()).product();
            let taps = taps.ok_or("its `kernel_shape` is negative")?;
            let each = if operator == "MaxPool" { taps.saturating_sub(1) } else { taps };
            // A second output has the places of the maxima.
            let outputs = count(node.output.first())?;
            whole(outputs.saturating_mul(each))
        }
        "GlobalAveragePool" | "ReduceMean" => whole(input()?),
        "GlobalMaxPool" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceSum" => Ok(Work {
            operations: input()?.saturating_sub(outputs),
            multiply_adds: 0,
            kind: Kind::Whole,
            reads: vec![input()?],
        }),
        // Squares, their sums, the roots of these.
        "ReduceL2" => Ok(Work {
            operations: 2 * input()?,
            multiply_adds: 0,
            kind: Kind::Whole,
            reads: vec![input()?],
        }),
        "Resize" => {
            let to = values.shapes.of(&node.output[0]).unwrap_or_default();
            let axes = shape(0)?.iter().zip(to).filter(|(from, to)| from != to).count();
            let mode = node.attribute("mode").and_then(|mode| mode.s.as_deref());
            let points: u64 = match mode {
                Some(b"linear") => 1 << axes,
                Some(b"cubic") => 1 << (2 * axes),
                None | Some(b"nearest") => 0,
                Some(other) => {
                    return Err(format!("mode {:?}", String::from_utf8_lossy(other)));
                }
            };
            // A product for each point and a sum for all but one.
            let each = if axes == 0 { 0 } else { (2 * points).saturating_sub(1) };
            Ok(Work {
                operations: outputs.saturating_mul(each),
                multiply_adds: 0,
                kind: Kind::Whole,
                reads: vec![input()?],
            })
        }
        "Gather" | "GatherElements" | "GatherND" => {
            // No more of the table than is taken, or than there is.
            let reads = vec![outputs.min(input()?), count(node.input.get(1))?];
            Ok(Work { operations: 0, multiply_adds: 0, kind: Kind::Whole, reads })
        }
        "Concat" => whole(0),
        "Slice" => moves(outputs),
        "Expand" | "Pad" | "Split" | "Tile" | "Transpose" => moves(input()?),
        "Shape" | "Size" => moves(0),
        _ => Err("no rule for this operator".into()),
    }
}
