//! Reading ONNX.

use super::Network;
use super::network::copied;
use crate::callback::logger;
use crate::enums::{ParserErrorCode, ParserFlag};
use crate::error::{TensorRtError, c_path, c_string};
use crate::library::{ParserLibrary, TensorRt};
use crate::object::Object;
use std::fmt;
use std::path::{Path, PathBuf};

/// Fills a network from ONNX.
///
/// It borrows the network while it reads; when it goes, the network keeps what it holds, which is the weights.
#[derive(Debug)]
pub struct OnnxParser<'network> {
    object: Object,
    network: &'network mut Network,
}

impl<'network> OnnxParser<'network> {
    pub(super) fn new(network: &'network mut Network) -> Result<Self, TensorRtError> {
        let tensorrt = network.tensorrt();
        let library: &ParserLibrary = tensorrt.parser_library()?;
        let object = tensorrt.explain("createNvOnnxParser", None, || {
            let logger = logger::object(tensorrt.major());
            // SAFETY: the network is alive and of the library that the parser belongs to; the logger is
            // static and of the layout of this major.
            Object::new(unsafe { library.create(network.object().as_ptr(), logger) })
        })?;
        Ok(Self { object, network })
    }

    fn tensorrt(&self) -> TensorRt {
        self.network.tensorrt()
    }

    /// Sets a flag.
    ///
    /// # Errors
    /// 8.5 has no flags.
    pub fn set_flag(&mut self, flag: ParserFlag) -> Result<(), TensorRtError> {
        let number = flag.number(self.tensorrt().version())?;
        // SAFETY: the object is a live `IParser`.
        Ok(unsafe { self.tensorrt().calls().parser_set_flag(self.object, number) }?)
    }

    /// Whether an operator is known at all. Known ones may still be refused with some attributes.
    ///
    /// # Errors
    /// A name with a NUL.
    pub fn supports_operator(&self, operator: &str) -> Result<bool, TensorRtError> {
        let name = c_string("IParser::supportsOperator", "the operator", operator)?;
        let calls = self.tensorrt().calls();
        // SAFETY: the object is a live `IParser`, the name is alive.
        Ok(unsafe { calls.parser_supports_operator(self.object, name.as_ptr()) }?)
    }

    /// Reads a network from memory. `path` is the file that it was read from, next to which weights are looked
    /// for that the network keeps in other files.
    ///
    /// # Errors
    /// [`ParseError`] with every node that was refused.
    pub fn parse(&mut self, model: &[u8], path: Option<&Path>) -> Result<(), TensorRtError> {
        let c_path = path.map(|path| c_path("IParser::parse", "the path", path)).transpose()?;
        let c_path = c_path.as_ref().map_or(std::ptr::null(), |path| path.as_ptr());
        let mark = logger::mark();
        // SAFETY: the object is a live `IParser`; the bytes and the path are alive and are not kept.
        let parsed = unsafe {
            self.tensorrt().calls().parser_parse(
                self.object,
                model.as_ptr().cast(),
                model.len(),
                c_path,
            )
        }?;
        if parsed { Ok(()) } else { Err(self.error(path, mark)) }
    }

    /// Reads a network from a file.
    ///
    /// # Errors
    /// [`ParseError`] with every node that was refused.
    pub fn parse_file(&mut self, path: &Path) -> Result<(), TensorRtError> {
        let c_path = c_path("IParser::parseFromFile", "the path", path)?;
        let mark = logger::mark();
        let calls = self.tensorrt().calls();
        // Warnings and what is worse, as the severities of the logger are numbered.
        let verbosity = 2;
        // SAFETY: the object is a live `IParser`; the path is alive.
        let parsed =
            unsafe { calls.parser_parse_from_file(self.object, c_path.as_ptr(), verbosity) }?;
        if parsed { Ok(()) } else { Err(self.error(Some(path), mark)) }
    }

    fn error(&self, path: Option<&Path>, mark: logger::Mark) -> TensorRtError {
        match self.errors() {
            Ok(errors) => ParseError {
                path: path.map(Path::to_path_buf),
                errors,
                messages: logger::errors_since(mark),
            }
            .into(),
            Err(error) => error,
        }
    }

    fn errors(&self) -> Result<Vec<ParserError>, TensorRtError> {
        let calls = self.tensorrt().calls();
        // SAFETY: the object is a live `IParser`.
        let count = unsafe { calls.parser_errors(self.object) }?;
        let mut errors = Vec::new();
        for index in 0..count {
            // SAFETY: the object is a live `IParser`.
            let error = unsafe { calls.parser_error(self.object, index) }?;
            if let Some(error) = Object::new(error) {
                errors.push(ParserError::of(self.tensorrt(), error)?);
            }
        }
        // SAFETY: the object is a live `IParser`; what was read of its errors is copied.
        unsafe { calls.parser_clear_errors(self.object) }?;
        Ok(errors)
    }
}

impl Drop for OnnxParser<'_> {
    fn drop(&mut self) {
        self.network.keep(self.object);
    }
}

/// An ONNX network that the parser refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The file, where it was told.
    pub path: Option<PathBuf>,
    /// What the parser says, in its order.
    pub errors: Vec<ParserError>,
    /// What TensorRT logged meanwhile.
    pub messages: Vec<String>,
}

impl std::error::Error for ParseError {}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(formatter, "{}: ", path.display())?,
            None => formatter.write_str("the network: ")?,
        }
        if self.errors.is_empty() {
            formatter.write_str("the ONNX parser refuses it")?;
            return match self.messages.as_slice() {
                [] => formatter.write_str(" and says nothing"),
                messages => write!(formatter, ": {}", messages.join("; ")),
            };
        }
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                formatter.write_str("; ")?;
            }
            write!(formatter, "{error}")?;
        }
        Ok(())
    }
}

/// One error of the parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParserError {
    /// The kind.
    pub code: Option<ParserErrorCode>,
    /// The number of the kind.
    pub code_number: i32,
    /// In words.
    pub description: String,
    /// Index of the node; `None` where it is about none.
    pub node: Option<u32>,
    /// Name of the node; from 10.0, and where it has one.
    pub node_name: Option<String>,
    /// Operator of the node; from 10.0.
    pub operator: Option<String>,
    /// Source file of the parser that refused.
    pub source_file: String,
    /// Line in it.
    pub source_line: i32,
}

impl ParserError {
    fn of(tensorrt: TensorRt, error: Object) -> Result<Self, TensorRtError> {
        let calls = tensorrt.calls();
        // SAFETY: the object is a live `IParserError`, which the parser keeps until errors are cleared.
        let code_number = unsafe { calls.parser_error_code(error) }?;
        // SAFETY: as above.
        let description = unsafe { calls.parser_error_desc(error) }?;
        // SAFETY: null, or a string that the error keeps.
        let description = unsafe { copied(description) };
        // SAFETY: as above.
        let source_file = unsafe { calls.parser_error_file(error) }?;
        // SAFETY: as above.
        let source_file = unsafe { copied(source_file) };
        // SAFETY: as above.
        let source_line = unsafe { calls.parser_error_line(error) }?;
        // SAFETY: as above.
        let node = unsafe { calls.parser_error_node(error) }?;
        // SAFETY: as above.
        let node_name = unsafe { calls.parser_error_node_name(error) };
        // SAFETY: as above.
        let operator = unsafe { calls.parser_error_node_operator(error) };
        let optional = |text: Result<*const std::ffi::c_char, _>| {
            // SAFETY: null, or a string that the error keeps.
            text.ok().map(|text| unsafe { copied(text) }).filter(|text| !text.is_empty())
        };
        Ok(Self {
            code: ParserErrorCode::from_number(tensorrt.version(), code_number),
            code_number,
            description,
            node: u32::try_from(node).ok(),
            node_name: optional(node_name),
            operator: optional(operator),
            source_file,
            source_line,
        })
    }
}

impl fmt::Display for ParserError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.node, &self.node_name) {
            (Some(node), Some(name)) => write!(formatter, "node {node} ({name})")?,
            (Some(node), None) => write!(formatter, "node {node}")?,
            (None, Some(name)) => write!(formatter, "node {name}")?,
            (None, None) => formatter.write_str("the graph")?,
        }
        if let Some(operator) = &self.operator {
            write!(formatter, ", operator {operator}")?;
        }
        write!(formatter, ": {}", self.description)?;
        match self.code {
            Some(code) => write!(formatter, " ({code})"),
            None => write!(formatter, " (error {})", self.code_number),
        }
    }
}
