"""Writes a LightGBM model as ONNX, with one tensor as its input, as people do.

    python convert.py lightgbm.txt model.onnx
"""
import sys

import lightgbm
import onnxmltools
from onnxmltools.convert.common.data_types import FloatTensorType

booster = lightgbm.Booster(model_file=sys.argv[1])
shape = [None, booster.num_feature()]
model = onnxmltools.convert_lightgbm(booster, initial_types=[("rows", FloatTensorType(shape))], zipmap=False)
with open(sys.argv[2], "wb") as file:
    file.write(model.SerializeToString())
