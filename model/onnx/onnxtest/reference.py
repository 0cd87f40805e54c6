# Runs ONNX files in ONNX Runtime. Standard input is a list of
# {"file": base64, "inputs": {name: {"type", "dims", "values": [text, ...]}}};
# standard output is a list, for each file, of {"outputs": [{"type", "dims",
# "values"}]} or {"error": text}. Maps are rows of their values.
import base64
import json
import sys

import numpy
import onnxruntime

onnxruntime.set_default_logger_severity(4)
kinds = {"float": numpy.float32, "double": numpy.float64, "int64": numpy.int64, "int32": numpy.int32,
         "bool": numpy.bool_, "string": object}


def given(v):
    kind = kinds[v["type"]]
    if kind is object:
        values = numpy.array(v["values"], dtype=object)
    elif kind is numpy.bool_:
        values = numpy.array([x == "true" for x in v["values"]], dtype=kind)
    elif kind in (numpy.int64, numpy.int32):
        values = numpy.array([int(x) for x in v["values"]], dtype=kind)
    else:
        values = numpy.array([float(x) for x in v["values"]], dtype=kind)
    return values.reshape(v["dims"])


def text(x):
    if isinstance(x, bytes):
        return x.decode()
    if isinstance(x, str):
        return x
    if isinstance(x, bool):
        return "true" if x else "false"
    return repr(x)


def told(a):
    if isinstance(a, list):
        a = numpy.array([list(m.values()) for m in a], dtype=numpy.float32)
    kind = str(a.dtype)
    kind = {"float32": "float", "float64": "double", "object": "string"}.get(kind, "string" if kind.startswith("<U") else kind)
    return {"type": kind, "dims": list(a.shape), "values": [text(x) for x in a.reshape(-1).tolist()]}


options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 4
results = []
for case in json.load(sys.stdin):
    try:
        session = onnxruntime.InferenceSession(base64.b64decode(case["file"]), options, providers=["CPUExecutionProvider"])
        feed = {k: given(v) for k, v in case["inputs"].items()}
        results.append({"outputs": [told(a) for a in session.run(None, feed)]})
    except Exception as e:
        results.append({"error": str(e)[:600]})
json.dump(results, sys.stdout)
