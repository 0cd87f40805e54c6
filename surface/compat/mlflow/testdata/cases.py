"""Runs the cases of a script, the functions whose names begin with case_, and
prints a line for each."""

import sys
import traceback


def run(namespace, *arguments):
    only = sys.argv[2:]
    failed = False
    for name, case in list(namespace.items()):
        if not name.startswith("case_") or (only and name[5:] not in only):
            continue
        try:
            case(*arguments)
        except Exception:
            failed = True
            why = traceback.format_exc(limit=-4).replace("\n", "\\n")
            print("failed", name[5:], why, flush=True)
        else:
            print("ok", name[5:], flush=True)
    return failed


def raises(code, call, *arguments, **named):
    """Calls, and returns the error that it must end with."""
    from mlflow.exceptions import MlflowException

    try:
        call(*arguments, **named)
    except MlflowException as e:
        assert e.error_code == code, f"{e.error_code}: {e}"
        return e
    raise AssertionError(f"no {code}")
