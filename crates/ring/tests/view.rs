//! Derived views against brute force: every voxel is asked, one after the other.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use occdepth_ring::view::{ColumnsError, GridView, Meaning, Meanings, OccupiedVoxel, Ray, RayEnd};
use occdepth_ring::{
    Axes, Class, Grid, GridGeometry, RectifiedCamera, StreamDescription, UNKNOWN_LABEL,
};
use proptest::prelude::*;

/// 0 is free, 1 and 7 are occupied; 3 is in no table.
fn meanings() -> Meanings {
    Meanings::new(&[class(0, "empty"), class(1, "car"), class(7, "road")], &[0])
}

fn class(id: u8, name: &str) -> Class {
    Class { id, name: name.into(), colour: [0; 3] }
}

fn geometry(dims: [u32; 3]) -> GridGeometry {
    let origin_m = [-1.3, 2.0, -0.7];
    GridGeometry {
        axes: Axes::ForwardLeftUp,
        frame: "ego".into(),
        origin_m,
        voxel_size_m: 0.4,
        dims,
    }
}

fn stream(classes: Vec<Class>) -> StreamDescription {
    StreamDescription {
        stream: "front".into(),
        producer: "view tests".into(),
        grid: geometry([2, 1, 1]),
        rectified_from_ego: [[0.0; 4]; 4],
        rectified: RectifiedCamera {
            fx_px: 1.0,
            fy_px: 1.0,
            cx_px: 0.0,
            cy_px: 0.0,
            width_px: 1,
            height_px: 1,
        },
        classes,
        confidence: false,
        trained: false,
        network_sha256: [0; 32],
        engine_sha256: [0; 32],
    }
}

/// Grids that are mostly free, so that rays go far, with columns that are not.
fn grids() -> impl Strategy<Value = (GridGeometry, Vec<u8>)> {
    (1..7_u32, 1..7_u32, 1..7_u32).prop_flat_map(|(x, y, z)| {
        let label =
            prop_oneof![12 => Just(0), 2 => Just(1), 1 => Just(7), 1 => Just(3), 1 => Just(255)];
        let labels = proptest::collection::vec(label, (x * y * z) as usize);
        (Just(geometry([x, y, z])), labels)
    })
}

fn voxels(dims: [u32; 3]) -> impl Iterator<Item = [u32; 3]> {
    let [x, y, z] = dims;
    (0..x).flat_map(move |ix| (0..y).flat_map(move |iy| (0..z).map(move |iz| [ix, iy, iz])))
}

/// From where to where the ray is in a voxel, by its three pairs of faces; `None` where it is not.
fn inside(geometry: &GridGeometry, voxel: [u32; 3], ray: &Ray) -> Option<[f64; 2]> {
    let length = ray.direction.iter().map(|d| d * d).sum::<f64>().sqrt();
    let (mut from, mut to) = (0.0_f64, ray.at_most_m);
    for (axis, place) in voxel.into_iter().enumerate() {
        let low = geometry.origin_m[axis] + geometry.voxel_size_m * f64::from(place);
        let high = low + geometry.voxel_size_m;
        let direction = ray.direction[axis] / length;
        if direction == 0.0 {
            if !(low..high).contains(&ray.from_m[axis]) {
                return None;
            }
            continue;
        }
        let [a, b] = [low, high].map(|face| (face - ray.from_m[axis]) / direction);
        from = from.max(a.min(b));
        to = to.min(a.max(b));
    }
    (to - from > 1e-9).then_some([from, to])
}

/// The first voxel on the way that is not free, among all.
fn brute_force(view: &GridView<'_>, geometry: &GridGeometry, ray: &Ray) -> RayEnd {
    let mut on_the_way: Vec<_> = voxels(geometry.dims)
        .filter_map(|voxel| inside(geometry, voxel, ray).map(|span| (span, voxel)))
        .collect();
    on_the_way.sort_by(|a, b| a.0[0].total_cmp(&b.0[0]));
    for &([distance_m, _], voxel) in &on_the_way {
        match view.voxel(voxel).unwrap() {
            (label, Meaning::Occupied) => return RayEnd::Occupied { distance_m, voxel, label },
            (_, Meaning::Unknown) => return RayEnd::Unknown { distance_m, voxel },
            (_, Meaning::Free) => {}
        }
    }
    match (on_the_way.first(), on_the_way.last()) {
        (Some((first, _)), Some((last, _))) => RayEnd::Free { from_m: first[0], to_m: last[1] },
        _ => RayEnd::Outside,
    }
}

fn same(found: &RayEnd, expected: &RayEnd) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
    match (found, expected) {
        (
            RayEnd::Occupied { distance_m: a, voxel: v, label: l },
            RayEnd::Occupied { distance_m: b, voxel: w, label: m },
        ) => near(*a, *b) && v == w && l == m,
        (
            RayEnd::Unknown { distance_m: a, voxel: v },
            RayEnd::Unknown { distance_m: b, voxel: w },
        ) => near(*a, *b) && v == w,
        (RayEnd::Free { from_m: a, to_m: c }, RayEnd::Free { from_m: b, to_m: d }) => {
            near(*a, *b) && near(*c, *d)
        }
        (RayEnd::Outside, RayEnd::Outside) => true,
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_ray_meets_what_brute_force_meets(
        (geometry, labels) in grids(),
        from_m in proptest::array::uniform3(-4.0..5.0_f64),
        direction in proptest::array::uniform3(-1.0..1.0_f64),
        flat in proptest::array::uniform3(prop::bool::weighted(0.2)),
        at_most_m in prop_oneof![Just(f64::INFINITY), 0.01..6.0_f64],
    ) {
        let direction: [f64; 3] =
            std::array::from_fn(|axis| if flat[axis] { 0.0 } else { direction[axis] });
        prop_assume!(direction.iter().any(|part| part.abs() > 1e-3));
        let meanings = meanings();
        let view = GridView::new(&labels, &geometry, &meanings).unwrap();
        let ray = Ray { from_m, direction, at_most_m };
        let expected = brute_force(&view, &geometry, &ray);
        let found = view.cast(&ray);
        // A voxel that is clipped by less than the brute force's margin may be found by one of them only.
        let grazes = voxels(geometry.dims).any(|voxel| {
            let wider = Ray { at_most_m: f64::INFINITY, ..ray };
            inside(&geometry, voxel, &wider).is_some_and(|[from, to]| to - from < 1e-6)
        });
        prop_assume!(!grazes);
        prop_assert!(same(&found, &expected), "{found:?}, expected {expected:?}");
    }

    #[test]
    fn lists_and_maps_are_those_of_brute_force((geometry, labels) in grids()) {
        let meanings = meanings();
        let view = GridView::new(&labels, &geometry, &meanings).unwrap();
        let [x, y, z] = geometry.dims;
        let at = |voxel| labels[geometry.index(voxel).unwrap()];

        let occupied: Vec<OccupiedVoxel> = voxels(geometry.dims)
            .filter(|&voxel| [1, 7].contains(&at(voxel)))
            .map(|voxel| OccupiedVoxel { voxel, label: at(voxel) })
            .collect();
        prop_assert_eq!(view.occupied().collect::<Vec<_>>(), occupied.clone());
        let points: Vec<_> = view.points().collect();
        prop_assert_eq!(points.len(), occupied.len());
        for ((point, label), voxel) in points.into_iter().zip(occupied) {
            prop_assert_eq!(label, voxel.label);
            for (axis, coordinate) in point.into_iter().enumerate() {
                let corner = geometry.origin_m[axis] + 0.4 * f64::from(voxel.voxel[axis]);
                prop_assert!((coordinate - corner - 0.2).abs() < 1e-12);
            }
        }

        let columns = (x * y) as usize;
        let (mut heights, mut seen) = (vec![9.0; columns], vec![9; columns]);
        view.height_map(&mut heights).unwrap();
        view.birds_eye(&mut seen).unwrap();
        for ix in 0..x {
            for iy in 0..y {
                let column = (ix * y + iy) as usize;
                let (mut height, mut label) = (f64::NAN, UNKNOWN_LABEL);
                for iz in 0..z {
                    // From below: what is higher replaces what is lower, but nothing free what is occupied.
                    match at([ix, iy, iz]) {
                        found @ (1 | 7) => {
                            height = -0.7 + 0.4 * f64::from(iz + 1);
                            label = found;
                        }
                        0 if height.is_nan() => label = 0,
                        _ => {}
                    }
                }
                prop_assert_eq!(seen[column], label);
                let found = f64::from(heights[column]);
                prop_assert!(found.is_nan() && height.is_nan() || (found - height).abs() < 1e-6);
            }
        }
    }
}

#[test]
fn rays_that_are_none_and_rays_that_touch_are_outside() {
    // Numbers that are exact: faces are where they are.
    let exact =
        GridGeometry { origin_m: [-1.0, 2.0, -1.0], voxel_size_m: 0.5, ..geometry([2, 2, 2]) };
    let meanings = meanings();
    let labels = [1; 8];
    let view = GridView::new(&labels, &exact, &meanings).unwrap();
    let beside = [-2.0, 2.25, -0.75];
    let cast = |from_m, direction, at_most_m| view.cast(&Ray { from_m, direction, at_most_m });
    for (from_m, direction, at_most_m) in [
        (beside, [0.0; 3], 9.0),
        (beside, [f64::NAN, 0.0, 0.0], 9.0),
        (beside, [f64::INFINITY, 0.0, 0.0], 9.0),
        ([f64::NAN; 3], [1.0, 0.0, 0.0], 9.0),
        (beside, [1.0, 0.0, 0.0], f64::NAN),
        (beside, [1.0, 0.0, 0.0], -1.0),
        // Too short, away from it, past it.
        (beside, [1.0, 0.0, 0.0], 0.9),
        (beside, [-1.0, 0.0, 0.0], 9.0),
        (beside, [0.0, 1.0, 0.0], 9.0),
        // Along the upper face, and out of it.
        ([-0.75, 3.0, -0.75], [1.0, 0.0, 0.0], 9.0),
        ([-0.75, 3.0, -0.75], [0.0, 1.0, 0.0], 9.0),
    ] {
        assert_eq!(cast(from_m, direction, at_most_m), RayEnd::Outside, "{from_m:?} {direction:?}");
    }
    let within = [-0.75, 2.25, -0.75];
    let here = RayEnd::Occupied { distance_m: 0.0, voxel: [0, 0, 0], label: 1 };
    assert_eq!(cast(within, [1.0, 2.0, 3.0], 0.0), here, "a ray of no length is where it starts");
    let there = cast(beside, [2.0, 0.0, 0.0], f64::INFINITY);
    let RayEnd::Occupied { distance_m, voxel: [0, 0, 0], label: 1 } = there else {
        panic!("{there:?}")
    };
    assert!((distance_m - 1.0).abs() < 1e-12, "a direction may have any length");
}

#[test]
fn a_ray_through_a_corner_goes_along_x_then_y_then_z() {
    let exact =
        GridGeometry { origin_m: [-1.0, 2.0, -1.0], voxel_size_m: 0.5, ..geometry([2, 2, 2]) };
    let meanings = meanings();
    let corner = exact.origin_m;
    for voxel in [[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1]] {
        let mut labels = [0; 8];
        labels[exact.index(voxel).unwrap()] = 1;
        let view = GridView::new(&labels, &exact, &meanings).unwrap();
        let ray = Ray { from_m: corner, direction: [1.0; 3], at_most_m: f64::INFINITY };
        let met =
            matches!(view.cast(&ray), RayEnd::Occupied { voxel: found, .. } if found == voxel);
        assert_eq!(met, voxel[0] == 1, "{voxel:?}");
    }
}

#[test]
fn a_ray_on_a_face_is_in_the_voxel_that_it_goes_into_and_along_it_in_the_upper_one() {
    let exact =
        GridGeometry { origin_m: [-1.0, 2.0, -1.0], voxel_size_m: 0.5, ..geometry([2, 2, 2]) };
    let meanings = meanings();
    let meets = |voxel, from_m, direction| {
        let mut labels = [0; 8];
        labels[exact.index(voxel).unwrap()] = 7;
        let view = GridView::new(&labels, &exact, &meanings).unwrap();
        let ray = Ray { from_m, direction, at_most_m: f64::INFINITY };
        view.cast(&ray) == RayEnd::Occupied { distance_m: 0.0, voxel, label: 7 }
    };
    for (along, goes_into, leaves) in [(1.0, [1, 0, 0], [0, 0, 0]), (-1.0, [0, 0, 0], [1, 0, 0])] {
        let on_the_face = [-0.5, 2.25, -0.75];
        assert!(meets(goes_into, on_the_face, [along, 0.0, 0.0]));
        assert!(!meets(leaves, on_the_face, [along, 0.0, 0.0]));
    }
    let along_the_edge = [-1.0, 2.5, -0.5];
    for voxel in [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]] {
        assert_eq!(meets(voxel, along_the_edge, [1.0, 0.0, 0.0]), voxel == [0, 1, 1]);
    }
}

#[test]
fn outputs_of_another_size_are_refused_and_untouched() {
    let (geometry, meanings) = (geometry([2, 3, 4]), meanings());
    let labels = [1; 24];
    assert!(GridView::new(&labels[1..], &geometry, &meanings).is_none());
    let view = GridView::new(&labels, &geometry, &meanings).unwrap();
    assert_eq!(view.columns(), 6);
    assert_eq!(view.voxel([0, 0, 4]), None);
    let mut heights = [5.0; 5];
    let error = view.height_map(&mut heights).unwrap_err();
    assert_eq!(error, ColumnsError { field: "height map", found: 5, expected: 6 });
    assert_eq!(error.to_string(), "height map: found 5 values, expected 6, one for each column");
    assert!(view.birds_eye(&mut [0; 7]).is_err());
    assert_eq!(heights.map(f32::to_bits), [5.0_f32.to_bits(); 5]);
}

#[test]
fn the_free_class_is_found_by_name_or_is_the_lowest() {
    use Meaning::{Free, Occupied, Unknown};
    let meaning = |classes: &[(u8, &str)]| {
        let classes = classes.iter().map(|&(id, name)| class(id, name)).collect();
        let meanings = Meanings::of_stream(&stream(classes));
        [0, 1, 4, 200, 255].map(|label| meanings.of(label))
    };
    assert_eq!(meaning(&[(0, "car"), (4, "Empty")]), [Occupied, Unknown, Free, Unknown, Unknown]);
    assert_eq!(meaning(&[(1, "FREE"), (4, "empty")]), [Unknown, Free, Free, Unknown, Unknown]);
    assert_eq!(meaning(&[(4, "a"), (1, "b")]), [Unknown, Free, Occupied, Unknown, Unknown]);
    assert_eq!(meaning(&[]), [Unknown; 5]);
    // Before the first copy there is nothing to look at.
    let (stream, meanings) = (stream(vec![]), meanings());
    assert!(GridView::of(&Grid::new(), &stream, &meanings).is_none());
}
