"""Cases of the registry's protocol, driven by a stock client of 2.x or 3.x."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import sys
import threading
import time
import uuid

import mlflow
import numpy as np
import requests
from mlflow import MlflowClient

from cases import raises, run

URL = sys.argv[1]
THREE = mlflow.__version__.startswith("3.")
client = MlflowClient(URL)


def unique(word="model"):
    return f"{word}-{uuid.uuid4().hex[:12]}"


def booster(seed=1):
    """A small LightGBM model with the rows that it was made of."""
    import lightgbm

    rng = np.random.default_rng(seed)
    x = rng.normal(size=(300, 3))
    y = (x[:, 0] + 0.3 * rng.normal(size=300) > 0).astype(int)
    data = lightgbm.Dataset(x, y, feature_name=["a", "b", "c"], params={"verbose": -1})
    params = {"objective": "binary", "num_leaves": 7, "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}
    return lightgbm.train(params, data, num_boost_round=5), x


# logged keeps the models that were logged, so that each is logged once.
logged = {}


def log(seed=1):
    """Logs a LightGBM model in a run and returns the run's id and the source."""
    import mlflow.lightgbm

    if seed not in logged:
        model, x = booster(seed)
        with mlflow.start_run() as r:
            mlflow.log_params({"rounds": 5, "words": "many"})
            mlflow.log_metrics({"auc": 0.9 + seed / 1000, "odd": float("nan")})
            name = {"name": "model"} if THREE else {"artifact_path": "model"}
            info = mlflow.lightgbm.log_model(model, pip_requirements=["mlflow"], **name)
        logged[seed] = (r.info.run_id, info.model_uri, info)
    return logged[seed]


def version(name, seed=1, **named):
    run_id, source, info = log(seed)
    if THREE:
        named["model_id"] = info.model_id
    return client.create_model_version(name, source, run_id, **named)


def case_models():
    name = unique()
    made = client.create_registered_model(name, tags={"team": "risk"}, description="first")
    assert (made.name, made.description, made.tags) == (name, "first", {"team": "risk"}), made
    assert abs(made.creation_timestamp - time.time() * 1000) < 60_000
    got = client.get_registered_model(name)
    assert (got.name, got.description, got.tags, got.latest_versions) == (name, "first", {"team": "risk"}, []), got
    raises("RESOURCE_ALREADY_EXISTS", client.create_registered_model, name)
    changed = client.update_registered_model(name, "second")
    assert changed.description == "second" and changed.last_updated_timestamp >= got.last_updated_timestamp
    new = unique()
    client.rename_registered_model(name, new)
    raises("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, name)
    assert client.get_registered_model(new).tags == {"team": "risk"}
    client.delete_registered_model(new)
    raises("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, new)
    raises("RESOURCE_DOES_NOT_EXIST", client.delete_registered_model, new)
    raises("RESOURCE_DOES_NOT_EXIST", client.update_registered_model, new, "x")


def case_names():
    raises("INVALID_PARAMETER_VALUE", client.create_registered_model, "a/b")
    raises("INVALID_PARAMETER_VALUE", client.create_registered_model, "")
    answer = requests.post(URL + "/api/2.0/mlflow/registered-models/create", json={}, timeout=5)
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", answer.text


def case_model_tags():
    name = unique()
    client.create_registered_model(name)
    client.set_registered_model_tag(name, "a", "1")
    client.set_registered_model_tag(name, "a", "2")
    client.set_registered_model_tag(name, "b", "é")
    assert client.get_registered_model(name).tags == {"a": "2", "b": "é"}
    client.delete_registered_model_tag(name, "a")
    client.delete_registered_model_tag(name, "never")
    assert client.get_registered_model(name).tags == {"b": "é"}
    raises("RESOURCE_DOES_NOT_EXIST", client.set_registered_model_tag, unique(), "a", "1")
    raises("INVALID_PARAMETER_VALUE", client.set_registered_model_tag, name, "k" * 300, "1")


def case_versions():
    name = unique()
    client.create_registered_model(name)
    run_id, source, _ = log()
    made = version(name, tags={"k": "v"}, description="first", run_link="https://example.com/run")
    assert (made.name, str(made.version), made.status, made.current_stage) == (name, "1", "READY", "None"), made
    assert (made.run_id, made.description, made.tags, made.run_link) == (run_id, "first", {"k": "v"}, "https://example.com/run"), made
    assert made.source == source, made.source
    again = version(name)
    assert str(again.version) == "2", "the same content is another version for clients of MLflow"
    got = client.get_model_version(name, "1")
    assert (got.source, got.run_id, got.tags, got.aliases) == (made.source, run_id, {"k": "v"}, []), got
    assert client.update_model_version(name, "1", "second").description == "second"
    client.set_model_version_tag(name, "1", "k", "w")
    client.set_model_version_tag(name, "1", "other", "x")
    client.delete_model_version_tag(name, "1", "other")
    assert client.get_model_version(name, "1").tags == {"k": "w"}
    client.delete_model_version(name, "1")
    raises("RESOURCE_DOES_NOT_EXIST", client.get_model_version, name, "1")
    raises("RESOURCE_DOES_NOT_EXIST", client.delete_model_version, name, "1")
    raises("RESOURCE_DOES_NOT_EXIST", client.get_model_version, name, "77")
    assert str(version(name).version) == "3", "numbers are not used again"
    raises("RESOURCE_DOES_NOT_EXIST", version, unique())


def case_version_is_not_a_number():
    answer = requests.get(URL + "/api/2.0/mlflow/model-versions/get", params={"name": "x", "version": "one"}, timeout=5)
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", answer.text


def case_stages():
    name = unique()
    client.create_registered_model(name)
    for _ in range(3):
        version(name)
    assert client.transition_model_version_stage(name, "1", "production").current_stage == "Production"
    assert client.transition_model_version_stage(name, "2", "Production", archive_existing_versions=True).current_stage == "Production"
    assert client.get_model_version(name, "1").current_stage == "Archived"
    stages = {v.current_stage: str(v.version) for v in client.get_latest_versions(name)}
    assert stages == {"None": "3", "Production": "2", "Archived": "1"}, stages
    assert [str(v.version) for v in client.get_latest_versions(name, ["Production"])] == ["2"]
    assert {v.current_stage for v in client.get_registered_model(name).latest_versions} == set(stages)
    raises("INVALID_PARAMETER_VALUE", client.transition_model_version_stage, name, "1", "somewhere")
    raises("INVALID_PARAMETER_VALUE", client.transition_model_version_stage, name, "1", "Archived", True)
    raises("RESOURCE_DOES_NOT_EXIST", client.transition_model_version_stage, name, "9", "Staging")


def case_aliases():
    name = unique()
    client.create_registered_model(name)
    version(name), version(name)
    client.set_registered_model_alias(name, "champion", "1")
    client.set_registered_model_alias(name, "challenger", "2")
    assert str(client.get_model_version_by_alias(name, "champion").version) == "1"
    client.set_registered_model_alias(name, "champion", "2")
    assert str(client.get_model_version_by_alias(name, "champion").version) == "2"
    assert sorted(client.get_model_version(name, "2").aliases) == ["challenger", "champion"]
    assert {a: str(v) for a, v in client.get_registered_model(name).aliases.items()} == {"champion": "2", "challenger": "2"}
    client.delete_registered_model_alias(name, "champion")
    client.delete_registered_model_alias(name, "champion")
    raises("INVALID_PARAMETER_VALUE", client.get_model_version_by_alias, name, "champion")
    raises("RESOURCE_DOES_NOT_EXIST", client.set_registered_model_alias, name, "champion", "9")
    raises("RESOURCE_DOES_NOT_EXIST", client.set_registered_model_alias, unique(), "champion", "1")
    raises("INVALID_PARAMETER_VALUE", client.set_registered_model_alias, name, "latest", "1")
    client.delete_model_version(name, "2")
    assert client.get_registered_model(name).aliases == {}


def case_search_models():
    mark = unique("s")
    names = [f"{mark}-{i}" for i in range(5)]
    for i, name in enumerate(names):
        client.create_registered_model(name, tags={"i": str(i), mark: "yes" if i % 2 else "no"})
    find = lambda text, **named: [m.name for m in client.search_registered_models(text, **named)]
    assert find(f"name LIKE '{mark}%'") == names
    assert find(f"name ILIKE '{mark.upper()}%'") == names
    assert find(f"name LIKE '{mark.upper()}%'") == []
    assert find(f"name = '{names[2]}'") == [names[2]]
    assert find(f"name = \"{names[2]}\"") == [names[2]]
    assert find(f"name LIKE '{mark}%' AND name != '{names[2]}'") == names[:2] + names[3:]
    assert find(f"name LIKE '{mark}%' and tags.i = '3'") == [names[3]]
    assert find(f"tags.`{mark}` = 'yes'") == [names[1], names[3]]
    assert find(f"tags.`{mark}` != 'yes'") == [names[0], names[2], names[4]]
    assert find(f"tags.`{mark}` ILIKE 'Y%'") == [names[1], names[3]]
    assert find(f"name LIKE '{mark}%'", order_by=["name DESC"]) == names[::-1]
    client.update_registered_model(names[1], "changed")
    assert find(f"name LIKE '{mark}%'", order_by=["last_updated_timestamp DESC"])[0] == names[1]
    assert find(f"name LIKE '{mark}%'", order_by=["timestamp ASC", "name DESC"])[-1] == names[1]
    pages, token = [], None
    while True:
        page = client.search_registered_models(f"name LIKE '{mark}%'", max_results=2, page_token=token)
        pages.append([m.name for m in page])
        token = page.token
        if not token:
            break
    assert pages == [names[:2], names[2:4], names[4:]], pages
    for bad in ["name > 'x'", "whatever = 'x'", "name = 1", "name = 'x' OR name = 'y'", "metrics.auc > 1", "name LIKE"]:
        raises("INVALID_PARAMETER_VALUE", client.search_registered_models, bad)
    raises("INVALID_PARAMETER_VALUE", client.search_registered_models, order_by=["size DESC"])
    raises("INVALID_PARAMETER_VALUE", client.search_registered_models, order_by=["name", "name DESC"])
    raises("INVALID_PARAMETER_VALUE", client.search_registered_models, max_results=100_000)
    raises("INVALID_PARAMETER_VALUE", client.search_registered_models, page_token="nonsense")


def case_search_versions():
    mark = unique("v")
    for i in range(2):
        client.create_registered_model(f"{mark}-{i}")
    for i in range(4):
        version(f"{mark}-{i % 2}", seed=1 + i % 2, tags={"i": str(i)})
    find = lambda text, **named: [(v.name[-1], str(v.version)) for v in client.search_model_versions(text, **named)]
    assert find(f"name = '{mark}-0'") == [("0", "2"), ("0", "1")]
    assert find(f"name LIKE '{mark}%'", order_by=["name DESC", "version_number ASC"]) == [("1", "1"), ("1", "2"), ("0", "1"), ("0", "2")]
    assert find(f"name LIKE '{mark}%' AND version_number > 1", order_by=["name ASC"]) == [("0", "2"), ("1", "2")]
    assert find(f"name LIKE '{mark}%' AND tags.i = '3'") == [("1", "2")]
    run_id, source, _ = log(2)
    assert find(f"run_id = '{run_id}' AND name LIKE '{mark}%'") == [("1", "2"), ("1", "1")]
    assert find(f"run_id IN ('{run_id}', 'none') AND name LIKE '{mark}%'") == [("1", "2"), ("1", "1")]
    if THREE:
        assert len(find(f"source_path = '{source}' AND name LIKE '{mark}%'")) == 2
    page = client.search_model_versions(f"name LIKE '{mark}%'", max_results=3)
    assert len(page) == 3 and page.token
    assert len(client.search_model_versions(f"name LIKE '{mark}%'", max_results=3, page_token=page.token)) == 1
    raises("INVALID_PARAMETER_VALUE", client.search_model_versions, "version_number LIKE '1'")
    raises("INVALID_PARAMETER_VALUE", client.search_model_versions, "nothing = '1'")


def case_log_and_load():
    import mlflow.lightgbm

    name = unique()
    model, x = booster(3)
    with mlflow.start_run() as r:
        where = {"name": "model"} if THREE else {"artifact_path": "model"}
        mlflow.lightgbm.log_model(model, registered_model_name=name, pip_requirements=["mlflow"], **where)
    got = client.get_model_version(name, "1")
    assert got.run_id == r.info.run_id and got.status == "READY" and not got.status_message, got
    client.set_registered_model_alias(name, "champion", "1")
    want = model.predict(x)
    for ref in ["@champion", "/1", "/latest"]:
        loaded = mlflow.lightgbm.load_model(f"models:/{name}{ref}")
        assert np.array_equal(loaded.predict(x), want), ref
    python = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    assert np.allclose(python.predict(x), want)
    uri = client.get_model_version_download_uri(name, "1")
    assert uri == f"mlflow-artifacts:/leat-registry/{name}/1", uri
    files = os.listdir(mlflow.artifacts.download_artifacts(f"models:/{name}/1"))
    assert "MLmodel" in files and "model.lgb" in files, files


def case_register_model():
    run_id, source, _ = log()
    name = unique()
    got = mlflow.register_model(source, name, tags={"a": "b"})
    assert str(got.version) == "1" and got.tags == {"a": "b"}, got
    got = mlflow.register_model(f"runs:/{run_id}/model", name)
    assert str(got.version) == "2" and got.run_id == run_id, got
    assert mlflow.lightgbm.load_model(f"models:/{name}/2")


def case_xgboost():
    import mlflow.xgboost
    import xgboost

    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2)).astype("float32")
    y = x[:, 0] * 2 + 1
    model = xgboost.train({"objective": "reg:squarederror", "nthread": 1}, xgboost.DMatrix(x, y, feature_names=["a", "b"]), 5)
    name = unique()
    with mlflow.start_run():
        where = {"name": "model"} if THREE else {"artifact_path": "model"}
        mlflow.xgboost.log_model(model, registered_model_name=name, pip_requirements=["mlflow"], **where)
    assert not client.get_model_version(name, "1").status_message, client.get_model_version(name, "1").status_message
    assert mlflow.xgboost.load_model(f"models:/{name}/1")


def case_what_leat_cannot_execute_is_kept():
    name = unique()
    client.create_registered_model(name)
    with mlflow.start_run() as r:
        mlflow.log_text("not a model", "thing/notes.txt")
    made = client.create_model_version(name, f"runs:/{r.info.run_id}/thing", r.info.run_id)
    assert made.status == "READY" and made.status_message, made
    assert open(mlflow.artifacts.download_artifacts(f"models:/{name}/1") + "/notes.txt").read() == "not a model"
    elsewhere = client.create_model_version(name, "s3://bucket/model")
    assert "s3://bucket/model" in elsewhere.status_message, elsewhere
    assert client.get_model_version_download_uri(name, "2") == "s3://bucket/model"


def case_sources_that_are_refused():
    name = unique()
    client.create_registered_model(name)
    run_id, source, _ = log()
    other, _, _ = log(2)
    post = lambda **body: requests.post(URL + "/api/2.0/mlflow/model-versions/create", json={"name": name, **body}, timeout=10)
    bad = [
        {"source": "/etc"}, {"source": "file:///etc"}, {"source": "etc/passwd"}, {"source": "file:etc", "run_id": run_id},
        {"source": f"runs:/{run_id}/../{other}"}, {"source": f"runs:/{run_id}/model", "run_id": other},
        {"source": f"runs:/{run_id}/%2e%2e/{other}"}, {"source": "runs:/none/model"},
        {"source": "models:/m-none"}, {"source": "mlflow-artifacts:/0"}, {"source": f"mlflow-artifacts:/0/{run_id}/artifacts/model"},
        {"source": f"mlflow-artifacts:/0/{other}/artifacts/model", "run_id": run_id},
        {"source": f"mlflow-artifacts:/0/{run_id}/artifacts/../../{other}/artifacts", "run_id": run_id},
        {"source": f"mlflow-artifacts:/0/{run_id}/artifacts/..\\x", "run_id": run_id},
        {"source": ""}, {},
    ]
    for body in bad:
        answer = post(**body)
        assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", (body, answer.text)
    assert client.search_model_versions(f"name = '{name}'") == []


def case_copy():
    name, to = unique(), unique()
    client.create_registered_model(name)
    version(name)
    copied = client.copy_model_version(f"models:/{name}/1", to)
    assert copied.name == to and str(copied.version) == "1", copied
    assert mlflow.lightgbm.load_model(f"models:/{to}/1")


def case_versions_cannot_be_overwritten():
    name = unique()
    client.create_registered_model(name)
    version(name)
    path = f"{URL}/api/2.0/mlflow-artifacts/artifacts/leat-registry/{name}/1/MLmodel"
    before = requests.get(path, timeout=5)
    assert before.status_code == 200 and "lightgbm" in before.text
    for method in ("PUT", "DELETE"):
        answer = requests.request(method, path, data=b"x", timeout=5)
        assert answer.status_code == 403, answer.text
    assert requests.get(path, timeout=5).text == before.text
    assert requests.get(path + "x", timeout=5).status_code == 404
    assert requests.get(path.replace("/1/", "/9/"), timeout=5).status_code == 404


class Receiver(http.server.BaseHTTPRequestHandler):
    got = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Receiver.got.append((dict(self.headers), body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments):
        pass


def case_webhooks():
    if not hasattr(client, "create_webhook"):
        return  # this client has none
    receiver = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{receiver.server_port}/hook"
    hook = client.create_webhook("told", url, ["registered_model.created", "model_version_alias.created"], description="d", secret="hush")
    assert (hook.name, hook.url, hook.description, str(hook.status), hook.secret) == ("told", url, "d", "ACTIVE", None), hook
    assert "hush" not in requests.get(f"{URL}/api/2.0/mlflow/webhooks/{hook.webhook_id}", timeout=5).text
    assert [h.webhook_id for h in client.list_webhooks() if h.name == "told"] == [hook.webhook_id]
    result = client.test_webhook(hook.webhook_id)
    assert result.success and result.response_status == 200, result
    Receiver.got.clear()
    name = unique()
    client.create_registered_model(name)
    version(name)
    client.set_registered_model_alias(name, "champion", "1")
    deadline = time.time() + 20
    while len(Receiver.got) < 2 and time.time() < deadline:
        time.sleep(0.05)
    kinds = set()
    for headers, body in Receiver.got:
        message = json.loads(body)
        assert message["data"]["name"] == name, message
        kinds.add(message["entity"] + "." + message["action"])
        signed = f"{headers['X-MLflow-Delivery-Id']}.{headers['X-MLflow-Timestamp']}.{body.decode()}"
        want = base64.b64encode(hmac.new(b"hush", signed.encode(), hashlib.sha256).digest()).decode()
        assert headers["X-MLflow-Signature"] == "v1," + want, headers
    assert kinds == {"registered_model.created", "model_version_alias.created"}, kinds
    changed = client.update_webhook(hook.webhook_id, status="DISABLED", name="silent")
    assert (changed.name, str(changed.status)) == ("silent", "DISABLED"), changed
    raises("PERMISSION_DENIED", client.create_webhook, "x", "http://10.0.0.1/", ["registered_model.created"])
    client.delete_webhook(hook.webhook_id)
    raises("RESOURCE_DOES_NOT_EXIST", client.get_webhook, hook.webhook_id)


def case_prompts():
    if not THREE:
        return  # the clients of 2.x have no prompts, or other ones
    name = unique("prompt")
    prompt = mlflow.genai.register_prompt(name, "Say {{word}}")
    assert prompt.version == 1
    assert mlflow.genai.load_prompt(f"prompts:/{name}/1").template == "Say {{word}}"
    assert name not in [m.name for m in client.search_registered_models(f"name = '{name}'")]


if __name__ == "__main__":
    mlflow.set_tracking_uri(URL)
    run(globals())
