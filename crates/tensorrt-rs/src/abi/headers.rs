//! What headers say, with every name resolved.

use super::declaration::{Declarations, Type};
use super::error::HeaderError;
use super::layout;
use super::lexer::Place;
use super::names::{Meaning, Names};
use super::parser;
use super::preprocessor::Preprocessor;
use super::vtable::{self, SlotKind};
use crate::version::Version;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// The headers of one installation, read.
///
/// Names are found as C++ finds them in `nvinfer1`, its `apiv` and `nvonnxparser`: `IRuntime`,
/// `VRuntime`, `IParser`. Where two namespaces have the same name, `nvonnxparser::ErrorCode` says
/// which.
#[derive(Clone, Debug)]
pub struct Headers {
    dir: PathBuf,
    product: Product,
    version: Version,
    build: i64,
    has_parser: bool,
    classes: Vec<Class>,
    enumerations: Vec<Enumeration>,
    functions: Vec<Function>,
    constants: BTreeMap<String, i64>,
    /// Every name of a class or enumeration, aliases and short forms included.
    class_names: BTreeMap<String, usize>,
    enumeration_names: BTreeMap<String, usize>,
}

impl Headers {
    /// Reads `NvInfer.h`, `NvOnnxParser.h` where it is installed, and all of NVIDIA's headers that
    /// they include from the same directory.
    ///
    /// # Errors
    /// A header that is missing or cannot be read, text that is not C++ as NVIDIA's headers write it,
    /// or headers that name no version; each with the file and the line. A single class that is not
    /// understood is no error: see [`Class::slots`].
    pub fn read(dir: &Path) -> Result<Self, HeaderError> {
        let mut preprocessor = Preprocessor::new(dir);
        preprocessor.read("NvInfer.h")?;
        let has_parser = dir.join("NvOnnxParser.h").exists();
        if has_parser {
            preprocessor.read("NvOnnxParser.h")?;
        }
        let (version, build) = read_version(dir, &mut preprocessor)?;
        let product = if preprocessor.is_defined("TRT_MAJOR_RTX") {
            Product::TensorRtForRtx
        } else {
            Product::TensorRt
        };
        let declarations =
            parser::parse(&preprocessor.tokens).map_err(|unreadable| HeaderError::Syntax {
                file: preprocessor.files[unreadable.place.file].clone(),
                line: unreadable.place.line,
                found: unreadable.found,
                expected: unreadable.expected.to_owned(),
            })?;
        let names = Names::new(&declarations);
        let mut constants = constants(&declarations, &names);
        for name in MACRO_CONSTANTS {
            // In 8.x `NV_TENSORRT_VERSION` is the name of a constant.
            let tokens = preprocessor.macro_body(name);
            let value = tokens.and_then(|tokens| names.evaluate("", &tokens, &|_| None));
            if let Some(value) = value {
                constants.insert(name.to_owned(), value);
            }
        }
        let source = |place: Place| Source {
            file: preprocessor.files[place.file].clone(),
            line: place.line,
        };
        Ok(Self {
            dir: dir.to_path_buf(),
            product,
            version,
            build,
            has_parser,
            classes: classes(&declarations, &names, preprocessor.packs, &source),
            enumerations: enumerations(&declarations, &names, &source),
            functions: functions(&declarations, &names, &source),
            constants,
            class_names: public_names(&declarations, &names, |meaning| match meaning {
                Meaning::Class(index) => Some(index),
                _ => None,
            }),
            enumeration_names: public_names(&declarations, &names, |meaning| match meaning {
                Meaning::Enumeration(index) => Some(index),
                _ => None,
            }),
        })
    }

    /// The directory that was read.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Which product the headers belong to.
    pub fn product(&self) -> Product {
        self.product
    }

    /// The version that the headers are of.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The build number, the fourth part of the version.
    pub fn build(&self) -> i64 {
        self.build
    }

    /// Whether the ONNX parser's header is installed.
    pub fn has_parser(&self) -> bool {
        self.has_parser
    }

    /// Every class that has a definition, templates left out.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// Every enumeration that has a definition and a name.
    pub fn enumerations(&self) -> &[Enumeration] {
        &self.enumerations
    }

    /// Every function with C linkage.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The class of a name.
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.classes.get(*self.class_names.get(name)?)
    }

    /// The enumeration of a name.
    pub fn enumeration(&self, name: &str) -> Option<&Enumeration> {
        self.enumerations.get(*self.enumeration_names.get(name)?)
    }

    /// The function of a name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|f| f.name == name)
    }

    /// The value of an integer constant: qualified (`nvinfer1::Dims64::MAX_DIMS`), or one of the
    /// macros `NV_TENSORRT_VERSION` and `NV_ONNX_PARSER_VERSION`.
    pub fn constant(&self, name: &str) -> Option<i64> {
        self.constants.get(name).copied()
    }
}

/// What NVIDIA calls its two libraries of the same interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// `TensorRT`.
    TensorRt,
    /// `TensorRT` for RTX, a library of its own with versions and tables of its own.
    TensorRtForRtx,
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TensorRt => "TensorRT",
            Self::TensorRtForRtx => "TensorRT for RTX",
        })
    }
}

/// Where something is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The header.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A class or struct.
#[derive(Clone, Debug)]
pub struct Class {
    /// Qualified: `nvinfer1::apiv::VRuntime`.
    pub name: String,
    /// Where its definition starts.
    pub source: Source,
    slots: Result<Vec<Slot>, NoSlots>,
    layout: Option<layout::Layout>,
}

impl Class {
    /// The virtual table, from its address point; empty for a class without.
    ///
    /// # Errors
    /// The reason why the reader does not know: it did not understand a member, or a base is virtual
    /// or not declared in these headers.
    pub fn slots(&self) -> Result<&[Slot], &NoSlots> {
        self.slots.as_deref()
    }

    /// Bytes, on 64-bit Linux. `None` where a member's type is not measured.
    pub fn size(&self) -> Option<u64> {
        self.layout.as_ref().map(|l| l.size)
    }

    /// Alignment in bytes, where the size is known.
    pub fn alignment(&self) -> Option<u64> {
        self.layout.as_ref().map(|l| l.alignment)
    }

    /// Name, offset and size in bytes of each data member of the class itself, where they are known.
    pub fn members(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        let members = self.layout.iter().flat_map(|l| &l.members);
        members.map(|(name, offset, size)| (name.as_str(), *offset, *size))
    }
}

/// Why the virtual table of a class is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{source_place}: {reason}")]
pub struct NoSlots {
    /// Where the reader stopped.
    pub source_place: Source,
    /// What it found.
    pub reason: String,
}

/// One slot of a virtual table.
#[derive(Clone, Debug)]
pub struct Slot {
    /// A method or one of the two destructors.
    pub kind: SlotKind,
    /// The class whose declaration fills the slot: the class itself or a base.
    pub class: String,
    /// The method's name; `~Name` for a destructor.
    pub name: String,
    /// The type it returns, with qualified names and without aliases.
    pub returns: String,
    /// The types of its parameters, likewise.
    pub parameters: Vec<String>,
    /// Whether it is a `const` method.
    pub is_const: bool,
    /// `&` or `&&` after the parameters; empty for nearly all.
    pub reference: &'static str,
    /// Where it is declared.
    pub source: Source,
}

/// An enumeration.
#[derive(Clone, Debug)]
pub struct Enumeration {
    /// Qualified.
    pub name: String,
    /// Where its definition starts.
    pub source: Source,
    /// The integer that holds it, without aliases; `int` where none is named.
    pub underlying: String,
    /// Names and values in order; `None` for a value that the reader cannot compute.
    pub enumerators: Vec<(String, Option<i64>)>,
}

impl Enumeration {
    /// The value of an enumerator.
    pub fn value(&self, name: &str) -> Option<i64> {
        self.enumerators.iter().find(|(n, _)| n == name)?.1
    }
}

/// A function with C linkage.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The type it returns, with qualified names and without aliases.
    pub returns: String,
    /// The types of its parameters, likewise.
    pub parameters: Vec<String>,
    /// Where it is declared.
    pub source: Source,
}

/// Macros that are constants of the interface.
const MACRO_CONSTANTS: [&str; 2] = ["NV_TENSORRT_VERSION", "NV_ONNX_PARSER_VERSION"];

fn read_version(
    dir: &Path,
    preprocessor: &mut Preprocessor,
) -> Result<(Version, i64), HeaderError> {
    let mut part = |name: &'static str| {
        let value = preprocessor.macro_value(name).and_then(|v| u32::try_from(v).ok());
        value.ok_or_else(|| HeaderError::Version { dir: dir.to_path_buf(), name })
    };
    let version = Version {
        major: part("NV_TENSORRT_MAJOR")?,
        minor: part("NV_TENSORRT_MINOR")?,
        patch: part("NV_TENSORRT_PATCH")?,
    };
    Ok((version, i64::from(part("NV_TENSORRT_BUILD")?)))
}

fn classes(
    declarations: &Declarations,
    names: &Names<'_>,
    packs: bool,
    source: &dyn Fn(Place) -> Source,
) -> Vec<Class> {
    let tables = vtable::tables(declarations, names);
    let is_dynamic: Vec<bool> =
        tables.iter().map(|t| t.as_ref().is_ok_and(|slots| !slots.is_empty())).collect();
    let layouts = layout::layouts(declarations, names, &is_dynamic);
    let classes = declarations.classes.iter().zip(tables).zip(layouts);
    classes
        .map(|((class, table), layout)| {
            let unknown = table.is_err();
            let slots = match table {
                Ok(table) => Ok(table
                    .into_iter()
                    .map(|slot| Slot {
                        kind: slot.kind,
                        class: declarations.classes[slot.class].name.clone(),
                        returns: slot.returns.spelled(),
                        parameters: slot.parameters.iter().map(Type::spelled).collect(),
                        is_const: slot.is_const,
                        reference: slot.reference,
                        source: source(slot.place),
                        name: slot.name,
                    })
                    .collect()),
                Err(error) => {
                    Err(NoSlots { source_place: source(error.place), reason: error.reason })
                }
            };
            Class {
                name: class.name.clone(),
                source: source(class.place),
                slots,
                layout: layout.filter(|_| !unknown && !packs),
            }
        })
        .collect()
}

fn enumerations(
    declarations: &Declarations,
    names: &Names<'_>,
    source: &dyn Fn(Place) -> Source,
) -> Vec<Enumeration> {
    declarations
        .enumerations
        .iter()
        .map(|declaration| {
            let mut enumerators: Vec<(String, Option<i64>)> = Vec::new();
            let mut known: BTreeMap<&str, i64> = BTreeMap::new();
            let mut next = Some(0_i64);
            for (name, value) in &declaration.enumerators {
                let value = match value {
                    Some(tokens) => {
                        let local = |name: &str| {
                            let last = name.rsplit("::").next().unwrap_or(name);
                            known.get(last).copied()
                        };
                        names.evaluate(&declaration.name, tokens, &local)
                    }
                    None => next,
                };
                next = value.and_then(|v| v.checked_add(1));
                if let Some(value) = value {
                    known.insert(name, value);
                }
                enumerators.push((name.clone(), value));
            }
            let underlying = declaration.underlying.as_ref();
            Enumeration {
                name: declaration.name.clone(),
                source: source(declaration.place),
                underlying: underlying.map_or_else(
                    || "int".to_owned(),
                    |kind| names.canonical(&declaration.name, kind).spelled(),
                ),
                enumerators,
            }
        })
        .collect()
}

fn functions(
    declarations: &Declarations,
    names: &Names<'_>,
    source: &dyn Fn(Place) -> Source,
) -> Vec<Function> {
    let spelled = |scope: &str, kind| names.canonical(scope, kind).spelled();
    declarations
        .functions
        .iter()
        .map(|function| Function {
            name: function.name.clone(),
            returns: spelled(&function.scope, &function.returns),
            parameters: function.parameters.iter().map(|p| spelled(&function.scope, p)).collect(),
            source: source(function.place),
        })
        .collect()
}

fn constants(declarations: &Declarations, names: &Names<'_>) -> BTreeMap<String, i64> {
    declarations
        .constants
        .iter()
        .filter_map(|(name, constant)| {
            let value = names.evaluate(&constant.scope, &constant.value, &|_| None)?;
            Some((name.clone(), value))
        })
        .collect()
}

/// Every name under which something of a kind can be asked for.
fn public_names(
    declarations: &Declarations,
    names: &Names<'_>,
    of_kind: impl Fn(Meaning) -> Option<usize>,
) -> BTreeMap<String, usize> {
    let classes = declarations.classes.iter().map(|c| &c.name);
    let defined: Vec<&String> =
        classes.chain(declarations.enumerations.iter().map(|e| &e.name)).collect();
    let mut nested: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (outer, inner) in defined.iter().filter_map(|name| name.rsplit_once("::")) {
        nested.entry(outer).or_default().push(inner);
    }
    let mut qualified: Vec<String> = defined.into_iter().cloned().collect();
    for alias in declarations.aliases.keys() {
        qualified.push(alias.clone());
        // What is nested in a class is so under its other names, too.
        if let Meaning::Class(class) = names.public(alias) {
            let inner = nested.get(declarations.classes[class].name.as_str()).into_iter().flatten();
            qualified.extend(inner.map(|inner| format!("{alias}::{inner}")));
        }
    }
    let mut found = BTreeMap::new();
    for name in &qualified {
        if let Some(index) = of_kind(names.public(name)) {
            found.insert(name.clone(), index);
        }
        for prefix in ["nvinfer1::", "nvinfer1::apiv::", "nvonnxparser::"] {
            let Some(short) = name.strip_prefix(prefix) else { continue };
            if let Some(index) = of_kind(names.public(short)) {
                found.insert(short.to_owned(), index);
            }
        }
    }
    found
}
