//! Headers are found from where the library is, in each way that NVIDIA packs them.

use std::fs;
use tensorrt_rs::abi::header_dir;

#[test]
fn headers_are_found_beside_the_library_of_each_packing() {
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    let layouts = [
        (format!("usr/lib/{triplet}"), format!("usr/include/{triplet}")),
        (
            format!("TensorRT-10.3.0.26/targets/{triplet}/lib"),
            "TensorRT-10.3.0.26/include".to_owned(),
        ),
        ("opt/tensorrt/lib".to_owned(), "opt/tensorrt/include".to_owned()),
    ];
    for (lib, include) in layouts {
        let root = tempfile::tempdir().expect("a temporary directory");
        let (lib, include) = (root.path().join(lib), root.path().join(include));
        fs::create_dir_all(&lib).expect("made");
        fs::create_dir_all(&include).expect("made");
        let library = lib.join("libnvinfer.so.10");
        fs::write(&library, "").expect("written");
        assert_ne!(header_dir(&library).as_deref(), Some(include.as_path()), "without NvInfer.h");
        fs::write(include.join("NvInfer.h"), "").expect("written");
        assert_eq!(header_dir(&library).as_deref(), Some(include.as_path()));
        // A link elsewhere leads to the same headers.
        let elsewhere = tempfile::tempdir().expect("a temporary directory");
        let link = elsewhere.path().join("libnvinfer.so");
        std::os::unix::fs::symlink(&library, &link).expect("linked");
        let found = header_dir(&link).expect("found through the link");
        assert_eq!(found, include.canonicalize().expect("it exists"));
    }
}
