//! The tables of this crate against headers.

use super::headers::{Class, Enumeration, Headers, Product, Slot, Source};
use super::vtable::SlotKind;
use crate::table::{self, Signature, Target};
use crate::version::{Major, SUPPORTED, Version};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Compares everything that this crate calls, provides, passes and reads in the version of the
/// headers with what they say.
///
/// # Errors
/// Headers of a product or version for which this crate has no tables.
pub fn check(headers: &Headers) -> Result<Report, NotComparable> {
    let dir = headers.dir().to_path_buf();
    let version = headers.version();
    let product = headers.product();
    let of_product =
        |major: &Major| (*major == Major::Rtx1) == (product == Product::TensorRtForRtx);
    let Some(major) = Major::of(version).filter(of_product) else {
        return Err(NotComparable::Version { dir, product, version });
    };
    let mut comparison = Comparison { headers, version, findings: Vec::new() };
    comparison.version_number();
    comparison.functions();
    comparison.slots(major);
    comparison.callbacks(major);
    comparison.implementations(major);
    comparison.values(major);
    comparison.layouts(major);
    Ok(Report { dir, version, has_parser: headers.has_parser(), findings: comparison.findings })
}

/// Why headers have nothing to be compared with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotComparable {
    /// They are of a version without tables.
    #[error("{}: headers of {product} {version}; this crate knows the tables of {SUPPORTED}", dir.display())]
    Version {
        /// Where they are.
        dir: PathBuf,
        /// Which of the two products.
        product: Product,
        /// The version.
        version: Version,
    },
}

/// What a comparison found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The directory of the headers.
    pub dir: PathBuf,
    /// Their version. It says nothing about a library of another one.
    pub version: Version,
    /// Whether the ONNX parser's header was there to compare with.
    pub has_parser: bool,
    /// One for each thing that was compared.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing differs and nothing is missing. What could not be compared is in
    /// [`Report::unknown`].
    pub fn agrees(&self) -> bool {
        self.differences().next().is_none()
    }

    /// Whatever makes calls through the tables wrong.
    pub fn differences(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| matches!(f.verdict, Verdict::Mismatch | Verdict::Missing))
    }

    /// What could not be compared.
    pub fn unknown(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.verdict == Verdict::Unknown)
    }

    /// How many findings match.
    pub fn matches(&self) -> usize {
        self.findings.iter().filter(|f| f.verdict == Verdict::Match).count()
    }
}

impl fmt::Display for Report {
    /// A line that sums up, then one for each difference and each thing that could not be compared.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (differ, unknown) = (self.differences().count(), self.unknown().count());
        let newer = self.findings.iter().filter(|f| f.verdict == Verdict::Newer).count();
        write!(
            f,
            "TensorRT {} in {}: {} match, {differ} differ, {newer} are newer, {unknown} not compared",
            self.version,
            self.dir.display(),
            self.matches(),
        )?;
        for finding in self.differences().chain(self.unknown()) {
            write!(f, "\n  {finding}")?;
        }
        Ok(())
    }
}

/// One thing that was compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub item: Item,
    /// What this crate has.
    pub ours: String,
    /// What the headers have; why it is not known where it is not.
    pub theirs: String,
    /// How the two compare.
    pub verdict: Verdict,
    /// Where the headers say so.
    pub source: Option<Source>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { item, ours, theirs, verdict, source } = self;
        match verdict {
            Verdict::Match => write!(f, "{item}: {ours}")?,
            Verdict::Mismatch => write!(f, "{item}: {ours} here, {theirs} in the headers")?,
            Verdict::Missing => write!(f, "{item}: {ours} here, not in the headers: {theirs}")?,
            Verdict::Newer => write!(f, "{item}: {ours} here, newer than the headers: {theirs}")?,
            Verdict::Unknown => write!(f, "{item}: {ours} here, not compared: {theirs}")?,
        }
        source.iter().try_for_each(|source| write!(f, " ({source})"))
    }
}

/// How something of ours compares with the headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Both say the same.
    Match,
    /// They say something else.
    Mismatch,
    /// They do not have it.
    Missing,
    /// An enumerator that was appended after their version: the library refuses it there and never
    /// answers with it.
    Newer,
    /// They cannot tell: a header is not installed, or the reader does not understand the place.
    Unknown,
}

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Item {
    /// The slot of a method that is called or provided, with its signature.
    Method {
        /// The class that has it.
        class: &'static str,
        /// Its name.
        method: &'static str,
    },
    /// The whole table of an interface that this crate provides.
    Callback {
        /// The interface.
        class: &'static str,
    },
    /// Where an object has the address of its implementation.
    Implementation {
        /// The interface.
        class: String,
    },
    /// The value of an enumerator.
    Value {
        /// The enumeration.
        enumeration: &'static str,
        /// The enumerator.
        name: &'static str,
    },
    /// The size, alignment and fields of a struct.
    Struct {
        /// The struct.
        name: &'static str,
    },
    /// The signature of a function with C linkage.
    Function {
        /// Its name.
        name: &'static str,
    },
    /// How a version is one number.
    VersionNumber,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method { class, method } => write!(f, "{class}::{method}"),
            Self::Callback { class } => write!(f, "table of {class}"),
            Self::Implementation { class } => write!(f, "implementation of {class}"),
            Self::Value { enumeration, name } => write!(f, "{enumeration}::{name}"),
            Self::Struct { name } => write!(f, "struct {name}"),
            Self::Function { name } => write!(f, "{name}"),
            Self::VersionNumber => write!(f, "NV_TENSORRT_VERSION"),
        }
    }
}

/// The functions that are looked up by name, with the types they are called with.
const FUNCTIONS: [(&str, &[&str], &str); 5] = [
    ("getInferLibVersion", &[], "i32"),
    ("createInferRuntime_INTERNAL", &["*mut c_void", "i32"], "*mut c_void"),
    ("createInferBuilder_INTERNAL", &["*mut c_void", "i32"], "*mut c_void"),
    ("createNvOnnxParser_INTERNAL", &["*mut c_void", "*mut c_void", "c_int"], "*mut c_void"),
    ("getNvOnnxParserVersion", &[], "c_int"),
];

/// The functions of `callback`, with their types there: an object, then these.
const CALLBACKS: [(&str, &str, &[&str], &str); 7] = [
    ("ILogger", "log", &["i32", "*const c_char"], "()"),
    ("IProfiler", "reportLayerTime", &["*const c_char", "f32"], "()"),
    ("IProgressMonitor", "phaseStart", &["*const c_char", "*const c_char", "i32"], "()"),
    ("IProgressMonitor", "stepComplete", &["*const c_char", "i32"], "bool"),
    ("IProgressMonitor", "phaseFinish", &["*const c_char"], "()"),
    ("", "getAPILanguage", &[], "i32"),
    ("", "getInterfaceInfo", &[], "InterfaceInfo"),
];

struct Comparison<'a> {
    headers: &'a Headers,
    version: Version,
    findings: Vec<Finding>,
}

impl Comparison<'_> {
    fn version_number(&mut self) {
        let number = self.headers.constant("NV_TENSORRT_VERSION");
        let ours = number.and_then(|n| Version::from_library_number(i32::try_from(n).ok()?));
        let spelled = ours.map_or_else(|| "no version".to_owned(), |v| v.to_string());
        let verdict = match number {
            None => Verdict::Missing,
            Some(_) if ours == Some(self.version) => Verdict::Match,
            Some(_) => Verdict::Mismatch,
        };
        let theirs = format!("{} as {number:?}", self.version);
        self.add(Item::VersionNumber, spelled, theirs, verdict, None);
    }

    fn functions(&mut self) {
        for (name, parameters, returns) in FUNCTIONS {
            let ours = signature(parameters, returns);
            let item = Item::Function { name };
            let Some(function) = self.headers.function(name) else {
                let of_parser = name.contains("NvOnnxParser");
                self.absent(item, ours, of_parser, "no such function");
                continue;
            };
            let same = self.fits_all(parameters, &function.parameters)
                && self.fits_result(returns, &function.returns);
            let theirs = format!("({}) -> {}", function.parameters.join(", "), function.returns);
            let verdict = if same { Verdict::Match } else { Verdict::Mismatch };
            self.add(item, ours, theirs, verdict, Some(&function.source));
        }
    }

    /// Every slot that is called or provided.
    fn slots(&mut self, major: Major) {
        let signatures = table::signatures(major);
        for slot in table::slots(major) {
            if slot.since > self.version {
                continue;
            }
            let called = signatures
                .iter()
                .find(|s| (s.class, s.method, s.index) == (slot.class, slot.method, slot.index));
            let provided = CALLBACKS.iter().find(|(class, method, ..)| {
                *method == slot.method && (class.is_empty() || *class == slot.class)
            });
            let types = called.map(|s: &Signature| (s.parameters, s.returns));
            let types = types
                .or_else(|| provided.map(|(_, _, parameters, returns)| (*parameters, *returns)));
            self.slot(slot, types);
        }
    }

    fn slot(&mut self, slot: table::Slot, types: Option<(&[&str], &str)>) {
        let item = Item::Method { class: slot.class, method: slot.method };
        let mut ours = format!("slot {}", slot.index);
        if let Some((parameters, returns)) = types {
            ours.push_str(&signature(parameters, returns));
        }
        let Some(class) = self.headers.class(slot.class) else {
            self.absent(item, ours, slot.class.starts_with("IParser"), "no such class");
            return;
        };
        let slots = match class.slots() {
            Ok(slots) => slots,
            Err(error) => {
                let source = error.source_place.clone();
                self.add(item, ours, error.reason.clone(), Verdict::Unknown, Some(&source));
                return;
            }
        };
        let destructor = slot.method.starts_with('~');
        let is_it = |theirs: &Slot| {
            if destructor {
                return theirs.kind == SlotKind::DeletingDestructor;
            }
            theirs.name == slot.method
                && types.is_none_or(|(parameters, returns)| {
                    self.fits_all(parameters, &theirs.parameters)
                        && self.fits_result(returns, &theirs.returns)
                })
        };
        let here = slots.get(usize::from(slot.index));
        let verdict = if here.is_some_and(is_it) { Verdict::Match } else { Verdict::Mismatch };
        // Where the method is, or else what is in its place.
        let place = slots.iter().position(is_it);
        let by_name = || slots.iter().position(|s| s.name == slot.method);
        let theirs = match verdict {
            Verdict::Match => Some(usize::from(slot.index)),
            _ => place.or_else(by_name),
        };
        if let Some(index) = theirs {
            let theirs = &slots[index];
            let parameters = theirs.parameters.join(", ");
            let spelled = format!("slot {index}({parameters}) -> {}", theirs.returns);
            self.add(item, ours, spelled, verdict, Some(&theirs.source));
        } else {
            let what = "the class has no such method".to_owned();
            self.add(item, ours, what, Verdict::Missing, Some(&class.source));
        }
    }

    /// What this crate provides must have all that the headers declare: TensorRT may call any of it.
    /// Destructors are provided everywhere and not named.
    fn callbacks(&mut self, major: Major) {
        let mut provided: BTreeMap<&'static str, Vec<&'static str>> = BTreeMap::new();
        for slot in table::slots(major) {
            if ["ILogger", "IProfiler", "IProgressMonitor"].contains(&slot.class)
                && slot.since <= self.version
            {
                provided.entry(slot.class).or_default().push(slot.method);
            }
        }
        for (class, methods) in provided {
            let item = Item::Callback { class };
            let ours = methods.join(", ");
            let Some(found) = self.headers.class(class) else {
                self.absent(item, ours, false, "no such class");
                continue;
            };
            let Ok(slots) = found.slots() else {
                let reason = "its table cannot be read".to_owned();
                self.add(item, ours, reason, Verdict::Unknown, Some(&found.source));
                continue;
            };
            let declared: Vec<&str> = slots
                .iter()
                .filter(|s| s.kind == SlotKind::Method)
                .map(|s| s.name.as_str())
                .collect();
            let all = declared.iter().all(|name| methods.contains(name));
            let verdict = if all { Verdict::Match } else { Verdict::Mismatch };
            self.add(item, ours, declared.join(", "), verdict, Some(&found.source));
        }
    }

    /// Calls to a `V*` class go through the second word of the object of its `I*` class.
    fn implementations(&mut self, major: Major) {
        let mut classes: Vec<&str> = table::slots(major)
            .into_iter()
            .filter(|s| s.target == Target::Implementation && s.since <= self.version)
            .filter_map(|s| s.class.strip_prefix('V'))
            .collect();
        classes.sort_unstable();
        classes.dedup();
        for name in classes {
            let name = format!("I{name}");
            let item = Item::Implementation { class: name.clone() };
            let ours = "a pointer at byte 8".to_owned();
            let Some(class) = self.headers.class(&name) else {
                self.absent(item, ours, false, "no such class");
                continue;
            };
            if class.size().is_none() {
                let reason = "its members cannot be measured".to_owned();
                self.add(item, ours, reason, Verdict::Unknown, Some(&class.source));
                continue;
            }
            let members: Vec<(&str, u64, u64)> = class.members().collect();
            let same = matches!(members[..], [("mImpl" | "mLayer", 8, 8)]);
            let verdict = if same { Verdict::Match } else { Verdict::Mismatch };
            self.add(item, ours, spelled_members(class), verdict, Some(&class.source));
        }
    }

    fn values(&mut self, major: Major) {
        for value in table::enum_values(major) {
            if value.since > self.version {
                continue;
            }
            let item = Item::Value { enumeration: value.enumeration, name: value.name };
            let ours = value.value.to_string();
            let Some(enumeration) = self.headers.enumeration(value.enumeration) else {
                let of_parser = value.enumeration.to_ascii_lowercase().contains("onnxparser");
                self.absent(item, ours, of_parser, "no such enumeration");
                continue;
            };
            let source = Some(&enumeration.source);
            let declared = enumeration.enumerators.iter().find(|(name, _)| name == value.name);
            let (theirs, verdict) = match declared {
                None => absent_enumerator(enumeration, value.value),
                Some((_, None)) => ("its value cannot be computed".to_owned(), Verdict::Unknown),
                Some((_, Some(theirs))) if *theirs == i64::from(value.value) => {
                    (theirs.to_string(), Verdict::Match)
                }
                Some((_, Some(theirs))) => (theirs.to_string(), Verdict::Mismatch),
            };
            self.add(item, ours, theirs, verdict, source);
        }
    }

    fn layouts(&mut self, major: Major) {
        for layout in table::layouts(major) {
            let item = Item::Struct { name: layout.name };
            let fields: Vec<String> =
                layout.fields.iter().map(|(name, offset)| format!("{name} at {offset}")).collect();
            let ours = format!(
                "{} bytes, aligned to {}, {}",
                layout.size,
                layout.alignment,
                fields.join(", ")
            );
            let Some(class) = self.headers.class(layout.name) else {
                self.absent(item, ours, false, "no such struct");
                continue;
            };
            let (Some(size), Some(alignment)) = (class.size(), class.alignment()) else {
                let reason = "its members cannot be measured".to_owned();
                self.add(item, ours, reason, Verdict::Unknown, Some(&class.source));
                continue;
            };
            let members: Vec<(&str, u64)> =
                class.members().map(|(name, offset, _)| (name, offset)).collect();
            let same = size == layout.size as u64
                && alignment == layout.alignment as u64
                && members.len() == layout.fields.len()
                && members
                    .iter()
                    .zip(layout.fields)
                    .all(|((name, offset), (n, o))| name == n && *offset == *o as u64);
            let theirs =
                format!("{size} bytes, aligned to {alignment}, {}", spelled_members(class));
            let verdict = if same { Verdict::Match } else { Verdict::Mismatch };
            self.add(item, ours, theirs, verdict, Some(&class.source));
        }
        // The name by which methods take it.
        let dims = if major == Major::V8 { "Dims32" } else { "Dims64" };
        let item = Item::Struct { name: "Dims" };
        match self.headers.class("Dims") {
            None => self.absent(item, dims.to_owned(), false, "no such struct"),
            Some(class) => {
                let same = class.name == format!("nvinfer1::{dims}");
                let verdict = if same { Verdict::Match } else { Verdict::Mismatch };
                self.add(item, dims.to_owned(), class.name.clone(), verdict, Some(&class.source));
            }
        }
    }

    fn fits_all(&self, ours: &[&str], theirs: &[String]) -> bool {
        ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(o, t)| self.fits(o, t))
    }

    /// A result that is not looked at may be any that a register holds.
    fn fits_result(&self, ours: &str, theirs: &str) -> bool {
        if ours == "()" {
            return theirs == "void" || ["bool", "i32", "i64"].iter().any(|t| self.fits(t, theirs));
        }
        self.fits(ours, theirs)
    }

    /// Whether a type of Rust is passed as a type of C++ is.
    fn fits(&self, ours: &str, theirs: &str) -> bool {
        let is_pointer = theirs.ends_with('*') || theirs.ends_with('&');
        match ours {
            "*const c_char" => theirs == "char const*",
            "*mut c_void" | "*const c_void" => {
                // CUDA's headers are not read; its handles are pointers.
                is_pointer || ["cudaStream_t", "cudaEvent_t"].contains(&theirs)
            }
            "bool" => theirs == "bool",
            "usize" => theirs == "size_t",
            "i64" => theirs == "int64_t",
            "u32" => theirs == "uint32_t",
            "f32" => theirs == "float",
            "i32" | "c_int" => {
                let of_32_bits = |name: &str| name == "int32_t" || name == "int";
                let enumeration = self.headers.enumeration(theirs);
                of_32_bits(theirs) || enumeration.is_some_and(|e| of_32_bits(&e.underlying))
            }
            // Structs, by value or by address.
            _ => match ours.strip_prefix("*const ") {
                Some(name) => ["const&", "const*"]
                    .iter()
                    .any(|end| theirs == format!("nvinfer1::{name} {end}")),
                None => theirs == format!("nvinfer1::{ours}"),
            },
        }
    }

    /// Something that the headers do not have: no wonder where the parser's is not installed.
    fn absent(&mut self, item: Item, ours: String, of_parser: bool, what: &str) {
        if of_parser && !self.headers.has_parser() {
            let reason = "NvOnnxParser.h is not installed".to_owned();
            self.add(item, ours, reason, Verdict::Unknown, None);
        } else {
            self.add(item, ours, what.to_owned(), Verdict::Missing, None);
        }
    }

    fn add(
        &mut self,
        item: Item,
        ours: String,
        theirs: String,
        verdict: Verdict,
        source: Option<&Source>,
    ) {
        self.findings.push(Finding { item, ours, theirs, verdict, source: source.cloned() });
    }
}

/// Enumerations are appended to: one that ends before a value has not got it yet, one that goes on behind
/// it never had it or lost it.
fn absent_enumerator(enumeration: &Enumeration, value: i32) -> (String, Verdict) {
    let last = enumeration.enumerators.iter().map(|(_, value)| *value).max();
    match last {
        Some(Some(last)) if i64::from(value) > last => {
            (format!("the enumeration ends with {last}"), Verdict::Newer)
        }
        _ => ("no such enumerator".to_owned(), Verdict::Missing),
    }
}

fn signature(parameters: &[&str], returns: &str) -> String {
    format!("({}) -> {returns}", parameters.join(", "))
}

fn spelled_members(class: &Class) -> String {
    let members: Vec<String> =
        class.members().map(|(name, offset, _)| format!("{name} at {offset}")).collect();
    members.join(", ")
}
