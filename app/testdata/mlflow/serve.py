"""Logs models with a stock client of MLflow, registers them, points an alias at
them, and compares what Leat's endpoints answer with what Python predicts."""

import sys
import time

import mlflow
import numpy as np
import pandas as pd
import requests
from mlflow import MlflowClient

URL = sys.argv[1]
THREE = mlflow.__version__.startswith("3.")
mlflow.set_tracking_uri(URL)
client = MlflowClient(URL)
rng = np.random.default_rng(5)
columns = ["age", "amount", "visits"]
x = pd.DataFrame(rng.normal(size=(400, 3)), columns=columns)
y = (x["age"] + 0.5 * x["amount"] ** 2 > 0.3).astype(int)
rows = x.head(50)


def release(flavor, model, name):
    """Logs, registers and releases a model."""
    where = {"name": "model"} if THREE else {"artifact_path": "model"}
    with mlflow.start_run() as r:
        mlflow.log_metric("auc", 0.93)
        signature = mlflow.models.infer_signature(x, model_answer(model))
        flavor.log_model(model, registered_model_name=name, signature=signature, pip_requirements=["mlflow"], **where)
    version = client.get_latest_versions(name)[0]
    assert not version.status_message, version.status_message
    client.set_registered_model_alias(name, "champion", version.version)
    return r.info.run_id


def model_answer(model):
    try:
        return model.predict(x)
    except Exception:
        import xgboost

        return model.predict(xgboost.DMatrix(x))


def score(endpoint):
    """What the endpoint answers, once it serves."""
    body = [dict(row) for row in rows.to_dict("records")]
    for _ in range(100):
        answer = requests.post(f"{URL}/v1/endpoints/{endpoint}/score", json=body, timeout=60)
        if answer.status_code == 200:
            break
        time.sleep(0.1)
    assert answer.status_code == 200, answer.text
    decisions = answer.json()["decisions"]
    assert not any(d.get("error") for d in decisions), decisions[0]
    return decisions


def same(decisions, want, key="score"):
    got = np.array([d["output"][key] if "output" in d else d[key] for d in decisions], dtype=float)
    assert np.allclose(got, want, rtol=1e-6, atol=1e-9), (got[:5], want[:5])


def lightgbm_model():
    import lightgbm
    from mlflow import lightgbm as flavor

    params = {"objective": "binary", "verbose": -1, "num_threads": 1}
    model = lightgbm.train(params, lightgbm.Dataset(x, y), 10)
    release(flavor, model, "trees")
    same(score("trees"), model.predict(rows))
    assert np.array_equal(flavor.load_model("models:/trees@champion").predict(rows), model.predict(rows))


def xgboost_model():
    import xgboost
    from mlflow import xgboost as flavor

    model = xgboost.train({"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(x, y), 10)
    release(flavor, model, "boosted")
    same(score("boosted"), model.predict(xgboost.DMatrix(rows)))


def sklearn_model():
    from mlflow import sklearn as flavor
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LinearRegression()).fit(x, x["age"] * 2 + 1)
    release(flavor, model, "sklearn")
    decisions = score("sklearn")
    output = decisions[0].get("output", decisions[0])
    key = next(k for k, v in output.items() if isinstance(v, float))
    same(decisions, model.predict(rows), key)


def made_by_leat():
    """A version that Leat trained loads as an MLflow model."""
    version = client.get_model_version_by_alias("risk", "champion")
    assert version.source.startswith("mlflow-artifacts:/leat-registry/risk/"), version.source
    local = mlflow.artifacts.download_artifacts("models:/risk@champion")
    if THREE:
        import onnx
        from mlflow import onnx as flavor

        onnx.checker.check_model(flavor.load_model("models:/risk@champion"))
        assert mlflow.pyfunc.load_model("models:/risk@champion").metadata.flavors["onnx"]
    assert local


for case in (lightgbm_model, xgboost_model, sklearn_model, made_by_leat):
    case()
    print("ok", case.__name__, flush=True)
