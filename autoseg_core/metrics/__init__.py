"""Exact metrics: label maps -> counts -> scores."""

from autoseg_core.metrics.evaluator import SegmentationScores

__all__ = ["SegmentationScores"]
