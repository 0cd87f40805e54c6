"""Scores a Parquet file with LightGBM and writes the scores as Parquet.

    python peer.py polars|duckdb|arrow ROWS.parquet MODEL.txt SCORES.parquet

Three ways to the matrix that LightGBM wants; the benchmark takes the fastest.
"""
import os
import sys

import lightgbm
import numpy

way, source, model, target = sys.argv[1:]
booster = lightgbm.Booster(model_file=model)
names = booster.feature_name()

if way == "polars":
    import polars
    rows = polars.read_parquet(source, columns=names).to_numpy(order="c")
elif way == "duckdb":
    import duckdb
    columns = duckdb.sql(f"select {', '.join(names)} from read_parquet('{source}')").fetchnumpy()
    rows = numpy.column_stack([columns[name] for name in names])
else:
    import pyarrow.parquet
    rows = pyarrow.parquet.read_table(source, columns=names)

score = booster.predict(rows)
threshold = 0.5
scores = {"row": numpy.arange(len(score)), "score": score, "label": numpy.where(score >= threshold, "1", "0")}

if way == "polars":
    polars.DataFrame(scores).write_parquet(target, compression="snappy")
else:
    import pyarrow
    import pyarrow.parquet
    pyarrow.parquet.write_table(pyarrow.table(scores), target)
with open(target, "rb") as f:  # as durable as a commit
    os.fsync(f.fileno())
