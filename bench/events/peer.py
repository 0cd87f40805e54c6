"""The model server that Redpanda Connect calls: 100 trees of LightGBM behind FastAPI.

Its model has as many inputs as the stream's has, and reads of each what an
event tells: it has no windows to look at, and none to keep.

    python -m uvicorn --app-dir bench/events peer:app
"""
import lightgbm
import numpy
from fastapi import FastAPI, Request

INPUTS = 22

random = numpy.random.default_rng(1)
rows = random.normal(size=(20_000, INPUTS))
label = (rows[:, 0] + rows[:, 1] * rows[:, 2] > 1).astype(int)
booster = lightgbm.train(
    {"objective": "binary", "num_leaves": 31, "num_threads": 1, "verbose": -1},
    lightgbm.Dataset(rows, label),
    100,
)

app = FastAPI()


def features(event):
    row = numpy.zeros(INPUTS)
    row[0] = event["amount"]
    row[1] = len(event["country"])
    return row


@app.post("/one")
async def one(request: Request):
    event = await request.json()
    score = booster.predict(features(event)[None, :], num_threads=1)[0]
    return {**event, "score": float(score)}
