"""Trains LightGBM on the tables that lines of JSON on standard input name, and
answers with its scores of the rows that were not fitted."""
import json
import sys

import lightgbm
import numpy

for line in sys.stdin:
    t = json.loads(line)
    table = numpy.fromfile(t["folder"] + "/columns").reshape(t["columns"], -1).T
    label = numpy.fromfile(t["folder"] + "/label")
    settings = dict(objective=t["objective"], num_leaves=t["leaves"], learning_rate=t["rate"], seed=1,
                    deterministic=True, verbose=-1)
    data = lightgbm.Dataset(table[:t["fit"]], label[:t["fit"]], categorical_feature=t["categorical"] or [], params=settings)
    booster = lightgbm.train(settings, data, t["trees"])
    scores = booster.predict(table[t["fit"]:])
    print(json.dumps({"scores": scores.tolist(), "version": lightgbm.__version__}), flush=True)
