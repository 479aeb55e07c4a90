"""How an entry point's inputs are filled: with rows that a caller has, or with drawn ones.

A row holds one value per input, by the inputs' names; the rows of a batch may ask for different
things. Images in rows are pixels (H, W, 3) in [0, 255], whatever form the graph takes.

Drawn row n is the same whatever other rows come with it: latents and styles are from N(0, 1),
masks of halves, heat maps even, classes in turn. Images and labels are the caller's, or noise.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_deploy.card.card import EntryPoint
from stargan_deploy.card.pixels import Pixels, to_spec
from stargan_deploy.card.tensors import NUM_COLOURS, TensorSpec
from stargan_deploy.errors import CardError, UsageError, unknown_name

Array = npt.NDArray[Any]

Row = Mapping[str, Any]
"""One value per input: pixels, a vector, a mask, or the number of a class."""

Images = Callable[[int, TensorSpec], Pixels]
"""The batch (N, H, W, 3) for an image input, given its number among them, from 0, and its spec."""


def stack_rows(name: str, point: EntryPoint, rows: Sequence[Row]) -> dict[str, Array]:
    """A batch of rows as an entry point takes it.

    Args:
        name: of the entry point, for messages.
        point: as the card lists it.
        rows: at least one; their images have one size.

    Raises:
        UsageError: inputs are missing or unknown, or a value does not fit.
    """
    for row in rows:
        check_names(name, point, row)
    return {spec.name: _stacked(spec, [row[spec.name] for row in rows]) for spec in point.inputs}


def check_names(name: str, point: EntryPoint, given: Mapping[str, object]) -> None:
    """Compares the names of what is given with those of an entry point's inputs.

    Raises:
        UsageError: inputs are missing or unknown.
    """
    known = {spec.name: spec.kind for spec in point.inputs}
    missing = [f"{key!r} ({kind})" for key, kind in known.items() if key not in given]
    if missing:
        raise UsageError(
            f"{name!r} needs {' and '.join(missing)} too",
            hint=f"its inputs are {', '.join(known)}",
        )
    for key in given:
        if key not in known:
            raise UsageError(unknown_name("input", key, known, where=f"{name!r}"))


def check_inputs(name: str, point: EntryPoint, inputs: Mapping[str, Array]) -> int:
    """Compares a batch with the card.

    Returns:
        The number of rows.

    Raises:
        UsageError: missing, surplus or ill-shaped inputs.
    """
    check_names(name, point, inputs)
    counts = {spec.check(inputs[spec.name]) for spec in point.inputs}
    if len(counts) != 1 or 0 in counts:
        raise UsageError(f"all inputs need the same number of rows, at least one, not {counts}")
    return counts.pop()


def draw_inputs(
    point: EntryPoint,
    numbers: range,
    *,
    images: Images | None = None,
    labels: npt.NDArray[np.float32] | None = None,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
) -> dict[str, Array]:
    """Fills every input of an entry point without a user.

    Args:
        point: as the card lists it.
        numbers: of the rows, which decide what is drawn.
        images: where images come from; None draws noise.
        labels: (N, D); None draws noise.
        sizes: of noise, in the open dimensions by their letter.
        seed: another one draws other inputs.

    Raises:
        CardError: an input of a kind that cannot be drawn.
    """
    drawn = dict[str, Array]()
    num_images = 0
    for place, spec in enumerate(point.inputs):
        if spec.kind == "image" and images is not None:
            drawn[spec.name] = to_spec(images(num_images, spec), spec)
            num_images += 1
        elif spec.kind == "label" and labels is not None:
            drawn[spec.name] = labels
        else:
            drawn[spec.name] = _drawn(spec, numbers, sizes or {}, seed, place)
    return drawn


def draw_latents(numbers: range, width: int, seed: int, place: int = 0) -> npt.NDArray[np.float32]:
    """Latents (N, Z) from N(0, 1), each from a stream of its own.

    Args:
        numbers: of the rows.
        width: of a latent.
        seed: another one gives other latents.
        place: of the input among the entry point's, so that two inputs differ.
    """
    streams = (_stream(seed, number, place) for number in numbers)
    return np.stack([stream.standard_normal(width, np.float32) for stream in streams])


def _stream(seed: int, number: int, place: int) -> np.random.Generator:
    return np.random.default_rng([seed, number, place] if place else [seed, number])


def _drawn(
    spec: TensorSpec, numbers: range, sizes: Mapping[str, int], seed: int, place: int
) -> Array:
    shape = spec.shape_for({**sizes, "N": len(numbers)})
    if spec.kind in ("latent", "style") and len(shape) == 2:
        return draw_latents(numbers, shape[1], seed, place)
    if spec.kind == "mask":
        draws = np.stack([_stream(seed, n, place).random(shape[1:]) for n in numbers])
        return (draws if spec.is_heat_map else draws < 0.5).astype(spec.dtype)
    if spec.value_range is None:
        raise CardError(f"an input of kind {spec.kind!r} without a range cannot be drawn")
    least, greatest = spec.value_range
    if spec.kind == "class_index":
        return np.arange(numbers.start, numbers.stop, dtype=np.int64) % (int(greatest) + 1)
    random = _stream(seed, numbers.start, place)
    if spec.dtype == "float32":
        return random.uniform(least, greatest, shape).astype(np.float32)
    return random.integers(int(least), int(greatest), shape, endpoint=True).astype(spec.dtype)


def _stacked(spec: TensorSpec, values: Sequence[Any]) -> Array:
    is_image = spec.kind == "image"
    rows = [_pixels(spec, v) if is_image else np.asarray(v, spec.dtype) for v in values]
    odd = next((row for row in rows if row.shape != rows[0].shape), None)
    if odd is not None:
        raise UsageError(
            f"{spec.name!r} must have one shape in all rows of a batch, not {rows[0].shape} and "
            f"{odd.shape}"
        )
    batch = np.stack(rows)
    if is_image:
        return to_spec(batch, spec)
    spec.check(batch)
    return batch


def _pixels(spec: TensorSpec, value: Any) -> Pixels:
    """One image of a row.

    Raises:
        UsageError: not pixels, or of a size that the graph does not take.
    """
    is_array = isinstance(value, np.ndarray)
    if not is_array or value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] != NUM_COLOURS:
        what = f"{value.dtype} {value.shape}" if is_array else type(value).__name__
        raise UsageError(f"{spec.name!r} takes pixels: RGB uint8 (H, W, 3), not {what}")
    sides = zip((spec.dim("H"), spec.dim("W")), value.shape, strict=False)
    if not all(dim.accepts(size) for dim, size in sides):
        height, width = (spec.dim(letter).describe() for letter in "HW")
        raise UsageError(
            f"{spec.name!r} takes no images of {value.shape[0]}x{value.shape[1]}, but heights "
            f"{height} and widths {width}"
        )
    pixels: Pixels = value
    return pixels
