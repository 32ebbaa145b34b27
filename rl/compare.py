"""Deprecated: `python -m rl.compare` is `python -m benchmarks.agents` now."""

raise SystemExit("use python -m benchmarks.agents, in the directory of the repository")
