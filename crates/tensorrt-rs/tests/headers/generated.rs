//! Class hierarchies that nobody thought of, read by the reader and by the compiler.

use crate::agreement::{compare_tables, compare_values};
use crate::compiler::Compiler;
use crate::syntax::{PARSER, headers, write};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use tensorrt_rs::abi::Headers;

/// Types of parameters: how they may be written, each a name for the same type.
const PARAMETERS: [&[&str]; 6] = [
    &[""],
    &["int32_t", "int", "Number", "Number const", "std::int32_t value", "signed int"],
    &["char const*", "const char*", "AsciiChar const* name", "Text"],
    &["Dims const&", "nvinfer1::Dims64 const& dims", "Dims64 const&"],
    &["Dims", "Dims64 dims", "const Dims"],
    &["Kind, int64_t", "nvinfer1::Kind kind, long n", "Kind, Long const"],
];

const FIELDS: [&str; 7] = ["bool", "int16_t", "int32_t", "double", "char const*", "Dims", "Kind"];

const PREAMBLE: &str = "#pragma once
#include \"NvInferVersion.h\"
#include <cstddef>
#include <cstdint>
#define NV_TENSORRT_VERSION 110400
namespace nvinfer1 {
using Number = int32_t; using AsciiChar = char; using Text = AsciiChar const*; using Long = int64_t;
enum class Kind : int16_t { kA };
class Dims64 { public: static constexpr int32_t MAX_DIMS{8}; int32_t nbDims; int64_t d[MAX_DIMS]; };
using Dims = Dims64;
";

/// Numbers to decide by, one after the other, from a test case.
struct Choices<'a>(std::iter::Cycle<std::slice::Iter<'a, u8>>);

impl Choices<'_> {
    fn below(&mut self, limit: usize) -> usize {
        usize::from(*self.0.next().expect("it repeats for ever")) % limit
    }

    fn one_in(&mut self, chance: usize) -> bool {
        self.below(chance) == 0
    }
}

/// A header with `count` classes, every one valid C++.
fn hierarchy(choices: &mut Choices<'_>, count: usize) -> String {
    let mut text = String::from(PREAMBLE);
    // The ancestors of each class: two bases must not have any in common.
    let mut ancestors: Vec<BTreeSet<usize>> = Vec::new();
    for class in 0..count {
        let mut bases: Vec<usize> = Vec::new();
        let mut own: BTreeSet<usize> = [class].into();
        for _ in 0..choices.below(3) {
            if class > 0 {
                let base = choices.below(class);
                if own.is_disjoint(&ancestors[base]) {
                    own.extend(&ancestors[base]);
                    bases.push(base);
                }
            }
        }
        ancestors.push(own);
        let bases: Vec<String> = bases.iter().map(|base| format!("public C{base}")).collect();
        let colon = if bases.is_empty() { "" } else { " : " };
        writeln!(text, "class C{class}{colon}{} {{ public:", bases.join(", ")).expect("a string");
        let mut declared: BTreeSet<(usize, usize, bool)> = BTreeSet::new();
        let methods = choices.below(6);
        let destructor = choices.below(12);
        for position in 0..=methods {
            if position == destructor {
                let word = if choices.one_in(3) { "" } else { "virtual " };
                writeln!(text, "    {word}~C{class}() noexcept {{}}").expect("a string");
            }
            let (name, parameters, is_const) =
                (choices.below(3), choices.below(PARAMETERS.len()), choices.one_in(2));
            if !declared.insert((name, parameters, is_const)) {
                continue;
            }
            let written = PARAMETERS[parameters];
            let written = written[choices.below(written.len())];
            let word = if choices.one_in(3) { "" } else { "virtual " };
            let qualifier = if is_const { " const" } else { "" };
            let body = if !word.is_empty() && choices.one_in(2) { " = 0;" } else { " {}" };
            writeln!(text, "    {word}void m{name}({written}){qualifier} noexcept{body}")
                .expect("a string");
        }
        for field in 0..choices.below(3) {
            let kind = FIELDS[choices.below(FIELDS.len())];
            writeln!(text, "    {kind} f{class}_{field};").expect("a string");
        }
        text.push_str("};\n");
    }
    text.push_str("}\n");
    text
}

#[test]
fn any_hierarchy_is_read_as_the_compiler_reads_it() {
    let test = "any_hierarchy_is_read_as_the_compiler_reads_it";
    let mut runner = TestRunner::new(ProptestConfig { cases: 6, ..ProptestConfig::default() });
    let cases = prop::collection::vec(any::<u8>(), 400..600);
    let compared = runner.run(&cases, |bytes| {
        let text = hierarchy(&mut Choices(bytes.iter().cycle()), 60);
        let dir = headers("11.4.0", &text);
        write(dir.path(), "NvOnnxParser.h", PARSER);
        let Some(compiler) = Compiler::new(test, dir.path(), dir.path()) else { return Ok(()) };
        let read = Headers::read(dir.path()).expect("valid C++");
        // Nothing of what is generated is beyond the reader.
        for class in read.classes() {
            prop_assert!(class.slots().is_ok(), "{}: {:?}\n{text}", class.name, class.slots());
        }
        compare_tables(&read, &compiler.classes());
        compare_values(&read, &compiler);
        Ok(())
    });
    assert!(compared.is_ok(), "{compared:?}");
}
