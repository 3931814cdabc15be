//! C++ that NVIDIA's headers could use some day, against the compiler and against the C++ standard.

use crate::agreement::{compare_tables, compare_values};
use crate::compiler::Compiler;
use std::fs;
use std::path::Path;
use tensorrt_rs::abi::{HeaderError, Headers, SlotKind};

/// Headers with given text in `NvInfer.h`, and a version.
pub(crate) fn headers(version: &str, text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut numbers = version.split('.');
    let mut defines = String::from("#pragma once\n");
    for name in ["MAJOR", "MINOR", "PATCH", "BUILD"] {
        let number = numbers.next().unwrap_or("0");
        defines.push_str(&format!(
            "#define NV_TENSORRT_{name} {number} //!< A part of the version.\n"
        ));
    }
    write(dir.path(), "NvInferVersion.h", &defines);
    write(dir.path(), "NvInfer.h", text);
    dir
}

pub(crate) fn write(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join(name), text).expect("written");
}

pub(crate) const PARSER: &str = "
#pragma once
#include \"NvInfer.h\"
#define NV_ONNX_PARSER_VERSION 100
namespace nvonnxparser { class IParser { public: virtual ~IParser() {} virtual int getNbErrors() const = 0; }; }
";

/// What makes a virtual table hard to read.
const FEATURES: &str = r#"
#ifndef NV_INFER_H
#define NV_INFER_H
#include "NvInferVersion.h"
#include <cstddef>
#include <cstdint>
#include <vector>
#define NV_TENSORRT_VERSION ((NV_TENSORRT_MAJOR * 10000) + \
    (NV_TENSORRT_MINOR * 100) + NV_TENSORRT_PATCH)
#define MARK [[deprecated]]
#define BECAUSE(reason) [[deprecated(#reason)]]
#define METHOD(name, ...) virtual void name##Method(__VA_ARGS__)
#define TWICE(x) x x
#define EMPTY
#define API __attribute__((visibility("default")))
#if 0
 an apostrophe's end, "and a quote's
#  if 1
#  error nobody comes here
#  endif
#elif defined(NOBODY) || !defined NV_TENSORRT_MAJOR
class Wrong {};
#elif NV_TENSORRT_MAJOR >= 10 && (NV_TENSORRT_VERSION / 100) % 100 < 50 ? 1 : 0
#define CHOSEN 3
#else
#error the wrong branch
#endif
// A comment that goes on \
class Hidden {};
namespace nvinfer1 {
using char_t = char;
using AsciiChar = char_t;
typedef std::int32_t Number;
class Forward;
namespace v_1_0 { class IListener; }
using IListener = v_1_0::IListener;
static constexpr int32_t kSIZE{CHOSEN};
static constexpr int32_t kDOUBLE = kSIZE * 2;
constexpr char const* kTEXT = "virtual void nothing() = 0; // } /* \" {";
constexpr char kBRACE = '{'; constexpr char kQUOTE = '\'';
constexpr char const* kRAW = R"(} class Raw { ")";

enum class Kind : int64_t { kA, kB MARK = 4, kC, kD = kB | 1 << 3, kE = kSIZE, kF = -2,
    kG = static_cast<int64_t>(kC) + 0x1F, kH = 0b101, kI = 017, kJ = (kA == 0) ? 7 : 8, kK = 1'000, kL = 16 >> 2, };
enum Plain : uint8_t { kONE = 1, kTWO };

class First { public: virtual void one() = 0; virtual ~First() = default; virtual void two() = 0; };
class ImplicitDestructor : public First { public: void two() override {} virtual void three() = 0; };
class Last : public ImplicitDestructor { public: ~Last() override; virtual void four(); void one() final; };
inline Last::~Last() {}
inline void Last::four() {}
inline void Last::one() {}

class MARK Overloads {
public:
    Overloads() : mValue{1}, mOther(2) {}
    explicit Overloads(int value);
    Overloads(Overloads const&) = delete;
    Overloads& operator=(Overloads const&) & = default;
    virtual int32_t f(int32_t value) const noexcept = 0;
    virtual int32_t f(int32_t value) noexcept = 0;
    virtual int32_t f(int64_t value, AsciiChar const* name = "a,b)") const noexcept(sizeof(int) == 4) = 0;
    virtual void g() &;
    virtual void array(int32_t values[4], char const* const* names) = 0;
    virtual void callback(void (*function)(int, char const*), void* user) = 0;
    virtual auto trailing(size_t size) -> std::size_t;
    virtual Overloads* self() = 0;
    virtual bool operator()(int) const = 0;
    virtual bool operator==(Overloads const& other) const = 0;
    virtual operator bool() const { return true; }
    BECAUSE(it was (twice) said) virtual void old(unsigned long long value, unsigned, long int) = 0;
    static void notVirtual();
    template <typename T> T convert(T value) { return value > T{} ? value : T{}; }
    template <typename T, int N = (3 > 2)> struct Inner { T values[N]; };
    void plain() const;
    friend void other(Overloads&);
    struct Nested { int32_t a; double b; enum class Deep { kX = 5, kY }; virtual void deep(Deep d) = 0; };
    METHOD(pasted, Nested::Deep d, int);
    virtual void nested(Nested const& n, Nested::Deep) = 0;
    TWICE(EMPTY)
private:
    int32_t mValue;
    int16_t mOther, *mPointer, mArray[kSIZE][2];
protected:
    virtual void hidden(Number) = 0;
};
class Overrider : public Overloads {
public:
    int f(int value) const noexcept override { return value; }  // int32_t is int
    virtual int32_t f(long v, char const* n) const noexcept { return v > 0 ? 1 : 2; }
    void g() & override {}
    void array(int* values, char const* const* const names) override {}
    Overrider* self() override { return this; }
    bool operator()(int value) const override { return value == 1; }
    int32_t f(int32_t value, int32_t extra) { return value; }
    virtual void hidden(Number, Number) {}
    void hidden(int number) override {}
    virtual void last(std::vector<int> const& values, ::nvinfer1::Kind kind) {}
};

namespace v_1_0 {
class IListener { public: using Handle = void*; using Count = int32_t;
    virtual Handle open(Count, Forward&&) = 0; protected: virtual ~IListener() {} };
}
class Listening : public v_1_0::IListener { public: void* open(int n, Forward&& f) override { return nullptr; } virtual Count count(Handle) = 0; };

class Left { public: virtual void left(); virtual void both(); int32_t l; };
class Right { public: virtual void right(); virtual void both(); virtual ~Right(); int32_t r; };
class Joined : public Left, public Right { public: void right() override; void both() override; virtual void joined(); };
class NotDynamic { public: int32_t value; void f(); };
class Dynamic : public NotDynamic { public: virtual void f(); };
class VirtualBase : public virtual First { public: virtual void v(); };
class Sealed final : public IListener { public: void* open(int32_t, Forward&&) final { return nullptr; } };

struct Bits { uint32_t a : 3; uint32_t b : 5; };
union Either { int32_t a; double b; };
struct Packed { char a; int16_t b; char c; Kind d; float e[kDOUBLE]; Forward* f; Plain h; bool i; };
struct alignas(16) Wide { double a; };
struct Container { Packed packed; Either either; };
struct Empty {};
} // namespace nvinfer1
namespace nvinfer1 { namespace { inline int helper() { return 1; } } }
namespace nvinfer1::apiv { class VRoot { public: virtual ~VRoot() noexcept = default; }; inline namespace v_2 { class VNew : public VRoot { virtual nvinfer1::Kind kind() const = 0; }; } }
extern "C" API void* createInferRuntime_INTERNAL(void* logger, int32_t version) noexcept;
extern "C" { int32_t getInferLibVersion() noexcept; struct cudnnContext; }
#endif
"#;

#[test]
fn hard_syntax_is_read_as_the_compiler_reads_it() {
    let dir = headers("11.4.2", FEATURES);
    write(dir.path(), "NvOnnxParser.h", PARSER);
    let read = Headers::read(dir.path()).expect("the reader reads it");
    assert_eq!(read.version().to_string(), "11.4.2");
    assert_eq!(read.constant("NV_TENSORRT_VERSION"), Some(110_402));
    assert!(read.has_parser());
    // What is beyond the reader it says, and of nothing else.
    let unknown: Vec<&str> =
        read.classes().iter().filter(|c| c.slots().is_err()).map(|c| c.name.as_str()).collect();
    assert_eq!(unknown, ["nvinfer1::VirtualBase"]);
    let test = "hard_syntax_is_read_as_the_compiler_reads_it";
    let Some(compiler) = Compiler::new(test, dir.path(), dir.path()) else { return };
    compare_tables(&read, &compiler.classes());
    assert!(compare_values(&read, &compiler) > 60);
}

/// The rules of the Itanium ABI in the smallest headers, so that they hold without a compiler too.
#[test]
fn slots_follow_the_abi() {
    let dir = headers("10.3.0", FEATURES);
    let read = Headers::read(dir.path()).expect("the reader reads it");
    let table = |class: &str| -> Vec<String> {
        let slots = read.class(class).expect("a class").slots().expect("a table");
        slots
            .iter()
            .map(|slot| match slot.kind {
                SlotKind::Method => slot.name.clone(),
                SlotKind::CompleteDestructor => format!("{} complete", slot.name),
                SlotKind::DeletingDestructor => format!("{} deleting", slot.name),
            })
            .collect()
    };
    assert_eq!(table("First"), ["one", "~First complete", "~First deleting", "two"]);
    assert_eq!(
        table("ImplicitDestructor"),
        ["one", "~ImplicitDestructor complete", "~ImplicitDestructor deleting", "two", "three"]
    );
    assert_eq!(table("Last"), ["one", "~Last complete", "~Last deleting", "two", "three", "four"]);
    assert_eq!(table("NotDynamic"), [""; 0]);
    // A method that overrides one of the second base has a slot in the table of the first.
    assert_eq!(
        table("Joined"),
        ["left", "both", "right", "joined", "~Joined complete", "~Joined deleting"]
    );
    assert!(
        read.class("Hidden").is_none()
            && read.class("Wrong").is_none()
            && read.class("Raw").is_none()
    );
    let kind = read.enumeration("Kind").expect("an enumeration");
    assert_eq!(kind.value("kD"), Some(12));
    assert_eq!(kind.value("kG"), Some(36));
    assert_eq!(kind.value("kNOBODY"), None);
    let deep = read.enumeration("Overloads::Nested::Deep").expect("nested");
    assert_eq!(deep.value("kY"), Some(6));
}

#[test]
fn errors_name_the_file_and_the_line() {
    let message = |text: &str| -> String {
        let dir = headers("11.4.2", text);
        let error = Headers::read(dir.path()).expect_err("an error");
        let message = error.to_string();
        let prefix = format!("{}/", dir.path().display());
        assert!(message.starts_with(&prefix), "{message}");
        message[prefix.len()..].to_owned()
    };
    let version = "#include \"NvInferVersion.h\"\n";
    let with_version = |text: &str| message(&format!("{version}{text}"));
    assert_eq!(
        with_version("class A {\n"),
        "NvInfer.h:2: found the end, expected a closing bracket"
    );
    assert_eq!(with_version("\n}\n"), "NvInfer.h:3: found `}`, expected a declaration");
    assert_eq!(
        with_version("#ifdef A\nclass B;\n"),
        "NvInfer.h:2: found a condition without an end, expected #endif"
    );
    assert_eq!(with_version("#endif\n"), "NvInfer.h:2: found #endif, expected #if before it");
    assert_eq!(
        with_version("#if 1\n#else\n#else\n#endif\n"),
        "NvInfer.h:4: found #else, expected #if before it"
    );
    assert_eq!(
        with_version("/* for ever"),
        "NvInfer.h:2: found a comment without an end, expected */"
    );
    assert_eq!(with_version("#error no such compiler"), "NvInfer.h:2: #error no such compiler");
    assert_eq!(
        with_version("#if f(1)\n#endif\n"),
        "NvInfer.h:2: found f(1), expected a condition of integers"
    );
    assert_eq!(
        with_version("#define F(x) x\nF(1\n"),
        "NvInfer.h:3: found F, expected ) after the arguments of the macro"
    );
    assert_eq!(
        with_version("int a = 'b;\n"),
        "NvInfer.h:2: found 'b;, expected an end of the literal"
    );
    assert_eq!(
        with_version("#include \"NvInferRuntime.h\"\n"),
        "NvInfer.h:2: includes NvInferRuntime.h, which is not there"
    );
    assert_eq!(
        with_version("#include \"../NvInferRuntime.h\"\n"),
        "NvInfer.h:2: includes ../NvInferRuntime.h, which is not there"
    );
    assert_eq!(
        with_version("#include \"NvInfer.h\"\n"),
        "NvInfer.h:2: more than 32 files that include each other"
    );
    assert_eq!(with_version("#define A(x) x(x)\nA(A)\n"), "NvInfer.h:3: more than 4000000 tokens");
    let deep = "namespace n {".repeat(40);
    assert_eq!(
        with_version(&deep),
        "NvInfer.h:2: found the end, expected declarations nested less deeply"
            .replace("the end", "`namespace`")
    );
}

#[test]
fn headers_that_are_not_there_are_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let error = Headers::read(dir.path()).expect_err("nothing to read");
    assert!(
        matches!(&error, HeaderError::Read { path, .. } if path.ends_with("NvInfer.h")),
        "{error}"
    );
    write(dir.path(), "NvInfer.h", "namespace nvinfer1 {}\n");
    let error = Headers::read(dir.path()).expect_err("no version");
    assert_eq!(
        error.to_string(),
        format!(
            "{}: defines no NV_TENSORRT_MAJOR with a value; expected the version of TensorRT",
            dir.path().display()
        )
    );
}

/// A class that the reader does not understand is unreadable alone, and says where.
#[test]
fn one_class_beyond_the_reader_leaves_the_others() {
    let text = "#include \"NvInferVersion.h\"\nnamespace nvinfer1 {\nclass A { virtual void f() = 0; };\n\
                class B {\n virtual void f(int ? 3) = 0;\n};\nclass C : public B { virtual void g(); };\n\
                class D : public Elsewhere { virtual void g(); };\nclass E { void f() override; }; }\n";
    let dir = headers("11.4.2", text);
    let read = Headers::read(dir.path()).expect("the file as a whole");
    assert_eq!(read.class("A").expect("A").slots().expect("a table").len(), 1);
    let reason = |class: &str| {
        let error = read.class(class).expect("declared").slots().expect_err("unreadable");
        format!("{}: {}", error.source_place.line, error.reason)
    };
    assert_eq!(reason("B"), "5: found `?`, expected , or ) after a parameter");
    assert_eq!(
        reason("C"),
        "5: its base B cannot be read: found `?`, expected , or ) after a parameter"
    );
    assert_eq!(reason("D"), "8: its base Elsewhere is not defined in these headers");
    assert_eq!(reason("E"), "9: f overrides nothing in its bases");
}
