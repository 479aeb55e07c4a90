"""A history of fakes, so that a discriminator does not forget earlier ones (Shrivastava 2017).

As in CycleGAN: until it holds 50 fakes, each new one is stored and shown. From then on one half of
the new ones is shown and not stored, and the other half replaces an older one, which is shown
instead.
"""

import torch
from torch import Tensor

from stargan_deploy.families.objectives.base import Tensors

CAPACITY = 50


class ImageHistory:
    """Fakes that a discriminator has seen; checkpoints hold its whole state."""

    def __init__(self) -> None:
        self._images: Tensor | None = None
        self._count = torch.zeros((), dtype=torch.int64)

    @torch.no_grad()
    def exchange(self, image_BCHW: Tensor, place_B: Tensor, is_old_B: Tensor) -> Tensor:
        """The images to show for new fakes: these themselves, or older ones.

        Args:
            image_BCHW: new fakes.
            place_B: a uniformly drawn place in [0, `CAPACITY`) per fake.
            is_old_B: whether to show an older one instead, drawn with equal probability per fake.
        """
        images, count = self._held(image_BCHW)
        shown = []
        for new, place, is_old in zip(image_BCHW.detach().float(), place_B, is_old_B, strict=True):
            is_full = count >= CAPACITY
            slot = torch.where(is_full, place, count)
            old, shows_old = images[slot].clone(), is_full & is_old
            shown.append(torch.where(shows_old, old, new))
            images[slot] = torch.where(is_full & ~is_old, old, new)
            count += (~is_full).long()
        return torch.stack(shown)

    def state_dict(self, prefix: str) -> Tensors:
        """Count and images under names that start with the prefix."""
        state = {f"{prefix}.count": self._count}
        return state if self._images is None else state | {f"{prefix}.images": self._images}

    def load_state_dict(self, state: Tensors, prefix: str) -> None:
        """Restore what `state_dict` returned."""
        self._count = state[f"{prefix}.count"].clone()
        images = state.get(f"{prefix}.images")
        self._images = None if images is None else images.clone()

    def _held(self, like_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """The images and their number, on the device of the new ones."""
        if self._images is None:
            self._images = torch.zeros(CAPACITY, *like_BCHW.shape[1:])
        self._images = self._images.to(like_BCHW.device)
        self._count = self._count.to(like_BCHW.device)
        return self._images, self._count
