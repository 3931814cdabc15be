"""Multiply-adds of a network by part, with the shapes that ONNX's own inference finds.

    python -m venv env && env/bin/pip install onnx && env/bin/python golden.py ../../engines/nano.onnx

The golden figures of `networks.rs` are what it prints (onnx 1.23.2).
"""

import math
import sys
from collections import Counter

import onnx

model = onnx.shape_inference.infer_shapes(onnx.load(sys.argv[1]), strict_mode=True, data_prop=True)
graph = model.graph
shapes = {constant.name: list(constant.dims) for constant in graph.initializer}
for value in [*graph.value_info, *graph.input, *graph.output]:
    shapes[value.name] = [extent.dim_value for extent in value.type.tensor_type.shape.dim]

parts = Counter()
for node in graph.node:
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    outputs = math.prod(shapes[node.output[0]])
    if node.op_type == "Conv":
        multiply_adds = outputs * math.prod(shapes[node.input[1]][1:])
    elif node.op_type == "ConvTranspose":
        multiply_adds = math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])
    elif node.op_type == "MatMul":
        multiply_adds = outputs * shapes[node.input[0]][-1]
    elif node.op_type == "Gemm":
        multiply_adds = outputs * shapes[node.input[0]][0 if attributes.get("transA") else 1]
    else:
        continue
    modules = [name for name in node.name.replace("/", ".").split(".")[:-1] if not name.isdigit()]
    parts[".".join(modules[:2])] += multiply_adds

for part, multiply_adds in parts.items():
    print(f"{part:32}{multiply_adds:>16}")
print(f"{'all':32}{sum(parts.values()):>16}")
floats = [c for c in graph.initializer if c.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)]
print(f"{'floating-point constants':32}{sum(math.prod(c.dims) for c in floats):>16}")
