"""Executors: candidates in, results out, in the order of the candidates."""

from __future__ import annotations

from rl.executors.serial import Candidate, Executor, SerialExecutor

__all__ = ["Candidate", "Executor", "SerialExecutor"]
