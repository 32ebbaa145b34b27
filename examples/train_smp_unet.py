"""A U-Net of Segmentation Models PyTorch, first trained with cross entropy, then for its mIoU.

    pip install -e '.[baselines]'
    python datasets/make_shapes.py --root DIR --height 48 --width 48 --train 96 --val 48 --test 0
    python examples/train_smp_unet.py DIR/shapes [--warm-up 8] [--epochs 8]

Any folder in VOC's layout will do, if its images have one size, a multiple of 4. A run takes a
minute on one core.
"""

import argparse
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from autoseg_core import SegmentationScores, load_loss

VOID = 255


def read(folder, split):
    names = (folder / "ImageSets" / "Segmentation" / f"{split}.txt").read_text().split()
    images = [np.array(Image.open(folder / "JPEGImages" / f"{name}.jpg")) for name in names]
    labels = [np.array(Image.open(folder / "SegmentationClass" / f"{name}.png")) for name in names]
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 48 - 3
    return TensorDataset(pixels, torch.from_numpy(np.stack(labels)).long())


def train(model, criterion, data, optimizer, epochs):
    model.train()
    for _ in range(epochs):
        for images, labels in DataLoader(data, batch_size=16, shuffle=True):
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()


@torch.no_grad()
def evaluate(model, data, classes):
    model.eval()
    scores = SegmentationScores(num_classes=classes, ignore_index=VOID)
    for images, labels in DataLoader(data, batch_size=16):
        scores.update(model(images).argmax(dim=1), labels)
    return scores.compute()


parser = argparse.ArgumentParser(description="Train an SMP U-Net for its mIoU.")
parser.add_argument("folder", type=Path, help="a data set in VOC's layout")
parser.add_argument("--classes", type=int, default=7)
parser.add_argument("--warm-up", type=int, default=8, help="epochs of cross entropy")
parser.add_argument("--epochs", type=int, default=8, help="epochs of the mIoU loss")
options = parser.parse_args()

torch.manual_seed(0)
training, validation = read(options.folder, "train"), read(options.folder, "val")
model = smp.Unet(
    "resnet18",
    encoder_weights=None,
    encoder_depth=2,  # the images are small
    decoder_channels=(64, 32),
    classes=options.classes,
)
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)

# From scratch the mIoU loss learns more slowly than cross entropy: start with the latter.
train(model, torch.nn.CrossEntropyLoss(ignore_index=VOID), training, optimizer, options.warm_up)
before = evaluate(model, validation, options.classes)
print(f"mIoU after cross entropy: {before['mIoU']:.4f}", flush=True)

train(model, load_loss("voc-miou-bezier", ignore_index=VOID), training, optimizer, options.epochs)
after = evaluate(model, validation, options.classes)
print(f"mIoU after voc-miou-bezier: {after['mIoU']:.4f}")
