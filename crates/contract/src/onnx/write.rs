//! From a model to bytes, without a second copy of its constants.

use super::{GraphProto, ModelProto, StringStringEntryProto, TensorProto};
use prost::{Message, encoding};
use std::io::{self, Read as _, Write};

impl ModelProto {
    /// The bytes of the model; the same model gives the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    /// Writes the bytes of [`ModelProto::to_bytes`] to `out`, one constant after the other: a network
    /// of a gigabyte needs no second gigabyte.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let Some(graph) = &self.graph else { return out.write_all(&self.to_bytes()) };
        let [model_head, model_tail] = self.around_the_graph();
        let [graph_head, graph_tail] = graph.around_the_constants();
        let constants: usize = graph
            .initializer
            .iter()
            .map(|constant| encoding::message::encoded_len(INITIALIZER, constant))
            .sum();
        let length = graph_head.len() + constants + graph_tail.len();
        out.write_all(&model_head)?;
        out.write_all(&delimited(GRAPH, length))?;
        out.write_all(&graph_head)?;
        for constant in &graph.initializer {
            // Everything but the values is small; the values go out as they are.
            let [head, tail] = without_values(constant).around_the_values();
            let values = &constant.raw_data;
            let prefix = if values.is_empty() { vec![] } else { delimited(RAW_DATA, values.len()) };
            let length = head.len() + prefix.len() + values.len() + tail.len();
            for part in [&delimited(INITIALIZER, length), &head, &prefix, values, &tail] {
                out.write_all(part)?;
            }
        }
        out.write_all(&graph_tail)?;
        out.write_all(&model_tail)
    }

    /// Number of bytes of constants stored as raw data: what [`ModelProto::write_external`] can move out of
    /// the file.
    pub fn constant_bytes(&self) -> u64 {
        let constants = self.graph.iter().flat_map(|graph| &graph.initializer);
        constants.map(|constant| constant.raw_data.len() as u64).sum()
    }

    /// Writes the model to `model` and the values of its larger constants to `data`, which belongs
    /// beside it as the file `location` (ONNX external data). Every constant there starts at a
    /// multiple of 4096 bytes, so that a runtime may map it.
    ///
    /// # Errors
    /// Those of `model` and `data`.
    pub fn write_external(
        &self,
        location: &str,
        model: &mut impl Write,
        data: &mut impl Write,
    ) -> io::Result<()> {
        let mut end = 0_u64;
        let mut place = |constant: &TensorProto| -> io::Result<TensorProto> {
            let values = &constant.raw_data;
            if values.len() < SMALLEST_EXTERNAL {
                return Ok(constant.clone());
            }
            let offset = end.next_multiple_of(EXTERNAL_ALIGNMENT);
            io::copy(&mut io::repeat(0).take(offset - end), data)?;
            data.write_all(values)?;
            end = offset + values.len() as u64;
            let entries = [
                ("location", location.to_owned()),
                ("offset", offset.to_string()),
                ("length", values.len().to_string()),
            ];
            let entry =
                |(key, value): (&str, String)| StringStringEntryProto { key: key.into(), value };
            Ok(TensorProto {
                external_data: entries.into_iter().map(entry).collect(),
                data_location: EXTERNAL,
                ..without_values(constant)
            })
        };
        let Some(graph) = &self.graph else { return model.write_all(&self.to_bytes()) };
        let placed: io::Result<Vec<TensorProto>> =
            graph.initializer.iter().map(&mut place).collect();
        let [head, tail] = graph.around_the_constants();
        let graph = GraphProto { initializer: placed?, ..GraphProto::default() }.encode_to_vec();
        let [model_head, model_tail] = self.around_the_graph();
        let length = head.len() + graph.len() + tail.len();
        for part in [&model_head, &delimited(GRAPH, length), &head, &graph, &tail, &model_tail] {
            model.write_all(part)?;
        }
        Ok(())
    }

    /// The encoded fields before and after field 7, the graph: encoding is in the order of the numbers.
    fn around_the_graph(&self) -> [Vec<u8>; 2] {
        let head = Self {
            ir_version: self.ir_version,
            producer_name: self.producer_name.clone(),
            producer_version: self.producer_version.clone(),
            domain: self.domain.clone(),
            model_version: self.model_version,
            doc_string: self.doc_string.clone(),
            ..Self::default()
        };
        let tail = Self {
            opset_import: self.opset_import.clone(),
            metadata_props: self.metadata_props.clone(),
            training_info: self.training_info.clone(),
            functions: self.functions.clone(),
            ..Self::default()
        };
        [head.encode_to_vec(), tail.encode_to_vec()]
    }
}

impl GraphProto {
    /// The encoded fields before and after field 5, the initializers.
    fn around_the_constants(&self) -> [Vec<u8>; 2] {
        let head = Self { node: self.node.clone(), name: self.name.clone(), ..Self::default() };
        let tail = Self {
            doc_string: self.doc_string.clone(),
            input: self.input.clone(),
            output: self.output.clone(),
            value_info: self.value_info.clone(),
            quantization_annotation: self.quantization_annotation.clone(),
            sparse_initializer: self.sparse_initializer.clone(),
            ..Self::default()
        };
        [head.encode_to_vec(), tail.encode_to_vec()]
    }
}

impl TensorProto {
    /// The encoded fields before and after field 9, the raw data, of a tensor without raw data.
    fn around_the_values(self) -> [Vec<u8>; 2] {
        let tail = Self {
            double_data: self.double_data,
            uint64_data: self.uint64_data,
            doc_string: self.doc_string,
            external_data: self.external_data,
            data_location: self.data_location,
            ..Self::default()
        };
        let head = Self {
            dims: self.dims,
            data_type: self.data_type,
            float_data: self.float_data,
            int32_data: self.int32_data,
            string_data: self.string_data,
            int64_data: self.int64_data,
            name: self.name,
            ..Self::default()
        };
        [head.encode_to_vec(), tail.encode_to_vec()]
    }
}

/// A tensor without its raw data; nothing large is copied when the values are raw.
fn without_values(tensor: &TensorProto) -> TensorProto {
    TensorProto {
        dims: tensor.dims.clone(),
        data_type: tensor.data_type,
        float_data: tensor.float_data.clone(),
        int32_data: tensor.int32_data.clone(),
        string_data: tensor.string_data.clone(),
        int64_data: tensor.int64_data.clone(),
        name: tensor.name.clone(),
        raw_data: vec![],
        double_data: tensor.double_data.clone(),
        uint64_data: tensor.uint64_data.clone(),
        doc_string: tensor.doc_string.clone(),
        external_data: tensor.external_data.clone(),
        data_location: tensor.data_location,
    }
}

/// Key and length of a length-delimited field.
fn delimited(tag: u32, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    encoding::encode_key(tag, encoding::WireType::LengthDelimited, &mut bytes);
    encoding::encode_varint(length as u64, &mut bytes);
    bytes
}

/// Field numbers of `onnx.proto`.
const GRAPH: u32 = 7;
const INITIALIZER: u32 = 5;
const RAW_DATA: u32 = 9;

/// `TensorProto.DataLocation.EXTERNAL`.
pub(super) const EXTERNAL: i32 = 1;

/// What ONNX advises, so that a file can be mapped page by page.
const EXTERNAL_ALIGNMENT: u64 = 4096;

/// Shapes and scalars stay in the model: readers need them before they look at other files.
const SMALLEST_EXTERNAL: usize = 1024;
