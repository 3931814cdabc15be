#!/usr/bin/env python3
"""Runs an exported network in ONNX Runtime and in occdepth's CPU engine, frame by frame in turn, and
prints CPU seconds (user + system), wall seconds and peak resident memory of each, and their ratio.

    cargo build --release --manifest-path benches/engines/Cargo.toml
    python3 benches/engines/against_onnxruntime.py NETWORK.onnx --frames 3 --threads 1

Needs `onnxruntime` and `numpy` from PyPI. Both engines get the same images and the same geometry
tables: random ones, two thirds of the points visible, as on KITTI. Each runs in a process of its own,
so that memory and time are its own; only one of them works at a time.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("--frames", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--serve-onnxruntime", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve_onnxruntime:
        return serve(arguments.network, arguments.threads)

    threads = str(arguments.threads)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", pathlib.Path(__file__).parent / "target"))
    commands = {
        "onnxruntime": [sys.executable, __file__, arguments.network, "--threads", threads, "--serve-onnxruntime"],
        "occdepth": [str(target / "release" / "engines"), "serve", arguments.network, threads],
    }
    engines = {
        name: subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name, command in commands.items()
    }
    checks, frames = {}, {name: [] for name in engines}
    for name, engine in engines.items():  # memory, caches, and the same answer
        checks[name] = ask(name, engine)["sampled"]
    differences = [abs(a - b) for a, b in zip(*checks.values())]
    scale = max(abs(value) for value in checks["onnxruntime"])
    print(f"largest difference of {len(differences)} sampled logits: {max(differences):.2e} of {scale:.1f}")
    for frame in range(arguments.frames):
        order = list(engines.items())
        for name, engine in order if frame % 2 == 0 else reversed(order):
            frames[name].append(ask(name, engine))
    print(f"{'engine':12} {'threads':>7} {'cpu s':>8} {'best':>8} {'wall s':>8} {'peak MB':>8}")
    means = {}
    for name, measured in frames.items():
        cpu = [frame["cpu_s"] for frame in measured]
        wall = [frame["wall_s"] for frame in measured]
        means[name] = (sum(cpu) / len(cpu), min(cpu))
        peak = measured[-1]["peak_kb"] / 1024
        print(f"{name:12} {threads:>7} {means[name][0]:8.3f} {min(cpu):8.3f} {sum(wall) / len(wall):8.3f} {peak:8.0f}")
    ratios = [a / b for a, b in zip(means["occdepth"], means["onnxruntime"])]
    print(f"ratio of CPU seconds, occdepth / onnxruntime: {ratios[0]:.2f} (means), {ratios[1]:.2f} (best frames)")
    for engine in engines.values():
        engine.stdin.close()
        engine.wait()
    return 0


def ask(name, engine):
    """One frame."""
    engine.stdin.write("run\n")
    engine.stdin.flush()
    answer = engine.stdout.readline()
    if not answer:
        sys.exit(f"{name}: ended without an answer")
    return json.loads(answer)


def serve(network, threads):
    """Runs a frame in ONNX Runtime for each line on stdin."""
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    contract = json.loads(session.get_modelmeta().custom_metadata_map["occdepth"])
    inputs = tensors(contract, numpy)
    for _ in sys.stdin:
        cpu, wall = cpu_seconds(), time.perf_counter()
        (logits,) = session.run(["ssc_logits"], inputs)
        cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
        flat = logits.reshape(-1)
        sampled = [float(flat[i * SAMPLE_STEP % flat.size]) for i in range(SAMPLES)]
        print(json.dumps({"cpu_s": cpu, "wall_s": wall, "peak_kb": peak_kb(), "sampled": sampled}), flush=True)
    return 0


def tensors(contract, numpy):
    """The same inputs as `src/inputs.rs` makes: value i from an integer hash of i."""
    image = contract["image"]
    values = {}
    for seed, spec in enumerate(contract["inputs"]):
        shape = spec["shape"]
        count = int(numpy.prod(shape))
        random = hashed(seed, count, numpy)
        if spec["name"] == "images":
            value = (random % 1000).astype(numpy.float32) / numpy.float32(250) - numpy.float32(2)
        elif spec["name"] == "pixels":
            scales = numpy.array(contract["scales"])
            per_scale = int(numpy.prod(shape[2:]))
            scale = scales[numpy.arange(count) // per_scale % len(scales)]
            pixels = -(-image["width"] // scale) * -(-image["height"] // scale)
            value = numpy.where(random % 3 > 0, random // 3 % pixels, pixels).astype(numpy.int32)
        elif spec["name"] == "depth_index":
            value = (random % depth_cells(contract)).astype(numpy.int32)
        elif spec["name"] == "depth_weight":
            value = (random % 1000).astype(numpy.float32) / numpy.float32(8000)
        else:
            value = numpy.ones(count, numpy.float32)
        values[spec["name"]] = value.reshape(shape)
    return values


def depth_cells(contract):
    depth, image = contract["depth"], contract["image"]
    return depth["bins"]["count"] * -(-image["height"] // 8) * -(-image["width"] // 8)


def hashed(seed, count, numpy):
    """31-bit values: the finaliser of MurmurHash3 (32 bits) of `i + seed * 2^28`."""
    x = (numpy.arange(count, dtype=numpy.uint64) + (seed << 28)) & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = ((x ^ (x >> shift)) * factor) & 0xFFFFFFFF
    return ((x ^ (x >> 16)) >> 1).astype(numpy.int64)


def cpu_seconds():
    times = os.times()
    return times.user + times.system


def peak_kb():
    status = pathlib.Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


SAMPLES = 1000
SAMPLE_STEP = 7919

if __name__ == "__main__":
    sys.exit(main())
