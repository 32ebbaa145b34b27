"""TensorBoard's page of custom scalars: which curves share a chart.

Charts name their tags by regular expressions, matched at a tag's start.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from autoseg_core import LossSpec, get_metric

from .counts import count_names

Layout = dict[str, dict[str, list[object]]]


def custom_scalars(metrics: Sequence[str], spec: LossSpec | None) -> Layout:
    """Category -> chart -> ["Multiline", tags], as ``SummaryWriter.add_custom_scalars`` takes it.

    metrics: names of the scores that tests report. spec: of the loss; None for others than ours.
    """
    layout = {
        "training": {"loss": _chart("total_loss$", "loss_"), "learning rate": _chart("lr/")},
        "scores": _scores(metrics),
        "speed and memory": {
            "images per second": _chart("speed/images_per_second$"),
            "memory in MiB": _chart("memory/"),
            "seconds per iteration": _chart("time$", "data_time$"),
        },
    }
    if spec is not None:
        layout["training"]["surrogate score of the batch"] = _chart("surrogate/")
        layout["counts of the loss"] = {
            name.replace("_", " "): _chart(f"counts/.*/{name}/") for name in count_names(spec)
        }
    return layout


def _scores(metrics: Sequence[str]) -> dict[str, list[object]]:
    """All scores in one chart, and a chart for each column of the table of classes."""
    any_set = "(.*/)?sem_seg/"  # of several data sets each has its name before
    known = [get_metric(name) for name in metrics]
    names = "|".join(re.escape(metric.name) for metric in known)
    columns = dict.fromkeys(metric.column for metric in known if metric.per_class is not None)
    by_class = {f"{c} by class": _chart(f"{any_set}{re.escape(c)}-") for c in columns}
    return {"all": _chart(f"{any_set}({names})$"), **by_class}


def _chart(*tags: str) -> list[object]:
    return ["Multiline", list(tags)]
