"""Deprecated: `python -m rl.compare` is `python -m benchmarks.agents` now."""

if __name__ == "__main__":
    raise SystemExit("use python -m benchmarks.agents, in the directory of the repository")
