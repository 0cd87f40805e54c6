"""Cases of the tracking protocol, driven by a stock client of 2.x or 3.x."""

import json
import math
import os
import sys
import tempfile
import time
import uuid

import mlflow
import requests
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunStatus, RunTag, ViewType

from cases import raises, run

URL = sys.argv[1]
THREE = mlflow.__version__.startswith("3.")
client = MlflowClient(URL)


def unique(word="x"):
    return f"{word}-{uuid.uuid4().hex[:12]}"


def experiment():
    return client.create_experiment(unique("experiment"))


def new_run(**named):
    return client.create_run(experiment(), **named)


def post(path, body, prefix="/api/2.0/mlflow/"):
    return requests.post(URL + prefix + path, json=body, timeout=30)


def case_default_experiment():
    e = client.get_experiment("0")
    assert e.name == "Default" and e.lifecycle_stage == "active", e
    assert client.get_experiment_by_name("Default").experiment_id == "0"
    r = client.create_run("0")
    assert r.info.artifact_uri == f"mlflow-artifacts:/0/{r.info.run_id}/artifacts", r.info.artifact_uri


def case_health_and_version():
    assert requests.get(URL + "/health", timeout=5).text == "OK"
    assert requests.get(URL + "/version", timeout=5).text.count(".") == 2


def case_experiments():
    name = unique()
    tags = {"team": "fraud", "note": "é" * 300}
    id = client.create_experiment(name, tags=tags)
    assert isinstance(id, str)
    e = client.get_experiment(id)
    assert (e.name, e.tags, e.lifecycle_stage) == (name, tags, "active"), e
    assert e.artifact_location == f"mlflow-artifacts:/{id}", e.artifact_location
    assert abs(e.creation_time - time.time() * 1000) < 60_000 and e.last_update_time >= e.creation_time
    raises("RESOURCE_ALREADY_EXISTS", client.create_experiment, name)
    raises("RESOURCE_DOES_NOT_EXIST", client.get_experiment, "123456789")
    assert client.get_experiment_by_name(unique()) is None

    client.rename_experiment(id, name + "2")
    client.set_experiment_tag(id, "team", "risk")
    e2 = client.get_experiment_by_name(name + "2")
    assert e2.tags["team"] == "risk" and e2.last_update_time > e.last_update_time
    if THREE:
        client.delete_experiment_tag(id, "note")
        assert client.get_experiment(id).tags == {"team": "risk"}
        raises("RESOURCE_DOES_NOT_EXIST", client.delete_experiment_tag, id, "note")

    other = client.create_experiment(unique(), artifact_location="s3://bucket/path")
    assert client.get_experiment(other).artifact_location == "s3://bucket/path"
    assert client.create_run(other).info.artifact_uri.startswith("s3://bucket/path/")


def case_experiment_ids_as_numbers():
    id = experiment()
    got = requests.get(URL + "/api/2.0/mlflow/experiments/get", params={"experiment_id": int(id)}, timeout=5).json()
    assert got["experiment"]["experiment_id"] == id
    made = post("runs/create", {"experiment_id": int(id), "start_time": str(12345)}).json()
    assert made["run"]["info"]["experiment_id"] == id and made["run"]["info"]["start_time"] == 12345, made


def case_delete_and_restore_experiment():
    id = experiment()
    kept, gone = client.create_run(id).info.run_id, client.create_run(id).info.run_id
    client.delete_run(gone)
    client.delete_experiment(id)
    assert client.get_experiment(id).lifecycle_stage == "deleted"
    assert client.get_run(kept).info.lifecycle_stage == "deleted"
    raises("INVALID_PARAMETER_VALUE", client.create_run, id)
    raises("INVALID_PARAMETER_VALUE", client.log_metric, kept, "a", 1)
    raises("RESOURCE_DOES_NOT_EXIST", client.delete_experiment, id)
    assert [r.info.run_id for r in client.search_runs([id])] == []
    assert len(client.search_runs([id], run_view_type=ViewType.DELETED_ONLY)) == 2
    client.restore_experiment(id)
    assert [r.info.run_id for r in client.search_runs([id])] == [kept]
    raises("RESOURCE_DOES_NOT_EXIST", client.restore_experiment, id)
    raises("RESOURCE_DOES_NOT_EXIST", client.delete_experiment, "123456789")


def case_search_experiments():
    mark = unique("mark")
    ids = [client.create_experiment(f"{mark}-{i}", tags={"mark": mark, "n": str(i)}) for i in range(5)]
    client.delete_experiment(ids[4])

    def names(filter, **named):
        return [e.name[len(mark) + 1 :] for e in client.search_experiments(filter_string=filter, **named)]

    mine = f"tags.mark = '{mark}'"
    assert names(mine) == ["3", "2", "1", "0"]
    assert names(mine, view_type=ViewType.DELETED_ONLY) == ["4"]
    assert names(mine, view_type=ViewType.ALL, order_by=["name ASC"]) == ["0", "1", "2", "3", "4"]
    assert names(f"name = '{mark}-2'") == ["2"]
    assert names(f"name LIKE '{mark}-%' AND tags.n != '2'", order_by=["name DESC"]) == ["3", "1", "0"]
    assert names(f"attribute.name ILIKE '{mark.upper()}-%'", order_by=["experiment_id ASC"]) == ["0", "1", "2", "3"]
    assert names(f"{mine} AND creation_time > 0 AND last_update_time >= 0", order_by=["creation_time ASC", "name"]) == ["0", "1", "2", "3"]
    first = client.search_experiments(filter_string=mine, max_results=3)
    rest = client.search_experiments(filter_string=mine, max_results=3, page_token=first.token)
    assert [e.name[-1] for e in first + rest] == ["3", "2", "1", "0"] and not rest.token
    for bad in ["name = 3", "nothing = 'a'", "metrics.a > 1", "name = 'a' OR name = 'b'", "name >> 'a'"]:
        raises("INVALID_PARAMETER_VALUE", client.search_experiments, filter_string=bad)
    raises("INVALID_PARAMETER_VALUE", client.search_experiments, order_by=["tags.a"])
    raises("INVALID_PARAMETER_VALUE", client.search_experiments, max_results=0)
    raises("INVALID_PARAMETER_VALUE", client.search_experiments, max_results=50001)
    raises("INVALID_PARAMETER_VALUE", client.search_experiments, page_token="nonsense")


def case_run_lifecycle():
    id = experiment()
    started = int(time.time() * 1000)
    r = client.create_run(id, start_time=started, tags={"a": "b"}, run_name="mine")
    info = r.info
    assert (info.experiment_id, info.status, info.start_time, info.end_time, info.run_name) == (id, "RUNNING", started, None, "mine"), info
    assert r.data.tags["a"] == "b" and r.data.tags["mlflow.runName"] == "mine"
    assert client.create_run(id).info.run_name, "a name is made up"
    client.set_terminated(info.run_id, status="FAILED", end_time=started + 5)
    info = client.get_run(info.run_id).info
    assert (info.status, info.end_time) == ("FAILED", started + 5)
    client.update_run(info.run_id, status="FINISHED", name="other")
    r = client.get_run(info.run_id)
    assert (r.info.status, r.info.run_name, r.data.tags["mlflow.runName"]) == ("FINISHED", "other", "other")
    client.set_tag(info.run_id, "mlflow.runName", "third")
    assert client.get_run(info.run_id).info.run_name == "third"
    client.delete_run(info.run_id)
    assert client.get_run(info.run_id).info.lifecycle_stage == "deleted"
    raises("INVALID_PARAMETER_VALUE", client.set_tag, info.run_id, "a", "c")
    client.restore_run(info.run_id)
    client.set_tag(info.run_id, "a", "c")
    assert client.get_run(info.run_id).data.tags["a"] == "c"
    raises("RESOURCE_DOES_NOT_EXIST", client.get_run, uuid.uuid4().hex)
    raises("RESOURCE_DOES_NOT_EXIST", client.delete_run, uuid.uuid4().hex)
    raises("RESOURCE_DOES_NOT_EXIST", client.create_run, "123456789")
    raises("INVALID_PARAMETER_VALUE", client.create_run, id, run_name="a", tags={"mlflow.runName": "b"})


def case_statuses():
    r = new_run().info.run_id
    for status in ["SCHEDULED", "FINISHED", "FAILED", "KILLED", "RUNNING"]:
        client.update_run(r, status=status)
        assert client.get_run(r).info.status == status
    assert post("runs/update", {"run_id": r, "status": RunStatus.from_string("KILLED")}).json()["run_info"]["status"] == "KILLED"
    assert post("runs/update", {"run_id": r, "status": "BORED"}).status_code == 400


def case_params_stay():
    r = new_run().info.run_id
    client.log_param(r, "depth", 8)
    client.log_param(r, "depth", "8")
    raises("INVALID_PARAMETER_VALUE", client.log_param, r, "depth", 9)
    raises("INVALID_PARAMETER_VALUE", client.log_batch, r, params=[Param("depth", "9")])
    raises("INVALID_PARAMETER_VALUE", client.log_batch, r, params=[Param("a", "1"), Param("a", "2")])
    client.log_batch(r, params=[Param("depth", "8"), Param("rate", "0.1")])
    client.log_param(r, "empty", "")
    client.log_param(r, "long", "x" * 7000)
    params = client.get_run(r).data.params
    assert params == {"depth": "8", "rate": "0.1", "empty": "", "long": "x" * 6000}, params


def case_tags_change():
    r = new_run().info.run_id
    client.set_tag(r, "a", "1")
    client.set_tag(r, "a", 2)
    client.log_batch(r, tags=[RunTag("b/c:d e", "x"), RunTag("a", "3")])
    tags = client.get_run(r).data.tags
    assert tags["a"] == "3" and tags["b/c:d e"] == "x"
    client.delete_tag(r, "a")
    assert "a" not in client.get_run(r).data.tags
    raises("RESOURCE_DOES_NOT_EXIST", client.delete_tag, r, "a")


def case_metrics():
    r = new_run().info.run_id
    client.log_metric(r, "loss", 1.5, timestamp=1000, step=1)
    client.log_metric(r, "loss", 0.5, timestamp=2000, step=3)
    client.log_metric(r, "loss", 0.75, timestamp=3000, step=2)
    client.log_metric(r, "loss", 0.75, timestamp=3000, step=2)  # the same once more
    client.log_metric(r, "before", -1, timestamp=0, step=-3)
    history = [(m.value, m.timestamp, m.step) for m in client.get_metric_history(r, "loss")]
    assert history == [(1.5, 1000, 1), (0.5, 2000, 3), (0.75, 3000, 2)], history
    data = client.get_run(r).data
    assert data.metrics == {"loss": 0.5, "before": -1}, data.metrics
    assert client.get_metric_history(r, "nothing") == []
    raises("RESOURCE_DOES_NOT_EXIST", client.get_metric_history, uuid.uuid4().hex, "loss")


def case_metrics_beyond_numbers():
    r = new_run().info.run_id
    values = {"nan": math.nan, "inf": math.inf, "minus": -math.inf, "large": 1.7976931348623157e308, "small": 5e-324, "zero": 0.0}
    client.log_batch(r, metrics=[Metric(k, v, 1, 0) for k, v in values.items()])
    client.log_metric(r, "nan", math.nan, timestamp=1)  # the same once more
    got = client.get_run(r).data.metrics
    assert math.isnan(got.pop("nan"))
    values.pop("nan")
    assert got == values, got
    assert len(client.get_metric_history(r, "nan")) == 1
    [m] = client.get_metric_history(r, "inf")
    assert m.value == math.inf


def case_metric_types_on_the_wire():
    r = new_run().info.run_id
    assert post("runs/log-metric", {"run_id": r, "key": "a", "value": "0.25", "timestamp": "99", "step": "7"}).status_code == 200
    assert post("runs/log-metric", {"run_uuid": r, "key": "b", "value": 1, "timestamp": 99}).status_code == 200
    body = requests.get(URL + "/api/2.0/mlflow/runs/get", params={"run_id": r}, timeout=5).json()
    by = {m["key"]: m for m in body["run"]["data"]["metrics"]}
    assert (by["a"]["value"], by["a"]["timestamp"], by["a"]["step"], by["b"]["step"]) == (0.25, 99, 7, 0), by
    for bad in [{"key": "a", "value": 1, "timestamp": 1}, {"run_id": r, "value": 1, "timestamp": 1}, {"run_id": r, "key": "a", "timestamp": 1},
                {"run_id": r, "key": "a", "value": 1}, {"run_id": r, "key": "a", "value": "x", "timestamp": 1},
                {"run_id": r, "key": "a", "value": 1, "timestamp": -1}, {"run_id": 31, "key": "a", "value": 1, "timestamp": 1}]:
        answer = post("runs/log-metric", bad)
        assert answer.status_code in (400, 404) and answer.json()["error_code"] in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"), (bad, answer.text)


def case_history_in_pages():
    r = new_run().info.run_id
    for start in range(0, 2500, 1000):
        client.log_batch(r, metrics=[Metric("m", i / 7, 10 * (i // 3), i) for i in range(start, min(start + 1000, 2500))])
    history = client.get_metric_history(r, "m")
    assert [m.step for m in history] == list(range(2500)) and history[7].value == 1.0
    seen, token = [], None
    while True:
        params = {"run_id": r, "metric_key": "m", "max_results": 700}
        if token:
            params["page_token"] = token
        body = requests.get(URL + "/api/2.0/mlflow/metrics/get-history", params=params, timeout=10).json()
        seen += [m["step"] for m in body["metrics"]]
        token = body.get("next_page_token")
        if not token:
            break
    assert seen == list(range(2500))
    for path, key in [("get-history-bulk-interval", "run_ids"), ("get-history-bulk", "run_id")]:
        body = requests.get(f"{URL}/ajax-api/2.0/mlflow/metrics/{path}", params={key: [r], "metric_key": "m", "max_results": 100}, timeout=10).json()
        steps = [m["step"] for m in body["metrics"]]
        assert len(steps) == 100 and steps[0] == 0 and steps == sorted(steps) and body["metrics"][0]["run_id"] == r
    body = requests.get(f"{URL}/api/2.0/mlflow/metrics/get-history-bulk-interval",
                        params={"run_ids": [r], "metric_key": "m", "max_results": 11, "start_step": 100, "end_step": 300}, timeout=10).json()
    steps = [m["step"] for m in body["metrics"]]
    assert len(steps) == 11 and (steps[0], steps[-1]) == (100, 300), steps


def case_batches():
    r = new_run().info.run_id
    client.log_batch(r, [Metric("m", i, i, i) for i in range(800)], [Param(f"p{i}", str(i)) for i in range(100)], [RunTag(f"t{i}", str(i)) for i in range(100)])
    data = client.get_run(r).data
    assert data.metrics == {"m": 799.0} and len(data.params) == 100 and data.tags["t99"] == "99"
    for body in [{"metrics": [{"key": f"m{i}", "value": 1, "timestamp": 1} for i in range(1001)]},
                 {"params": [{"key": f"q{i}", "value": "1"} for i in range(101)]},
                 {"tags": [{"key": f"q{i}", "value": "1"} for i in range(101)]},
                 {"metrics": [{"key": f"m{i}", "value": 1, "timestamp": 1} for i in range(900)], "params": [{"key": f"q{i}", "value": "1"} for i in range(100)],
                  "tags": [{"key": "one more", "value": ""}]},
                 {"metrics": [{"key": "a", "timestamp": 1}]}, {"metrics": [{"value": 1, "timestamp": 1}]},
                 {"params": [{"value": "x"}]}, {"tags": [{"value": "x"}]}, {"params": "x"}]:
        answer = post("runs/log-batch", {"run_id": r, **body})
        assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", answer.text
    assert post("runs/log-batch", {"run_id": r}).status_code == 200
    assert client.get_run(r).data.to_dictionary() == data.to_dictionary(), "a batch that is refused leaves nothing"


def case_bad_keys():
    r = new_run().info.run_id
    for key in ["", "a" * 251, "../a", "/a", "a//b", "a/./b", "a/", ".", "a\\b", "a\nb", "a%b", "a?b"]:
        for path, body in [("runs/log-parameter", {"value": "x"}), ("runs/log-metric", {"value": 1, "timestamp": 1}), ("runs/set-tag", {"value": "x"})]:
            answer = post(path, {"run_id": r, "key": key, **body})
            assert answer.status_code == 400, (path, key, answer.text)
    client.log_param(r, "a" * 250, 1)
    client.log_metric(r, "système/é-ß.1:x y", 1)


def case_search_runs():
    id = experiment()
    runs = {}
    for i in range(6):
        r = client.create_run(id, start_time=1000 + i, run_name=f"name {i}", tags={"parity": str(i % 2), "mlflow.source.name": f"train_{i}.py"}).info.run_id
        runs[r] = str(i)
        client.log_batch(r, [Metric("auc", i / 10, 0, 0), Metric("with space", -i, 0, 0)], [Param("p", f"v{i}"), Param("a b", "Case")])
    ids = {n: r for r, n in runs.items()}
    client.log_metric(ids["5"], "auc", math.nan, step=1)
    client.log_param(ids["0"], "only", "one")
    client.set_terminated(ids["1"], end_time=5000)
    client.set_terminated(ids["2"], status="FAILED", end_time=4000)

    def found(filter="", **named):
        return "".join(runs[r.info.run_id] for r in client.search_runs([id], filter, **named))

    for filter, want in {
        "": "543210",
        "metrics.auc > 0.2": "43",
        "metrics.auc >= 0.2 AND metrics.auc < 0.4": "32",
        "metric.auc = 0.1": "1",
        "metrics.auc != 0.1": "54320",
        "metrics.auc <= 0 and params.p = 'v0'": "0",
        "metrics.`with space` <= -3.0": "543",
        'metrics."with space" = -1e0': "1",
        "metrics.missing > 0": "",
        "params.p = \"v3\"": "3",
        "parameters.p != 'v3'": "54210",
        "param.p LIKE 'v%'": "543210",
        "params.p LIKE 'V%'": "",
        "params.p ILIKE 'V_'": "543210",
        "params.`a b` = 'Case'": "543210",
        "tags.parity = '1'": "531",
        "tags.`mlflow.source.name` LIKE '%ain_4%'": "4",
        "tags.mlflow.source.name = 'train_2.py'": "2",
        "tag.mlflow.runName = 'name 4'": "4",
        "attributes.run_name = 'name 4'": "4",
        "run_name ILIKE 'NAME%' AND attribute.status = 'FINISHED'": "1",
        "status = 'FAILED'": "2",
        "attributes.status != 'RUNNING'": "21",
        f"attributes.run_id = '{ids['3']}'": "3",
        f"run_id IN ('{ids['3']}', '{ids['0']}', 'x')": "30",
        f"attributes.run_id NOT IN ('{ids['3']}')": "54210",
        "attributes.start_time >= 1004": "54",
        "start_time = 1002": "2",
        "end_time > 4500": "1",
        "attributes.artifact_uri LIKE 'mlflow-artifacts:%'": "543210",
        "attr.user_id = 'nobody'": "",
    }.items():
        assert found(filter) == want, (filter, found(filter))
    if THREE:
        assert found("params.only IS NULL") == "54321" and found("params.only IS NOT NULL") == "0" and found("tags.parity IS NULL") == ""

    for order, want in {
        "metrics.auc ASC": "012345",
        "metrics.auc DESC": "432105",
        "metrics.missing": "543210",
        "params.only DESC": "054321",
        "params.p": "012345",
        "tags.parity ASC": "420531",
        "attributes.end_time ASC": "215430",
        "end_time DESC": "125430",
        "start_time ASC": "012345",
        "attribute.run_name DESC": "543210",
        "created DESC": "543210",
        "metrics.`with space` ASC": "543210",
        "attributes.status": "215430",
    }.items():
        assert found(order_by=[order]) == want, (order, found(order_by=[order]))
    assert found(order_by=["tags.parity DESC", "metrics.auc DESC"]) == "315420"

    first = client.search_runs([id], max_results=4, order_by=["metrics.auc DESC"])
    rest = client.search_runs([id], max_results=4, order_by=["metrics.auc DESC"], page_token=first.token)
    assert "".join(runs[r.info.run_id] for r in first + rest) == "432105" and not rest.token, "pages"
    client.delete_run(ids["5"])
    assert found() == "43210" and found(run_view_type=ViewType.DELETED_ONLY) == "5" and found(run_view_type=ViewType.ALL) == "543210"
    assert len(client.search_runs([id, experiment()])) == 5 and client.search_runs([experiment()]) == []
    assert client.search_runs([id], f"run_id = '{ids['4']}'")[0].to_dictionary() == client.get_run(ids["4"]).to_dictionary()


def case_search_runs_refuses():
    id = experiment()
    for filter in ["metrics.a", "metrics.a > 'x'", "metrics.a LIKE 'x'", "params.a > '1'", "params.a = 1", "tags.a IN ('x')", "attributes.nothing = 'x'",
                   "nothing.a = 'x'", "attributes.status > 'x'", "attributes.start_time = 'x'", "metrics.a > 1 OR metrics.a < 2", "params.a = 'x", "dataset.nothing = 'x'",
                   "attributes.status IN ('FINISHED')", "run_id IN ()", "run_id IN 'x'", "metrics.a IS NULL", "metrics.a > 1 metrics.b > 1"]:
        raises("INVALID_PARAMETER_VALUE", client.search_runs, [id], filter)
    for order in ["attributes.nothing", "metrics.a SIDEWAYS", "metrics.a DESC ASC", "dataset.name", "nothing.a"]:
        raises("INVALID_PARAMETER_VALUE", client.search_runs, [id], order_by=[order])
    raises("INVALID_PARAMETER_VALUE", client.search_runs, [id], max_results=50001)
    raises("INVALID_PARAMETER_VALUE", client.search_runs, [id], page_token="nonsense")


def case_search_sees_what_was_written():
    id = experiment()
    for i in range(30):
        r = client.create_run(id).info.run_id
        client.log_metric(r, "m", i)
        assert [x.info.run_id for x in client.search_runs([id], f"metrics.m = {i}")] == [r]
        client.log_metric(r, "m", -i - 1, step=1)
        assert len(client.search_runs([id], "metrics.m < 0")) == i + 1


def case_datasets():
    id = experiment()
    r = client.create_run(id).info.run_id
    d = Dataset("data", "abc123", "local", json.dumps({"uri": "/x"}), schema='{"a": "long"}', profile='{"rows": 3}')
    client.log_inputs(r, datasets=[DatasetInput(d, [InputTag("mlflow.data.context", "train")])])
    client.log_inputs(r, datasets=[DatasetInput(d, [InputTag("mlflow.data.context", "again")])])
    [got] = client.get_run(r).inputs.dataset_inputs
    assert dict(got.dataset) == dict(d), got
    assert [(t.key, t.value) for t in got.tags] == [("mlflow.data.context", "train")]
    other = client.create_run(id).info.run_id
    client.log_inputs(other, datasets=[DatasetInput(Dataset("data", "def456", "local", "{}"), [])])
    for filter, want in {"dataset.name = 'data'": [other, r], "datasets.digest = 'abc123'": [r], "dataset.context = 'train'": [r],
                         "dataset.name LIKE 'da%' AND dataset.digest IN ('def456', 'x')": [other], "dataset.name = 'x'": []}.items():
        runs = client.search_runs([id], filter)
        assert sorted(x.info.run_id for x in runs) == sorted(want), filter
    assert client.search_runs([id], "datasets.digest = 'abc123'")[0].inputs.dataset_inputs[0].dataset.profile == d.profile
    body = post("experiments/search-datasets", {"experiment_ids": [id]}, "/ajax-api/2.0/mlflow/").json()
    summaries = sorted((s["name"], s["digest"], s.get("context")) for s in body["dataset_summaries"])
    assert summaries == [("data", "abc123", "train"), ("data", "def456", None)], summaries
    raises("INVALID_PARAMETER_VALUE", client.log_inputs, r, datasets=[DatasetInput(Dataset("n" * 501, "d", "t", "s"))])
    raises("INVALID_PARAMETER_VALUE", client.log_inputs, r, datasets=[DatasetInput(Dataset("n", "d" * 37, "t", "s"))])


def case_artifacts():
    r = new_run().info.run_id
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(f"{folder}/sub/deep")
        for name, content in {"a.txt": b"a", "sub/b.bin": bytes(range(256)), "sub/deep/c d é.json": b"{}", "empty": b""}.items():
            with open(f"{folder}/{name}", "wb") as f:
                f.write(content)
        client.log_artifacts(r, folder)
        client.log_artifact(r, f"{folder}/a.txt", "other/place")
    client.log_text(r, "hällo", "text/hello.txt")
    client.log_dict(r, {"a": 1}, "text/d.json")

    def listed(path=None):
        return [(f.path, f.is_dir, f.file_size) for f in client.list_artifacts(r, path)]

    assert listed() == [("a.txt", False, 1), ("empty", False, 0), ("other", True, None), ("sub", True, None), ("text", True, None)], listed()
    assert listed("sub") == [("sub/b.bin", False, 256), ("sub/deep", True, None)], listed("sub")
    assert listed("nothing") == [] and listed("a.txt") == []
    with tempfile.TemporaryDirectory() as folder:
        path = client.download_artifacts(r, "", folder)
        assert open(f"{path}/sub/b.bin", "rb").read() == bytes(range(256))
        assert open(f"{path}/sub/deep/c d é.json").read() == "{}" and os.path.getsize(f"{path}/empty") == 0
    assert mlflow.artifacts.load_text(f"runs:/{r}/text/hello.txt") == "hällo"
    client.log_text(r, "other", "text/hello.txt")
    assert mlflow.artifacts.load_text(f"runs:/{r}/text/hello.txt") == "other"

    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    files = get_artifact_repository(client.get_run(r).info.artifact_uri)
    files.delete_artifacts("sub/deep")
    assert listed("sub") == [("sub/b.bin", False, 256)]
    files.delete_artifacts("a.txt")
    body = requests.get(URL + "/api/2.0/mlflow/artifacts/list", params={"run_id": r}, timeout=5).json()
    assert body["root_uri"] == client.get_run(r).info.artifact_uri
    assert [f["path"] for f in body["files"]] == ["empty", "other", "sub", "text"], body


def case_large_artifact():
    r = new_run().info.run_id
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/large", "wb") as f:
            for i in range(80):
                f.write(bytes([i]) * (1 << 20))
        client.log_artifact(r, f"{folder}/large")  # more than a body of other routes may have
        os.makedirs(f"{folder}/back")
        back = client.download_artifacts(r, "large", f"{folder}/back")
        assert os.path.getsize(back) == 80 << 20
        with open(back, "rb") as f:
            f.seek(79 << 20)
            assert f.read(1) == b"O"


def case_multipart_falls_back():
    r = new_run().info.run_id
    os.environ.update(MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD="true", MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE=str(5 << 20), MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE=str(5 << 20))
    try:
        with tempfile.NamedTemporaryFile(suffix="parts") as f:
            f.write(b"x" * (6 << 20))
            f.flush()
            client.log_artifact(r, f.name)
            assert client.list_artifacts(r)[0].file_size == 6 << 20
    finally:
        del os.environ["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"]


def case_hostile_paths():
    base = URL + "/api/2.0/mlflow-artifacts/artifacts/"
    session = requests.Session()
    for path in ["..%2Fx", "a%2F..%2F..%2Fx", "%2e%2e/x", "a/%2e%2e/%2e%2e/x", "..%5Cx", "a%5C..%5Cx", "a%00b", "%252e%252e%252fx", "a/%252e%252e/b", "%2Fetc%2Fpasswd",
                 "a%0ab", "a//b", "C:%5Cx", "a/./b"]:
        for method in ["PUT", "GET", "DELETE"]:
            request = requests.Request(method, base, data=b"x" if method == "PUT" else None).prepare()
            request.url = base + path
            status = session.send(request, allow_redirects=False, timeout=5).status_code
            assert status in (301, 307, 308, 400, 404), (method, path, status)
    for path in ["..", "../x", "/../x", "a/../../x", "..\\x", "%2e%2e"]:
        answer = requests.get(URL + "/api/2.0/mlflow-artifacts/artifacts", params={"path": path}, timeout=5)
        assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", (path, answer.text)
        r = new_run().info.run_id
        assert requests.get(URL + "/api/2.0/mlflow/artifacts/list", params={"run_id": r, "path": path}, timeout=5).status_code == 400


def case_file_and_folder_do_not_mix():
    r = new_run().info.run_id
    base = URL + f"/api/2.0/mlflow-artifacts/artifacts/0/{r}/artifacts/"
    assert requests.put(base + "a/b", data=b"x", timeout=5).status_code == 200
    assert requests.put(base + "a", data=b"x", timeout=5).status_code == 400
    assert requests.put(base + "a/b/c", data=b"x", timeout=5).status_code == 400
    assert requests.get(base + "a", timeout=5).status_code == 400
    answer = requests.get(base + "nothing", timeout=5)
    assert answer.status_code == 404 and answer.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def case_unknown_operations():
    for method, path in [("GET", "/api/2.0/mlflow/nothing"), ("POST", "/api/2.0/mlflow/runs/nothing"), ("POST", "/ajax-api/9.0/x"), ("DELETE", "/api/3.0/mlflow/traces/x")]:
        answer = requests.request(method, URL + path, json={}, timeout=5)
        assert answer.status_code == 404 and answer.json()["error_code"] == "ENDPOINT_NOT_FOUND", answer.text
    assert post("runs/create", {"experiment_id": "0"}, "/ajax-api/2.0/mlflow/").status_code == 200
    answer = requests.post(URL + "/api/2.0/mlflow/runs/create", data=b"{nonsense", headers={"Content-Type": "application/json"}, timeout=5)
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert post("runs/create", {"experiment_id": "0", "unknown": {"is": "ignored"}}).status_code == 200


def case_fluent():
    mlflow.set_experiment(unique("fluent"))
    with mlflow.start_run(run_name="outer", tags={"t": "1"}, description="what it is") as outer:
        mlflow.log_params({"a": 1, "b": "x"})
        mlflow.log_metrics({"m": 1.0}, step=0)
        mlflow.log_metrics({"m": 0.5}, step=1)
        with mlflow.start_run(nested=True) as inner:
            mlflow.log_metric("inner", 3)
    got = mlflow.get_run(outer.info.run_id)
    assert got.info.status == "FINISHED" and got.data.metrics == {"m": 0.5} and got.data.params == {"a": "1", "b": "x"}
    assert got.data.tags["mlflow.note.content"] == "what it is"
    found = mlflow.search_runs(filter_string=f"tags.mlflow.parentRunId = '{outer.info.run_id}'")
    assert list(found.run_id) == [inner.info.run_id] and found["metrics.inner"][0] == 3
    with mlflow.start_run(run_id=outer.info.run_id):
        mlflow.log_metric("m", 0.25, step=2)
    assert [m.value for m in client.get_metric_history(outer.info.run_id, "m")] == [1.0, 0.5, 0.25]


def case_many_at_once():
    from concurrent.futures import ThreadPoolExecutor

    r = new_run().info.run_id

    def log(i):
        client.log_metric(r, f"m{i % 4}", i, step=i)
        client.set_tag(r, f"t{i}", i)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(log, range(80)))
    data = client.get_run(r).data
    assert data.metrics == {f"m{k}": float(76 + k) for k in range(4)}, data.metrics
    assert all(data.tags[f"t{i}"] == str(i) for i in range(80))
    assert sum(len(client.get_metric_history(r, f"m{k}")) for k in range(4)) == 80


if __name__ == "__main__":
    mlflow.set_tracking_uri(URL)
    run(globals())
