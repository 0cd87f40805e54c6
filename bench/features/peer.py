"""The peer: a Feast repository with the same features, on Redis.

    peer.py FOLDER PARQUET REDIS VIEWS FEATURES

Writes the repository, applies it and materialises it; `feast serve` is then
started on the folder.
"""

import datetime
import os
import sys

from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.types import Float64, String
from feast.value_type import ValueType

folder, parquet, redis, views, features = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
os.makedirs(folder, exist_ok=True)
with open(os.path.join(folder, "feature_store.yaml"), "w") as f:
    f.write(
        f"""project: bench
registry: {folder}/registry.db
provider: local
online_store: {{type: redis, connection_string: "{redis}"}}
entity_key_serialization_version: 3
"""
    )
driver = Entity(name="driver", join_keys=["driver"], value_type=ValueType.STRING)
defined = [driver]
each = features // views
for v in range(views):
    defined.append(
        FeatureView(
            name=f"v{v}",
            entities=[driver],
            ttl=datetime.timedelta(days=3650),
            schema=[Field(name="driver", dtype=String)] + [Field(name=f"f{i}", dtype=Float64) for i in range(v * each, (v + 1) * each)],
            source=FileSource(name=f"rows{v}", path=parquet, timestamp_field="at"),
        )
    )
store = FeatureStore(repo_path=folder)
store.apply(defined)
now = datetime.datetime.now(datetime.timezone.utc)
store.materialize(now - datetime.timedelta(days=3650), now)
