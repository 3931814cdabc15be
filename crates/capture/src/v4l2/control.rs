//! Controls: exposure, gain, white balance and whatever else a camera has, by name.

use super::abi::{self, ExtControl, ExtControls, Request};
use super::device::{Device, text};
use super::error::DeviceError;
use rustix::io::Errno;
use std::fmt;

/// A control of a device, as it was when it was asked for.
#[expect(clippy::struct_excessive_bools, reason = "the kernel's flags, each on its own")]
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
    volatile: bool,
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
    /// Of a menu: its label, in any case.
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
    /// Every control of the device with its present value, in the driver's order.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn controls(&self) -> Result<Vec<Control>, DeviceError> {
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
                controls.push(self.describe_control(&query)?);
            }
        }
        Ok(controls)
    }

    /// Sets the control that is called `name` (any case and punctuation) and reads it back.
    ///
    /// # Errors
    /// [`DeviceError::Unsupported`] with the control's name when the device has none of that name (the message lists
    /// what it has), the value is out of range, no item of its menu, or reads back as something else.
    pub fn set_control(&self, name: &str, setting: &Setting) -> Result<(), DeviceError> {
        let control = self.control(name)?;
        let value = self.value_for(&control, setting)?;
        self.write_control(&control, value)?;
        let readable = !(control.write_only || control.volatile);
        if !readable || control.kind == ControlKind::Button {
            return Ok(());
        }
        match self.read_control(&control)? {
            Some(found) if found != value => Err(self.refuse(
                &control.key,
                format!("{found} after setting it"),
                format!("{value}, as it was set"),
            )),
            _ => Ok(()),
        }
    }

    /// The control that is called `name`, in any case and punctuation.
    ///
    /// # Errors
    /// [`DeviceError::Unsupported`] when there is none.
    pub fn control(&self, name: &str) -> Result<Control, DeviceError> {
        let key = control_key(name);
        let mut controls = self.controls()?;
        if let Some(index) = controls.iter().position(|control| control.key == key) {
            return Ok(controls.swap_remove(index));
        }
        let keys: Vec<String> = controls.into_iter().map(|control| control.key).collect();
        Err(self.refuse("control", format!("{name:?}"), format!("one of {}", keys.join(", "))))
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
            (ControlKind::Menu(items), Setting::Label(label)) => items
                .iter()
                .find(|item| control_key(&item.label) == control_key(label))
                .map(|item| item.value)
                .ok_or_else(|| refuse(list(items))),
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
            volatile: has(abi::CTRL_FLAG_VOLATILE),
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
            // Some drivers answer so for controls that are off at present.
            Err(Errno::INVAL | Errno::ACCESS | Errno::BUSY | Errno::NOTTY) => return Ok(None),
            Err(errno) => return Err(self.error(&abi::G_EXT_CTRLS, errno)),
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
            Err(errno @ (Errno::RANGE | Errno::INVAL | Errno::ACCESS)) => Err(self.refuse(
                &control.key,
                format!("{value}, which the driver refuses ({errno})"),
                "a value that it takes".into(),
            )),
            Err(errno) => Err(self.error(&abi::S_EXT_CTRLS, errno)),
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

    fn refuse(&self, field: &str, found: String, expected: String) -> DeviceError {
        DeviceError::Unsupported {
            device: self.path().to_owned(),
            field: field.to_owned(),
            found,
            expected,
        }
    }
}

fn list(items: &[MenuItem]) -> String {
    let items: Vec<String> =
        items.iter().map(|item| format!("{} ({:?})", item.value, item.label)).collect();
    format!("one of {}", items.join(", "))
}

/// Longer menus are not for people.
const MENU_MAX: i64 = 255;
