//! `occdepth camera probe`.

use super::{Failure, describe, device_failure};
use crate::cli::output;
use clap::Args;
use occdepth_capture::v4l2::{
    Control, ControlKind, Device, DeviceError, OfferedFormat, OfferedSize, Stream,
};
use occdepth_geometry::ImageSize;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The device, such as /dev/video0
    device: PathBuf,

    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// A format with the sizes and rates in which it is offered.
struct Offer {
    format: OfferedFormat,
    sizes: Vec<(OfferedSize, Vec<f64>)>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let device = Device::open(&arguments.device).map_err(device_failure)?;
    let offers = offers(&device).map_err(device_failure)?;
    let controls = device.controls().map_err(device_failure)?;
    let identity = device.identity().clone();
    let present = device.format().map_err(device_failure)?;
    let rate = device.rate().map_err(device_failure)?;
    // Last, because it starts a stream; a camera that is in use can still be probed.
    let export = Stream::start(device, 2).and_then(|stream| stream.export(0, 0));
    let export = match export {
        Ok(Some(_)) => "yes".to_owned(),
        Ok(None) => "no".to_owned(),
        Err(error) => format!("not known: {error}"),
    };
    if arguments.json {
        return output::print_json(&json!({
            "device": arguments.device,
            "kind": describe(identity.kind),
            "name": identity.card,
            "driver": identity.driver,
            "bus": identity.bus,
            "multi_planar": identity.multi_planar,
            "present": {
                "format": present.code.to_string(),
                "width": present.size.width,
                "height": present.size.height,
                "planes": present.planes.len(),
                "rate_hz": rate,
            },
            "dmabuf_export": export,
            "formats": offers.iter().map(offer_json).collect::<Vec<_>>(),
            "controls": controls.iter().map(control_json).collect::<Vec<_>>(),
        }));
    }
    let mut text = format!(
        "{}: {} ({}, {})\n",
        arguments.device.display(),
        identity.card,
        identity.driver,
        identity.bus
    );
    text += &format!(
        "delivers {} {} in {} plane(s), {} images/s; DMABUF export: {export}\n\nformats\n",
        present.code,
        size_text(present.size),
        present.planes.len(),
        rate.map_or_else(|| "an unknown number of".to_owned(), |rate| format!("{rate:.3}")),
    );
    for offer in &offers {
        text += &format!("  {:6} {}\n", offer.format.code.to_string(), offer.format.description);
        for (size, rates) in &offer.sizes {
            let rates: Vec<String> = rates.iter().map(|rate| format!("{rate:.4}")).collect();
            let rates: Vec<&str> =
                rates.iter().map(|r| r.trim_end_matches('0').trim_end_matches('.')).collect();
            text += &format!("         {}  {}\n", offered_text(*size), rates.join(" "));
        }
    }
    text += "\ncontrols (names as [source.controls] takes them)\n";
    for control in &controls {
        text += &control_text(control);
    }
    output::print(text.as_bytes())
}

fn offers(device: &Device) -> Result<Vec<Offer>, DeviceError> {
    let mut offers = Vec::new();
    for format in device.formats()? {
        let mut sizes = Vec::new();
        for size in device.sizes(format.code)? {
            let largest = match size {
                OfferedSize::Exact(size) => size,
                OfferedSize::Range { greatest, .. } => greatest,
            };
            sizes.push((size, device.rates(format.code, largest)?));
        }
        offers.push(Offer { format, sizes });
    }
    Ok(offers)
}

fn size_text(size: ImageSize) -> String {
    format!("{}x{}", size.width, size.height)
}

fn offered_text(size: OfferedSize) -> String {
    match size {
        OfferedSize::Exact(size) => size_text(size),
        OfferedSize::Range { least, greatest, step } => format!(
            "{} to {} in steps of {}",
            size_text(least),
            size_text(greatest),
            size_text(step)
        ),
    }
}

fn control_text(control: &Control) -> String {
    let Control { key, minimum, maximum, step, default, .. } = control;
    let mut text = format!("  {key}");
    match &control.kind {
        ControlKind::Boolean => text += " = true or false",
        ControlKind::Menu(items) => {
            let items: Vec<String> =
                items.iter().map(|item| format!("{} {:?}", item.value, item.label)).collect();
            text += &format!(" = one of {}", items.join(", "));
        }
        ControlKind::Button => text += " (a button)",
        ControlKind::Other => text += " (cannot be set here)",
        ControlKind::Bitmask => text += &format!(" = bits of {maximum:#x}"),
        ControlKind::Integer | ControlKind::Integer64 => {
            text += &format!(" = {minimum} to {maximum}");
            if *step > 1 {
                text += &format!(" in steps of {step}");
            }
        }
    }
    if let Some(value) = control.value {
        text += &format!("; is {value}, default {default}");
    }
    if control.read_only {
        text += "; read only";
    }
    if control.inactive {
        text += "; without effect at present";
    }
    text + "\n"
}

fn offer_json(offer: &Offer) -> Value {
    let sizes: Vec<Value> = offer
        .sizes
        .iter()
        .map(|(size, rates)| match size {
            OfferedSize::Exact(size) => {
                json!({ "width": size.width, "height": size.height, "rates_hz": rates })
            }
            OfferedSize::Range { least, greatest, step } => json!({
                "least": [least.width, least.height],
                "greatest": [greatest.width, greatest.height],
                "step": [step.width, step.height],
                "rates_hz": rates,
            }),
        })
        .collect();
    json!({
        "format": offer.format.code.to_string(),
        "description": offer.format.description,
        "compressed": offer.format.compressed,
        "emulated": offer.format.emulated,
        "sizes": sizes,
    })
}

fn control_json(control: &Control) -> Value {
    let menu = match &control.kind {
        ControlKind::Menu(items) => Some(
            items
                .iter()
                .map(|item| json!({ "value": item.value, "label": item.label }))
                .collect::<Vec<_>>(),
        ),
        _ => None,
    };
    let kind = match control.kind {
        ControlKind::Integer => "integer",
        ControlKind::Integer64 => "integer64",
        ControlKind::Bitmask => "bitmask",
        ControlKind::Boolean => "boolean",
        ControlKind::Menu(_) => "menu",
        ControlKind::Button => "button",
        ControlKind::Other => "other",
    };
    json!({
        "key": control.key,
        "name": control.name,
        "kind": kind,
        "minimum": control.minimum,
        "maximum": control.maximum,
        "step": control.step,
        "default": control.default,
        "value": control.value,
        "menu": menu,
        "read_only": control.read_only,
        "inactive": control.inactive,
    })
}
