"""The baseline of the batch job: the usual loop over photos.

One batch after the other: Pillow decodes, PyTorch translates in FP32 (NCHW, eager), Pillow encodes
and writes. Labels are given. Nothing overlaps, nothing is fsynced and nothing is recorded.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from stargan_deploy.card.card import Preprocessing
from stargan_deploy.card.labels import FloatArray
from stargan_deploy.files.images import JPEG_QUALITY, Pixels, prepare_photo


class BatchBaseline:
    """The loop with its generator.

    Args:
        generator: takes images (B, 3, S, S) in [-1, 1] and labels (B, D).
        label_D: target label of all photos.
        preprocessing: the model's crop and side S in pixels.
        batch_size: photos per batch B.
        device: where to compute.
    """

    def __init__(
        self,
        generator: nn.Module,
        label_D: FloatArray,
        *,
        preprocessing: Preprocessing,
        batch_size: int,
        device: torch.device,
    ) -> None:
        self._generator = generator.to(device).eval()
        self._label_D = torch.from_numpy(label_D).to(device)
        self._size, self._crop_size = preprocessing.image_size, preprocessing.crop_size
        self._batch_size = batch_size
        self._device = device

    def work(self, photos: Sequence[Path], output: Path) -> None:
        """Translates JPEG photos into a folder, under their names."""
        for start in range(0, len(photos), self._batch_size):
            paths = photos[start : start + self._batch_size]
            images_BHWC = self.translate(np.stack([self._load(path) for path in paths]))
            for pixels, path in zip(images_BHWC, paths, strict=True):
                image = Image.fromarray(pixels)
                image.save(output / path.name, quality=JPEG_QUALITY, subsampling=0)

    def translate(self, pixels_BHWC: Pixels) -> Pixels:
        """Translates prepared pixels (B, S, S, 3); returns the same shape."""
        image_BHWC = torch.from_numpy(pixels_BHWC).to(self._device)
        image_BCHW = image_BHWC.permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1
        with torch.no_grad():
            fake_BCHW = self._generator(image_BCHW, self._label_D.expand(len(image_BCHW), -1))
        levels_BCHW = ((fake_BCHW + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        translated: Pixels = levels_BCHW.permute(0, 2, 3, 1).cpu().numpy()
        return translated

    def _load(self, path: Path) -> Pixels:
        with Image.open(path) as photo:
            rgb = photo.convert("RGB")
        return np.asarray(prepare_photo(rgb, crop_size=self._crop_size, size=self._size))
