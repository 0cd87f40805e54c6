"""Prints what the benchmark compares of a Parquet file."""
import json
import sys

import duckdb

print(json.dumps(duckdb.sql(f"select {sys.argv[2]} from read_parquet('{sys.argv[1]}')").fetchall()))
