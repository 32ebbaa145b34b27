"""hooks/layout.py: the charts find the tags that a training writes."""

from __future__ import annotations

import re

import pytest

from auto_seg_loss.hooks.layout import custom_scalars
from autoseg_core import PAPER_METRICS, load_spec

SPEC = load_spec("voc-miou-bezier")


def found(layout, category, chart, tags):
    kind, patterns = layout[category][chart]
    assert kind == "Multiline"
    return [tag for tag in tags if any(re.match(pattern, tag) for pattern in patterns)]


@pytest.mark.parametrize(
    "category, chart, wanted",
    [
        ("training", "loss", ["total_loss", "loss_sem_seg", "loss_sem_seg_aux"]),
        ("training", "learning rate", ["lr/backbone", "lr/sem_seg_head/2"]),
        ("training", "surrogate score of the batch", ["surrogate/mIoU"]),
        ("scores", "all", [*(f"sem_seg/{name}" for name in PAPER_METRICS), "a_b/sem_seg/mIoU"]),
        ("scores", "IoU by class", ["sem_seg/IoU-sky", "a_b/sem_seg/IoU-sky"]),
        ("scores", "Fbeta(beta=2) by class", ["sem_seg/Fbeta(beta=2)-sky"]),
        ("speed and memory", "images per second", ["speed/images_per_second"]),
        ("speed and memory", "memory in MiB", ["memory/host_peak_MiB", "memory/cuda_peak_MiB"]),
        ("counts of the loss", "target", ["counts/mIoU/target/sky"]),
        ("counts of the loss", "union", ["counts/mIoU/union/traffic light"]),
    ],
)
def test_a_chart_shows_its_tags_and_no_others(category, chart, wanted):
    others = [
        "eta_seconds",
        "lr",
        "sem_seg/Fbeta(beta=2)",
        "sem_seg/IoU-",
        "counts/BF1/matched_target/sky",
    ]
    everything = {
        *("total_loss", "loss_sem_seg", "loss_sem_seg_aux", "lr/backbone", "lr/sem_seg_head/2"),
        *("surrogate/mIoU", "sem_seg/IoU-sky", "a_b/sem_seg/IoU-sky", "a_b/sem_seg/mIoU"),
        *("sem_seg/Fbeta(beta=2)-sky", "speed/images_per_second", "memory/host_peak_MiB"),
        *("memory/cuda_peak_MiB", "counts/mIoU/target/sky", "counts/mIoU/union/traffic light"),
        *(f"sem_seg/{name}" for name in PAPER_METRICS),
    }
    assert set(wanted) <= everything and not everything & set(others)
    layout = custom_scalars((*PAPER_METRICS, "Fbeta(beta=2)"), SPEC)
    assert set(found(layout, category, chart, everything)) == set(wanted)
    assert (
        found(layout, category, chart, ["eta_seconds", "lr", "counts/BF1/matched_target/sky"]) == []
    )
