"""A U-Net of Segmentation Models PyTorch, first trained with cross entropy, then for its mIoU.

    pip install -e '.[baselines]'
    python examples/train_smp_unet.py [--warm-up 8] [--epochs 8]

The images are drawn on the fly (five classes, 32x32 pixels, void rims), nothing is downloaded, and
a run takes half a minute on one core.
"""

import argparse

import segmentation_models_pytorch as smp
import torch
from torch.utils.data import DataLoader, TensorDataset

from autoseg_core import SegmentationScores, load_loss
from rl.proxies.shape_images import CLASSES, VOID, image_sets


def train(model, criterion, data, optimizer, epochs):
    model.train()
    for _ in range(epochs):
        for images, labels in DataLoader(data, batch_size=16, shuffle=True):
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()


@torch.no_grad()
def evaluate(model, data):
    model.eval()
    scores = SegmentationScores(num_classes=len(CLASSES), ignore_index=VOID)
    for images, labels in DataLoader(data, batch_size=16):
        scores.update(model(images).argmax(dim=1), labels)
    return scores.compute()


parser = argparse.ArgumentParser(description="Train an SMP U-Net for its mIoU.")
parser.add_argument("--warm-up", type=int, default=8, help="epochs of cross entropy")
parser.add_argument("--epochs", type=int, default=8, help="epochs of the mIoU loss")
options = parser.parse_args()

torch.manual_seed(0)
training, validation = (TensorDataset(*images) for images in image_sets())
model = smp.Unet(
    "resnet18",
    encoder_weights=None,
    encoder_depth=2,  # the images are small
    decoder_channels=(64, 32),
    classes=len(CLASSES),
)
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)

# From scratch the mIoU loss learns more slowly than cross entropy: start with the latter.
train(model, torch.nn.CrossEntropyLoss(ignore_index=VOID), training, optimizer, options.warm_up)
print(f"mIoU after cross entropy: {evaluate(model, validation)['mIoU']:.4f}", flush=True)

train(model, load_loss("voc-miou-bezier", ignore_index=VOID), training, optimizer, options.epochs)
print(f"mIoU after voc-miou-bezier: {evaluate(model, validation)['mIoU']:.4f}")
