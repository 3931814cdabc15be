"""Calibrates the same chessboard pairs with OpenCV and with occdepth, corners included, and prints a table.

    python benches/opencv/calibrate.py FOLDER --occdepth target/release/occdepth [--board 9x6]

FOLDER holds left01.jpg, right01.jpg, ... OpenCV: findChessboardCorners, cornerSubPix (11x11 window, as its own sample has
it), calibrateCamera for each view, stereoCalibrate with both cameras free. Needs opencv-python-headless and numpy.
"""

import argparse
import glob
import json
import os
import subprocess
import tempfile

import cv2
import numpy as np

CRITERIA = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 100, 1e-6)
SQUARE_M = 0.025


def corners(path, board):
    image = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    flags = cv2.CALIB_CB_ADAPTIVE_THRESH | cv2.CALIB_CB_NORMALIZE_IMAGE
    found, points = cv2.findChessboardCorners(image, board, None, flags)
    if not found:
        raise SystemExit(f"OpenCV finds no board in {path}")
    return cv2.cornerSubPix(image, points, (5, 5), (-1, -1), CRITERIA), image.shape[::-1]


def rows_apart(rig, left, right, size):
    k1, d1, k2, d2, r, t = rig
    r1, r2, p1, p2 = cv2.stereoRectify(k1, d1, k2, d2, size, r, t, flags=cv2.CALIB_ZERO_DISPARITY, alpha=-1)[:4]
    offsets = [
        cv2.undistortPoints(a, k1, d1, R=r1, P=p1)[:, 0, 1] - cv2.undistortPoints(b, k2, d2, R=r2, P=p2)[:, 0, 1]
        for a, b in zip(left, right)
    ]
    return np.abs(np.concatenate(offsets))


def opencv(names, board, rational):
    left, right = [], []
    for a, b in names:
        points, size = corners(a, board)
        left.append(points)
        right.append(corners(b, board)[0])
    grid = np.zeros((board[0] * board[1], 3), np.float32)
    grid[:, :2] = np.mgrid[: board[0], : board[1]].T.reshape(-1, 2) * SQUARE_M
    grids = [grid] * len(names)
    flags = cv2.CALIB_RATIONAL_MODEL if rational else 0
    _, k1, d1, *_ = cv2.calibrateCamera(grids, left, size, None, None, flags=flags, criteria=CRITERIA)
    _, k2, d2, *_ = cv2.calibrateCamera(grids, right, size, None, None, flags=flags, criteria=CRITERIA)
    flags |= cv2.CALIB_USE_INTRINSIC_GUESS
    rms, k1, d1, k2, d2, r, t, *_ = cv2.stereoCalibrate(
        grids, left, right, k1, d1, k2, d2, size, flags=flags, criteria=CRITERIA
    )
    apart = rows_apart((k1, d1, k2, d2, r, t), left, right, size)
    return rms, apart.mean(), apart.max(), k1[0, 0], k2[0, 0], float(np.linalg.norm(t)), 0


def occdepth(program, folder, board, lens, *more):
    with tempfile.TemporaryDirectory() as out:
        command = [program, "calibrate", folder, "--board", f"{board[0]}x{board[1]}", "--square", str(SQUARE_M)]
        command += ["--lens", lens, "--json", "-o", os.path.join(out, "rig.toml"), *more]
        report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return (
        report["rms_px"],
        report["vertical_disparity_mean_px"],
        report["vertical_disparity_max_px"],
        report["left"]["fx_fy_cx_cy_and_coefficients"][0],
        report["right"]["fx_fy_cx_cy_and_coefficients"][0],
        report["baseline_m"],
        report["corners_left_out"],
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--occdepth", default="target/release/occdepth")
    parser.add_argument("--board", default="9x6")
    arguments = parser.parse_args()
    board = tuple(int(side) for side in arguments.board.split("x"))
    left = sorted(glob.glob(os.path.join(arguments.folder, "left*.jpg")))
    right = sorted(glob.glob(os.path.join(arguments.folder, "right*.jpg")))
    names = list(zip(left, right, strict=True))
    print(f"OpenCV {cv2.__version__}, {len(names)} pairs\n")
    print("| | lens | RMS px | rows mean px | rows max px | fx left, right px | baseline mm | corners left out |")
    print("|---|---|---|---|---|---|---|---|")
    for coefficients, rational in ((5, False), (8, True)):
        lens = f"radial-tangential-{coefficients}"
        for who, row in (
            ("OpenCV", opencv(names, board, rational)),
            ("occdepth, all corners", occdepth(arguments.occdepth, arguments.folder, board, lens, "--all-corners")),
            ("occdepth", occdepth(arguments.occdepth, arguments.folder, board, lens)),
        ):
            rms, mean, largest, fx1, fx2, baseline, out = row
            print(
                f"| {who} | {lens} | {rms:.4f} | {mean:.4f} | {largest:.3f} | {fx1:.2f}, {fx2:.2f} "
                f"| {1e3 * baseline:.3f} | {out} |"
            )


if __name__ == "__main__":
    main()
