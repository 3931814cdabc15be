//! What stands on the street at one moment: boxes, cylinders and spheres around the ego.
//!
//! The street is straight along x and divided into chunks of [`CHUNK_M`]; what stands in a chunk follows
//! from the seed and the number of the chunk. [`CHUNKS`] of them close a ring of [`STREET_M`], so that
//! the ride never ends and coordinates stay small. Positions here are `street` coordinates relative to
//! the ego: x forward from the ego's origin, y left from the middle of the road, z up from the road.

use crate::class;
use crate::hash::Random;

/// The form of a primitive; all of them fill their bounding box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The bounding box itself.
    Box,
    /// Upright, open at both ends.
    Cylinder,
    Sphere,
}

/// How a primitive is painted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    Plain,
    /// Rows of windows on the walls.
    Facade,
    /// Wheels low on the sides.
    CarBody,
    /// Glass all around.
    CarCabin,
    /// Upright boards.
    Boards,
    Leaves,
    /// A coloured plate with a white middle.
    Sign,
}

/// One solid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Primitive {
    pub(crate) shape: Shape,
    pub(crate) paint: Paint,
    pub(crate) class: u8,
    /// Bounding box: minimum and maximum corner, metres.
    pub(crate) min: [f32; 3],
    pub(crate) max: [f32; 3],
    /// RGB, 0 to 255.
    pub(crate) colour: [f32; 3],
    /// Where in the noise picture its surface starts, metres.
    pub(crate) texture_m: f32,
}

impl Primitive {
    pub(crate) fn volume(&self) -> f32 {
        (0..3).map(|axis| self.max[axis] - self.min[axis]).product()
    }

    /// Distance from a point to the bounding box.
    pub(crate) fn distance_squared(&self, point: [f32; 3]) -> f32 {
        let outside =
            |axis: usize| (self.min[axis] - point[axis]).max(point[axis] - self.max[axis]).max(0.0);
        (0..3).map(|axis| outside(axis) * outside(axis)).sum()
    }
}

/// The primitives near the ego, rebuilt in place for each moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    pub(crate) primitives: Vec<Primitive>,
    /// The ego's place on the ring, 0 to [`STREET_M`].
    pub(crate) ego_x_m: f32,
}

impl Scene {
    /// Rebuilds the scene as of `time_s`. Allocates only until the memory suffices for the fullest view.
    pub(crate) fn update(&mut self, seed: u64, time_s: f64) {
        self.primitives.clear();
        self.primitives.reserve(CAPACITY);
        let ego_x_m = (EGO_SPEED_M_S * time_s).rem_euclid(f64::from(STREET_M));
        let here = (ego_x_m / f64::from(CHUNK_M)).floor();
        #[allow(clippy::cast_possible_truncation, reason = "a whole number below CHUNKS")]
        let here_index = here as i64;
        for ahead in CHUNKS_BEHIND..=CHUNKS_AHEAD {
            let chunk = (here_index + ahead).rem_euclid(CHUNKS).unsigned_abs();
            let start_m = (here + ahead as f64) * f64::from(CHUNK_M) - ego_x_m;
            self.add_chunk(seed, chunk, narrow(start_m));
        }
        self.add_traffic(time_s);
        self.primitives.retain(|p| p.max[0] > -BEHIND_M && p.min[0] < SIGHT_M);
        self.ego_x_m = narrow(ego_x_m);
    }

    fn add_chunk(&mut self, seed: u64, chunk: u64, start_m: f32) {
        self.add_bays(&mut Random::new(seed, 8 * chunk), start_m);
        self.add_pavement(&mut Random::new(seed, 8 * chunk + 1), start_m, Side::Right);
        self.add_pavement(&mut Random::new(seed, 8 * chunk + 2), start_m, Side::Left);
        self.add_plots(&mut Random::new(seed, 8 * chunk + 3), start_m, Side::Right);
        self.add_plots(&mut Random::new(seed, 8 * chunk + 4), start_m, Side::Left);
    }

    /// Parked vehicles in the three bays of a chunk.
    fn add_bays(&mut self, random: &mut Random, start_m: f32) {
        for bay in 0..3_u8 {
            let x = start_m + (f32::from(bay) + 0.5) * CHUNK_M / 3.0;
            let kind = random.unit();
            let y = -4.65 + random.between(-0.15, 0.15);
            let x = x + random.between(-0.3, 0.3);
            if kind < 0.5 {
                self.add_car(random, x, y);
            } else if kind < 0.58 {
                self.add_van(random, x, y);
            } else if kind < 0.64 {
                let colour = [60.0, 62.0, 70.0];
                self.block(class::MOTORCYCLE, colour, [x, y, 0.25], [2.0, 0.35, 0.45], random);
                self.block(
                    class::MOTORCYCLE,
                    [30.0; 3],
                    [x + 0.6, y, 0.7],
                    [0.3, 0.6, 0.4],
                    random,
                );
                self.block(
                    class::MOTORCYCLE,
                    [25.0; 3],
                    [x - 0.7, y, 0.0],
                    [0.6, 0.15, 0.6],
                    random,
                );
                self.block(
                    class::MOTORCYCLE,
                    [25.0; 3],
                    [x + 0.7, y, 0.0],
                    [0.6, 0.15, 0.6],
                    random,
                );
            }
        }
    }

    /// Lamp posts, signs, people and bicycles on the pavement.
    fn add_pavement(&mut self, random: &mut Random, start_m: f32, side: Side) {
        let [kerb, wall] = side.pavement_m();
        let inward = (wall - kerb).signum();
        if random.chance(0.5) {
            let x = start_m + random.between(1.0, 3.0);
            let y = kerb + 0.4 * inward;
            let grey = [105.0, 110.0, 112.0];
            self.cylinder(class::POLE, grey, [x, y, PAVEMENT_M], 0.09, 6.4, random);
            self.block(class::POLE, grey, [x, y - 0.8 * inward, 6.45], [0.25, 1.8, 0.12], random);
        }
        if random.chance(0.4) {
            let x = start_m + random.between(7.0, 9.0);
            let y = kerb + 0.5 * inward;
            self.cylinder(class::POLE, [120.0; 3], [x, y, PAVEMENT_M], 0.05, 2.9, random);
            let colour =
                *random.pick(&[[190.0, 30.0, 35.0], [25.0, 70.0, 170.0], [225.0, 180.0, 30.0]]);
            let size = *random.pick(&[[0.05, 0.7, 0.7], [0.05, 0.6, 0.9]]);
            self.block(class::TRAFFIC_SIGN, colour, [x - 0.08, y, 2.1], size, random);
            self.last().paint = Paint::Sign;
        }
        if random.chance(0.35) {
            let x = start_m + random.between(10.0, 15.0);
            let y = kerb + random.between(1.0, 1.8) * inward;
            self.add_person(random, class::PERSON, x, y);
        }
        if random.chance(0.25) {
            let x = start_m + random.between(4.0, 6.0);
            let y = wall - 0.25 * inward;
            self.add_bicycle(random, class::BICYCLE, x, y, PAVEMENT_M);
        }
    }

    /// Fences, hedges, trees and buildings behind the pavement.
    fn add_plots(&mut self, random: &mut Random, start_m: f32, side: Side) {
        let [_, edge] = side.pavement_m();
        let out = edge.signum();
        let border = random.unit();
        // A gap remains where a driveway may be.
        let gap = [DRIVEWAY_M[0], DRIVEWAY_M[1]];
        let pieces = [[0.0, gap[0]], [gap[1], CHUNK_M]];
        for [from, to] in pieces {
            let middle = [start_m + f32::midpoint(from, to), edge + 0.3 * out, GROUND_M];
            if border < 0.35 {
                let colour = *random.pick(&[[125.0, 92.0, 62.0], [190.0, 186.0, 176.0]]);
                self.block(class::FENCE, colour, middle, [to - from, 0.08, 1.1], random);
                self.last().paint = Paint::Boards;
            } else if border < 0.65 {
                let height = random.between(0.8, 1.5);
                let green = [58.0, 88.0, 44.0];
                self.block(class::VEGETATION, green, middle, [to - from, 0.6, height], random);
                self.last().paint = Paint::Leaves;
            }
        }
        for x in [random.between(1.5, 5.0), random.between(11.0, 14.5)] {
            if random.chance(0.55) {
                let y = edge + random.between(1.6, 2.6) * out;
                self.add_tree(random, start_m + x, y);
            }
        }
        let set_back = random.between(4.5, 7.5);
        let length = random.between(10.0, 15.5);
        if random.chance(0.85) {
            let depth = random.between(8.0, 12.0);
            let height = random.between(4.5, 13.0);
            let colour = *random.pick(&[
                [176.0, 150.0, 122.0],
                [150.0, 84.0, 66.0],
                [196.0, 188.0, 170.0],
                [136.0, 142.0, 150.0],
                [204.0, 176.0, 128.0],
            ]);
            let middle = [start_m + CHUNK_M / 2.0, edge + (set_back + depth / 2.0) * out, 0.0];
            self.block(class::BUILDING, colour, middle, [length, depth, height], random);
            self.last().paint = Paint::Facade;
        }
    }

    /// What moves with the time: a car ahead, two oncoming cars, an oncoming bicyclist.
    fn add_traffic(&mut self, time_s: f64) {
        // The car ahead comes closer and falls back, 14 to 26 m away, in cycles of 24 s.
        let phase = (time_s / 24.0).rem_euclid(1.0);
        let triangle = 1.0 - (2.0 * phase - 1.0).abs();
        let smooth = triangle * triangle * (3.0 - 2.0 * triangle);
        self.add_car(&mut Random::new(0, 1), narrow(14.0 + 12.0 * smooth), EGO_LANE_M);
        // Oncoming: far beyond sight when it starts over.
        for (index, (speed_m_s, lead_s, every_m)) in
            [(7.0, 0.0, 190.0), (8.5, 4.0, 230.0)].into_iter().enumerate()
        {
            let driven_m = (EGO_SPEED_M_S + speed_m_s) * (time_s + lead_s);
            let x = f64::from(SIGHT_M) + 10.0 - driven_m.rem_euclid(every_m);
            self.add_car(&mut Random::new(0, 2 + index as u64), narrow(x), 1.7);
        }
        let ridden_m = (EGO_SPEED_M_S + 4.0) * time_s;
        let x = narrow(f64::from(SIGHT_M) + 10.0 - (ridden_m + 70.0).rem_euclid(170.0));
        let random = &mut Random::new(0, 9);
        self.add_bicycle(random, class::BICYCLIST, x, 3.1, 0.0);
        self.cylinder(class::BICYCLIST, [40.0, 90.0, 150.0], [x, 3.1, 0.8], 0.22, 0.75, random);
        self.sphere(class::BICYCLIST, [210.0, 205.0, 60.0], [x, 3.1, 1.68], 0.14, random);
    }

    fn add_car(&mut self, random: &mut Random, x: f32, y: f32) {
        let colour = *random.pick(&[
            [168.0, 28.0, 32.0],
            [38.0, 62.0, 120.0],
            [206.0, 206.0, 208.0],
            [62.0, 64.0, 68.0],
            [142.0, 148.0, 150.0],
            [44.0, 92.0, 72.0],
        ]);
        let length = random.between(3.9, 4.7);
        let body = random.between(0.72, 0.85);
        self.block(class::CAR, colour, [x, y, 0.18], [length, 1.76, body], random);
        self.last().paint = Paint::CarBody;
        let cabin = [x - 0.1 * length, y, 0.18 + body];
        self.block(class::CAR, colour, cabin, [0.52 * length, 1.5, 0.55], random);
        self.last().paint = Paint::CarCabin;
    }

    fn add_van(&mut self, random: &mut Random, x: f32, y: f32) {
        let kind = *random.pick(&[class::TRUCK, class::OTHER_VEHICLE]);
        let colour =
            *random.pick(&[[214.0, 212.0, 206.0], [196.0, 150.0, 40.0], [80.0, 110.0, 130.0]]);
        self.block(kind, colour, [x + 1.9, y, 0.3], [1.1, 1.9, 1.1], random);
        self.last().paint = Paint::CarBody;
        self.block(kind, colour, [x - 0.4, y, 0.3], [3.6, 1.95, 2.1], random);
        self.last().paint = Paint::CarBody;
    }

    fn add_person(&mut self, random: &mut Random, class: u8, x: f32, y: f32) {
        let trousers = *random.pick(&[[48.0, 52.0, 76.0], [66.0, 58.0, 50.0]]);
        let jacket =
            *random.pick(&[[150.0, 52.0, 46.0], [72.0, 108.0, 84.0], [196.0, 180.0, 140.0]]);
        self.cylinder(class, trousers, [x, y, PAVEMENT_M], 0.17, 0.85, random);
        self.cylinder(class, jacket, [x, y, PAVEMENT_M + 0.8], 0.24, 0.65, random);
        self.sphere(class, [204.0, 160.0, 130.0], [x, y, PAVEMENT_M + 1.58], 0.14, random);
    }

    fn add_bicycle(&mut self, random: &mut Random, class: u8, x: f32, y: f32, ground_m: f32) {
        let colour = *random.pick(&[[40.0, 110.0, 60.0], [150.0, 40.0, 40.0], [50.0, 50.0, 56.0]]);
        self.block(class, [36.0; 3], [x - 0.5, y, ground_m], [0.66, 0.06, 0.66], random);
        self.block(class, [36.0; 3], [x + 0.5, y, ground_m], [0.66, 0.06, 0.66], random);
        self.block(class, colour, [x, y, ground_m + 0.5], [0.9, 0.08, 0.35], random);
        self.block(class, [30.0; 3], [x + 0.45, y, ground_m + 0.85], [0.08, 0.5, 0.2], random);
    }

    fn add_tree(&mut self, random: &mut Random, x: f32, y: f32) {
        let trunk_m = random.between(1.8, 2.8);
        let brown = [92.0, 74.0, 58.0];
        self.cylinder(class::TRUNK, brown, [x, y, GROUND_M], 0.16, trunk_m + 0.6, random);
        let green = *random.pick(&[[66.0, 98.0, 46.0], [84.0, 108.0, 52.0], [54.0, 84.0, 50.0]]);
        let radius = random.between(1.1, 1.6);
        let z = trunk_m + radius;
        self.sphere(class::VEGETATION, green, [x, y, z], radius, random);
        self.last().paint = Paint::Leaves;
        let offset = random.between(0.4, 0.8);
        self.sphere(class::VEGETATION, green, [x + offset, y - 0.3, z + 0.9], 0.8 * radius, random);
        self.last().paint = Paint::Leaves;
        self.sphere(class::VEGETATION, green, [x - offset, y + 0.4, z + 0.5], 0.7 * radius, random);
        self.last().paint = Paint::Leaves;
    }

    /// A box that stands on the middle of its foot.
    fn block(
        &mut self,
        class: u8,
        colour: [f32; 3],
        foot: [f32; 3],
        size: [f32; 3],
        random: &mut Random,
    ) {
        let [x, y, z] = foot;
        let min = [x - size[0] / 2.0, y - size[1] / 2.0, z];
        let max = [x + size[0] / 2.0, y + size[1] / 2.0, z + size[2]];
        self.add(Shape::Box, class, colour, [min, max], random);
    }

    fn cylinder(
        &mut self,
        class: u8,
        colour: [f32; 3],
        foot: [f32; 3],
        radius: f32,
        height: f32,
        random: &mut Random,
    ) {
        let [x, y, z] = foot;
        let bounds = [[x - radius, y - radius, z], [x + radius, y + radius, z + height]];
        self.add(Shape::Cylinder, class, colour, bounds, random);
    }

    fn sphere(
        &mut self,
        class: u8,
        colour: [f32; 3],
        centre: [f32; 3],
        radius: f32,
        random: &mut Random,
    ) {
        let bounds = [centre.map(|c| c - radius), centre.map(|c| c + radius)];
        self.add(Shape::Sphere, class, colour, bounds, random);
    }

    fn add(
        &mut self,
        shape: Shape,
        class: u8,
        colour: [f32; 3],
        [min, max]: [[f32; 3]; 2],
        random: &mut Random,
    ) {
        let texture_m = random.between(0.0, 8.0);
        let paint = Paint::Plain;
        self.primitives.push(Primitive { shape, paint, class, min, max, colour, texture_m });
    }

    /// The primitive added last, to be painted.
    fn last(&mut self) -> &mut Primitive {
        self.primitives.last_mut().expect("called after adding one")
    }
}

/// A side of the road.
#[derive(Clone, Copy, Debug)]
enum Side {
    Left,
    Right,
}

impl Side {
    /// The pavement's y at the kerb and at the plots.
    fn pavement_m(self) -> [f32; 2] {
        match self {
            Self::Left => [ROAD_LEFT_M, PAVEMENT_LEFT_M],
            Self::Right => [BAYS_RIGHT_M, PAVEMENT_RIGHT_M],
        }
    }
}

/// Rounds to f32.
#[allow(clippy::cast_possible_truncation, reason = "rounding is what is wanted")]
pub(crate) fn narrow(value: f64) -> f32 {
    value as f32
}

/// Length of the ring: a multiple of every period of paint and of the noise.
pub(crate) const STREET_M: f32 = 1024.0;
pub(crate) const CHUNK_M: f32 = 16.0;
pub(crate) const CHUNKS: i64 = 64;
const CHUNKS_BEHIND: i64 = -2;
const CHUNKS_AHEAD: i64 = 8;
/// Objects are drawn up to here, where the haze has swallowed them.
pub(crate) const SIGHT_M: f32 = 120.0;
const BEHIND_M: f32 = 24.0;

/// The ego's speed.
pub(crate) const EGO_SPEED_M_S: f64 = 8.0;
/// The middle of the ego's lane.
pub(crate) const EGO_LANE_M: f32 = -1.75;

/// The profile of the ground from left to right, by the y of its edges.
pub(crate) const PAVEMENT_LEFT_M: f32 = 6.0;
pub(crate) const ROAD_LEFT_M: f32 = 3.5;
pub(crate) const ROAD_RIGHT_M: f32 = -3.5;
pub(crate) const BAYS_RIGHT_M: f32 = -5.8;
pub(crate) const PAVEMENT_RIGHT_M: f32 = -8.3;
/// Height of the pavement, and of all ground beyond it, over the road.
pub(crate) const PAVEMENT_M: f32 = 0.12;
const GROUND_M: f32 = PAVEMENT_M;
/// Where in a chunk a driveway begins and ends.
pub(crate) const DRIVEWAY_M: [f32; 2] = [6.0, 9.5];

/// More than the fullest eleven chunks hold.
const CAPACITY: usize = 1024;
