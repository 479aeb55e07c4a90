"""Classifiers that say what they see in images: an independent judge, or a model's own."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from stargan_deploy.backends.base import Runtime
from stargan_deploy.card.labels import FloatArray, LabelSpace
from stargan_deploy.card.pixels import to_spec
from stargan_deploy.card.tensors import ROWS_PER_CALL
from stargan_deploy.devices import parse_device
from stargan_deploy.errors import LabelError, ModelError, unknown_name
from stargan_deploy.files.images import Pixels, resized
from stargan_deploy.inference.choose import RuntimeRequest, resolve_runtime
from stargan_deploy.inference.find import find_model

CLASSIFY = "classify"
"""Entry point of a classifier."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a classifier sees in some images (N)."""

    logits: FloatArray
    """(N, K)."""
    labels: FloatArray
    """(N, K) of zeros and ones; of exclusive labels at most the strongest is on."""
    features: FloatArray | None = None
    """(N, F), of a classifier that gives some."""


class Judge:
    """A model with the entry point `classify`.

    Args:
        runtime: an entered runtime, or one that this enters and closes.
        name: for reports.
    """

    def __init__(self, runtime: Runtime, *, name: str = "") -> None:
        self._runtime = runtime
        self._point = runtime.card.entry_point(CLASSIFY)
        self._closing = ExitStack()
        self.name = name
        self.card = runtime.card
        self.labels: LabelSpace = runtime.card.labels
        self.has_features = any(spec.kind == "features" for spec in self._point.outputs)
        self.image_size = self.card.preprocessing.image_size

    @classmethod
    def of(cls, runtime: Runtime) -> Self:
        """The classifier of an entered runtime, which stays the caller's."""
        return cls(runtime)

    @classmethod
    def open(
        cls,
        path: Path | None,
        *,
        backend: str = "auto",
        device: str | None = None,
        batch_size: int | None = 32,
    ) -> Self:
        """The judge in a file, to be entered.

        Args:
            path: a checkpoint, a run's folder or an artefact.
            backend: what runs it; "auto" for the fastest that is proven here.
            device: where it runs; None takes the best usable device.
            batch_size: fixed size of every call.

        Raises:
            ModelError: it has no classifier.
        """
        model = find_model(path)
        if CLASSIFY not in model.card.entry_points:
            raise ModelError(
                f"{model.path} cannot judge: it has no classifier, only "
                f"{', '.join(model.card.entry_points)}",
                hint="train one with train/judge.toml, or name a StarGAN with its discriminator",
            )
        wanted = RuntimeRequest(
            backend=backend,
            device=parse_device(device) if device else None,
            batch_size=batch_size or ROWS_PER_CALL,
        )
        return cls(resolve_runtime(model, wanted).open(), name=model.path.name)

    def __enter__(self) -> Self:
        self._closing.enter_context(self._runtime)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def columns(self, names: Sequence[str]) -> list[int]:
        """The places of labels among the judge's.

        Raises:
            LabelError: it does not know one of them.
        """
        for name in names:
            if name not in self.labels.names:
                raise LabelError(
                    unknown_name("attribute", name, self.labels.names, where="the judge")
                )
        return [self.labels.names.index(name) for name in names]

    def look(self, pixels_NHWC: Pixels) -> Look:
        """See what is in square images (N, S, S, 3) of any size."""
        image = self._point.inputs[0]
        pixels_NHWC = resized(pixels_NHWC, self.image_size, self.image_size)
        outputs = self._runtime.run({image.name: to_spec(pixels_NHWC, image)}, entry_point=CLASSIFY)
        by_kind = {spec.kind: outputs[spec.name] for spec in self._point.outputs}
        logits_NK = by_kind["logits"].astype(np.float32)
        return Look(
            logits=logits_NK,
            labels=self.labels.predicted(logits_NK),
            features=by_kind.get("features"),
        )
