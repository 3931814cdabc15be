"""OpenCV's side of the rectification bench (see ../rectify_opencv.rs): reads a pair and its maps, and runs when told.

    python3 -m venv /tmp/opencv && /tmp/opencv/bin/pip install opencv-python-headless numpy

What is timed is what a program would run per frame: cvtColor, remap, normalisation, split into planes, into memory that is
allocated once, on one thread. Five ways of normalising are timed, of which the bench takes the fastest.
"""

import sys
import time

import cv2
import numpy as np

folder, width, height, out_width, out_height = sys.argv[1], *map(int, sys.argv[2:6])
cv2.setNumThreads(1)
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)

pair, maps = [], {"float": [], "fixed": []}
for side in ("left", "right"):
    pair.append(np.fromfile(f"{folder}/{side}.yuyv", np.uint8).reshape(height, width, 2))
    both = np.fromfile(f"{folder}/{side}.map", np.float32).reshape(out_height, out_width, 2)
    x, y = np.ascontiguousarray(both[..., 0]), np.ascontiguousarray(both[..., 1])
    maps["float"].append((x, y))
    maps["fixed"].append(cv2.convertMaps(x, y, cv2.CV_16SC2))

rgb = np.empty((height, width, 3), np.uint8)
mapped = np.empty((out_height, out_width, 3), np.uint8)
real = np.empty((out_height, out_width, 3), np.float32)
images = np.empty((2, 3, out_height, out_width), np.float32)
bytes_planes = [np.empty((out_height, out_width), np.uint8) for _ in range(3)]
SCALE = 1 / (255 * STD.astype(np.float64))
OFFSET = -MEAN.astype(np.float64) / STD
OFFSETS = (*OFFSET, 0)
SCALES = (*SCALE, 0)


def remap(view, kind):
    cv2.cvtColor(pair[view], cv2.COLOR_YUV2RGB_YUYV, dst=rgb)
    x, y = maps[kind][view]
    cv2.remap(rgb, x, y, cv2.INTER_LINEAR, dst=mapped, borderMode=cv2.BORDER_CONSTANT)


def whole_image(kind):
    """convertTo float, multiply and add on the interleaved image, split."""
    for view in range(2):
        remap(view, kind)
        np.copyto(real, mapped)
        cv2.multiply(real, SCALES, dst=real)
        cv2.add(real, OFFSETS, dst=real)
        cv2.split(real, mv=list(images[view]))


def planes(kind):
    """split the bytes, then scale and offset plane by plane (Python has no cv::Mat::convertTo; NumPy stands in)."""
    for view in range(2):
        remap(view, kind)
        cv2.split(mapped, mv=bytes_planes)
        for channel in range(3):
            np.multiply(bytes_planes[channel], np.float32(SCALE[channel]), out=images[view, channel])
            np.add(images[view, channel], np.float32(OFFSET[channel]), out=images[view, channel])


def converted_planes(kind):
    """split the bytes, then convert, scale and offset plane by plane without NumPy."""
    for view in range(2):
        remap(view, kind)
        cv2.split(mapped, mv=bytes_planes)
        for channel in range(3):
            plane = images[view, channel]
            cv2.multiply(bytes_planes[channel], SCALE[channel], dst=plane, dtype=cv2.CV_32F)
            cv2.add(plane, OFFSET[channel], dst=plane)


def blob(kind):
    """normalise and split in one call: cv2.dnn.blobFromImageWithParams."""
    for view in range(2):
        remap(view, kind)
        cv2.dnn.blobFromImageWithParams(mapped, images[view : view + 1], BLOB)


def lookup(kind):
    """split the bytes, then a table of 256 floats plane by plane: cv::LUT."""
    for view in range(2):
        remap(view, kind)
        cv2.split(mapped, mv=bytes_planes)
        for channel in range(3):
            cv2.LUT(bytes_planes[channel], TABLES[channel], dst=images[view, channel])


TABLES = [(np.arange(256) * SCALE[c] + OFFSET[c]).astype(np.float32) for c in range(3)]
BLOB = cv2.dnn.Image2BlobParams()
BLOB.size, BLOB.ddepth, BLOB.swapRB = (out_width, out_height), cv2.CV_32F, False
BLOB.scalefactor, BLOB.mean = SCALES, (*(255 * MEAN.astype(np.float64)), 0)
WAYS = {
    f"{normalise.__name__}, {kind} maps": (normalise, kind)
    for normalise in (whole_image, planes, converted_planes, blob, lookup)
    for kind in ("fixed", "float")
}

features = [line.strip() for line in cv2.getBuildInformation().splitlines() if "Dispatched" in line or "IPP:" in line or "SSE4" in line]
print(cv2.__version__, "; ".join(features), sep=": ", flush=True)
print("|".join(WAYS), flush=True)
for line in sys.stdin:
    command = line.strip()
    start, start_cpu = time.perf_counter_ns(), time.thread_time_ns()
    if command == "save":
        images.tofile(f"{folder}/opencv.f32")
    else:
        normalise, kind = WAYS[command]
        normalise(kind)
    cpu, wall = time.thread_time_ns() - start_cpu, time.perf_counter_ns() - start
    print(wall, cpu, flush=True)
