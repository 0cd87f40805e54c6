"""Cases of models and autolog, driven by a stock client of 2.x, which knows no
logged models."""

import json
import sys
import uuid

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient

from cases import run

URL = sys.argv[1]
client = MlflowClient(URL)


def data(rows=200):
    rng = np.random.default_rng(7)
    x = pd.DataFrame(rng.normal(size=(rows, 4)), columns=list("abcd"))
    return x, (x.a + x.b * x.c > 0).astype(int)


def case_log_model_and_load():
    from sklearn.linear_model import LogisticRegression

    mlflow.set_experiment(f"models-{uuid.uuid4().hex[:12]}")
    x, y = data()
    model = LogisticRegression().fit(x, y)
    with mlflow.start_run() as r:
        mlflow.sklearn.log_model(model, "model", input_example=x.head(2))
        mlflow.sklearn.log_model(model, "again")
    assert (mlflow.pyfunc.load_model(f"runs:/{r.info.run_id}/model").predict(x) == model.predict(x)).all()
    history = json.loads(client.get_run(r.info.run_id).data.tags["mlflow.log-model.history"])
    assert [m["artifact_path"] for m in history] == ["model", "again"], history


def case_autolog():
    import lightgbm
    import xgboost
    from sklearn.ensemble import RandomForestClassifier

    x, y = data()
    mlflow.set_experiment(f"autolog-{uuid.uuid4().hex[:12]}")
    mlflow.autolog(silent=True)
    try:
        with mlflow.start_run() as a:
            RandomForestClassifier(n_estimators=3).fit(x, y)
        with mlflow.start_run() as b:
            d = xgboost.DMatrix(x, y)
            xgboost.train({"max_depth": 2, "nthread": 1}, d, 3, evals=[(d, "train")], verbose_eval=False)
        with mlflow.start_run() as c:
            lightgbm.train({"objective": "binary", "num_leaves": 4, "num_threads": 1, "verbose": -1}, lightgbm.Dataset(x, y), 3)
    finally:
        mlflow.autolog(disable=True, silent=True)
    for r, param in [(a, "n_estimators"), (b, "max_depth"), (c, "num_leaves")]:
        got = client.get_run(r.info.run_id)
        assert param in got.data.params and got.inputs.dataset_inputs, got
        assert mlflow.pyfunc.load_model(f"runs:/{r.info.run_id}/model").predict(x) is not None


if __name__ == "__main__":
    mlflow.set_tracking_uri(URL)
    run(globals())
