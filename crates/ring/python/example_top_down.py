"""Plots a stream from above: the class of the topmost voxel of each column.

    python example_top_down.py /run/occdepth/front.sock             a window that follows the stream
    python example_top_down.py /run/occdepth/front.sock --png a.png one grid, to a file; needs no display

Needs matplotlib.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

import occdepth_ring
from occdepth_ring import UNKNOWN_LABEL, Grid


def main() -> int:
    parser = argparse.ArgumentParser(description="Plots a stream of occupancy grids from above.")
    parser.add_argument("socket", help="the writer's socket")
    parser.add_argument("--png", help="write one grid to this file instead of opening a window")
    parser.add_argument("--timeout-s", type=float, default=10.0, help="how long to wait for a grid (10)")
    arguments = parser.parse_args()
    try:
        import matplotlib
    except ImportError:
        print("this example needs matplotlib: pip install matplotlib", file=sys.stderr)
        return 1
    if arguments.png:
        matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    # Some versions of matplotlib are typed, and not all of what is used here in each of them.
    figure: Any
    axes: Any
    figure, axes = plt.subplots(figsize=(8, 8))
    try:
        with occdepth_ring.follow(arguments.socket) as stream:
            grid = None
            while True:
                grid = stream.next(arguments.timeout_s, into=grid)
                if grid is None:
                    print(f"no grid within {arguments.timeout_s} s: {stream.last_error or 'nothing published'}",
                          file=sys.stderr)
                    return 1
                draw(axes, grid)
                if arguments.png:
                    figure.savefig(arguments.png, dpi=100)
                    return 0
                plt.pause(0.001)
                if not plt.fignum_exists(figure.number):
                    return 0
    except occdepth_ring.RingError as error:
        print(error, file=sys.stderr)
        return 1


def draw(axes: Any, grid: Grid) -> None:
    """x points up and y to the left, as a driver sees it."""
    geometry = grid.description.grid
    classes = occdepth_ring.birds_eye(grid)
    image = grid.description.palette()[classes]
    x0, y0 = geometry.origin_m[:2]
    x1 = x0 + geometry.voxel_size_m * geometry.dims[0]
    y1 = y0 + geometry.voxel_size_m * geometry.dims[1]
    axes.clear()
    axes.imshow(np.flip(image, axis=(0, 1)), extent=(y1, y0, x0, x1), interpolation="nearest")
    axes.set_xlabel(f"y of {plain(geometry.frame)}, m")
    axes.set_ylabel(f"x of {plain(geometry.frame)}, m")
    health = grid.record.health.name.lower()
    axes.set_title(f"{plain(grid.description.stream)}: frame {grid.frame_id}, {grid.age_s():.3f} s old, {health}")
    known = [entry for entry in grid.description.classes.values() if np.any(classes == entry.id)]
    handles = [
        axes.plot([], [], "s", color=np.array(entry.colour) / 255, markeredgecolor="grey", label=plain(entry.name))[0]
        for entry in known
    ]
    if np.any(classes == UNKNOWN_LABEL):
        handles += axes.plot([], [], "s", color=(0.5, 0.5, 0.5), label="unknown")
    axes.legend(handles=handles, loc="upper right", fontsize="small")


def plain(text: str) -> str:
    """A name as matplotlib is to show it: not as a formula, which it may not be able to read."""
    return text.replace("$", r"\$")


if __name__ == "__main__":
    sys.exit(main())
