"""The same trees behind FastAPI, in two ways.

/tuned is written to be fast: an async handler, an array in place of a data
frame, no threads inside LightGBM for one row. /plain is what is usually
written: a handler that makes a data frame of the rows and predicts.

    PEER_MODEL=lightgbm.txt python -m uvicorn --app-dir bench/realtime peer:app
"""
import os

import lightgbm
import numpy
import pandas
from fastapi import FastAPI
from pydantic import BaseModel

booster = lightgbm.Booster(model_file=os.environ["PEER_MODEL"])
columns = booster.feature_name()


class Body(BaseModel):
    rows: list[dict[str, float]]


app = FastAPI()


def answer(scores):
    return {"decisions": [{"score": s} for s in scores.tolist()]}


@app.post("/tuned")
async def tuned(body: Body):
    rows = numpy.array([[row[name] for name in columns] for row in body.rows])
    return answer(booster.predict(rows, num_threads=1))


@app.post("/plain")
def plain(body: Body):
    return answer(booster.predict(pandas.DataFrame(body.rows)[columns]))
