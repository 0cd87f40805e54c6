"""Trains LightGBM once for each line on standard input: "seed".

Answers {"seconds": of binning and training, "auc": on the test rows}.
"""
import json
import sys
import time

import lightgbm
import numpy

folder, columns, fit, trees, leaves, bins, threads = sys.argv[1], *map(int, sys.argv[2:])
table = numpy.fromfile(folder + "/columns").reshape(columns, -1).T
rows = numpy.ascontiguousarray(table)  # the layout it likes best, outside the clock
label = numpy.fromfile(folder + "/label")


def auc(scores, truth):
    values, inverse, counts = numpy.unique(scores, return_inverse=True, return_counts=True)
    ends = numpy.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse]
    positive = truth == 1
    p = positive.sum()
    return (ranks[positive].sum() - p * (p + 1) / 2) / (p * (len(truth) - p))


for line in sys.stdin:
    settings = dict(objective="binary", num_leaves=leaves, learning_rate=0.1, max_bin=bins,
                    num_threads=threads, seed=int(line), verbose=-1)
    start = time.perf_counter()
    data = lightgbm.Dataset(rows[:fit], label[:fit], params=settings)
    booster = lightgbm.train(settings, data, trees)
    seconds = time.perf_counter() - start
    test = auc(booster.predict(rows[fit:]), label[fit:])
    print(json.dumps({"seconds": seconds, "auc": test, "version": lightgbm.__version__}), flush=True)
