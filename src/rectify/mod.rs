//! From camera pixels to the network's normalised planes.
