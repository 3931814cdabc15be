//! Building engines.
//!
//! A [`Builder`] makes a [`Network`], into which an [`OnnxParser`] reads an ONNX file, and a
//! [`BuilderConfig`]; from the two it builds a plan. None of these is `Send` or `Sync`: NVIDIA allows several
//! builders in several threads, and asks that access to one and to what came from it be serialised (Developer
//! Guide, "Threading"), so they are made, used and dropped in the thread that builds.
//!
//! What refers to what is kept alive without the caller's help, or borrowed so that a mistake does not compile:
//!
//! | who | lives until |
//! |---|---|
//! | builder | its last network, configuration, profile and timing cache are gone |
//! | ONNX parser | the network that it filled is gone: it owns the weights |
//! | timing cache, progress monitor | the configuration that has them is gone or has another |
//! | optimisation profile | the builder is gone, which owns it |
//!
//! A parser borrows its network, and the network cannot be built meanwhile:
//!
//! ```compile_fail,E0502
//! # fn build(builder: &tensorrt_rs::Builder, config: &mut tensorrt_rs::BuilderConfig) -> Result<(), tensorrt_rs::TensorRtError> {
//! let mut network = builder.create_network(tensorrt_rs::NetworkTyping::Weak)?;
//! let mut parser = network.onnx_parser()?;
//! builder.build_serialized(&network, config)?;
//! parser.parse(b"", None)?; // still in use
//! # Ok(())
//! # }
//! ```
//!
//! Nor can it be used after the network is gone:
//!
//! ```compile_fail,E0505
//! # fn parse(builder: &tensorrt_rs::Builder) -> Result<(), tensorrt_rs::TensorRtError> {
//! let mut network = builder.create_network(tensorrt_rs::NetworkTyping::Weak)?;
//! let mut parser = network.onnx_parser()?;
//! drop(network);
//! parser.parse(b"", None)?;
//! # Ok(())
//! # }
//! ```
//!
//! A layer cannot be kept longer than its network:
//!
//! ```compile_fail,E0505
//! # fn look(network: tensorrt_rs::Network) -> Result<(), tensorrt_rs::TensorRtError> {
//! let layer = network.layer(0)?;
//! drop(network);
//! layer.name()?;
//! # Ok(())
//! # }
//! ```
//!
//! And a configuration's timing cache not longer than the configuration:
//!
//! ```compile_fail,E0505
//! # fn look(config: tensorrt_rs::BuilderConfig) -> Result<(), tensorrt_rs::TensorRtError> {
//! let cache = config.timing_cache().expect("set before");
//! drop(config);
//! cache.serialize()?;
//! # Ok(())
//! # }
//! ```
//!
//! Nothing of a build goes to another thread:
//!
//! ```compile_fail,E0277
//! # fn build(builder: tensorrt_rs::Builder) {
//! std::thread::spawn(move || drop(builder));
//! # }
//! ```

mod config;
mod network;
mod parser;
mod profile;
mod timing_cache;

pub use config::BuilderConfig;
pub use network::{Layer, Network, Tensor};
pub use parser::{OnnxParser, ParseError, ParserError};
pub use profile::OptimizationProfile;
pub use timing_cache::TimingCache;

use crate::enums::NetworkCreationFlag;
use crate::error::{TensorRtError, Unsupported};
use crate::library::TensorRt;
use crate::object::Object;
use crate::runtime::HostMemory;
use crate::version::Major;
use std::rc::Rc;

/// Builds engines.
#[derive(Debug)]
pub struct Builder {
    inner: Rc<BuilderInner>,
}

/// The object, deleted when nothing that came from it is left.
#[derive(Debug)]
pub(crate) struct BuilderInner {
    pub(crate) tensorrt: TensorRt,
    object: Object,
}

impl Drop for BuilderInner {
    fn drop(&mut self) {
        // SAFETY: the object is alive and is not used again; what must not outlive it holds a reference to
        // `self`.
        let deleted = unsafe { self.tensorrt.calls().builder_delete(self.object) };
        deleted.expect("every version has a destructor");
    }
}

/// Who chooses the precision of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetworkTyping {
    /// The builder, within what its flags allow; until 10.x. The batch is explicit.
    Weak,
    /// The network; from 10.0, and always in 11.
    Strong,
}

impl Builder {
    /// Makes a builder on the current CUDA device.
    ///
    /// # Errors
    /// A lean runtime; no CUDA device; TensorRT refuses, and says why in [`TensorRtError::messages`].
    pub fn new(tensorrt: TensorRt) -> Result<Self, TensorRtError> {
        let object = tensorrt.create_builder()?;
        Ok(Self { inner: Rc::new(BuilderInner { tensorrt, object }) })
    }

    /// The library that it is of.
    pub fn tensorrt(&self) -> TensorRt {
        self.inner.tensorrt
    }

    /// Makes an empty network.
    ///
    /// # Errors
    /// A typing that this version does not have; see [`TensorRtError::messages`] otherwise.
    pub fn create_network(&self, typing: NetworkTyping) -> Result<Network, TensorRtError> {
        let tensorrt = self.inner.tensorrt;
        let version = tensorrt.version();
        let bit = |flag: NetworkCreationFlag| -> Result<u32, Unsupported> {
            flag.number(version).map(|number| 1 << number)
        };
        let flags = match (tensorrt.major(), typing) {
            (Major::V8, NetworkTyping::Weak) => bit(NetworkCreationFlag::ExplicitBatch)?,
            (Major::V8 | Major::V10, NetworkTyping::Strong) => {
                bit(NetworkCreationFlag::StronglyTyped)?
            }
            // In 10 the batch is always explicit; in 11 every network is strongly typed and the flag for it
            // deprecated.
            (Major::V10, NetworkTyping::Weak)
            | (Major::V11 | Major::Rtx1, NetworkTyping::Strong) => 0,
            // What weak typing is for are the precision flags; this has the name and the versions.
            (Major::V11 | Major::Rtx1, NetworkTyping::Weak) => {
                crate::enums::BuilderFlag::Fp16.number(version).map(|_| 0)?
            }
        };
        let subject = format!("flags {flags:#x}");
        let object = tensorrt.explain("IBuilder::createNetworkV2", Some(&subject), || {
            // SAFETY: the object is a live `IBuilder` of this library.
            let network =
                unsafe { tensorrt.calls().builder_create_network(self.inner.object, flags) };
            network.ok().and_then(Object::new)
        })?;
        Ok(Network::new(Rc::clone(&self.inner), object))
    }

    /// Makes a configuration with the settings that TensorRT has at first.
    ///
    /// # Errors
    /// See [`TensorRtError::messages`].
    pub fn create_config(&self) -> Result<BuilderConfig, TensorRtError> {
        let tensorrt = self.inner.tensorrt;
        let object = tensorrt.explain("IBuilder::createBuilderConfig", None, || {
            // SAFETY: the object is a live `IBuilder` of this library.
            let config = unsafe { tensorrt.calls().builder_create_config(self.inner.object) };
            config.ok().and_then(Object::new)
        })?;
        Ok(BuilderConfig::new(Rc::clone(&self.inner), object))
    }

    /// Makes an optimisation profile, for inputs whose shape the network leaves open.
    ///
    /// # Errors
    /// See [`TensorRtError::messages`].
    pub fn create_optimization_profile(&self) -> Result<OptimizationProfile, TensorRtError> {
        let tensorrt = self.inner.tensorrt;
        let object = tensorrt.explain("IBuilder::createOptimizationProfile", None, || {
            // SAFETY: the object is a live `IBuilder` of this library.
            let profile =
                unsafe { tensorrt.calls().builder_create_optimization_profile(self.inner.object) };
            profile.ok().and_then(Object::new)
        })?;
        Ok(OptimizationProfile::new(Rc::clone(&self.inner), object))
    }

    /// Builds a plan. Takes from seconds to many minutes, and memory.
    ///
    /// # Errors
    /// An operator or shape that cannot be built, too little memory, a network or configuration of another
    /// builder, a progress monitor that cancelled: see [`TensorRtError::messages`].
    pub fn build_serialized(
        &self,
        network: &Network,
        config: &mut BuilderConfig,
    ) -> Result<HostMemory, TensorRtError> {
        const CALL: &str = "IBuilder::buildSerializedNetwork";
        for (argument, builder) in
            [("the network", network.builder()), ("the configuration", config.builder())]
        {
            if !Rc::ptr_eq(&self.inner, builder) {
                return Err(TensorRtError::Argument {
                    call: CALL,
                    argument,
                    found: "of another builder".to_owned(),
                    expected: "one of this builder",
                });
            }
        }
        let tensorrt = self.inner.tensorrt;
        let memory = tensorrt.explain(CALL, None, || {
            // SAFETY: all three are live objects of this library, the latter two of this builder; what they
            // refer to (weights, timing cache, progress monitor, profiles) they keep alive. Nobody else uses
            // any of them: they cannot leave this thread.
            let memory = unsafe {
                tensorrt.calls().builder_build_serialized(
                    self.inner.object,
                    network.object().as_ptr(),
                    config.object().as_ptr(),
                )
            };
            memory.ok().and_then(Object::new)
        })?;
        // SAFETY: TensorRT hands a new `IHostMemory` over to the caller.
        Ok(unsafe { HostMemory::new(tensorrt, memory) })
    }

    /// Whether the network fits the configuration: a check that takes no building.
    ///
    /// # Errors
    /// None today.
    pub fn is_network_supported(
        &self,
        network: &Network,
        config: &BuilderConfig,
    ) -> Result<bool, TensorRtError> {
        // SAFETY: all three are live objects of this library.
        Ok(unsafe {
            self.inner.tensorrt.calls().builder_is_network_supported(
                self.inner.object,
                network.object().as_ptr(),
                config.object().as_ptr(),
            )
        }?)
    }

    /// How many DLA cores there are: 0 on desktops, Orin Nano and Thor.
    ///
    /// # Errors
    /// None today.
    pub fn dla_cores(&self) -> Result<u32, TensorRtError> {
        // SAFETY: the object is a live `IBuilder` of this library.
        let cores = unsafe { self.inner.tensorrt.calls().builder_dla_cores(self.inner.object) }?;
        Ok(u32::try_from(cores).unwrap_or(0))
    }

    /// The largest batch that a DLA takes.
    ///
    /// # Errors
    /// None today.
    pub fn max_dla_batch_size(&self) -> Result<u32, TensorRtError> {
        let calls = self.inner.tensorrt.calls();
        // SAFETY: the object is a live `IBuilder` of this library.
        let size = unsafe { calls.builder_max_dla_batch_size(self.inner.object) }?;
        Ok(u32::try_from(size).unwrap_or(0))
    }

    /// Whether half precision is faster than single on this GPU.
    ///
    /// # Errors
    /// 11 does not say.
    pub fn platform_has_fast_fp16(&self) -> Result<bool, TensorRtError> {
        let calls = self.inner.tensorrt.calls();
        // SAFETY: the object is a live `IBuilder` of this library.
        Ok(unsafe { calls.builder_platform_has_fast_fp16(self.inner.object) }?)
    }

    /// How many threads building may use; 1 at first.
    ///
    /// # Errors
    /// A number that TensorRT refuses.
    pub fn set_max_threads(&mut self, threads: u32) -> Result<(), TensorRtError> {
        let tensorrt = self.inner.tensorrt;
        let subject = format!("{threads} threads");
        let count = i32::try_from(threads).unwrap_or(i32::MAX);
        let set = tensorrt.explain("IBuilder::setMaxThreads", Some(&subject), || {
            // SAFETY: the object is a live `IBuilder` of this library.
            let set = unsafe { tensorrt.calls().builder_set_max_threads(self.inner.object, count) };
            set.ok().filter(|&set| set)
        });
        set.map(|_| ())
    }
}
