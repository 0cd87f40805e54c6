# Trains pipelines with scikit-learn, LightGBM and XGBoost, converts them to
# ONNX and asks ONNX Runtime. Into the folder that the command line names go,
# for each, NAME.onnx, NAME.csv (what is given) and NAME.expected.csv (what
# ONNX Runtime answers, column by column). Standard output lists the names, each
# with how many columns its input has.
import csv
import os
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import pandas as pd

warnings.filterwarnings("ignore")
plain = onnx.helper.make_node


def make_node(*args, **kwargs):
    # Newer onnx and protobuf refuse the arrays and truths that skl2onnx gives.
    for k, v in kwargs.items():
        if isinstance(v, np.ndarray):
            v = v.tolist()
        if isinstance(v, list):
            v = [int(x) if isinstance(x, (bool, np.bool_)) else x for x in v]
        kwargs[k] = v
    return plain(*args, **kwargs)


onnx.helper.make_node = make_node

from lightgbm import LGBMClassifier, LGBMRegressor  # noqa: E402
from onnxmltools import convert_lightgbm, convert_xgboost  # noqa: E402
from onnxmltools.convert.common.data_types import FloatTensorType as FloatOfTools  # noqa: E402
from skl2onnx import convert_sklearn  # noqa: E402
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType  # noqa: E402
from sklearn.calibration import CalibratedClassifierCV  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis  # noqa: E402
from sklearn.ensemble import (AdaBoostClassifier, BaggingClassifier, ExtraTreesRegressor,  # noqa: E402
                              GradientBoostingClassifier, GradientBoostingRegressor, HistGradientBoostingClassifier,
                              HistGradientBoostingRegressor, IsolationForest, RandomForestClassifier,
                              RandomForestRegressor, StackingRegressor, VotingClassifier)
from sklearn.feature_selection import SelectKBest  # noqa: E402
from sklearn.gaussian_process import GaussianProcessRegressor  # noqa: E402
from sklearn.impute import SimpleImputer  # noqa: E402
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, SGDClassifier  # noqa: E402
from sklearn.mixture import GaussianMixture  # noqa: E402
from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB  # noqa: E402
from sklearn.cluster import KMeans  # noqa: E402
from sklearn.neighbors import KNeighborsClassifier  # noqa: E402
from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import (Binarizer, KBinsDiscretizer, MaxAbsScaler, MinMaxScaler, Normalizer,  # noqa: E402
                                   OneHotEncoder, OrdinalEncoder, PolynomialFeatures, PowerTransformer, RobustScaler,
                                   StandardScaler)
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC, OneClassSVM  # noqa: E402
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor  # noqa: E402
from xgboost import XGBClassifier, XGBRegressor  # noqa: E402

out = sys.argv[1]
r = np.random.RandomState(11)
rows, width = 600, 6
X = (r.randn(rows, width) * [1, 2, 0.5, 3, 1, 1]).astype(np.float32)
line = X[:, 0] + 0.5 * X[:, 1] - X[:, 2] * X[:, 3] / 3
two = (line + r.randn(rows) / 2 > 0).astype(np.int64)
odd = two * 4 + 3
words = np.array(["no", "yes"])[two]
three = np.digitize(line + r.randn(rows) / 2, [-1, 1]).astype(np.int64)
number = (line * 2 + r.randn(rows) / 4).astype(np.float32)
gaps = X.copy()
gaps[r.rand(rows, width) < 0.1] = np.nan
test = 150

trees = dict(n_estimators=12, max_depth=5, random_state=1)
models = [
    ("logistic", make_pipeline(StandardScaler(), LogisticRegression()), X, two),
    ("logistic-words", make_pipeline(StandardScaler(), LogisticRegression()), X, words),
    ("logistic-three", LogisticRegression(max_iter=300), X, three),
    ("linear", LinearRegression(), X, number),
    ("elastic", make_pipeline(PolynomialFeatures(2), ElasticNet(0.1)), X, number),
    ("sgd", make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=1)), X, two),
    ("linear-svc", make_pipeline(StandardScaler(), LinearSVC()), X, two),
    ("svc", make_pipeline(StandardScaler(), SVC()), X, two),
    ("svc-probability", make_pipeline(StandardScaler(), SVC(probability=True, random_state=1)), X, odd),
    ("svc-three", make_pipeline(StandardScaler(), SVC(probability=True, random_state=1)), X, three),
    ("svc-poly", make_pipeline(StandardScaler(), SVC(kernel="poly", degree=2)), X, three),
    ("nu-svc", make_pipeline(StandardScaler(), NuSVC(probability=True, random_state=1)), X, two),
    ("svr", make_pipeline(StandardScaler(), SVR()), X, number),
    ("one-class", OneClassSVM(), X, None),
    ("tree", DecisionTreeClassifier(max_depth=5), X, three),
    ("tree-regressor", DecisionTreeRegressor(max_depth=5), X, number),
    ("forest", RandomForestClassifier(**trees), X, odd),
    ("forest-words", RandomForestClassifier(**trees), X, words),
    ("forest-three", RandomForestClassifier(**trees), X, three),
    ("forest-regressor", RandomForestRegressor(**trees), X, number),
    ("extra-trees", ExtraTreesRegressor(**trees), X, np.column_stack([number, -number])),
    ("boosting", GradientBoostingClassifier(n_estimators=15), X, odd),
    ("boosting-three", GradientBoostingClassifier(n_estimators=9), X, three),
    ("boosting-regressor", GradientBoostingRegressor(n_estimators=15), X, number),
    ("hist", HistGradientBoostingClassifier(max_iter=15), gaps, two),
    ("hist-three", HistGradientBoostingClassifier(max_iter=9), gaps, three),
    ("hist-regressor", HistGradientBoostingRegressor(max_iter=15), gaps, number),
    ("adaboost", AdaBoostClassifier(n_estimators=7), X, three),
    ("bagging", BaggingClassifier(DecisionTreeClassifier(max_depth=4), n_estimators=5, random_state=1), X, three),
    ("imputer", make_pipeline(SimpleImputer(), RobustScaler(), LogisticRegression()), gaps, two),
    ("bins", make_pipeline(KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf"), LogisticRegression()), X, two),
    ("scalers", make_pipeline(MinMaxScaler(), MaxAbsScaler(), Normalizer(), LogisticRegression()), X, two),
    ("power", make_pipeline(PowerTransformer(), LinearRegression()), X, number),
    ("pca", make_pipeline(StandardScaler(), PCA(3), LogisticRegression()), X, two),
    ("select", make_pipeline(SelectKBest(k=3), LogisticRegression()), X, two),
    ("mlp", make_pipeline(StandardScaler(), MLPClassifier((12, 5), max_iter=60, random_state=1)), X, three),
    ("mlp-two", make_pipeline(StandardScaler(), MLPClassifier((12,), max_iter=60, random_state=1)), X, two),
    ("mlp-regressor", make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(12,), max_iter=60, random_state=1)), X, number),
    ("gaussian-nb", GaussianNB(), X, three),
    ("bernoulli-nb", make_pipeline(Binarizer(), BernoulliNB()), X, two),
    ("multinomial-nb", MultinomialNB(), np.abs(X), three),
    ("lda", LinearDiscriminantAnalysis(), X, three),
    ("qda", QuadraticDiscriminantAnalysis(), X, three),
    ("calibrated", CalibratedClassifierCV(LogisticRegression(), cv=3), X, two),
    ("isotonic", CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=3), X, two),
    ("voting", VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB()), ("c", DecisionTreeClassifier(max_depth=3))], voting="soft", flatten_transform=False), X, two),
    ("stacking", StackingRegressor([("a", LinearRegression()), ("b", DecisionTreeRegressor(max_depth=3))]), X, number),
    ("kmeans", KMeans(3, n_init=2, random_state=1), X, None),
    ("mixture", GaussianMixture(2, random_state=1), X, None),
    ("isolation", IsolationForest(n_estimators=8, random_state=1), X, None),
    ("gaussian-process", GaussianProcessRegressor(), X[:60], number[:60]),
    ("knn", KNeighborsClassifier(3), X, two),
]


def answers(path, feed):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    columns = []
    for a in session.run(None, feed):
        if isinstance(a, list):
            a = np.array([list(m.values()) for m in a])
        a = np.asarray(a)
        if a.ndim == 2 and a.shape[0] == 1 and a.shape[1] > 100:  # a column that lies on its side
            a = a[0]
        columns += [a] if a.ndim == 1 else [a[:, k] for k in range(a.shape[1])]
    return columns


def write(path, header, columns):
    with open(path, "w", newline="") as f:
        w = csv.writer(f)
        w.writerow(header)
        for row in zip(*columns):
            w.writerow(["" if isinstance(v, (float, np.floating)) and np.isnan(v) else repr(float(v)) if isinstance(v, (float, np.floating)) else v for v in row])


def keep(name, graph, model, feed, header, columns):
    path = os.path.join(out, name + ".onnx")
    with open(path, "wb") as f:
        f.write(graph.SerializeToString())
    expected = answers(path, feed)
    write(os.path.join(out, name + ".csv"), header, columns)
    write(os.path.join(out, name + ".expected.csv"), ["y%d" % i for i in range(len(expected))], expected)
    print(name, len(header))


failed = []
for name, model, data, target in models:
    try:
        with warnings.catch_warnings():
            model.fit(data) if target is None else model.fit(data[:len(target)], target)
        last = model.steps[-1][1] if hasattr(model, "steps") else model
        options = {id(last): {"zipmap": False}} if hasattr(last, "classes_") and name not in ("forest-words", "forest-three", "logistic", "linear-svc") else None
        if name == "linear-svc":
            options = {id(last): {"raw_scores": True}}
        graph = convert_sklearn(model, initial_types=[("X", FloatTensorType([None, width]))], options=options, target_opset={"": 12 if name == "imputer" else 21, "ai.onnx.ml": 3})
        given = data[-test:]
        keep(name, graph, model, {"X": given}, ["X_%d" % k for k in range(width)], [given[:, k] for k in range(width)])
    except Exception as e:  # a converter's own trouble, which is told
        failed.append((name, repr(e)[:200]))

# Columns of several types, each an input of its own.
table = pd.DataFrame({
    "age": r.randint(18, 90, rows).astype(np.int64), "income": np.abs(r.randn(rows) * 1000).astype(np.float32),
    "score": X[:, 0], "country": r.choice(["de", "fr", "it", "es"], rows), "kind": r.choice(["a", "b", "c"], rows),
})
table.loc[table.index % 17 == 0, "income"] = np.nan
types = [("age", Int64TensorType([None, 1])), ("income", FloatTensorType([None, 1])), ("score", FloatTensorType([None, 1])),
         ("country", StringTensorType([None, 1])), ("kind", StringTensorType([None, 1]))]
prepare = ColumnTransformer([
    ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["income", "score"]),
    ("whole", StandardScaler(), ["age"]),
    ("texts", OneHotEncoder(handle_unknown="ignore"), ["country"]),
    ("ordinals", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["kind"]),
])
target = ((table.age > 50) ^ (table.country == "de")).astype(np.int64)
for name, last in [("columns-logistic", LogisticRegression()), ("columns-forest", RandomForestClassifier(**trees)), ("columns-boosting", GradientBoostingClassifier(n_estimators=9)), ("columns-svc", SVC(probability=True, random_state=1))]:
    try:
        model = make_pipeline(prepare, last).fit(table, target)
        graph = convert_sklearn(model, initial_types=types, options={id(last): {"zipmap": False}}, target_opset=18)
        given = table[-test:].copy()
        given.iloc[3, 3] = "never seen"
        given.iloc[4, 4] = "never seen"
        feed = {c: given[[c]].to_numpy() for c in given}
        keep(name, graph, model, feed, list(given), [given[c].to_numpy() for c in given])
    except Exception as e:
        failed.append((name, repr(e)[:200]))

for name, model, data, target, convert in [
    ("lightgbm", LGBMClassifier(n_estimators=15, num_leaves=9, verbose=-1), X, two, convert_lightgbm),
    ("lightgbm-three", LGBMClassifier(n_estimators=9, num_leaves=9, verbose=-1), gaps, three, convert_lightgbm),
    ("lightgbm-regressor", LGBMRegressor(n_estimators=15, num_leaves=9, verbose=-1), gaps, number, convert_lightgbm),
    ("lightgbm-words", LGBMClassifier(n_estimators=9, num_leaves=9, verbose=-1), X, words, convert_lightgbm),
    ("xgboost", XGBClassifier(n_estimators=15, max_depth=4), gaps, two, convert_xgboost),
    ("xgboost-three", XGBClassifier(n_estimators=9, max_depth=4), gaps, three, convert_xgboost),
    ("xgboost-regressor", XGBRegressor(n_estimators=15, max_depth=4), gaps, number, convert_xgboost),
]:
    try:
        model.fit(data, target)
        graph = convert(model, initial_types=[("X", FloatOfTools([None, width]))], target_opset=15)
        given = data[-test:]
        keep(name, graph, model, {"X": given}, ["X_%d" % k for k in range(width)], [given[:, k] for k in range(width)])
    except Exception as e:
        failed.append((name, repr(e)[:200]))

for name, why in failed:
    print("failed", name, why)
