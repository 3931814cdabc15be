//! Recipes: what they say, and what cannot be meant.

use occdepth::engine::recipe::{ProfilingDetail, Recipe, RecipePrecision};
use proptest::prelude::*;
use std::path::Path;

fn parse(text: &str) -> Result<Recipe, String> {
    Recipe::parse(text, Path::new("a/b.toml")).map_err(|error| error.to_string())
}

#[test]
fn every_key_is_read() {
    let recipe = parse(
        "network = 'n.onnx'\nprecision = 'int8'\nworkspace_mib = 512\noptimization_level = 5\ndla_core = 1\n\
         gpu_fallback = true\nprofiling = 'detailed'\nboard = 'orin-nx-16gb'\n",
    )
    .unwrap();
    assert_eq!(
        recipe,
        Recipe {
            network: Some("a/n.onnx".into()),
            precision: RecipePrecision::Int8,
            tf32: false,
            workspace_mib: Some(512),
            optimization_level: 5,
            dla_core: Some(1),
            gpu_fallback: true,
            profiling: ProfilingDetail::Detailed,
            board: Some("orin-nx-16gb".into()),
        }
    );
}

#[test]
fn the_shortest_recipe_is_the_bundled_network() {
    let recipe = parse("precision = 'fp16'").unwrap();
    assert_eq!(recipe, Recipe::of_network(None, RecipePrecision::Fp16));
    assert!(!recipe.tf32, "fp32 means fp32 unless somebody says otherwise");
}

#[test]
fn what_cannot_be_meant_is_refused_by_field() {
    for (text, names) in [
        ("", &["a/b.toml", "precision", "missing"][..]),
        ("precision = 'fp8'", &["fp8", "fp16"]),
        ("precision = 'fp16'\nspeed = 1", &["speed", "unknown field"]),
        ("precision = 'fp16'\nworkspace_mib = 0", &["a/b.toml", "`workspace_mib` is 0", "16 to"]),
        ("precision = 'fp16'\noptimization_level = 6", &["`optimization_level` is 6", "0 "]),
        ("precision = 'fp16'\ntf32 = true", &["`tf32` is true", "fp32"]),
        ("precision = 'fp32'\ndla_core = 0", &["`precision`", "fp32", "DLA"]),
        ("precision = 'fp16'\ngpu_fallback = true", &["`gpu_fallback`", "`dla_core`"]),
        ("precision = 'fp16'\ndla_core = -1", &["dla_core", "-1"]),
        ("precision = [", &["a/b.toml"]),
    ] {
        let error = parse(text).unwrap_err();
        for name in names {
            assert!(error.contains(name), "{text:?}: no {name:?} in {error}");
        }
    }
    let error = Recipe::read(Path::new("no/such/recipe.toml")).unwrap_err();
    assert!(error.to_string().contains("no/such/recipe.toml"));
}

#[test]
fn the_recipes_of_the_repository_are_recipes_of_its_networks() {
    let engines = Path::new(env!("CARGO_MANIFEST_DIR")).join("engines");
    let mut found = 0;
    for entry in std::fs::read_dir(&engines).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let recipe = Recipe::read(&path).unwrap();
            let network = recipe.network.expect("it names its network");
            // Published networks are exported by whoever has the checkpoint: their presets are here.
            let preset = format!("{}.toml", network.file_stem().unwrap().to_str().unwrap());
            let exported = Path::new(env!("CARGO_MANIFEST_DIR")).join("host/presets").join(preset);
            let known = network.exists() || exported.exists();
            assert!(known, "{}: {}", path.display(), network.display());
            found += 1;
        }
    }
    // Every recipe that a board's profile recommends is there.
    for profile in occdepth::board::profile::catalogue() {
        let path = engines.join(format!("{}.toml", profile.recommended.recipe()));
        assert!(path.exists(), "{} recommends {}", profile.name, path.display());
        found += 1;
    }
    assert!(found >= 8, "{found} recipes");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_recipe_of_known_keys_makes_it_panic(
        precision in "(fp32|fp16|int8|bf16)",
        workspace in any::<i64>(),
        level in any::<i16>(),
        core in any::<i16>(),
        fallback in any::<bool>(),
    ) {
        let text = format!(
            "precision = '{precision}'\nworkspace_mib = {workspace}\noptimization_level = {level}\n\
             dla_core = {core}\ngpu_fallback = {fallback}\n"
        );
        if let Ok(recipe) = parse(&text) {
            prop_assert!((16..=1 << 20).contains(&workspace) && (0..=5).contains(&level));
            prop_assert!(recipe.precision != RecipePrecision::Fp32);
        }
    }
}
