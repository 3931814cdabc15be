//! Networks, as they are before they are built.

use super::{BuilderInner, OnnxParser};
use crate::dims::Dims;
use crate::enums::{DataType, LayerType, TensorFormat};
use crate::error::{TensorRtError, c_string};
use crate::library::TensorRt;
use crate::object::Object;
use crate::version::Major;
use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::rc::Rc;

/// A network definition.
#[derive(Debug)]
pub struct Network {
    object: Object,
    /// The parsers that filled it, which own the weights.
    parsers: Vec<Object>,
    builder: Rc<BuilderInner>,
}

impl Network {
    pub(super) fn new(builder: Rc<BuilderInner>, object: Object) -> Self {
        Self { object, parsers: Vec::new(), builder }
    }

    pub(super) fn builder(&self) -> &Rc<BuilderInner> {
        &self.builder
    }

    pub(super) fn object(&self) -> Object {
        self.object
    }

    /// Takes over a parser that has filled this network.
    pub(super) fn keep(&mut self, parser: Object) {
        self.parsers.push(parser);
    }

    pub(super) fn tensorrt(&self) -> TensorRt {
        self.builder.tensorrt
    }

    /// Makes a parser that fills this network.
    ///
    /// # Errors
    /// The parser's library is missing or unusable; see [`TensorRtError::messages`] otherwise.
    pub fn onnx_parser(&mut self) -> Result<OnnxParser<'_>, TensorRtError> {
        OnnxParser::new(self)
    }

    /// Gives the network a name, which the engine gets.
    ///
    /// # Errors
    /// A name with a NUL.
    pub fn set_name(&mut self, name: &str) -> Result<(), TensorRtError> {
        let name = c_string("INetworkDefinition::setName", "the name", name)?;
        // SAFETY: the object is a live `INetworkDefinition` of this library; the name is alive and is copied.
        unsafe { self.tensorrt().calls().network_set_name(self.object, name.as_ptr()) }?;
        Ok(())
    }

    /// How many inputs there are.
    ///
    /// # Errors
    /// None today.
    pub fn inputs(&self) -> Result<u32, TensorRtError> {
        // SAFETY: the object is a live `INetworkDefinition` of this library.
        let count = unsafe { self.tensorrt().calls().network_inputs(self.object) }?;
        Ok(u32::try_from(count).unwrap_or(0))
    }

    /// An input.
    ///
    /// # Errors
    /// There is no such input.
    pub fn input(&self, index: u32) -> Result<Tensor<'_>, TensorRtError> {
        let calls = self.tensorrt().calls();
        self.part("INetworkDefinition::getInput", index, |index| {
            // SAFETY: the object is a live `INetworkDefinition` of this library.
            unsafe { calls.network_input(self.object, index) }.ok().and_then(Object::new)
        })
        .map(|object| Tensor::new(self.tensorrt(), object))
    }

    /// How many outputs there are.
    ///
    /// # Errors
    /// None today.
    pub fn outputs(&self) -> Result<u32, TensorRtError> {
        // SAFETY: the object is a live `INetworkDefinition` of this library.
        let count = unsafe { self.tensorrt().calls().network_outputs(self.object) }?;
        Ok(u32::try_from(count).unwrap_or(0))
    }

    /// An output.
    ///
    /// # Errors
    /// There is no such output.
    pub fn output(&self, index: u32) -> Result<Tensor<'_>, TensorRtError> {
        let calls = self.tensorrt().calls();
        self.part("INetworkDefinition::getOutput", index, |index| {
            // SAFETY: the object is a live `INetworkDefinition` of this library.
            unsafe { calls.network_output(self.object, index) }.ok().and_then(Object::new)
        })
        .map(|object| Tensor::new(self.tensorrt(), object))
    }

    /// How many layers there are.
    ///
    /// # Errors
    /// None today.
    pub fn layers(&self) -> Result<u32, TensorRtError> {
        // SAFETY: the object is a live `INetworkDefinition` of this library.
        let count = unsafe { self.tensorrt().calls().network_layers(self.object) }?;
        Ok(u32::try_from(count).unwrap_or(0))
    }

    /// A layer.
    ///
    /// # Errors
    /// There is no such layer.
    pub fn layer(&self, index: u32) -> Result<Layer<'_>, TensorRtError> {
        let calls = self.tensorrt().calls();
        self.part("INetworkDefinition::getLayer", index, |index| {
            // SAFETY: the object is a live `INetworkDefinition` of this library.
            unsafe { calls.network_layer(self.object, index) }.ok().and_then(Object::new)
        })
        .map(|object| Layer { tensorrt: self.tensorrt(), object, network: PhantomData })
    }

    fn part(
        &self,
        call: &'static str,
        index: u32,
        get: impl FnOnce(i32) -> Option<Object>,
    ) -> Result<Object, TensorRtError> {
        let subject = format!("index {index}");
        self.tensorrt().explain(call, Some(&subject), || get(i32::try_from(index).ok()?))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let calls = self.tensorrt().calls();
        // Parsers first, as in NVIDIA's samples: they refer to the network, and after a build nothing of the
        // network refers to their weights any more that its destructor would look at.
        for parser in self.parsers.drain(..) {
            // SAFETY: the object is a live `IParser`, ours, and is not used again.
            unsafe { calls.parser_delete(parser) }.expect("every version has a destructor");
        }
        // SAFETY: the object is alive, ours, and is not used again; the builder is alive.
        unsafe { calls.network_delete(self.object) }.expect("every version has a destructor");
    }
}

/// An input, an output or something between layers.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'network> {
    tensorrt: TensorRt,
    object: Object,
    network: PhantomData<&'network Network>,
}

impl Tensor<'_> {
    fn new(tensorrt: TensorRt, object: Object) -> Self {
        Self { tensorrt, object, network: PhantomData }
    }

    /// Its name.
    ///
    /// # Errors
    /// None today.
    pub fn name(&self) -> Result<String, TensorRtError> {
        // SAFETY: the object is a live `ITensor` of this library: its network is borrowed.
        let name = unsafe { self.tensorrt.calls().tensor_name(self.object) }?;
        // SAFETY: null, or a string that the network keeps.
        Ok(unsafe { copied(name) })
    }

    /// Its shape; -1 where it is open.
    ///
    /// # Errors
    /// The rank is not known yet.
    pub fn shape(&self) -> Result<Dims, TensorRtError> {
        let (calls, object) = (self.tensorrt.calls(), self.object);
        self.tensorrt.explain("ITensor::getDimensions", None, || match self.tensorrt.major() {
            Major::V8 => {
                // SAFETY: the object is a live `ITensor` of this library.
                let dims = unsafe { calls.tensor_dimensions_32(object) };
                Dims::from_32(&dims.ok()?)
            }
            Major::V10 | Major::V11 | Major::Rtx1 => {
                // SAFETY: as above.
                let dims = unsafe { calls.tensor_dimensions_64(object) };
                Dims::from_64(&dims.ok()?)
            }
        })
    }

    /// What it is made of.
    ///
    /// # Errors
    /// A type that this crate does not know.
    pub fn data_type(&self) -> Result<DataType, TensorRtError> {
        // SAFETY: the object is a live `ITensor` of this library.
        let number = unsafe { self.tensorrt.calls().tensor_type(self.object) }?;
        DataType::from_number(self.tensorrt.version(), number).ok_or_else(|| {
            TensorRtError::UnknownValue {
                call: "ITensor::getType",
                enumeration: "DataType",
                value: number.into(),
            }
        })
    }

    /// Makes an input or output of another type; the builder converts.
    ///
    /// # Errors
    /// 11 does not convert: the type is the network's.
    pub fn set_data_type(&self, data_type: DataType) -> Result<(), TensorRtError> {
        let number = data_type.number(self.tensorrt.version())?;
        // SAFETY: the object is a live `ITensor` of this library; nobody else uses it: it cannot leave this
        // thread.
        Ok(unsafe { self.tensorrt.calls().tensor_set_type(self.object, number) }?)
    }

    /// The formats that an input or output may have; linear at first.
    ///
    /// # Errors
    /// A format that this version does not have.
    pub fn set_allowed_formats(&self, formats: &[TensorFormat]) -> Result<(), TensorRtError> {
        let mut bits = 0_u32;
        for format in formats {
            bits |= 1 << format.number(self.tensorrt.version())?;
        }
        // SAFETY: the object is a live `ITensor` of this library; nobody else uses it.
        Ok(unsafe { self.tensorrt.calls().tensor_set_allowed_formats(self.object, bits) }?)
    }
}

/// A layer.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'network> {
    tensorrt: TensorRt,
    object: Object,
    network: PhantomData<&'network Network>,
}

impl<'network> Layer<'network> {
    pub(super) fn object(&self) -> Object {
        self.object
    }

    pub(super) fn tensorrt(&self) -> TensorRt {
        self.tensorrt
    }

    /// Its name: mostly that of the ONNX node.
    ///
    /// # Errors
    /// None today.
    pub fn name(&self) -> Result<String, TensorRtError> {
        // SAFETY: the object is a live `ILayer` of this library: its network is borrowed.
        let name = unsafe { self.tensorrt.calls().layer_name(self.object) }?;
        // SAFETY: null, or a string that the network keeps.
        Ok(unsafe { copied(name) })
    }

    /// What it does.
    ///
    /// # Errors
    /// A type that this crate does not know.
    pub fn layer_type(&self) -> Result<LayerType, TensorRtError> {
        // SAFETY: the object is a live `ILayer` of this library.
        let number = unsafe { self.tensorrt.calls().layer_type(self.object) }?;
        LayerType::from_number(self.tensorrt.version(), number).ok_or_else(|| {
            TensorRtError::UnknownValue {
                call: "ILayer::getType",
                enumeration: "LayerType",
                value: number.into(),
            }
        })
    }

    /// How many inputs it has.
    ///
    /// # Errors
    /// None today.
    pub fn inputs(&self) -> Result<u32, TensorRtError> {
        // SAFETY: the object is a live `ILayer` of this library.
        let count = unsafe { self.tensorrt.calls().layer_inputs(self.object) }?;
        Ok(u32::try_from(count).unwrap_or(0))
    }

    /// One of its inputs; `None` for an optional one that is not there.
    ///
    /// # Errors
    /// None today.
    pub fn input(&self, index: u32) -> Result<Option<Tensor<'network>>, TensorRtError> {
        let index = i32::try_from(index).unwrap_or(i32::MAX);
        // SAFETY: the object is a live `ILayer` of this library.
        let tensor = unsafe { self.tensorrt.calls().layer_input(self.object, index) }?;
        Ok(Object::new(tensor).map(|object| self.tensor(object)))
    }

    /// How many outputs it has.
    ///
    /// # Errors
    /// None today.
    pub fn outputs(&self) -> Result<u32, TensorRtError> {
        // SAFETY: the object is a live `ILayer` of this library.
        let count = unsafe { self.tensorrt.calls().layer_outputs(self.object) }?;
        Ok(u32::try_from(count).unwrap_or(0))
    }

    /// One of its outputs; `None` if there is no such.
    ///
    /// # Errors
    /// None today.
    pub fn output(&self, index: u32) -> Result<Option<Tensor<'network>>, TensorRtError> {
        let index = i32::try_from(index).unwrap_or(i32::MAX);
        // SAFETY: the object is a live `ILayer` of this library.
        let tensor = unsafe { self.tensorrt.calls().layer_output(self.object, index) }?;
        Ok(Object::new(tensor).map(|object| self.tensor(object)))
    }

    fn tensor(&self, object: Object) -> Tensor<'network> {
        Tensor { tensorrt: self.tensorrt, object, network: PhantomData }
    }

    /// The precision that it shall be computed in, if a flag says that such wishes count
    /// ([`BuilderFlag::ObeyPrecisionConstraints`](crate::BuilderFlag::ObeyPrecisionConstraints)).
    ///
    /// # Errors
    /// 11 has only strongly typed networks.
    pub fn set_precision(&self, precision: DataType) -> Result<(), TensorRtError> {
        let number = precision.number(self.tensorrt.version())?;
        // SAFETY: the object is a live `ILayer` of this library; nobody else uses it: it cannot leave this
        // thread.
        Ok(unsafe { self.tensorrt.calls().layer_set_precision(self.object, number) }?)
    }

    /// The type that one of its outputs shall have, as [`set_precision`](Self::set_precision).
    ///
    /// # Errors
    /// 11 has only strongly typed networks.
    pub fn set_output_type(&self, output: u32, data_type: DataType) -> Result<(), TensorRtError> {
        let number = data_type.number(self.tensorrt.version())?;
        let index = i32::try_from(output).unwrap_or(i32::MAX);
        let calls = self.tensorrt.calls();
        // SAFETY: the object is a live `ILayer` of this library; nobody else uses it.
        Ok(unsafe { calls.layer_set_output_type(self.object, index, number) }?)
    }
}

/// A copy of a string of TensorRT's; empty for null.
///
/// # Safety
/// `text` is null or a live string that ends with a NUL.
pub(super) unsafe fn copied(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller vouches for it.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
