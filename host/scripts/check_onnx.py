#!/usr/bin/env python3
"""Checks an exported network with the ONNX project's own tools.

Optional: nothing is built or tested with it. It needs Python 3.10 and, from PyPI,

    pip install onnx onnxruntime numpy

Usage:

    occdepth-host verify N.onnx --weights W --dump frame/
    python check_onnx.py N.onnx frame/ [--threads 1] [--runs 3]

It runs `onnx.checker` with full checks, shape inference in strict mode (every value must get the shape
that the file declares), lists the operators, and then runs ONNX Runtime on the CPU with the inputs
that `verify` has written (`in.NAME.npy`) and compares with the outputs of the native network
(`out.NAME.npy`) as `verify` does (`tolerance.json`): the largest error as a share of the largest
magnitude, the root mean square error as a share of that of the expected values. Without a folder it
stops after the shapes.

Exit code: 0 equal, 1 the file is wrong or differs, 2 bad usage.
"""

import argparse
import json
import pathlib
import resource
import sys
import time
from collections import Counter

import numpy as np
import onnx


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("network", type=pathlib.Path, help="the exported network, FILE.onnx")
    parser.add_argument(
        "frame", type=pathlib.Path, nargs="?", help="folder of `occdepth-host verify --dump`"
    )
    parser.add_argument("--threads", type=int, default=0, help="of ONNX Runtime; 0: all cores")
    parser.add_argument("--runs", type=int, default=1, help="runs that are timed, after a first one")
    arguments = parser.parse_args()
    for path in filter(None, (arguments.network, arguments.frame)):
        if not path.exists():
            parser.error(f"{path} does not exist")

    try:
        contract = check_file(arguments.network)
    except Failure as failure:
        return fail(arguments.network, failure)
    if arguments.frame is None:
        return 0
    try:
        outputs = run(arguments, contract)
        return compare(arguments, contract, outputs)
    except Failure as failure:
        return fail(arguments.network, failure)


# Element types of a contract as NumPy names them.
DTYPES = {"f32": "<f4", "i32": "<i4"}


class Failure(Exception):
    """What is wrong with the file."""


def fail(network, failure) -> int:
    print(f"check_onnx: {network}: {failure}", file=sys.stderr)
    return 1


def check_file(path):
    """Checker, shape inference, operators; returns the contract."""
    try:
        # By path, so that external data and files above protobuf's limit are checked too.
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise Failure(f"onnx.checker: {error}") from error
    model = onnx.load(str(path), load_external_data=False)
    documents = [entry.value for entry in model.metadata_props if entry.key == "occdepth"]
    if len(documents) != 1:
        raise Failure(f"metadata `occdepth`: found {len(documents)} documents, expected 1")
    contract = read_contract(documents[0])

    graph = model.graph
    declared = {value.name: shape_of(value) for value in graph.value_info}
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.graph.value_info[:]
    try:
        inferred = onnx.shape_inference.infer_shapes(
            bare, check_type=True, strict_mode=True, data_prop=True
        )
    except onnx.shape_inference.InferenceError as error:
        raise Failure(f"shape inference: {error}") from error
    computed = {value.name: shape_of(value) for value in inferred.graph.value_info}
    for name, shape in declared.items():
        if name in computed and computed[name] != shape:
            raise Failure(f"value {name}: declared {shape}, inferred {computed[name]}")
    missing = [name for name in declared if name not in computed]
    if missing:
        raise Failure(
            f"shape inference: does not reach {len(missing)} values, the first {missing[0]}"
        )

    operators = Counter(node.op_type for node in graph.node)
    domains = {node.domain for node in graph.node} - {"", "ai.onnx"}
    if domains:
        raise Failure(f"operators of other domains: {sorted(domains)}")
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    print(f"{path}: preset {contract['preset']}, {contract['precision']}, opset {opset}")
    print(
        f"onnx {onnx.__version__}: checker and strict shape inference pass;"
        f" all {len(declared)} values inferred as declared"
    )
    print("operators:", ", ".join(f"{name} x{count}" for name, count in sorted(operators.items())))
    return contract


def read_contract(document):
    """The contract; refused where a field is missing that is read here."""
    try:
        contract = json.loads(document)
        tensors = [*contract["inputs"], *contract["outputs"]]
        for key in ("preset", "precision"):
            contract[key]
        for spec in tensors:
            spec["name"], tuple(spec["shape"]), DTYPES[spec["dtype"]]
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"metadata `occdepth`: no contract: {error!r}") from error
    return contract


def shape_of(value):
    tensor = value.type.tensor_type
    extents = (dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
    return tensor.elem_type, tuple(extents)


def run(arguments, contract):
    """The outputs of ONNX Runtime on the dumped inputs, by name."""
    import onnxruntime

    inputs = {spec["name"]: load(arguments.frame, "in", spec) for spec in contract["inputs"]}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.log_severity_level = 3
    start = time.perf_counter()
    try:
        session = onnxruntime.InferenceSession(
            str(arguments.network), options, providers=["CPUExecutionProvider"]
        )
        loaded = time.perf_counter() - start
        names = [spec["name"] for spec in contract["outputs"]]
        first = session.run(names, inputs)
        start, start_cpu = time.perf_counter(), time.process_time()
        for _ in range(arguments.runs):
            session.run(names, inputs)
    except Exception as error:  # ONNX Runtime's own exceptions have no common base class.
        raise Failure(f"ONNX Runtime: {error}") from error
    wall = (time.perf_counter() - start) / max(arguments.runs, 1)
    cpu = (time.process_time() - start_cpu) / max(arguments.runs, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"ONNX Runtime {onnxruntime.__version__}, {arguments.threads or 'all'} threads:"
        f" loaded in {loaded:.2f} s; {wall:.3f} s wall, {cpu:.3f} s CPU a frame"
        f" (mean of {arguments.runs}); peak RSS {peak:.0f} MiB"
    )
    return dict(zip(names, first))


def load(folder, kind, spec):
    path = folder / f"{kind}.{spec['name']}.npy"
    try:
        values = np.load(path)
    except (OSError, ValueError) as error:
        raise Failure(f"{path}: {error}") from error
    expected = (tuple(spec["shape"]), np.dtype(DTYPES[spec["dtype"]]))
    if (values.shape, values.dtype) != expected:
        raise Failure(f"{path}: found {(values.shape, values.dtype)}, expected {expected}")
    return values


def compare(arguments, contract, outputs) -> int:
    """The error table; 1 if an output is beyond tolerance."""
    try:
        tolerance = json.loads((arguments.frame / "tolerance.json").read_text())
        largest_allowed, rms_allowed = tolerance["largest"], tolerance["rms"]
    except (OSError, ValueError, KeyError) as error:
        raise Failure(f"{arguments.frame}/tolerance.json: {error!r}") from error
    print(f"{'output':20}{'values':>12}{'largest':>12}{'error':>12}{'relative':>12}{'RMS':>12}  labels")
    code = 0
    for spec in contract["outputs"]:
        expected = load(arguments.frame, "out", spec).astype(np.float64)
        found = outputs[spec["name"]].astype(np.float64)
        if found.shape != expected.shape:
            raise Failure(f"output {spec['name']}: {found.shape}, expected {expected.shape}")
        error = np.abs(found - expected)
        scale = np.abs(expected).max()
        relative = error.max() / scale if scale > 0 else error.max()
        power = np.sqrt(np.mean(expected**2))
        rms = np.sqrt(np.mean(error**2)) / power if power > 0 else np.sqrt(np.mean(error**2))
        equal = np.mean(found.argmax(axis=0) == expected.argmax(axis=0))
        print(
            f"{spec['name']:20}{error.size:12}{scale:12.4f}{error.max():12.2e}{relative:12.2e}"
            f"{rms:12.2e}  {100 * equal:.4f} % equal"
        )
        # Written so that an error that is not a number fails.
        if not (relative <= largest_allowed and rms <= rms_allowed):
            print(
                f"check_onnx: output {spec['name']}: relative {relative:.2e}, RMS {rms:.2e},"
                f" allowed {largest_allowed:.1e} and {rms_allowed:.1e}",
                file=sys.stderr,
            )
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
