//! A loaded network.

use crate::lower::rewrite::title;
use crate::lower::shapes::Shapes;
use crate::spare::Spare;
use crate::split::Copies;
use crate::stage::Stages;
use crate::{CpuError, Input, Output, lower, split, widen};
use occdepth_contract::onnx::{GraphProto, ModelProto, ValueInfoProto, data_type};
use rten::Value;
use std::collections::HashSet;

/// A network on the CPU.
///
/// Each network has its own threads, which sleep between runs.
pub struct Network {
    description: String,
    stages: Stages,
    spare: Spare,
    inputs: Vec<Declared>,
    outputs: Vec<Declared>,
    /// Positions in `inputs`.
    bound_inputs: Vec<usize>,
}

/// An input or output of the graph.
struct Declared {
    name: String,
    /// Of the value in the stages; `None`: nothing reads it.
    number: Option<usize>,
    /// `None`: the graph leaves it open.
    tensor: Option<(i32, Vec<usize>)>,
}

/// Which of the convolutions that this crate has kernels for run on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnKernels {
    /// Those large enough to gain by it: of 2^29 multiply-accumulates or more (published networks: most
    /// of them; the bundled one: none).
    #[default]
    Large,
    /// All of them.
    All,
}

impl OwnKernels {
    /// The least multiply-accumulates of a convolution that runs on them.
    const fn least_work(self) -> usize {
        match self {
            // Between the convolutions of the bundled network (0.1 G), which lose a tenth of their speed
            // to the stages on two threads, and the smallest of `kitti-b3` that matter (1 G).
            Self::Large => 1 << 29,
            Self::All => 0,
        }
    }
}

impl Network {
    /// [`Network::load_with`] the kernels that suit each convolution.
    ///
    /// # Errors
    /// As there.
    pub fn load(model: ModelProto, origin: &str, threads: Option<usize>) -> Result<Self, CpuError> {
        Self::load_with(model, origin, threads, OwnKernels::default())
    }

    /// Prepares a network for running. `origin` names it in messages; `threads` is how many it runs
    /// on, `None`: one for each core that this process may use.
    ///
    /// Half-precision networks are widened: their weights keep the values they were rounded to, every
    /// operation is done in f32, and inputs and outputs declared as f16 are f32 as well.
    ///
    /// # Errors
    /// Operators that the CPU does not have, constants that do not fit their operators or are shared by
    /// very many of them, names that are used twice, or a number of threads outside 1 to [`MAX_THREADS`].
    pub fn load_with(
        model: ModelProto,
        origin: &str,
        threads: Option<usize>,
        kernels: OwnKernels,
    ) -> Result<Self, CpuError> {
        let threads = match threads {
            Some(threads) if (1..=MAX_THREADS).contains(&threads) => threads,
            Some(found) => return Err(CpuError::Threads { found }),
            None => std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS),
        };
        let mut model = model;
        let mut graph = model.graph.take().unwrap_or_default();
        let widened = widen::widen(&mut graph)
            .map_err(|source| CpuError::Widen { origin: origin.into(), source })?;
        check(&graph, origin)?;
        let (inputs, outputs) = (graph.input.clone(), graph.output.clone());
        let (graph, convolutions) = split::extract(graph, kernels.least_work());
        let graph = lower::lower(graph)
            .map_err(|source| CpuError::Lower { origin: origin.into(), source })?;
        let parts = split::split(graph, &convolutions).map_err(|Copies { found, allowed }| {
            CpuError::Shared { origin: origin.into(), found, allowed }
        })?;
        let stages = Stages::load(parts, convolutions, &model, origin, threads)?;
        let declared = |values: Vec<ValueInfoProto>| {
            values.into_iter().map(|value| Declared::new(value, &stages)).collect()
        };
        Ok(Self {
            description: format!(
                "rten {RTEN_VERSION}, {threads} thread{}{}",
                if threads == 1 { "" } else { "s" },
                if widened { ", fp16 weights in fp32 arithmetic" } else { "" },
            ),
            inputs: declared(inputs),
            outputs: declared(outputs),
            stages,
            spare: Spare::default(),
            bound_inputs: Vec::new(),
        })
    }

    /// For people: "rten 0.27, 2 threads".
    pub fn description(&self) -> &str {
        &self.description
    }

    /// How many convolutions of the graph run on this crate's own kernels, not on `rten`'s: those of
    /// stride 1 with three taps along every axis, padded by their dilation, as [`OwnKernels`] says.
    pub fn own_convolutions(&self) -> usize {
        self.stages.convolutions()
    }

    /// Takes the inputs that stay the same from run to run, instead of those bound before, and computes
    /// whatever follows from them alone.
    ///
    /// # Errors
    /// Inputs that the graph does not declare so, and failures of an operator. The network then keeps
    /// what was bound before.
    pub fn bind(&mut self, inputs: &[Input<'_>]) -> Result<(), CpuError> {
        let mut positions = Vec::with_capacity(inputs.len());
        let mut values = Vec::with_capacity(inputs.len());
        for input in inputs {
            let position = self.position(input, &positions)?;
            positions.push(position);
            let number = self.inputs[position].number;
            values.extend(number.map(|number| (number, input.to_value())));
        }
        self.stages.bind(values)?;
        self.bound_inputs = positions;
        Ok(())
    }

    /// Runs the network on all inputs that are not bound, and returns `outputs` in this order.
    ///
    /// # Errors
    /// Inputs that the graph does not declare so, or that are missing; outputs that it does not
    /// declare, or that are asked for twice; failures of an operator. The network can be used again.
    pub fn run(&mut self, inputs: &[Input<'_>], outputs: &[&str]) -> Result<Vec<Output>, CpuError> {
        let mut given = self.bound_inputs.clone();
        let mut values = Vec::with_capacity(inputs.len());
        for input in inputs {
            let position = self.position(input, &given)?;
            given.push(position);
            let number = self.inputs[position].number;
            values.extend(number.map(|number| (number, input.view())));
        }
        if let Some(missing) = (0..self.inputs.len()).find(|position| !given.contains(position)) {
            let missing = &self.inputs[missing];
            return Err(CpuError::Input {
                name: missing.name.clone(),
                found: "nothing".into(),
                expected: missing.to_string(),
            });
        }
        let mut numbers = Vec::with_capacity(outputs.len());
        for name in outputs {
            let number = self.output(name)?;
            if numbers.contains(&number) {
                return Err(CpuError::Output {
                    name: (*name).into(),
                    found: "it twice".into(),
                    expected: "each output once".into(),
                });
            }
            numbers.push(number);
        }
        let computed = self.stages.run(values, &numbers, &mut self.spare)?;
        let output = |(name, value): (&&str, Value)| {
            let found = format!("{:?}", value.dtype());
            Output::new(name, value).ok_or_else(|| CpuError::Output {
                name: (*name).into(),
                found,
                expected: "f32 or i32".into(),
            })
        };
        outputs.iter().zip(computed).map(output).collect()
    }

    /// Which input of the graph this is, checked against its declaration and those already `given`.
    fn position(&self, input: &Input<'_>, given: &[usize]) -> Result<usize, CpuError> {
        let refuse = |found: String, expected: String| {
            Err(CpuError::Input { name: input.name.into(), found, expected })
        };
        let Some(position) = self.inputs.iter().position(|declared| declared.name == input.name)
        else {
            return refuse("an unknown name".into(), names(&self.inputs));
        };
        if given.contains(&position) {
            return refuse("it twice".into(), "each input once".into());
        }
        let declared = &self.inputs[position];
        let described = || format!("{} {:?}", input.values.dtype(), input.shape);
        let count = input.shape.iter().try_fold(1_usize, |count, &n| count.checked_mul(n));
        if count != Some(input.values.len()) {
            return refuse(
                format!("{} values for {}", input.values.len(), described()),
                "as many values as the shape says".into(),
            );
        }
        match &declared.tensor {
            Some((dtype, shape))
                if dtype_name(*dtype) != input.values.dtype() || shape != input.shape =>
            {
                refuse(described(), declared.to_string())
            }
            _ => Ok(position),
        }
    }

    fn output(&self, name: &str) -> Result<usize, CpuError> {
        let declared = self.outputs.iter().find(|output| output.name == name);
        let Some(declared) = declared else {
            return Err(CpuError::Output {
                name: name.into(),
                found: "an unknown name".into(),
                expected: names(&self.outputs),
            });
        };
        declared.number.ok_or_else(|| CpuError::Incomplete { value: name.into() })
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("description", &self.description)
            .field("bound", &self.bound_inputs.len())
            .finish_non_exhaustive()
    }
}

impl Declared {
    fn new(value: ValueInfoProto, stages: &Stages) -> Self {
        let tensor = value.static_tensor().and_then(|(dtype, dims)| {
            let shape = dims.iter().map(|&n| usize::try_from(n).ok()).collect::<Option<_>>()?;
            Some((dtype, shape))
        });
        Self { number: stages.number(&value.name), name: value.name, tensor }
    }
}

impl std::fmt::Display for Declared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.tensor {
            Some((dtype, shape)) => write!(f, "{} {shape:?}", dtype_name(*dtype)),
            None => f.write_str("a tensor"),
        }
    }
}

/// Every value has one name and a static shape of bounded size before anything is handed to the ONNX
/// crate, which allocates what a graph asks for.
fn check(graph: &GraphProto, origin: &str) -> Result<(), CpuError> {
    let given = graph.input.iter().map(|input| &input.name);
    let provided = given
        .chain(graph.initializer.iter().map(|constant| &constant.name))
        // Outputs that a node leaves out have no name.
        .chain(graph.node.iter().flat_map(|node| &node.output).filter(|name| !name.is_empty()));
    let mut names = HashSet::new();
    for name in provided {
        if !names.insert(name) {
            return Err(CpuError::Name { origin: origin.into(), value: name.clone() });
        }
    }
    let shapes = Shapes::new(graph);
    let Some(node) = shapes.undetermined() else { return Ok(()) };
    let inputs: Vec<String> = node
        .input
        .iter()
        .map(|name| format!("`{name}` {:?}", shapes.of(name).unwrap_or_default()))
        .collect();
    Err(CpuError::Node {
        origin: origin.into(),
        node: title(node),
        operator: node.op_type.clone(),
        inputs: inputs.join(", "),
    })
}

fn dtype_name(dtype: i32) -> &'static str {
    match dtype {
        data_type::FLOAT => "f32",
        data_type::INT32 => "i32",
        _ => "a type that no exported network has",
    }
}

fn names(declared: &[Declared]) -> String {
    let names: Vec<String> = declared.iter().map(|value| format!("`{}`", value.name)).collect();
    format!("one of {}", names.join(", "))
}

/// More threads than any board has cores.
pub const MAX_THREADS: usize = 1024;

/// As in the workspace's dependencies.
const RTEN_VERSION: &str = "0.27";
