#!/usr/bin/env python3
"""Shows which parts of an exported fp32 network bear half precision.

Optional: nothing is built or tested with it. It needs Python 3.10 and, from PyPI,

    pip install onnx onnxruntime numpy

Usage:

    occdepth-host verify N.onnx --weights W --dump frame/
    python fp16_ranges.py N.onnx frame/ [--ranges-only]

For each part of the network it prints the largest magnitude of any of its values; the largest sum
below a mean or a norm, which a runtime that adds up in halves would hold; and what happens to
`ssc_logits` when the values and weights of that part alone are rounded to halves (root mean square and
largest error as shares of the logits', voxels whose class changes). Rounding is emulated in ONNX
Runtime: a Cast to f16 and back after every operator, so that sums inside an operator stay f32, as
matrix units have them.
"""

import argparse
import pathlib
import re

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

LOGITS = "ssc_logits"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("network", type=pathlib.Path, help="an export in fp32")
    parser.add_argument("frame", type=pathlib.Path, help="folder of `occdepth-host verify --dump`")
    parser.add_argument("--ranges-only", action="store_true", help="one run, no errors")
    arguments = parser.parse_args()
    network = Network(arguments.network, arguments.frame)
    expected, largest, sums = network.ranges()
    print("| part | largest value | largest sum | rms error | largest error | class changes |")
    print("|---|---|---|---|---|---|")
    for part in network.parts:
        errors = "| | |" if arguments.ranges_only else network.errors({part}, expected)
        total = f"{sums[part]:.3g}" if part in sums else ""
        print(f"| {part} | {largest[part]:.3g} | {total} {errors}", flush=True)
    if not arguments.ranges_only:
        print(f"| all of them | | {network.errors(set(network.parts), expected)}")


def part_of(node: onnx.NodeProto) -> str:
    """The part of the network that a node belongs to, by the names that the exporter gives."""
    name, op = node.name, node.op_type
    rules = [
        (r"net_rgb\.encoder.*\.se/GlobalAveragePool", "encoder: squeeze means"),
        (r"net_rgb\.encoder.*\.se", "encoder: squeeze and excite"),
        (r"net_rgb\.encoder.*blocks\.\d+\.\d+/Add", "encoder: residual sums"),
        (r"net_rgb\.encoder", "encoder: convolutions, SiLU"),
        (r"net_rgb\.decoder\.resize_output", "decoder: outputs"),
        (r"net_rgb\.decoder", "decoder: up-blocks"),
        (r"virtual_stereo", "virtual stereo"),
        (r"projects", "sfa: cosine" if op in COSINE else "sfa: gathers, sums"),
        (r"flosp_depth\.depth_net.*(mlp|\.se)", "depth net: camera gate"),
        (r"flosp_depth\.depth_net.*/Softmax", "depth net: softmax"),
        (r"flosp_depth\.depth_net", "depth net: convolutions"),
        (r"flosp_depth/Mul_1", "features * depth * 100"),
        (r"flosp_depth", "depth samples"),
        (r".*CP_mega_voxels.*/MatMul", "crp: gathered context"),
        (r".*CP_mega_voxels.context_prior", "crp: relations"),
        (r".*CP_mega_voxels.mega_context", "crp: mega context"),
        (r".*CP_mega_voxels", "crp: aspp, resize"),
        (r".*head.*/Softmax", "head: occupancy softmax"),
        (r".*head.*conv_classes", "head: class logits"),
        (r".*head", "head: convolutions"),
        (r".*\.up_", "unet: up"),
        (r".*", "unet: down"),
    ]
    return next(part for pattern, part in rules if re.match(pattern, name))


COSINE = {"ReduceL2", "ReduceSum", "Max", "Div", "Mul"}


class Network:
    def __init__(self, path: pathlib.Path, frame: pathlib.Path):
        self.model = onnx.load(path)
        graph = self.model.graph
        self.feeds = {i.name: np.load(frame / f"in.{i.name}.npy") for i in graph.input}
        declared = [*graph.input, *graph.value_info, *graph.output]
        self.types = {v.name: v.type.tensor_type.elem_type for v in declared}
        self.shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in declared}
        self.constants = {c.name: c for c in graph.initializer}
        self.parts = list(dict.fromkeys(part_of(node) for node in graph.node))

    def ranges(self):
        """The logits, and by part the largest value and the largest sum below a mean or a norm."""
        model, wanted = self.copy(), []
        for node in self.model.graph.node:
            for value in filter(self.is_float, node.output):
                absolute, largest = f"{value}/Abs", f"{value}/Largest"
                model.graph.node.append(helper.make_node("Abs", [value], [absolute]))
                reduce = helper.make_node("ReduceMax", [absolute], [largest], keepdims=0)
                model.graph.node.append(reduce)
                output = helper.make_tensor_value_info(largest, TensorProto.FLOAT, [])
                model.graph.output.append(output)
                wanted.append((node, largest))
        *found, logits = self.run(model, [name for _, name in wanted] + [LOGITS])
        largest, sums = {}, {}
        for (node, _), value in zip(wanted, map(float, found)):
            part = part_of(node)
            largest[part] = max(value, largest.get(part, 0.0))
            if node.op_type == "GlobalAveragePool":
                value *= np.prod(self.shapes[node.input[0]][2:])
            elif node.op_type == "ReduceL2":
                value *= value
            else:
                continue
            sums[part] = max(value, sums.get(part, 0.0))
        return logits, largest, sums

    def errors(self, parts: set[str], expected: np.ndarray) -> str:
        """A row's last columns: the logits with `parts` in halves."""
        model = self.copy()
        nodes = list(model.graph.node)
        del model.graph.node[:]
        rounded = {}
        for node in nodes:
            if part_of(node) not in parts:
                model.graph.node.append(node)
                continue
            for name in node.input:
                constant = self.constants.get(name)
                if constant is not None and constant.data_type == TensorProto.FLOAT:
                    half = numpy_helper.to_array(constant).astype(np.float16)
                    rounded[name] = numpy_helper.from_array(half.astype(np.float32), name)
            floats = [value for value in node.output if self.is_float(value)]
            exact = [f"{value}/exact" if value in floats else value for value in node.output]
            node.output[:] = exact
            model.graph.node.append(node)
            for value in floats:
                cast = helper.make_node(
                    "Cast", [f"{value}/exact"], [f"{value}/half"], to=TensorProto.FLOAT16
                )
                back = helper.make_node("Cast", [f"{value}/half"], [value], to=TensorProto.FLOAT)
                model.graph.node.extend([cast, back])
        constants = [rounded.get(c.name, c) for c in model.graph.initializer]
        del model.graph.initializer[:]
        model.graph.initializer.extend(constants)
        del model.graph.value_info[:]
        logits = self.run(model, [LOGITS])[0].astype(np.float64)
        if not np.isfinite(logits).all():
            return "| not finite | | |"
        error = logits - expected
        rms = np.sqrt(np.mean(error**2) / np.mean(expected.astype(np.float64) ** 2))
        largest = np.abs(error).max() / np.abs(expected).max()
        changes = np.mean(logits.argmax(0) != expected.argmax(0))
        return f"| {rms:.1e} | {largest:.1e} | {changes * 100:.3f} % |"

    def is_float(self, value: str) -> bool:
        return self.types.get(value) == TensorProto.FLOAT

    def copy(self) -> onnx.ModelProto:
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        return model

    def run(self, model: onnx.ModelProto, outputs: list[str]) -> list[np.ndarray]:
        options = onnxruntime.SessionOptions()
        # As it stands: an optimiser would remove a Cast and its inverse.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return session.run(outputs, self.feeds)


if __name__ == "__main__":
    main()
