"""Rays: against brute force over all voxels, and the cases in which the Rust client's tests pin what a ray meets."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from grids import grid_of
from occdepth_ring import Grid, Meaning, RayEnd, cast

Vector = tuple[float, float, float]
SIZE_M = 0.4
ORIGIN_M = (-1.3, 2.0, -0.7)


def span(voxel: tuple[int, ...], from_m: Vector, direction: Vector, at_most_m: float) -> tuple[float, float] | None:
    """From where to where a ray is in a voxel, by its three pairs of faces."""
    length = math.hypot(*direction)
    enters, leaves = 0.0, at_most_m
    for axis in range(3):
        low = ORIGIN_M[axis] + SIZE_M * voxel[axis]
        high = low + SIZE_M
        along = direction[axis] / length
        if along == 0:
            if not low <= from_m[axis] < high:
                return None
            continue
        ends = sorted(((low - from_m[axis]) / along, (high - from_m[axis]) / along))
        enters, leaves = max(enters, ends[0]), min(leaves, ends[1])
    return (enters, leaves) if leaves > enters else None


def brute_force(grid: Grid, from_m: Vector, direction: Vector, at_most_m: float) -> RayEnd | None:
    """The first voxel on the way that is not free, among all; None where one is hardly clipped: rounding tells."""
    on_the_way = []
    for voxel in itertools.product(*map(range, grid.labels.shape)):
        ends = span(voxel, from_m, direction, math.inf)
        if ends is not None and ends[1] - ends[0] < 1e-6:
            return None
        ends = span(voxel, from_m, direction, at_most_m)
        if ends is not None:
            on_the_way.append((*ends, voxel))
    if not on_the_way:
        return RayEnd(None, 0.0, 0.0)
    on_the_way.sort()
    from_there_m = on_the_way[0][0]
    for enters, _, (ix, iy, iz) in on_the_way:
        label = int(grid.labels[ix, iy, iz])
        if label != 0:
            # 77 is no class.
            meaning = Meaning.OCCUPIED if label == 9 else Meaning.UNKNOWN
            return RayEnd(meaning, from_there_m, enters, (ix, iy, iz), label)
    return RayEnd(Meaning.FREE, from_there_m, on_the_way[-1][1])


def test_a_ray_meets_what_brute_force_meets() -> None:
    random = np.random.default_rng(3)
    met, compared = set(), 0
    for _ in range(1500):
        x, y, z = (int(side) for side in random.integers(1, 7, 3))
        labels = random.choice(np.array([0] * 12 + [9, 9, 77, 255], np.uint8), (x, y, z))
        grid = grid_of(labels, origin_m=ORIGIN_M, voxel_size_m=SIZE_M)
        from_x, from_y, from_z = random.uniform(-4.0, 5.0, 3).tolist()
        along_x, along_y, along_z = np.where(random.random(3) < 0.2, 0.0, random.uniform(-1.0, 1.0, 3)).tolist()
        from_m, direction = (from_x, from_y, from_z), (along_x, along_y, along_z)
        if max(map(abs, direction)) < 1e-3:
            continue
        if random.random() < 0.5:
            # Towards the grid: most of the others pass it by.
            aim = np.array(ORIGIN_M) + SIZE_M * random.uniform(0.0, 1.0, 3) * (x, y, z)
            along_x, along_y, along_z = (aim - from_m).tolist()
            direction = (along_x, along_y, along_z)
        at_most_m = math.inf if random.random() < 0.5 else float(random.uniform(0.01, 9.0))
        expected = brute_force(grid, from_m, direction, at_most_m)
        if expected is None:
            continue
        found = cast(grid, from_m, direction, at_most_m)
        what = f"from {from_m} along {direction}: {found}, expected {expected}"
        assert (found.meaning, found.voxel, found.label) == (expected.meaning, expected.voxel, expected.label), what
        assert math.isclose(found.from_m, expected.from_m, abs_tol=1e-6), what
        assert math.isclose(found.distance_m, expected.distance_m, abs_tol=1e-6), what
        met.add(found.meaning)
        compared += 1
    assert met == {None, Meaning.FREE, Meaning.OCCUPIED, Meaning.UNKNOWN} and compared > 1000


def exact(labels: list[tuple[int, int, int]], side: int = 2, label: int = 9) -> Grid:
    """A cube whose numbers are exact: faces are where they are. Voxels that are not named are free."""
    grid = grid_of(np.zeros((side,) * 3, np.uint8), origin_m=(-1.0, 2.0, -1.0), voxel_size_m=0.5)
    for voxel in labels:
        grid.labels[voxel] = label
    return grid


@pytest.mark.parametrize(
    ("from_m", "direction", "at_most_m"),
    [
        ((-2.0, 2.25, -0.75), (0.0, 0.0, 0.0), 9.0),
        ((-2.0, 2.25, -0.75), (math.nan, 0.0, 0.0), 9.0),
        ((-2.0, 2.25, -0.75), (math.inf, 0.0, 0.0), 9.0),
        ((-2.0, 2.25, -0.75), (1e200, 0.0, 0.0), 9.0),
        ((math.nan, math.nan, math.nan), (1.0, 0.0, 0.0), 9.0),
        ((-math.inf, 2.25, -0.75), (1.0, 0.0, 0.0), 9.0),
        ((-2.0, 2.25, -0.75), (1.0, 0.0, 0.0), math.nan),
        ((-2.0, 2.25, -0.75), (1.0, 0.0, 0.0), -1.0),
        # Too short, away from it, past it.
        ((-2.0, 2.25, -0.75), (1.0, 0.0, 0.0), 0.9),
        ((-2.0, 2.25, -0.75), (-1.0, 0.0, 0.0), 9.0),
        ((-2.0, 2.25, -0.75), (0.0, 1.0, 0.0), 9.0),
        # Along the upper face, and out of it.
        ((-0.75, 3.0, -0.75), (1.0, 0.0, 0.0), 9.0),
        ((-0.75, 3.0, -0.75), (0.0, 1.0, 0.0), 9.0),
        # Touching an edge and a corner.
        ((-1.5, 2.5, -0.75), (1.0, -1.0, 0.0), math.inf),
        ((-1.5, 2.5, -1.5), (1.0, -1.0, 1.0), math.inf),
    ],
)
def test_rays_that_are_none_and_rays_that_touch_are_outside(
    from_m: Vector, direction: Vector, at_most_m: float
) -> None:
    full = exact([(ix, iy, iz) for ix in (0, 1) for iy in (0, 1) for iz in (0, 1)])
    assert cast(full, from_m, direction, at_most_m) == RayEnd(None, 0.0, 0.0)


def test_a_ray_of_no_length_is_where_it_starts() -> None:
    here = cast(exact([(0, 0, 0)]), (-0.75, 2.25, -0.75), (1.0, 2.0, 3.0), 0.0)
    assert here == RayEnd(Meaning.OCCUPIED, 0.0, 0.0, (0, 0, 0), 9)
    free = cast(exact([]), (-0.75, 2.25, -0.75), (1.0, 2.0, 3.0), 0.0)
    assert free == RayEnd(Meaning.FREE, 0.0, 0.0)


def test_a_ray_that_ends_on_a_face_does_not_go_into_what_is_behind() -> None:
    grid = exact([(1, 0, 0)])
    assert cast(grid, (-1.5, 2.25, -0.75), (1.0, 0.0, 0.0), 1.0) == RayEnd(Meaning.FREE, 0.5, 1.0)
    met = RayEnd(Meaning.OCCUPIED, 0.5, 1.0, (1, 0, 0), 9)
    assert cast(grid, (-1.5, 2.25, -0.75), (1.0, 0.0, 0.0), 1.0 + 1e-9) == met


def test_a_direction_may_have_any_length_and_a_ray_may_be_infinite() -> None:
    for direction in ((2.0, 0.0, 0.0), (1e-150, 0.0, 0.0), (1e150, 0.0, 0.0)):
        met = cast(exact([(1, 0, 0)]), (-2.0, 2.25, -0.75), direction)
        assert met == RayEnd(Meaning.OCCUPIED, 1.0, 1.5, (1, 0, 0), 9)
    assert cast(exact([]), (-2.0, 2.25, -0.75), (1.0, 0.0, 0.0), math.inf) == RayEnd(Meaning.FREE, 1.0, 2.0)


def test_a_ray_along_a_face_is_in_the_voxels_of_the_upper_side() -> None:
    # y = 2.5 and z = -0.5 lie between the voxels 0 and 1 of these axes.
    for voxel, meets in [((0, 1, 1), True), ((0, 0, 1), False), ((0, 1, 0), False), ((0, 0, 0), False)]:
        end = cast(exact([voxel]), (-2.0, 2.5, -0.5), (1.0, 0.0, 0.0))
        assert (end.voxel == voxel) == meets, voxel


def test_a_ray_that_starts_on_a_face_is_in_the_voxel_that_it_goes_into() -> None:
    for along, voxel in ((1.0, (1, 0, 0)), (-1.0, (0, 0, 0))):
        end = cast(exact([voxel]), (-0.5, 2.25, -0.75), (along, 0.0, 0.0))
        assert end == RayEnd(Meaning.OCCUPIED, 0.0, 0.0, voxel, 9)
        other = (1 - voxel[0], 0, 0)
        assert cast(exact([other]), (-0.5, 2.25, -0.75), (along, 0.0, 0.0)).meaning is Meaning.FREE


def test_a_ray_through_a_corner_goes_along_x_then_y_then_z() -> None:
    """Towards the middle of the cube, from its lowest corner: all that is met there is met at once."""
    distance_m = math.sqrt(0.75)
    for side, (voxel, meets) in itertools.product(
        (2, 3), [((1, 0, 0), True), ((1, 1, 0), True), ((1, 1, 1), True), ((0, 1, 0), False), ((0, 0, 1), False)]
    ):
        end = cast(exact([voxel], side), (-1.0, 2.0, -1.0), (1.0, 1.0, 1.0))
        assert (end.voxel == voxel) == meets, voxel
        if meets:
            assert math.isclose(end.distance_m, distance_m)


def test_unknown_voxels_end_a_ray() -> None:
    # 255, and a label that is no class.
    for label in (255, 77):
        end = cast(exact([(1, 0, 0)], label=label), (-2.0, 2.25, -0.75), (1.0, 0.0, 0.0))
        assert end == RayEnd(Meaning.UNKNOWN, 1.0, 1.5, (1, 0, 0), label)
    assert cast(exact([(1, 0, 0)], label=3), (-2.0, 2.25, -0.75), (1.0, 0.0, 0.0), free=[0, 3]).voxel is None


def test_vectors_may_be_arrays_of_any_numbers_and_have_three() -> None:
    end = cast(exact([(1, 0, 0)]), np.array([-2, 2.25, -0.75], np.float32), np.array([1, 0, 0]))
    assert end.voxel == (1, 0, 0)
    for from_m, direction in (((0.0, 0.0), (1.0, 0.0, 0.0)), ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))):
        with pytest.raises(ValueError, match="found [24] numbers, expected 3"):
            cast(exact([]), from_m, direction)


def test_a_grid_of_extreme_numbers_ends_every_ray() -> None:
    """A writer may say that voxels are as small or as large as numbers get."""
    for size_m in (5e-324, 1e-300, 1e300, 1.7e308):
        for origin_m in ((0.0, 0.0, 0.0), (-1e308, 1e308, 1e-308)):
            grid = grid_of(np.zeros((2, 2, 2), np.uint8), origin_m=origin_m, voxel_size_m=size_m)
            for at in ((0.0, 0.0, 0.0), (1.0, -1.0, 1e-300), (1e300, 1e300, 1e300)):
                for direction in ((1.0, 0.0, 0.0), (-1.0, 1e-12, 1.0)):
                    assert cast(grid, at, direction).meaning in (None, Meaning.FREE)
