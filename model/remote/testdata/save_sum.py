"""Saves an MLflow model that adds its two inputs."""
import sys

import mlflow
import pandas
from mlflow.models import infer_signature


class Sum(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return (model_input["x"].fillna(0) + model_input["n"]).tolist()


rows = pandas.DataFrame({"x": [1.0, 2.0], "n": [1, 2]})
mlflow.pyfunc.save_model(sys.argv[1], python_model=Sum(), signature=infer_signature(rows, [2.0, 4.0]), pip_requirements=[])
