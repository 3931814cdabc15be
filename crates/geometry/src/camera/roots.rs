//! Roots: of the polynomials that say where a lens model turns back, and of monotone functions.

/// The smallest positive root at which the polynomial `c[0] + c[1] s + c[2] s^2 + ...` changes sign, if
/// there is one below `S_MAX`.
pub(super) fn smallest_positive_root(coefficients: &[f64]) -> Option<f64> {
    positive_roots(coefficients).first().copied()
}

/// `x` in `[0, upper]` with `f(x) = target`, for an `f` that rises from `f(0) <= target`; `f` returns its
/// value and its derivative. Newton's method, kept inside a bracket that shrinks with every step, so
/// that it converges from anywhere. Returns `upper` when `f(upper) < target`.
pub(super) fn invert_rising(f: impl Fn(f64) -> (f64, f64), target: f64, upper: f64) -> f64 {
    let (mut low, mut high) = (0.0, upper);
    if high.is_infinite() {
        high = target.max(1.0);
        while f(high).0 < target && high < X_MAX {
            high *= 2.0;
        }
    }
    if f(high).0 < target {
        return high;
    }
    let mut x = target.min(high);
    for _ in 0..200 {
        let (value, slope) = f(x);
        if value > target {
            high = x;
        } else {
            low = x;
        }
        let newton = x - (value - target) / slope;
        // The negation also catches NaN.
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        if (next - x).abs() <= 4.0 * f64::EPSILON * x.abs() {
            return next;
        }
        x = next;
    }
    x
}

/// All positive roots below `S_MAX` at which the sign changes, ascending. Between two roots of its derivative
/// a polynomial is monotone, so that bisection finds the one root that may lie there.
fn positive_roots(coefficients: &[f64]) -> Vec<f64> {
    let degree = coefficients.iter().rposition(|&c| c != 0.0).unwrap_or(0);
    if degree == 0 {
        return Vec::new();
    }
    let derivative: Vec<f64> =
        (1..=degree).map(|power| power as f64 * coefficients[power]).collect();
    let value = |s: f64| coefficients[..=degree].iter().rfold(0.0, |sum, &c| sum * s + c);
    let mut roots = Vec::new();
    let mut from = 0.0;
    for to in positive_roots(&derivative).into_iter().chain([S_MAX]) {
        if (value(from) > 0.0) != (value(to) > 0.0) {
            roots.push(bisect(value, from, to));
        }
        from = to;
    }
    roots
}

/// The point between `low` and `high` where the sign of `f` changes, to the last bit.
fn bisect(f: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let positive_at_low = f(low) > 0.0;
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return middle;
        }
        if (f(middle) > 0.0) == positive_at_low {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// Squared radii (or angles) are looked at up to here; a pinhole ray of radius 1e9 is parallel to the image.
const S_MAX: f64 = 1e18;
/// The same for radii.
const X_MAX: f64 = 1e9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sign_change_is_found() {
        // (s - 2)(s - 3)(s - 5) = s^3 - 10 s^2 + 31 s - 30, and the same with a factor (s + 1).
        let root = smallest_positive_root(&[-30.0, 31.0, -10.0, 1.0]).expect("three roots");
        assert!((root - 2.0).abs() < 1e-12, "{root}");
        let root = smallest_positive_root(&[-30.0, 1.0, 21.0, -9.0, 1.0]).expect("three roots");
        assert!((root - 2.0).abs() < 1e-12, "{root}");
        // 1 + s + s^2 has no real root; 1 and the empty polynomial have none at all.
        assert_eq!(smallest_positive_root(&[1.0, 1.0, 1.0]), None);
        assert_eq!(smallest_positive_root(&[1.0, 0.0]), None);
        assert_eq!(smallest_positive_root(&[]), None);
    }

    #[test]
    fn a_flat_start_does_not_stop_newton() {
        // x^3 has slope 0 at 0; atan is where plain Newton diverges.
        let cube_root = invert_rising(|x| (x * x * x, 3.0 * x * x), 27.0, f64::INFINITY);
        assert!((cube_root - 3.0).abs() < 1e-14, "{cube_root}");
        let tan = invert_rising(|x| (x.atan(), 1.0 / (1.0 + x * x)), 1.5, 1e3);
        assert!((tan - 1.5_f64.tan()).abs() < 1e-11, "{tan}");
    }
}
