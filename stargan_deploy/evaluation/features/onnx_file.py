"""Any network in an ONNX file that turns an image into a vector: ArcFace, CLIP's image encoder.

Name, layout, size and type of its input are read off the file. The range of a float input is not in
the file: [-1, 1] is taken, unless a setting after the file's name says otherwise.

Shape legend: N images, H height, W width, D features.
"""

import logging
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stargan_deploy.errors import ModelError, UsageError, brief, unknown_name
from stargan_deploy.evaluation.features.base import FeatureNet, Features
from stargan_deploy.files.images import Pixels, resized

if TYPE_CHECKING:
    import onnxruntime

USUAL_RANGE = (-1.0, 1.0)

MIDDLE_GREY = 128

EMBEDDING_NAMES = ("features", "embedding", "embeddings")
"""Outputs that are meant where a network has several."""

_DTYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32", "tensor(float16)": "float16"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EmbeddingSettings:
    """What an ONNX file does not say about its input."""

    range: tuple[float, float] | None = None
    """Values of black and white; None for -1 and 1, or for pixels where the input is uint8."""
    size: int | None = None
    """Side of the images in pixels; None for that of the file."""
    order: str = "rgb"
    """Order of the colours: rgb or bgr."""
    output: str | None = None
    """Name of the output that is meant, of several."""


@dataclass(frozen=True, kw_only=True)
class _Input:
    """How the network takes images."""

    name: str
    dtype: str
    is_channels_last: bool
    height: int
    width: int
    batch: int | None
    """The only batch size; None for any."""


class EmbeddingFile(FeatureNet):
    """The vectors of an ONNX file.

    Args:
        path: the file.
        settings: what it does not say.
        name: for reports; empty for the file's.

    Raises:
        ModelError: there is no such file.
    """

    def __init__(
        self, path: Path, settings: EmbeddingSettings | None = None, *, name: str = ""
    ) -> None:
        if not path.is_file():
            raise ModelError(f"no such ONNX file: {path}")
        self.name = name or f"embedding ({path.name})"
        self._path = path
        self._settings = settings or EmbeddingSettings()
        self._session: onnxruntime.InferenceSession | None = None

    def _open(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        try:
            session = onnxruntime.InferenceSession(str(self._path), options, providers=providers)
        except Exception as error:  # onnxruntime's errors share no base class
            raise ModelError(f"{self._path} cannot be opened as ONNX: {brief(error)}") from error
        self._input = self._read_input(session)
        self._output = self._choose_output(session)
        self._session = session
        grey = np.full((1, self._input.height, self._input.width, 3), MIDDLE_GREY, np.uint8)
        self.width = self._compute(grey).shape[1]
        if self._input.dtype != "uint8" and self._settings.range is None:
            _log.info("%s: its input is taken to be in [-1, 1] (range=-1..1)", self._path.name)

    def _close(self) -> None:
        self._session = None

    def _compute(self, pixels_NHWC: Pixels) -> Features:
        shape = resized(pixels_NHWC, self._input.height, self._input.width)
        size = self._input.batch or len(shape)
        parts = [self._run(shape[start : start + size]) for start in range(0, len(shape), size)]
        return np.concatenate(parts)

    def _run(self, pixels_NHWC: Pixels) -> Features:
        assert self._session is not None, "enter it first"
        count, batch = len(pixels_NHWC), self._input.batch or len(pixels_NHWC)
        padded = np.concatenate([pixels_NHWC, *[pixels_NHWC[-1:]] * (batch - count)])
        try:
            (found,) = self._session.run([self._output], {self._input.name: self._fed(padded)})
        except Exception as error:  # onnxruntime's errors share no base class
            raise ModelError(f"{self._path} does not run: {brief(error)}") from error
        rows = np.asarray(found)[:count]
        flat = rows.reshape(len(rows), -1)
        is_vector = len(rows) == count and flat.shape[1] == max(rows.shape[1:], default=0)
        if not is_vector or flat.shape[1] < 2:
            raise ModelError(
                f"{self._path} is no embedding: its output {self._output!r} has the shape "
                f"{'x'.join(map(str, np.shape(found)))} for {batch} image(s)"
            )
        return flat.astype(np.float32)

    def _fed(self, pixels_NHWC: Pixels) -> Any:
        """Images as the network takes them."""
        ordered = pixels_NHWC[..., ::-1] if self._settings.order == "bgr" else pixels_NHWC
        if self._input.dtype != "uint8":
            low, high = self._settings.range or USUAL_RANGE
            ordered = (ordered.astype(np.float32) / 255 * (high - low) + low).astype(
                self._input.dtype
            )
        laid_out = ordered if self._input.is_channels_last else ordered.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(laid_out)

    def _read_input(self, session: "onnxruntime.InferenceSession") -> _Input:
        given = session.get_inputs()
        first = given[0]
        shape = list(first.shape)
        described = f"{first.name!r}, {first.type} {'x'.join(map(str, shape))}"
        is_image = len(given) == 1 and len(shape) == 4 and 3 in (shape[1], shape[3])
        if not is_image or first.type not in _DTYPES:
            others = f" and {len(given) - 1} more" if len(given) > 1 else ""
            raise ModelError(
                f"{self._path} takes no images: its input is {described}{others}",
                hint="an embedding takes one batch of images with three colours",
            )
        is_last = shape[1] != 3
        sides = shape[1:3] if is_last else shape[2:4]
        found = [side if isinstance(side, int) else self._settings.size for side in sides]
        height, width = found
        if height is None or width is None:
            raise UsageError(
                f"{self._path} takes images of any size: {described}",
                hint=f"say which it was trained on: {self._path},size=112",
            )
        if self._settings.size not in (None, height) or self._settings.size not in (None, width):
            raise UsageError(f"{self._path} takes {height}x{width}, not {self._settings.size}")
        return _Input(
            name=first.name,
            dtype=_DTYPES[first.type],
            is_channels_last=is_last,
            height=height,
            width=width,
            batch=shape[0] if isinstance(shape[0], int) else None,
        )

    def _choose_output(self, session: "onnxruntime.InferenceSession") -> str:
        names = [value.name for value in session.get_outputs()]
        wanted = self._settings.output
        if wanted is not None and wanted not in names:
            raise UsageError(unknown_name("output", wanted, names, where=str(self._path)))
        usual = [name for name in names if name.lower() in EMBEDDING_NAMES]
        found = [wanted] if wanted is not None else usual or names
        if len(found) != 1 or found[0] is None:
            raise UsageError(
                f"{self._path} has several outputs: {', '.join(names)}",
                hint=f"say which is meant: {self._path},output={names[0]}",
            )
        return found[0]


def parse_embedding(words: str) -> EmbeddingFile:
    """An embedding as a user names it: a file, and settings after commas.

    Raises:
        UsageError: a setting that does not exist, or a value that does not fit.
        ModelError: there is no such file.
    """
    file, *assignments = words.split(",")
    known = [field.name for field in fields(EmbeddingSettings)]
    settings: dict[str, Any] = {}
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        if name not in known:
            raise UsageError(unknown_name("setting", name, known, where="an embedding"))
        settings[name] = _value(name, value)
    return EmbeddingFile(Path(file), EmbeddingSettings(**settings))


def _value(name: str, text: str) -> Any:
    """A setting's value.

    Raises:
        UsageError: it does not fit.
    """
    try:
        if name == "size":
            return int(text)
        if name == "range":
            low, high = map(float, text.split(".."))
            return low, high
    except ValueError as error:
        example = {"size": "size=112", "range": "range=0..1"}[name]
        raise UsageError(
            f"{name}={text} is not valid", hint=f"write for example {example}"
        ) from error
    if name == "order" and text not in ("rgb", "bgr"):
        raise UsageError(f"order={text} is not valid", hint="write rgb or bgr")
    return text
