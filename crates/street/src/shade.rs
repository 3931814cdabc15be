//! The colour of what a ray meets: noise, paint, diffuse light, haze.

use crate::scene::{Paint, Primitive, Scene, Shape};
use crate::texture::{Noise, level_of};
use crate::trace::{Hits, NOTHING};
use crate::view::{Backdrop, HAZE_RGB, TILE_PIXELS, TILE_WIDTH, View, Zone, band, byte, haze};
use crate::{class, driveways::Driveways};

/// What the colours of a moment follow from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) noise: &'a Noise,
    pub(crate) driveways: Driveways,
}

impl Palette<'_> {
    /// Paints one tile of `view` into its RGB8 picture.
    pub(crate) fn paint(&self, view: &View, tile: usize, hits: &Hits, rgb: &mut [u8]) {
        let start = tile * TILE_PIXELS;
        let tile = &view.tiles[tile];
        let (width, height) = (view.size.width as usize, view.size.height as usize);
        let columns = TILE_WIDTH.min(width - tile.column);
        let rows = (TILE_PIXELS / TILE_WIDTH).min(height - tile.row);
        let [x, y, z] = &view.directions;
        for row in 0..rows {
            let first = (tile.row + row) * width + tile.column;
            let out = rgb[3 * first..3 * (first + columns)].as_chunks_mut().0;
            for (column, pixel) in out.iter_mut().enumerate() {
                let i = row * TILE_WIDTH + column;
                let direction = [x[start + i], y[start + i], z[start + i]];
                let distance_m = hits.distance_m[i];
                let at: [f32; 3] =
                    std::array::from_fn(|axis| view.origin[axis] + distance_m * direction[axis]);
                *pixel = match hits.object[i] {
                    NOTHING => self.ground(view.backdrop[start + i], at, direction, view),
                    object => {
                        let primitive = &self.scene.primitives[object as usize];
                        let footprint_m = distance_m * view.pixel_rad;
                        let colour = self.object(primitive, at, direction, footprint_m);
                        hazy(colour, haze(distance_m))
                    }
                };
            }
        }
    }

    fn ground(
        &self,
        backdrop: Backdrop,
        at: [f32; 3],
        direction: [f32; 3],
        view: &View,
    ) -> [u8; 3] {
        let (x, y) = (at[0] + self.scene.ego_x_m, at[1]);
        let level = backdrop.level;
        let (base, contrast) = match backdrop.zone {
            Zone::Outside => return [0; 3],
            Zone::Sky => return backdrop.sky,
            Zone::Road => ([92.0, 92.0, 96.0], 0.55),
            Zone::Bays => ([112.0, 108.0, 106.0], 0.5),
            Zone::Pavement => ([156.0, 150.0, 142.0], 0.5),
            Zone::Kerb => {
                let noise = self.noise.sample(x, at[2], level);
                return hazy(
                    scaled([138.0; 3], 0.8 * contrasted(noise, 0.5)),
                    f32::from(backdrop.haze) / 255.0,
                );
            }
            zone @ (Zone::PlotLeft | Zone::PlotRight) => {
                if self.driveways.cover(x, zone) {
                    ([134.0, 118.0, 110.0], 0.5)
                } else {
                    ([92.0, 110.0, 60.0], 0.9)
                }
            }
        };
        // The same noise eight times as large breaks its repetition.
        let fine = contrasted(self.noise.sample(x, y, level), contrast);
        let coarse =
            contrasted(self.noise.sample(0.125 * x, 0.125 * y, level.saturating_sub(3)), 0.4);
        let mut colour = scaled(base, fine * coarse);
        if backdrop.line > 0 {
            let along_m =
                (at[0] * at[0] + at[1] * at[1]).sqrt() * view.pixel_rad / (-direction[2]).max(1e-3);
            let dash = if y.abs() > 1.0 { 1.0 } else { dash(x, along_m.max(0.01)) };
            let part = dash * f32::from(backdrop.line) / 255.0;
            let white = 208.0 * fine;
            colour = colour.map(|c| c + part * (white - c));
        }
        hazy(colour, f32::from(backdrop.haze) / 255.0)
    }

    fn object(
        &self,
        primitive: &Primitive,
        at: [f32; 3],
        direction: [f32; 3],
        footprint_m: f32,
    ) -> [f32; 3] {
        let local: [f32; 3] = std::array::from_fn(|axis| at[axis] - primitive.min[axis]);
        let size: [f32; 3] = std::array::from_fn(|axis| primitive.max[axis] - primitive.min[axis]);
        let (axis, light) = match primitive.shape {
            Shape::Box => {
                let axis = face(local, size);
                let facing = usize::from(direction[axis] < 0.0);
                (axis, BOX_LIGHT[axis][facing])
            }
            Shape::Cylinder | Shape::Sphere => {
                let normal: [f32; 3] = std::array::from_fn(|axis| match primitive.shape {
                    Shape::Cylinder if axis == 2 => 0.0,
                    _ => local[axis] * (2.0 / size[axis]) - 1.0,
                });
                (steepest(normal), diffuse(normal))
            }
        };
        // The two coordinates of the surface that the noise is laid on: a round one wears it as the box
        // around it would.
        let (u, v) = match axis {
            0 => (local[1], local[2]),
            1 => (local[0], local[2]),
            _ => (local[0], local[1]),
        };
        let slant = direction[axis].abs().max(0.2);
        let footprint_m = footprint_m / slant;
        let level = level_of(footprint_m);
        let (tu, tv) = (u + primitive.texture_m, v + 3.0 * primitive.texture_m);
        let noise = self.noise.sample(tu, tv, level);
        let (mut colour, contrast) = (primitive.colour, contrast_of(primitive.paint));
        match primitive.paint {
            Paint::Plain | Paint::Leaves => {}
            Paint::Facade => {
                if axis < 2 {
                    let part = window(u, v, size[axis ^ 1], size[2], footprint_m);
                    let glass = [52.0, 62.0, 78.0];
                    colour = mixed(colour, glass, part);
                }
            }
            Paint::CarBody => {
                if axis == 1 {
                    let wheel = |x: f32| {
                        let (dx, dz) = (u - x, v - 0.12);
                        dx * dx + dz * dz < 0.1
                    };
                    if wheel(0.75) || wheel(size[0] - 0.75) {
                        colour = [28.0; 3];
                    }
                } else if axis == 0 && band(v, 0.35, 0.5, footprint_m) > 0.5 {
                    let lamps = if direction[0] > 0.0 {
                        [150.0, 20.0, 20.0]
                    } else {
                        [230.0, 228.0, 210.0]
                    };
                    if u < 0.35 || u > size[1] - 0.35 {
                        colour = lamps;
                    }
                }
            }
            Paint::CarCabin => {
                if axis < 2 {
                    let glass = band(v, 0.08, 0.45, footprint_m);
                    colour = mixed(colour, [36.0, 44.0, 54.0], glass);
                }
            }
            Paint::Boards => {
                let board = u - 0.2 * floor(u * 5.0);
                colour = scaled(colour, 1.0 - 0.6 * band(board, 0.0, 0.05, footprint_m).min(1.0));
            }
            Paint::Sign => {
                if axis == 0 {
                    let part = band(u, 0.18, size[1] - 0.18, footprint_m)
                        * band(v, 0.18, size[2] - 0.18, footprint_m);
                    colour = mixed(colour, [232.0; 3], part);
                }
            }
        }
        scaled(colour, light * contrasted(noise, contrast))
    }
}

/// The class of what a ray meets.
pub(crate) fn class_of(
    scene: &Scene,
    driveways: Driveways,
    object: u32,
    zone: Zone,
    x_m: f32,
) -> u8 {
    if object != NOTHING {
        return scene.primitives[object as usize].class;
    }
    match zone {
        Zone::Outside | Zone::Sky => class::EMPTY,
        Zone::Road => class::ROAD,
        Zone::Bays => class::PARKING,
        Zone::Pavement | Zone::Kerb => class::SIDEWALK,
        Zone::PlotLeft | Zone::PlotRight => {
            if driveways.cover(x_m + scene.ego_x_m, zone) {
                class::OTHER_GROUND
            } else {
                class::TERRAIN
            }
        }
    }
}

/// The axis of the face on which a point of a box's surface lies.
#[inline]
fn face(local: [f32; 3], size: [f32; 3]) -> usize {
    let inside = |axis: usize| local[axis].min(size[axis] - local[axis]).abs();
    let (x, y, z) = (inside(0), inside(1), inside(2));
    if x < y && x < z {
        0
    } else if y < z {
        1
    } else {
        2
    }
}

/// The axis along which a normal points most.
#[inline]
fn steepest(normal: [f32; 3]) -> usize {
    let [x, y, z] = normal.map(f32::abs);
    if x > y && x > z {
        0
    } else if y > z {
        1
    } else {
        2
    }
}

/// How much of a footprint at (u, v) of a wall is window: one each 3 m, on each floor of 3 m.
fn window(u: f32, v: f32, wall_m: f32, height_m: f32, footprint_m: f32) -> f32 {
    if v > height_m - 0.6 || u > wall_m - 0.4 {
        return 0.0;
    }
    let column = u - 3.0 * floor(u * (1.0 / 3.0));
    let row = v - 3.0 * floor(v * (1.0 / 3.0));
    let [left, right] = [0.9, 2.1];
    let frame = band(column, left, right, footprint_m) * band(row, 1.0, 2.4, footprint_m);
    let cross = band(column, 1.47, 1.53, footprint_m).max(band(row, 1.9, 1.96, footprint_m));
    frame * (1.0 - 0.7 * cross)
}

/// How much of a footprint at `x` along the road lies on a dash: 3 m of every 8.
fn dash(x: f32, footprint_m: f32) -> f32 {
    let along = x - 8.0 * floor(x * 0.125);
    band(along, 2.0, 5.0, footprint_m).min(1.0)
}

fn contrast_of(paint: Paint) -> f32 {
    match paint {
        Paint::Leaves => 1.1,
        Paint::CarBody | Paint::CarCabin => 0.25,
        Paint::Facade | Paint::Plain | Paint::Boards => 0.6,
        Paint::Sign => 0.2,
    }
}

/// Light on a surface: as much from everywhere, and from a sun over the left shoulder.
fn diffuse(normal: [f32; 3]) -> f32 {
    let towards: f32 = (0..3).map(|axis| normal[axis] * SUN[axis]).sum();
    AMBIENT + (1.0 - AMBIENT) * towards.max(0.0)
}

/// A factor about 1 from a noise value of 0 to 255.
#[inline]
fn contrasted(noise: f32, contrast: f32) -> f32 {
    1.0 + contrast * (noise * (1.0 / 128.0) - 1.0)
}

#[inline]
fn scaled(colour: [f32; 3], factor: f32) -> [f32; 3] {
    colour.map(|c| c * factor)
}

#[inline]
fn mixed(from: [f32; 3], to: [f32; 3], part: f32) -> [f32; 3] {
    std::array::from_fn(|i| from[i] + part * (to[i] - from[i]))
}

#[inline]
fn hazy(colour: [f32; 3], part: f32) -> [u8; 3] {
    mixed(colour, HAZE_RGB, part).map(byte)
}

/// The whole number below, for values within 2^22 of zero; `f32::floor` is a library call on the oldest
/// x86-64.
#[inline]
pub(crate) fn floor(value: f32) -> f32 {
    let nearest = crate::texture::nearest(value) as f32;
    if nearest > value { nearest - 1.0 } else { nearest }
}

/// Towards the sun, a unit vector: (-2, 3, 6) / 7.
const SUN: [f32; 3] = [-2.0 / 7.0, 3.0 / 7.0, 6.0 / 7.0];
const AMBIENT: f32 = 0.5;

/// [`diffuse`] of the six faces of a box, by axis and whether the normal is positive.
const BOX_LIGHT: [[f32; 2]; 3] = [
    [AMBIENT + (1.0 - AMBIENT) * 2.0 / 7.0, AMBIENT],
    [AMBIENT, AMBIENT + (1.0 - AMBIENT) * 3.0 / 7.0],
    [AMBIENT, AMBIENT + (1.0 - AMBIENT) * 6.0 / 7.0],
];
