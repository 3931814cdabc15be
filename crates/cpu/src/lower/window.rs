//! Kernel, stride, dilation and padding along one axis.

use super::LowerError;
use super::rewrite::title;
use occdepth_contract::onnx::NodeProto;

/// A sliding window along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Number of taps.
    pub(super) taps: usize,
    pub(super) stride: usize,
    /// Distance between taps.
    pub(super) dilation: usize,
    /// Zeros before and after the axis.
    pub(super) pads: [usize; 2],
}

impl Window {
    /// Passes an axis unchanged.
    pub(super) const PLAIN: Self = Self { taps: 1, stride: 1, dilation: 1, pads: [0, 0] };

    /// The windows of a node along x, y and z; `taps` is the kernel.
    pub(super) fn of(node: &NodeProto, taps: [usize; 3]) -> Result<[Self; 3], LowerError> {
        if let Some(auto) = node.attribute("auto_pad").and_then(|attribute| attribute.s.as_deref())
            && !matches!(auto, b"" | b"NOTSET")
        {
            return Err(LowerError::Attribute {
                node: title(node),
                attribute: "auto_pad",
                found: String::from_utf8_lossy(auto).into_owned(),
                expected: "NOTSET with explicit pads",
            });
        }
        let strides = integers(node, "strides", 3, 1)?;
        let dilations = integers(node, "dilations", 3, 1)?;
        let pads = integers(node, "pads", 6, 0)?;
        let windows = std::array::from_fn(|axis| Self {
            taps: taps[axis],
            stride: strides[axis],
            dilation: dilations[axis],
            pads: [pads[axis], pads[axis + 3]],
        });
        for Self { taps, stride, dilation, .. } in windows {
            for (attribute, value) in
                [("kernel_shape", taps), ("strides", stride), ("dilations", dilation)]
            {
                if !(1..=MAX_WINDOW).contains(&value) {
                    return Err(LowerError::Attribute {
                        node: title(node),
                        attribute,
                        found: value.to_string(),
                        expected: "1 to 65536",
                    });
                }
            }
        }
        Ok(windows)
    }

    /// Whether the axis passes unchanged.
    pub(super) fn is_plain(self) -> bool {
        Self { dilation: 1, ..self } == Self::PLAIN
    }

    /// Distance from the first tap to the one after the last.
    pub(super) fn reach(self) -> usize {
        (self.taps - 1) * self.dilation + 1
    }

    /// Number of positions of the window on an axis of `extent`; `None`: it does not fit once.
    pub(super) fn positions(self, extent: usize) -> Option<usize> {
        let room = (extent + self.pads[0] + self.pads[1]).checked_sub(self.reach())?;
        Some(room / self.stride + 1)
    }
}

/// The attribute `name`: `count` integers, `default` where it is absent.
pub(crate) fn integers(
    node: &NodeProto,
    name: &'static str,
    count: usize,
    default: usize,
) -> Result<Vec<usize>, LowerError> {
    let Some(attribute) = node.attribute(name) else {
        return Ok(vec![default; count]);
    };
    let bounded = |&value: &i64| usize::try_from(value).ok().filter(|value| *value <= MAX_WINDOW);
    let values: Option<Vec<usize>> = attribute.ints.iter().map(bounded).collect();
    values.filter(|values| values.len() == count).ok_or_else(|| LowerError::Attribute {
        node: title(node),
        attribute: name,
        found: format!("{:?}", attribute.ints),
        expected: "one integer per axis (pads: two), 0 to 65536",
    })
}

/// The attribute `name`: one integer, `default` where it is absent.
pub(crate) fn integer(node: &NodeProto, name: &str, default: i64) -> i64 {
    node.attribute(name).and_then(|attribute| attribute.i).unwrap_or(default)
}

/// No network has larger kernels, strides, dilations or pads; products of two stay far below 2^63.
const MAX_WINDOW: usize = 65_536;
