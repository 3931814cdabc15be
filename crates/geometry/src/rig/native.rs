//! The native TOML of a rig.
//!
//! Read by hand rather than with serde, because a message must name the field, what was found there and what
//! was expected.

use super::{RigError, StereoRig, rotation, rows, transform, translation};
use crate::{
    ImageSize,
    camera::{Camera, Distortion, Intrinsics},
};
use nalgebra::{Matrix3, Matrix4, Vector3};
use std::fmt::Write as _;
use toml::{Table, Value};

pub(super) fn parse(text: &str, origin: &str) -> Result<StereoRig, RigError> {
    let table = text.parse::<Table>().map_err(|error| syntax(text, origin, &error))?;
    let mut root = Fields { origin, path: String::new(), table, known: Vec::new() };
    let name = root.string("name")?;
    let image_size = root.table("image_size", image_size)?;
    let rectified = root.boolean("rectified")?;
    let rig = StereoRig {
        name,
        image_size,
        left: root.table("left", camera)?,
        right: root.table("right", camera)?,
        right_from_left: root.table("right_from_left", rigid)?,
        left_from_ego: root.table("left_from_ego", rigid)?,
        rectified,
    };
    root.finish()?;
    rig.validate(origin)?;
    Ok(rig)
}

pub(super) fn format(rig: &StereoRig) -> String {
    let mut text = String::new();
    let ImageSize { width, height } = rig.image_size;
    write!(
        text,
        "name = {}\nimage_size = {{ width = {width}, height = {height} }} # pixels, of both cameras\n\
         rectified = {}\n",
        Value::from(rig.name.as_str()),
        rig.rectified
    )
    .expect(STRING);
    for (name, camera) in [("left", &rig.left), ("right", &rig.right)] {
        let Intrinsics { fx, fy, cx, cy } = camera.intrinsics;
        let model = camera.distortion.model();
        let coefficients = match &camera.distortion {
            Distortion::RadialTangential(k) => shortest(k).to_vec(),
            fisheye => fisheye.coefficients(),
        };
        // `{:?}` writes the shortest digits that read back as the same number, and always as a float.
        write!(
            text,
            "\n[{name}]\nmodel = \"{model}\"\nfx = {fx:?} # pixels\nfy = {fy:?}\ncx = {cx:?}\ncy = {cy:?}\n\
             coefficients = {coefficients:?}\n"
        )
        .expect(STRING);
    }
    for (name, matrix) in
        [("right_from_left", &rig.right_from_left), ("left_from_ego", &rig.left_from_ego)]
    {
        let [r0, r1, r2] = rows(&rotation(matrix));
        write!(
            text,
            "\n[{name}]\nrotation = [\n    {r0:?},\n    {r1:?},\n    {r2:?},\n]\ntranslation_m = {:?}\n",
            translation(matrix).as_slice()
        )
        .expect(STRING);
    }
    text
}

fn image_size(fields: &mut Fields<'_>) -> Result<ImageSize, RigError> {
    Ok(ImageSize { width: fields.pixels("width")?, height: fields.pixels("height")? })
}

fn camera(fields: &mut Fields<'_>) -> Result<Camera, RigError> {
    let model = fields.string("model")?;
    let intrinsics = Intrinsics {
        fx: fields.number("fx")?,
        fy: fields.number("fy")?,
        cx: fields.number("cx")?,
        cy: fields.number("cy")?,
    };
    let coefficients = fields.numbers("coefficients")?;
    let distortion = match model.as_str() {
        "radial-tangential" => Distortion::radial_tangential(&coefficients),
        "kannala-brandt" => Distortion::kannala_brandt(&coefficients),
        "double-sphere" => Distortion::double_sphere(&coefficients),
        "extended-unified" => Distortion::extended_unified(&coefficients),
        _ => return Err(fields.wrong("model", short(&format!("{model:?}")), MODELS)),
    };
    let distortion = distortion.map_err(|error| {
        fields.wrong(
            "coefficients",
            short(&format!("{coefficients:?}")),
            &format!("the coefficients of a lens: {error}"),
        )
    })?;
    Ok(Camera { intrinsics, distortion })
}

fn rigid(fields: &mut Fields<'_>) -> Result<Matrix4<f64>, RigError> {
    let rows = fields.rows("rotation")?;
    let translation = fields.vector("translation_m")?;
    Ok(transform(&Matrix3::from(rows).transpose(), &Vector3::from(translation)))
}

/// The shortest list that stands for these coefficients: without trailing zeros, as far as `OpenCV` has a
/// list of that length.
fn shortest(k: &[f64; 8]) -> &[f64] {
    let used = k.iter().rposition(|&c| c != 0.0).map_or(0, |last| last + 1);
    let length = [0, 4, 5, 8].into_iter().find(|&length| length >= used);
    &k[..length.expect("at most 8 are used")]
}

fn syntax(text: &str, origin: &str, error: &toml::de::Error) -> RigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    RigError::Syntax {
        origin: origin.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before.chars().rev().take_while(|&c| c != '\n').count() + 1,
        message: error.message().replace('\n', " "),
    }
}

/// A table that is taken apart key by key.
struct Fields<'a> {
    origin: &'a str,
    /// Dotted path of the table, with a dot at its end; empty for the root.
    path: String,
    /// What has not been taken yet.
    table: Table,
    /// What has been asked for.
    known: Vec<&'static str>,
}

impl Fields<'_> {
    fn take(&mut self, key: &'static str, expected: &'static str) -> Result<Value, RigError> {
        self.known.push(key);
        self.table.remove(key).ok_or_else(|| RigError::Missing {
            origin: self.origin.to_owned(),
            field: format!("{}{key}", self.path),
            expected,
        })
    }

    fn wrong(&self, key: &str, found: String, expected: &str) -> RigError {
        RigError::Value {
            origin: self.origin.to_owned(),
            field: format!("{}{key}", self.path),
            found,
            expected: expected.to_owned(),
        }
    }

    /// Takes a key and converts it; `convert` returns the value back when it is of another type.
    fn convert<T>(
        &mut self,
        key: &'static str,
        expected: &'static str,
        convert: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T, RigError> {
        let value = self.take(key, expected)?;
        convert(&value).ok_or_else(|| self.wrong(key, describe(&value), expected))
    }

    fn string(&mut self, key: &'static str) -> Result<String, RigError> {
        self.convert(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    fn boolean(&mut self, key: &'static str) -> Result<bool, RigError> {
        self.convert(key, "true or false", Value::as_bool)
    }

    fn pixels(&mut self, key: &'static str) -> Result<u32, RigError> {
        self.convert(key, "a positive whole number of pixels", |value| {
            value.as_integer().and_then(|n| u32::try_from(n).ok())
        })
    }

    fn number(&mut self, key: &'static str) -> Result<f64, RigError> {
        self.convert(key, "a number", number)
    }

    fn numbers(&mut self, key: &'static str) -> Result<Vec<f64>, RigError> {
        self.convert(key, "a list of numbers", |value| {
            value.as_array()?.iter().map(number).collect()
        })
    }

    fn vector(&mut self, key: &'static str) -> Result<[f64; 3], RigError> {
        self.convert(key, "a list of three numbers", vector)
    }

    fn rows(&mut self, key: &'static str) -> Result<[[f64; 3]; 3], RigError> {
        self.convert(key, "three rows of three numbers", |value| {
            let rows: Option<Vec<_>> = value.as_array()?.iter().map(vector).collect();
            rows?.try_into().ok()
        })
    }

    fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Fields<'_>) -> Result<T, RigError>,
    ) -> Result<T, RigError> {
        match self.take(key, "a table")? {
            Value::Table(table) => {
                let path = format!("{}{key}.", self.path);
                let mut fields = Fields { origin: self.origin, path, table, known: Vec::new() };
                let value = read(&mut fields)?;
                fields.finish()?;
                Ok(value)
            }
            other => Err(self.wrong(key, describe(&other), "a table")),
        }
    }

    /// Refuses what is left.
    fn finish(self) -> Result<(), RigError> {
        match self.table.keys().next() {
            None => Ok(()),
            Some(key) => Err(RigError::UnknownKey {
                origin: self.origin.to_owned(),
                field: format!("{}{}", self.path, short(key)),
                expected: self.known.join(", "),
            }),
        }
    }
}

/// A float, or an integer that somebody wrote in place of one.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(float) => Some(*float),
        // Exact up to 2^53, far beyond what a rig may hold.
        Value::Integer(integer) => Some(*integer as f64),
        _ => None,
    }
}

fn vector(value: &Value) -> Option<[f64; 3]> {
    let numbers: Option<Vec<f64>> = value.as_array()?.iter().map(number).collect();
    numbers?.try_into().ok()
}

/// Type and value, on one line of bearable length.
fn describe(value: &Value) -> String {
    format!("the {} {}", value.type_str(), short(&value.to_string()))
}

fn short(text: &str) -> String {
    let text = text.replace('\n', " ");
    if text.chars().count() <= FOUND_MAX_CHARS {
        return text;
    }
    text.chars().take(FOUND_MAX_CHARS).chain("...".chars()).collect()
}

const MODELS: &str =
    "\"radial-tangential\", \"kannala-brandt\", \"double-sphere\" or \"extended-unified\"";
const FOUND_MAX_CHARS: usize = 80;
const STRING: &str = "writing to a String does not fail";
