"""Drives a server with the stock Feast client and its remote online store.

    remote.py URL [CASE…]

Prints "ok NAME" or "failed NAME why" for each case. The definitions on this
side have the names and types of those on the server's; the registry is a file.
"""

import datetime
import json
import os
import sys
import tempfile
import traceback

import pandas as pd
import requests
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource, RepoConfig
from feast.errors import FeatureNameCollisionError, FeatureViewNotFoundException, FeastPermissionError, PushSourceNotFoundException
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.types import Bool, Float64, Int64, String, UnixTimestamp
from feast.value_type import ValueType

url = sys.argv[1]
folder = tempfile.mkdtemp()
now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=123456)
hour, old = now - datetime.timedelta(hours=1), now - datetime.timedelta(days=40)


def store(**more):
    return FeatureStore(
        config=RepoConfig(
            project="p",
            registry=os.path.join(folder, "registry.db"),
            provider="local",
            online_store={"type": "remote", "path": url, "connection_retries": 0},
            entity_key_serialization_version=3,
            **more,
        )
    )


customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
source = FileSource(name="file", path=os.path.join(folder, "none.parquet"), timestamp_field="at")
act = FeatureView(
    name="act", entities=[customer], ttl=datetime.timedelta(days=1), source=PushSource(name="activity", batch_source=source),
    schema=[Field(name="customer_id", dtype=String), Field(name="spend", dtype=Float64), Field(name="n", dtype=Int64), Field(name="country", dtype=String), Field(name="vip", dtype=Bool)],
)
other = FeatureView(
    name="other", entities=[customer], ttl=datetime.timedelta(days=1), source=FileSource(name="file2", path=os.path.join(folder, "none2.parquet"), timestamp_field="at"),
    schema=[Field(name="customer_id", dtype=String), Field(name="spend", dtype=Float64), Field(name="since", dtype=UnixTimestamp)],
)
missing = FeatureView(
    name="missing", entities=[customer], source=FileSource(name="file3", path=os.path.join(folder, "none3.parquet"), timestamp_field="at"),
    schema=[Field(name="customer_id", dtype=String), Field(name="x", dtype=Float64)],
)
service = FeatureService(name="service", features=[act, other[["since"]]])

token = os.environ.get("LEAT_API_KEY")
auth = {"auth": {"type": "oidc", "token_env_var": "LEAT_API_KEY"}} if token else {}
feast = store(**auth)
feast.registry.apply_entity(customer, "p")
for view in (act, other, missing):
    feast.registry.apply_feature_view(view, "p")
feast.registry.apply_feature_service(service, "p")
feast.registry.commit()
feast.refresh_registry()

rows = pd.DataFrame(
    {
        "customer_id": ["a", "b", "c"],
        "at": pd.to_datetime([hour, hour, old]),
        "spend": [1.5, None, 3.0],
        "n": [1, 2, 3],
        "country": ["de", "fr", "it"],
        "vip": [True, False, True],
    }
)


def write():
    feast.write_to_online_store("act", df=rows)
    feast.write_to_online_store("other", df=pd.DataFrame({"customer_id": ["a"], "at": pd.to_datetime([now]), "spend": [9.0], "since": pd.to_datetime([old])}))


def statuses(response):
    names = response.proto.metadata.feature_names.val
    return {n: [FieldStatus.Name(s) for s in r.statuses] for n, r in zip(names, response.proto.results)}


def read():
    got = feast.get_online_features(
        features=["act:spend", "act:n", "act:country", "act:vip"], entity_rows=[{"customer_id": c} for c in ("a", "b", "nobody", "a", "c")]
    )
    values = got.to_dict()
    assert values["customer_id"] == ["a", "b", "nobody", "a", "c"], values
    assert values["spend"][:4] == [1.5, None, None, 1.5], values
    assert values["n"][:4] == [1, 2, None, 1], values
    assert values["country"][:4] == ["de", "fr", None, "de"], values
    assert values["vip"][:4] == [True, False, None, True], values
    s = statuses(got)
    assert s["spend"] == ["PRESENT", "NULL_VALUE", "NOT_FOUND", "PRESENT", "OUTSIDE_MAX_AGE"], s
    assert s["n"] == ["PRESENT", "PRESENT", "NOT_FOUND", "PRESENT", "OUTSIDE_MAX_AGE"], s


def types_are_kept():
    got = feast.get_online_features(features=["act:spend"], entity_rows=[{"customer_id": "c"}])
    assert got.proto.results[1].values[0].WhichOneof("val") in (None, "double_val"), got.proto


def full_names():
    got = feast.get_online_features(features=["act:spend", "other:spend"], entity_rows=[{"customer_id": "a"}], full_feature_names=True).to_dict()
    assert got == {"customer_id": ["a"], "act__spend": [1.5], "other__spend": [9.0]}, got


def feature_service():
    got = feast.get_online_features(features=service, entity_rows=[{"customer_id": "a"}]).to_dict()
    assert got == {"customer_id": ["a"], "spend": [1.5], "n": [1], "country": ["de"], "vip": [True], "since": [int(old.timestamp())]}, got


def times():
    """The client reads the times of rows only where it reads one view itself."""
    key = EntityKey(join_keys=["customer_id"], entity_values=[Value(string_val="a")])
    backend = feast._get_provider().online_store
    [(at, values)] = backend.online_read(feast.config, act, [key], ["spend", "n"])
    assert at == hour and values["spend"].double_val == 1.5 and values["n"].int64_val == 1, (at, values)
    answer = requests.post(url + "/get-online-features", json={"entities": {"customer_id": ["a", "c", "nobody"]}, "features": ["act:n"]}, headers=headers()).json()
    text = lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert answer["results"][1]["event_timestamps"] == [text(hour), text(old), "1970-01-01T00:00:00Z"], answer


def headers():
    return {"Authorization": "Bearer " + token} if token else {}


def newer_wins():
    older = rows.assign(at=pd.to_datetime([hour - datetime.timedelta(minutes=5)] * 3), n=[7, 7, 7])
    feast.write_to_online_store("act", df=older)
    got = feast.get_online_features(features=["act:n"], entity_rows=[{"customer_id": c} for c in ("a", "b", "c")]).to_dict()
    assert got["n"] == [1, 2, 7], got


def push():
    """As Feast's documentation pushes over HTTP."""
    event = {"customer_id": ["p"], "at": [str(now)], "spend": [4.25], "n": [4], "country": ["ch"], "vip": [False]}
    r = requests.post(url + "/push", data=json.dumps({"push_source_name": "activity", "df": event, "to": "online"}), headers=headers())
    assert r.status_code == 200, r.text
    got = feast.get_online_features(features=["act:spend", "act:vip"], entity_rows=[{"customer_id": "p"}]).to_dict()
    assert got == {"customer_id": ["p"], "spend": [4.25], "vip": [False]}, got


def errors_are_raised():
    for features, error in (["missing:x"], FeatureViewNotFoundException), (["act:spend", "other:spend"], FeatureNameCollisionError):
        try:
            feast.get_online_features(features=features, entity_rows=[{"customer_id": "a"}])
        except error:
            continue
        raise AssertionError("no " + error.__name__)


def materialise():
    r = requests.post(url + "/materialize", json={"start_ts": "2020-01-01T00:00:00", "end_ts": now.isoformat(), "feature_views": ["act"]}, headers=headers())
    assert r.status_code == 200 and r.json() is None, r.text
    r = requests.post(url + "/materialize-incremental", json={"end_ts": now.isoformat()}, headers=headers())
    assert r.status_code == 200 and r.json() is None, r.text
    r = requests.post(url + "/materialize-incremental?async=true", json={"end_ts": now.isoformat(), "feature_views": ["act"]}, headers=headers())
    assert r.status_code == 202 and r.json() == {"status": "accepted", "feature_views": ["act"]}, r.text


def health():
    assert requests.get(url + "/health").status_code == 200


def refused_without_grants():
    other_store = store(auth={"type": "oidc", "token": "read:nothing"})
    try:
        other_store.get_online_features(features=["act:n"], entity_rows=[{"customer_id": "a"}])
    except FeastPermissionError:
        return
    raise AssertionError("it was let in")


cases = [write, read, types_are_kept, full_names, feature_service, times, newer_wins, push, errors_are_raised, materialise, health]
if token:
    cases.append(refused_without_grants)
for case in cases:
    if len(sys.argv) > 2 and case.__name__ not in sys.argv[2:]:
        continue
    try:
        case()
        print("ok", case.__name__, flush=True)
    except Exception:
        print("failed", case.__name__, traceback.format_exc().replace("\n", "\\n"), flush=True)
