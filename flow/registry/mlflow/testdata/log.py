"""Logs and registers models on the MLflow server that is named, and prints what
it knows of them as JSON."""

import json
import sys

import lightgbm
import mlflow
import mlflow.lightgbm
import numpy as np

url = sys.argv[1]
mlflow.set_tracking_uri(url)
client = mlflow.MlflowClient(url)
rng = np.random.default_rng(0)
x = rng.normal(size=(300, 2))
y = (x[:, 0] > 0).astype(int)
params = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 4}
mlflow.set_experiment("imports")
known = {}
for rounds in (3, 5):
    model = lightgbm.train(params, lightgbm.Dataset(x, y, feature_name=["a", "b"]), rounds)
    with mlflow.start_run() as run:
        mlflow.log_params({"rounds": rounds, "words": "few"})
        mlflow.log_metrics({"auc": 0.9, "odd": float("nan")})
        mlflow.lightgbm.log_model(model, name="model", registered_model_name="churn", pip_requirements=["mlflow"])
    known["run"] = run.info.run_id
client.set_registered_model_alias("churn", "champion", "1")
client.update_model_version("churn", "2", "the second")
client.set_model_version_tag("churn", "2", "team", "growth")
known["rows"] = x[:20].tolist()
known["scores"] = model.predict(x[:20]).tolist()

# One whose files the server does not hand out.
client.create_registered_model("elsewhere")
client.create_model_version("elsewhere", "s3://bucket/model")
print(json.dumps(known))
