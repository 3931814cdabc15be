//! Comparing this crate's tables with NVIDIA's headers.
//!
//! The tables of [`table`](crate::table) were written from headers of some versions. On a machine where
//! the headers of the installed version lie beside the library, this module reads them and says whether
//! the tables fit: every slot that is called, with its signature; every function that TensorRT calls
//! back; every value of an enumeration; the layout of every struct. It needs no compiler, as a device
//! has none.
//!
//! ```no_run
//! use tensorrt_rs::abi::{self, Headers};
//! use tensorrt_rs::{Search, TensorRt};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tensorrt = TensorRt::load(&Search::default())?;
//! if let Some(dir) = abi::header_dir(tensorrt.path()) {
//!     let headers = Headers::read(&dir)?;
//!     if headers.version() == tensorrt.version() {
//!         let report = abi::check(&headers)?;
//!         println!("{report}");
//!         assert!(report.agrees());
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # How headers are read
//!
//! | module | job |
//! |---|---|
//! | `preprocessor` | files to one stream of tokens: includes from the same directory, conditions, macros |
//! | `parser` | namespaces, classes, enumerations, aliases, constants, functions with C linkage |
//! | `names` | what a name means from where it is written: `Dims` is `nvinfer1::Dims64` |
//! | `vtable` | slots by the Itanium C++ ABI: order of declaration, overrides, destructors that take two |
//! | `layout` | sizes and offsets on 64-bit Linux |
//! | `check` | the tables against all of that |
//!
//! Templates, bodies of functions and headers other than NVIDIA's are gone over. What the reader does not
//! understand it says, with the file and the line: a class of which it does not know the table is
//! [`Verdict::Unknown`], never a match.
//!
//! The reader itself is compared with a C++ compiler (`tests/headers`): over all classes, slots,
//! signatures, values and sizes of the headers of 11.4 and of five versions of TensorRT for RTX, and over
//! class hierarchies made at random. Headers of 8.x and 10.x are tried in small ones made after their
//! layout. Nobody has run it on a device yet.

mod check;
mod constant;
mod declaration;
mod error;
mod headers;
mod installation;
mod layout;
mod lexer;
mod names;
mod parser;
mod preprocessor;
mod vtable;

pub use check::{Finding, Item, NotComparable, Report, Verdict, check};
pub use error::HeaderError;
pub use headers::{Class, Enumeration, Function, Headers, NoSlots, Product, Slot, Source};
pub use installation::header_dir;
pub use vtable::SlotKind;
