"""Asks a GAN for digits, and a small classifier what it reads.

    python -m tests.judge_digits runs/cgan/model.safetensors --data path/to/mnist

Trains the classifier on MNIST's training digits first, about a minute on one core, and tells how
many of the test digits it reads, because it can judge no better than that. Of a GAN without
classes it tells of how many pictures it is sure, beside the test digits, and how they spread.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from stargan_deploy.backends.registry import open_runtime
from stargan_deploy.data.layouts.idx import read_idx
from stargan_deploy.inference.sampler import Sampler, SampleRequest

COUNT, SEED, EPOCHS = 1000, 7, 3

SURE = 0.9
"""Probability from which on the judge is sure."""


def read_digits(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 28, 28) in [-1, 1] and classes (N,) of "train" or "t10k"."""
    images, labels = (
        next(folder.glob(f"{part}-{kind}*")) for kind in ("images-idx3", "labels-idx1")
    )
    image_N1HW = torch.from_numpy(read_idx(images, 3).copy())[:, None].float() / 127.5 - 1
    return image_N1HW, torch.from_numpy(read_idx(labels, 1).copy()).long()


def train_judge(image_N1HW: Tensor, class_N: Tensor) -> nn.Module:
    """A small convolutional classifier."""
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 10)),
    )
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(image_N1HW)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(image_N1HW[rows]), class_N[rows]).backward()
            optimizer.step()
    return network.eval()


@torch.no_grad()
def agreement(judge: nn.Module, image_N1HW: Tensor, class_N: Tensor) -> float:
    """Share of images that the judge reads as their class."""
    return float((judge(image_N1HW).argmax(1) == class_N).float().mean())


@torch.no_grad()
def sure_share(judge: nn.Module, image_N1HW: Tensor) -> float:
    """Share of images of which the judge is sure."""
    return float((judge(image_N1HW).softmax(1).amax(1) >= SURE).float().mean())


def judge_classes(judge: nn.Module, made_N1HW: Tensor) -> str:
    """How many of the digits asked for are read as such."""
    share = agreement(judge, made_N1HW, torch.arange(COUNT) % 10)
    return f"it agrees with {share:.1%} of {COUNT} digits"


@torch.no_grad()
def judge_freely(judge: nn.Module, made_N1HW: Tensor, test_N1HW: Tensor) -> str:
    """How many pictures are digits to the judge, and which."""
    counts = torch.bincount(judge(made_N1HW).argmax(1), minlength=10).tolist()
    return (
        f"it is sure of {sure_share(judge, made_N1HW):.1%} of {COUNT} pictures, and of "
        f"{sure_share(judge, test_N1HW):.1%} of the test digits; classes 0 to 9: {counts}"
    )


def main() -> None:
    """Prints what the judge thinks of itself, and of the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    judge = train_judge(*read_digits(options.data, "train"))
    test_N1HW, class_N = read_digits(options.data, "t10k")
    known = agreement(judge, test_N1HW, class_N)
    print(f"the judge reads {known:.2%} of the test digits")  # noqa: T201
    with open_runtime(options.model, batch_size=100) as runtime:
        request = SampleRequest(count=COUNT, seed=SEED)
        sampler = Sampler(runtime)
        pixels_NHWC, has_classes = sampler.sample(request), bool(sampler.headings(request))
    made_N1HW = torch.from_numpy(pixels_NHWC[..., 0].copy())[:, None].float() / 127.5 - 1
    said = (
        judge_classes(judge, made_N1HW)
        if has_classes
        else judge_freely(judge, made_N1HW, test_N1HW)
    )
    print(f"{options.model}: {said}")  # noqa: T201


if __name__ == "__main__":
    main()
