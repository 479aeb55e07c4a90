"""A history of fakes, so that a discriminator does not forget earlier ones (Shrivastava 2017).

As in CycleGAN: until 50 fakes are held, each new one is kept and shown. From then on one half of
the new ones is shown and forgotten, and the other half takes the place of an older one, which is
shown instead.
"""

import torch
from torch import Tensor

from stargan_deploy.families.objectives.base import Tensors

CAPACITY = 50


class ImageHistory:
    """Fakes that a discriminator has seen; all of its state survives a stop."""

    def __init__(self) -> None:
        self._images: Tensor | None = None
        self._count = torch.zeros((), dtype=torch.int64)

    @torch.no_grad()
    def exchange(self, image_BCHW: Tensor, place_B: Tensor, is_old_B: Tensor) -> Tensor:
        """What to show for new fakes: they themselves, or older ones.

        Args:
            image_BCHW: new fakes.
            place_B: for each a place in [0, `CAPACITY`), drawn evenly.
            is_old_B: for each whether an older one is to be shown, drawn evenly.
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
        """Takes back what `state_dict` gave."""
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
