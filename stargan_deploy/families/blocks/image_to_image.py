"""Image-to-image networks: the sizes they accept, and their entry point."""

from torch import Tensor

from stargan_deploy.card.card import EntryPoint, new_entry_point
from stargan_deploy.card.pixels import HALF_RANGE
from stargan_deploy.card.tensors import Dim, TensorSpec, image_spec
from stargan_deploy.errors import UsageError


def check_image_size(height: int, width: int, *, multiple: int, least: int) -> None:
    """Refuse sizes that the network's layers cannot halve often enough.

    Raises:
        UsageError: height or width is below `least` or not a multiple.
    """
    if height % multiple or width % multiple or min(height, width) < least:
        dim = Dim(symbol="side", min=least, multiple=multiple)
        nearest = "x".join(str(dim.nearest(side)) for side in (height, width))
        raise UsageError(
            f"the generator takes heights and widths that are multiples of {multiple} from {least} "
            f"on, not {height}x{width}",
            hint=f"the nearest is {nearest}",
        )


def image_entry_point(
    *,
    multiple: int = 1,
    least: int = 1,
    size: int | None = None,
    inputs: tuple[TensorSpec, ...] = (),
) -> EntryPoint:
    """Image (B, 3, H, W) in [-1, 1], and further inputs, to an image of the same size.

    Args:
        multiple: height and width are multiples of this.
        least: smallest height and width in pixels.
        size: the only height and width in pixels; None for any.
        inputs: further inputs, after the image.
    """
    free = [Dim(symbol=side, min=least, multiple=multiple) for side in ("height", "width")]
    height, width = (size, size) if size is not None else free
    image, translated = (image_spec(name, height, width) for name in ("image", "translated"))
    return new_entry_point([image, *inputs], translated)


def levels_between(a_BCHW: Tensor, b_BCHW: Tensor) -> float:
    """Mean difference of images in [-1, 1], in 8-bit levels."""
    return float((a_BCHW - b_BCHW).abs().mean()) * HALF_RANGE
