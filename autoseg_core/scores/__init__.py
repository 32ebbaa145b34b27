"""Scores: every metric is a function of counts, written once and registered by name."""

from autoseg_core.scores.builtin_metrics import PAPER_METRICS
from autoseg_core.scores.families import get_metric
from autoseg_core.scores.grammar import canonical_name
from autoseg_core.scores.metric import (
    AbsentRule,
    BoundaryBand,
    Metric,
    Region,
    present_classes,
    seen_classes,
)
from autoseg_core.scores.registry import FAMILIES, METRICS, register_family, register_metric

__all__ = [
    "FAMILIES",
    "METRICS",
    "PAPER_METRICS",
    "AbsentRule",
    "BoundaryBand",
    "Metric",
    "Region",
    "canonical_name",
    "get_metric",
    "present_classes",
    "register_family",
    "register_metric",
    "seen_classes",
]
