"""Cases of logged models and autolog, driven by a stock client of 3.x."""

import json
import os
import sys
import tempfile
import uuid

import mlflow
import numpy as np
import pandas as pd
import requests
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus, Metric

from cases import raises, run

URL = sys.argv[1]
client = MlflowClient(URL)


def experiment():
    return client.create_experiment(f"models-{uuid.uuid4().hex[:12]}")


def data(rows=200):
    rng = np.random.default_rng(7)
    x = pd.DataFrame(rng.normal(size=(rows, 4)), columns=list("abcd"))
    return x, (x.a + x.b * x.c > 0).astype(int)


def case_life():
    id = experiment()
    r = client.create_run(id).info.run_id
    m = client.create_logged_model(id, name="mine", source_run_id=r, tags={"a": "1"}, params={"p": "x"}, model_type="kind")
    assert (m.experiment_id, m.name, m.source_run_id, m.model_type, m.status) == (id, "mine", r, "kind", LoggedModelStatus.PENDING), m
    assert m.model_id.startswith("m-") and m.artifact_location == f"mlflow-artifacts:/{id}/models/{m.model_id}/artifacts"
    m = client.finalize_logged_model(m.model_id, LoggedModelStatus.READY)
    assert m.status == LoggedModelStatus.READY
    client.set_logged_model_tags(m.model_id, {"a": "2", "b": "3"})
    client.delete_logged_model_tag(m.model_id, "b")
    client.log_model_params(m.model_id, {"q": "y"})
    got = client.get_logged_model(m.model_id)
    assert got.tags == {"a": "2"} and got.params == {"p": "x", "q": "y"}, got
    raises("RESOURCE_DOES_NOT_EXIST", client.delete_logged_model_tag, m.model_id, "b")
    raises("RESOURCE_DOES_NOT_EXIST", client.get_logged_model, "m-" + "0" * 32)
    raises("INVALID_PARAMETER_VALUE", client.create_logged_model, id, name="a/b")
    client.delete_logged_model(m.model_id)
    raises("RESOURCE_DOES_NOT_EXIST", client.get_logged_model, m.model_id)
    body = requests.get(f"{URL}/api/2.0/mlflow/logged-models/{m.model_id}", params={"allow_deleted": "true"}, timeout=5).json()
    assert body["model"]["info"]["status"] == "LOGGED_MODEL_READY", body
    failed = client.create_logged_model(id)
    assert failed.name
    assert client.finalize_logged_model(failed.model_id, LoggedModelStatus.FAILED).status == LoggedModelStatus.FAILED


def case_metrics_of_models():
    id = experiment()
    r = client.create_run(id).info.run_id
    m = client.create_logged_model(id, name="m")
    client.log_metric(r, "auc", 0.5, model_id=m.model_id, dataset_name="test", dataset_digest="d1", step=1)
    client.log_batch(r, [Metric("auc", 0.75, 1, 2, model_id=m.model_id, dataset_name="test", dataset_digest="d1"),
                         Metric("auc", 0.25, 1, 2, model_id=m.model_id, dataset_name="train", dataset_digest="d2")])
    got = sorted((x.key, x.value, x.dataset_name, x.dataset_digest, x.run_id) for x in client.get_logged_model(m.model_id).metrics)
    assert got == [("auc", 0.25, "train", "d2", r), ("auc", 0.75, "test", "d1", r)], got
    raises("RESOURCE_DOES_NOT_EXIST", client.log_metric, r, "auc", 1, model_id="m-" + "0" * 32)


def case_search():
    id = experiment()
    r = client.create_run(id).info.run_id
    ids = {}
    for i in range(5):
        m = client.create_logged_model(id, name=f"m{i}", source_run_id=r, params={"p": str(i)}, tags={"parity": str(i % 2)})
        ids[m.model_id] = str(i)
        if i != 3:
            client.log_metric(r, "auc", i / 10, model_id=m.model_id, dataset_name="test", dataset_digest="d1")
        client.log_metric(r, "auc", -i, model_id=m.model_id, dataset_name="train", dataset_digest="d2")
    names = {n: m for m, n in ids.items()}
    client.finalize_logged_model(names["1"], LoggedModelStatus.READY)

    def found(filter=None, **named):
        return "".join(ids[m.model_id] for m in client.search_logged_models([id], filter_string=filter, **named))

    up = [{"field_name": "name", "ascending": True}]
    for filter, want in {None: "01234", "name = 'm1'": "1", "name LIKE 'm%' AND tags.parity = '1'": "13", "params.p != '0'": "1234",
                         "metrics.auc > 0.1": "24", "attributes.name ILIKE 'M_'": "01234", "metrics.auc < -2": "34", f"source_run_id = '{r}'": "01234",
                         "creation_timestamp > 0": "01234", "params.p IN ('1', '2')": "12", "name NOT IN ('m1')": "0234",
                         f"model_id = '{names['3']}'": "3", "status = 'READY'": "1"}.items():
        assert found(filter, order_by=up) == want, (filter, found(filter, order_by=up))
    assert found(datasets=[{"dataset_name": "test"}], order_by=up) == "0124"
    assert found("metrics.auc < 0", datasets=[{"dataset_name": "test", "dataset_digest": "d1"}], order_by=up) == ""
    assert found(order_by=[{"field_name": "metrics.auc", "ascending": False, "dataset_name": "test"}] + up) == "42103"
    assert found(order_by=[{"field_name": "creation_timestamp", "ascending": False}, {"field_name": "name", "ascending": False}])[-1] == "0"
    first = client.search_logged_models([id], max_results=3, order_by=up)
    rest = client.search_logged_models([id], max_results=3, order_by=up, page_token=first.token)
    assert "".join(ids[m.model_id] for m in first + rest) == "01234" and not rest.token
    for bad in ["nothing = 'a'", "metrics.a LIKE 'x'", "name = 'a' OR name = 'b'", "metrics.a > 'x'"]:
        raises("INVALID_PARAMETER_VALUE", client.search_logged_models, [id], filter_string=bad)
    raises("INVALID_PARAMETER_VALUE", client.search_logged_models, [id], order_by=[{"field_name": "nothing"}])
    raises("INVALID_PARAMETER_VALUE", client.search_logged_models, [id], datasets=[{"dataset_name": ""}])


def case_log_model_and_load():
    from sklearn.linear_model import LogisticRegression

    mlflow.set_experiment(experiment_id=experiment())
    x, y = data()
    model = LogisticRegression().fit(x, y)
    with mlflow.start_run() as r:
        mlflow.log_metric("auc", 0.9)
        info = mlflow.sklearn.log_model(model, name="model", input_example=x.head(2))
    got = client.get_logged_model(info.model_id)
    assert got.status == LoggedModelStatus.READY and got.source_run_id == r.info.run_id
    assert {m.key: m.value for m in got.metrics} == {"auc": 0.9}
    logged = client.get_run(r.info.run_id)
    assert [o.model_id for o in logged.outputs.model_outputs] == [info.model_id]
    for uri in [info.model_uri, f"models:/{info.model_id}", f"runs:/{r.info.run_id}/model"]:
        assert (mlflow.pyfunc.load_model(uri).predict(x) == model.predict(x)).all(), uri
    files = [f.path for f in mlflow.artifacts.list_artifacts(f"models:/{info.model_id}")]
    assert "MLmodel" in files, files
    body = requests.get(f"{URL}/api/2.0/mlflow/logged-models/{info.model_id}/artifacts/directories", timeout=5).json()
    assert "MLmodel" in [f["path"] for f in body["files"]], body


def case_upload_that_fails():
    mlflow.set_experiment(experiment_id=experiment())

    class Bad(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input):
            return model_input

        def __reduce__(self):
            raise RuntimeError("it cannot be pickled")

    try:
        mlflow.pyfunc.log_model(name="bad", python_model=Bad())
    except Exception:
        pass
    experiment_id = mlflow.get_experiment_by_name(mlflow.get_experiment(mlflow.active_run().info.experiment_id).name).experiment_id if mlflow.active_run() else None
    mlflow.end_run()
    if experiment_id:
        states = {m.status for m in client.search_logged_models([experiment_id])}
        assert states <= {LoggedModelStatus.FAILED}, states


def autologged(fit):
    id = experiment()
    mlflow.set_experiment(experiment_id=id)
    with mlflow.start_run() as r:
        predictions = fit()
    got = client.get_run(r.info.run_id)
    assert got.info.status == "FINISHED"
    return got, predictions


def case_autolog_sklearn():
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GridSearchCV

    x, y = data()
    mlflow.sklearn.autolog(log_input_examples=True, log_model_signatures=True)
    try:
        got, want = autologged(lambda: RandomForestClassifier(n_estimators=5, random_state=1).fit(x, y).predict(x))
        assert got.data.params["n_estimators"] == "5" and got.data.metrics["training_accuracy_score"] > 0.9, got.data
        assert [t for d in got.inputs.dataset_inputs for t in d.tags if t.key == "mlflow.data.context" and t.value == "train"]
        model = f"models:/{got.outputs.model_outputs[0].model_id}"
        assert (mlflow.sklearn.load_model(model).predict(x) == want).all()
        assert "training_confusion_matrix.png" in [f.path for f in client.list_artifacts(got.info.run_id)]
        got, _ = autologged(lambda: GridSearchCV(RandomForestClassifier(n_estimators=3, random_state=1), {"max_depth": [1, 2, 3]}, cv=2).fit(x, y))
        children = client.search_runs([got.info.experiment_id], f"tags.`mlflow.parentRunId` = '{got.info.run_id}'")
        assert len(children) == 3 and got.data.params["best_max_depth"]
    finally:
        mlflow.sklearn.autolog(disable=True)


def case_autolog_xgboost():
    import xgboost

    x, y = data()
    mlflow.xgboost.autolog()
    try:
        d = xgboost.DMatrix(x, y)
        got, want = autologged(lambda: xgboost.train({"objective": "binary:logistic", "max_depth": 2, "nthread": 1}, d, 7, evals=[(d, "train")], verbose_eval=False).predict(d))
        assert got.data.params["max_depth"] == "2" and "train-logloss" in got.data.metrics, got.data
        assert len(client.get_metric_history(got.info.run_id, "train-logloss")) == 7
        model = mlflow.xgboost.load_model(f"models:/{got.outputs.model_outputs[0].model_id}")
        assert np.allclose(model.predict(d), want)
        assert "feature_importance_weight.json" in [f.path for f in client.list_artifacts(got.info.run_id)]
    finally:
        mlflow.xgboost.autolog(disable=True)


def case_autolog_lightgbm():
    import lightgbm

    x, y = data()
    mlflow.lightgbm.autolog()
    try:
        d = lightgbm.Dataset(x, y)
        got, want = autologged(lambda: lightgbm.train({"objective": "binary", "num_leaves": 4, "num_threads": 1, "verbose": -1}, d, 5, valid_sets=[d], valid_names=["train"]).predict(x))
        assert got.data.params["num_leaves"] == "4" and "train-binary_logloss" in got.data.metrics, got.data
        model = mlflow.lightgbm.load_model(f"models:/{got.outputs.model_outputs[0].model_id}")
        assert np.allclose(model.predict(x), want)
    finally:
        mlflow.lightgbm.autolog(disable=True)


def case_evaluate_logs_to_the_model():
    from sklearn.linear_model import LinearRegression

    mlflow.set_experiment(experiment_id=experiment())
    x, y = data()
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(LinearRegression().fit(x, y), name="model", input_example=x.head(2))
        result = mlflow.models.evaluate(info.model_uri, x.assign(y=y), targets="y", model_type="regressor", evaluator_config={"log_explainer": False})
    got = {m.key: m.value for m in client.get_logged_model(info.model_id).metrics}
    assert got["mean_absolute_error"] == result.metrics["mean_absolute_error"], got


if __name__ == "__main__":
    mlflow.set_tracking_uri(URL)
    run(globals())
