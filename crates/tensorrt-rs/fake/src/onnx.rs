//! Small ONNX files, written field by field.

/// Element types, with their numbers in `TensorProto.DataType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OnnxType {
    /// 32-bit floating point.
    Float = 1,
    /// Unsigned bytes.
    Uint8 = 2,
    /// Signed bytes.
    Int8 = 3,
    /// Signed 32 bits.
    Int32 = 6,
    /// Signed 64 bits.
    Int64 = 7,
    /// Text, which TensorRT does not have.
    String = 8,
    /// IEEE half.
    Float16 = 10,
}

/// An ONNX network in the making. What it computes is nobody's business; its form is valid.
#[derive(Clone, Debug, Default)]
pub struct Onnx {
    graph: Vec<u8>,
}

impl Onnx {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an input; -1 is an extent that is left open.
    #[must_use]
    pub fn input(mut self, name: &str, element: OnnxType, shape: &[i64]) -> Self {
        bytes(&mut self.graph, 11, &value_info(name, element, shape));
        self
    }

    /// Adds an output.
    #[must_use]
    pub fn output(mut self, name: &str, element: OnnxType, shape: &[i64]) -> Self {
        bytes(&mut self.graph, 12, &value_info(name, element, shape));
        self
    }

    /// Adds a node.
    #[must_use]
    pub fn node(mut self, name: &str, operator: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        let mut node = Vec::new();
        for input in inputs {
            bytes(&mut node, 1, input.as_bytes());
        }
        for output in outputs {
            bytes(&mut node, 2, output.as_bytes());
        }
        bytes(&mut node, 3, name.as_bytes());
        bytes(&mut node, 4, operator.as_bytes());
        bytes(&mut self.graph, 1, &node);
        self
    }

    /// Adds weights that lie in another file.
    #[must_use]
    pub fn external_weights(mut self, name: &str, file: &str) -> Self {
        let mut entry = Vec::new();
        bytes(&mut entry, 1, b"location");
        bytes(&mut entry, 2, file.as_bytes());
        let mut tensor = Vec::new();
        integer(&mut tensor, 1, 1); // dims
        integer(&mut tensor, 2, OnnxType::Float as u64);
        bytes(&mut tensor, 8, name.as_bytes());
        bytes(&mut tensor, 13, &entry);
        integer(&mut tensor, 14, 1); // EXTERNAL
        bytes(&mut self.graph, 5, &tensor);
        self
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut opset = Vec::new();
        integer(&mut opset, 2, 17);
        let mut model = Vec::new();
        integer(&mut model, 1, 8); // IR version
        let mut graph = self.graph.clone();
        bytes(&mut graph, 2, b"graph");
        bytes(&mut model, 7, &graph);
        bytes(&mut model, 8, &opset);
        model
    }
}

fn value_info(name: &str, element: OnnxType, shape: &[i64]) -> Vec<u8> {
    let mut dims = Vec::new();
    for &extent in shape {
        let mut dim = Vec::new();
        match u64::try_from(extent) {
            Ok(extent) => integer(&mut dim, 1, extent),
            Err(_) => bytes(&mut dim, 2, b"open"),
        }
        bytes(&mut dims, 1, &dim);
    }
    let mut tensor = Vec::new();
    integer(&mut tensor, 1, element as u64);
    bytes(&mut tensor, 2, &dims);
    let mut kind = Vec::new();
    bytes(&mut kind, 1, &tensor);
    let mut info = Vec::new();
    bytes(&mut info, 1, name.as_bytes());
    bytes(&mut info, 2, &kind);
    info
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        to.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return;
        }
    }
}

fn integer(to: &mut Vec<u8>, field: u64, value: u64) {
    varint(to, field << 3);
    varint(to, value);
}

fn bytes(to: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(to, field << 3 | 2);
    varint(to, value.len() as u64);
    to.extend_from_slice(value);
}
