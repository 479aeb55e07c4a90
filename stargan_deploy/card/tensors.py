"""The inputs and outputs that a card lists: their kinds, dimensions and sizes.

All arithmetic on sizes is here: a shape's entry is a number or a `Dim`, and `as_dim` makes one of
either. Layouts have one letter per dimension: N batch, C channels, H height, W width, D label,
K classes, Z latent, S style, F features.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy.typing as npt

from stargan_deploy.errors import CardError, UsageError

Kind = Literal["image", "label", "class_index", "latent", "style", "mask", "logits", "features"]

VectorKind = Literal["label", "latent", "style", "logits", "features"]

PixelIO = Literal["uint8", "float"]
"""The two forms of images at the ends of a graph: uint8 RGB in [0, 255], N H W C; or float32 in
[-1, 1], N C H W, as the networks take them."""

ROWS_PER_CALL = 16
"""Rows per call where neither the user nor the graph sets a number; bounds the memory of a call."""

_VECTOR_LETTERS: dict[VectorKind, str] = {
    "label": "D",
    "latent": "Z",
    "style": "S",
    "logits": "K",
    "features": "F",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dim:
    """A symbolic dimension and the sizes it may take."""

    symbol: str
    min: int = 1
    max: int | None = None
    multiple: int = 1

    def accepts(self, size: int) -> bool:
        """Whether a tensor may have this size here."""
        below_max = self.max is None or size <= self.max
        return self.min <= size and below_max and size % self.multiple == 0

    @property
    def least_steps(self) -> int:
        """The smallest allowed size, in multiples."""
        return -(-self.min // self.multiple)

    @property
    def greatest_steps(self) -> int | None:
        """The greatest allowed size, in multiples; None without a limit."""
        return None if self.max is None else self.max // self.multiple

    @property
    def least(self) -> int:
        """The smallest allowed size."""
        return self.least_steps * self.multiple

    @property
    def greatest(self) -> int | None:
        """The greatest allowed size; None without a limit."""
        return None if self.greatest_steps is None else self.greatest_steps * self.multiple

    @property
    def is_free(self) -> bool:
        """Whether more than one size is allowed."""
        return self.least_steps != self.greatest_steps

    def nearest(self, size: int) -> int:
        """The allowed size closest to the one wanted."""
        steps = max(self.least_steps, round(size / self.multiple))
        most = self.greatest_steps
        return (steps if most is None else min(steps, most)) * self.multiple

    def limited(self, most: int) -> "Size":
        """With a greatest size; a number where a single size is left.

        Raises:
            UsageError: no size is left.
        """
        limit = most if self.max is None else min(most, self.max)
        dim = dataclasses.replace(self, max=limit // self.multiple * self.multiple)
        if limit < self.least:
            raise UsageError(
                f"a greatest {self.symbol} of {most} is too small; the least is {self.least}"
            )
        return dim if dim.is_free else dim.least

    def describe(self) -> str:
        """The allowed sizes in words: "from 4 to 64 that are multiples of 4"."""
        if not self.is_free:
            return str(self.least)
        most = "" if self.max is None else f" to {self.max}"
        steps = f" that are multiples of {self.multiple}" if self.multiple > 1 else ""
        return f"from {self.min}{most}{steps}"

    def __str__(self) -> str:
        if not self.symbol:
            return str(self.min)
        return f"{self.symbol}(multiple of {self.multiple})" if self.multiple > 1 else self.symbol


Size = int | Dim

BATCH = Dim(symbol="batch")


def as_dim(size: Size) -> Dim:
    """A dimension as a `Dim`; a number is one that allows only itself."""
    return size if isinstance(size, Dim) else Dim(symbol="", min=size, max=size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One named input or output."""

    name: str
    kind: Kind
    dtype: Literal["float32", "uint8", "int64"]
    layout: str
    """One letter per dimension; see the module."""
    shape: tuple[int | Dim, ...]
    value_range: tuple[float, float] | None = None
    """Least and greatest value: (-1, 1), (0, 255); None where unbounded."""
    is_heat_map: bool = False
    """Whether a mask says where something is in the row's image; other masks are dropout's."""

    def __post_init__(self) -> None:
        if len(self.layout) != len(self.shape):
            raise ValueError(f"layout {self.layout!r} does not fit {len(self.shape)} dimensions")

    @property
    def dims(self) -> tuple[Dim, ...]:
        """All dimensions, numbers too."""
        return tuple(map(as_dim, self.shape))

    def dim(self, letter: str) -> Dim:
        """The dimension with a letter of the layout."""
        return self.dims[self.layout.index(letter)]

    @property
    def is_pixels(self) -> bool:
        """Whether an image has the form "uint8" of `PixelIO`, and not "float".

        Raises:
            CardError: it has neither.
        """
        if (self.dtype, self.layout) == ("uint8", "NHWC"):
            return True
        if (self.dtype, self.layout, self.value_range) == ("float32", "NCHW", (-1.0, 1.0)):
            return False
        raise CardError(
            f"{self.name!r} is {self.dtype} {self.layout} in {self.value_range}; images are "
            "uint8 NHWC, or float32 NCHW in (-1.0, 1.0)"
        )

    def with_io(self, io: PixelIO) -> "TensorSpec":
        """A network's own input or output as a graph with this form of images has it."""
        if self.kind != "image" or io == "float":
            return self
        batch, channels, height, width = self.shape
        assert channels == NUM_COLOURS
        return image_spec(self.name, height, width, batch=batch, io="uint8")

    def shape_for(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Shape in one call.

        Args:
            sizes: of free dimensions by their letter; others take their least size.
        """
        dims = zip(self.layout, self.dims, strict=True)
        return tuple(sizes.get(s, dim.least) if dim.symbol else dim.min for s, dim in dims)

    def limited(self, limits: Mapping[str, int]) -> "TensorSpec":
        """With greatest sizes, by letter of the layout.

        Raises:
            UsageError: no size is left.
        """
        shape = tuple(
            dim.limited(limits[letter]) if isinstance(dim, Dim) and letter in limits else dim
            for letter, dim in zip(self.layout, self.shape, strict=True)
        )
        return dataclasses.replace(self, shape=shape)

    def fixed(self, sizes: Mapping[str, int]) -> "TensorSpec":
        """With numbers in place of free dimensions, by letter of the layout."""
        pairs = zip(self.layout, self.shape, strict=True)
        shape = tuple(sizes.get(s, dim) if isinstance(dim, Dim) else dim for s, dim in pairs)
        return dataclasses.replace(self, shape=shape)

    def check(self, array: npt.NDArray[Any]) -> int:
        """Compares an array with what is listed here; the batch may have any size.

        Returns:
            The number of rows.

        Raises:
            UsageError: another type or shape, or a class that does not exist.
        """
        pairs = zip(array.shape[1:], self.dims[1:], strict=False)
        fits = array.ndim == len(self.shape) and all(dim.accepts(size) for size, dim in pairs)
        if not fits or str(array.dtype) != self.dtype:
            raise UsageError(
                f"input {self.name!r} must be {self.dtype} {'x'.join(map(str, self.dims))} "
                f"({self.layout}), not {array.dtype} {'x'.join(map(str, array.shape))}"
            )
        if self.kind == "class_index" and self.value_range is not None:
            least, greatest = self.value_range
            wrong = array[(array < least) | (array > greatest)]
            if len(wrong):  # an engine would give an image all the same
                raise UsageError(
                    f"input {self.name!r} holds {wrong[0]}, and the classes are {least:g} to "
                    f"{greatest:g}"
                )
        return int(array.shape[0])


NUM_COLOURS = 3


def image_spec(
    name: str, height: Size, width: Size, *, batch: Size = BATCH, io: PixelIO = "float"
) -> TensorSpec:
    """RGB images of a form."""
    if io == "uint8":
        return TensorSpec(
            name=name,
            kind="image",
            dtype="uint8",
            layout="NHWC",
            shape=(batch, height, width, NUM_COLOURS),
            value_range=(0.0, 255.0),
        )
    return TensorSpec(
        name=name,
        kind="image",
        dtype="float32",
        layout="NCHW",
        shape=(batch, NUM_COLOURS, height, width),
        value_range=(-1.0, 1.0),
    )


def vector_spec(name: str, kind: VectorKind, width: int) -> TensorSpec:
    """A vector of numbers per row; labels are in [0, 1], the others unbounded."""
    return TensorSpec(
        name=name,
        kind=kind,
        dtype="float32",
        layout=f"N{_VECTOR_LETTERS[kind]}",
        shape=(BATCH, width),
        value_range=(0.0, 1.0) if kind == "label" else None,
    )


def class_spec(name: str, num_classes: int) -> TensorSpec:
    """The number of a class per row."""
    return TensorSpec(
        name=name,
        kind="class_index",
        dtype="int64",
        layout="N",
        shape=(BATCH,),
        value_range=(0.0, float(num_classes - 1)),
    )


def mask_spec(name: str, shape: tuple[int, ...]) -> TensorSpec:
    """A mask of zeros and ones (C, H, W) per row, to be drawn evenly."""
    return TensorSpec(
        name=name,
        kind="mask",
        dtype="float32",
        layout="NCHW",
        shape=(BATCH, *shape),
        value_range=(0.0, 1.0),
    )


def heat_map_spec(name: str, height: int, width: int) -> TensorSpec:
    """A heat map (1, H, W) in [0, 1] per row, of its image."""
    return dataclasses.replace(mask_spec(name, (1, height, width)), is_heat_map=True)


def second_size(height: Dim, width: Dim, native: tuple[int, int]) -> tuple[int, int]:
    """A lower and wider size than a given one, as far as the allowed sizes permit."""
    other = height.nearest(native[0] * 3 // 4), width.nearest(native[1] * 5 // 4)
    if other != native:
        return other
    neighbours = (native[1] + width.multiple, native[1] - width.multiple)
    return native[0], next(filter(width.accepts, neighbours), native[1])
