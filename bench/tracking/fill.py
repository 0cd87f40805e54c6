"""Fills the SQLite store of a stock MLflow server with runs: the tables are
made by MLflow, the rows are those that its own store would write."""

import json
import sqlite3
import sys
import uuid

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

uri, runs, experiment = sys.argv[1:]
id = int(SqlAlchemyStore(uri, "mlflow-artifacts:/").create_experiment(experiment))
db = sqlite3.connect(uri.removeprefix("sqlite:///"))
for r in json.load(open(runs)):
    run = uuid.uuid4().hex
    db.execute(
        "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, source_version, lifecycle_stage, artifact_uri, experiment_id)"
        " VALUES (?, ?, 'UNKNOWN', '', '', '', 'RUNNING', ?, '', 'active', ?, ?)",
        (run, r["name"], r["start"], f"mlflow-artifacts:/{id}/{run}/artifacts", id),
    )
    for table in ("metrics", "latest_metrics"):
        db.executemany(
            f"INSERT INTO {table} (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, 0, ?)",
            [(m["key"], m["value"], m["timestamp"], m["step"], run) for m in r["metrics"]],
        )
    db.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", [(p["key"], p["value"], run) for p in r["params"]])
    tags = r["tags"] + [{"key": "mlflow.runName", "value": r["name"]}]
    db.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", [(t["key"], t["value"], run) for t in tags])
db.commit()
db.execute("ANALYZE")
db.commit()
