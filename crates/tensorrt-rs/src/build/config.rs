//! How an engine is built.

use super::{BuilderInner, Layer, OptimizationProfile, TimingCache};
use crate::callback::{MonitorObject, ProgressMonitor};
use crate::enums::{
    BuilderFlag, DeviceType, HardwareCompatibility, MemoryPool, ProfilingVerbosity, TacticSource,
};
use crate::error::TensorRtError;
use crate::library::TensorRt;
use crate::object::Object;
use std::rc::Rc;

/// Settings of a build.
#[derive(Debug)]
pub struct BuilderConfig {
    object: Object,
    // What the object refers to; `drop` deletes the object before these go.
    timing_cache: Option<TimingCache>,
    monitor: Option<Box<MonitorObject>>,
    builder: Rc<BuilderInner>,
}

impl BuilderConfig {
    pub(super) fn new(builder: Rc<BuilderInner>, object: Object) -> Self {
        Self { object, timing_cache: None, monitor: None, builder }
    }

    pub(super) fn builder(&self) -> &Rc<BuilderInner> {
        &self.builder
    }

    pub(super) fn object(&self) -> Object {
        self.object
    }

    fn tensorrt(&self) -> TensorRt {
        self.builder.tensorrt
    }

    /// Sets or clears a flag.
    ///
    /// # Errors
    /// This version has no such flag.
    pub fn set_flag(&mut self, flag: BuilderFlag, on: bool) -> Result<(), TensorRtError> {
        let number = flag.number(self.tensorrt().version())?;
        let calls = self.tensorrt().calls();
        if on {
            // SAFETY: the object is a live `IBuilderConfig` of this library.
            unsafe { calls.config_set_flag(self.object, number) }?;
        } else {
            // SAFETY: as above.
            unsafe { calls.config_clear_flag(self.object, number) }?;
        }
        Ok(())
    }

    /// Whether a flag is set.
    ///
    /// # Errors
    /// This version has no such flag.
    pub fn flag(&self, flag: BuilderFlag) -> Result<bool, TensorRtError> {
        let number = flag.number(self.tensorrt().version())?;
        // SAFETY: the object is a live `IBuilderConfig` of this library.
        Ok(unsafe { self.tensorrt().calls().config_flag(self.object, number) }?)
    }

    /// Bounds the memory of a pool, in bytes.
    ///
    /// # Errors
    /// This version has no such pool.
    pub fn set_memory_pool_limit(
        &mut self,
        pool: MemoryPool,
        bytes: usize,
    ) -> Result<(), TensorRtError> {
        let number = pool.number(self.tensorrt().version())?;
        let calls = self.tensorrt().calls();
        // SAFETY: the object is a live `IBuilderConfig` of this library.
        Ok(unsafe { calls.config_set_memory_pool_limit(self.object, number, bytes) }?)
    }

    /// The bound of a pool, in bytes.
    ///
    /// # Errors
    /// This version has no such pool.
    pub fn memory_pool_limit(&self, pool: MemoryPool) -> Result<usize, TensorRtError> {
        let number = pool.number(self.tensorrt().version())?;
        let calls = self.tensorrt().calls();
        // SAFETY: the object is a live `IBuilderConfig` of this library.
        Ok(unsafe { calls.config_memory_pool_limit(self.object, number) }?)
    }

    /// How long the builder may look for faster tactics: 0 (least) to 5 (longest); 3 at first.
    ///
    /// # Errors
    /// Before 8.6; a level above 5.
    pub fn set_optimization_level(&mut self, level: u8) -> Result<(), TensorRtError> {
        if level > 5 {
            return Err(TensorRtError::Argument {
                call: "IBuilderConfig::setBuilderOptimizationLevel",
                argument: "the optimisation level",
                found: level.to_string(),
                expected: "0 to 5",
            });
        }
        let calls = self.tensorrt().calls();
        // SAFETY: the object is a live `IBuilderConfig` of this library.
        Ok(unsafe { calls.config_set_optimization_level(self.object, level.into()) }?)
    }

    /// What layers run on that nothing else is said for.
    ///
    /// # Errors
    /// None today.
    pub fn set_default_device_type(&mut self, device: DeviceType) -> Result<(), TensorRtError> {
        let number = device.number(self.tensorrt().version())?;
        let calls = self.tensorrt().calls();
        // SAFETY: the object is a live `IBuilderConfig` of this library.
        Ok(unsafe { calls.config_set_default_device_type(self.object, number) }?)
    }

    /// What one layer runs on.
    ///
    /// # Errors
    /// A layer of another library.
    pub fn set_device_type(
        &mut self,
        layer: &Layer<'_>,
        device: DeviceType,
    ) -> Result<(), TensorRtError> {
        self.check_layer("IBuilderConfig::setDeviceType", layer)?;
        let number = device.number(self.tensorrt().version())?;
        let calls = self.tensorrt().calls();
        // SAFETY: both are live objects of this library.
        Ok(unsafe { calls.config_set_device_type(self.object, layer.object().as_ptr(), number) }?)
    }

    /// Whether a layer could run on a DLA.
    ///
    /// # Errors
    /// A layer of another library.
    pub fn can_run_on_dla(&self, layer: &Layer<'_>) -> Result<bool, TensorRtError> {
        self.check_layer("IBuilderConfig::canRunOnDLA", layer)?;
        let calls = self.tensorrt().calls();
        // SAFETY: both are live objects of this library.
        Ok(unsafe { calls.config_can_run_on_dla(self.object, layer.object().as_ptr()) }?)
    }

    fn check_layer(&self, call: &'static str, layer: &Layer<'_>) -> Result<(), TensorRtError> {
        if layer.tensorrt().path() == self.tensorrt().path() {
            return Ok(());
        }
        Err(TensorRtError::Argument {
            call,
            argument: "the layer",
            found: format!("of {}", layer.tensorrt().path().display()),
            expected: "one of the library of the configuration",
        })
    }

    /// The DLA core that the engine is built for, where it uses one.
    ///
    /// # Errors
    /// None today.
    pub fn set_dla_core(&mut self, core: u32) -> Result<(), TensorRtError> {
        let core = i32::try_from(core).unwrap_or(i32::MAX);
        // SAFETY: the object is a live `IBuilderConfig` of this library.
        Ok(unsafe { self.tensorrt().calls().config_set_dla_core(self.object, core) }?)
    }

    /// How much the engine will tell of its layers.
    ///
    /// # Errors
    /// None today.
    pub fn set_profiling_verbosity(
        &mut self,
        verbosity: ProfilingVerbosity,
    ) -> Result<(), TensorRtError> {
        let number = verbosity.number(self.tensorrt().version())?;
        let calls = self.tensorrt().calls();
        // SAFETY: the object is a live `IBuilderConfig` of this library.
        Ok(unsafe { calls.config_set_profiling_verbosity(self.object, number) }?)
    }

    /// On which other GPUs the engine shall run, too.
    ///
    /// # Errors
    /// Before 8.6, and levels that this version does not have.
    pub fn set_hardware_compatibility(
        &mut self,
        level: HardwareCompatibility,
    ) -> Result<(), TensorRtError> {
        let number = level.number(self.tensorrt().version())?;
        let calls = self.tensorrt().calls();
        // SAFETY: the object is a live `IBuilderConfig` of this library.
        Ok(unsafe { calls.config_set_hardware_compatibility(self.object, number) }?)
    }

    /// Where implementations of layers may come from; each version has its own at first.
    ///
    /// # Errors
    /// A source that this version does not have; a set that TensorRT refuses.
    pub fn set_tactic_sources(&mut self, sources: &[TacticSource]) -> Result<(), TensorRtError> {
        let mut bits = 0_u32;
        for source in sources {
            bits |= 1 << source.number(self.tensorrt().version())?;
        }
        let calls = self.tensorrt().calls();
        let subject = format!("sources {bits:#x}");
        let set =
            self.tensorrt().explain("IBuilderConfig::setTacticSources", Some(&subject), || {
                // SAFETY: the object is a live `IBuilderConfig` of this library.
                let set = unsafe { calls.config_set_tactic_sources(self.object, bits) };
                set.ok().filter(|&set| set)
            });
        set.map(|_| ())
    }

    /// How many streams beside the main one the engine may use; 0 for none.
    ///
    /// # Errors
    /// Before 8.6.
    pub fn set_max_aux_streams(&mut self, streams: u32) -> Result<(), TensorRtError> {
        let streams = i32::try_from(streams).unwrap_or(i32::MAX);
        let calls = self.tensorrt().calls();
        // SAFETY: the object is a live `IBuilderConfig` of this library.
        Ok(unsafe { calls.config_set_max_aux_streams(self.object, streams) }?)
    }

    /// Adds an optimisation profile and returns its index.
    ///
    /// # Errors
    /// A profile that is not valid, or of another builder.
    pub fn add_optimization_profile(
        &mut self,
        profile: &OptimizationProfile,
    ) -> Result<u32, TensorRtError> {
        const CALL: &str = "IBuilderConfig::addOptimizationProfile";
        self.check_builder(CALL, "the profile", profile.builder())?;
        let calls = self.tensorrt().calls();
        self.tensorrt().explain(CALL, None, || {
            // SAFETY: both are live objects of this library; the builder, which owns the profile, is kept.
            let index = unsafe {
                calls.config_add_optimization_profile(self.object, profile.object().as_ptr())
            };
            index.ok().and_then(|index| u32::try_from(index).ok())
        })
    }

    fn check_builder(
        &self,
        call: &'static str,
        argument: &'static str,
        builder: &Rc<BuilderInner>,
    ) -> Result<(), TensorRtError> {
        if Rc::ptr_eq(&self.builder, builder) {
            return Ok(());
        }
        Err(TensorRtError::Argument {
            call,
            argument,
            found: "of another builder".to_owned(),
            expected: "one of this configuration's builder",
        })
    }

    /// Makes a timing cache of kept bytes; of none an empty one.
    ///
    /// # Errors
    /// Bytes that are no timing cache, or of another version: start with none then.
    pub fn create_timing_cache(&self, bytes: &[u8]) -> Result<TimingCache, TensorRtError> {
        let calls = self.tensorrt().calls();
        let subject = format!("{} bytes", bytes.len());
        let call = "IBuilderConfig::createTimingCache";
        let object = self.tensorrt().explain(call, Some(&subject), || {
            // SAFETY: the object is a live `IBuilderConfig` of this library; the bytes are alive and copied.
            let cache = unsafe {
                calls.config_create_timing_cache(self.object, bytes.as_ptr().cast(), bytes.len())
            };
            cache.ok().and_then(Object::new)
        })?;
        Ok(TimingCache::new(Rc::clone(&self.builder), object))
    }

    /// Builds with a timing cache, which then gets what is measured. `ignore_mismatch` takes one of another
    /// device. The configuration keeps the cache; see [`timing_cache`](Self::timing_cache).
    ///
    /// # Errors
    /// A cache of another device or builder.
    pub fn set_timing_cache(
        &mut self,
        cache: TimingCache,
        ignore_mismatch: bool,
    ) -> Result<(), TensorRtError> {
        const CALL: &str = "IBuilderConfig::setTimingCache";
        self.check_builder(CALL, "the timing cache", cache.builder())?;
        let calls = self.tensorrt().calls();
        self.tensorrt().explain(CALL, None, || {
            // SAFETY: both are live objects of this library; the cache is kept from here on.
            let set = unsafe {
                calls.config_set_timing_cache(self.object, cache.object().as_ptr(), ignore_mismatch)
            };
            set.ok().filter(|&set| set)
        })?;
        // The one before goes only now that TensorRT has this one.
        self.timing_cache = Some(cache);
        Ok(())
    }

    /// The timing cache that was set.
    pub fn timing_cache(&self) -> Option<&TimingCache> {
        self.timing_cache.as_ref()
    }

    /// Watches the build.
    ///
    /// # Errors
    /// Before 10.0.
    pub fn set_progress_monitor(
        &mut self,
        monitor: Box<dyn ProgressMonitor>,
    ) -> Result<(), TensorRtError> {
        // In a box: TensorRT keeps its address.
        let monitor = Box::new(MonitorObject::new(monitor));
        let calls = self.tensorrt().calls();
        // SAFETY: the object is a live `IBuilderConfig` of this library. The monitor has the layout of 10.x
        // and 11, the only ones with this method; it is kept until another is set or the object is deleted.
        unsafe { calls.config_set_progress_monitor(self.object, monitor.as_ptr()) }?;
        self.monitor = Some(monitor);
        Ok(())
    }
}

impl Drop for BuilderConfig {
    fn drop(&mut self) {
        // SAFETY: the object is alive, ours, and is not used again; what it refers to goes after it.
        let deleted = unsafe { self.builder.tensorrt.calls().config_delete(self.object) };
        deleted.expect("every version has a destructor");
    }
}
