// Declarations of the methods that the fakes have, in the words of NVIDIA's headers. `classes.hpp`, which is
// generated from slots.txt, puts each at the slot that it has in the version that is built.
#pragma once

#include <cstddef>
#include <cstdint>

#if TRT_MAJOR == 8
using Extent = int32_t;
#define DIMS_ARGUMENT Dims
#else
using Extent = int64_t;
#define DIMS_ARGUMENT Dims const&
#endif

struct Dims
{
    int32_t nbDims;
    Extent d[8];
};

struct InterfaceInfo
{
    char const* kind;
    int32_t major;
    int32_t minor;
};

struct IRuntime;
struct ICudaEngine;
struct IExecutionContext;
struct IEngineInspector;
struct IHostMemory;
struct IBuilderConfig;
struct INetworkDefinition;
struct IOptimizationProfile;
struct ITimingCache;
struct ITensor;
struct ILayer;
struct ILogger;
struct IProfiler;
struct IProgressMonitor;
struct IParserError;

#if TRT_MAJOR == 8
#define SIG_VRuntime_deserializeCudaEngine ICudaEngine* deserializeCudaEngine(void const* blob, size_t size, void* factory) noexcept
#else
#define SIG_VRuntime_deserializeCudaEngine ICudaEngine* deserializeCudaEngine(void const* blob, size_t size) noexcept
#endif
#define SIG_VRuntime_setDLACore void setDLACore(int32_t core) noexcept
#define SIG_VRuntime_getNbDLACores int32_t getNbDLACores() const noexcept
#define SIG_VRuntime_setEngineHostCodeAllowed void setEngineHostCodeAllowed(bool allowed) noexcept
#define SIG_VRuntime_setTemporaryDirectory void setTemporaryDirectory(char const* path) noexcept

#if TRT_MAJOR == 8
#define SIG_VCudaEngine_createExecutionContext IExecutionContext* createExecutionContext() noexcept
#else
#define SIG_VCudaEngine_createExecutionContext IExecutionContext* createExecutionContext(int32_t strategy) noexcept
#endif
#define SIG_VCudaEngine_getDeviceMemorySize size_t getDeviceMemorySize() const noexcept
#define SIG_VCudaEngine_getDeviceMemorySizeV2 int64_t getDeviceMemorySizeV2() const noexcept
#define SIG_VCudaEngine_getName char const* getName() const noexcept
#define SIG_VCudaEngine_getNbLayers int32_t getNbLayers() const noexcept
#define SIG_VCudaEngine_getNbOptimizationProfiles int32_t getNbOptimizationProfiles() const noexcept
#define SIG_VCudaEngine_getTensorShape Dims getTensorShape(char const* name) const noexcept
#define SIG_VCudaEngine_getTensorDataType int32_t getTensorDataType(char const* name) const noexcept
#define SIG_VCudaEngine_getTensorIOMode int32_t getTensorIOMode(char const* name) const noexcept
#define SIG_VCudaEngine_getTensorFormat int32_t getTensorFormat(char const* name) const noexcept
#define SIG_VCudaEngine_getNbIOTensors int32_t getNbIOTensors() const noexcept
#define SIG_VCudaEngine_getIOTensorName char const* getIOTensorName(int32_t index) const noexcept
#define SIG_VCudaEngine_getProfileShape Dims getProfileShape(char const* name, int32_t profile, int32_t selector) const noexcept
#define SIG_VCudaEngine_createEngineInspector IEngineInspector* createEngineInspector() const noexcept
#define SIG_VCudaEngine_serialize IHostMemory* serialize() const noexcept

#define SIG_VExecutionContext_setProfiler void setProfiler(IProfiler* profiler) noexcept
#define SIG_VExecutionContext_allInputDimensionsSpecified bool allInputDimensionsSpecified() const noexcept
#define SIG_VExecutionContext_setOptimizationProfileAsync bool setOptimizationProfileAsync(int32_t profile, void* stream) noexcept
#define SIG_VExecutionContext_setEnqueueEmitsProfile void setEnqueueEmitsProfile(bool emits) noexcept
#define SIG_VExecutionContext_reportToProfiler bool reportToProfiler() const noexcept
#define SIG_VExecutionContext_setInputShape bool setInputShape(char const* name, Dims const& dims) noexcept
#define SIG_VExecutionContext_getTensorShape Dims getTensorShape(char const* name) const noexcept
#define SIG_VExecutionContext_setTensorAddress bool setTensorAddress(char const* name, void* data) noexcept
#define SIG_VExecutionContext_enqueueV3 bool enqueueV3(void* stream) noexcept
#define SIG_VExecutionContext_setPersistentCacheLimit void setPersistentCacheLimit(size_t size) noexcept
#define SIG_VExecutionContext_setNvtxVerbosity bool setNvtxVerbosity(int32_t verbosity) noexcept

#define SIG_VEngineInspector_getLayerInformation char const* getLayerInformation(int32_t index, int32_t format) const noexcept
#define SIG_VEngineInspector_getEngineInformation char const* getEngineInformation(int32_t format) const noexcept

#define SIG_VHostMemory_data void* data() const noexcept
#define SIG_VHostMemory_size size_t size() const noexcept

#define SIG_VBuilder_createBuilderConfig IBuilderConfig* createBuilderConfig() noexcept
#define SIG_VBuilder_createNetworkV2 INetworkDefinition* createNetworkV2(uint32_t flags) noexcept
#define SIG_VBuilder_createOptimizationProfile IOptimizationProfile* createOptimizationProfile() noexcept
#define SIG_VBuilder_buildSerializedNetwork IHostMemory* buildSerializedNetwork(INetworkDefinition& network, IBuilderConfig& config) noexcept
#define SIG_VBuilder_getNbDLACores int32_t getNbDLACores() const noexcept
#define SIG_VBuilder_getMaxDLABatchSize int32_t getMaxDLABatchSize() const noexcept
#define SIG_VBuilder_platformHasFastFp16 bool platformHasFastFp16() const noexcept
#define SIG_VBuilder_setMaxThreads bool setMaxThreads(int32_t threads) noexcept
#define SIG_VBuilder_isNetworkSupported bool isNetworkSupported(INetworkDefinition const& network, IBuilderConfig const& config) const noexcept

#define SIG_VBuilderConfig_clearFlag void clearFlag(int32_t flag) noexcept
#define SIG_VBuilderConfig_setFlag void setFlag(int32_t flag) noexcept
#define SIG_VBuilderConfig_getFlag bool getFlag(int32_t flag) const noexcept
#define SIG_VBuilderConfig_setDeviceType void setDeviceType(ILayer const* layer, int32_t device) noexcept
#define SIG_VBuilderConfig_canRunOnDLA bool canRunOnDLA(ILayer const* layer) const noexcept
#define SIG_VBuilderConfig_setDLACore void setDLACore(int32_t core) noexcept
#define SIG_VBuilderConfig_setDefaultDeviceType void setDefaultDeviceType(int32_t device) noexcept
#define SIG_VBuilderConfig_addOptimizationProfile int32_t addOptimizationProfile(IOptimizationProfile const* profile) noexcept
#define SIG_VBuilderConfig_setProfilingVerbosity void setProfilingVerbosity(int32_t verbosity) noexcept
#define SIG_VBuilderConfig_setTacticSources bool setTacticSources(uint32_t sources) noexcept
#define SIG_VBuilderConfig_createTimingCache ITimingCache* createTimingCache(void const* blob, size_t size) const noexcept
#define SIG_VBuilderConfig_setTimingCache bool setTimingCache(ITimingCache const& cache, bool ignoreMismatch) noexcept
#define SIG_VBuilderConfig_setMemoryPoolLimit void setMemoryPoolLimit(int32_t pool, size_t size) noexcept
#define SIG_VBuilderConfig_getMemoryPoolLimit size_t getMemoryPoolLimit(int32_t pool) const noexcept
#define SIG_VBuilderConfig_setBuilderOptimizationLevel void setBuilderOptimizationLevel(int32_t level) noexcept
#define SIG_VBuilderConfig_setHardwareCompatibilityLevel void setHardwareCompatibilityLevel(int32_t level) noexcept
#if TRT_MAJOR == 11
#define SIG_VBuilderConfig_setMaxAuxStreams bool setMaxAuxStreams(int32_t streams) noexcept
#else
#define SIG_VBuilderConfig_setMaxAuxStreams void setMaxAuxStreams(int32_t streams) noexcept
#endif
#define SIG_VBuilderConfig_setProgressMonitor void setProgressMonitor(IProgressMonitor* monitor) noexcept

#define SIG_VNetworkDefinition_getNbInputs int32_t getNbInputs() const noexcept
#define SIG_VNetworkDefinition_getInput ITensor* getInput(int32_t index) const noexcept
#define SIG_VNetworkDefinition_getNbOutputs int32_t getNbOutputs() const noexcept
#define SIG_VNetworkDefinition_getOutput ITensor* getOutput(int32_t index) const noexcept
#define SIG_VNetworkDefinition_getNbLayers int32_t getNbLayers() const noexcept
#define SIG_VNetworkDefinition_getLayer ILayer* getLayer(int32_t index) const noexcept
#define SIG_VNetworkDefinition_setName void setName(char const* name) noexcept

#define SIG_VTensor_getName char const* getName() const noexcept
#define SIG_VTensor_getDimensions Dims getDimensions() const noexcept
#define SIG_VTensor_getType int32_t getType() const noexcept
#define SIG_VTensor_setType void setType(int32_t type) noexcept
#define SIG_VTensor_setAllowedFormats void setAllowedFormats(uint32_t formats) noexcept

#define SIG_VLayer_getName char const* getName() const noexcept
#define SIG_VLayer_getType int32_t getType() const noexcept
#define SIG_VLayer_getNbInputs int32_t getNbInputs() const noexcept
#define SIG_VLayer_getInput ITensor* getInput(int32_t index) const noexcept
#define SIG_VLayer_getNbOutputs int32_t getNbOutputs() const noexcept
#define SIG_VLayer_getOutput ITensor* getOutput(int32_t index) const noexcept
#define SIG_VLayer_setPrecision void setPrecision(int32_t type) noexcept
#define SIG_VLayer_setOutputType void setOutputType(int32_t index, int32_t type) noexcept

#define SIG_VOptimizationProfile_setDimensions bool setDimensions(char const* name, int32_t selector, DIMS_ARGUMENT dims) noexcept
#define SIG_VOptimizationProfile_isValid bool isValid() const noexcept

#define SIG_VTimingCache_serialize IHostMemory* serialize() const noexcept
#define SIG_VTimingCache_combine bool combine(ITimingCache const& other, bool ignoreMismatch) noexcept
#define SIG_VTimingCache_reset bool reset() noexcept

#define SIG_IParser_parse bool parse(void const* model, size_t size, char const* path) noexcept
#define SIG_IParser_parseFromFile bool parseFromFile(char const* path, int verbosity) noexcept
#define SIG_IParser_supportsOperator bool supportsOperator(char const* name) const noexcept
#define SIG_IParser_getNbErrors int getNbErrors() const noexcept
#define SIG_IParser_getError IParserError const* getError(int index) const noexcept
#define SIG_IParser_clearErrors void clearErrors() noexcept
#define SIG_IParser_setFlag void setFlag(int32_t flag) noexcept
#define SIG_IParserError_code int32_t code() const
#define SIG_IParserError_desc char const* desc() const
#define SIG_IParserError_file char const* file() const
#define SIG_IParserError_line int line() const
#define SIG_IParserError_node int node() const
#define SIG_IParserError_nodeName char const* nodeName() const
#define SIG_IParserError_nodeOperator char const* nodeOperator() const

#define SIG_ILogger_getAPILanguage int32_t getAPILanguage() const noexcept
#define SIG_ILogger_getInterfaceInfo InterfaceInfo getInterfaceInfo() const noexcept
#define SIG_ILogger_log void log(int32_t severity, char const* message) noexcept
#define SIG_IProfiler_getAPILanguage int32_t getAPILanguage() const noexcept
#define SIG_IProfiler_getInterfaceInfo InterfaceInfo getInterfaceInfo() const noexcept
#define SIG_IProfiler_reportLayerTime void reportLayerTime(char const* layer, float ms) noexcept
#define SIG_IProgressMonitor_getAPILanguage int32_t getAPILanguage() const noexcept
#define SIG_IProgressMonitor_getInterfaceInfo InterfaceInfo getInterfaceInfo() const noexcept
#define SIG_IProgressMonitor_phaseStart void phaseStart(char const* phase, char const* parent, int32_t steps) noexcept
#define SIG_IProgressMonitor_stepComplete bool stepComplete(char const* phase, int32_t step) noexcept
#define SIG_IProgressMonitor_phaseFinish void phaseFinish(char const* phase) noexcept
