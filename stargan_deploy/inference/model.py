"""`load`, which is the public Python API: a model that translates images.

Images enter and leave as pixels: RGB uint8 in [0, 255].
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, overload

import numpy as np
from PIL import Image

from stargan_deploy.backends.base import Runtime
from stargan_deploy.card.card import ModelCard
from stargan_deploy.files.images import Pixels
from stargan_deploy.inference.targets import only_target
from stargan_deploy.inference.translator import ZEROS_NOTE, Translator, choose_direction


class Model:
    """A model ready to translate; what `load` returns.

    The engine is opened by the first translation and closed by `close`, or at the end of a `with`
    block; it serves one thread at a time.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._translators: dict[str, Translator] = {}
        """By entry point; none while the engine is closed."""

    @property
    def card(self) -> ModelCard:
        """Everything that is known about the model."""
        return self._runtime.card

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names that a target may use."""
        return self.card.labels.names

    @overload
    def translate(self, image: Image.Image, target: str = "") -> Image.Image: ...

    @overload
    def translate(self, image: Pixels, target: str = "") -> Pixels: ...

    @overload
    def translate(
        self, image: Sequence[Image.Image | Pixels], target: str = ""
    ) -> list[Image.Image | Pixels]: ...

    def translate(
        self, image: Image.Image | Pixels | Sequence[Image.Image | Pixels], target: str = ""
    ) -> Image.Image | Pixels | list[Image.Image | Pixels]:
        """Translates one image or several.

        The centre square of an image is taken, and the result has the size that the model was
        trained at. What the target does not name stays as the model's classifier sees it.

        Args:
            image: a PIL image; an RGB uint8 array (H, W, 3), or a batch (N, H, W, 3), in
                [0, 255]; or a list of PIL images and arrays.
            target: such as `Blond_Hair`, `Blond_Hair,Young`, `-Male`, `flip:Smiling`; of a model
                without labels its direction, `a2b` or `b2a`, or nothing where it has but one.

        Returns:
            The same kind of thing that went in.

        Raises:
            LabelError: a target that the model does not know.
            UsageError: neither a PIL image nor an array that is uint8 RGB; or a direction that the
                model does not have.
        """
        if isinstance(image, Image.Image):
            return Image.fromarray(self._translate([image], target)[0])
        if isinstance(image, np.ndarray):
            results = self._translate(list(image) if image.ndim == 4 else [image], target)
            return results if image.ndim == 4 else results[0]
        if not isinstance(image, Sequence) or isinstance(image, str):
            image = [image]  # which is refused with a proper message
        pairs = zip(image, self._translate(image, target), strict=True)
        return [Image.fromarray(p) if isinstance(i, Image.Image) else p for i, p in pairs]

    def close(self) -> None:
        """Lets go of the engine; the next translation would open it again."""
        if self._translators:
            self._translators = {}
            self._runtime.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _translate(self, images: Sequence[Image.Image | Pixels], target: str) -> Pixels:
        has_labels = bool(self.card.labels.sets)
        direction = choose_direction(self.card, None if has_labels else target or None)
        wish = target if has_labels else only_target(self.card.labels, direction, ()).target
        result = self._translator(direction).translate(images, [wish])
        if result.source_origin == "zeros" and len(images):
            warnings.warn(ZEROS_NOTE, stacklevel=3)
        pixels: Pixels = result.pixels[0]
        return pixels

    def _translator(self, direction: str) -> Translator:
        """The translator of an entry point; opens the engine for the first one."""
        if not self._translators:
            self._runtime.__enter__()
        if direction not in self._translators:
            translator = Translator(self.card, self._runtime, entry_point=direction)
            self._translators[direction] = translator
        return self._translators[direction]


def load(path: str | Path, *, backend: str = "auto", device: str | None = None) -> Model:
    """Loads a model for use in Python.

        picture = stargan_deploy.load("model.onnx").translate(photo, "Blond_Hair")

    Args:
        path: an exported artefact or a checkpoint of this tool.
        backend: "auto", "eager" or "onnx".
        device: "cpu", "cuda", "cuda:N" or "mps"; None takes a usable GPU, else the CPU.

    Raises:
        ModelError: no such file, or not a model of this tool.
        BackendError: a backend or device that is not usable here.
    """
    from stargan_deploy.backends.registry import open_runtime

    return Model(open_runtime(Path(path), backend=backend, device=device))
