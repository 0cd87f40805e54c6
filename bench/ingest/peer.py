"""Turns a CSV file into Parquet with DuckDB, types found out, and syncs it.

    python peer.py ROWS.csv ROWS.parquet
"""
import json
import os
import sys

import duckdb

source, target = sys.argv[1:]
duckdb.sql(f"copy (select * from read_csv('{source}')) to '{target}' (format parquet)")
with open(target, "rb") as f:  # as durable as a commit
    os.fsync(f.fileno())
print(json.dumps({"version": duckdb.__version__}))
