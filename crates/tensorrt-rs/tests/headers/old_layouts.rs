//! Headers as 8.x and 10.x write them: small ones, made here in the layout of those versions, as NVIDIA's
//! are not at hand. What is declared in them is a small part; the order within each class is the real one
//! of the parts that the tables call, with stand-ins for the methods between.

use crate::agreement::{compare_tables, compare_values};
use crate::compiler::Compiler;
use crate::syntax::{headers, write};
use std::collections::BTreeMap;
use tensorrt_rs::abi::{Headers, Report, Verdict, check};

/// 8.x: `Dims` of 32 bits, plain callbacks, a version that is a constant, `getPImpl` last or not at all.
const EIGHT: &str = r#"
#ifndef NV_INFER_H
#define NV_INFER_H
#include "NvInferVersion.h"
#include <cstddef>
#include <cstdint>
#if __cplusplus >= 201402L
#define TRT_DEPRECATED [[deprecated]]
#if __GNUC__ < 6
#define TRT_DEPRECATED_ENUM
#else
#define TRT_DEPRECATED_ENUM TRT_DEPRECATED
#endif
#else
#define TRT_DEPRECATED __attribute__((deprecated))
#endif
#define TENSORRTAPI
#define TRTNOEXCEPT
#define NV_TENSORRT_VERSION nvinfer1::kNV_TENSORRT_VERSION_IMPL
namespace nvinfer1
{
static constexpr int32_t kNV_TENSORRT_VERSION_IMPL
    = (NV_TENSORRT_MAJOR * 1000) + (NV_TENSORRT_MINOR * 100) + NV_TENSORRT_PATCH;
using char_t = char;
using AsciiChar = char_t;
class ICudaEngine; class IPluginFactory; class IRuntime; class IHostMemory;
enum class OptProfileSelector : int32_t { kMIN = 0, kOPT = 1, kMAX = 2 };
class Dims32 { public: static constexpr int32_t MAX_DIMS{8}; int32_t nbDims; int32_t d[MAX_DIMS]; };
using Dims = Dims32;
class ILogger
{
public:
    enum class Severity : int32_t { kINTERNAL_ERROR = 0, kERROR = 1, kWARNING = 2, kINFO = 3, kVERBOSE = 4 };
    virtual void log(Severity severity, AsciiChar const* msg) noexcept = 0;
    ILogger() = default;
    virtual ~ILogger() = default;
protected:
    ILogger(ILogger const&) = default;
    ILogger& operator=(ILogger&&) & = default;
};
class IProfiler
{
public:
    virtual void reportLayerTime(char const* layerName, float ms) noexcept = 0;
    virtual ~IProfiler() noexcept {}
};
namespace apiv
{
class VRoot { public: virtual ~VRoot() noexcept = default; };
class VHostMemory : public VRoot
{
public:
    virtual void* data() const noexcept = 0;
    virtual std::size_t size() const noexcept = 0;
};
class VRuntime : public VRoot
{
public:
    virtual nvinfer1::ICudaEngine* deserializeCudaEngine(
        void const* blob, std::size_t size, IPluginFactory* pluginFactory) noexcept = 0;
    virtual void setDLACore(int32_t dlaCore) noexcept = 0;
    virtual int32_t getDLACore() const noexcept = 0;
    virtual int32_t getNbDLACores() const noexcept = 0;
};
class VOptimizationProfile : public VRoot
{
public:
    virtual bool setDimensions(char const* inputName, OptProfileSelector select, Dims dims) noexcept = 0;
    virtual Dims getDimensions(char const* inputName, OptProfileSelector select) const noexcept = 0;
};
}
class INoCopy { protected: INoCopy() = default; virtual ~INoCopy() = default; INoCopy(INoCopy const&) = delete; };
class IHostMemory : public INoCopy
{
public:
    virtual ~IHostMemory() noexcept = default;
    void* data() const noexcept { return mImpl->data(); }
protected:
    apiv::VHostMemory* mImpl;
};
class IRuntime : public INoCopy
{
public:
    virtual ~IRuntime() noexcept = default;
    TRT_DEPRECATED void destroy() noexcept { delete this; }
protected:
    apiv::VRuntime* mImpl;
};
class IOptimizationProfile : public INoCopy { protected: apiv::VOptimizationProfile* mImpl; virtual ~IOptimizationProfile() noexcept = default; };
enum class BuilderFlag : int32_t
{
    kFP16 = 0, kINT8 = 1, kDEBUG = 2, kGPU_FALLBACK = 3, kSTRICT_TYPES TRT_DEPRECATED_ENUM = 4,
    kREFIT = 5, kDISABLE_TIMING_CACHE = 6, kTF32 = 7,
};
}
extern "C" TENSORRTAPI void* createInferBuilder_INTERNAL(void* logger, int32_t version) noexcept;
extern "C" TENSORRTAPI void* createInferRuntime_INTERNAL(void* logger, int32_t version) noexcept;
extern "C" TENSORRTAPI int32_t getInferLibVersion() noexcept;
#endif
"#;

/// 10.x: the implementation's first method is `getPImpl`, the stream overload comes after the blob's, the
/// progress monitor is versioned and the logger is not.
const TEN: &str = r#"
#ifndef NV_INFER_H
#define NV_INFER_H
#include "NvInferVersion.h"
#include <cstddef>
#include <cstdint>
#define TRT_DEPRECATED [[deprecated]]
#define TENSORRTAPI
#define NV_TENSORRT_VERSION_INT(major, minor, patch) ((major) *10000L + (minor) *100L + (patch) *1L)
#define NV_TENSORRT_VERSION NV_TENSORRT_VERSION_INT(NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR, NV_TENSORRT_PATCH)
namespace nvinfer1
{
using AsciiChar = char;
class ICudaEngine; class IRuntime;
enum class OptProfileSelector : int32_t { kMIN = 0, kOPT = 1, kMAX = 2 };
class Dims64 { public: static constexpr int32_t MAX_DIMS{8}; int32_t nbDims; int64_t d[MAX_DIMS]; };
using Dims = Dims64;
using InterfaceKind = char const*;
class InterfaceInfo { public: InterfaceKind kind; int32_t major; int32_t minor; };
enum class APILanguage : int32_t { kCPP = 0, kPYTHON = 1 };
class IVersionedInterface
{
public:
    virtual APILanguage getAPILanguage() const noexcept { return APILanguage::kCPP; }
    virtual InterfaceInfo getInterfaceInfo() const noexcept = 0;
    virtual ~IVersionedInterface() noexcept = default;
};
namespace v_1_0
{
class IStreamReader : public IVersionedInterface { public: virtual int64_t read(void* destination, int64_t nbBytes) = 0; };
class IProgressMonitor : public IVersionedInterface
{
public:
    InterfaceInfo getInterfaceInfo() const noexcept override { return InterfaceInfo{"IProgressMonitor", 1, 0}; }
    virtual void phaseStart(char const* phaseName, char const* parentPhase, int32_t nbSteps) noexcept = 0;
    virtual bool stepComplete(char const* phaseName, int32_t step) noexcept = 0;
    virtual void phaseFinish(char const* phaseName) noexcept = 0;
};
}
using IStreamReader = v_1_0::IStreamReader;
using IProgressMonitor = v_1_0::IProgressMonitor;
class ILogger
{
public:
    enum class Severity : int32_t { kINTERNAL_ERROR = 0, kERROR = 1, kWARNING = 2, kINFO = 3, kVERBOSE = 4 };
    virtual void log(Severity severity, AsciiChar const* msg) noexcept = 0;
    virtual ~ILogger() = default;
};
namespace apiv
{
class VRoot { public: virtual ~VRoot() noexcept = default; };
class VRuntime : public VRoot
{
public:
    virtual IRuntime* getPImpl() noexcept = 0;
    virtual nvinfer1::ICudaEngine* deserializeCudaEngine(void const* blob, std::size_t size) noexcept = 0;
    virtual nvinfer1::ICudaEngine* deserializeCudaEngine(IStreamReader& streamReader) noexcept = 0;
    virtual void setDLACore(int32_t dlaCore) noexcept = 0;
};
class VOptimizationProfile : public VRoot
{
public:
    virtual bool setDimensions(char const* inputName, OptProfileSelector select, Dims const& dims) noexcept = 0;
};
}
class INoCopy { protected: virtual ~INoCopy() = default; };
class IRuntime : public INoCopy { public: virtual ~IRuntime() noexcept = default; protected: apiv::VRuntime* mImpl; };
enum class BuilderFlag : int32_t { kFP16 = 0, kINT8 = 1, kDEBUG = 2, kGPU_FALLBACK = 3, kREFIT = 4, kDISABLE_TIMING_CACHE = 5, kTF32 = 6, };
}
extern "C" TENSORRTAPI int32_t getInferLibVersion() noexcept;
#endif
"#;

fn report(version: &str, text: &str) -> Report {
    let dir = headers(version, text);
    check(&Headers::read(dir.path()).expect("the reader reads it")).expect("a version with tables")
}

fn verdicts(report: &Report) -> BTreeMap<String, Verdict> {
    report.findings.iter().map(|f| (f.item.to_string(), f.verdict)).collect()
}

#[test]
fn the_layout_of_8_is_read_and_compared() {
    let report = report("8.6.1", EIGHT);
    let found = verdicts(&report);
    let matching = [
        "VRuntime::deserializeCudaEngine",
        "VRuntime::setDLACore",
        "VRuntime::getNbDLACores",
        "VHostMemory::data",
        "VHostMemory::size",
        "IHostMemory::~IHostMemory",
        "IRuntime::~IRuntime",
        "ILogger::log",
        "IProfiler::reportLayerTime",
        "table of ILogger",
        "table of IProfiler",
        "implementation of IRuntime",
        "implementation of IHostMemory",
        "VOptimizationProfile::setDimensions",
        "struct Dims32",
        "struct Dims",
        "BuilderFlag::kTF32",
        "BuilderFlag::kREFIT",
        "BuilderFlag::kFP16",
        "ILogger::Severity::kVERBOSE",
        "OptProfileSelector::kMAX",
        "createInferBuilder_INTERNAL",
        "createInferRuntime_INTERNAL",
        "getInferLibVersion",
        "NV_TENSORRT_VERSION",
    ];
    for item in matching {
        assert_eq!(found.get(item), Some(&Verdict::Match), "{item}: {report}");
    }
    // Declared in 8.6 and not in this header, or not in a header that is not there.
    assert_eq!(found["VRuntime::setTemporaryDirectory"], Verdict::Missing);
    assert_eq!(found["VCudaEngine::getName"], Verdict::Missing);
    assert_eq!(found["IParser::parse"], Verdict::Unknown);
    assert_eq!(found.get("IProgressMonitor::phaseStart"), None);
    assert!(!found.values().any(|v| *v == Verdict::Mismatch), "{report}");
}

#[test]
fn what_a_minor_brought_is_not_asked_of_the_one_before() {
    let found = verdicts(&report("8.5.2", EIGHT));
    assert_eq!(found["VRuntime::setDLACore"], Verdict::Match);
    assert_eq!(found.get("VRuntime::setTemporaryDirectory"), None);
}

#[test]
fn the_layout_of_10_is_read_and_compared() {
    let report = report("10.3.0", TEN);
    let found = verdicts(&report);
    let matching = [
        "VRuntime::deserializeCudaEngine",
        "VRuntime::setDLACore",
        "IRuntime::~IRuntime",
        "ILogger::log",
        "IProgressMonitor::getAPILanguage",
        "IProgressMonitor::getInterfaceInfo",
        "IProgressMonitor::phaseStart",
        "IProgressMonitor::stepComplete",
        "IProgressMonitor::phaseFinish",
        "table of IProgressMonitor",
        "table of ILogger",
        "VOptimizationProfile::setDimensions",
        "struct Dims64",
        "struct Dims",
        "struct InterfaceInfo",
        "BuilderFlag::kTF32",
        "implementation of IRuntime",
        "NV_TENSORRT_VERSION",
    ];
    for item in matching {
        assert_eq!(found.get(item), Some(&Verdict::Match), "{item}: {report}");
    }
    assert!(!found.values().any(|v| *v == Verdict::Mismatch), "{report}");
}

/// Headers of one major that say they are of another, as after a half-done upgrade.
#[test]
fn headers_of_one_major_do_not_fit_the_tables_of_another() {
    let eight_as_ten = report("10.3.0", EIGHT);
    let found = verdicts(&eight_as_ten);
    for item in [
        "VRuntime::setDLACore",
        "VOptimizationProfile::setDimensions",
        "struct Dims",
        "BuilderFlag::kTF32",
    ] {
        assert_eq!(found[item], Verdict::Mismatch, "{item}: {eight_as_ten}");
    }
    assert_eq!(found["struct Dims64"], Verdict::Missing);
    assert_eq!(found["NV_TENSORRT_VERSION"], Verdict::Mismatch);
    // The overload for a stream has the same name and is another method.
    let blob = "virtual nvinfer1::ICudaEngine* deserializeCudaEngine(void const* blob, std::size_t size) noexcept = 0;";
    assert!(TEN.contains(blob));
    let stream_first = TEN.replace(blob, "").replace(
        "    virtual void setDLACore",
        &format!("    {blob}\n    virtual void setDLACore"),
    );
    let report = report("10.3.0", &stream_first);
    let found: Vec<String> = report
        .differences()
        .filter(|f| f.verdict == Verdict::Mismatch)
        .map(ToString::to_string)
        .collect();
    assert_eq!(found.len(), 1, "{report}");
    assert!(
        found[0].starts_with(
            "VRuntime::deserializeCudaEngine: slot 3(*const c_void, usize) -> *mut c_void here, \
             slot 4(void const*, size_t) -> nvinfer1::ICudaEngine* in the headers"
        ),
        "{found:?}"
    );
}

#[test]
fn the_compiler_reads_the_old_layouts_likewise() {
    let test = "the_compiler_reads_the_old_layouts_likewise";
    for (version, text) in [("8.6.1", EIGHT), ("10.3.0", TEN)] {
        let dir = headers(version, text);
        write(dir.path(), "NvOnnxParser.h", crate::syntax::PARSER);
        let Some(compiler) = Compiler::new(test, dir.path(), dir.path()) else { return };
        let read = Headers::read(dir.path()).expect("the reader reads it");
        compare_tables(&read, &compiler.classes());
        assert!(compare_values(&read, &compiler) > 30);
    }
}
