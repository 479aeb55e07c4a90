"""The roofline, measured: the best that this machine reaches, and how close a model comes.

The roof has two parts (Williams et al., CACM 52(4), 2009): the highest throughput of matrix
products at a precision, over several sizes and libraries, and the bandwidth of the memory. A call
takes at least the longer of the two times that follow from its counts.

float32 is always tried too, because a library that cannot multiply half precision or int8 on a
processor computes in float32 instead. Sizes are those of the generator's own convolutions, written
as products, and square ones.

Every figure is the best of many short measurements in rounds, so that a busy moment does not lower
the roof.
"""

import dataclasses
import itertools
import math
import time
from collections.abc import Sequence

from stargan_deploy.backends.products import Arithmetic, Product, Size
from stargan_deploy.backends.registry import product_specs
from stargan_deploy.benchmarking.machine import processor
from stargan_deploy.benchmarking.measure.fastest_call import fastest_call_s
from stargan_deploy.benchmarking.results import Roof, RooflineShare
from stargan_deploy.benchmarking.roofline.gemm import make_product
from stargan_deploy.card.card import Precision
from stargan_deploy.devices import CPU, Device
from stargan_deploy.errors import BackendError
from stargan_deploy.families.counting import CallCounts

ARITHMETIC: dict[Precision, Arithmetic] = {
    "fp32": "float32",
    "bf16": "bfloat16",
    "fp16": "float16",
    "int8": "int8",
}
"""Type in which convolutions multiply at each precision."""

CPU_SIZES: tuple[Size, ...] = (
    (256, 256, 2304),
    (1024, 256, 2304),
    (1024, 1024, 1024),
    (4096, 256, 2304),
    (2048, 2048, 2048),
)
"""A residual convolution of the full-size generator at 64x64, at 128x128, and there at batch 4;
square ones. The first is small, to identify a hopeless library early."""

GPU_SIZES: tuple[Size, ...] = (
    (4096, 256, 2304),
    (16384, 256, 2304),
    (65536, 256, 2304),
    (4096, 4096, 4096),
    (8192, 8192, 8192),
)
"""The same at batch 4, 16 and 64; square ones large enough for any GPU."""

SLOT_S = 0.05
"""Seconds of one measurement."""

HOPELESS = 0.1
"""A library whose throughput is below this share of the best is not tried at further sizes: one
without kernels for a type would take many seconds for a large product."""

WINOGRAD_SAVING = 4.0
"""Factor by which multiplications of a 3x3 convolution are saved by Winograd's F(4x4, 3x3): 36
instead of 144 per tile (Lavin and Gray, arXiv:1509.09308)."""


@dataclasses.dataclass(kw_only=True)
class _Point:
    """One product that is measured in every round."""

    library: str
    arithmetic: Arithmetic
    size: Size
    product: Product
    seconds: float

    @property
    def gmacs_per_s(self) -> float:
        return math.prod(self.size) / self.seconds / 1e9


def measure_roofs(
    precisions: Sequence[Precision],
    *,
    device: Device = CPU,
    libraries: Sequence[str] | None = None,
    sizes: Sequence[Size] | None = None,
    budget_s: float = 10.0,
) -> dict[Precision, Roof]:
    """Measures the roofs of a device.

    Args:
        precisions: one roof is measured for each.
        device: a CPU or NVIDIA GPU.
        libraries: names in `product_specs`, None for all; those that are missing or do not
            compute there are left out.
        sizes: sizes of the products; None takes those that suit the device.
        budget_s: time for everything in seconds; one small product for each type and library is
            always measured.

    Raises:
        BackendError: none of the libraries multiplies on this device.
    """
    if device.is_gpu and not device.is_cuda:
        raise BackendError(
            f"the roofline of {device} cannot be measured", hint="use `device` cpu or cuda"
        )
    start = time.perf_counter()
    names = tuple(product_specs()) if libraries is None else libraries
    types = dict.fromkeys(["float32", *(ARITHMETIC[precision] for precision in precisions)])
    rounds = _Rounds(device, list(types))
    rates = [_measure_bandwidth(device, budget_s / 16)]
    sizes = sizes or (GPU_SIZES if device.is_gpu else CPU_SIZES)
    rounds.prepare(names, sizes, start + budget_s / 2)
    rounds.repeat(start + budget_s * 15 / 16)
    rates.append(_measure_bandwidth(device, budget_s / 16))
    roofs = {p: _roof(ARITHMETIC[p], rounds.points, max(rates)) for p in precisions}
    rounds.close()
    return roofs


def roofline_share(roof: Roof, counts: CallCounts, measured_ms: float) -> RooflineShare:
    """Compares a measured call with the least time that it could take.

    Args:
        roof: the roof at the precision of the call.
        counts: operations and bytes of the call.
        measured_ms: time of the call in milliseconds.
    """
    compute_s = counts.macs / (roof.gemm_gmacs_per_s * 1e9)
    memory_s = counts.num_bytes / (roof.bandwidth_gb_per_s * 1e9)
    share = max(compute_s, memory_s) / (measured_ms / 1e3)
    return RooflineShare(
        counted_gmacs=counts.macs / 1e9,
        counted_gb=counts.num_bytes / 1e9,
        bound="compute" if compute_s >= memory_s else "bandwidth",
        share=share,
        note=_explain(share, counts, roof, memory_bound=memory_s > compute_s),
    )


def _explain(share: float, counts: CallCounts, roof: Roof, *, memory_bound: bool) -> str:
    """Explains a share above 1, as far as possible."""
    if share <= 1:
        return ""
    if memory_bound:
        return "faster than memory: the weights stayed in a cache from one call to the next"
    padding = counts.padding_macs / counts.macs
    if share <= 1 / (1 - padding):
        return f"kernels may skip the products with zero padding, {padding:.1%} of those counted"
    winograd = counts.winograd_macs / counts.macs * (1 - 1 / WINOGRAD_SAVING)
    if roof.precision != "int8" and share <= 1 / ((1 - padding) * (1 - winograd)):
        return (
            "fewer multiplications than counted, as with Winograd's algorithm in 3x3 layers, or "
            "the machine was busier while its roof was measured"
        )
    return (
        "unexplained: no known algorithm saves as many multiplications; the machine was busier "
        "while its roof was measured: measure again"
    )


class _Rounds:
    """Products that are measured repeatedly.

    Args:
        device: where to measure.
        types: types to multiply in.
    """

    def __init__(self, device: Device, types: Sequence[Arithmetic]) -> None:
        self.points: list[_Point] = []
        self._device = device
        self._types = types

    def prepare(self, libraries: Sequence[str], sizes: Sequence[Size], deadline: float) -> None:
        """Makes the products and measures each once.

        Every library multiplies every type at the first size, however long that takes, so that each
        type has its best library; further sizes follow while there is time.
        """
        promising = list(itertools.product(self._types, libraries))
        for index, size in enumerate(sizes):
            for arithmetic, library in list(promising):
                if index and time.perf_counter() > deadline:
                    return
                if not self._add(arithmetic, library, size):
                    promising.remove((arithmetic, library))

    def repeat(self, deadline: float) -> None:
        """Repeatedly measures what may still become the best of its type."""
        points = [point for point in self.points if not self._is_hopeless(point)]
        while points:
            for point in points:
                if time.perf_counter() > deadline:
                    return
                point.seconds = min(
                    point.seconds, fastest_call_s(point.product, self._device, SLOT_S)
                )

    def close(self) -> None:
        """Releases the products' memory, on a GPU also to the other libraries there."""
        self.points.clear()
        if self._device.is_gpu:
            import torch

            torch.cuda.empty_cache()

    def _add(self, arithmetic: Arithmetic, library: str, size: Size) -> bool:
        """Makes and measures a product; returns whether a larger one is worthwhile."""
        try:
            product = make_product(library, arithmetic, size, str(self._device))
        except BackendError:
            return False
        point = _Point(
            library=library,
            arithmetic=arithmetic,
            size=size,
            product=product,
            seconds=fastest_call_s(product, self._device, SLOT_S),
        )
        self.points.append(point)
        return not self._is_hopeless(point)

    def _is_hopeless(self, point: _Point) -> bool:
        best = _best(_alternatives(point.arithmetic, self.points))
        return point.gmacs_per_s < HOPELESS * best.gmacs_per_s


def _alternatives(arithmetic: Arithmetic, points: Sequence[_Point]) -> list[_Point]:
    """Products in a type, or in float32, which can stand in for it."""
    return [point for point in points if point.arithmetic in (arithmetic, "float32")]


def _best(points: Sequence[_Point]) -> _Point:
    return max(points, key=lambda point: point.gmacs_per_s)


def _roof(arithmetic: Arithmetic, points: Sequence[_Point], bandwidth: float) -> Roof:
    alternatives = _alternatives(arithmetic, points)
    if not alternatives:
        raise BackendError(f"nothing here multiplies {arithmetic} or float32", hint="install torch")
    best = _best(alternatives)
    stand_in = "" if best.arithmetic == arithmetic else f" ({best.arithmetic})"
    return Roof(
        precision=arithmetic,
        gemm_gmacs_per_s=best.gmacs_per_s,
        gemm_library=best.library + stand_in,
        gemm_size=best.size,
        bandwidth_gb_per_s=bandwidth,
    )


def _measure_bandwidth(device: Device, budget_s: float) -> float:
    """Best rate of copying and of reading arrays beyond any cache, in 1e9 bytes a second."""
    import torch

    size_bytes = _array_bytes(device)
    source = torch.ones(size_bytes // 4, device=device.to_torch())
    target = torch.empty_like(source)
    moves: list[tuple[int, Product]] = [
        (2 * size_bytes, lambda: target.copy_(source)),
        (size_bytes, source.sum),
    ]
    slot_s = budget_s / len(moves)
    rates = []
    for moved, move in moves:
        move()  # the first touches pages that are not there yet
        rates.append(moved / fastest_call_s(move, device, slot_s) / 1e9)
    return max(rates)


def _array_bytes(device: Device) -> int:
    """A quarter of a gigabyte, or one on a GPU; less if memory is scarce."""
    import torch

    if not device.is_gpu:
        return min(2**28, processor.memory_bytes() // 32 // 4 * 4)
    free, _ = torch.cuda.mem_get_info(device.to_torch())
    return min(2**30, free // 8 // 4 * 4)
