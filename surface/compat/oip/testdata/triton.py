"""Drives a server with the stock clients of Triton: triton.py HTTP GRPC KEY.

The server has one model, echo: its outputs are its inputs.
"""

import queue
import sys

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.http as http
from tritonclient.utils import InferenceServerException

http_address, grpc_address, key = sys.argv[1:]


def auth():
    return {"authorization": "Bearer " + key}  # a new one each time: the client writes into it


ROWS = 5
COLUMNS = {
    "d": ("FP64", np.array([1.5, -2.25, 0, 1e300, 5e-324])),
    "e": ("FP64", np.arange(ROWS) / 3),
    "n": ("INT64", np.array([0, -1, 2**62 + 1, 3, -(2**63)])),
    "ok": ("BOOL", np.array([True, False, True, True, False])),
    "s": ("BYTES", np.array(["", "Zoë", "a\nb", '"q"', "x" * 300], dtype=object)),
    "at": ("BYTES", np.array([b"2026-11-22T12:00:00Z"] * ROWS, dtype=object)),
    "day": ("BYTES", np.array([b"2026-11-22"] * ROWS, dtype=object)),
}

SLOW = dict(COLUMNS, s=("BYTES", np.array(["sleep"] * ROWS, dtype=object)))


def check(what, condition):
    if not condition:
        raise SystemExit("wrong: " + what)


def refused(what, text, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except InferenceServerException as e:
        check(f"{what} is refused with {text!r}, not {e}", text in str(e))
        return
    raise SystemExit(what + " is not refused")


def inputs(module, columns=COLUMNS, **kwargs):
    made = []
    for name, (datatype, values) in columns.items():
        i = module.InferInput(name, list(values.shape), datatype)
        i.set_data_from_numpy(values, **kwargs)
        made.append(i)
    return made


def same(result, columns=COLUMNS):
    for name, (datatype, values) in columns.items():
        got = result.as_numpy("out_" + name)
        check(name + " comes back", got is not None and got.shape == values.shape)
        if datatype == "BYTES":
            text = lambda v: v if isinstance(v, bytes) else v.encode()
            check(name, [text(v) for v in got] == [text(v) for v in values])
        else:
            check(f"{name}: {got} for {values}", (got == values).all() and got.dtype == values.dtype)


def server(c, module):
    check("live", c.is_server_live(headers=auth()))
    check("ready", c.is_server_ready(headers=auth()))
    check("model ready", c.is_model_ready("echo", headers=auth()) and c.is_model_ready("echo", "3", headers=auth()))
    check("not ready", not c.is_model_ready("echo", "2", headers=auth()) and not c.is_model_ready("none", headers=auth()))


def infer(c, module, more=({},), **data):
    for extra in more:
        r = c.infer("echo", inputs(module, **data), headers=auth(), request_id="q7", **extra)
        same(r)
    wanted = [module.InferRequestedOutput("out_s"), module.InferRequestedOutput("decision_id"), module.InferRequestedOutput("out_d")]
    r = c.infer("echo", inputs(module, **data), model_version="3", outputs=wanted, headers=auth())
    check("an output not asked for", r.as_numpy("out_n") is None)
    check("decision ids", len(set(r.as_numpy("decision_id"))) == ROWS)
    # Narrower types, and a matrix of some columns beside the others by name.
    for datatype, numpy in [("FP32", np.float32), ("FP16", np.float16), ("INT8", np.int8), ("UINT16", np.uint16), ("INT32", np.int32), ("UINT64", np.uint64)]:
        if datatype == "FP16" and data.get("binary_data") is False:
            continue
        narrow = dict(COLUMNS, d=(datatype, np.array([0, 1, 2, 3, 100], dtype=numpy)))
        r = c.infer("echo", inputs(module, narrow, **data), headers=auth())
        check(datatype, (r.as_numpy("out_d") == narrow["d"][1].astype(np.float64)).all())
    matrix = {k: v for k, v in COLUMNS.items() if k not in ("d", "e")}
    matrix["features"] = ("FP32", np.stack([np.arange(ROWS), np.arange(ROWS) * 2], axis=1).astype(np.float32))
    r = c.infer("echo", inputs(module, matrix, **data), headers=auth())
    check("a matrix", (r.as_numpy("out_e") == np.arange(ROWS) * 2.0).all())
    missing = dict(COLUMNS, d=("FP64", np.array([1, np.nan, 3, 4, 5.0])))
    if data.get("binary_data") is not False:  # JSON has no NaN
        r = c.infer("echo", inputs(module, missing, **data), headers=auth())
        check("NaN is missing, and comes back", np.isnan(r.as_numpy("out_d")[1]))


def errors(c, module):
    refused("an unknown model", "no endpoint", c.infer, "none", inputs(module), headers=auth())
    refused("a version that was live", "release 2 of echo is not live", c.infer, "echo", inputs(module), model_version="2", headers=auth())
    refused("a missing input", 'no input "d"', c.infer, "echo", inputs(module)[1:], headers=auth())
    refused("another type", "takes INT64", c.infer, "echo", inputs(module, dict(COLUMNS, n=("FP64", np.full(ROWS, 0.5)))), headers=auth())
    refused("an unknown output", 'no output "x"', c.infer, "echo", inputs(module), outputs=[module.InferRequestedOutput("x")], headers=auth())
    refused("nobody", "API key", c.infer, "echo", inputs(module))
    refused("a sequence", "sequence_id", c.infer, "echo", inputs(module), sequence_id=7, sequence_start=True, headers=auth())
    refused("shared memory", "", c.register_system_shared_memory, "a", "/a", 8, headers=auth())
    refused("a load with another configuration", "as it was released", c.load_model, "echo", config="{}", headers=auth())
    refused("a request that gives itself too little time", "", c.infer, "echo", inputs(module, SLOW), timeout=50000, headers=auth())
    refused("loading what is not there", "has had no release", c.load_model, "none", headers=auth())


def over_http():
    c = http.InferenceServerClient(http_address, concurrency=4)
    server(c, http)
    m = c.get_server_metadata(headers=auth())
    check("extensions", {"binary_tensor_data", "statistics", "model_repository"} <= set(m["extensions"]))
    m = c.get_model_metadata("echo", headers=auth())
    check("metadata", m["versions"] == ["3"] and m["inputs"][2] == {"name": "n", "datatype": "INT64", "shape": [-1]})
    check("configuration", c.get_model_config("echo", headers=auth())["input"][4]["data_type"] == "TYPE_STRING")
    infer(c, http, [{}, {"request_compression_algorithm": "gzip"}, {"request_compression_algorithm": "deflate"},
                    {"response_compression_algorithm": "gzip"}])
    infer(c, http, binary_data=False)
    json_out = [http.InferRequestedOutput("out_" + k, binary_data=False) for k in COLUMNS]
    same(c.infer("echo", inputs(http), outputs=json_out, headers=auth()))
    pending = [c.async_infer("echo", inputs(http), headers=auth()) for _ in range(16)]
    for p in pending:
        same(p.get_result())
    errors(c, http)

    check("listed", [(m["name"], m["state"]) for m in c.get_model_repository_index(headers=auth())] == [("echo", "READY"), ("other", "UNAVAILABLE")])
    c.unload_model("echo", headers=auth())
    check("unloaded", not c.is_model_ready("echo", headers=auth()))
    refused("asking what is unloaded", "no endpoint", c.infer, "echo", inputs(http), headers=auth())
    c.load_model("echo", headers=auth())
    same(c.infer("echo", inputs(http), headers=auth()))

    s = c.get_inference_statistics("echo", headers=auth())["model_stats"][0]
    check("counts", s["name"] == "echo" and s["version"] == "3" and s["inference_count"] == ROWS * s["execution_count"] > 0)
    check("durations", s["inference_stats"]["compute_infer"]["ns"] > 0 and s["inference_stats"]["fail"]["count"] > 0)
    check("sizes", s["batch_stats"][0]["batch_size"] == ROWS)
    check("all", len(c.get_inference_statistics(headers=auth())["model_stats"]) == 1)
    c.close()


def over_grpc():
    c = grpc.InferenceServerClient(grpc_address)
    server(c, grpc)
    check("name", c.get_server_metadata(headers=auth()).name == "leat")
    m = c.get_model_metadata("echo", headers=auth())
    check("metadata", list(m.versions) == ["3"] and m.inputs[2].datatype == "INT64" and list(m.inputs[2].shape) == [-1])
    check("configuration", c.get_model_config("echo", headers=auth(), as_json=True)["config"]["input"][3]["data_type"] == "TYPE_BOOL")
    infer(c, grpc, [{}, {"compression_algorithm": "gzip"}, {"client_timeout": 10}])
    errors(c, grpc)
    refused("a deadline that is over", "DEADLINE_EXCEEDED", c.infer, "echo", inputs(grpc, SLOW), client_timeout=0.05, headers=auth())

    results = queue.Queue()
    for _ in range(16):
        c.async_infer("echo", inputs(grpc), callback=lambda result, error: results.put((result, error)), headers=auth())
    for _ in range(16):
        result, error = results.get(timeout=10)
        check(f"asynchronous: {error}", error is None)
        same(result)

    c.start_stream(callback=lambda result, error: results.put((result, error)), headers=auth())
    for n in range(20):
        model = "none" if n == 7 else "echo"
        c.async_stream_infer(model, inputs(grpc), request_id=str(n), enable_empty_final_response=n == 9)
    for n in range(20):
        result, error = results.get(timeout=10)
        if n == 7:
            check(f"an error in a stream: {error}", error is not None and "no endpoint" in str(error))
            continue
        check(f"streamed: {error}", error is None and result.get_response().id == str(n))
        check("final", result.get_response().parameters["triton_final_response"].bool_param == (n == 9))
        same(result)
    c.stop_stream()

    check("listed", [m.state for m in c.get_model_repository_index(headers=auth()).models] == ["READY", "UNAVAILABLE"])
    c.unload_model("echo", headers=auth())
    check("unloaded", not c.is_model_ready("echo", headers=auth()))
    c.load_model("echo", headers=auth())
    same(c.infer("echo", inputs(grpc), headers=auth()))
    s = c.get_inference_statistics("echo", headers=auth()).model_stats[0]
    check("counts", s.inference_count == ROWS * s.execution_count > 0 and s.inference_stats.success.ns > 0)
    check("sizes", s.batch_stats[0].batch_size == ROWS)
    c.close()


over_http()
over_grpc()
print("as it should be")
