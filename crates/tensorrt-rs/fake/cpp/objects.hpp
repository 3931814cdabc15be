// Objects that both fake libraries see: tensors, layers, networks.
#pragma once

#include "state.hpp"

#include "signatures.hpp"

#include "classes.hpp"

#include <memory>

struct NoCopy
{
    NoCopy() = default;
    NoCopy(NoCopy const&) = delete;
    NoCopy& operator=(NoCopy const&) = delete;
    virtual ~NoCopy() = default;
};

// As in NVIDIA's headers: an interface object has its own table, then a pointer to the implementation.
template <typename V>
struct Interface : NoCopy
{
    V* mImpl{};
    ~Interface() override { delete mImpl; }
};

struct IRuntime : Interface<VRuntime> {};
struct ICudaEngine : Interface<VCudaEngine> {};
struct IExecutionContext : Interface<VExecutionContext> {};
struct IEngineInspector : Interface<VEngineInspector> {};
struct IHostMemory : Interface<VHostMemory> {};
struct IBuilder : Interface<VBuilder> {};
struct IBuilderConfig : Interface<VBuilderConfig> {};
struct INetworkDefinition : Interface<VNetworkDefinition> {};
struct IOptimizationProfile : Interface<VOptimizationProfile> {};
struct ITimingCache : Interface<VTimingCache> {};
struct ITensor : Interface<VTensor> {};

struct ILayer : NoCopy
{
    VLayer* mLayer{};
    ~ILayer() override { delete mLayer; }
};

template <typename I, typename V>
I* wrap(V* implementation)
{
    I* object = new I;
    object->mImpl = implementation;
    return object;
}

inline Dims dims(std::vector<int64_t> const& shape)
{
    Dims result{};
    result.nbDims = static_cast<int32_t>(shape.size());
    for (size_t i = 0; i < shape.size(); ++i)
    {
        result.d[i] = static_cast<Extent>(shape[i]);
    }
    // What lies beyond the rank is nobody's business.
    for (size_t i = shape.size(); i < 8; ++i)
    {
        result.d[i] = 77;
    }
    return result;
}

inline Dims noDims()
{
    Dims result{};
    result.nbDims = -1;
    return result;
}

inline std::vector<int64_t> shapeOf(Dims const& dims)
{
    return std::vector<int64_t>(dims.d, dims.d + (dims.nbDims > 0 ? dims.nbDims : 0));
}

inline std::string text(std::vector<int64_t> const& shape)
{
    std::string result;
    for (size_t i = 0; i < shape.size(); ++i)
    {
        result += (i ? "x" : "") + std::to_string(shape[i]);
    }
    return result.empty() ? "scalar" : result;
}

constexpr uint64_t FNV_START = 0xcbf29ce484222325ull;

// FNV-1a, 64 bits.
inline uint64_t fnv(uint64_t hash, void const* data, size_t size)
{
    auto const* bytes = static_cast<uint8_t const*>(data);
    for (size_t i = 0; i < size; ++i)
    {
        hash = (hash ^ bytes[i]) * 0x100000001b3ull;
    }
    return hash;
}

enum Severity : int32_t { kINTERNAL_ERROR, kERROR, kWARNING, kINFO, kVERBOSE };

// Logs as the version does: in 11 only through an object that says it is an ILogger 1.x in C++.
inline void report(State& state, ILogger* logger, int32_t severity, std::string const& message)
{
    if (!logger)
    {
        return;
    }
#if TRT_MAJOR == 11
    InterfaceInfo const info = logger->getInterfaceInfo();
    if (std::string(info.kind) != "ILogger" || info.major != 1 || logger->getAPILanguage() != 0)
    {
        state.called("VIOLATION: a logger that is none");
        return;
    }
#else
    (void) state;
#endif
    logger->log(severity, message.c_str());
}

struct TensorImpl : VTensor
{
    std::string name;
    int32_t type{};
    std::vector<int64_t> shape;
    uint32_t formats{1};

    SIG_VTensor_getName { return name.c_str(); }
    SIG_VTensor_getDimensions { return dims(shape); }
    SIG_VTensor_getType { return type; }
    void setType(int32_t other) noexcept { type = other; }
    SIG_VTensor_setAllowedFormats { this->formats = formats; }
};

inline TensorImpl& of(ITensor const& tensor)
{
    return static_cast<TensorImpl&>(*tensor.mImpl);
}

struct LayerImpl : VLayer
{
    std::string name;
    std::string op;
    int32_t type{};
    int32_t precision{-1};
    std::vector<ITensor*> inputs;
    std::vector<ITensor*> outputs;

    SIG_VLayer_getName { return name.c_str(); }
    SIG_VLayer_getType { return type; }
    SIG_VLayer_getNbInputs { return static_cast<int32_t>(inputs.size()); }
    SIG_VLayer_getInput { return index < 0 || index >= getNbInputs() ? nullptr : inputs[index]; }
    SIG_VLayer_getNbOutputs { return static_cast<int32_t>(outputs.size()); }
    SIG_VLayer_getOutput { return index < 0 || index >= getNbOutputs() ? nullptr : outputs[index]; }
    void setPrecision(int32_t other) noexcept { precision = other; }
    void setOutputType(int32_t index, int32_t other) noexcept
    {
        if (index >= 0 && index < getNbOutputs())
        {
            of(*outputs[index]).type = other;
        }
    }
};

inline LayerImpl& of(ILayer const& layer)
{
    return static_cast<LayerImpl&>(*layer.mLayer);
}

struct NetworkImpl : VNetworkDefinition
{
    State& state;
    ILogger* logger;
    Parent* builder;
    uint32_t flags{};
    std::string name;
    std::vector<std::unique_ptr<ITensor>> tensors;
    std::vector<std::unique_ptr<ILayer>> layers;
    std::vector<ITensor*> inputs;
    std::vector<ITensor*> outputs;
    // The network's bytes. The parser owns them, as NVIDIA's owns the weights: whoever deletes the parser
    // before the build reads freed memory here.
    std::vector<uint8_t> const* model{};

    NetworkImpl(State& s, ILogger* l, Parent* b) : state(s), logger(l), builder(b) { ++builder->children; }
    ~NetworkImpl() override
    {
        state.called("INetworkDefinition::~INetworkDefinition");
        --builder->children;
    }

    SIG_VNetworkDefinition_getNbInputs { return static_cast<int32_t>(inputs.size()); }
    SIG_VNetworkDefinition_getInput { return index < 0 || index >= getNbInputs() ? nullptr : inputs[index]; }
    SIG_VNetworkDefinition_getNbOutputs { return static_cast<int32_t>(outputs.size()); }
    SIG_VNetworkDefinition_getOutput { return index < 0 || index >= getNbOutputs() ? nullptr : outputs[index]; }
    SIG_VNetworkDefinition_getNbLayers { return static_cast<int32_t>(layers.size()); }
    SIG_VNetworkDefinition_getLayer
    {
        return index < 0 || index >= getNbLayers() ? nullptr : layers[index].get();
    }
    SIG_VNetworkDefinition_setName
    {
        state.called(say("INetworkDefinition::setName ", name));
        this->name = name;
    }
};

inline NetworkImpl& of(INetworkDefinition const& network)
{
    return static_cast<NetworkImpl&>(*network.mImpl);
}
