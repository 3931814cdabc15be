//! Optimisation profiles: for which shapes an engine is built.

use super::BuilderInner;
use crate::dims::Dims;
use crate::enums::ProfileSelector;
use crate::error::{TensorRtError, c_string};
use crate::object::Object;
use crate::version::Major;
use std::rc::Rc;

/// The smallest, the best and the largest shape of every input whose shape the network leaves open.
#[derive(Debug)]
pub struct OptimizationProfile {
    object: Object,
    /// The builder owns the object.
    builder: Rc<BuilderInner>,
}

impl OptimizationProfile {
    pub(super) fn new(builder: Rc<BuilderInner>, object: Object) -> Self {
        Self { object, builder }
    }

    pub(super) fn object(&self) -> Object {
        self.object
    }

    pub(super) fn builder(&self) -> &Rc<BuilderInner> {
        &self.builder
    }

    /// Sets one of the three shapes of an input.
    ///
    /// # Errors
    /// A shape that contradicts the others.
    pub fn set_dimensions(
        &mut self,
        input: &str,
        selector: ProfileSelector,
        shape: &Dims,
    ) -> Result<(), TensorRtError> {
        const CALL: &str = "IOptimizationProfile::setDimensions";
        let tensorrt = self.builder.tensorrt;
        let (calls, object) = (tensorrt.calls(), self.object);
        let name = c_string(CALL, "the name of the input", input)?;
        let number = selector.number(tensorrt.version())?;
        let subject = format!("{input} {selector} {shape}");
        let set = match tensorrt.major() {
            Major::V8 => {
                let dims = shape.to_32(CALL)?;
                tensorrt.explain(CALL, Some(&subject), || {
                    // SAFETY: the object is a live `IOptimizationProfile`: its builder is alive; the name is
                    // alive and is copied.
                    let set = unsafe {
                        calls.profile_set_dimensions_32(object, name.as_ptr(), number, dims)
                    };
                    set.ok().filter(|&set| set)
                })
            }
            Major::V10 | Major::V11 | Major::Rtx1 => {
                let dims = shape.to_64();
                tensorrt.explain(CALL, Some(&subject), || {
                    // SAFETY: as above; the shape is alive and is copied.
                    let set = unsafe {
                        calls.profile_set_dimensions_64(
                            object,
                            name.as_ptr(),
                            number,
                            &raw const dims,
                        )
                    };
                    set.ok().filter(|&set| set)
                })
            }
        };
        set.map(|_| ())
    }

    /// Whether every input that was named has its three shapes.
    ///
    /// # Errors
    /// None today.
    pub fn is_valid(&self) -> Result<bool, TensorRtError> {
        // SAFETY: the object is a live `IOptimizationProfile`: its builder is alive.
        Ok(unsafe { self.builder.tensorrt.calls().profile_is_valid(self.object) }?)
    }
}
