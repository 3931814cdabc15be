//! Describing the layers of an engine.

use super::engine::{EngineInner, owned};
use crate::enums::InformationFormat;
use crate::error::TensorRtError;
use crate::object::Object;
use std::ffi::c_char;
use std::sync::Arc;

/// Describes the layers of an engine, in as much detail as the engine was built with
/// ([`BuilderConfig::set_profiling_verbosity`](crate::build::BuilderConfig::set_profiling_verbosity)).
///
/// `Send`, and not `Sync`: what it returns is overwritten by the next call, and copied here before.
#[derive(Debug)]
pub struct EngineInspector {
    object: Object,
    engine: Arc<EngineInner>,
    /// Keeps it from being `Sync`.
    _not_sync: std::marker::PhantomData<std::cell::Cell<()>>,
}

// SAFETY: moving an object serialises access to it, which is what the Developer Guide ("Threading") asks for.
unsafe impl Send for EngineInspector {}

impl EngineInspector {
    pub(super) fn new(engine: Arc<EngineInner>, object: Object) -> Self {
        Self { object, engine, _not_sync: std::marker::PhantomData }
    }

    /// One layer, by its index in the engine.
    ///
    /// # Errors
    /// There is no such layer.
    pub fn layer(&self, index: u32, format: InformationFormat) -> Result<String, TensorRtError> {
        let tensorrt = self.engine.runtime.tensorrt;
        let format = format.number(tensorrt.version())?;
        let subject = format!("layer {index}");
        let index = i32::try_from(index).unwrap_or(i32::MAX);
        let call = "IEngineInspector::getLayerInformation";
        self.text(call, Some(&subject), || {
            // SAFETY: the object is a live `IEngineInspector` of this library.
            unsafe { tensorrt.calls().inspector_layer(self.object, index, format) }.ok()
        })
    }

    /// All layers.
    ///
    /// # Errors
    /// See [`TensorRtError::messages`].
    pub fn engine(&self, format: InformationFormat) -> Result<String, TensorRtError> {
        let tensorrt = self.engine.runtime.tensorrt;
        let format = format.number(tensorrt.version())?;
        self.text("IEngineInspector::getEngineInformation", None, || {
            // SAFETY: the object is a live `IEngineInspector` of this library.
            unsafe { tensorrt.calls().inspector_engine(self.object, format) }.ok()
        })
    }

    fn text(
        &self,
        call: &'static str,
        subject: Option<&dyn std::fmt::Display>,
        ask: impl FnOnce() -> Option<*const c_char>,
    ) -> Result<String, TensorRtError> {
        self.engine.runtime.tensorrt.explain(call, subject, || {
            let text = ask()?;
            // SAFETY: null, or a string that the inspector keeps until the next call, which cannot come
            // before the copy: nobody else has it.
            let text = unsafe { owned(text) }?;
            Some(text.to_string_lossy().into_owned())
        })
    }
}

impl Drop for EngineInspector {
    fn drop(&mut self) {
        let calls = self.engine.runtime.tensorrt.calls();
        // SAFETY: the object is alive, ours, and is not used again.
        unsafe { calls.inspector_delete(self.object) }.expect("every version has a destructor");
    }
}
