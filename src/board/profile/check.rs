//! What must hold of a profile beyond its types.

use super::{Figure, OperatingPoint, PowerModeTable, Profile, ProfileError};
use std::collections::HashSet;

impl Profile {
    /// Checks names, ranges and references.
    pub(super) fn check(&self, origin: &str) -> Result<(), ProfileError> {
        let mut checker = Checker { profile: self, origin, used: HashSet::new() };
        checker.check()
    }
}

struct Checker<'a> {
    profile: &'a Profile,
    origin: &'a str,
    /// The ids of documents that something refers to.
    used: HashSet<&'a str>,
}

impl<'a> Checker<'a> {
    fn check(&mut self) -> Result<(), ProfileError> {
        let profile = self.profile;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if profile.name.is_empty() || !profile.name.chars().all(plain) {
            let found = format!("{:?}", profile.name);
            return self.refuse("name", found, "lower-case letters, digits and hyphens");
        }
        self.unique("source", profile.sources.iter().map(|source| source.id.as_str()))?;
        self.recognise()?;
        if let Some(gpu) = &profile.gpu {
            self.range("gpu.sm_count", f64::from(gpu.sm_count), 1.0, 1024.0)?;
            self.range("gpu.cuda_cores", f64::from(gpu.cuda_cores), 1.0, 1e6)?;
            self.documents("gpu.sources", &gpu.sources)?;
        }
        if let Some(memory) = &profile.memory {
            self.range("memory.gib", memory.gib, 0.5, 4096.0)?;
            self.documents("memory.sources", &memory.sources)?;
        }
        if let Some(dla) = &profile.dla {
            self.range("dla.cores", f64::from(dla.cores), 0.0, 16.0)?;
            self.documents("dla.sources", &dla.sources)?;
        }
        let points = profile.operating_points.iter().map(|point| point.name.as_str());
        self.unique("operating_point", points)?;
        for (index, point) in profile.operating_points.iter().enumerate() {
            self.operating_point(&format!("operating_point[{index}]"), point)?;
        }
        self.unique("power_modes", profile.power_mode_tables.iter().map(|t| t.file.as_str()))?;
        for (index, table) in profile.power_mode_tables.iter().enumerate() {
            self.power_modes(&format!("power_modes[{index}]"), table)?;
        }
        if let Some(mib) = profile.recommended.workspace_mib {
            #[allow(clippy::cast_precision_loss, reason = "far below 2^52 where it is in range")]
            self.range("recommended.workspace_mib", mib as f64, 16.0, 1_048_576.0)?;
        }
        let unused = profile.sources.iter().find(|source| !self.used.contains(source.id.as_str()));
        if let Some(source) = unused {
            let found = format!("{:?}, which no figure names", source.id);
            return self.refuse("source", found, "documents that a figure comes from");
        }
        Ok(())
    }

    fn recognise(&mut self) -> Result<(), ProfileError> {
        let recognise = &self.profile.recognise;
        for module in &recognise.modules {
            if !is_module_number(module) {
                let expected = "a module number, as in \"p3767-0003\"";
                return self.refuse("recognise.modules", format!("{module:?}"), expected);
            }
        }
        if recognise.models.iter().any(String::is_empty) {
            return self.refuse("recognise.models", "\"\"".into(), "a part of a model's name");
        }
        if let Some([from, to]) = recognise.memory_gib {
            self.range("recognise.memory_gib[0]", from, 0.0, 4096.0)?;
            self.range("recognise.memory_gib[1]", to, from, 4096.0)?;
        }
        let recognises = !recognise.modules.is_empty() || !recognise.models.is_empty();
        if recognises { self.documents("recognise.sources", &recognise.sources) } else { Ok(()) }
    }

    fn operating_point(&mut self, at: &str, point: &'a OperatingPoint) -> Result<(), ProfileError> {
        self.figure(&format!("{at}.gpu_mhz"), &point.gpu_mhz, 1e5)?;
        let peak = &point.peak;
        for (name, figure, limit) in [
            ("memory_mhz", &point.memory_mhz, 1e5),
            ("bandwidth_gb_s", &point.bandwidth_gb_s, 1e5),
            ("peak.fp32", &peak.fp32, 1e6),
            ("peak.tf32", &peak.tf32, 1e6),
            ("peak.fp16", &peak.fp16, 1e6),
            ("peak.int8", &peak.int8, 1e6),
        ] {
            if let Some(figure) = figure {
                self.figure(&format!("{at}.{name}"), figure, limit)?;
            }
        }
        Ok(())
    }

    fn power_modes(&mut self, at: &str, table: &'a PowerModeTable) -> Result<(), ProfileError> {
        if self.profile.operating_point(&table.operating_point).is_none() {
            let found = format!("{:?}", table.operating_point);
            return self.refuse(&format!("{at}.operating_point"), found, "an operating point");
        }
        self.document(&format!("{at}.source"), &table.source)?;
        let sm_count = self.profile.gpu.as_ref().map_or(1024, |gpu| gpu.sm_count);
        let mut ids = HashSet::new();
        for (index, mode) in table.modes.iter().enumerate() {
            let at = format!("{at}.modes[{index}]");
            if !ids.insert(mode.id) {
                return self.refuse(&format!("{at}.id"), format!("{} again", mode.id), "each once");
            }
            for (field, value) in [
                ("gpu_mhz", mode.gpu_mhz),
                ("memory_mhz", mode.memory_mhz),
                ("cpu_mhz", mode.cpu_mhz),
            ] {
                if let Some(mhz) = value {
                    self.range(&format!("{at}.{field}"), mhz, 1.0, 1e5)?;
                }
            }
            if let Some(powered) = mode.sm_count {
                let field = format!("{at}.sm_count");
                self.range(&field, f64::from(powered), 1.0, f64::from(sm_count))?;
            }
            if let Some(cores) = mode.cpu_cores {
                self.range(&format!("{at}.cpu_cores"), f64::from(cores), 1.0, 1024.0)?;
            }
        }
        match table.default {
            Some(id) if !ids.contains(&id) => {
                self.refuse(&format!("{at}.default"), id.to_string(), "the id of one of its modes")
            }
            _ => Ok(()),
        }
    }

    fn figure(&mut self, field: &str, figure: &'a Figure, limit: f64) -> Result<(), ProfileError> {
        self.range(&format!("{field}.value"), figure.value, f64::MIN_POSITIVE, limit)?;
        self.document(&format!("{field}.source"), &figure.source)
    }

    fn documents(&mut self, field: &str, ids: &'a [String]) -> Result<(), ProfileError> {
        if ids.is_empty() {
            return self.refuse(field, "none".into(), "at least one document");
        }
        ids.iter().try_for_each(|id| self.document(field, id))
    }

    fn document(&mut self, field: &str, id: &'a str) -> Result<(), ProfileError> {
        if !self.profile.sources.iter().any(|source| source.id == id) {
            return self.refuse(field, format!("{id:?}"), "the id of a [[source]]");
        }
        self.used.insert(id);
        Ok(())
    }

    fn range(&self, field: &str, value: f64, from: f64, to: f64) -> Result<(), ProfileError> {
        if (from..=to).contains(&value) {
            return Ok(());
        }
        let from = if from > f64::MIN_POSITIVE { from.to_string() } else { "above 0".into() };
        let expected = format!("{from} to {to}");
        self.refuse(field, value.to_string(), &expected)
    }

    fn unique(
        &self,
        field: &str,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<(), ProfileError> {
        let mut seen = HashSet::new();
        for name in names {
            if name.is_empty() || !seen.insert(name) {
                return self.refuse(field, format!("{name:?}"), "names that differ");
            }
        }
        Ok(())
    }

    fn refuse(&self, field: &str, found: String, expected: &str) -> Result<(), ProfileError> {
        Err(ProfileError::Field {
            origin: self.origin.into(),
            field: field.into(),
            found,
            expected: expected.into(),
        })
    }
}

/// `p`, four digits, a hyphen, four digits.
fn is_module_number(text: &str) -> bool {
    let digits = |text: &str| text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.strip_prefix('p').and_then(|rest| rest.split_once('-'));
    number.is_some_and(|(board, sku)| digits(board) && digits(sku))
}
