"""Sizes of images that an image-to-image network gives back as they were."""

from torch import Tensor

from stargan_deploy.card.card import Dim, EntryPoint, TensorSpec
from stargan_deploy.errors import UsageError


def check_sides(height: int, width: int, *, multiple: int, least: int) -> None:
    """Refuses sizes that the network's layers cannot halve as often as they must.

    Raises:
        UsageError: height or width is below `least` or no multiple.
    """
    if height % multiple or width % multiple or min(height, width) < least:
        nearest = "x".join(str(_nearest(side, multiple, least)) for side in (height, width))
        raise UsageError(
            f"the generator takes heights and widths that are multiples of {multiple} from {least} "
            f"on, not {height}x{width}; the nearest is {nearest}"
        )


def image_point(
    *,
    multiple: int = 1,
    least: int = 1,
    size: int | None = None,
    inputs: tuple[TensorSpec, ...] = (),
) -> EntryPoint:
    """From an image (B, 3, H, W) in [-1, 1], and further inputs, to an image of the same size.

    Args:
        multiple: what height and width are multiples of.
        least: smallest height and width in pixels.
        size: the only height and width, where there is one.
        inputs: what else goes in, after the image.
    """
    sides: tuple[int | Dim, ...] = (size, size) if size is not None else ()
    if not sides:
        sides = tuple(Dim(symbol=s, min=least, multiple=multiple) for s in ("height", "width"))
    image, translated = (_image(name, sides) for name in ("image", "translated"))
    return EntryPoint(file="", payload_sha256="", inputs=(image, *inputs), outputs=(translated,))


def levels_between(a_BCHW: Tensor, b_BCHW: Tensor) -> float:
    """Mean difference of images in [-1, 1], in 8-bit levels."""
    return float((a_BCHW - b_BCHW).abs().mean()) * 127.5


def _image(name: str, sides: tuple[int | Dim, ...]) -> TensorSpec:
    return TensorSpec(
        name=name,
        kind="image",
        dtype="float32",
        layout="NCHW",
        shape=(Dim(symbol="batch"), 3, *sides),
        value_range=(-1.0, 1.0),
    )


def _nearest(side: int, multiple: int, least: int) -> int:
    return max(least, round(side / multiple) * multiple)
