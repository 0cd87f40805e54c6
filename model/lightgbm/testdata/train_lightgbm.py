"""Trains small models with LightGBM and writes what it answers.

    train_lightgbm.py FOLDER [CASE...]

Each case becomes a folder: model.txt; rows.csv, whose empty cells are missing
values; predict.csv and raw.csv, one line a row and one column an output;
leaves.csv, one column a tree. The rows are those of no training, with values
put into them that are easily got wrong.
"""
import os
import sys

os.environ["OMP_NUM_THREADS"] = "1"  # threads that wait for one another are slow where others work, too

import lightgbm
import numpy
import pandas

ROWS, TESTED, FEATURES, ROUNDS = 700, 400, 6, 12
ZERO = float(numpy.float32(1e-35))  # what LightGBM takes for zero, and less
ODD = [numpy.nan, numpy.nan, 0.0, -0.0, 1e-36, -1e-36, ZERO, -ZERO,
       numpy.nextafter(ZERO, 1), numpy.nextafter(-ZERO, -1), 5e-324, 1.0, -1.0]
HUGE = [numpy.inf, -numpy.inf, 1e300, -1e300]
CODES = [-1, -0.5, -0.999, 0.5, 2.999, 31, 32, 63.5, 64, 2**31 - 1, 2**31, 2**32, 2**32 + 1, 1e18, -1e18,
         numpy.inf, -numpy.inf, numpy.nan]
random = numpy.random.default_rng(20)


def numbers(rows, missing=0.08, zeros=0.08):
    """Numbers of different shapes, with missing values and zeros."""
    x = random.normal(size=(rows, FEATURES))
    x[:, 1] = numpy.exp(x[:, 1])
    x[:, 2] = numpy.round(x[:, 2] * 3)
    x[random.random(x.shape) < zeros] = 0
    x[random.random(x.shape) < missing] = numpy.nan
    return x


def signal(x):
    z = numpy.nan_to_num(x, nan=0.7)
    return z[:, 0] + numpy.sin(z[:, 1] * 2) + 0.3 * z[:, 2] * (z[:, 3] > 0) - 0.5 * (z[:, 4] == 0)


def odd(x, values, share=0.15):
    """Puts some of values into some of the cells."""
    x = x.copy()
    at = random.random(x.shape) < share
    x[at] = random.choice(values, at.sum())
    return x


def cuts(booster, x):
    """Puts thresholds of the model and their neighbours into some cells."""
    frame = booster.trees_to_dataframe().dropna(subset=["threshold"])
    frame = frame[frame.decision_type == "<="]
    x = x.copy()
    names = booster.feature_name()
    for name, part in frame.groupby("split_feature"):
        values = part.threshold.astype(float).to_numpy()
        values = numpy.concatenate([values, numpy.nextafter(values, 1e308), numpy.nextafter(values, -1e308)])
        at = random.random(len(x)) < 0.2
        x[at, names.index(name)] = random.choice(values, at.sum())
    return x


def train(x, y, params, rounds=ROUNDS, **data):
    settings = {"num_leaves": 15, "min_data_in_leaf": 8, "verbosity": -1, "num_threads": 1,
                "deterministic": True, "seed": 5, "learning_rate": 0.2, **params}
    return lightgbm.train(settings, lightgbm.Dataset(x, y, **data), rounds)


def table(path, values):
    values = numpy.asarray(values)
    values = values.reshape(len(values), -1)
    with open(path, "w") as f:
        for row in values.tolist():
            f.write(",".join(map(repr, row)) + "\n")


def write(folder, booster, rows):
    os.makedirs(folder, exist_ok=True)
    booster.save_model(folder + "/model.txt")
    if not isinstance(rows, pandas.DataFrame):
        names = booster.feature_name()
        pandas.DataFrame(rows, columns=names).to_csv(folder + "/rows.csv", index=False, na_rep="")
    else:
        rows.to_csv(folder + "/rows.csv", index=False, na_rep="")
    table(folder + "/predict.csv", booster.predict(rows, num_threads=1))
    table(folder + "/raw.csv", booster.predict(rows, raw_score=True, num_threads=1))
    table(folder + "/leaves.csv", booster.predict(rows, pred_leaf=True, num_threads=1).astype(int))


def plain(params, label, **more):
    """A case of numbers: label makes the labels of the signal."""
    def case(folder):
        x = numbers(ROWS)
        z = signal(x)
        booster = train(x, label(z), params, **{k: v() for k, v in more.items()})
        rows = numbers(TESTED)
        half = TESTED // 2
        rows[:half] = odd(rows[:half], ODD if params.get("linear_tree") else ODD + HUGE)
        rows[half:] = cuts(booster, rows[half:])
        write(folder, booster, rows)
    return case


def two(z):
    return (z + random.normal(size=len(z)) / 3 > 0.3).astype(int)


def three(z):
    return numpy.digitize(z, [-0.5, 0.8])


def positive(z):
    return random.poisson(numpy.exp(numpy.clip(z, -3, 3) / 2)) + 0.5


def same(z):
    return z


def share(z):
    return 1 / (1 + numpy.exp(-z))


def grades(z):
    return numpy.digitize(z, [-1, 0, 1, 2])


def groups():
    return [ROWS // 10] * 10


def softmax(scores, data):
    """Gradients of three classes, as an objective of one's own."""
    scores = scores.reshape(len(data.get_label()), -1)
    p = numpy.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    wanted = numpy.eye(3)[data.get_label().astype(int)]
    return p - wanted, 2 * p * (1 - p)


def codes(high, **params):
    """Columns of category codes, given to LightGBM as numbers."""
    def case(folder):
        x = numpy.column_stack([random.integers(0, high, ROWS) for _ in range(3)] + [random.normal(size=ROWS)]).astype(float)
        x[random.random(x.shape) < 0.05] = numpy.nan
        z = numpy.nan_to_num(x)
        y = ((z[:, 0] % 3 == 1) ^ (z[:, 1] % 5 < 2)) + z[:, 3] / 2
        booster = train(x, y, {"objective": "regression", "min_data_per_group": 5, "cat_smooth": 1, "max_cat_to_onehot": 2, **params},
                        categorical_feature=[0, 1, 2])
        rows = numpy.column_stack([random.integers(0, high + 3, TESTED) for _ in range(3)] + [random.normal(size=TESTED)]).astype(float)
        rows[:, :3] = odd(rows[:, :3], CODES, 0.2)
        write(folder, booster, rows)
    return case


def frame(rows, extra=False):
    def some(values, unseen):
        values = values + ([unseen] if extra else [])
        return pandas.Series(random.choice(numpy.array(values, dtype=object), rows))

    f = pandas.DataFrame({
        "amount due": random.normal(size=rows),
        "city": some(["Ålesund", "Bern", "Cork", 'a "b"', "x, y", "New York"], "Oslo"),
        "plan": some([10, 20, 35, -4], 99),
        "size": some(["small", "medium", "large", "huge"], "vast"),
        "member": pandas.Series(random.choice(numpy.array([True, False], dtype=object), rows)),
        "visits": random.integers(0, 9, rows).astype(float),
        "rate": some([0.5, 1.25, 7.0], 3.5),
    })
    for name in f.columns:
        f.loc[random.random(rows) < 0.06, name] = None
    f["city"] = f["city"].astype("category")
    f["plan"] = f["plan"].astype("category")
    f["rate"] = f["rate"].astype("category")
    f["member"] = f["member"].astype("category")
    f["size"] = pandas.Categorical(f["size"], categories=["small", "medium", "large", "huge"] + (["vast"] if extra else []), ordered=True)
    return f


def pandas_case(objective):
    def case(folder):
        x = frame(ROWS)
        city, size = x["city"].cat.codes, x["size"].cat.codes
        y = x["amount due"].fillna(0) + (city % 2) * 2 + size * (x["plan"].cat.codes - 1) / 3 + (x["rate"].cat.codes == 1) + (x["member"].cat.codes == 1) * 0.4
        if objective == "binary":
            y = (y > y.median()).astype(int)
        booster = train(x, y, {"objective": objective, "min_data_per_group": 5, "cat_smooth": 1})
        write(folder, booster, frame(TESTED, extra=True))
    return case


CASES = {
    "binary": plain({"objective": "binary"}, two),
    "binary_sigmoid": plain({"objective": "binary", "sigmoid": 0.7}, two),
    "multiclass": plain({"objective": "multiclass", "num_class": 3}, three),
    "ova": plain({"objective": "multiclassova", "num_class": 3, "sigmoid": 1.5}, three),
    "custom_multiclass": plain({"objective": softmax, "num_class": 3}, three),
    "regression": plain({"objective": "regression"}, same),
    "regression_sqrt": plain({"objective": "regression", "reg_sqrt": True}, same),
    "regression_l1": plain({"objective": "regression_l1"}, same),
    "huber": plain({"objective": "huber"}, same),
    "fair": plain({"objective": "fair"}, same),
    "quantile": plain({"objective": "quantile", "alpha": 0.8}, same),
    "mape": plain({"objective": "mape"}, positive),
    "poisson": plain({"objective": "poisson"}, positive),
    "gamma": plain({"objective": "gamma"}, positive),
    "tweedie": plain({"objective": "tweedie"}, positive),
    "cross_entropy": plain({"objective": "cross_entropy"}, share),
    "cross_entropy_lambda": plain({"objective": "cross_entropy_lambda"}, share),
    "lambdarank": plain({"objective": "lambdarank"}, grades, group=groups),
    "rank_xendcg": plain({"objective": "rank_xendcg"}, grades, group=groups),
    "dart": plain({"objective": "binary", "boosting": "dart", "drop_rate": 0.4}, two),
    "rf": plain({"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7}, two),
    "rf_multiclass": plain({"objective": "multiclass", "num_class": 3, "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7}, three),
    "rf_poisson": plain({"objective": "poisson", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7}, positive),
    "goss": plain({"objective": "binary", "data_sample_strategy": "goss"}, two),
    "linear_tree": plain({"objective": "regression", "linear_tree": True}, same),
    "linear_binary": plain({"objective": "binary", "linear_tree": True, "linear_lambda": 0.1}, two),
    "zero_as_missing": plain({"objective": "binary", "zero_as_missing": True}, two),
    "no_missing": plain({"objective": "binary", "use_missing": False}, two),
    "constant": plain({"objective": "regression", "min_data_in_leaf": 600}, same),
    "deep": plain({"objective": "regression", "num_leaves": 127, "min_data_in_leaf": 1, "max_bin": 1000}, same),
    "codes": codes(12),
    "codes_many": codes(70),
    "codes_zero_as_missing": codes(20, zero_as_missing=True),
    "pandas": pandas_case("regression"),
    "pandas_binary": pandas_case("binary"),
}


def sparse(folder):
    """Category codes far apart, such as postal codes."""
    known = numpy.sort(random.choice(900_000, 40, replace=False))
    x = numpy.column_stack([random.choice(known, ROWS), random.normal(size=ROWS)]).astype(float)
    y = (x[:, 0] % 7 < 3) + x[:, 1] / 2
    booster = train(x, y, {"objective": "regression", "min_data_per_group": 5, "cat_smooth": 1}, rounds=3, categorical_feature=[0])
    rows = numpy.column_stack([random.choice(numpy.concatenate([known, known + 1]), TESTED), random.normal(size=TESTED)]).astype(float)
    write(folder, booster, rows)


CASES["codes_sparse"] = sparse

for case in sys.argv[2:] or CASES:
    CASES[case](os.path.join(sys.argv[1], case))
