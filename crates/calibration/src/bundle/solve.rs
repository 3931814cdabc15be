//! Levenberg-Marquardt with the poses eliminated.

use super::{Lens, OUTLIER_SIGMA, Pair, Pose};
use nalgebra::{
    DMatrix, DVector, Matrix2x3, Matrix6, Rotation3, SMatrix, Vector2, Vector3, Vector6,
};

/// What is known.
pub(super) struct Problem<'a> {
    pub(super) lens: Lens,
    pub(super) board: &'a [Vector3<f64>],
    pub(super) pairs: &'a [Pair],
    /// Distances beyond this many pixels count linearly instead of squared (Huber, Ann. Math. Statist. 1964); infinite for
    /// plain least squares.
    pub(super) huber_px: f64,
    /// By pair, view and corner: whether it counts.
    pub(super) kept: Vec<[Vec<bool>; 2]>,
}

/// What is sought.
#[derive(Clone)]
pub(super) struct State {
    pub(super) cameras: [Vec<f64>; 2],
    pub(super) right_from_left: Pose,
    pub(super) left_from_board: Vec<Pose>,
}

/// The normal equations: `shared` are both cameras and their relation; each pair has its own pose.
pub(super) struct Normal {
    pub(super) cost: f64,
    pub(super) shared: DMatrix<f64>,
    shared_right: DVector<f64>,
    /// Shared by pose, pose by pose, and the pose's right side, per pair.
    poses: Vec<(DMatrix<f64>, Matrix6<f64>, Vector6<f64>)>,
}

impl Problem<'_> {
    /// Steps until the cost falls no more; the number of steps.
    pub(super) fn converge(&self, state: &mut State) -> usize {
        let mut damping = 1e-3;
        let mut still = 0;
        for step in 0..STEPS_MAX {
            let normal = self.normal(state);
            let before = normal.cost;
            let better = loop {
                let candidate = normal.step(damping).map(|(shared, poses)| {
                    let moved = state.moved(self.lens, &shared, &poses);
                    (self.cost(&moved), moved)
                });
                match candidate {
                    Some((cost, moved)) if cost < before => break Some((cost, moved)),
                    _ if damping > DAMPING_MAX => break None,
                    _ => damping *= 8.0,
                }
            };
            let Some((cost, moved)) = better else { return step };
            *state = moved;
            damping = (damping * 0.2).max(1e-15);
            still = if before - cost < CONVERGED * before { still + 1 } else { 0 };
            if still == 3 {
                return step + 1;
            }
        }
        STEPS_MAX
    }

    /// Judges every corner anew; whether that changed what counts.
    pub(super) fn reject(&mut self, state: &State) -> bool {
        let distances = map_corners(&self.residuals(state), |[x, y]: [f64; 2]| x.hypot(y));
        let mut all: Vec<f64> = distances.iter().flatten().flatten().copied().collect();
        all.sort_by(f64::total_cmp);
        // The median of a Rayleigh distribution is 1.1774 standard deviations of a coordinate.
        let sigma = (all[all.len() / 2] / 1.1774).max(SIGMA_MIN_PX);
        // A gross error bends the pose of its whole board. So the worst go first, down to half of the worst that still counts;
        // the next round, without them, knows better about the others.
        let worst = distances
            .iter()
            .zip(&self.kept)
            .flat_map(|(distances, kept)| distances.iter().flatten().zip(kept.iter().flatten()))
            .filter(|(_, kept)| **kept)
            .fold(0.0, |worst: f64, (distance, _)| worst.max(*distance));
        let limit = (OUTLIER_SIGMA * sigma).max(worst / 2.0);
        let mut kept = map_corners(&distances, |distance| distance <= limit);
        for views in &mut kept {
            let most =
                |view: &Vec<bool>| 2 * view.iter().filter(|&&kept| kept).count() > view.len();
            if !views.iter().all(most) {
                *views = views.each_ref().map(|view| vec![false; view.len()]);
            }
        }
        let changed = kept != self.kept;
        self.kept = kept;
        changed
    }

    /// Found minus projected (x, y), pixels, by pair, view and corner.
    pub(super) fn residuals(&self, state: &State) -> Vec<[Vec<[f64; 2]>; 2]> {
        (0..self.pairs.len())
            .map(|pair| {
                [0, 1].map(|view| {
                    (0..self.board.len())
                        .map(|corner| self.residual(state, pair, view, corner).into())
                        .collect()
                })
            })
            .collect()
    }

    fn cost(&self, state: &State) -> f64 {
        let mut cost = 0.0;
        for (pair, views) in self.kept.iter().enumerate() {
            for (view, kept) in views.iter().enumerate() {
                for corner in (0..kept.len()).filter(|&corner| kept[corner]) {
                    cost += self.loss(self.residual(state, pair, view, corner).norm());
                }
            }
        }
        cost
    }

    fn loss(&self, distance_px: f64) -> f64 {
        if distance_px <= self.huber_px {
            distance_px * distance_px
        } else {
            self.huber_px * (2.0 * distance_px - self.huber_px)
        }
    }

    fn residual(&self, state: &State, pair: usize, view: usize, corner: usize) -> Vector2<f64> {
        let mut point = state.left_from_board[pair].apply(&self.board[corner]);
        if view == 1 {
            point = state.right_from_left.apply(&point);
        }
        self.found(pair, view, corner) - self.lens.project(&state.cameras[view], &point)
    }

    fn found(&self, pair: usize, view: usize, corner: usize) -> Vector2<f64> {
        let pair = &self.pairs[pair];
        Vector2::from(if view == 0 { pair.left[corner] } else { pair.right[corner] })
    }

    pub(super) fn normal(&self, state: &State) -> Normal {
        let n = self.lens.parameters();
        let unknowns = 2 * n + 6;
        let mut shared = DMatrix::zeros(unknowns, unknowns);
        let mut shared_right = DVector::zeros(unknowns);
        let mut cost = 0.0;
        let mut by_parameters = vec![Vector2::zeros(); n];
        let mut poses = Vec::with_capacity(self.pairs.len());
        for (pair, pose) in state.left_from_board.iter().enumerate() {
            let mut mixed = DMatrix::zeros(unknowns, 6);
            if !self.kept[pair][0].contains(&true) {
                // Left out: its pose stays.
                poses.push((mixed, Matrix6::identity(), Vector6::zeros()));
                continue;
            }
            let mut own = Matrix6::zeros();
            let mut own_right = Vector6::zeros();
            for view in 0..2 {
                for (corner, point) in self.board.iter().enumerate() {
                    if !self.kept[pair][view][corner] {
                        continue;
                    }
                    let turned = pose.rotation * point;
                    let in_left = turned + pose.translation;
                    let relation = &state.right_from_left;
                    let seen = if view == 0 { in_left } else { relation.apply(&in_left) };
                    let parameters = &state.cameras[view];
                    let mut residual =
                        self.found(pair, view, corner) - self.lens.project(parameters, &seen);
                    let mut by_seen = self.lens.derivatives(parameters, &seen, &mut by_parameters);
                    cost += self.loss(residual.norm());
                    // Reweighted least squares: the root of the weight on both sides.
                    let weight = (self.huber_px / residual.norm()).min(1.0).sqrt();
                    residual *= weight;
                    by_seen *= weight;
                    for slope in &mut by_parameters {
                        *slope *= weight;
                    }
                    let by_left =
                        if view == 0 { by_seen } else { by_seen * relation.rotation.matrix() };
                    let by_pose = rigid(&by_left, &turned);
                    // The columns of this corner's Jacobian that are not zero, among the shared ones.
                    let mut columns: Vec<(usize, Vector2<f64>)> =
                        by_parameters.iter().enumerate().map(|(i, &d)| (view * n + i, d)).collect();
                    if view == 1 {
                        let by_relation = rigid(&by_seen, &(relation.rotation * in_left));
                        columns.extend(
                            by_relation
                                .column_iter()
                                .enumerate()
                                .map(|(i, d)| (2 * n + i, d.into_owned())),
                        );
                    }
                    for (i, a) in &columns {
                        for (j, b) in &columns {
                            shared[(*i, *j)] += a.dot(b);
                        }
                        shared_right[*i] += a.dot(&residual);
                        for j in 0..6 {
                            mixed[(*i, j)] += a.dot(&by_pose.column(j));
                        }
                    }
                    own += by_pose.transpose() * by_pose;
                    own_right += by_pose.transpose() * residual;
                }
            }
            poses.push((mixed, own, own_right));
        }
        Normal { cost, shared, shared_right, poses }
    }
}

impl Normal {
    /// The normal equations of the shared unknowns alone, with the poses at their best.
    pub(super) fn reduced(&self, damping: f64) -> Option<(DMatrix<f64>, DVector<f64>)> {
        let mut matrix = damped(&self.shared, damping);
        let mut right = self.shared_right.clone();
        for (mixed, own, own_right) in &self.poses {
            let inverse = damped_pose(own, damping).cholesky()?.inverse();
            let through = mixed * inverse;
            matrix -= &through * mixed.transpose();
            right -= &through * own_right;
        }
        Some((matrix, right))
    }

    /// The change of the shared unknowns and of each pose.
    fn step(&self, damping: f64) -> Option<(DVector<f64>, Vec<Vector6<f64>>)> {
        let (matrix, right) = self.reduced(damping)?;
        let shared = matrix.cholesky()?.solve(&right);
        let poses = self
            .poses
            .iter()
            .map(|(mixed, own, own_right)| {
                let right = own_right - mixed.transpose() * &shared;
                Some(damped_pose(own, damping).cholesky()?.solve(&right))
            })
            .collect::<Option<Vec<_>>>()?;
        Some((shared, poses))
    }
}

impl State {
    fn moved(&self, lens: Lens, shared: &DVector<f64>, poses: &[Vector6<f64>]) -> Self {
        let n = lens.parameters();
        let mut moved = self.clone();
        for (view, camera) in moved.cameras.iter_mut().enumerate() {
            for (index, parameter) in camera.iter_mut().enumerate() {
                *parameter += shared[view * n + index];
            }
        }
        let relation = shared.fixed_rows::<6>(2 * n).into_owned();
        moved.right_from_left = turned(&self.right_from_left, &relation);
        for (pose, step) in moved.left_from_board.iter_mut().zip(poses) {
            *pose = turned(pose, step);
        }
        moved
    }
}

/// Something of every corner, by pair, view and corner.
fn map_corners<T: Copy, U>(of: &[[Vec<T>; 2]], make: impl Fn(T) -> U) -> Vec<[Vec<U>; 2]> {
    of.iter()
        .map(|views| views.each_ref().map(|view| view.iter().map(|&value| make(value)).collect()))
        .collect()
}

/// Derivative by a small turn (a vector, after the rotation) and a shift, given the one by the point.
fn rigid(by_point: &Matrix2x3<f64>, turned: &Vector3<f64>) -> SMatrix<f64, 2, 6> {
    let mut both = SMatrix::<f64, 2, 6>::zeros();
    both.fixed_view_mut::<2, 3>(0, 0).copy_from(&(-by_point * turned.cross_matrix()));
    both.fixed_view_mut::<2, 3>(0, 3).copy_from(by_point);
    both
}

fn turned(pose: &Pose, step: &Vector6<f64>) -> Pose {
    let mut rotation = Rotation3::new(step.fixed_rows::<3>(0).into_owned()) * pose.rotation;
    rotation.renormalize();
    Pose { rotation, translation: pose.translation + step.fixed_rows::<3>(3) }
}

fn damped(matrix: &DMatrix<f64>, damping: f64) -> DMatrix<f64> {
    let mut damped = matrix.clone();
    for i in 0..matrix.nrows() {
        damped[(i, i)] *= 1.0 + damping;
    }
    damped
}

fn damped_pose(matrix: &Matrix6<f64>, damping: f64) -> Matrix6<f64> {
    let mut damped = *matrix;
    for i in 0..6 {
        damped[(i, i)] *= 1.0 + damping;
    }
    damped
}

/// No image tells corners better than this; exact corners, of a simulation, would be rejected for rounding.
const SIGMA_MIN_PX: f64 = 0.01;
const STEPS_MAX: usize = 300;
const DAMPING_MAX: f64 = 1e12;
const CONVERGED: f64 = 1e-12;
