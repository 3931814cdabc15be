//! Damaged headers: an answer or an error, never a panic, never an endless loop.

use crate::nvidia;
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use tensorrt_rs::abi::{HeaderError, Headers, check};

/// Files of which damage is worth a try.
const FILES: [&str; 5] = [
    "NvInferImpl.h",
    "NvInferRuntime.h",
    "NvInferRuntimeBase.h",
    "NvInferVersion.h",
    "NvOnnxParser.h",
];

/// NVIDIA's headers without comments, nine tenths of the text: damage then meets C++.
fn code(root: &Path) -> &'static Path {
    static CODE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let code = CODE.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for entry in fs::read_dir(root.join(nvidia::TENSORRT)).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                let text = fs::read_to_string(&path).expect("text");
                let is_code = |line: &&str| !line.trim_start().starts_with("//");
                let code: Vec<&str> = text.lines().filter(is_code).collect();
                let name = path.file_name().expect("a name");
                fs::write(dir.path().join(name), code.join("\n")).expect("written");
            }
        }
        dir
    });
    code.path()
}

/// A directory with links to all of them but one.
fn without(root: &Path, name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for entry in fs::read_dir(code(root)).expect("a directory") {
        let path = entry.expect("an entry").path();
        let file = path.file_name().expect("a name");
        if file != name {
            std::os::unix::fs::symlink(&path, dir.path().join(file)).expect("linked");
        }
    }
    dir
}

/// The include guards close at the end of a file: a truncated one never passes for a whole one.
#[test]
fn a_truncated_header_is_an_error_that_names_it() {
    let Some(root) = nvidia::root("a_truncated_header_is_an_error_that_names_it") else { return };
    for name in FILES {
        let dir = without(&root, name);
        let path = dir.path().join(name);
        let whole = fs::read_to_string(code(&root).join(name)).expect("text");
        let end = whole.rfind("#endif").expect("an include guard");
        for cut in (0..end).step_by(end / 60 + 1).filter(|cut| *cut > 200) {
            let cut = whole.floor_char_boundary(cut);
            fs::write(&path, &whole[..cut]).expect("written");
            let error = Headers::read(dir.path()).expect_err("a part of a header");
            match &error {
                HeaderError::Syntax { file, .. } => assert!(file.ends_with(name), "{cut}: {error}"),
                _ => panic!("{name} cut at {cut}: {error}"),
            }
        }
        fs::write(&path, whole).expect("written");
        assert!(Headers::read(dir.path()).is_ok(), "the whole {name}");
    }
}

/// One piece of damage: where, how much is taken away, and what comes in its place.
fn damage() -> impl Strategy<Value = (usize, usize, String)> {
    let piece = prop_oneof![
        Just("{"),
        Just("}"),
        Just("("),
        Just(")"),
        Just("<"),
        Just(">"),
        Just("[["),
        Just(";"),
        Just(","),
        Just("\n#if 1\n"),
        Just("\n#else\n"),
        Just("\n#endif\n"),
        Just("\n#define virtual\n"),
        Just("\n#define a a b\n"),
        Just("\n#define const const const\n"),
        Just("\n#define f(x) x##x #x f\n"),
        Just("virtual "),
        Just("= 0"),
        Just(" override "),
        Just("~"),
        Just("::"),
        Just("operator"),
        Just("class X : public VRoot {"),
        Just("enum class "),
        Just("template <"),
        Just("using "),
        Just("typedef struct {"),
        Just("namespace {"),
        Just("extern \"C\" "),
        Just("\""),
        Just("'"),
        Just("/*"),
        Just("R\"x("),
        Just("\\\n"),
        Just("\u{0}"),
        Just("é"),
        Just("99999999999999999999"),
        Just("1 << 64"),
        Just("-9223372036854775808"),
        Just("alignas(64)"),
        Just(": 3"),
        Just("virtual public"),
    ];
    let pieces = prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat());
    (any::<prop::sample::Index>(), 0..60_usize, pieces)
        .prop_map(|(at, taken, pieces)| (at.index(100_000), taken, pieces))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn damaged_headers_never_panic(
        file in 0..FILES.len(),
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let Some(root) = nvidia::root("damaged_headers_never_panic") else { return Ok(()) };
        let dir = without(&root, FILES[file]);
        let path = dir.path().join(FILES[file]);
        let mut text = fs::read_to_string(code(&root).join(FILES[file])).expect("text");
        for (at, taken, put) in damages {
            let start = text.floor_char_boundary(at % text.len().max(1));
            let end = text.ceil_char_boundary((start + taken).min(text.len()));
            text.replace_range(start..end, &put);
        }
        fs::write(&path, text).expect("written");
        if let Ok(headers) = Headers::read(dir.path()) {
            // Whether it says anything true is not asked.
            if let Ok(report) = check(&headers) {
                prop_assert!(!report.to_string().is_empty());
            }
        }
    }

    /// Bytes that are no header at all, with the words and signs of one.
    #[test]
    fn rubbish_never_panics(pieces in prop::collection::vec(damage(), 0..200)) {
        let text: String = pieces.into_iter().map(|(_, _, piece)| piece + " A ").collect();
        let text = format!("#include \"NvInferVersion.h\"\n{text}");
        let dir = crate::syntax::headers("11.4.2", &text);
        if let Ok(headers) = Headers::read(dir.path()) {
            prop_assert!(check(&headers).is_ok());
        }
    }
}

/// Depth and breadth beyond any header: the reader gives up or goes on, it does not overflow its stack.
#[test]
fn extremes_end() {
    let many = |piece: &str, count: usize| piece.repeat(count);
    let each = |count: usize, line: &dyn Fn(usize) -> String| {
        (1..count).map(line).collect::<Vec<_>>().concat()
    };
    let chain = each(20_000, &|i| format!("#define A{} A{i}\n", i - 1));
    let derived =
        each(3_000, &|i| format!("class C{i} : public C{} {{ virtual void f{i}(); }};\n", i - 1));
    let aliases = each(3_000, &|i| format!("using T{i} = T{};\n", i - 1));
    let texts = [
        many("(", 100_000),
        format!("int a = {};", many("(", 100_000)),
        format!("enum E {{ a = {}1 }};", many("(", 100_000)),
        format!("enum E {{ a = {}1 }};", many("-", 100_000)),
        many("namespace n {", 100_000),
        many("class c {", 100_000),
        many("template <", 100_000),
        format!("{chain}A0\n"),
        format!("class C0 {{ virtual void f0(); }};\n{derived}"),
        format!("using T0 = T2999;\n{aliases}class D {{ virtual void f(T2999); }};\n"),
        format!("class C {{ {} }};", many("virtual void f(int); ", 30_000)),
        "class A : public A { virtual void f(); };".to_owned(),
        "struct S { S s; };".to_owned(),
        "enum E { a = a, b = E::b };\nstatic constexpr int x = y;\nstatic constexpr int y = x;\n"
            .to_owned(),
        "#define a b\n#define b a\na b\n".to_owned(),
    ];
    for text in texts {
        let dir =
            crate::syntax::headers("11.4.2", &format!("#include \"NvInferVersion.h\"\n{text}"));
        match Headers::read(dir.path()) {
            Ok(headers) => assert!(check(&headers).is_ok()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
