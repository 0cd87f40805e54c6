"""The peers of the scoring benchmark.

    peer.py train FOLDER TREES LEAVES    trains the models, from FOLDER/train
    peer.py NAME FOLDER                  scores the rows of FOLDER/rows

A peer writes its answers to FOLDER/NAME.answers. To the first line it says
{"version": …}, or {"absent": why}; to each line "N M" behind it {"seconds": …}:
the processor time to score M batches of N rows, one behind the other, by the fastest
call that its library has for so many. Everything that can be made ready before is:
pointers, matrices of the library's own kind, room for answers.
"""
import ctypes
import json
import os
import sys
import time

# What libraries print must not come between the answers.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

COLUMNS = 28
float64 = ctypes.POINTER(ctypes.c_double)


def rows_of(folder, name="rows", columns=COLUMNS):
    import numpy
    return numpy.ascontiguousarray(numpy.fromfile(folder + "/" + name).reshape(-1, columns))


def train(folder, trees, leaves):
    """Models of one shape by both libraries, on the sample's training rows."""
    import lightgbm
    import xgboost
    data = rows_of(folder, "train", COLUMNS + 1)
    x, y = data[:, 1:], data[:, 0]
    lightgbm.train({"objective": "binary", "num_leaves": leaves, "min_data_in_leaf": 3, "learning_rate": 0.05,
                    "verbosity": -1, "num_threads": 1, "seed": 1}, lightgbm.Dataset(x, y), trees).save_model(folder + "/model.txt")
    xgboost.train({"objective": "binary:logistic", "max_leaves": leaves, "max_depth": 0, "grow_policy": "lossguide",
                   "min_child_weight": 0.1, "eta": 0.05, "nthread": 1, "seed": 1, "tree_method": "hist"},
                  xgboost.DMatrix(x, y), trees).save_model(folder + "/model.json")


class LightGBM:
    """A matrix, or the call for single rows that looks nothing up."""

    def __init__(self, folder, rows):
        import lightgbm
        self.version = lightgbm.__version__
        booster = self.booster = lightgbm.Booster(model_file=folder + "/model.txt")
        self.answers = booster.predict(rows, num_threads=1)
        self.library = lightgbm.basic._LIB
        self.handle = getattr(booster, "_handle", None) or booster.handle
        self.rows, self.length, self.one = rows, ctypes.c_int64(), (ctypes.c_double * 1)()
        self.fast = ctypes.c_void_p()
        assert self.library.LGBM_BoosterPredictForMatSingleRowFastInit(
            self.handle, 0, 0, 0, 1, ctypes.c_int(COLUMNS), ctypes.c_char_p(b"num_threads=1"), ctypes.byref(self.fast)) == 0

    def ready(self, n):
        step = n * COLUMNS * 8
        length, base = ctypes.byref(self.length), self.rows.ctypes.data
        if n == 1:
            call, fast, one = self.library.LGBM_BoosterPredictForMatSingleRowFast, self.fast, self.one
            pointers = [ctypes.c_void_p(base + i * step) for i in range(len(self.rows))]
            return lambda i: call(fast, pointers[i], length, one)
        import numpy
        self.out = numpy.empty(n)
        call, handle, out = self.library.LGBM_BoosterPredictForMat, self.handle, self.out.ctypes.data_as(float64)
        settings, count, columns = ctypes.c_char_p(b"num_threads=1"), ctypes.c_int32(n), ctypes.c_int32(COLUMNS)
        return lambda i: call(handle, ctypes.c_void_p(base + i * step), 1, count, columns, 1, 0, 0, -1, settings, length, out)


class XGBoost:
    """In place, through the C call: no DMatrix, nothing looked up."""

    def __init__(self, folder, rows):
        import numpy
        import xgboost
        self.version = xgboost.__version__
        self.booster = xgboost.Booster({"nthread": 1}, model_file=folder + "/model.json")
        self.rows = rows.astype(numpy.float32)
        self.answers = self.booster.inplace_predict(self.rows)
        self.call, self.handle = xgboost.core._LIB.XGBoosterPredictFromDense, self.booster.handle
        self.settings = ctypes.c_char_p(json.dumps(
            {"type": 0, "iteration_begin": 0, "iteration_end": 0, "training": False,
             "missing": float("nan"), "strict_shape": False}).encode())

    def ready(self, n):
        arrays = []
        for i in range(len(self.rows) // n):
            at = self.rows.ctypes.data + i * n * COLUMNS * 4
            arrays.append(ctypes.c_char_p(json.dumps(
                {"data": [at, True], "shape": [n, COLUMNS], "typestr": "<f4", "version": 3}).encode()))
        shape, dims, out = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64(), ctypes.POINTER(ctypes.c_float)()
        refs = ctypes.byref(shape), ctypes.byref(dims), ctypes.byref(out)
        call, handle, settings = self.call, self.handle, self.settings
        assert call(handle, arrays[0], settings, None, *refs) == 0
        return lambda i: call(handle, arrays[i], settings, None, *refs)


class ONNXRuntime:
    """The same trees as onnxmltools writes them, float32 as it does."""

    def __init__(self, folder, rows):
        import lightgbm
        import numpy
        import onnxruntime
        from onnxmltools import convert_lightgbm
        from onnxmltools.convert.common.data_types import FloatTensorType
        self.version = onnxruntime.__version__
        graph = convert_lightgbm(lightgbm.Booster(model_file=folder + "/model.txt"), zipmap=False,
                                 initial_types=[("input", FloatTensorType([None, COLUMNS]))])
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(graph.SerializeToString(), settings, providers=["CPUExecutionProvider"])
        self.output = [self.session.get_outputs()[1].name]
        self.rows = rows.astype(numpy.float32)
        self.answers = self.session.run(self.output, {"input": self.rows})[0][:, 1]

    def ready(self, n):
        parts = [{"input": self.rows[i:i + n]} for i in range(0, len(self.rows) - n + 1, n)]
        run, output = self.session.run, self.output
        return lambda i: run(output, parts[i])


class Treelite:
    """The interpreter of Treelite, GTIL."""

    def __init__(self, folder, rows):
        import treelite
        self.version = treelite.__version__
        self.model = treelite.frontend.load_lightgbm_model(folder + "/model.txt")
        self.predict, self.rows = treelite.gtil.predict, rows
        self.answers = self.predict(self.model, rows, nthread=1).ravel()

    def ready(self, n):
        parts = [self.rows[i:i + n] for i in range(0, len(self.rows) - n + 1, n)]
        predict, model = self.predict, self.model
        return lambda i: predict(model, parts[i], nthread=1)


class TL2cgen:
    """C made of the trees, compiled by the C compiler of the machine."""

    def __init__(self, folder, rows):
        import tl2cgen
        import treelite
        self.version = tl2cgen.__version__
        model = treelite.frontend.load_lightgbm_model(folder + "/model.txt")
        tl2cgen.export_lib(model, toolchain="gcc", libpath=folder + "/tl2cgen.so", params={"parallel_comp": 32}, nthread=2)
        self.library, self.kind = tl2cgen.predictor._LIB, tl2cgen.DMatrix
        self.predictor = tl2cgen.Predictor(folder + "/tl2cgen.so", nthread=1)
        self.rows = rows
        self.answers = self.predictor.predict(tl2cgen.DMatrix(rows, dtype="float64")).ravel()

    def ready(self, n):
        import numpy
        self.parts = [self.kind(self.rows[i:i + n], dtype="float64") for i in range(0, min(len(self.rows) - n + 1, 4000 * n), n)]
        self.out = numpy.zeros(n)
        handles, count = [p.handle for p in self.parts], len(self.parts)
        call, handle, no, out = self.library.TL2cgenPredictorPredictBatch, self.predictor.handle, ctypes.c_int(0), self.out.ctypes.data_as(float64)
        return lambda i: call(handle, handles[i % count], no, no, out)


class Lleaves:
    """Machine code made of the trees by LLVM, called without Python's checks."""

    def __init__(self, folder, rows):
        import importlib.metadata
        import lleaves
        import numpy
        self.version = importlib.metadata.version("lleaves")
        self.model = lleaves.Model(model_file=folder + "/model.txt")
        self.model.compile()
        self.rows, self.answers = rows, numpy.asarray(self.model.predict(rows, n_jobs=1))
        self.call = self.model._c_entry_func

    def ready(self, n):
        import numpy
        self.out = numpy.empty(n)
        out, call, base, step = self.out.ctypes.data_as(float64), self.call, self.rows.ctypes.data, n * COLUMNS * 8
        pointers = [ctypes.cast(base + i * step, float64) for i in range(len(self.rows) // n)]
        return lambda i: call(pointers[i], out, 0, n)


PEERS = {"LightGBM": LightGBM, "XGBoost": XGBoost, "ONNX Runtime": ONNXRuntime,
         "Treelite": Treelite, "TL2cgen": TL2cgen, "lleaves": Lleaves}


def say(what):
    print(json.dumps(what), file=answers, flush=True)


def serve(name, folder):
    import numpy
    rows = rows_of(folder)
    try:
        peer = PEERS[name](folder, rows)
    except Exception as e:  # whatever it is: the benchmark goes on without this peer and says why
        sys.stdin.readline()
        say({"absent": f"{type(e).__name__}: {e}"[:300]})
        return
    numpy.asarray(peer.answers, dtype=float).tofile(f"{folder}/{name}.answers")
    sys.stdin.readline()
    say({"version": peer.version})
    now, size, call = time.process_time, 0, None
    for line in sys.stdin:
        n, times = map(int, line.split())
        if n != size:
            size, call = n, peer.ready(n)
            call(0)
        start = now()
        for i in range(times):
            call(i)
        say({"seconds": now() - start})


if sys.argv[1] == "train":
    train(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
else:
    serve(sys.argv[1], sys.argv[2])
