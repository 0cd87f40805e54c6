"""Saves two MLflow models into a folder, with rows and what they predict."""
import json
import sys

import mlflow
import numpy
import pandas
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression
from sklearn.ensemble import RandomForestClassifier

folder = sys.argv[1]
random = numpy.random.default_rng(7)
rows = pandas.DataFrame({
    "amount": random.normal(100, 30, 300),
    "visits": random.integers(0, 20, 300).astype("int32"),
    "weight": random.normal(0, 1, 300).astype("float32"),
})
target = rows["amount"] * 2 + rows["visits"] - rows["weight"]

linear = LinearRegression().fit(rows, target)
mlflow.sklearn.save_model(linear, folder + "/linear", signature=infer_signature(rows, linear.predict(rows)),
                          serialization_format="cloudpickle")

labels = numpy.where(target > target.mean(), "high", "low")
forest = RandomForestClassifier(n_estimators=10, random_state=1).fit(rows.to_numpy(), labels)


class Both(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        import cloudpickle
        with open(context.artifacts["forest"], "rb") as f:
            self.forest = cloudpickle.load(f)

    def predict(self, context, model_input, params=None):
        chances = self.forest.predict_proba(model_input.to_numpy())
        return pandas.DataFrame({"high": chances[:, 0], "label": self.forest.predict(model_input.to_numpy())})


import cloudpickle
with open(folder + "/forest.pkl", "wb") as f:
    cloudpickle.dump(forest, f)
both = Both()
both.forest = forest
answer = both.predict(None, rows)
mlflow.pyfunc.save_model(folder + "/both", python_model=Both(), artifacts={"forest": folder + "/forest.pkl"},
                         input_example=rows.head(3), pip_requirements=[])
with open(folder + "/expected.json", "w") as f:
    json.dump({"rows": rows.astype("float64").to_dict("list"), "linear": linear.predict(rows).tolist(),
               "high": answer["high"].tolist(), "label": answer["label"].tolist()}, f)
