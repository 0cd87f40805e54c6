"""Trains small XGBoost models of every sort and writes what they answer.

    train.py FOLDER

makes one folder for each model, with model.json, model.ubj, rows.csv (empty:
missing), expected.csv (margins and predictions) and leaves.csv (pred_leaf).
Among the rows are numbers at, and between the float32 numbers around, the
thresholds of the model.

    train.py --seeds FOLDER

writes models of two small trees: what is fuzzed begins with them.
"""
import csv
import json
import os
import sys

os.environ["OMP_NUM_THREADS"] = "1"  # the models are small, and threads that wait take time

import numpy as np
import pandas as pd
import xgboost as xgb

random = np.random.default_rng(7)
ROWS = 300
VERSION = tuple(int(part) for part in xgb.__version__.split(".")[:2])


def numbers(columns=5, missing=0.15):
    x = random.normal(size=(ROWS, columns)) * np.array([1, 10, 0.01, 1e6, 1])[:columns]
    x[:, -1] = random.integers(0, 4, ROWS)
    x[random.random(x.shape) < missing] = np.nan
    return x


def signal(x):
    filled = np.nan_to_num(x)
    return filled[:, 0] + 0.2 * filled[:, 1] * (filled[:, -1] > 1) + random.normal(size=ROWS) * 0.1


def thresholds(booster):
    """The numeric thresholds of each feature."""
    found = {}
    model = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]
    model = model.get("gbtree", model)
    for tree in model["model"].get("trees", []):
        for i, left in enumerate(tree["left_children"]):
            if left != -1 and not tree["split_type"][i]:
                found.setdefault(tree["split_indices"][i], []).append(np.float32(tree["split_conditions"][i]))
    return found


def sharpen(x, booster):
    """Puts numbers around the thresholds into a copy of x."""
    x = np.array(x, dtype=np.float64)
    for column, values in thresholds(booster).items():
        for row in range(0, ROWS, 3):
            t = values[row % len(values)]
            up, down = np.nextafter(t, np.float32(np.inf)), np.nextafter(t, np.float32(-np.inf))
            near = [float(t), float(up), float(down), (float(t) + float(up)) / 2, (float(t) + float(down)) / 2]
            v = near[random.integers(len(near))]
            x[row, column] = [v, np.nextafter(v, np.inf), np.nextafter(v, -np.inf)][random.integers(3)]
    return x


def write(folder, name, booster, rows, matrix):
    """rows are what the columns of the file have, matrix is the same for XGBoost."""
    path = os.path.join(folder, name)
    os.makedirs(path)
    for form in ("json", "ubj"):
        booster.save_model(os.path.join(path, "model." + form))
    with open(os.path.join(path, "rows.csv"), "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(booster.feature_names or ["f%d" % i for i in range(booster.num_features())])
        for row in rows:
            out.writerow(["" if v is None or v != v else v if isinstance(v, str) else repr(float(v)) for v in row])
    linear = json.loads(booster.save_config())["learner"]["gradient_booster"]["name"] == "gblinear"
    columns = {}
    for kind, values in (("margin", booster.predict(matrix, output_margin=True)), ("prediction", booster.predict(matrix))):
        values = np.asarray(values, dtype=np.float32).reshape(len(rows), -1)
        for k in range(values.shape[1]):
            columns[kind + str(k)] = values[:, k]
    with open(os.path.join(path, "expected.csv"), "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(columns)
        for i in range(len(rows)):
            out.writerow([repr(float(v[i])) for v in columns.values()])
    if not linear:
        leaves = booster.predict(matrix, pred_leaf=True).reshape(len(rows), -1)
        np.savetxt(os.path.join(path, "leaves.csv"), leaves, fmt="%d", delimiter=",")


def train(folder, name, x, y, rounds=6, group=None, extra=None, **params):
    """Trains on an array and writes the model."""
    params = {"max_depth": 5, "tree_method": "hist", "seed": 1, **params}
    data = xgb.DMatrix(x, label=y, **(extra or {}))
    if group is not None:
        data.set_group(group)
    booster = xgb.train(params, data, rounds)
    rows = np.array(x) if params.get("booster") == "gblinear" else sharpen(x, booster)
    kinds = {k: v for k, v in (extra or {}).items() if k.startswith("feature_")}
    write(folder, name, booster, rows, xgb.DMatrix(rows, **kinds))


def regressions(folder):
    x = numbers()
    y = signal(x)
    for objective in ("squarederror", "pseudohubererror", "absoluteerror"):
        train(folder, objective, x, y, objective="reg:" + objective)
    train(folder, "base-score", x, y, objective="reg:squarederror", base_score=123.456)
    train(folder, "squaredlogerror", x, np.abs(y), objective="reg:squaredlogerror")
    for name, objective in (("poisson", "count:poisson"), ("gamma", "reg:gamma"), ("tweedie", "reg:tweedie")):
        train(folder, name, x, np.floor(np.abs(y)) + 1, objective=objective)
    if VERSION >= (2, 0):
        train(folder, "quantiles", x, y, objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9])
        train(folder, "quantile", x, y, objective="reg:quantileerror", quantile_alpha=0.3)
    train(folder, "cox", x, np.abs(y) + 0.1, objective="survival:cox")
    bounds = {"label_lower_bound": np.abs(y) + 0.1, "label_upper_bound": np.abs(y) + 0.5}
    train(folder, "aft", x, None, objective="survival:aft", extra=bounds)
    for objective in ("pairwise", "ndcg", "map"):
        train(folder, objective, x, (y > 0).astype(int), objective="rank:" + objective, group=[30] * (ROWS // 30))
    both = np.stack([y, -2 * y + 1], 1)
    train(folder, "two-targets", x, both, objective="reg:squarederror")
    train(folder, "vector-leaves", x, both, objective="reg:squarederror", multi_strategy="multi_output_tree")
    train(folder, "forest", x, y, 2, objective="reg:squarederror", num_parallel_tree=5, subsample=0.7, colsample_bynode=0.6)
    train(folder, "pruned", x, y, objective="reg:squarederror", tree_method="exact", gamma=2.0, max_depth=7)
    train(folder, "deep", x, y, objective="reg:squarederror", max_depth=12, min_child_weight=0, eta=0.7)
    train(folder, "leafwise", x, y, objective="reg:squarederror", grow_policy="lossguide", max_leaves=13, max_depth=0)
    train(folder, "stumps", x, y, objective="reg:squarederror", max_depth=1)
    train(folder, "no-splits", x, y, objective="reg:squarederror", gamma=1e9)
    train(folder, "many-trees", x, y, 137, objective="reg:squarederror", max_depth=3)
    tiny = x * np.array([1e-42, 1e-39, 1e-40, 1e-44, 1])  # subnormal as float32
    train(folder, "subnormal", tiny, y, objective="reg:squarederror")
    names = {"feature_names": ["a b", "é", "> or ==", "a'b", "comma,"], "feature_types": ["q", "float", "q", "q", "int"]}
    train(folder, "names", x, y, objective="reg:squarederror", extra=names)


def classifications(folder):
    x = numbers()
    y = signal(x)
    yes = (y > 0).astype(int)
    for name in ("binary:logistic", "binary:logitraw", "binary:hinge", "reg:logistic"):
        train(folder, name.replace(":", "-"), x, yes, objective=name)
    train(folder, "unbalanced", x, (y > 1).astype(int), objective="binary:logistic", scale_pos_weight=5, base_score=0.02)
    of = np.digitize(y, [-0.5, 0.5])
    for name in ("multi:softprob", "multi:softmax"):
        train(folder, name.replace(":", "-"), x, of, objective=name, num_class=3)
        train(folder, name.replace(":", "-") + "-two", x, yes, objective=name, num_class=2)
    train(folder, "multi-forest", x, of, 2, objective="multi:softprob", num_class=3, num_parallel_tree=3, subsample=0.6)
    vectors = {"multi_strategy": "multi_output_tree"}
    train(folder, "vector-classes", x, of, objective="multi:softprob", num_class=3, **vectors)
    train(folder, "vector-labels", x, np.stack([yes, 1 - yes], 1), objective="binary:logistic", num_parallel_tree=2, **vectors)
    train(folder, "labels", x, np.stack([yes, 1 - yes, (y > 1).astype(int)], 1), objective="binary:logistic")
    train(folder, "dart", x, yes, 12, objective="binary:logistic", booster="dart", rate_drop=0.4)
    train(folder, "dart-multi", x, of, objective="multi:softprob", num_class=3, booster="dart", rate_drop=0.4, normalize_type="forest")
    train(folder, "linear", x, yes, objective="binary:logistic", booster="gblinear", updater="coord_descent")
    train(folder, "linear-multi", x, of, objective="multi:softprob", num_class=3, booster="gblinear")
    train(folder, "linear-poisson", x / [1, 10, 1, 1e6, 1], of, objective="count:poisson", booster="gblinear")
    data, held = xgb.DMatrix(x[:200], label=yes[:200]), xgb.DMatrix(x[200:], label=1 - yes[200:])
    booster = xgb.train({"objective": "binary:logistic"}, data, 20, evals=[(held, "held")], early_stopping_rounds=3, verbose_eval=False)
    write(folder, "stopped", booster, x, xgb.DMatrix(x))


def categories(folder):
    x = numbers(2)
    texts = random.choice(["red", "green", "blue", "grey", "x y"], ROWS)
    large = random.integers(0, 150, ROWS)
    y = np.nan_to_num(x[:, 0]) + (texts == "red") * 2.0 - (texts == "grey") + (large % 7 == 0) * 3.0
    codes = np.column_stack([np.unique(texts, return_inverse=True)[1], large, x])
    kinds = {"feature_types": ["c", "c", "float", "float"]}
    for name, one_hot in (("codes-sets", 1), ("codes-one-hot", 1000)):
        params = {"objective": "reg:squarederror", "max_cat_to_onehot": one_hot, "max_depth": 6}
        data = xgb.DMatrix(codes, label=y, enable_categorical=True, **kinds)
        booster = xgb.train(params, data, 8)
        odd = np.array(codes)
        strange = [np.nan, -1, -0.5, 0.5, 1.999999, 2.99999999999, 149, 150, 163, 200, 16777215, 16777216, 1e9, 3e9, 1e30]
        for row in range(0, ROWS, 2):
            odd[row, row // 2 % 2] = strange[row // 2 % len(strange)]
        write(folder, name, booster, odd, xgb.DMatrix(odd, enable_categorical=True, **kinds))
    if VERSION < (3, 1):
        return  # the file does not keep names
    for name, params in (("names-sets", {"max_cat_to_onehot": 1}), ("names-one-hot", {}), ("names-dart", {"booster": "dart", "rate_drop": 0.5})):
        frame = pd.DataFrame({"color": pd.Categorical(texts), "number": pd.Categorical(large * 10 - 40), "x": x[:, 0]})
        frame.loc[::11, "color"] = None
        frame.loc[::13, "number"] = None
        data = xgb.DMatrix(frame, label=y, enable_categorical=True)
        booster = xgb.train({"objective": "reg:squarederror", "max_depth": 6, **params}, data, 8)
        # Other codes for the same categories. All are ASCII: XGBoost 3.2 mixes
        # others up when it finds the codes anew.
        turned = frame.iloc[::-1].copy()
        turned["color"] = turned["color"].cat.reorder_categories(sorted(turned["color"].cat.categories, reverse=True))
        rows = [[None if pd.isna(v) else v for v in row] for row in turned.astype(object).values.tolist()]
        write(folder, name, booster, rows, xgb.DMatrix(turned, enable_categorical=True))


def seeds(folder):
    x = numbers(3)
    y, kind = signal(x), random.choice(["a", "b", "c"], ROWS)
    frame = pd.DataFrame({"k": pd.Categorical(kind), "n": pd.Categorical(random.integers(0, 9, ROWS)), "x": x[:, 0]})
    both = xgb.DMatrix(x, label=np.stack([y, -y], 1))
    for name, data, params in (
        ("trees", xgb.DMatrix(x, label=y > 0), {"objective": "binary:logistic"}),
        ("dart", xgb.DMatrix(x, label=np.digitize(y, [-1, 1])), {"objective": "multi:softprob", "num_class": 3, "booster": "dart"}),
        ("linear", xgb.DMatrix(x, label=y), {"booster": "gblinear"}),
        ("vectors", both, {"multi_strategy": "multi_output_tree"}),
        ("codes", xgb.DMatrix(frame.assign(k=frame.k.cat.codes, n=frame.n.cat.codes).to_numpy(), label=y + 3 * (kind == "a"),
                              feature_types=["c", "c", "q"], enable_categorical=True), {"max_cat_to_onehot": 1}),
        ("names", xgb.DMatrix(frame, label=y + 3 * (kind == "a"), enable_categorical=True), {"max_cat_to_onehot": 1}),
    ):
        booster = xgb.train({"max_depth": 2, **params}, data, 2)
        for form in ("json", "ubj"):
            booster.save_model(os.path.join(folder, name + "." + form))


if __name__ == "__main__":
    if sys.argv[1] == "--seeds":
        seeds(sys.argv[2])
        sys.exit()
    for make in (regressions, classifications, categories):
        make(sys.argv[1])
    with open(os.path.join(sys.argv[1], "version"), "w") as f:
        f.write(xgb.__version__)
