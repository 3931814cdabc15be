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

/// The 12 classes of `NYUv2` semantic scene completion (`SSCNet`, Song et al. 2017): id 0 is empty space
/// (255, unknown, is not a class).
///
/// Names are those of the published `OccDepth` and `MonoScene` code; colours are those that `MonoScene`
/// and its successors draw their figures with, but empty space is black as in the other tables.
pub fn nyu_v2() -> Vec<Class> {
    table(&NYU_V2)
}

/// The 14 classes of `SemanticTartanAir` (`OccDepth`'s own data set): id 0 is empty space (255, unknown,
/// is not a class).
///
/// Names are those of the published code (where `bonsai` is spelt two ways); colours are those of its
/// visualisation script, but empty space is black as in the other tables.
pub fn semantic_tartanair() -> Vec<Class> {
    table(&SEMANTIC_TARTANAIR)
}

fn table(classes: &[(&str, [u8; 3])]) -> Vec<Class> {
    (0..)
        .zip(classes)
        .map(|(id, &(name, colour))| Class { id, name: name.into(), colour })
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

/// In the order of the ids; red, green, blue.
const NYU_V2: [(&str, [u8; 3]); 12] = [
    ("empty", [0, 0, 0]),
    ("ceiling", [214, 38, 40]),
    ("floor", [43, 160, 43]),
    ("wall", [158, 216, 229]),
    ("window", [114, 158, 206]),
    ("chair", [204, 204, 91]),
    ("bed", [255, 186, 119]),
    ("sofa", [147, 102, 188]),
    ("table", [30, 119, 181]),
    ("tvs", [188, 188, 33]),
    ("furn", [255, 127, 12]),
    ("objs", [196, 175, 214]),
];

/// In the order of the ids; red, green, blue.
const SEMANTIC_TARTANAIR: [(&str, [u8; 3]); 14] = [
    ("empty", [0, 0, 0]),
    ("ceiling", [214, 38, 40]),
    ("floor", [43, 160, 43]),
    ("wall", [158, 216, 229]),
    ("window", [114, 158, 206]),
    ("chair", [204, 204, 91]),
    ("rug", [255, 186, 119]),
    ("sofa", [147, 102, 188]),
    ("screen", [30, 119, 181]),
    ("tvs", [188, 188, 33]),
    ("furn", [255, 127, 12]),
    ("clock", [196, 175, 214]),
    ("bonsai", [153, 153, 153]),
    ("objs", [150, 240, 80]),
];

#[cfg(test)]
mod tests {
    use super::{nyu_v2, semantic_kitti, semantic_tartanair};

    #[test]
    fn no_two_classes_share_a_name_or_a_colour() {
        for classes in [semantic_kitti(), nyu_v2(), semantic_tartanair()] {
            for (index, class) in classes.iter().enumerate() {
                assert_eq!(usize::from(class.id), index);
                let same = |other: &&crate::Class| {
                    other.name == class.name || other.colour == class.colour
                };
                assert_eq!(classes.iter().filter(same).count(), 1, "{}", class.name);
            }
        }
    }

    #[test]
    fn indoor_tables_begin_with_the_same_structure() {
        let names = |classes: Vec<crate::Class>| -> Vec<String> {
            classes.into_iter().map(|class| class.name).collect()
        };
        let (nyu, tartanair) = (names(nyu_v2()), names(semantic_tartanair()));
        assert_eq!((nyu.len(), tartanair.len()), (12, 14));
        assert_eq!(nyu[..6], ["empty", "ceiling", "floor", "wall", "window", "chair"]);
        assert_eq!(tartanair[..6], nyu[..6]);
    }

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
