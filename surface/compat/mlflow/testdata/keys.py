"""Who may log: a stock client with a key that may log, one that may read, and
none."""

import base64
import os
import sys

import mlflow
import requests
from mlflow import MlflowClient

from cases import raises, run

URL = sys.argv[1]
WRITER, READER, STRANGER = (os.environ[k] for k in ("WRITER", "READER", "STRANGER"))


def with_key(key=None, user=None, password=None):
    for name, value in {"MLFLOW_TRACKING_TOKEN": key, "MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password}.items():
        os.environ.pop(name, None)
        if value:
            os.environ[name] = value
    return MlflowClient(URL)


def case_token():
    run_id = with_key(WRITER).create_run("0").info.run_id
    client = with_key(READER)
    assert client.get_run(run_id).info.run_id == run_id
    raises("PERMISSION_DENIED", client.log_metric, run_id, "a", 1)
    raises("PERMISSION_DENIED", client.create_experiment, "x")


def case_password():
    client = with_key(user="anybody", password=WRITER)
    run_id = client.create_run("0").info.run_id
    client.log_text(run_id, "text", "a.txt")
    assert mlflow.artifacts.load_text(f"mlflow-artifacts:/0/{run_id}/artifacts/a.txt") == "text"


def case_no_key():
    for client in [with_key(), with_key("leat_nonsense"), with_key(user="a", password="b")]:
        raises("UNAUTHENTICATED", client.get_experiment, "0")
    answer = requests.put(URL + "/api/2.0/mlflow-artifacts/artifacts/a", data=b"x" * (1 << 20), timeout=5)
    assert answer.status_code == 401, answer.text
    assert requests.get(URL + "/health", timeout=5).status_code == 200


def case_stranger():
    client = with_key(STRANGER)
    raises("PERMISSION_DENIED", client.get_experiment, "0")
    basic = base64.b64encode(f"x:{STRANGER}".encode()).decode()
    answer = requests.get(URL + "/api/2.0/mlflow-artifacts/artifacts", headers={"Authorization": "Basic " + basic}, timeout=5)
    assert answer.status_code == 403 and answer.json()["error_code"] == "PERMISSION_DENIED", answer.text


if __name__ == "__main__":
    mlflow.set_tracking_uri(URL)
    run(globals())
