//! What a C++ compiler makes of the headers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tensorrt_rs::abi::Slot;

/// A C++ compiler with headers to compile.
pub(crate) struct Compiler {
    program: &'static str,
    /// The folder of the headers.
    include: PathBuf,
    /// The folder of `cuda_runtime_api.h`.
    cuda: PathBuf,
    scratch: tempfile::TempDir,
}

/// A class as `-fdump-lang-class` tells it.
#[derive(Clone, Debug, Default)]
pub(crate) struct DumpedClass {
    pub(crate) size: u64,
    pub(crate) alignment: u64,
    /// What fills each slot, `nvinfer1::apiv::VRuntime::setDLACore`, from the address point.
    pub(crate) slots: Vec<String>,
}

impl Compiler {
    /// `None` after saying that `test` is skipped.
    pub(crate) fn new(test: &str, include: &Path, cuda: &Path) -> Option<Self> {
        // Other compilers have no -fdump-lang-class.
        let program = "g++";
        if Command::new(program).arg("--version").output().is_err() {
            crate::nvidia::skip(test, "no C++ compiler: install g++");
            return None;
        }
        let scratch = tempfile::tempdir().expect("a temporary directory");
        Some(Self { program, include: include.to_path_buf(), cuda: cuda.to_path_buf(), scratch })
    }

    /// Every class that the headers make complete.
    ///
    /// A pure virtual function is `__cxa_pure_virtual` in a dump, without a name, so a copy of the
    /// headers is compiled in which no function is pure; which slot a function has does not depend on
    /// that. That the copy has the same tables is checked against the untouched headers.
    pub(crate) fn classes(&self) -> BTreeMap<String, DumpedClass> {
        let untouched = self.dump(&self.include, "untouched");
        let copy = self.scratch.path().join("impure");
        copy_without_pure(&self.include, &copy);
        let named = self.dump(&copy, "named");
        assert_eq!(untouched.len(), named.len());
        for (name, class) in &named {
            let other = &untouched[name];
            assert_eq!(class.slots.len(), other.slots.len(), "{name}");
            assert_eq!((class.size, class.alignment), (other.size, other.alignment), "{name}");
            for (slot, pure) in class.slots.iter().zip(&other.slots) {
                let nameless = pure == "__cxa_pure_virtual" || pure == "0";
                assert!(nameless || slot == pure, "{name}: {slot} became {pure}");
            }
        }
        named
    }

    fn dump(&self, include: &Path, name: &str) -> BTreeMap<String, DumpedClass> {
        let source = self.scratch.path().join(format!("{name}.cpp"));
        let dump = self.scratch.path().join(format!("{name}.class"));
        fs::write(&source, "#include \"NvInfer.h\"\n#include \"NvOnnxParser.h\"\n")
            .expect("written");
        let mut command = self.command(include);
        command
            .arg("-fsyntax-only")
            .arg(format!("-fdump-lang-class={}", dump.display()))
            .arg(&source);
        run(&mut command);
        parse_dump(&fs::read_to_string(dump).expect("the compiler wrote its dump"))
    }

    /// Compiles and runs a program that prints a line for each expression; an expression is C++ of an
    /// integer type. Slots of methods: [`slot_of`].
    pub(crate) fn values(&self, expressions: &[String]) -> Vec<i64> {
        let mut source = String::from(PROBE);
        for expression in expressions {
            writeln!(source, "    std::printf(\"%lld\\n\", static_cast<long long>({expression}));")
                .expect("a string");
        }
        source.push_str("}\n");
        let file = self.scratch.path().join("probe.cpp");
        let program = self.scratch.path().join("probe");
        fs::write(&file, source).expect("written");
        let mut command = self.command(&self.include);
        // Slots and members are asked of protected ones, too. Without optimisation nothing refers to
        // functions that no library here defines.
        command.args(["-fno-access-control", "-O0", "-o"]).arg(&program).arg(&file);
        run(&mut command);
        let output = run(&mut Command::new(&program));
        output.lines().map(|line| line.parse().expect("a number")).collect()
    }

    fn command(&self, include: &Path) -> Command {
        let mut command = Command::new(self.program);
        command.args(["-std=c++17", "-w", "-I"]).arg(include).arg("-I").arg(&self.cuda);
        command
    }
}

/// The slot of a method, as an expression for [`Compiler::values`]: of the overload with this
/// signature, which the compiler checks.
pub(crate) fn slot_of(class: &str, slot: &Slot) -> String {
    let Slot { name, returns, reference, .. } = slot;
    let parameters = slot.parameters.join(", ");
    let qualifier = if slot.is_const { " const" } else { "" };
    format!(
        "slot(static_cast<{returns} ({class}::*)({parameters}){qualifier} {reference}>(&{class}::{name}))"
    )
}

/// Itanium C++ ABI, 2.3: a pointer to a virtual member function holds the function's place in the table,
/// in bytes; x86-64 adds 1 to it, aarch64 has the mark in the second word.
const PROBE: &str = r#"
#include "NvInfer.h"
#include "NvOnnxParser.h"
#include <cstddef>
#include <cstdio>
#include <cstring>
using namespace nvinfer1;
using namespace nvonnxparser;
template <typename T> static long slot(T method) {
    long words[2];
    static_assert(sizeof(method) == sizeof(words), "two words");
    std::memcpy(words, &method, sizeof(words));
#if defined(__aarch64__)
    return (words[1] & 1) ? words[0] / 8 : -1;
#else
    return (words[0] & 1) ? (words[0] - 1) / 8 : -1;
#endif
}
int main() {
"#;

fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr).lines().take(30).collect::<Vec<_>>().join("\n")
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn copy_without_pure(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_without_pure(&path, &target);
        } else {
            let text = fs::read_to_string(&path).expect("text");
            fs::write(target, without_pure(&text)).expect("written");
        }
    }
}

/// Takes `= 0` from declarations of functions.
fn without_pure(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for (index, part) in text.split('=').enumerate() {
        let declares =
            [")", "const", "noexcept", "override"].iter().any(|e| result.trim_end().ends_with(e));
        let zero =
            part.trim_start().strip_prefix('0').filter(|rest| rest.trim_start().starts_with(';'));
        match zero {
            Some(rest) if declares => result.push_str(rest),
            _ => {
                if index > 0 {
                    result.push('=');
                }
                result.push_str(part);
            }
        }
    }
    result
}

fn parse_dump(dump: &str) -> BTreeMap<String, DumpedClass> {
    let mut classes: BTreeMap<String, DumpedClass> = BTreeMap::new();
    let mut lines = dump.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("Vtable for ") {
            let class = classes.entry(name.to_owned()).or_default();
            lines.next();
            // The address point comes after the type information. Before it are offsets; after the
            // functions may come the table of a second base within the object, which starts with one.
            let mut functions = false;
            while let Some(entry) = lines.next_if(|l| l.starts_with(|c: char| c.is_ascii_digit())) {
                let (_, what) = entry.split_once(char::is_whitespace).expect("two columns");
                let what = what.trim().trim_start_matches("(int (*)(...))");
                if what.starts_with("(& _ZTI") {
                    functions = class.slots.is_empty();
                } else if what.starts_with('-') {
                    functions = false;
                } else if functions {
                    class.slots.push(what.to_owned());
                }
            }
        } else if let Some(name) = line.strip_prefix("Class ") {
            let sizes = lines.next().unwrap_or_default().trim();
            let class = classes.entry(name.to_owned()).or_default();
            for part in sizes.split(' ') {
                match part.split_once('=') {
                    Some(("size", value)) => class.size = value.parse().expect("a size"),
                    Some(("align", value)) => {
                        class.alignment = value.parse().expect("an alignment");
                    }
                    _ => {}
                }
            }
        }
    }
    classes
}
