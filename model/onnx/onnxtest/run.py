# Scores the rows on standard input with the ONNX file named on the command
# line, and writes the outputs: both as {column: [text, ...]}.
import json
import sys

import numpy
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
columns = json.load(sys.stdin)
feed = {}
for wanted in session.get_inputs():
    values = columns[wanted.name]
    if wanted.type == "tensor(string)":
        array = numpy.array([v[1:] for v in values], dtype=object)
    else:
        array = numpy.array([float(v) for v in values], dtype=numpy.float64)
    feed[wanted.name] = array.reshape(-1, 1)
names = [o.name for o in session.get_outputs()]
result = {n: [v if isinstance(v, str) else repr(float(v)) for v in a.reshape(-1).tolist()]
          for n, a in zip(names, session.run(names, feed))}
json.dump(result, sys.stdout)
