# Writes the test cases that the standard itself has for single operators, of
# the operators named on standard input, as a list of {"name", "file" (base64),
# "inputs", "outputs"}: tensors are {"name", "type", "dims", "values"}.
import base64
import json
import sys
import warnings

import numpy as np
import onnx
import onnx.numpy_helper

warnings.filterwarnings("ignore")
from onnx.backend.test.case.node import collect_testcases  # noqa: E402

wanted = set(sys.stdin.read().split())
kinds = {"float32": "float", "float64": "double", "int64": "int64", "int32": "int32", "bool": "bool", "object": "string"}


def text(x):
    if isinstance(x, bytes):
        return x.decode()
    if isinstance(x, str):
        return x
    if isinstance(x, bool):
        return "true" if x else "false"
    return repr(x)


def told(info, a):
    if isinstance(a, (list, dict)) or a is None:
        raise TypeError("no tensor")
    if isinstance(a, onnx.TensorProto):
        a = onnx.numpy_helper.to_array(a)
    a = np.asarray(a)
    kind = "string" if a.dtype.kind in "UT" else kinds[str(a.dtype)]
    return {"name": info.name, "type": kind, "dims": list(a.shape), "values": [text(x) for x in a.reshape(-1).tolist()]}


cases = []
for case in collect_testcases(None):
    graph = case.model.graph
    if not {n.op_type for n in graph.node} <= wanted or case.model.functions:
        continue
    try:
        given, expected = case.data_sets[0]
        inputs = [told(i, a) for i, a in zip(graph.input, given)]
        outputs = [told(o, a) for o, a in zip(graph.output, expected)]
    except (KeyError, TypeError):  # half-precision, complex, sequences
        continue
    if sum(len(t["values"]) for t in inputs + outputs) < 20000:
        cases.append({"name": case.name, "file": base64.b64encode(case.model.SerializeToString()).decode(), "inputs": inputs, "outputs": outputs})
json.dump(cases, sys.stdout)
