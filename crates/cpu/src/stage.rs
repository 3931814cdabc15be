//! Running a graph in stages: parts by the ONNX crate, the convolutions between them by our own
//! kernels.

use crate::CpuError;
use crate::spare::Spare;
use crate::split::{Extracted, Part};
use crate::winograd::{Convolution, Scratch};
use occdepth_contract::onnx::{GraphProto, ModelProto};
use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueOrView, ValueView};
use rten_tensor::prelude::*;
use rten_tensor::{Tensor, TensorView};
use std::collections::HashMap;
use std::sync::Arc;

/// A graph in stages. Values that pass between stages, or in and out, have numbers.
pub(crate) struct Stages {
    sequence: Vec<Stage>,
    numbers: HashMap<String, usize>,
    pool: Arc<ThreadPool>,
    scratch: Scratch,
    /// Values that follow from what is bound, by number.
    known: HashMap<usize, Value>,
}

/// One part of the graph, and the convolutions that follow it.
struct Stage {
    /// `None`: there is nothing between this stage's convolutions and the previous ones.
    model: Option<Model>,
    inputs: Vec<(NodeId, usize)>,
    outputs: Vec<(NodeId, usize)>,
    convolutions: Vec<Step>,
    /// Values inside of the part that follow from what is bound.
    known: Vec<(NodeId, Value)>,
    /// Numbers of values that nothing reads after this stage's part, or after its convolutions.
    last_read: Vec<usize>,
}

/// A convolution between stages.
struct Step {
    convolution: Convolution,
    input: usize,
    output: usize,
    output_shape: Vec<usize>,
}

/// A value while the stages run.
#[derive(Default)]
enum Slot<'a> {
    /// Not computed yet, or not needed any more.
    #[default]
    Empty,
    /// Of the caller, or bound.
    Lent(ValueView<'a>),
    Computed(Value),
}

impl Stages {
    /// Loads the parts of a graph whose container is `header`.
    pub(crate) fn load(
        parts: Vec<Part>,
        extracted: Vec<Extracted>,
        header: &ModelProto,
        origin: &str,
        threads: usize,
    ) -> Result<Self, CpuError> {
        let mut numbers = HashMap::new();
        let mut number = |name: &str| {
            let next = numbers.len();
            *numbers.entry(name.to_owned()).or_insert(next)
        };
        let mut extracted: Vec<Option<Extracted>> = extracted.into_iter().map(Some).collect();
        let mut stages = Vec::with_capacity(parts.len());
        for Part { graph, convolutions } in parts {
            let names = |values: &[occdepth_contract::onnx::ValueInfoProto]| -> Vec<String> {
                values.iter().map(|value| value.name.clone()).collect()
            };
            let (inputs, outputs) = (names(&graph.input), names(&graph.output));
            let model = load_part(graph, header, origin)?;
            let mut ids = |names: Vec<String>| -> Result<Vec<(NodeId, usize)>, CpuError> {
                let Some(model) = &model else { return Ok(Vec::new()) };
                names.iter().map(|name| Ok((model.node_id(name)?, number(name)))).collect()
            };
            let (inputs, outputs) = (ids(inputs)?, ids(outputs)?);
            let convolutions = convolutions
                .into_iter()
                .filter_map(|nth| extracted[nth].take())
                .map(|taken| Step {
                    input: number(&taken.input),
                    output: number(&taken.output),
                    output_shape: taken.output_shape,
                    convolution: taken.convolution,
                })
                .collect();
            let (known, last_read) = (Vec::new(), Vec::new());
            stages.push(Stage { model, inputs, outputs, convolutions, known, last_read });
        }
        let mut read = vec![false; numbers.len()];
        for stage in stages.iter_mut().rev() {
            let convolved = stage.convolutions.iter().map(|step| step.input);
            for number in stage.inputs.iter().map(|(_, number)| *number).chain(convolved) {
                if !std::mem::replace(&mut read[number], true) {
                    stage.last_read.push(number);
                }
            }
        }
        let pool = Arc::new(ThreadPool::with_num_threads(threads));
        Ok(Self {
            sequence: stages,
            numbers,
            pool,
            scratch: Scratch::default(),
            known: HashMap::new(),
        })
    }

    /// The number of a value that crosses a stage's boundary.
    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    /// How many convolutions there are between the parts.
    pub(crate) fn convolutions(&self) -> usize {
        self.sequence.iter().map(|stage| stage.convolutions.len()).sum()
    }

    /// Computes what follows from `values` alone, and keeps it with them for later runs.
    pub(crate) fn bind(&mut self, values: Vec<(usize, Value)>) -> Result<(), CpuError> {
        let mut known: HashMap<usize, Value> = values.into_iter().collect();
        let mut follow = Vec::with_capacity(self.sequence.len());
        for stage in &self.sequence {
            let Some(model) = &stage.model else {
                follow.push(Vec::new());
                continue;
            };
            let given = stage.inputs.iter().filter_map(|(id, number)| {
                known.get(number).map(|value| (*id, ValueOrView::from(value.as_view())))
            });
            let outputs: Vec<NodeId> = stage.outputs.iter().map(|(id, _)| *id).collect();
            let mut follows = model.partial_run(given.collect(), &outputs, Some(self.options()))?;
            // A value that several operators read is returned once for each of them.
            follows.sort_by_key(|(id, _)| *id);
            follows.dedup_by_key(|(id, _)| *id);
            // Inputs are known by their numbers.
            follows.retain(|(id, _)| stage.inputs.iter().all(|(input, _)| input != id));
            for (id, number) in &stage.outputs {
                if let Some(at) = follows.iter().position(|(known, _)| known == id) {
                    known.insert(*number, follows.swap_remove(at).1);
                }
            }
            follow.push(follows);
        }
        for (stage, follows) in self.sequence.iter_mut().zip(follow) {
            stage.known = follows;
        }
        self.known = known;
        Ok(())
    }

    /// Runs the stages on `inputs` and what is bound, as far as the values numbered `outputs` need them;
    /// returns these. Memory of values in between goes to `spare` and comes from it.
    pub(crate) fn run(
        &self,
        inputs: Vec<(usize, ValueView<'_>)>,
        outputs: &[usize],
        spare: &mut Spare,
    ) -> Result<Vec<Value>, CpuError> {
        let mut slots: Vec<Slot<'_>> = Vec::new();
        slots.resize_with(self.numbers.len(), Slot::default);
        for (number, value) in &self.known {
            slots[*number] = Slot::Lent(value.as_view());
        }
        for (number, value) in inputs {
            slots[number] = Slot::Lent(value);
        }
        let missing = self.missing(&slots, outputs);
        for stage in &self.sequence {
            self.run_part(stage, &mut slots, &missing, outputs)?;
            for step in stage.convolutions.iter().filter(|step| missing[step.output]) {
                slots[step.output] =
                    Slot::Computed(self.convolve(step, &slots[step.input], spare)?);
            }
            for &number in &stage.last_read {
                if !outputs.contains(&number)
                    && let Slot::Computed(value) = std::mem::take(&mut slots[number])
                {
                    spare.keep(value);
                }
            }
        }
        let output = |&number: &usize| match std::mem::take(&mut slots[number]) {
            Slot::Computed(value) => Ok(value),
            Slot::Lent(value) => Ok(value.to_owned()),
            Slot::Empty => Err(CpuError::Incomplete { value: self.name(number) }),
        };
        outputs.iter().map(output).collect()
    }

    /// Which values have to be computed for `outputs`, by number. A part is taken to need all of its
    /// inputs.
    fn missing(&self, slots: &[Slot<'_>], outputs: &[usize]) -> Vec<bool> {
        let empty = |number: usize| matches!(slots[number], Slot::Empty);
        let mut missing = vec![false; slots.len()];
        for &number in outputs {
            missing[number] = empty(number);
        }
        for stage in self.sequence.iter().rev() {
            for step in stage.convolutions.iter().rev() {
                missing[step.input] |= missing[step.output] && empty(step.input);
            }
            if stage.outputs.iter().any(|(_, number)| missing[*number]) {
                for &(_, number) in &stage.inputs {
                    missing[number] |= empty(number);
                }
            }
        }
        missing
    }

    fn run_part<'a>(
        &'a self,
        stage: &'a Stage,
        slots: &mut [Slot<'a>],
        missing: &[bool],
        outputs: &[usize],
    ) -> Result<(), CpuError> {
        let Some(model) = &stage.model else { return Ok(()) };
        let wanted: Vec<(NodeId, usize)> =
            stage.outputs.iter().copied().filter(|(_, number)| missing[*number]).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        // What only this part reads is given away, so that operators can work in its memory.
        let convolved = |number| stage.convolutions.iter().any(|step| step.input == number);
        let mut owned = Vec::new();
        for &(id, number) in &stage.inputs {
            let last = stage.last_read.contains(&number) && !convolved(number);
            if last && !outputs.contains(&number) && matches!(slots[number], Slot::Computed(_)) {
                let Slot::Computed(value) = std::mem::take(&mut slots[number]) else { continue };
                owned.push((id, ValueOrView::Value(value)));
            }
        }
        let mut given: Vec<(NodeId, ValueOrView<'_>)> =
            stage.known.iter().map(|(id, value)| (*id, value.as_view().into())).collect();
        for (id, number) in &stage.inputs {
            match &slots[*number] {
                Slot::Computed(value) => given.push((*id, value.as_view().into())),
                Slot::Lent(value) => given.push((*id, value.clone().into())),
                Slot::Empty => {}
            }
        }
        given.append(&mut owned);
        let ids: Vec<NodeId> = wanted.iter().map(|(id, _)| *id).collect();
        let computed = model.run(given, &ids, Some(self.options()))?;
        for ((_, number), value) in wanted.into_iter().zip(computed) {
            slots[number] = Slot::Computed(value);
        }
        Ok(())
    }

    fn convolve(
        &self,
        step: &Step,
        input: &Slot<'_>,
        spare: &mut Spare,
    ) -> Result<Value, CpuError> {
        let view = match input {
            Slot::Computed(value) => value.as_view(),
            Slot::Lent(value) => value.clone(),
            Slot::Empty => return Err(CpuError::Incomplete { value: self.name(step.input) }),
        };
        let misfit = || CpuError::Convolution {
            value: self.name(step.input),
            found: format!("{:?} {:?}", view.dtype(), view.shape()),
        };
        let batch = step.output_shape.first().copied().unwrap_or(0);
        let expected = batch * step.convolution.input_len();
        let input = TensorView::<'_, f32>::try_from(view.clone()).map_err(|_| misfit())?;
        if input.len() != expected {
            return Err(misfit());
        }
        let input = input.to_contiguous();
        let mut output = spare.take(batch * step.convolution.output_len());
        self.pool.run(|| step.convolution.run(input.data(), &mut output, &self.scratch));
        Ok(Tensor::from_data(step.output_shape.as_slice(), output).into())
    }

    fn options(&self) -> RunOptions {
        RunOptions::default().with_thread_pool(Some(self.pool.clone()))
    }

    fn name(&self, number: usize) -> String {
        let named = self.numbers.iter().find(|(_, found)| **found == number);
        named.map_or_else(String::new, |(name, _)| name.clone())
    }
}

fn load_part(
    graph: GraphProto,
    header: &ModelProto,
    origin: &str,
) -> Result<Option<Model>, CpuError> {
    if graph.node.is_empty() {
        return Ok(None);
    }
    let model = ModelProto { graph: Some(graph), ..header.clone() };
    ModelOptions::with_all_ops()
        .load(model.to_bytes())
        .map(Some)
        .map_err(|source| CpuError::Load { origin: origin.into(), source })
}
