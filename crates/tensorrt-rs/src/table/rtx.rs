//! The tables of `TensorRT` for RTX 1.7 and later 1.x: those of 11, but for two methods that have others less in front.

use super::Entry;
use super::methods::Methods;
use super::v11;
use crate::version::Version;

const SINCE: Version = Version::new(1, 7, 0);

const fn at(index: u16) -> Entry {
    Entry { index, since: Some(SINCE) }
}

pub(super) static METHODS: Methods = Methods {
    network_set_name: at(28),
    tensor_set_allowed_formats: at(9),
    ..v11::METHODS.all_since(SINCE)
};
