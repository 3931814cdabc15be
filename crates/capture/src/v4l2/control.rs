//! Controls: exposure, gain, white balance and whatever else a camera has, by name.

use super::abi::{self, ExtControl, ExtControls, Request};
use super::device::{Device, text};
use super::error::DeviceError;
use rustix::io::Errno;
use std::fmt;

/// A control of a device, as it was when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The driver's name: "Exposure Time, Absolute".
    pub name: String,
    /// The name as it is written in configurations: `exposure_time_absolute`.
    pub key: String,
    /// What kind of values it has.
    pub kind: ControlKind,
    /// Least value.
    pub minimum: i64,
    /// Greatest value.
    pub maximum: i64,
    /// Distance between values.
    pub step: u64,
    /// Value after power-up.
    pub default: i64,
    /// Cannot be set.
    pub read_only: bool,
    /// Without effect at present, because of another control (an automatic one is on).
    pub inactive: bool,
    /// Present value; `None` for buttons and controls that cannot be read.
    pub value: Option<i64>,
    id: u32,
    write_only: bool,
}

/// What kind of values a control has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlKind {
    /// A number.
    Integer,
    /// A number of 64 bits.
    Integer64,
    /// A set of bits.
    Bitmask,
    /// 0 or 1.
    Boolean,
    /// One of these, by number or label.
    Menu(Vec<MenuItem>),
    /// Does something when set.
    Button,
    /// Text and compound values, which are listed only.
    Other,
}

/// A value of a menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MenuItem {
    /// The value.
    pub value: i64,
    /// Its name.
    pub label: String,
}

/// A value to give to a control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// A number; of a menu its value; of a button anything.
    Number(i64),
    /// Of a boolean.
    Switch(bool),
    /// Of a menu: its label, in any case and punctuation.
    Label(String),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Switch(switch) => switch.fmt(f),
            Self::Label(label) => write!(f, "{label:?}"),
        }
    }
}

/// A control's name as configurations write it: letters and digits in lower case, everything between them an
/// underscore.
///
/// ```
/// use occdepth_capture::v4l2::control_key;
/// assert_eq!(control_key("White Balance, Automatic"), "white_balance_automatic");
/// assert_eq!(control_key("Inject V4L2_BUF_FLAG_ERROR"), "inject_v4l2_buf_flag_error");
/// ```
pub fn control_key(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    for part in name.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()) {
        if !key.is_empty() {
            key.push('_');
        }
        key.extend(part.chars().flat_map(char::to_lowercase));
    }
    key
}

impl Device {
    /// Every control of the device with its present value, in the driver's order. A control that does not answer has
    /// no value.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn controls(&self) -> Result<Vec<Control>, DeviceError> {
        let queries = self.query_controls()?;
        queries.iter().map(|query| self.describe_control(query)).collect()
    }

    fn query_controls(&self) -> Result<Vec<abi::QueryExtControl>, DeviceError> {
        let mut controls = Vec::new();
        let mut previous = 0;
        while let Some(query) = self.next_control(previous)? {
            // A driver that does not advance would be asked for ever.
            if query.id <= previous {
                break;
            }
            previous = query.id;
            let skipped =
                query.type_ == abi::CTRL_TYPE_CLASS || query.flags & abi::CTRL_FLAG_DISABLED != 0;
            if !skipped {
                controls.push(query);
            }
        }
        Ok(controls)
    }

    /// Sets the control that is called `name` (any case and punctuation) and reads it back.
    ///
    /// # Errors
    /// [`DeviceError::Control`] with the control's name when the device has none of that name (the message lists
    /// what it has), the value is out of range, no item of its menu, without effect because an automatic control is
    /// on, cannot be read back, or reads back as something else.
    pub fn set_control(&self, name: &str, setting: &Setting) -> Result<(), DeviceError> {
        let control = self.control(name)?;
        let value = self.value_for(&control, setting)?;
        self.write_control(&control, value)?;
        if control.kind == ControlKind::Button {
            return Ok(());
        }
        // Asked after the write: it may have switched the automatic off, or on.
        if self.is_idle(&control)? {
            return Err(self.refuse(
                &control.key,
                format!("{value} without effect{}", self.masters(&control)?),
                "a control that nothing overrides".into(),
            ));
        }
        if control.write_only {
            return Ok(());
        }
        match self.read_control(&control)? {
            Some(found) if found == value => Ok(()),
            Some(found) => Err(self.refuse(
                &control.key,
                format!("{found} after setting it"),
                format!("{value}, as it was set"),
            )),
            None => Err(self.refuse(
                &control.key,
                "no value after setting it".into(),
                format!("{value}, as it was set"),
            )),
        }
    }

    /// The control that is called `name`, in any case and punctuation.
    ///
    /// # Errors
    /// [`DeviceError::Control`] when there is none.
    pub fn control(&self, name: &str) -> Result<Control, DeviceError> {
        let (key, queries) = (control_key(name), self.query_controls()?);
        let mut named = queries.iter().filter(|query| control_key(&text(&query.name)) == key);
        // Two names may differ in case or punctuation only; then it has to be written as it is.
        let exact = queries.iter().find(|query| text(&query.name) == name);
        match (exact.or_else(|| named.next()), named.next()) {
            (Some(query), _) if exact.is_some() => self.describe_control(query),
            (Some(query), None) => self.describe_control(query),
            (Some(one), Some(other)) => Err(self.refuse(
                name,
                format!("{:?} and {:?}", text(&one.name), text(&other.name)),
                "one control of this name".into(),
            )),
            (None, _) => {
                let keys: Vec<String> =
                    queries.iter().map(|query| control_key(&text(&query.name))).collect();
                Err(self.refuse(
                    name,
                    "none of this name".into(),
                    format!("one of {}", keys.join(", ")),
                ))
            }
        }
    }

    /// Whether what is written to a control goes nowhere: V4L2 drops writes to a volatile control that does not execute on
    /// write (kernel documentation of `VIDIOC_QUERYCTRL`, control flags), and an inactive one waits for another control.
    fn is_idle(&self, control: &Control) -> Result<bool, DeviceError> {
        let mut query = abi::QueryExtControl { id: control.id, ..abi::QueryExtControl::ZERO };
        match self.try_call(&abi::QUERY_EXT_CTRL, &mut query) {
            Ok(()) => Ok(is_idle(query.flags)),
            // It was there a moment ago. What it reads back as decides.
            Err(Errno::INVAL | Errno::NOTTY) => Ok(false),
            Err(errno) => Err(self.error(&abi::QUERY_EXT_CTRL, errno)),
        }
    }

    /// " while X is on": the automatic controls that `control` may depend on, by their names. The kernel does not
    /// tell which those are.
    fn masters(&self, control: &Control) -> Result<String, DeviceError> {
        let keys: Vec<String> = self
            .query_controls()?
            .iter()
            .map(|query| control_key(&text(&query.name)))
            .filter(|key| may_command(key, &control.key))
            .collect();
        Ok(match &keys[..] {
            [] => " while another control overrides it".to_owned(),
            keys => format!(" while {} is on", keys.join(" or ")),
        })
    }

    fn value_for(&self, control: &Control, setting: &Setting) -> Result<i64, DeviceError> {
        let refuse = |expected: String| self.refuse(&control.key, setting.to_string(), expected);
        if control.read_only {
            return Err(refuse("nothing: this control can only be read".into()));
        }
        let in_range = |value: i64| {
            // An u64 step of 0 is a driver's way to say 1.
            let offset = i128::from(value) - i128::from(control.minimum);
            let on_step = offset % i128::from(control.step.max(1)) == 0;
            (control.minimum..=control.maximum).contains(&value) && on_step
        };
        match (&control.kind, setting) {
            (ControlKind::Boolean, Setting::Switch(on)) => Ok((*on).into()),
            (ControlKind::Button, Setting::Number(_) | Setting::Switch(true)) => Ok(0),
            (ControlKind::Menu(items), Setting::Number(value))
                if items.iter().any(|item| item.value == *value) =>
            {
                Ok(*value)
            }
            (ControlKind::Menu(items), Setting::Label(label)) => {
                item_called(items, label).ok_or_else(|| refuse(list(items)))
            }
            (ControlKind::Menu(items), _) => Err(refuse(list(items))),
            (ControlKind::Integer | ControlKind::Integer64, Setting::Number(value)) => {
                if in_range(*value) {
                    return Ok(*value);
                }
                let Control { minimum, maximum, step, .. } = control;
                Err(refuse(format!("{minimum} to {maximum} in steps of {step}")))
            }
            (ControlKind::Bitmask, Setting::Number(value)) if value & !control.maximum == 0 => {
                Ok(*value)
            }
            (ControlKind::Boolean, Setting::Number(value @ (0 | 1))) => Ok(*value),
            (ControlKind::Boolean, _) => Err(refuse("true or false".into())),
            (ControlKind::Button, _) => Err(refuse("true, which presses it".into())),
            (ControlKind::Bitmask, _) => Err(refuse(format!("bits of {:#x}", control.maximum))),
            (ControlKind::Integer | ControlKind::Integer64, _) => Err(refuse("a number".into())),
            (ControlKind::Other, _) => Err(refuse("a control with a simple value".into())),
        }
    }

    fn next_control(&self, after: u32) -> Result<Option<abi::QueryExtControl>, DeviceError> {
        let mut query = abi::QueryExtControl {
            id: after | abi::CTRL_FLAG_NEXT_CTRL,
            ..abi::QueryExtControl::ZERO
        };
        match self.try_call(&abi::QUERY_EXT_CTRL, &mut query) {
            Ok(()) => Ok(Some(query)),
            Err(Errno::INVAL | Errno::NOTTY) => Ok(None),
            Err(errno) => Err(self.error(&abi::QUERY_EXT_CTRL, errno)),
        }
    }

    fn describe_control(&self, query: &abi::QueryExtControl) -> Result<Control, DeviceError> {
        let kind = match query.type_ {
            abi::CTRL_TYPE_INTEGER => ControlKind::Integer,
            abi::CTRL_TYPE_INTEGER64 => ControlKind::Integer64,
            abi::CTRL_TYPE_BITMASK => ControlKind::Bitmask,
            abi::CTRL_TYPE_BOOLEAN => ControlKind::Boolean,
            abi::CTRL_TYPE_BUTTON => ControlKind::Button,
            abi::CTRL_TYPE_MENU | abi::CTRL_TYPE_INTEGER_MENU => {
                ControlKind::Menu(self.menu(query)?)
            }
            _ => ControlKind::Other,
        };
        let name = text(&query.name);
        let has = |flag| query.flags & flag != 0;
        let mut control = Control {
            key: control_key(&name),
            name,
            kind,
            minimum: query.minimum,
            maximum: query.maximum,
            step: query.step,
            default: query.default_value,
            read_only: has(abi::CTRL_FLAG_READ_ONLY),
            inactive: has(abi::CTRL_FLAG_INACTIVE),
            value: None,
            id: query.id,
            write_only: has(abi::CTRL_FLAG_WRITE_ONLY),
        };
        if query.nr_of_dims > 0 {
            control.kind = ControlKind::Other;
        }
        let unreadable =
            control.write_only || matches!(control.kind, ControlKind::Button | ControlKind::Other);
        if !unreadable {
            control.value = self.read_control(&control)?;
        }
        Ok(control)
    }

    fn menu(&self, query: &abi::QueryExtControl) -> Result<Vec<MenuItem>, DeviceError> {
        let mut items = Vec::new();
        let last = query.maximum.clamp(0, MENU_MAX);
        for value in query.minimum.clamp(0, MENU_MAX)..=last {
            let index = u32::try_from(value).expect("clamped to 0..=MENU_MAX");
            let mut item = abi::QueryMenu { id: query.id, index, ..abi::QueryMenu::ZERO };
            match self.try_call(&abi::QUERYMENU, &mut item) {
                Ok(()) => {}
                Err(Errno::INVAL) => continue, // menus have holes
                Err(errno) => return Err(self.error(&abi::QUERYMENU, errno)),
            }
            let label = if query.type_ == abi::CTRL_TYPE_INTEGER_MENU {
                let [a, b, c, d, e, f, g, h, ..] = item.name_or_value;
                i64::from_le_bytes([a, b, c, d, e, f, g, h]).to_string()
            } else {
                text(&item.name_or_value)
            };
            items.push(MenuItem { value, label });
        }
        Ok(items)
    }

    fn read_control(&self, control: &Control) -> Result<Option<i64>, DeviceError> {
        let mut value = [ExtControl { id: control.id, ..ExtControl::default() }];
        match self.exchange(&abi::G_EXT_CTRLS, &mut value) {
            Ok(()) => {}
            // Without the device there is nothing to read; every other answer is about this control alone. Some drivers
            // refuse those that are off at present, and USB cameras have controls that do not answer (EIO, EPIPE).
            Err(errno @ (Errno::NODEV | Errno::NXIO)) => {
                return Err(self.error(&abi::G_EXT_CTRLS, errno));
            }
            Err(_) => return Ok(None),
        }
        let [low, high] = value[0].value;
        Ok(Some(if control.kind == ControlKind::Integer64 {
            (u64::from(high) << 32 | u64::from(low)).cast_signed()
        } else if control.kind == ControlKind::Bitmask {
            low.into()
        } else {
            low.cast_signed().into()
        }))
    }

    fn write_control(&self, control: &Control, value: i64) -> Result<(), DeviceError> {
        // The low half holds the values of 32 bits, the high one their sign.
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        let halves = [[a, b, c, d], [e, f, g, h]].map(u32::from_le_bytes);
        let mut controls = [ExtControl { id: control.id, value: halves, ..ExtControl::default() }];
        match self.exchange(&abi::S_EXT_CTRLS, &mut controls) {
            Ok(()) => Ok(()),
            Err(errno @ (Errno::NODEV | Errno::NXIO)) => Err(self.error(&abi::S_EXT_CTRLS, errno)),
            Err(errno) => Err(write_refused(self.path(), &control.key, value, errno)),
        }
    }

    fn exchange(
        &self,
        request: &Request<ExtControls>,
        controls: &mut [ExtControl; 1],
    ) -> Result<(), Errno> {
        let mut argument = ExtControls::current(controls);
        // SAFETY: the one pointer inside is that of `controls`, one element long as `count` says, which stays
        // exclusively borrowed until after the call. `size` of each is 0, so the kernel follows no pointer in them.
        unsafe { abi::call_with_pointers(self, request, &mut argument) }
    }

    fn refuse(&self, control: &str, found: String, expected: String) -> DeviceError {
        DeviceError::Control {
            device: self.path().to_owned(),
            control: control.to_owned(),
            found,
            expected,
            transient: false,
        }
    }
}

/// What the driver's answer to a write says of the control.
fn write_refused(device: &str, control: &str, value: i64, errno: Errno) -> DeviceError {
    let expected = match errno {
        // Not "in use by another program": the driver has grabbed this control for as long as it streams.
        Errno::BUSY => "a control that can be set now (this one is held while the device is used)",
        Errno::IO | Errno::PIPE | Errno::TIMEDOUT | Errno::ILSEQ | Errno::PROTO => {
            "a device that answers"
        }
        _ => "a value that it takes",
    };
    DeviceError::Control {
        device: device.to_owned(),
        control: control.to_owned(),
        found: format!("{value}, which the driver refuses ({errno})"),
        expected: expected.to_owned(),
        transient: !matches!(errno, Errno::RANGE | Errno::INVAL | Errno::ACCESS),
    }
}

fn is_idle(flags: u32) -> bool {
    let ignored =
        flags & abi::CTRL_FLAG_VOLATILE != 0 && flags & abi::CTRL_FLAG_EXECUTE_ON_WRITE == 0;
    ignored || flags & abi::CTRL_FLAG_INACTIVE != 0
}

/// Whether a control's name says that it may set the other by itself: `gain_automatic` and `gain`, `auto_exposure` and
/// `exposure_time_absolute`.
fn may_command(key: &str, other: &str) -> bool {
    let is_auto = |part: &str| part.starts_with("auto");
    key != other
        && key.split('_').any(is_auto)
        && key.split('_').any(|part| !is_auto(part) && other.split('_').any(|word| word == part))
}

/// The value of the item of this label: exactly so or, if only one fits, in any case and punctuation. A sign is
/// punctuation: "-1000" must not be "1000".
fn item_called(items: &[MenuItem], label: &str) -> Option<i64> {
    if let Some(item) = items.iter().find(|item| item.label == label) {
        return Some(item.value);
    }
    let key = control_key(label);
    let mut named = items.iter().filter(|item| control_key(&item.label) == key);
    match (named.next(), named.next()) {
        (Some(item), None) => Some(item.value),
        _ => None,
    }
}

fn list(items: &[MenuItem]) -> String {
    let items: Vec<String> =
        items.iter().map(|item| format!("{} ({:?})", item.value, item.label)).collect();
    format!("one of {}", items.join(", "))
}

/// Longer menus are not for people.
const MENU_MAX: i64 = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v4l2::Recovery;

    #[test]
    fn a_label_keeps_its_sign() {
        let labels = ["-1000", "0", "1000", "Manual Mode"];
        let items: Vec<MenuItem> = (0..)
            .zip(labels)
            .map(|(value, label)| MenuItem { value, label: label.to_owned() })
            .collect();
        for (label, expected) in [
            ("1000", Some(2)),
            ("-1000", Some(0)),
            ("manual mode", Some(3)),
            ("MANUAL-MODE", Some(3)),
            (" 1000", None), // of two that fit
            ("sunset", None),
        ] {
            assert_eq!(item_called(&items, label), expected, "{label}");
        }
    }

    #[test]
    fn what_an_automatic_overrides_is_idle() {
        let volatile = abi::CTRL_FLAG_VOLATILE;
        for (flags, idle) in [
            (0, false),
            (volatile, true),
            (volatile | abi::CTRL_FLAG_EXECUTE_ON_WRITE, false),
            (abi::CTRL_FLAG_INACTIVE, true),
        ] {
            assert_eq!(is_idle(flags), idle, "{flags:#x}");
        }
        for (master, control, expected) in [
            ("gain_automatic", "gain", true),
            ("auto_exposure", "exposure_time_absolute", true),
            ("white_balance_automatic", "white_balance_temperature", true),
            ("gain_automatic", "gain_automatic", false),
            ("auto_exposure", "gain", false),
            ("gain", "gain_automatic", false),
        ] {
            assert_eq!(may_command(master, control), expected, "{master} {control}");
        }
    }

    /// Of a control that is held (EBUSY) nobody must say that another program has the camera.
    #[test]
    fn a_refused_write_names_the_control() {
        for (errno, recovery) in [
            (Errno::BUSY, Recovery::Reopen),
            (Errno::IO, Recovery::Reopen),
            (Errno::RANGE, Recovery::Change),
        ] {
            let error = write_refused("/dev/video0", "gain", 7, errno);
            let message = error.to_string();
            assert!(message.starts_with("/dev/video0: control gain: found 7"), "{message}");
            assert!(!message.contains("another program"), "{message}");
            assert_eq!(error.recovery(), recovery, "{message}");
        }
    }
}
