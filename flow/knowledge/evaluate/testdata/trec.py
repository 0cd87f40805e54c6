"""Judges a run by trec_eval: JSON in, measures by query out."""

import json
import sys

import pytrec_eval

task = json.load(sys.stdin)
wanted = set()
for m in task["measures"]:
    name, _, cut = m.rpartition("_")
    wanted.add(f"{name}.{cut}" if cut.isdigit() else m)
json.dump(pytrec_eval.RelevanceEvaluator(task["qrels"], wanted).evaluate(task["run"]), sys.stdout)
