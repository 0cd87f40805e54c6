"""Scores with LightGBM, on one thread, the model and rows of a folder.

First writes its answers to FOLDER/answers. Then, for each line on standard
input, scores M batches of N rows, one behind the other ("N M"), by the call
that LightGBM has for so many: a matrix, or the fast single-row call. Answers {"seconds": of all M calls}.
"""
import ctypes
import json
import sys
import time

import lightgbm
import numpy

folder, columns = sys.argv[1], int(sys.argv[2])
rows = numpy.ascontiguousarray(numpy.fromfile(folder + "/columns").reshape(columns, -1).T)
booster = lightgbm.Booster(model_file=folder + "/model.txt")
booster.predict(rows, num_threads=1).tofile(folder + "/answers")
library, handle = lightgbm.basic._LIB, getattr(booster, "_handle", None) or booster.handle

fast = ctypes.c_void_p()
assert library.LGBM_BoosterPredictForMatSingleRowFastInit(
    handle, 0, 0, 0, 1, ctypes.c_int(columns), ctypes.c_char_p(b"num_threads=1"), ctypes.byref(fast)) == 0
one, length = (ctypes.c_double * 1)(), ctypes.c_int64()


def single(n):
    base, step, call = rows.ctypes.data, columns * 8, library.LGBM_BoosterPredictForMatSingleRowFast
    pointers = [ctypes.c_void_p(base + i * step) for i in range(n)]
    start = time.perf_counter()
    for p in pointers:
        call(fast, p, ctypes.byref(length), one)
    return time.perf_counter() - start


def matrix(n, times):
    answers, base = numpy.empty(n), rows.ctypes.data
    call, out = library.LGBM_BoosterPredictForMat, answers.ctypes.data_as(ctypes.POINTER(ctypes.c_double))
    pointers = [ctypes.c_void_p(base + i * n * columns * 8) for i in range(times)]
    start = time.perf_counter()
    for p in pointers:
        call(handle, p, 1, ctypes.c_int32(n), ctypes.c_int32(columns), 1, 0, 0, -1,
             ctypes.c_char_p(b"num_threads=1"), ctypes.byref(length), out)
    return time.perf_counter() - start


sys.stdin.readline()
print(json.dumps({"version": lightgbm.__version__}), flush=True)
for line in sys.stdin:
    n, times = map(int, line.split())
    print(json.dumps({"seconds": single(times) if n == 1 else matrix(n, times)}), flush=True)
