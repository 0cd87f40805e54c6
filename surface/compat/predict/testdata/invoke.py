"""Drives a server with MLflow's client of scoring servers: invoke.py HOST:PORT.

The server has one endpoint whose outputs are its inputs.
"""

import sys

import numpy as np
import pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

host, port = sys.argv[1].split(":")
client = ScoringServerClient(host, port)
client.ping()
rows = pd.DataFrame({"s": ["x", "Zoë"], "a": [1.5, 2.0], "n": [3, -4]})
for data in (rows, np.array([[1.5, 3, "x"], [2.0, -4, "Zoë"]], dtype=object)):
    got = client.invoke(data).get_predictions()
    assert got["a"].tolist() == [1.5, 2.0] and got["n"].tolist() == [3, -4] and got["s"].tolist() == ["x", "Zoë"], got
got = client.invoke(rows, params={"temperature": 1}).get_predictions()
assert len(got) == 2, got
try:
    client.invoke(rows.drop(columns="a"))
except Exception as e:
    assert "BAD_REQUEST" in str(e) and "missing" in str(e) or "lacks" in str(e), e
else:
    raise SystemExit("a missing column is not refused")
print("as it should be")
