//! One camera's view: its rays, in tiles, and what each of them sees of the ground and the sky.
//!
//! The ego drives straight ahead and the ground is the same all along the street, so rays, ground
//! distances and haze never change: they are computed once. Only the paint of the ground moves.

use crate::StreetError;
use crate::scene::{
    BAYS_RIGHT_M, EGO_LANE_M, PAVEMENT_LEFT_M, PAVEMENT_M, PAVEMENT_RIGHT_M, ROAD_LEFT_M,
    ROAD_RIGHT_M, SIGHT_M, narrow,
};
use nalgebra::Matrix4;
use occdepth_geometry::{ImageSize, camera::Camera};

/// A camera's rays and its backdrop. Everything per pixel is stored tile after tile, row-major within
/// a tile; tiles at the right and lower edge are filled up with pixels that are [`Zone::Outside`].
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) size: ImageSize,
    /// The camera's centre: x from the ego, y from the middle of the road, z from the road, metres.
    pub(crate) origin: [f32; 3],
    /// Unit directions, one array per axis.
    pub(crate) directions: [Vec<f32>; 3],
    /// Distance along the ray to the ground; infinite for the sky, 0 where there is no ray.
    pub(crate) ground_m: Vec<f32>,
    pub(crate) backdrop: Vec<Backdrop>,
    /// z in the camera's frame of each unit direction.
    pub(crate) depth_per_distance: Vec<f32>,
    pub(crate) tiles: Vec<Tile>,
    /// Tiles by the block they belong to.
    pub(crate) blocks: Vec<Block>,
    /// Angle between neighbouring pixels in the middle of the picture, radians.
    pub(crate) pixel_rad: f32,
}

/// [`TILE_WIDTH`] x [`TILE_HEIGHT`] pixels.
#[derive(Clone, Debug)]
pub(crate) struct Tile {
    /// Its first pixel in the picture.
    pub(crate) column: usize,
    pub(crate) row: usize,
    pub(crate) fan: Fan,
}

/// Neighbouring tiles, rejected together.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) fan: Fan,
    /// Indices into the tiles.
    pub(crate) tiles: Vec<usize>,
}

/// Bounds of the directions of some rays, per axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fan {
    min: [f32; 3],
    max: [f32; 3],
}

/// What a pixel shows when no object is in the way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backdrop {
    pub(crate) zone: Zone,
    /// RGB of the sky.
    pub(crate) sky: [u8; 3],
    /// Haze over the ground, 255 = nothing but haze.
    pub(crate) haze: u8,
    /// Level of the noise picture.
    pub(crate) level: u8,
    /// How much of the pixel a line along the road covers, 255 = all.
    pub(crate) line: u8,
}

/// Parts of the ground, and what is no ground.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Zone {
    /// No pixel, or no ray: the lens shows nothing there.
    #[default]
    Outside,
    Sky,
    Road,
    Bays,
    Pavement,
    Kerb,
    /// Grass, and driveways on it: left or right of the road.
    PlotLeft,
    PlotRight,
}

impl View {
    /// The view of a camera mounted at `camera_from_ego`.
    ///
    /// Rounding to f32 absorbs the last bits in which platforms differ, for every lens that is computed
    /// without a library's trigonometry (all but the fisheye).
    pub(crate) fn new(
        name: &'static str,
        camera: &Camera,
        camera_from_ego: &Matrix4<f64>,
        ego_height_m: f64,
        size: ImageSize,
    ) -> Result<Self, StreetError> {
        let rotation = camera_from_ego.fixed_view::<3, 3>(0, 0).transpose();
        let centre = -(rotation * camera_from_ego.fixed_view::<3, 1>(0, 3));
        let origin =
            [narrow(centre.x), narrow(centre.y) + EGO_LANE_M, narrow(centre.z + ego_height_m)];
        if !(origin[2] > PAVEMENT_M && origin[2] < MAX_HEIGHT_M) {
            return Err(StreetError::CameraHeight { camera: name, found_m: origin[2] });
        }
        let (width, height) = (size.width as usize, size.height as usize);
        let (across, down) = (width.div_ceil(TILE_WIDTH), height.div_ceil(TILE_HEIGHT));
        let pixels = across * down * TILE_PIXELS;
        let focal_px = (camera.intrinsics.fx * camera.intrinsics.fy).sqrt();
        let mut view = Self {
            size,
            origin,
            directions: std::array::from_fn(|_| Vec::with_capacity(pixels)),
            ground_m: Vec::with_capacity(pixels),
            backdrop: Vec::with_capacity(pixels),
            depth_per_distance: Vec::with_capacity(pixels),
            tiles: Vec::with_capacity(across * down),
            blocks: Vec::new(),
            pixel_rad: narrow(1.0 / focal_px),
        };
        for tile in 0..across * down {
            let (column, row) = (tile % across * TILE_WIDTH, tile / across * TILE_HEIGHT);
            let mut fan = Fan::EMPTY;
            for pixel in 0..TILE_PIXELS {
                let (x, y) = (column + pixel % TILE_WIDTH, row + pixel / TILE_WIDTH);
                let ray = (x < width && y < height)
                    .then(|| camera.unproject([x as f64, y as f64]).ok())
                    .flatten();
                let (direction, depth) = match ray {
                    Some(ray) => (rotation * ray, ray.z),
                    None => (nalgebra::Vector3::zeros(), 0.0),
                };
                let direction = [narrow(direction.x), narrow(direction.y), narrow(direction.z)];
                if ray.is_some() {
                    fan.include(direction);
                }
                view.push_pixel(ray.is_some(), direction, narrow(depth));
            }
            view.tiles.push(Tile { column, row, fan });
        }
        for block_row in (0..down).step_by(BLOCK_TILES) {
            for block_column in (0..across).step_by(BLOCK_TILES) {
                let mut block = Block { fan: Fan::EMPTY, tiles: Vec::new() };
                for row in block_row..(block_row + BLOCK_TILES).min(down) {
                    for column in block_column..(block_column + BLOCK_TILES).min(across) {
                        block.tiles.push(row * across + column);
                        block.fan.merge(&view.tiles[row * across + column].fan);
                    }
                }
                view.blocks.push(block);
            }
        }
        Ok(view)
    }

    fn push_pixel(&mut self, has_ray: bool, direction: [f32; 3], depth: f32) {
        for (axis, component) in self.directions.iter_mut().zip(direction) {
            axis.push(component);
        }
        self.depth_per_distance.push(depth);
        let (ground_m, zone) = match (has_ray, self.ground(direction)) {
            (false, _) => (0.0, Zone::Outside),
            (true, Some(hit)) => hit,
            (true, None) => (f32::INFINITY, Zone::Sky),
        };
        self.ground_m.push(ground_m);
        self.backdrop.push(match zone {
            Zone::Outside => Backdrop::default(),
            Zone::Sky => Backdrop { zone, sky: sky(direction[2]), ..Backdrop::default() },
            _ => self.ground_backdrop(zone, direction, ground_m),
        });
    }

    /// Where a ray meets the ground, and which part of it: first the raised sides, then what lies
    /// between the kerbs, then the kerbs themselves.
    fn ground(&self, direction: [f32; 3]) -> Option<(f32, Zone)> {
        let [_, oy, oz] = self.origin;
        let [_, dy, dz] = direction;
        if dz >= 0.0 {
            return None;
        }
        let raised_m = (PAVEMENT_M - oz) / dz;
        let y = oy + raised_m * dy;
        let zone = zone_at(y);
        let hit = if matches!(zone, Zone::Road | Zone::Bays) {
            let low_m = -oz / dz;
            let y = oy + low_m * dy;
            let low_zone = zone_at(y);
            if matches!(low_zone, Zone::Road | Zone::Bays) {
                (low_m, low_zone)
            } else {
                let kerb = if y > 0.0 { ROAD_LEFT_M } else { BAYS_RIGHT_M };
                ((kerb - oy) / dy, Zone::Kerb)
            }
        } else {
            (raised_m, zone)
        };
        (hit.0 < GROUND_FAR_M).then_some(hit)
    }

    fn ground_backdrop(&self, zone: Zone, direction: [f32; 3], ground_m: f32) -> Backdrop {
        let [_, oy, _] = self.origin;
        let y = oy + ground_m * direction[1];
        let across_m = (ground_m * self.pixel_rad).max(0.005);
        // The footprint is longer than wide; this is the edge of a square of the same area.
        let footprint_m = across_m / (-direction[2]).max(1e-4).sqrt();
        let line = match zone {
            Zone::Road => {
                let edges = band(y.abs(), 3.22, 3.34, across_m);
                edges.max(band(y, -0.06, 0.06, across_m))
            }
            Zone::Bays => band(y, ROAD_RIGHT_M - 0.12, ROAD_RIGHT_M, across_m),
            _ => 0.0,
        };
        Backdrop {
            zone,
            sky: [0; 3],
            haze: byte(255.0 * haze(ground_m)),
            level: crate::texture::level_of(footprint_m),
            line: byte(255.0 * line),
        }
    }
}

impl Fan {
    const EMPTY: Self = Self { min: [f32::INFINITY; 3], max: [f32::NEG_INFINITY; 3] };

    fn include(&mut self, direction: [f32; 3]) {
        self.merge(&Self { min: direction, max: direction });
    }

    fn merge(&mut self, other: &Self) {
        for axis in 0..3 {
            self.min[axis] = self.min[axis].min(other.min[axis]);
            self.max[axis] = self.max[axis].max(other.max[axis]);
        }
    }

    /// A lower bound of the distance at which a ray of this fan enters the box between `min` and `max`,
    /// given relative to the rays' origin; `None` when no ray does.
    ///
    /// The slab method with bounds instead of numbers: per axis, the earliest entry and the latest exit.
    pub(crate) fn nearest_entry(&self, min: [f32; 3], max: [f32; 3]) -> Option<f32> {
        if self.min[0] > self.max[0] {
            return None;
        }
        let (mut entry, mut exit) = (0.0_f32, f32::INFINITY);
        for axis in 0..3 {
            let (low, high) = (self.min[axis], self.max[axis]);
            if min[axis] > 0.0 {
                if high <= 0.0 {
                    return None;
                }
                entry = entry.max(min[axis] / high);
                exit = exit.min(if low > 0.0 { max[axis] / low } else { f32::INFINITY });
            } else if max[axis] < 0.0 {
                if low >= 0.0 {
                    return None;
                }
                entry = entry.max(max[axis] / low);
                exit = exit.min(if high < 0.0 { min[axis] / high } else { f32::INFINITY });
            } else if low > 0.0 {
                exit = exit.min(max[axis] / low);
            } else if high < 0.0 {
                exit = exit.min(min[axis] / high);
            }
        }
        (entry <= exit).then_some(entry)
    }
}

/// The part of the ground at `y`.
pub(crate) fn zone_at(y: f32) -> Zone {
    if y > PAVEMENT_LEFT_M {
        Zone::PlotLeft
    } else if y > ROAD_LEFT_M {
        Zone::Pavement
    } else if y > ROAD_RIGHT_M {
        Zone::Road
    } else if y > BAYS_RIGHT_M {
        Zone::Bays
    } else if y > PAVEMENT_RIGHT_M {
        Zone::Pavement
    } else {
        Zone::PlotRight
    }
}

/// How much haze lies before something this far away, 0 to 1.
#[inline]
pub(crate) fn haze(distance_m: f32) -> f32 {
    let part = ((distance_m - CLEAR_M) * (1.0 / (SIGHT_M - CLEAR_M))).clamp(0.0, 1.0);
    part * part
}

/// How much of a pixel of width `width` around `x` lies between `low` and `high`, 0 to 1.
#[inline]
pub(crate) fn band(x: f32, low: f32, high: f32, width: f32) -> f32 {
    let from = (x - 0.5 * width).max(low);
    let to = (x + 0.5 * width).min(high);
    ((to - from) / width).max(0.0)
}

/// A fraction of 255 as a byte.
#[inline]
pub(crate) fn byte(value: f32) -> u8 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, which is what is wanted"
    )]
    {
        (value + 0.5) as u8
    }
}

/// From the haze at the horizon to blue above, by the sine of the elevation.
fn sky(elevation: f32) -> [u8; 3] {
    let part = (elevation * 2.5).clamp(0.0, 1.0);
    let zenith = [96.0, 142.0, 206.0];
    std::array::from_fn(|i| byte(HAZE_RGB[i] + part * (zenith[i] - HAZE_RGB[i])))
}

pub(crate) const HAZE_RGB: [f32; 3] = [204.0, 212.0, 220.0];
pub(crate) const TILE_WIDTH: usize = 16;
pub(crate) const TILE_HEIGHT: usize = 8;
pub(crate) const TILE_PIXELS: usize = TILE_WIDTH * TILE_HEIGHT;
const BLOCK_TILES: usize = 5;
/// Where haze begins.
const CLEAR_M: f32 = 25.0;
/// The ground ends here, far inside the haze.
const GROUND_FAR_M: f32 = 400.0;
/// A camera above this looks down on roofs that are not modelled.
const MAX_HEIGHT_M: f32 = 6.0;
