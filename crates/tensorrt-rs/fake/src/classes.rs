//! From `slots.txt` to C++ classes.

use super::FakeVersion;
use std::collections::BTreeMap;
use std::fmt::Write;

const SLOTS: &str = include_str!("../slots.txt");

/// Declarations of every class of `slots.txt` with each method at its slot, in the version's order.
pub(crate) fn header(version: FakeVersion) -> Result<String, String> {
    let wanted = format!("{}.{}", version.major, version.minor);
    let mut column = None;
    let mut classes: Vec<(String, BTreeMap<u32, String>)> = Vec::new();
    for line in SLOTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        match first {
            "version" => column = words.position(|version| version == wanted),
            "class" => {
                let class = words.next().ok_or("slots.txt: a class without a name")?;
                classes.push((class.to_owned(), BTreeMap::new()));
            }
            method => {
                let column = column.ok_or_else(|| format!("slots.txt has no version {wanted}"))?;
                let slot =
                    words.nth(column).ok_or_else(|| format!("slots.txt: {method} is short"))?;
                if slot != "-" {
                    let first = slot.split('/').next().unwrap_or(slot);
                    let slot = first.parse().map_err(|_| format!("slots.txt: {method} {slot}"))?;
                    let (_, methods) = classes.last_mut().ok_or("slots.txt: no class")?;
                    methods.insert(slot, method.to_owned());
                }
            }
        }
    }
    let mut header = String::from(
        "#pragma once\nextern \"C\" void tensorrt_fake_unexpected(char const* name, int slot);\n",
    );
    for (class, methods) in classes {
        class_of(&mut header, &class, &methods);
    }
    Ok(header)
}

fn class_of(header: &mut String, class: &str, methods: &BTreeMap<u32, String>) {
    let Some((&last, _)) = methods.last_key_value() else { return };
    for method in methods.values().filter(|method| !method.starts_with('~')) {
        let _ = writeln!(header, "#define HAS_{class}_{method}");
    }
    let _ = writeln!(header, "struct {class}\n{{");
    let mut slot = 0;
    // Classes of implementations start with their destructor, which takes two slots.
    if class.starts_with('V') {
        let _ = writeln!(header, "    virtual ~{class}() noexcept = default;");
        slot = 2;
    }
    while slot <= last {
        match methods.get(&slot) {
            Some(destructor) if destructor.starts_with('~') => {
                let _ = writeln!(header, "    virtual {destructor}() noexcept = default;");
                slot += 1;
            }
            // Where this version has a method that no fake implements, the slot stays empty.
            Some(method) => {
                let _ = writeln!(
                    header,
                    "#ifdef SIG_{class}_{method}\n    virtual SIG_{class}_{method} = 0;\n#else\n    \
                     virtual void empty{slot}() {{ tensorrt_fake_unexpected(\"{class}\", {slot}); }}\n#endif"
                );
            }
            None => {
                let _ = writeln!(
                    header,
                    "    virtual void empty{slot}() {{ tensorrt_fake_unexpected(\"{class}\", {slot}); }}"
                );
            }
        }
        slot += 1;
    }
    let _ = writeln!(header, "}};");
}
