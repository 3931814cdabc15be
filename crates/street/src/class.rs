//! The classes of `SemanticKITTI` scene completion (semantic-kitti.org, `learning_map` of
//! `semantic-kitti.yaml`), as labels carry them.

/// Nothing there (in labels), sky (in images).
pub const EMPTY: u8 = 0;
/// Cars.
pub const CAR: u8 = 1;
/// Bicycles without a rider.
pub const BICYCLE: u8 = 2;
/// Motorcycles without a rider.
pub const MOTORCYCLE: u8 = 3;
/// Trucks.
pub const TRUCK: u8 = 4;
/// Vans, buses, trailers.
pub const OTHER_VEHICLE: u8 = 5;
/// People on foot.
pub const PERSON: u8 = 6;
/// People on bicycles, with the bicycle.
pub const BICYCLIST: u8 = 7;
/// People on motorcycles; the street has none.
pub const MOTORCYCLIST: u8 = 8;
/// The carriageway.
pub const ROAD: u8 = 9;
/// Parking bays.
pub const PARKING: u8 = 10;
/// Pavements, with their kerbs.
pub const SIDEWALK: u8 = 11;
/// Other paved ground: driveways.
pub const OTHER_GROUND: u8 = 12;
/// Buildings.
pub const BUILDING: u8 = 13;
/// Fences.
pub const FENCE: u8 = 14;
/// Crowns of trees, hedges.
pub const VEGETATION: u8 = 15;
/// Trunks of trees.
pub const TRUNK: u8 = 16;
/// Grass.
pub const TERRAIN: u8 = 17;
/// Lamp posts, posts of signs.
pub const POLE: u8 = 18;
/// Plates of traffic signs.
pub const TRAFFIC_SIGN: u8 = 19;
