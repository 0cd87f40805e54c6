"""Serves a Python model to Leat: one file, for any Python from 3.8 on.

    python leat_worker.py mlflow            the folder is one that MLflow wrote
    python leat_worker.py function FILE.py  FILE.py has a function predict(frame)

The folder is LEAT_MODEL_DIR. Leat starts this program and speaks frames with it
over stdin and stdout; whatever the model prints goes to stderr. Nothing here
is needed but the standard library; pandas, pyarrow, mlflow, cloudpickle and
joblib are used where the interpreter has them.

A function model may say in its file what it reads and writes:

    inputs = {"amount": "double", "country": "string"}
    outputs = {"score": "double"}
    def load(folder): ...      # once, before the first rows
    def predict(frame): ...    # a DataFrame; without pandas, a dict of lists

predict returns a DataFrame, a dict of columns, one column, or a table of as
many columns as there are outputs.
"""

import datetime
import importlib.util
import json
import math
import os
import struct
import sys

HELLO, PREDICT, RESULT, ERROR, PING, PONG, CANCEL = 1, 2, 3, 4, 5, 6, 7
HEADER = struct.Struct("<IB3xI")
EPOCH = datetime.datetime(1970, 1, 1)
FOLDER = os.environ.get("LEAT_MODEL_DIR", ".")


def optional(name):
    try:
        return __import__(name)
    except ImportError:
        return None


class Refused(Exception):
    """What is wrong with the rows or the model, for who asks."""

    def __init__(self, kind, message, hint=""):
        super().__init__(message)
        self.kind, self.hint = kind, hint


class Pipe:
    """Frames over two file descriptors."""

    def __init__(self):
        # The model may print: file descriptor 1 becomes stderr, and 0 is empty.
        self.source = os.fdopen(os.dup(0), "rb", buffering=1 << 16)
        self.sink = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        self.limit = int(os.environ.get("LEAT_MAX_FRAME", 64 << 20))

    def read(self):
        header = self.source.read(HEADER.size)
        if len(header) < HEADER.size:
            return None  # Leat is gone, and so shall we be
        length, kind, call = HEADER.unpack(header)
        payload = self.source.read(length)
        if len(payload) < length:
            return None
        return kind, call, payload

    def write(self, kind, call, payload=b""):
        if len(payload) > self.limit:
            kind, payload = ERROR, problem("too_large", "the answer takes %d bytes" % len(payload))
        view = memoryview(HEADER.pack(len(payload), kind, call) + payload)
        while view:
            view = view[self.sink.write(view):]


def problem(kind, message, hint=""):
    return json.dumps({"kind": kind, "message": message[:2000], "hint": hint}).encode()


# ---- Columns. A column is a list of None, bool, int, float, str; timestamps are
# microseconds and dates are days since 1970.


def plain(value, kind):
    """Makes a cell of whatever a library returned."""
    if value is None:
        return None
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        try:
            value = value.item()
        except (ValueError, AttributeError):
            pass
    if isinstance(value, float) and math.isnan(value):
        return None if kind != "double" else float("nan")
    if value != value:  # NaT, NA
        return None
    if kind == "string":
        return value if isinstance(value, str) else str(value)
    if kind == "timestamp":
        if isinstance(value, (int, float)):
            return int(value)
        if getattr(value, "tzinfo", None) is not None:
            value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        since = (value.to_pydatetime() if hasattr(value, "to_pydatetime") else value) - EPOCH
        return (since.days * 86400 + since.seconds) * 1000000 + since.microseconds
    if kind == "date":
        if isinstance(value, int):
            return value
        day = value.date() if isinstance(value, datetime.datetime) else value
        return (day - EPOCH.date()).days
    if kind == "bool":
        return bool(value)
    if kind == "int":
        return int(value)
    return float(value)


def to_json(value):
    if isinstance(value, float) and not math.isfinite(value):
        if value != value:
            return "NaN"
        return "Infinity" if value > 0 else "-Infinity"
    return value


def from_json(value):
    return {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}.get(value, value)


class JSONRows:
    name = "json"

    def read(self, payload, fields):
        columns = json.loads(payload)["columns"]
        for field in fields:
            if field["type"] == "double":
                name = field["name"]
                columns[name] = [from_json(v) if isinstance(v, str) else None if v is None else float(v) for v in columns[name]]
        return columns

    def write(self, columns, rows, fields):
        return json.dumps({"rows": rows, "columns": {k: [to_json(v) for v in col] for k, col in columns.items()}}).encode()


class ArrowRows:
    name = "arrow"

    def __init__(self, pyarrow):
        import pyarrow.ipc

        self.pa = pyarrow
        self.types = {
            "double": pyarrow.float64(), "int": pyarrow.int64(), "string": pyarrow.string(), "bool": pyarrow.bool_(),
            "timestamp": pyarrow.timestamp("us", tz="UTC"), "date": pyarrow.date32(),
        }

    def read(self, payload, fields):
        table = self.pa.ipc.open_stream(self.pa.py_buffer(payload)).read_all()
        columns = {}
        for field in fields:
            column = table.column(field["name"])
            if field["type"] == "timestamp":
                column = column.cast(self.pa.int64())
            elif field["type"] == "date":
                column = column.cast(self.pa.int32())
            if field["type"] == "double" and column.null_count == 0:
                columns[field["name"]] = column.to_numpy()
            elif field["type"] == "double":
                columns[field["name"]] = column.to_numpy()  # NULL is NaN
            elif field["type"] in ("int", "timestamp") and column.null_count == 0:
                columns[field["name"]] = column.to_numpy()
            else:
                columns[field["name"]] = column.to_pylist()
        return columns

    def write(self, columns, rows, fields):
        kinds = {field["name"]: field["type"] for field in fields}
        arrays, names = [], []
        for name, column in columns.items():
            kind = self.types[kinds[name]]
            if kinds[name] in ("timestamp", "date"):
                storage = self.pa.int64() if kinds[name] == "timestamp" else self.pa.int32()
                arrays.append(self.pa.array(column, type=storage).cast(kind))
            else:
                arrays.append(self.pa.array(column, type=kind, from_pandas=False))
            names.append(name)
        batch = self.pa.RecordBatch.from_arrays(arrays, names=names)
        sink = self.pa.BufferOutputStream()
        with self.pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return sink.getvalue().to_pybytes()


def frame_of(columns, fields, casts):
    """Makes a DataFrame, with the column types that libraries expect."""
    pandas, numpy = optional("pandas"), optional("numpy")
    if pandas is None:
        return {field["name"]: list(columns[field["name"]]) for field in fields}
    made = {}
    for field in fields:
        name, column = field["name"], columns[field["name"]]
        missing = not hasattr(column, "dtype") and any(v is None for v in column)
        if field["type"] == "double":
            made[name] = numpy.array([math.nan if v is None else v for v in column] if missing else column, dtype="float64")
        elif field["type"] == "int":
            made[name] = (
                numpy.array([math.nan if v is None else v for v in column], dtype="float64") if missing
                else numpy.array(column, dtype="int64")
            )
        elif field["type"] == "bool" and not missing:
            made[name] = numpy.array(column, dtype="bool")
        elif field["type"] in ("timestamp", "date"):
            unit = "us" if field["type"] == "timestamp" else "D"
            cells = [numpy.datetime64("NaT") if v is None else numpy.datetime64(int(v), unit) for v in column]
            made[name] = numpy.array(cells, dtype="datetime64[ns]")
        else:
            made[name] = pandas.Series(list(column), dtype="object")
        if name in casts and not missing:
            made[name] = made[name].astype(casts[name])
    return pandas.DataFrame(made, columns=[field["name"] for field in fields])


def columns_of(answer, rows, fields):
    """Takes whatever a model returned apart into the declared outputs."""
    names = [field["name"] for field in fields]
    if hasattr(answer, "toarray"):
        answer = answer.toarray()
    if hasattr(answer, "columns") and hasattr(answer, "iloc"):
        have = [str(c) for c in answer.columns]
        by_name = {c: answer.iloc[:, i] for i, c in enumerate(have)}
    elif isinstance(answer, dict):
        have = [str(c) for c in answer]
        by_name = {str(c): v for c, v in answer.items()}
    else:
        by_name = table_of(answer, len(fields))
        have = list(by_name)
    found = {}
    for at, name in enumerate(names):
        if name in by_name:
            found[name] = by_name[name]
        elif len(have) == len(names) and not set(have) & set(names):
            found[name] = by_name[have[at]]
        else:
            raise Refused("internal", "the model's answer has no column %r, only %s" % (name, have[:20]))
    made = {}
    for field in fields:
        cells = [plain(v, field["type"]) for v in found[field["name"]]]
        if len(cells) != rows:
            raise Refused("internal", "the model answered %d rows for %d" % (len(cells), rows))
        made[field["name"]] = cells
    return made


def table_of(answer, width):
    """One column, or a table of several, as columns by position."""
    if hasattr(answer, "tolist"):
        answer = answer.tolist()
    answer = list(answer)
    if answer and isinstance(answer[0], dict):
        return {str(k): [row.get(k) for row in answer] for k in answer[0]}
    if answer and isinstance(answer[0], (list, tuple)):
        if len(answer[0]) != width:
            raise Refused("internal", "the model answered %d columns, and has %d outputs" % (len(answer[0]), width))
        return {"#%d" % i: [row[i] for row in answer] for i in range(width)}
    return {"#0": answer}


# ---- Models. Each has inputs and outputs (lists of {"name", "type", "required"}),
# casts (input name -> numpy type) and call(frame).


class FunctionModel:
    library, version = "python", "%d.%d.%d" % sys.version_info[:3]

    def __init__(self, file):
        path = os.path.join(FOLDER, file)
        sys.path.insert(0, os.path.dirname(path))
        sys.path.insert(0, FOLDER)
        spec = importlib.util.spec_from_file_location("leat_model", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules["leat_model"] = module
        spec.loader.exec_module(module)
        if not callable(getattr(module, "predict", None)):
            raise Refused("invalid", "%s has no function predict" % file)
        if callable(getattr(module, "load", None)):
            module.load(FOLDER)
        self.call = module.predict
        self.inputs = fields_of(getattr(module, "inputs", None))
        self.outputs = fields_of(getattr(module, "outputs", None))
        self.casts = {}


def fields_of(declared):
    return [{"name": name, "type": kind} for name, kind in (declared or {}).items()]


class MLflowModel:
    library = "mlflow"

    def __init__(self):
        with open(os.path.join(FOLDER, "MLmodel"), encoding="utf-8") as f:
            self.meta = parse_yaml(f.read())
        self.version = str(self.meta.get("mlflow_version", ""))
        signature = self.meta.get("signature") or {}
        self.inputs, self.casts, self.tensor = self.schema(signature.get("inputs"), "input")
        self.outputs, _, _ = self.schema(signature.get("outputs"), "prediction")
        pyfunc = (optional("mlflow") and optional("mlflow.pyfunc")) and sys.modules.get("mlflow.pyfunc")
        if pyfunc:
            loaded = pyfunc.load_model(FOLDER)
            self.run = loaded.predict
        else:
            self.run = self.without_mlflow()
        if not self.outputs:
            self.outputs = self.probe()

    TYPES = {
        "double": "double", "float": "double", "long": "int", "integer": "int", "string": "string",
        "boolean": "bool", "datetime": "timestamp",
    }
    NARROW = {"float": "float32", "integer": "int32"}

    def schema(self, text, alone):
        """Reads a signature's half: the fields, narrower types of theirs, and
        the width where all of them are one tensor."""
        fields, casts, tensor = [], {}, None
        for at, column in enumerate(json.loads(text) if text else []):
            kind = column.get("type")
            name = column.get("name") or (alone if at == 0 else "%s_%d" % (alone, at))
            if kind == "tensor":
                spec = column["tensor-spec"]
                shape, dtype = spec["shape"], spec["dtype"]
                typ = "string" if dtype in ("str", "object") else "bool" if dtype == "bool" else "int" if "int" in dtype else "double"
                if len(shape) == 1:
                    fields.append({"name": name, "type": typ})
                elif len(shape) == 2 and 0 < shape[1] <= 4096:
                    fields += [{"name": "%s_%d" % (name, i), "type": typ} for i in range(shape[1])]
                    tensor = (name, dtype)
                else:
                    raise Refused("unsupported", "the model reads tensors of the shape %s, not a table" % shape)
            elif kind in self.TYPES:
                field = {"name": name, "type": self.TYPES[kind]}
                if column.get("required", True) and alone == "input" and kind in ("long", "integer", "boolean"):
                    field["required"] = True  # a library's integers cannot be missing
                fields.append(field)
                if kind in self.NARROW:
                    casts[name] = self.NARROW[kind]
            else:
                raise Refused("unsupported", "column %r of the model's signature has the type %s" % (name, kind))
        return fields, casts, tensor

    def call(self, frame):
        if self.tensor:
            name, dtype = self.tensor
            matrix = frame.to_numpy().astype(dtype)
            try:
                return self.run(matrix)
            except Exception:  # a model with a named tensor wants a dict
                return self.run({name: matrix})
        return self.run(frame)

    def probe(self):
        """Finds the outputs of a model that does not say them, by its example."""
        for name in ("serving_input_example.json", "input_example.json"):
            path = os.path.join(FOLDER, name)
            if not os.path.exists(path):
                continue
            with open(path, encoding="utf-8") as f:
                example = json.load(f)
            example = example.get("dataframe_split", example) if isinstance(example, dict) else example
            if isinstance(example, dict) and "columns" in example and "data" in example:
                import pandas

                rows = pandas.DataFrame(example["data"], columns=example["columns"])
                for column, dtype in self.casts.items():
                    rows[column] = rows[column].astype(dtype)
                return guess(self.run(rows))
        return [{"name": "prediction", "type": "double"}]

    def without_mlflow(self):
        """Serves the scikit-learn flavor where MLflow is not installed."""
        flavor = (self.meta.get("flavors") or {}).get("sklearn")
        if not flavor:
            raise Refused(
                "unavailable", "this Python has no mlflow, and the model is not of the flavor sklearn",
                "install mlflow and what requirements.txt lists into the interpreter of the worker",
            )
        path = os.path.join(FOLDER, flavor.get("pickled_model", "model.pkl"))
        if flavor.get("serialization_format") == "joblib":
            import joblib

            loaded = joblib.load(path)
        else:
            pickle = optional("cloudpickle") or __import__("pickle")
            with open(path, "rb") as f:
                loaded = pickle.load(f)
        python_function = (self.meta.get("flavors") or {}).get("python_function") or {}
        self.library, self.version = "scikit-learn", str(flavor.get("sklearn_version", ""))
        return getattr(loaded, python_function.get("predict_fn") or "predict")


def guess(answer):
    """Says the outputs of an answer that was seen."""

    def kind(values):
        for v in values:
            v = v.item() if hasattr(v, "item") else v
            if isinstance(v, bool):
                return "bool"
            if isinstance(v, int):
                return "int"
            if isinstance(v, str):
                return "string"
            if isinstance(v, datetime.datetime):
                return "timestamp"
        return "double"

    if hasattr(answer, "columns") and hasattr(answer, "iloc"):
        return [{"name": str(c), "type": kind(answer.iloc[:, i])} for i, c in enumerate(answer.columns)]
    if isinstance(answer, dict):
        return [{"name": str(k), "type": kind(v)} for k, v in answer.items()]
    shape = getattr(answer, "shape", None)
    if shape is not None and len(shape) == 2 and shape[1] > 1:
        return [{"name": "prediction_%d" % i, "type": kind(answer[:, i])} for i in range(shape[1])]
    return [{"name": "prediction", "type": kind(list(answer))}]


def parse_yaml(text):
    """Reads an MLmodel file: with PyYAML where it is there, otherwise nested
    mappings of scalars, which is all that such a file has that matters here."""
    yaml = optional("yaml")
    if yaml:
        return yaml.safe_load(text)
    root = {}
    levels = [(-1, root)]
    lines = iter(text.splitlines())
    for line in lines:
        if not line.strip() or line.lstrip().startswith(("#", "- ")) or ":" not in line:
            continue
        indent = len(line) - len(line.lstrip())
        key, _, value = line.strip().partition(":")
        value = value.strip()
        while value.startswith("'") and (value.count("'") % 2 == 1):
            value += " " + next(lines).strip()
        while levels[-1][0] >= indent:
            levels.pop()
        if value == "":
            child = {}
            levels[-1][1][key] = child
            levels.append((indent, child))
            continue
        if value.startswith("'"):
            value = value[1:-1].replace("''", "'")
        elif value.startswith('"'):
            value = json.loads(value)
        levels[-1][1][key] = None if value in ("null", "~") else value
    return root


# ---- The worker.


def declared():
    path = os.environ.get("LEAT_SIGNATURE")
    if not path:
        return {}
    with open(path, encoding="utf-8") as f:
        return json.load(f) or {}


def load():
    kind = sys.argv[1] if len(sys.argv) > 1 else ""
    if kind == "mlflow":
        return MLflowModel()
    if kind == "function":
        return FunctionModel(sys.argv[2])
    raise Refused("invalid", "usage: leat_worker.py mlflow | function FILE.py")


def serve(pipe):
    model, signature = load(), declared()
    inputs = signature.get("inputs") or model.inputs
    outputs = signature.get("outputs") or model.outputs or [{"name": "prediction", "type": "double"}]
    pyarrow = optional("pyarrow") if optional("numpy") else None
    rows_as = ArrowRows(pyarrow) if pyarrow else JSONRows()
    pipe.write(HELLO, 0, json.dumps({
        "leat": "worker", "protocol": 1, "encoding": rows_as.name, "inflight": 2,
        "library": model.library, "library_version": model.version,
        "signature": {"inputs": inputs, "outputs": outputs},
    }).encode())
    while True:
        frame = pipe.read()
        if frame is None:
            return
        kind, call, payload = frame
        if kind == PING:
            pipe.write(PONG, call)
        elif kind == PREDICT:
            pipe.write(*answer(call, payload, model, rows_as, inputs, outputs))


def answer(call, payload, model, rows_as, inputs, outputs):
    try:
        columns = rows_as.read(payload[4:], inputs)
        rows = len(next(iter(columns.values())))
        found = columns_of(model.call(frame_of(columns, inputs, model.casts)), rows, outputs)
        return RESULT, call, rows_as.write(found, rows, outputs)
    except Refused as e:
        return ERROR, call, problem(e.kind, str(e), e.hint)
    except MemoryError:
        return ERROR, call, problem("too_large", "the model ran out of memory", "give it more memory, or send fewer rows")
    except Exception as e:  # whatever a model raises is an answer to its rows
        import traceback

        traceback.print_exc()
        kind = "invalid" if isinstance(e, (ValueError, TypeError, LookupError, ArithmeticError)) else "internal"
        return ERROR, call, problem(kind, "%s: %s" % (type(e).__name__, e))


def main():
    pipe = Pipe()
    try:
        serve(pipe)
    except Refused as e:
        print(str(e) + ("\n" + e.hint if e.hint else ""), file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # libraries with threads hang at a usual exit
