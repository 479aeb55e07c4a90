"""The sizes that an engine takes and the ones that it is tuned for, from the limits in a card."""

from typing import NamedTuple

from stargan_deploy.card.card import EntryPoint
from stargan_deploy.card.tensors import Dim, TensorSpec
from stargan_deploy.errors import UsageError


class InputShapes(NamedTuple):
    """Least, best and greatest shape of one input."""

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]


def profile_shapes(
    point: EntryPoint, *, image_size: int, opt_batch: int | None
) -> dict[str, InputShapes]:
    """The optimization profile's shapes of each input.

    Args:
        point: the entry point, whose dimensions have limits.
        image_size: height and width to tune for, in pixels; the nearest that the limits allow.
        opt_batch: batch to tune for; None takes the greatest.

    Raises:
        UsageError: a dimension without a limit, or a batch outside the limits.
    """
    return {spec.name: _input_shapes(spec, image_size, opt_batch) for spec in point.inputs}


def describe_profile(point: EntryPoint, shapes: dict[str, InputShapes]) -> str:
    """The sizes in a few words, such as "batch 1-16 (tuned for 8), 128x128"."""
    spec = next((s for s in point.inputs if s.kind == "image"), point.inputs[0])
    found = shapes[spec.name]
    least, best, greatest = (s[spec.layout.index("N")] for s in found)
    several = f"batch {least}-{greatest} (tuned for {best})"
    words = several if least < greatest else f"batch {greatest}"
    if "H" not in spec.layout or "W" not in spec.layout:
        return words
    sides = [spec.layout.index(letter) for letter in "HW"]
    small, tuned, large = ("x".join(str(shape[side]) for side in sides) for shape in found)
    if small == large:
        return f"{words}, {large}"
    return f"{words}, {small} to {large} (tuned for {tuned})"


def _input_shapes(spec: TensorSpec, image_size: int, opt_batch: int | None) -> InputShapes:
    dims = zip(spec.layout, spec.dims, strict=True)
    sizes = [_sizes(letter, dim, image_size, opt_batch) for letter, dim in dims]
    return InputShapes(*zip(*sizes, strict=True))


def _sizes(letter: str, dim: Dim, image_size: int, opt_batch: int | None) -> tuple[int, int, int]:
    """Least, best and greatest size of one dimension."""
    least, greatest = dim.least, dim.greatest
    if greatest is None:
        option = "max_batch" if letter == "N" else "max_size"
        raise UsageError(f"an engine needs a greatest {dim.symbol}", hint=f"give `{option}`")
    if letter != "N" or not dim.is_free:
        return least, dim.nearest(image_size), greatest
    best = greatest if opt_batch is None else opt_batch
    if not least <= best <= greatest:
        raise UsageError(
            f"`opt_batch` {best} is not a valid batch size of this engine, which takes {least} to "
            f"{greatest}"
        )
    return least, best, greatest
