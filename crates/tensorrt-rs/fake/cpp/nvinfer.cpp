// A library that looks like libnvinfer of one version. See the crate's documentation for what it does.

#include "objects.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <thread>

static State& state()
{
    // Never destroyed: objects may be deleted while the process ends.
    static State* const it = new State;
    return *it;
}

// A method that the version has and nobody should have called.
extern "C" __attribute__((visibility("default"))) void tensorrt_fake_unexpected(char const* name, int slot)
{
    std::fprintf(stderr, "fake TensorRT %s: unexpected call of %s slot %d\n", VERSION_TEXT, name, slot);
    std::abort();
}

static int32_t number(std::string const& text, int32_t otherwise)
{
    return text.empty() ? otherwise : static_cast<int32_t>(std::strtol(text.c_str(), nullptr, 0));
}

static std::string hex(uint64_t value)
{
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%016llx", static_cast<unsigned long long>(value));
    return buffer;
}

struct HostMemoryImpl : VHostMemory
{
    std::string bytes;
    explicit HostMemoryImpl(std::string b) : bytes(std::move(b)) {}
    ~HostMemoryImpl() override { state().called("IHostMemory::~IHostMemory"); }
    SIG_VHostMemory_data { return const_cast<char*>(bytes.data()); }
    SIG_VHostMemory_size { return bytes.size(); }
};

// One input or output of a plan.
struct Binding
{
    std::string name;
    bool input{};
    int32_t type{};
    std::vector<int64_t> shape;
    // Of each profile: smallest, best, largest. Inputs only.
    std::vector<std::vector<std::vector<int64_t>>> profiles;
};

struct Plan
{
    std::string name;
    std::string device;
    uint64_t network{};
    std::vector<Binding> bindings;
    std::vector<std::string> layers;
    std::string build; // flags and the like, for people and tests
    int32_t profiles{1};

    std::string write() const
    {
        std::ostringstream out;
        out << "FAKEPLAN 1\nversion " << VERSION_TEXT << "\ndevice " << device << "\nnetwork " << hex(network)
            << "\nname " << name << "\n" << build << "profiles " << profiles << "\n";
        for (auto const& binding : bindings)
        {
            out << (binding.input ? "input " : "output ") << binding.name << " " << binding.type;
            out << " " << binding.shape.size();
            for (int64_t extent : binding.shape)
            {
                out << " " << extent;
            }
            for (auto const& profile : binding.profiles)
            {
                for (auto const& shape : profile)
                {
                    for (int64_t extent : shape)
                    {
                        out << " " << extent;
                    }
                }
            }
            out << "\n";
        }
        for (auto const& layer : layers)
        {
            out << "layer " << layer << "\n";
        }
        std::string const body = out.str();
        return body + "check " + hex(fnv(FNV_START, body.data(), body.size())) + "\n";
    }

    // Empty if it was read; else what is wrong.
    std::string read(std::string const& bytes)
    {
        if (bytes.compare(0, 9, "FAKEPLAN ") != 0)
        {
            return "the magic tag does not match: this is no engine plan";
        }
        std::istringstream lines(bytes);
        std::string line;
        while (std::getline(lines, line))
        {
            std::istringstream words(line);
            std::string key;
            words >> key;
            if (key == "version")
            {
                std::string version;
                words >> version;
                if (version != VERSION_TEXT)
                {
                    return say("the engine plan is of TensorRT ", version, " and this is ", VERSION_TEXT,
                        ": please rebuild it");
                }
            }
            else if (key == "device")
            {
                std::getline(words >> std::ws, device);
            }
            else if (key == "network")
            {
                words >> std::hex >> network >> std::dec;
            }
            else if (key == "name")
            {
                std::getline(words >> std::ws, name);
            }
            else if (key == "profiles")
            {
                words >> profiles;
            }
            else if (key == "layer")
            {
                std::string layer;
                std::getline(words >> std::ws, layer);
                layers.push_back(layer);
            }
            else if (key == "input" || key == "output")
            {
                Binding binding;
                binding.input = key == "input";
                size_t rank = 0;
                words >> binding.name >> binding.type >> rank;
                binding.shape.resize(rank > 8 ? 0 : rank);
                for (auto& extent : binding.shape)
                {
                    words >> extent;
                }
                for (int32_t p = 0; binding.input && p < profiles; ++p)
                {
                    binding.profiles.emplace_back(3, binding.shape);
                    for (auto& shape : binding.profiles.back())
                    {
                        for (auto& extent : shape)
                        {
                            words >> extent;
                        }
                    }
                }
                bindings.push_back(binding);
            }
            else if (key != "check" && key != "FAKEPLAN")
            {
                build += line + "\n";
            }
            else if (key == "check")
            {
                std::string check;
                words >> check;
                size_t const end = bytes.rfind("check ");
                bool const same = check == hex(fnv(FNV_START, bytes.data(), end));
                return same ? "" : "the checksum of the engine plan does not match: it is damaged";
            }
        }
        return "the engine plan ends early: it is truncated";
    }

    Binding const* find(std::string const& tensor) const
    {
        for (auto const& binding : bindings)
        {
            if (binding.name == tensor)
            {
                return &binding;
            }
        }
        return nullptr;
    }
};

// Bytes of an element, by DataType.
static size_t elementSize(int32_t type)
{
    switch (type)
    {
    case 0: case 3: return 4;
    case 1: case 7: return 2;
    case 8: return 8;
    default: return 1;
    }
}

static int64_t volume(std::vector<int64_t> const& shape)
{
    int64_t product = 1;
    for (int64_t extent : shape)
    {
        product *= extent;
    }
    return product;
}

static uint64_t splitmix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

// A number of [0, 1) with at most eleven significant bits, as an IEEE half.
static uint16_t half(uint32_t elevenBits)
{
    if (elevenBits == 0)
    {
        return 0;
    }
    int exponent = 14; // of 2^-1
    while (!(elevenBits & 0x400))
    {
        elevenBits <<= 1;
        --exponent;
    }
    return static_cast<uint16_t>((exponent << 10) | (elevenBits & 0x3ff));
}

static void fill(void* to, int32_t type, size_t count, uint64_t hash, uint64_t output)
{
    for (size_t k = 0; k < count; ++k)
    {
        uint64_t const x = splitmix(hash ^ (output << 32) ^ k);
        switch (type)
        {
        case 0: static_cast<float*>(to)[k] = static_cast<float>(x >> 40) / 16777216.0f; break;
        case 1: static_cast<uint16_t*>(to)[k] = half(static_cast<uint32_t>(x >> 53)); break;
        case 3: static_cast<int32_t*>(to)[k] = static_cast<int32_t>(x >> 40); break;
        case 4: static_cast<uint8_t*>(to)[k] = static_cast<uint8_t>(x & 1); break;
        case 8: static_cast<int64_t*>(to)[k] = static_cast<int64_t>(x >> 1); break;
        default: static_cast<uint8_t*>(to)[k] = static_cast<uint8_t>(x >> 56); break;
        }
    }
}

struct Engine : Parent
{
    Parent* runtime;
    ILogger* logger;
    Plan plan;
    Engine(Parent* r, ILogger* l, Plan p) : Parent(&::state(), "ICudaEngine"), runtime(r), logger(l), plan(std::move(p))
    {
        ++runtime->children;
    }
    ~Engine() { --runtime->children; }
};

// One frame: what has to be done when the stream gets there.
struct Job
{
    struct Memory
    {
        Binding const* binding;
        void* address;
        size_t count;
    };
    uint64_t network;
    std::vector<Memory> memory;
    std::string outputs; // directory of files with the outputs, or empty

    void run() const
    {
        uint64_t hash = fnv(FNV_START, &network, sizeof network);
        for (auto const& it : memory)
        {
            if (it.binding->input)
            {
                hash = fnv(hash, it.binding->name.data(), it.binding->name.size());
                hash = fnv(hash, it.address, it.count * elementSize(it.binding->type));
            }
        }
        uint64_t output = 0;
        for (auto const& it : memory)
        {
            if (it.binding->input)
            {
                continue;
            }
            if (outputs.empty())
            {
                fill(it.address, it.binding->type, it.count, hash, output);
            }
            else
            {
                std::ifstream file(outputs + "/" + it.binding->name + ".bin", std::ios::binary);
                file.read(static_cast<char*>(it.address),
                    static_cast<std::streamsize>(it.count * elementSize(it.binding->type)));
                if (!file)
                {
                    state().called("no output in " + outputs + " for " + it.binding->name);
                }
            }
            ++output;
        }
    }

    static void run(void* job) { static_cast<Job*>(job)->run(); }
};

struct ContextImpl : VExecutionContext
{
    Engine* engine;
    IProfiler* profiler{};
    bool emits{true};
    int64_t frames{};
    int32_t profile{};
    std::map<std::string, std::vector<int64_t>> shapes;
    std::map<std::string, void*> addresses;
    std::vector<std::unique_ptr<Job>> jobs;

    explicit ContextImpl(Engine* e) : engine(e)
    {
        ++engine->children;
        for (auto const& binding : engine->plan.bindings)
        {
            shapes[binding.name] = binding.shape;
        }
    }
    ~ContextImpl() override
    {
        state().called("IExecutionContext::~IExecutionContext");
        --engine->children;
    }

    void error(std::string const& message) const { report(state(), engine->logger, kERROR, message); }

    SIG_VExecutionContext_setProfiler
    {
        state().called(say("IExecutionContext::setProfiler ", profiler ? "some" : "none"));
        this->profiler = profiler;
    }
    SIG_VExecutionContext_setEnqueueEmitsProfile { this->emits = emits; }
    SIG_VExecutionContext_setPersistentCacheLimit { state().called(say("IExecutionContext::setPersistentCacheLimit ", size)); }
    SIG_VExecutionContext_setNvtxVerbosity
    {
        state().called(say("IExecutionContext::setNvtxVerbosity ", verbosity));
        return verbosity != 2;
    }
    SIG_VExecutionContext_setOptimizationProfileAsync
    {
        state().called(say("IExecutionContext::setOptimizationProfileAsync ", profile, " ", stream));
        if (profile < 0 || profile >= engine->plan.profiles)
        {
            error(say("there is no optimization profile ", profile));
            return false;
        }
        this->profile = profile;
        return true;
    }
    SIG_VExecutionContext_setInputShape
    {
        auto const shape = shapeOf(dims);
        state().called(say("IExecutionContext::setInputShape ", name, " ", text(shape)));
        Binding const* binding = engine->plan.find(name);
        if (!binding || !binding->input || shape.size() != binding->shape.size())
        {
            error(say("setInputShape: ", name, " is no input of this rank"));
            return false;
        }
        auto const& bounds = binding->profiles.at(static_cast<size_t>(profile));
        for (size_t i = 0; i < shape.size(); ++i)
        {
            if (shape[i] < bounds[0][i] || shape[i] > bounds[2][i])
            {
                error(say("setInputShape: ", name, " ", text(shape), " is not within the optimization profile"));
                return false;
            }
        }
        shapes[name] = shape;
        // Open extents of outputs follow those of the first input at the same place.
        for (auto const& other : engine->plan.bindings)
        {
            for (size_t i = 0; !other.input && i < other.shape.size(); ++i)
            {
                if (other.shape[i] < 0 && i < shape.size())
                {
                    shapes[other.name][i] = shape[i];
                }
            }
        }
        return true;
    }
    SIG_VExecutionContext_getTensorShape
    {
        auto const found = shapes.find(name);
        return found == shapes.end() ? noDims() : ::dims(found->second);
    }
    SIG_VExecutionContext_allInputDimensionsSpecified
    {
        return std::all_of(engine->plan.bindings.begin(), engine->plan.bindings.end(),
            [this](Binding const& it) { return volume(shapes.at(it.name)) >= 0; });
    }
    SIG_VExecutionContext_setTensorAddress
    {
        if (!engine->plan.find(name) || state().is("address", "false"))
        {
            error(say("setTensorAddress: there is no input or output ", name));
            return false;
        }
        addresses[name] = data;
        return true;
    }
    SIG_VExecutionContext_enqueueV3
    {
        state().called(say("IExecutionContext::enqueueV3 ", stream));
        int32_t const failAfter = number(state().setting("enqueue.fail_after"), -1);
        if (state().is("enqueue", "false") || (failAfter >= 0 && frames >= failAfter))
        {
            error("enqueueV3: a kernel could not be launched (CUDA error 719)");
            return false;
        }
        std::unique_ptr<Job> job(new Job);
        job->network = engine->plan.network;
        job->outputs = state().setting("outputs");
        for (auto const& binding : engine->plan.bindings)
        {
            auto const address = addresses.find(binding.name);
            int64_t const count = volume(shapes.at(binding.name));
            if (address == addresses.end() || !address->second || count < 0)
            {
                error(say("enqueueV3: ", binding.name, " has no ", count < 0 ? "shape" : "address"));
                return false;
            }
            job->memory.push_back({&binding, address->second, static_cast<size_t>(count)});
        }
        ++frames;
        // On a driver that runs host functions the work is put on the stream, as real work is, and may be
        // captured into a graph; else it is done now.
        using Launch = int (*)(void*, void (*)(void*), void*);
        static Launch const launch = [] {
            void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
            return driver ? reinterpret_cast<Launch>(dlsym(driver, "cuLaunchHostFunc")) : nullptr;
        }();
        if (launch)
        {
            Job* const kept = job.get();
            jobs.push_back(std::move(job));
            if (int const result = launch(stream, Job::run, kept))
            {
                error(say("enqueueV3: a kernel could not be launched (CUDA error ", result, ")"));
                return false;
            }
        }
        else
        {
            job->run();
        }
        if (profiler && emits)
        {
            reportTimes();
        }
        return true;
    }
    SIG_VExecutionContext_reportToProfiler
    {
        state().called("IExecutionContext::reportToProfiler");
        if (!profiler || frames == 0)
        {
            error("reportToProfiler: there is no profiler, or nothing was run");
            return false;
        }
        reportTimes();
        return true;
    }

    // The n-th layer took n + 0.5 ms.
    void reportTimes() const
    {
#if TRT_MAJOR == 11
        InterfaceInfo const info = profiler->getInterfaceInfo();
        if (std::string(info.kind) != "IProfiler" || info.major != 1 || profiler->getAPILanguage() != 0)
        {
            state().called("VIOLATION: a profiler that is none");
            return;
        }
#endif
        for (size_t i = 0; i < engine->plan.layers.size(); ++i)
        {
            profiler->reportLayerTime(engine->plan.layers[i].c_str(), static_cast<float>(i) + 0.5f);
        }
    }
};

struct InspectorImpl : VEngineInspector
{
    Engine* engine;
    mutable std::string text;

    explicit InspectorImpl(Engine* e) : engine(e) { ++engine->children; }
    ~InspectorImpl() override
    {
        state().called("IEngineInspector::~IEngineInspector");
        --engine->children;
    }
    SIG_VEngineInspector_getLayerInformation
    {
        if (index < 0 || index >= static_cast<int32_t>(engine->plan.layers.size()))
        {
            report(state(), engine->logger, kERROR, say("getLayerInformation: there is no layer ", index));
            return nullptr;
        }
        auto const& layer = engine->plan.layers[static_cast<size_t>(index)];
        text = format == 1 ? say("{\"Name\": \"", layer, "\"}") : layer;
        return text.c_str();
    }
    SIG_VEngineInspector_getEngineInformation
    {
        std::string all;
        for (auto const& layer : engine->plan.layers)
        {
            all += (all.empty() ? "" : format == 1 ? ", " : "\n") + (format == 1 ? say("\"", layer, "\"") : layer);
        }
        text = format == 1 ? say("{\"Layers\": [", all, "]}") : all;
        return text.c_str();
    }
};

struct EngineImpl : VCudaEngine
{
    Engine engine;
    EngineImpl(Parent* runtime, ILogger* logger, Plan plan) : engine(runtime, logger, std::move(plan)) {}

    Engine* self() const { return const_cast<Engine*>(&engine); }
    Binding const* find(char const* name) const
    {
        Binding const* binding = engine.plan.find(name);
        if (!binding)
        {
            report(state(), engine.logger, kERROR, say("there is no input or output ", name));
        }
        return binding;
    }

    SIG_VCudaEngine_createExecutionContext
    {
#if TRT_MAJOR == 8
        state().called("ICudaEngine::createExecutionContext");
#else
        state().called(say("ICudaEngine::createExecutionContext ", strategy));
#endif
        if (state().is("context", "null"))
        {
            report(state(), engine.logger, kERROR, "createExecutionContext: out of memory (CUDA error 2)");
            return nullptr;
        }
        return wrap<IExecutionContext, VExecutionContext>(new ContextImpl(self()));
    }
    SIG_VCudaEngine_getName { return engine.plan.name.c_str(); }
    SIG_VCudaEngine_getNbLayers { return static_cast<int32_t>(engine.plan.layers.size()); }
    SIG_VCudaEngine_getNbOptimizationProfiles { return engine.plan.profiles; }
    SIG_VCudaEngine_getTensorShape
    {
        Binding const* binding = find(name);
        return binding ? dims(binding->shape) : noDims();
    }
    SIG_VCudaEngine_getTensorDataType
    {
        Binding const* binding = find(name);
        return binding ? number(state().setting("dtype"), binding->type) : 0;
    }
    SIG_VCudaEngine_getTensorIOMode
    {
        Binding const* binding = find(name);
        return !binding ? 0 : binding->input ? 1 : 2;
    }
    SIG_VCudaEngine_getTensorFormat { return find(name) ? number(state().setting("format"), 0) : 0; }
    SIG_VCudaEngine_getNbIOTensors { return static_cast<int32_t>(engine.plan.bindings.size()); }
    SIG_VCudaEngine_getIOTensorName
    {
        bool const there = index >= 0 && index < getNbIOTensors();
        return there ? engine.plan.bindings[static_cast<size_t>(index)].name.c_str() : nullptr;
    }
    SIG_VCudaEngine_getProfileShape
    {
        Binding const* binding = find(name);
        if (!binding || !binding->input || profile < 0 || profile >= engine.plan.profiles || selector < 0 || selector > 2)
        {
            return noDims();
        }
        return dims(binding->profiles[static_cast<size_t>(profile)][static_cast<size_t>(selector)]);
    }
    SIG_VCudaEngine_createEngineInspector
    {
        return state().is("inspector", "null") ? nullptr
                                               : wrap<IEngineInspector, VEngineInspector>(new InspectorImpl(self()));
    }
    SIG_VCudaEngine_serialize
    {
        return wrap<IHostMemory, VHostMemory>(new HostMemoryImpl(engine.plan.write()));
    }
    static int64_t memory(char const* call)
    {
        state().called(call);
        std::string const bytes = state().setting("memory", "1048576");
        return std::strtoll(bytes.c_str(), nullptr, 0);
    }
    size_t getDeviceMemorySize() const noexcept { return static_cast<size_t>(memory("ICudaEngine::getDeviceMemorySize")); }
    int64_t getDeviceMemorySizeV2() const noexcept { return memory("ICudaEngine::getDeviceMemorySizeV2"); }
};

struct RuntimeImpl : VRuntime
{
    Parent self{&state(), "IRuntime"};
    ILogger* logger;
    explicit RuntimeImpl(ILogger* l) : logger(l) {}

    SIG_VRuntime_deserializeCudaEngine
    {
        state().called(say("IRuntime::deserializeCudaEngine ", size));
#if TRT_MAJOR == 8
        if (factory)
        {
            state().called("VIOLATION: deserializeCudaEngine with a plugin factory");
        }
#endif
        if (state().is("deserialize", "oom"))
        {
            report(state(), logger, kERROR, "deserializeCudaEngine: out of memory (CUDA error 2)");
            return nullptr;
        }
        Plan plan;
        std::string wrong = state().is("deserialize", "fail") ? "this engine plan is refused"
                                                              : plan.read(std::string(static_cast<char const*>(blob), size));
        std::string const device = state().setting("device", "fake");
        if (wrong.empty() && plan.device != device)
        {
            wrong = say("the engine plan was built for the device ", plan.device, " and this is ", device);
        }
        if (!wrong.empty())
        {
            report(state(), logger, kERROR, "deserializeCudaEngine: " + wrong);
            return nullptr;
        }
        return wrap<ICudaEngine, VCudaEngine>(new EngineImpl(&self, logger, std::move(plan)));
    }
    SIG_VRuntime_setDLACore { state().called(say("IRuntime::setDLACore ", core)); }
    SIG_VRuntime_getNbDLACores { return number(state().setting("dla"), 0); }
    void setEngineHostCodeAllowed(bool allowed) noexcept
    {
        state().called(say("IRuntime::setEngineHostCodeAllowed ", allowed));
    }
    void setTemporaryDirectory(char const* path) noexcept
    {
        state().called(say("IRuntime::setTemporaryDirectory ", path));
    }
};

struct ProfileImpl : VOptimizationProfile
{
    std::map<std::string, std::map<int32_t, std::vector<int64_t>>> shapes;

    SIG_VOptimizationProfile_setDimensions
    {
        auto const shape = shapeOf(dims);
        state().called(say("IOptimizationProfile::setDimensions ", name, " ", selector, " ", text(shape)));
        auto const& known = shapes[name];
        for (auto const& other : known)
        {
            for (size_t i = 0; i < shape.size() && i < other.second.size(); ++i)
            {
                bool const bad = selector < other.first ? shape[i] > other.second[i] : shape[i] < other.second[i];
                if (shape.size() != other.second.size() || bad)
                {
                    return false;
                }
            }
        }
        shapes[name][selector] = shape;
        return true;
    }
    SIG_VOptimizationProfile_isValid
    {
        return std::all_of(shapes.begin(), shapes.end(),
            [](std::pair<std::string const, std::map<int32_t, std::vector<int64_t>>> const& it) {
                return it.second.size() == 3;
            });
    }
};

struct TimingCacheImpl : VTimingCache
{
    Parent self{&state(), "ITimingCache"};
    ILogger* logger;
    std::string device;
    int64_t entries{};

    explicit TimingCacheImpl(ILogger* l) : logger(l), device(state().setting("device", "fake")) {}

    bool read(std::string const& bytes)
    {
        std::istringstream words(bytes);
        std::string magic, version;
        words >> magic >> version >> device >> entries;
        return words && magic == "FAKECACHE" && version == VERSION_TEXT;
    }
    SIG_VTimingCache_serialize
    {
        if (state().is("cache", "null"))
        {
            return nullptr;
        }
        std::string const bytes = say("FAKECACHE ", VERSION_TEXT, " ", device, " ", entries, "\n");
        return wrap<IHostMemory, VHostMemory>(new HostMemoryImpl(bytes));
    }
    SIG_VTimingCache_combine
    {
        auto const& cache = static_cast<TimingCacheImpl const&>(*other.mImpl);
        if (cache.device != device && !ignoreMismatch)
        {
            report(state(), logger, kERROR, "combine: the timing cache is of another device");
            return false;
        }
        entries += cache.entries;
        return true;
    }
    SIG_VTimingCache_reset
    {
        entries = 0;
        return true;
    }
};

struct ConfigImpl : VBuilderConfig
{
    Parent* builder;
    ILogger* logger;
    // TF32 is set at first, as in TensorRT.
    uint32_t flags{1u << (TRT_MAJOR == 8 ? 7 : 6)};
    std::map<int32_t, size_t> pools;
    std::vector<ProfileImpl const*> profiles;
    TimingCacheImpl* cache{};
    IProgressMonitor* monitor{};
    int32_t level{3};
    int32_t verbosity{};
    int32_t device{};
    int32_t core{-1};

    ConfigImpl(Parent* b, ILogger* l) : builder(b), logger(l) { ++builder->children; }
    ~ConfigImpl() override
    {
        state().called("IBuilderConfig::~IBuilderConfig");
        --builder->children;
        if (cache)
        {
            --cache->self.children;
        }
    }

    SIG_VBuilderConfig_setFlag
    {
        state().called(say("IBuilderConfig::setFlag ", flag));
        flags |= 1u << flag;
    }
    SIG_VBuilderConfig_clearFlag
    {
        state().called(say("IBuilderConfig::clearFlag ", flag));
        flags &= ~(1u << flag);
    }
    SIG_VBuilderConfig_getFlag { return flags >> flag & 1; }
    SIG_VBuilderConfig_setDeviceType { state().called(say("IBuilderConfig::setDeviceType ", of(*layer).name, " ", device)); }
    SIG_VBuilderConfig_canRunOnDLA
    {
        static char const* const able[] = {"Conv", "Relu", "Sigmoid", "MaxPool", "AveragePool", "Add"};
        auto const& op = of(*layer).op;
        return std::any_of(std::begin(able), std::end(able), [&](char const* it) { return op == it; });
    }
    SIG_VBuilderConfig_setDLACore
    {
        state().called(say("IBuilderConfig::setDLACore ", core));
        this->core = core;
    }
    SIG_VBuilderConfig_setDefaultDeviceType
    {
        state().called(say("IBuilderConfig::setDefaultDeviceType ", device));
        this->device = device;
    }
    SIG_VBuilderConfig_addOptimizationProfile
    {
        auto const* added = static_cast<ProfileImpl const*>(profile->mImpl);
        state().called("IBuilderConfig::addOptimizationProfile");
        if (!added->isValid())
        {
            report(state(), logger, kERROR, "addOptimizationProfile: the profile is not valid");
            return -1;
        }
        profiles.push_back(added);
        return static_cast<int32_t>(profiles.size()) - 1;
    }
    SIG_VBuilderConfig_setProfilingVerbosity
    {
        state().called(say("IBuilderConfig::setProfilingVerbosity ", verbosity));
        this->verbosity = verbosity;
    }
    SIG_VBuilderConfig_setTacticSources
    {
        state().called(say("IBuilderConfig::setTacticSources ", sources));
        return !state().is("tactics", "false");
    }
    SIG_VBuilderConfig_createTimingCache
    {
        state().called(say("IBuilderConfig::createTimingCache ", size));
        std::unique_ptr<TimingCacheImpl> made(new TimingCacheImpl(logger));
        if (size && !made->read(std::string(static_cast<char const*>(blob), size)))
        {
            report(state(), logger, kERROR, "createTimingCache: this is no timing cache of this version");
            return nullptr;
        }
        return wrap<ITimingCache, VTimingCache>(made.release());
    }
    SIG_VBuilderConfig_setTimingCache
    {
        auto* given = static_cast<TimingCacheImpl*>(cache.mImpl);
        state().called(say("IBuilderConfig::setTimingCache ", ignoreMismatch));
        if (given->device != state().setting("device", "fake") && !ignoreMismatch)
        {
            report(state(), logger, kERROR, "setTimingCache: the timing cache is of another device");
            return false;
        }
        if (this->cache)
        {
            --this->cache->self.children;
        }
        this->cache = given;
        ++given->self.children;
        return true;
    }
    SIG_VBuilderConfig_setMemoryPoolLimit
    {
        state().called(say("IBuilderConfig::setMemoryPoolLimit ", pool, " ", size));
        pools[pool] = size;
    }
    SIG_VBuilderConfig_getMemoryPoolLimit
    {
        auto const found = pools.find(pool);
        return found == pools.end() ? size_t{1} << 33 : found->second;
    }
    void setBuilderOptimizationLevel(int32_t other) noexcept
    {
        state().called(say("IBuilderConfig::setBuilderOptimizationLevel ", other));
        level = other;
    }
    void setHardwareCompatibilityLevel(int32_t other) noexcept
    {
        state().called(say("IBuilderConfig::setHardwareCompatibilityLevel ", other));
    }
#ifdef HAS_VBuilderConfig_setMaxAuxStreams
    SIG_VBuilderConfig_setMaxAuxStreams
    {
        state().called(say("IBuilderConfig::setMaxAuxStreams ", streams));
#if TRT_MAJOR == 11
        return true;
#endif
    }
#endif
    void setProgressMonitor(IProgressMonitor* other) noexcept
    {
        state().called("IBuilderConfig::setProgressMonitor");
        monitor = other;
    }
};

struct BuilderImpl : VBuilder
{
    Parent self{&state(), "IBuilder"};
    ILogger* logger;
    std::vector<std::unique_ptr<IOptimizationProfile>> profiles;

    explicit BuilderImpl(ILogger* l) : logger(l) {}

    SIG_VBuilder_createBuilderConfig
    {
        state().called("IBuilder::createBuilderConfig");
        return state().is("config", "null") ? nullptr
                                            : wrap<IBuilderConfig, VBuilderConfig>(new ConfigImpl(&self, logger));
    }
    SIG_VBuilder_createNetworkV2
    {
        state().called(say("IBuilder::createNetworkV2 ", flags));
        if (state().is("network", "null"))
        {
            report(state(), logger, kERROR, "createNetworkV2: the flags are not valid");
            return nullptr;
        }
        auto* network = new NetworkImpl(state(), logger, &self);
        network->flags = flags;
        return wrap<INetworkDefinition, VNetworkDefinition>(network);
    }
    SIG_VBuilder_createOptimizationProfile
    {
        state().called("IBuilder::createOptimizationProfile");
        if (state().is("profile", "null"))
        {
            return nullptr;
        }
        profiles.emplace_back(wrap<IOptimizationProfile, VOptimizationProfile>(new ProfileImpl));
        return profiles.back().get();
    }
    SIG_VBuilder_getNbDLACores { return number(state().setting("dla"), 0); }
    SIG_VBuilder_getMaxDLABatchSize { return 4096; }
    bool platformHasFastFp16() const noexcept { return !state().is("fp16", "false"); }
    SIG_VBuilder_setMaxThreads
    {
        state().called(say("IBuilder::setMaxThreads ", threads));
        return threads > 0;
    }
    SIG_VBuilder_isNetworkSupported { return of(network).model && config.mImpl; }

    SIG_VBuilder_buildSerializedNetwork
    {
        state().called("IBuilder::buildSerializedNetwork");
        NetworkImpl& net = of(network);
        auto& settings = static_cast<ConfigImpl&>(*config.mImpl);
        if (!net.model || net.outputs.empty())
        {
            report(state(), logger, kERROR, "buildSerializedNetwork: the network has no outputs");
            return nullptr;
        }
        for (ITensor* input : net.inputs)
        {
            auto const& tensor = of(*input);
            bool const open = std::any_of(tensor.shape.begin(), tensor.shape.end(), [](int64_t e) { return e < 0; });
            bool const known = std::all_of(settings.profiles.begin(), settings.profiles.end(),
                [&](ProfileImpl const* it) { return it->shapes.count(tensor.name) == 1; });
            if (open && (settings.profiles.empty() || !known))
            {
                report(state(), logger, kERROR,
                    say("buildSerializedNetwork: the input ", tensor.name, " has an open shape and no optimization profile"));
                return nullptr;
            }
        }
        report(state(), logger, kINFO, "building an engine");
        bool goOn = true;
        // TensorRT's own threads call the monitor: so does this one.
        std::thread([&] { goOn = watch(settings, net); }).join();
        if (!goOn)
        {
            report(state(), logger, kERROR, "buildSerializedNetwork: cancelled by the progress monitor");
            return nullptr;
        }
        std::string const fate = state().setting("build");
        if (fate == "oom")
        {
            report(state(), logger, kERROR, "[virtualMemoryBuffer.cpp] out of memory: requested 4294967296 bytes (CUDA error 2)");
            report(state(), logger, kERROR, "buildSerializedNetwork: could not find any implementation for node " + of(*net.layers[0]).name);
            return nullptr;
        }
        if (fate == "fail" || fate == "abort")
        {
            if (fate == "abort")
            {
                std::abort();
            }
            report(state(), logger, kINTERNAL_ERROR, "buildSerializedNetwork: could not find any implementation for node " + of(*net.layers[0]).name);
            return nullptr;
        }
        if (settings.cache)
        {
            settings.cache->entries += static_cast<int64_t>(net.layers.size());
        }
        Plan plan;
        plan.name = net.name.empty() ? "unnamed" : net.name;
        plan.device = state().setting("device", "fake");
        plan.network = fnv(FNV_START, net.model->data(), net.model->size());
        plan.profiles = settings.profiles.empty() ? 1 : static_cast<int32_t>(settings.profiles.size());
        plan.build = say("flags ", settings.flags, "\nnetwork_flags ", net.flags, "\nworkspace ",
            settings.getMemoryPoolLimit(0), "\nlevel ", settings.level, "\nverbosity ", settings.verbosity,
            "\ndefault_device ", settings.device, " ", settings.core, "\n");
        for (ITensor* input : net.inputs)
        {
            Binding binding;
            auto const& tensor = of(*input);
            binding.name = tensor.name;
            binding.input = true;
            binding.type = tensor.type;
            binding.shape = tensor.shape;
            for (int32_t p = 0; p < plan.profiles; ++p)
            {
                binding.profiles.emplace_back(3, tensor.shape);
                for (int32_t s = 0; s < 3 && !settings.profiles.empty(); ++s)
                {
                    auto const& shapes = settings.profiles[static_cast<size_t>(p)]->shapes;
                    auto const found = shapes.find(tensor.name);
                    if (found != shapes.end())
                    {
                        binding.profiles.back()[static_cast<size_t>(s)] = found->second.at(s);
                    }
                }
            }
            plan.bindings.push_back(binding);
        }
        for (ITensor* output : net.outputs)
        {
            Binding binding;
            auto const& tensor = of(*output);
            binding.name = tensor.name;
            binding.type = tensor.type;
            binding.shape = tensor.shape;
            plan.bindings.push_back(binding);
        }
        for (auto const& layer : net.layers)
        {
            plan.layers.push_back(of(*layer).name);
        }
        return wrap<IHostMemory, VHostMemory>(new HostMemoryImpl(plan.write()));
    }

    // Phases as TensorRT has them: one within the other, a step for each layer. True to go on.
    static bool watch(ConfigImpl& settings, NetworkImpl& net)
    {
        int32_t const pause = number(state().setting("build.step_ms"), 0);
        auto const steps = static_cast<int32_t>(net.layers.size());
        IProgressMonitor* const monitor = settings.monitor;
        bool goOn = true;
#if TRT_MAJOR >= 10
        if (monitor)
        {
            InterfaceInfo const info = monitor->getInterfaceInfo();
            if (std::string(info.kind) != "IProgressMonitor" || info.major != 1 || monitor->getAPILanguage() != 0)
            {
                state().called("VIOLATION: a progress monitor that is none");
                return true;
            }
            monitor->phaseStart("Building engine", nullptr, 1);
            monitor->phaseStart("Timing tactics", "Building engine", steps);
        }
        for (int32_t i = 0; goOn && i < steps; ++i)
        {
            std::this_thread::sleep_for(std::chrono::milliseconds(pause));
            goOn = !monitor || monitor->stepComplete("Timing tactics", i);
        }
        if (monitor)
        {
            monitor->phaseFinish("Timing tactics");
            monitor->phaseFinish("Building engine");
        }
#else
        (void) monitor;
        std::this_thread::sleep_for(std::chrono::milliseconds(pause * steps));
#endif
        return goOn;
    }
};

extern "C" {

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int32_t getInferLibVersion() noexcept
{
    int32_t const step = TRT_MAJOR < 10 ? 1000 : 10000;
    return number(state().setting("version"), TRT_MAJOR * step + TRT_MINOR * 100 + TRT_PATCH);
}

static bool rightVersion(char const* call, int32_t version)
{
    state().called(say(call, " ", version));
    return version == getInferLibVersion();
}

EXPORTED void* createInferRuntime_INTERNAL(void* logger, int32_t version) noexcept
{
    auto* const log = static_cast<ILogger*>(logger);
    // What 10.16 to 11.4 do without a GPU.
    if (state().is("runtime", "0x228"))
    {
        return reinterpret_cast<void*>(0x228);
    }
    if (!rightVersion("createInferRuntime", version) || state().is("runtime", "null"))
    {
        report(state(), log, kERROR, "createInferRuntime: CUDA initialization failure with error 35");
        return nullptr;
    }
    report(state(), log, kVERBOSE, "createInferRuntime");
    return wrap<IRuntime, VRuntime>(new RuntimeImpl(log));
}

#ifndef LEAN
EXPORTED void* createInferBuilder_INTERNAL(void* logger, int32_t version) noexcept
{
    auto* const log = static_cast<ILogger*>(logger);
    if (!rightVersion("createInferBuilder", version) || state().is("builder", "null"))
    {
        report(state(), log, kERROR, "createInferBuilder: CUDA initialization failure with error 35");
        return nullptr;
    }
    if (state().is("chatty", "yes"))
    {
        for (int32_t severity = kINTERNAL_ERROR; severity <= kVERBOSE; ++severity)
        {
            // From another thread, as TensorRT does.
            std::thread([=] { report(state(), log, severity, say("severity ", severity)); }).join();
        }
    }
    return wrap<IBuilder, VBuilder>(new BuilderImpl(log));
}
#endif

EXPORTED void tensorrt_fake_control(char const* settings)
{
    state().control(settings);
}

// Copies the calls so far, one a line, and returns how many bytes they are.
EXPORTED size_t tensorrt_fake_calls(char* to, size_t size)
{
    std::string const calls = state().calls();
    std::memcpy(to, calls.data(), std::min(size, calls.size()));
    return calls.size();
}

EXPORTED void tensorrt_fake_forget()
{
    state().forget();
}

}
