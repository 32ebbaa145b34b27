"""Proxies that need no dataset: problems with a known answer, for tests and comparisons."""

from __future__ import annotations

from rl.proxies.quadratic import Quadratic

__all__ = ["Quadratic"]
