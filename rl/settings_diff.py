"""Differences between two sets of nested settings, key by key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_ABSENT = object()


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One "ppo.lr: 0.2 -> 0.1" for each key that differs, sorted; [] if none does."""
    before, now = _flat(old), _flat(new)
    return [
        f"{key}: {_shown(before, key)} -> {_shown(now, key)}"
        for key in sorted(before | now)
        if before.get(key, _ABSENT) != now.get(key, _ABSENT)
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings to {"ppo.lr": ...}, to name differences exactly."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _shown(values: dict[str, Any], key: str) -> str:
    return json.dumps(values[key]) if key in values else "(absent)"
