"""The newest row before each label by DuckDB's ASOF join.

    python peer.py FOLDER

The memory is not limited. What is found is counted and summed up, not written.
"""
import json
import resource
import sys
import time

import duckdb

folder = sys.argv[1]
duckdb.execute("set enable_progress_bar = false")  # it writes to standard output
began = time.perf_counter()
found, total = duckdb.execute(f"""
    select count(n), coalesce(sum(n), 0)::bigint from (
        select e.n from read_parquet('{folder}/labels.parquet') l
        asof left join read_parquet('{folder}/events.parquet') e
        on l.id = e.id and l.at > e.at)
""").fetchone()
print(json.dumps({"Seconds": time.perf_counter() - began, "Found": found, "Sum": int(total),
                  "Peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
