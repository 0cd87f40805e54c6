"""The same trees behind FastAPI, written to be fast: an async handler, an
array in place of a data frame, no thread pool inside LightGBM for one row.

    PEER_MODEL=lightgbm.txt python -m uvicorn --app-dir bench/realtime peer:app
"""
import os

import lightgbm
import numpy
from fastapi import FastAPI
from pydantic import BaseModel

booster = lightgbm.Booster(model_file=os.environ["PEER_MODEL"])
columns = booster.feature_name()


class Body(BaseModel):
    rows: list[dict[str, float]]


app = FastAPI()


@app.post("/score")
async def score(body: Body):
    rows = numpy.array([[row[name] for name in columns] for row in body.rows])
    return {"decisions": [{"score": s} for s in booster.predict(rows, num_threads=1).tolist()]}
