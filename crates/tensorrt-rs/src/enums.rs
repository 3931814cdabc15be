//! Enumerations of NVIDIA's headers, with the numbers of each major.
//!
//! Flags move between majors (`BuilderFlag::kTF32` is 7, 6, 6), and so do tactic sources and layer types;
//! data types and formats do not, they are appended to.

use crate::table::{EnumValue, Placement, enumeration};
use crate::version::Major;

const ABSENT: Placement = Placement::ABSENT;

const fn at(value: i32) -> Placement {
    Placement::at(value)
}

const fn since(minor: u32, value: i32) -> Placement {
    Placement::since(minor, value)
}

enumeration! {
    /// What a tensor is made of.
    pub enum DataType = "DataType" {
        /// 32-bit floating point.
        Float = "kFLOAT" [0];
        /// IEEE 754 16-bit floating point.
        Half = "kHALF" [1];
        /// Signed 8 bits, quantised.
        Int8 = "kINT8" [2];
        /// Signed 32 bits.
        Int32 = "kINT32" [3];
        /// One byte, 0 or 1.
        Bool = "kBOOL" [4];
        /// Unsigned 8 bits.
        Uint8 = "kUINT8" [5];
        /// 8-bit floating point, E4M3.
        Fp8 = "kFP8" [since(6, 6), at(6), at(6)];
        /// Brain float, 16 bits.
        Bf16 = "kBF16" [ABSENT, at(7), at(7)];
        /// Signed 64 bits.
        Int64 = "kINT64" [ABSENT, at(8), at(8)];
        /// Signed 4 bits, two in a byte.
        Int4 = "kINT4" [ABSENT, at(9), at(9)];
        /// 4-bit floating point, E2M1, two in a byte.
        Fp4 = "kFP4" [ABSENT, since(8, 10), at(10)];
        /// 8-bit exponent, a scale.
        E8m0 = "kE8M0" [ABSENT, since(8, 11), at(11)];
    }
}

impl DataType {
    /// Bits of one element.
    pub const fn bits(self) -> usize {
        match self {
            Self::Int64 => 64,
            Self::Float | Self::Int32 => 32,
            Self::Half | Self::Bf16 => 16,
            Self::Int8 | Self::Bool | Self::Uint8 | Self::Fp8 | Self::E8m0 => 8,
            Self::Int4 | Self::Fp4 => 4,
        }
    }
}

enumeration! {
    /// Which way a tensor of an engine goes.
    pub enum TensorIoMode = "TensorIOMode" {
        /// It is no input or output.
        None = "kNONE" [0];
        /// It is written before a frame.
        Input = "kINPUT" [1];
        /// It is read after a frame.
        Output = "kOUTPUT" [2];
    }
}

enumeration! {
    /// How a tensor lies in memory.
    pub enum TensorFormat = "TensorFormat" {
        /// Row-major, without padding.
        Linear = "kLINEAR" [0];
        /// Channels in twos.
        Chw2 = "kCHW2" [1];
        /// Channels last, in eights.
        Hwc8 = "kHWC8" [2];
        /// Channels in fours.
        Chw4 = "kCHW4" [3];
        /// Channels in sixteens.
        Chw16 = "kCHW16" [4];
        /// Channels in thirty-twos.
        Chw32 = "kCHW32" [5];
        /// Channels last, in eights, 3-D.
        Dhwc8 = "kDHWC8" [6];
        /// Channels in thirty-twos, 3-D.
        Cdhw32 = "kCDHW32" [7];
        /// Channels last.
        Hwc = "kHWC" [8];
        /// Rows padded for the DLA.
        DlaLinear = "kDLA_LINEAR" [9];
        /// Channels last in fours, rows padded for the DLA.
        DlaHwc4 = "kDLA_HWC4" [10];
        /// Channels last, in sixteens.
        Hwc16 = "kHWC16" [11];
        /// Channels last, 3-D.
        Dhwc = "kDHWC" [since(6, 12), at(12), at(12)];
    }
}

enumeration! {
    /// How an engine may be built.
    pub enum BuilderFlag = "BuilderFlag" {
        /// Layers may run in half precision. 11 is strongly typed: the network says what is half.
        Fp16 = "kFP16" [at(0), at(0), ABSENT];
        /// Layers may run in INT8. On 8.x a network with Q/DQ needs it; 11 is strongly typed.
        Int8 = "kINT8" [at(1), at(1), ABSENT];
        /// Synchronise after each layer and check it.
        Debug = "kDEBUG" [2];
        /// What the DLA cannot run goes to the GPU.
        GpuFallback = "kGPU_FALLBACK" [3];
        /// Weights can be replaced afterwards.
        Refit = "kREFIT" [at(5), at(4), at(4)];
        /// Time again what was timed before.
        DisableTimingCache = "kDISABLE_TIMING_CACHE" [at(6), at(5), at(5)];
        /// Matrix products of fp32 may be rounded to TF32. Set at first: clear it where fp32 is meant.
        Tf32 = "kTF32" [at(7), at(6), at(6)];
        /// Use structured sparsity where weights have it.
        SparseWeights = "kSPARSE_WEIGHTS" [at(8), at(7), at(7)];
        /// A precision that was set on a layer is kept or the build fails.
        ObeyPrecisionConstraints = "kOBEY_PRECISION_CONSTRAINTS" [at(10), at(9), ABSENT];
        /// A precision that was set on a layer is kept if it can be.
        PreferPrecisionConstraints = "kPREFER_PRECISION_CONSTRAINTS" [at(11), at(10), ABSENT];
        /// No reformatting of inputs and outputs.
        DirectIo = "kDIRECT_IO" [at(12), at(11), at(11)];
        /// The plan can be run by later versions of the same major through a lean runtime inside it: host
        /// code, which a runtime runs only where that is allowed.
        VersionCompatible = "kVERSION_COMPATIBLE" [since(6, 15), at(13), at(12)];
        /// Leave the lean runtime out of a version-compatible plan.
        ExcludeLeanRuntime = "kEXCLUDE_LEAN_RUNTIME" [since(6, 16), at(14), at(13)];
        /// Fail where a tactic is not in the timing cache.
        ErrorOnTimingCacheMiss = "kERROR_ON_TIMING_CACHE_MISS" [ABSENT, at(16), at(15)];
        /// Layers may run in BF16.
        Bf16 = "kBF16" [ABSENT, at(17), ABSENT];
        /// Keep compiled kernels out of the timing cache.
        DisableCompilationCache = "kDISABLE_COMPILATION_CACHE" [ABSENT, at(18), at(17)];
        /// Leave refittable weights out of the plan.
        StripPlan = "kSTRIP_PLAN" [ABSENT, at(19), at(18)];
    }
}

enumeration! {
    /// Memory that building may use.
    pub enum MemoryPool = "MemoryPoolType" {
        /// GPU memory for the layers' scratch space.
        Workspace = "kWORKSPACE" [0];
        /// On-chip memory of the DLA.
        DlaManagedSram = "kDLA_MANAGED_SRAM" [1];
        /// DRAM for the DLA's own intermediate data.
        DlaLocalDram = "kDLA_LOCAL_DRAM" [2];
        /// DRAM for the DLA's weights and metadata.
        DlaGlobalDram = "kDLA_GLOBAL_DRAM" [3];
        /// Memory that trying out tactics may take.
        TacticDram = "kTACTIC_DRAM" [since(6, 4), at(4), at(4)];
        /// Shared memory of a streaming multiprocessor that tactics may take.
        TacticSharedMemory = "kTACTIC_SHARED_MEMORY" [ABSENT, at(5), at(5)];
    }
}

enumeration! {
    /// What runs a layer.
    pub enum DeviceType = "DeviceType" {
        /// The GPU.
        Gpu = "kGPU" [0];
        /// A deep-learning accelerator of Xavier and Orin.
        Dla = "kDLA" [1];
    }
}

enumeration! {
    /// How much an engine tells of its layers.
    pub enum ProfilingVerbosity = "ProfilingVerbosity" {
        /// Their names. The first setting.
        LayerNamesOnly = "kLAYER_NAMES_ONLY" [0];
        /// Nothing.
        None = "kNONE" [1];
        /// Names and parameters.
        Detailed = "kDETAILED" [2];
    }
}

enumeration! {
    /// Which of the three shapes of an optimisation profile.
    pub enum ProfileSelector = "OptProfileSelector" {
        /// The smallest.
        Min = "kMIN" [0];
        /// The one to optimise for.
        Opt = "kOPT" [1];
        /// The largest.
        Max = "kMAX" [2];
    }
}

enumeration! {
    /// On which other GPUs an engine shall run.
    pub enum HardwareCompatibility = "HardwareCompatibilityLevel" {
        /// Only on the same model.
        None = "kNONE" [since(6, 0), at(0), at(0)];
        /// On every GPU from Ampere on; not on Jetson.
        AmperePlus = "kAMPERE_PLUS" [since(6, 1), at(1), at(1)];
        /// On GPUs of the same compute capability.
        SameComputeCapability = "kSAME_COMPUTE_CAPABILITY" [ABSENT, since(9, 2), at(2)];
    }
}

enumeration! {
    /// Where implementations of layers may come from.
    pub enum TacticSource = "TacticSource" {
        /// cuBLAS.
        Cublas = "kCUBLAS" [at(0), at(0), ABSENT];
        /// cuBLAS LT.
        CublasLt = "kCUBLAS_LT" [at(1), at(1), ABSENT];
        /// cuDNN.
        Cudnn = "kCUDNN" [at(2), at(2), ABSENT];
        /// Convolutions with edge masks.
        EdgeMaskConvolutions = "kEDGE_MASK_CONVOLUTIONS" [at(3), at(3), at(0)];
        /// Convolutions compiled while building.
        JitConvolutions = "kJIT_CONVOLUTIONS" [at(4), at(4), at(1)];
    }
}

enumeration! {
    /// How an engine inspector writes.
    pub enum InformationFormat = "LayerInformationFormat" {
        /// A line for each layer.
        OneLine = "kONELINE" [0];
        /// JSON.
        Json = "kJSON" [1];
    }
}

enumeration! {
    /// How networks are created.
    pub(crate) enum NetworkCreationFlag = "NetworkDefinitionCreationFlag" {
        /// The batch is a dimension like others. Ignored in 10, gone in 11.
        ExplicitBatch = "kEXPLICIT_BATCH" [at(0), at(0), ABSENT];
        /// Types are those of the network. 11 always is; its flag is deprecated and not set.
        StronglyTyped = "kSTRONGLY_TYPED" [ABSENT, at(1), at(0)];
    }
}

enumeration! {
    /// How device memory of a context is had.
    pub(crate) enum ContextAllocation = "ExecutionContextAllocationStrategy" {
        /// Once, for the largest profile.
        Static = "kSTATIC" [ABSENT, at(0), at(0)];
    }
}

enumeration! {
    /// How bad a message is.
    pub(crate) enum Severity = "ILogger::Severity" {
        /// TensorRT is broken.
        InternalError = "kINTERNAL_ERROR" [0];
        /// Something failed.
        Error = "kERROR" [1];
        /// Done, but not as asked.
        Warning = "kWARNING" [2];
        /// What is being done.
        Info = "kINFO" [3];
        /// All the rest.
        Verbose = "kVERBOSE" [4];
    }
}

enumeration! {
    /// How an ONNX network is read.
    pub enum ParserFlag = "nvonnxparser::OnnxParserFlag" {
        /// `InstanceNormalization` by layers and not by a plugin; needed for version-compatible engines,
        /// and set at first from 10.0.
        NativeInstanceNorm = "kNATIVE_INSTANCENORM" [since(6, 0), at(0), at(0)];
    }
}

enumeration! {
    /// Why the ONNX parser stopped.
    pub enum ParserErrorCode = "nvonnxparser::ErrorCode" {
        /// It did not.
        Success = "kSUCCESS" [0];
        /// The parser is broken.
        InternalError = "kINTERNAL_ERROR" [1];
        /// Out of memory.
        MemAllocFailed = "kMEM_ALLOC_FAILED" [2];
        /// The file is no ONNX network.
        ModelDeserializeFailed = "kMODEL_DESERIALIZE_FAILED" [3];
        /// A value that no node may have.
        InvalidValue = "kINVALID_VALUE" [4];
        /// A graph that is none.
        InvalidGraph = "kINVALID_GRAPH" [5];
        /// A node that is none.
        InvalidNode = "kINVALID_NODE" [6];
        /// A graph that TensorRT cannot run.
        UnsupportedGraph = "kUNSUPPORTED_GRAPH" [7];
        /// An operator that TensorRT does not have.
        UnsupportedNode = "kUNSUPPORTED_NODE" [8];
        /// An attribute that TensorRT cannot honour.
        UnsupportedNodeAttribute = "kUNSUPPORTED_NODE_ATTR" [ABSENT, at(9), at(9)];
        /// An input that TensorRT cannot take.
        UnsupportedNodeInput = "kUNSUPPORTED_NODE_INPUT" [ABSENT, at(10), at(10)];
        /// A data type that the operator does not have.
        UnsupportedNodeDataType = "kUNSUPPORTED_NODE_DATATYPE" [ABSENT, at(11), at(11)];
        /// A dynamic shape where none can be.
        UnsupportedNodeDynamic = "kUNSUPPORTED_NODE_DYNAMIC" [ABSENT, at(12), at(12)];
        /// A shape that the operator cannot have.
        UnsupportedNodeShape = "kUNSUPPORTED_NODE_SHAPE" [ABSENT, at(13), at(13)];
        /// Weights could not be replaced.
        RefitFailed = "kREFIT_FAILED" [ABSENT, at(14), at(14)];
    }
}

enumeration! {
    /// What a layer of a parsed network does.
    pub enum LayerType = "LayerType" {
        /// Convolution.
        Convolution = "kCONVOLUTION" [0];
        /// Cast.
        Cast = "kCAST" [at(47), at(1), at(1)];
        /// Activation.
        Activation = "kACTIVATION" [2];
        /// Pooling.
        Pooling = "kPOOLING" [3];
        /// Local response normalisation.
        Lrn = "kLRN" [4];
        /// Scale.
        Scale = "kSCALE" [5];
        /// Softmax.
        SoftMax = "kSOFTMAX" [6];
        /// Deconvolution.
        Deconvolution = "kDECONVOLUTION" [7];
        /// Concatenation.
        Concatenation = "kCONCATENATION" [8];
        /// Elementwise.
        ElementWise = "kELEMENTWISE" [9];
        /// Plugin.
        Plugin = "kPLUGIN" [10];
        /// Unary.
        Unary = "kUNARY" [11];
        /// Padding.
        Padding = "kPADDING" [12];
        /// Shuffle.
        Shuffle = "kSHUFFLE" [13];
        /// Reduce.
        Reduce = "kREDUCE" [14];
        /// Top K.
        TopK = "kTOPK" [15];
        /// Gather.
        Gather = "kGATHER" [16];
        /// Matrix multiply.
        MatrixMultiply = "kMATRIX_MULTIPLY" [17];
        /// Ragged softmax.
        RaggedSoftMax = "kRAGGED_SOFTMAX" [18];
        /// Constant.
        Constant = "kCONSTANT" [19];
        /// Identity.
        Identity = "kIDENTITY" [at(21), at(20), at(20)];
        /// Plugin, second interface.
        PluginV2 = "kPLUGIN_V2" [at(22), at(21), at(21)];
        /// Slice.
        Slice = "kSLICE" [at(23), at(22), at(22)];
        /// Shape.
        Shape = "kSHAPE" [at(24), at(23), at(23)];
        /// Parametric relu.
        ParametricRelu = "kPARAMETRIC_RELU" [at(25), at(24), at(24)];
        /// Resize.
        Resize = "kRESIZE" [at(26), at(25), at(25)];
        /// Trip limit.
        TripLimit = "kTRIP_LIMIT" [at(27), at(26), at(26)];
        /// Recurrence.
        Recurrence = "kRECURRENCE" [at(28), at(27), at(27)];
        /// Iterator.
        Iterator = "kITERATOR" [at(29), at(28), at(28)];
        /// Loop output.
        LoopOutput = "kLOOP_OUTPUT" [at(30), at(29), at(29)];
        /// Select.
        Select = "kSELECT" [at(31), at(30), at(30)];
        /// Fill.
        Fill = "kFILL" [at(32), at(31), at(31)];
        /// Quantize.
        Quantize = "kQUANTIZE" [at(33), at(32), at(32)];
        /// Dequantize.
        Dequantize = "kDEQUANTIZE" [at(34), at(33), at(33)];
        /// Condition.
        Condition = "kCONDITION" [at(35), at(34), at(34)];
        /// Conditional input.
        ConditionalInput = "kCONDITIONAL_INPUT" [at(36), at(35), at(35)];
        /// Conditional output.
        ConditionalOutput = "kCONDITIONAL_OUTPUT" [at(37), at(36), at(36)];
        /// Scatter.
        Scatter = "kSCATTER" [at(38), at(37), at(37)];
        /// Einsum.
        Einsum = "kEINSUM" [at(39), at(38), at(38)];
        /// Assertion.
        Assertion = "kASSERTION" [at(40), at(39), at(39)];
        /// One hot.
        OneHot = "kONE_HOT" [at(41), at(40), at(40)];
        /// Non zero.
        NonZero = "kNON_ZERO" [at(42), at(41), at(41)];
        /// Grid sample.
        GridSample = "kGRID_SAMPLE" [at(43), at(42), at(42)];
        /// Non-maximum suppression.
        Nms = "kNMS" [at(44), at(43), at(43)];
        /// Reverse sequence.
        ReverseSequence = "kREVERSE_SEQUENCE" [at(45), at(44), at(44)];
        /// Normalization.
        Normalization = "kNORMALIZATION" [at(46), at(45), at(45)];
        /// Plugin, third interface.
        PluginV3 = "kPLUGIN_V3" [ABSENT, at(46), at(46)];
        /// Squeeze.
        Squeeze = "kSQUEEZE" [ABSENT, at(47), at(47)];
        /// Unsqueeze.
        Unsqueeze = "kUNSQUEEZE" [ABSENT, at(48), at(48)];
        /// Cumulative.
        Cumulative = "kCUMULATIVE" [ABSENT, at(49), at(49)];
        /// Dynamic quantize.
        DynamicQuantize = "kDYNAMIC_QUANTIZE" [ABSENT, at(50), at(50)];
        /// Attention input.
        AttentionInput = "kATTENTION_INPUT" [ABSENT, at(51), at(51)];
        /// Attention output.
        AttentionOutput = "kATTENTION_OUTPUT" [ABSENT, at(52), at(52)];
        /// Rotary embedding.
        RotaryEmbedding = "kROTARY_EMBEDDING" [ABSENT, at(53), at(53)];
        /// Update of a key-value cache.
        KvCacheUpdate = "kKVCACHE_UPDATE" [ABSENT, at(54), at(54)];
        /// Mixture of experts.
        MoE = "kMOE" [ABSENT, at(55), at(55)];
        /// Dist collective.
        DistCollective = "kDIST_COLLECTIVE" [ABSENT, at(56), at(56)];
        /// Fully connected.
        FullyConnected = "kFULLY_CONNECTED" [at(1), ABSENT, ABSENT];
        /// Recurrent network.
        RnnV2 = "kRNN_V2" [at(20), ABSENT, ABSENT];
    }
}

pub(crate) fn append_all(major: Major, to: &mut Vec<EnumValue>) {
    for append in [
        DataType::append_values,
        TensorIoMode::append_values,
        TensorFormat::append_values,
        BuilderFlag::append_values,
        MemoryPool::append_values,
        DeviceType::append_values,
        ProfilingVerbosity::append_values,
        ProfileSelector::append_values,
        HardwareCompatibility::append_values,
        TacticSource::append_values,
        InformationFormat::append_values,
        NetworkCreationFlag::append_values,
        ContextAllocation::append_values,
        Severity::append_values,
        ParserFlag::append_values,
        ParserErrorCode::append_values,
        LayerType::append_values,
    ] {
        append(major, to);
    }
}
