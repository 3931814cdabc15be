//! Class tables of the data sets.

use crate::Class;

/// The 20 classes of `SemanticKITTI`'s semantic scene completion: ids after its `learning_map`, id 0 is
/// empty space (255, unknown, is not a class).
///
/// Names and colours are those of `semantic-kitti.yaml` in the semantic-kitti-api (`labels` and
/// `color_map` through `learning_map_inv`). That file lists its colours as blue, green, red; here
/// they are red, green, blue.
pub fn semantic_kitti() -> Vec<Class> {
    (0..)
        .zip(SEMANTIC_KITTI_BGR)
        .map(|(id, (name, [b, g, r]))| Class { id, name: name.into(), colour: [r, g, b] })
        .collect()
}

/// In the order of the ids, colours in the order of the source.
const SEMANTIC_KITTI_BGR: [(&str, [u8; 3]); 20] = [
    ("empty", [0, 0, 0]),
    ("car", [245, 150, 100]),
    ("bicycle", [245, 230, 100]),
    ("motorcycle", [150, 60, 30]),
    ("truck", [180, 30, 80]),
    ("other-vehicle", [255, 0, 0]),
    ("person", [30, 30, 255]),
    ("bicyclist", [200, 40, 255]),
    ("motorcyclist", [90, 30, 150]),
    ("road", [255, 0, 255]),
    ("parking", [255, 150, 255]),
    ("sidewalk", [75, 0, 75]),
    ("other-ground", [75, 0, 175]),
    ("building", [0, 200, 255]),
    ("fence", [50, 120, 255]),
    ("vegetation", [0, 175, 0]),
    ("trunk", [0, 60, 135]),
    ("terrain", [80, 240, 150]),
    ("pole", [150, 240, 255]),
    ("traffic-sign", [0, 0, 255]),
];

#[cfg(test)]
mod tests {
    use super::semantic_kitti;

    #[test]
    fn ids_count_up_and_colours_are_red_green_blue() {
        let classes = semantic_kitti();
        assert_eq!(classes.len(), 20);
        assert!((0..20).zip(&classes).all(|(id, class)| class.id == id));
        // Vegetation is green and a traffic sign red in every published figure.
        assert_eq!((classes[15].name.as_str(), classes[15].colour), ("vegetation", [0, 175, 0]));
        assert_eq!((classes[19].name.as_str(), classes[19].colour), ("traffic-sign", [255, 0, 0]));
    }
}
