"""Baselines of training, by family; StarGAN's follows the official solver.

It has a forward pass of the generator for each critic step and two more for the generator step,
contiguous (NCHW) tensors, FP32, Adam with PyTorch's defaults, one loader worker, and reads every
loss back at every step (yunjey/stargan, solver.py). It uses our networks, data and settings.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from stargan_deploy.data.batches.loading import Batch, to_model_range
from stargan_deploy.data.batches.prepared import PreparedImages
from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.open import open_source
from stargan_deploy.data.source import ImageSource
from stargan_deploy.devices import choose_device
from stargan_deploy.families.stargan.networks import Discriminator, Generator
from stargan_deploy.training.recipe import Recipe


class StarGANBaseline:
    """StarGAN's baseline; `step` trains on one batch.

    Args:
        generator: with fresh weights.
        discriminator: with fresh weights.
        source: images with multilabel attributes.
        data: how to prepare them.
        batch_size: images per step.
        critic_steps: discriminator steps for each generator step.
        device: where to compute.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        source: ImageSource,
        data: DataConfig,
        *,
        batch_size: int,
        critic_steps: int = 5,
        device: torch.device,
    ) -> None:
        self.generator = generator.to(device)
        self.discriminator = discriminator.to(device)
        self._device = device
        self._critic_steps = critic_steps
        self._g_optimizer = torch.optim.Adam(generator.parameters(), 1e-4, (0.5, 0.999))
        self._d_optimizer = torch.optim.Adam(discriminator.parameters(), 1e-4, (0.5, 0.999))
        rows = _Images(source, data)
        self._loader = DataLoader(rows, batch_size, shuffle=True, num_workers=1, drop_last=True)
        self._stream = self._batches()
        self._step = 0

    def step(self) -> dict[str, float]:
        """Trains on one batch; returns the losses."""
        batch = next(self._stream)
        real = to_model_range(batch["image"]).to(self._device)
        label = batch["label"].to(self._device)
        target = label[torch.randperm(len(label))]
        losses = self._train_discriminator(real, label, target)
        self._step += 1
        if self._step % self._critic_steps == 0:
            losses |= self._train_generator(real, label, target)
        return losses

    def _train_discriminator(self, real: Tensor, label: Tensor, target: Tensor) -> dict[str, float]:
        score, logits = self.discriminator(real)
        loss_real = -score.mean()
        loss_cls = _classification(logits, label)
        fake = self.generator(real, target)
        score, _ = self.discriminator(fake.detach())
        loss_fake = score.mean()
        alpha = torch.rand(len(real), 1, 1, 1, device=self._device)
        between = (alpha * real + (1 - alpha) * fake.detach()).requires_grad_(True)
        score, _ = self.discriminator(between)
        weight = torch.ones_like(score)
        (gradient,) = torch.autograd.grad(
            score, between, grad_outputs=weight, retain_graph=True, create_graph=True
        )
        loss_gp = (gradient.flatten(1).square().sum(1).sqrt() - 1).square().mean()
        self._update(self._d_optimizer, loss_real + loss_fake + loss_cls + 10 * loss_gp)
        terms = {"real": loss_real, "fake": loss_fake, "cls": loss_cls, "gp": loss_gp}
        return {f"d_{name}": term.item() for name, term in terms.items()}

    def _train_generator(self, real: Tensor, label: Tensor, target: Tensor) -> dict[str, float]:
        fake = self.generator(real, target)
        score, logits = self.discriminator(fake)
        loss_fake = -score.mean()
        loss_cls = _classification(logits, target)
        loss_rec = (real - self.generator(fake, label)).abs().mean()
        self._update(self._g_optimizer, loss_fake + loss_cls + 10 * loss_rec)
        terms = {"fake": loss_fake, "cls": loss_cls, "rec": loss_rec}
        return {f"g_{name}": term.item() for name, term in terms.items()}

    def _update(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        self._g_optimizer.zero_grad()
        self._d_optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def _batches(self) -> Iterator[Batch]:
        while True:
            yield from self._loader


def stargan_step(recipe: Recipe) -> Callable[[], object]:
    """Makes the step of StarGAN's baseline with a recipe's networks, data and batches.

    Raises:
        DataError: images that cannot be read.
    """
    source = open_source(recipe.data, "train")
    labels, model = source.label_space, recipe.model
    generator = Generator(
        label_width=labels.label_width,
        conv_dim=model.generator_conv_dim,
        num_blocks=model.generator_blocks,
    )
    discriminator = Discriminator(
        image_size=recipe.data.image_size,
        num_labels=labels.num_labels,
        conv_dim=model.discriminator_conv_dim,
        num_layers=model.discriminator_layers,
    )
    return StarGANBaseline(
        generator,
        discriminator,
        source,
        recipe.data,
        batch_size=recipe.train.batch_size,
        critic_steps=recipe.train.critic_steps,
        device=choose_device(recipe.train.device or None).to_torch(),
    ).step


class _Images(Dataset[Batch]):
    """Images that are prepared at every read, as the official loader does."""

    def __init__(self, source: ImageSource, data: DataConfig) -> None:
        self._prepared = PreparedImages(source, replace(data, cache_mib=0))
        self._labels = torch.from_numpy(source.labels)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Batch:
        pixels = torch.from_numpy(self._prepared.pixels(index)[0].transpose(2, 0, 1).copy())
        mirrored = bool(torch.rand(()) < 0.5)
        return {"image": pixels.flip(2) if mirrored else pixels, "label": self._labels[index]}


def _classification(logits: Tensor, label: Tensor) -> Tensor:
    summed = F.binary_cross_entropy_with_logits(logits, label, reduction="sum")
    return summed / len(logits)


BASELINES: dict[str, Callable[[Recipe], Callable[[], object]]] = {"stargan": stargan_step}
"""Makes the step of a baseline from a recipe, by family. A family without one is measured against
its own first setup."""
