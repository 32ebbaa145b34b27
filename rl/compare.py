"""Deprecated: use `python -m benchmarks.agents` instead of `python -m rl.compare`."""

import runpy
import sys
from importlib.util import find_spec

if __name__ == "__main__":
    if find_spec("benchmarks") is None or find_spec("benchmarks.agents") is None:
        raise SystemExit("use python -m benchmarks.agents, in the repository")
    print("rl.compare is deprecated: use python -m benchmarks.agents", file=sys.stderr)
    runpy.run_module("benchmarks.agents", run_name="__main__")
