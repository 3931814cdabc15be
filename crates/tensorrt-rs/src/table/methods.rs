//! Every method that is called, with its signature.

use super::{Entry, Method, Signature, Slot, rtx, v8, v10, v11};
use crate::dims::{Dims32, Dims64};
use crate::error::Unsupported;
use crate::object::{Object, Target, function, receiver};
use crate::version::{Major, Version};
use std::ffi::{c_char, c_int, c_void};

/// From one line for each method: a field of [`Methods`] that the majors fill with its slot, a function
/// that calls it, and its line in [`slots`](super::slots).
macro_rules! methods {
    ($(
        $(#[$attribute:meta])*
        $target:ident $class:literal $name:literal
        fn $method:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)?;
    )*) => {
        /// The slots of one major.
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct Methods {
            $(pub(super) $method: Entry,)*
        }

        impl Methods {
            /// A major that has none of them, to fill in.
            pub(super) const NONE: Self = Self { $($method: Entry::ABSENT,)* };

            /// The same slots in a family that has had them since `version`.
            pub(super) const fn all_since(self, version: Version) -> Self {
                Self { $($method: self.$method.since(version),)* }
            }

            /// The slots of a major.
            pub(super) fn slots(&self) -> Vec<Slot> {
                let mut slots = Vec::new();
                $(if let Entry { index, since: Some(since) } = self.$method {
                    slots.push(Slot {
                        class: $class,
                        method: $name,
                        index,
                        since,
                        target: Target::$target,
                    });
                })*
                slots
            }

            /// The types that the methods of a major are called with.
            pub(super) fn signatures(&self) -> Vec<Signature> {
                let mut signatures = Vec::new();
                $(if let Entry { index, since: Some(_) } = self.$method {
                    signatures.push(Signature {
                        class: $class,
                        method: $name,
                        index,
                        parameters: &[$(stringify!($type)),*],
                        returns: methods!(@name $($result)?),
                    });
                })*
                signatures
            }
        }

        /// The calls of one version. Each function is unsafe for the same reason:
        ///
        /// # Safety
        /// `object` is a live object of the interface that the class belongs to, made by the library of
        /// this version; pointers among the arguments are valid for what the method does with them.
        ///
        /// # Errors
        /// Every function: this version has no such method.
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct Calls {
            pub(crate) version: Version,
        }

        impl Calls {
            $(
                $(#[$attribute])*
                pub(crate) unsafe fn $method(
                    self,
                    object: Object
                    $(, $argument: $type)*
                ) -> Result<methods!(@result $($result)?), Unsupported> {
                    const METHOD: Method =
                        Method { class: $class, name: $name, target: Target::$target };
                    let slot = METHOD.slot(self.version, |methods| methods.$method)?;
                    // SAFETY: the caller vouches for the object.
                    let receiver = unsafe { receiver(object, METHOD.target) };
                    // SAFETY: the table of this version has the method at this slot (see `table`), with
                    // this signature: the object first, by address, then the arguments.
                    let function = unsafe {
                        function::<unsafe extern "C" fn(*mut c_void $(, $type)*) $(-> $result)?>(
                            receiver,
                            slot,
                        )
                    };
                    // SAFETY: the caller vouches for the object and the arguments.
                    Ok(unsafe { function(receiver $(, $argument)*) })
                }
            )*
        }
    };
    (@result) => { () };
    (@result $result:ty) => { $result };
    (@name) => { "()" };
    (@name $result:ty) => { stringify!($result) };
}

impl Methods {
    pub(crate) fn of(major: Major) -> &'static Self {
        match major {
            Major::V8 => &v8::METHODS,
            Major::V10 => &v10::METHODS,
            Major::V11 => &v11::METHODS,
            Major::Rtx1 => &rtx::METHODS,
        }
    }
}

// Signatures as in `NvInferImpl.h` and `NvOnnxParser.h`: `bool` is C's, enumerations are `int32_t`,
// references are addresses, a `Dims` that is returned goes through the hidden pointer of the C ABI.
methods! {
    // IRuntime
    Itself "IRuntime" "~IRuntime"
    fn runtime_delete();
    /// 8.x has a third argument, the long unused plugin factory; its inline wrapper passes null.
    Implementation "VRuntime" "deserializeCudaEngine"
    fn runtime_deserialize_with_factory(blob: *const c_void, size: usize, factory: *mut c_void) -> *mut c_void;
    Implementation "VRuntime" "deserializeCudaEngine"
    fn runtime_deserialize(blob: *const c_void, size: usize) -> *mut c_void;
    Implementation "VRuntime" "setDLACore"
    fn runtime_set_dla_core(core: i32);
    Implementation "VRuntime" "getNbDLACores"
    fn runtime_dla_cores() -> i32;
    Implementation "VRuntime" "setEngineHostCodeAllowed"
    fn runtime_set_host_code_allowed(allowed: bool);
    Implementation "VRuntime" "setTemporaryDirectory"
    fn runtime_set_temporary_directory(path: *const c_char);

    // ICudaEngine
    Itself "ICudaEngine" "~ICudaEngine"
    fn engine_delete();
    Implementation "VCudaEngine" "createExecutionContext"
    fn engine_create_context() -> *mut c_void;
    Implementation "VCudaEngine" "createExecutionContext"
    fn engine_create_context_with_strategy(strategy: i32) -> *mut c_void;
    Implementation "VCudaEngine" "getDeviceMemorySize"
    fn engine_device_memory_size() -> usize;
    Implementation "VCudaEngine" "getDeviceMemorySizeV2"
    fn engine_device_memory_size_v2() -> i64;
    Implementation "VCudaEngine" "getName"
    fn engine_name() -> *const c_char;
    Implementation "VCudaEngine" "getNbLayers"
    fn engine_layers() -> i32;
    Implementation "VCudaEngine" "getNbOptimizationProfiles"
    fn engine_profiles() -> i32;
    Implementation "VCudaEngine" "getTensorShape"
    fn engine_tensor_shape_32(name: *const c_char) -> Dims32;
    Implementation "VCudaEngine" "getTensorShape"
    fn engine_tensor_shape_64(name: *const c_char) -> Dims64;
    Implementation "VCudaEngine" "getTensorDataType"
    fn engine_tensor_data_type(name: *const c_char) -> i32;
    Implementation "VCudaEngine" "getTensorIOMode"
    fn engine_tensor_io_mode(name: *const c_char) -> i32;
    Implementation "VCudaEngine" "getTensorFormat"
    fn engine_tensor_format(name: *const c_char) -> i32;
    Implementation "VCudaEngine" "getNbIOTensors"
    fn engine_io_tensors() -> i32;
    Implementation "VCudaEngine" "getIOTensorName"
    fn engine_io_tensor_name(index: i32) -> *const c_char;
    Implementation "VCudaEngine" "getProfileShape"
    fn engine_profile_shape_32(name: *const c_char, profile: i32, selector: i32) -> Dims32;
    Implementation "VCudaEngine" "getProfileShape"
    fn engine_profile_shape_64(name: *const c_char, profile: i32, selector: i32) -> Dims64;
    Implementation "VCudaEngine" "createEngineInspector"
    fn engine_create_inspector() -> *mut c_void;
    Implementation "VCudaEngine" "serialize"
    fn engine_serialize() -> *mut c_void;

    // IExecutionContext
    Itself "IExecutionContext" "~IExecutionContext"
    fn context_delete();
    Implementation "VExecutionContext" "setProfiler"
    fn context_set_profiler(profiler: *mut c_void);
    Implementation "VExecutionContext" "allInputDimensionsSpecified"
    fn context_all_input_dimensions_specified() -> bool;
    Implementation "VExecutionContext" "setOptimizationProfileAsync"
    fn context_set_optimization_profile_async(profile: i32, stream: *mut c_void) -> bool;
    Implementation "VExecutionContext" "setEnqueueEmitsProfile"
    fn context_set_enqueue_emits_profile(emits: bool);
    Implementation "VExecutionContext" "reportToProfiler"
    fn context_report_to_profiler() -> bool;
    Implementation "VExecutionContext" "setInputShape"
    fn context_set_input_shape_32(name: *const c_char, dims: *const Dims32) -> bool;
    Implementation "VExecutionContext" "setInputShape"
    fn context_set_input_shape_64(name: *const c_char, dims: *const Dims64) -> bool;
    Implementation "VExecutionContext" "getTensorShape"
    fn context_tensor_shape_32(name: *const c_char) -> Dims32;
    Implementation "VExecutionContext" "getTensorShape"
    fn context_tensor_shape_64(name: *const c_char) -> Dims64;
    Implementation "VExecutionContext" "setTensorAddress"
    fn context_set_tensor_address(name: *const c_char, data: *mut c_void) -> bool;
    Implementation "VExecutionContext" "enqueueV3"
    fn context_enqueue(stream: *mut c_void) -> bool;
    Implementation "VExecutionContext" "setPersistentCacheLimit"
    fn context_set_persistent_cache_limit(bytes: usize);
    Implementation "VExecutionContext" "setNvtxVerbosity"
    fn context_set_nvtx_verbosity(verbosity: i32) -> bool;

    // IEngineInspector
    Itself "IEngineInspector" "~IEngineInspector"
    fn inspector_delete();
    Implementation "VEngineInspector" "getLayerInformation"
    fn inspector_layer(index: i32, format: i32) -> *const c_char;
    Implementation "VEngineInspector" "getEngineInformation"
    fn inspector_engine(format: i32) -> *const c_char;

    // IHostMemory
    Itself "IHostMemory" "~IHostMemory"
    fn memory_delete();
    Implementation "VHostMemory" "data"
    fn memory_data() -> *mut c_void;
    Implementation "VHostMemory" "size"
    fn memory_size() -> usize;

    // IBuilder
    Itself "IBuilder" "~IBuilder"
    fn builder_delete();
    Implementation "VBuilder" "createBuilderConfig"
    fn builder_create_config() -> *mut c_void;
    Implementation "VBuilder" "createNetworkV2"
    fn builder_create_network(flags: u32) -> *mut c_void;
    Implementation "VBuilder" "createOptimizationProfile"
    fn builder_create_optimization_profile() -> *mut c_void;
    Implementation "VBuilder" "buildSerializedNetwork"
    fn builder_build_serialized(network: *mut c_void, config: *mut c_void) -> *mut c_void;
    Implementation "VBuilder" "getNbDLACores"
    fn builder_dla_cores() -> i32;
    Implementation "VBuilder" "getMaxDLABatchSize"
    fn builder_max_dla_batch_size() -> i32;
    Implementation "VBuilder" "platformHasFastFp16"
    fn builder_platform_has_fast_fp16() -> bool;
    Implementation "VBuilder" "setMaxThreads"
    fn builder_set_max_threads(threads: i32) -> bool;
    Implementation "VBuilder" "isNetworkSupported"
    fn builder_is_network_supported(network: *const c_void, config: *const c_void) -> bool;

    // IBuilderConfig
    Itself "IBuilderConfig" "~IBuilderConfig"
    fn config_delete();
    Implementation "VBuilderConfig" "clearFlag"
    fn config_clear_flag(flag: i32);
    Implementation "VBuilderConfig" "setFlag"
    fn config_set_flag(flag: i32);
    Implementation "VBuilderConfig" "getFlag"
    fn config_flag(flag: i32) -> bool;
    Implementation "VBuilderConfig" "setDeviceType"
    fn config_set_device_type(layer: *const c_void, device: i32);
    Implementation "VBuilderConfig" "canRunOnDLA"
    fn config_can_run_on_dla(layer: *const c_void) -> bool;
    Implementation "VBuilderConfig" "setDLACore"
    fn config_set_dla_core(core: i32);
    Implementation "VBuilderConfig" "setDefaultDeviceType"
    fn config_set_default_device_type(device: i32);
    Implementation "VBuilderConfig" "addOptimizationProfile"
    fn config_add_optimization_profile(profile: *const c_void) -> i32;
    Implementation "VBuilderConfig" "setProfilingVerbosity"
    fn config_set_profiling_verbosity(verbosity: i32);
    Implementation "VBuilderConfig" "setTacticSources"
    fn config_set_tactic_sources(sources: u32) -> bool;
    Implementation "VBuilderConfig" "createTimingCache"
    fn config_create_timing_cache(blob: *const c_void, size: usize) -> *mut c_void;
    Implementation "VBuilderConfig" "setTimingCache"
    fn config_set_timing_cache(cache: *const c_void, ignore_mismatch: bool) -> bool;
    Implementation "VBuilderConfig" "setMemoryPoolLimit"
    fn config_set_memory_pool_limit(pool: i32, bytes: usize);
    Implementation "VBuilderConfig" "getMemoryPoolLimit"
    fn config_memory_pool_limit(pool: i32) -> usize;
    Implementation "VBuilderConfig" "setBuilderOptimizationLevel"
    fn config_set_optimization_level(level: i32);
    Implementation "VBuilderConfig" "setHardwareCompatibilityLevel"
    fn config_set_hardware_compatibility(level: i32);
    /// Returns nothing before 11 and a `bool` in 11.4; the answer is not looked at.
    Implementation "VBuilderConfig" "setMaxAuxStreams"
    fn config_set_max_aux_streams(streams: i32);
    Implementation "VBuilderConfig" "setProgressMonitor"
    fn config_set_progress_monitor(monitor: *mut c_void);

    // INetworkDefinition
    Itself "INetworkDefinition" "~INetworkDefinition"
    fn network_delete();
    Implementation "VNetworkDefinition" "getNbLayers"
    fn network_layers() -> i32;
    Implementation "VNetworkDefinition" "getLayer"
    fn network_layer(index: i32) -> *mut c_void;
    Implementation "VNetworkDefinition" "getNbInputs"
    fn network_inputs() -> i32;
    Implementation "VNetworkDefinition" "getInput"
    fn network_input(index: i32) -> *mut c_void;
    Implementation "VNetworkDefinition" "getNbOutputs"
    fn network_outputs() -> i32;
    Implementation "VNetworkDefinition" "getOutput"
    fn network_output(index: i32) -> *mut c_void;
    Implementation "VNetworkDefinition" "setName"
    fn network_set_name(name: *const c_char);

    // ITensor, ILayer
    Implementation "VTensor" "getName"
    fn tensor_name() -> *const c_char;
    Implementation "VTensor" "getDimensions"
    fn tensor_dimensions_32() -> Dims32;
    Implementation "VTensor" "getDimensions"
    fn tensor_dimensions_64() -> Dims64;
    Implementation "VTensor" "setType"
    fn tensor_set_type(data_type: i32);
    Implementation "VTensor" "getType"
    fn tensor_type() -> i32;
    Implementation "VTensor" "setAllowedFormats"
    fn tensor_set_allowed_formats(formats: u32);
    Implementation "VLayer" "getType"
    fn layer_type() -> i32;
    Implementation "VLayer" "getName"
    fn layer_name() -> *const c_char;
    Implementation "VLayer" "getNbInputs"
    fn layer_inputs() -> i32;
    Implementation "VLayer" "getInput"
    fn layer_input(index: i32) -> *mut c_void;
    Implementation "VLayer" "getNbOutputs"
    fn layer_outputs() -> i32;
    Implementation "VLayer" "getOutput"
    fn layer_output(index: i32) -> *mut c_void;
    Implementation "VLayer" "setPrecision"
    fn layer_set_precision(data_type: i32);
    Implementation "VLayer" "setOutputType"
    fn layer_set_output_type(index: i32, data_type: i32);

    // IOptimizationProfile
    /// 8.x takes the shape by value.
    Implementation "VOptimizationProfile" "setDimensions"
    fn profile_set_dimensions_32(name: *const c_char, selector: i32, dims: Dims32) -> bool;
    /// By reference from 10.0.
    Implementation "VOptimizationProfile" "setDimensions"
    fn profile_set_dimensions_64(name: *const c_char, selector: i32, dims: *const Dims64) -> bool;
    Implementation "VOptimizationProfile" "isValid"
    fn profile_is_valid() -> bool;

    // ITimingCache
    Itself "ITimingCache" "~ITimingCache"
    fn cache_delete();
    Implementation "VTimingCache" "serialize"
    fn cache_serialize() -> *mut c_void;
    Implementation "VTimingCache" "combine"
    fn cache_combine(other: *const c_void, ignore_mismatch: bool) -> bool;
    Implementation "VTimingCache" "reset"
    fn cache_reset() -> bool;

    // nvonnxparser::IParser
    Itself "IParser" "~IParser"
    fn parser_delete();
    Itself "IParser" "parse"
    fn parser_parse(model: *const c_void, size: usize, path: *const c_char) -> bool;
    Itself "IParser" "parseFromFile"
    fn parser_parse_from_file(path: *const c_char, verbosity: c_int) -> bool;
    Itself "IParser" "supportsOperator"
    fn parser_supports_operator(name: *const c_char) -> bool;
    Itself "IParser" "getNbErrors"
    fn parser_errors() -> c_int;
    Itself "IParser" "getError"
    fn parser_error(index: c_int) -> *mut c_void;
    Itself "IParser" "clearErrors"
    fn parser_clear_errors();
    Itself "IParser" "setFlag"
    fn parser_set_flag(flag: i32);
    Itself "IParserError" "code"
    fn parser_error_code() -> i32;
    Itself "IParserError" "desc"
    fn parser_error_desc() -> *const c_char;
    Itself "IParserError" "file"
    fn parser_error_file() -> *const c_char;
    Itself "IParserError" "line"
    fn parser_error_line() -> c_int;
    Itself "IParserError" "node"
    fn parser_error_node() -> c_int;
    Itself "IParserError" "nodeName"
    fn parser_error_node_name() -> *const c_char;
    Itself "IParserError" "nodeOperator"
    fn parser_error_node_operator() -> *const c_char;
}
