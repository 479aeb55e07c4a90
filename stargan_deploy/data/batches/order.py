"""The order in which images are trained on: a function of nothing but (seed, step).

So a training that resumes at step n sees what it would have seen.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, chain, zip_longest

import numpy as np
import numpy.typing as npt

BALANCED_STREAM = 0x42414C
"""Distinguishes the draws of balanced orders from others, which come from the same seed."""

Place = tuple[int, bool]
"""An image's index and whether it is mirrored."""


class Order(ABC):
    """The images of each step's batch."""

    @abstractmethod
    def at_step(self, step: int) -> list[Place]:
        """The batch of one step."""


class StreamOrder(Order):
    """One set: one permutation of it after another, cut into batches wherever one ends.

    Args:
        num_images: number of images in the set.
        batch_size: images per batch.
        seed: decides order and mirroring.
        flip: whether half of the images are mirrored.
        stream: distinguishes the sets of a joint training.
        left_out: images that are skipped; the others keep their order.
    """

    def __init__(
        self,
        num_images: int,
        *,
        batch_size: int,
        seed: int,
        flip: bool,
        stream: int = 0,
        left_out: Collection[int] = (),
    ) -> None:
        self.num_images = num_images
        self.batch_size = batch_size
        self.seed = seed
        self.flip = flip
        self._stream = stream
        self._left_out = np.fromiter(left_out, np.int64)
        self._num_kept = num_images - len(self._left_out)
        self._permutation = lru_cache(maxsize=2)(self._draw)

    def at_step(self, step: int) -> list[Place]:
        """The batch of one step."""
        start = step * self.batch_size
        return [self._place(position) for position in range(start, start + self.batch_size)]

    def _place(self, position: int) -> Place:
        epoch, offset = divmod(position, self._num_kept)
        indices, mirrored = self._permutation(epoch)
        return int(indices[offset]), bool(mirrored[offset])

    def _draw(self, epoch: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        # A trailing zero does not change numpy's seed: a single set is stream 0.
        random = np.random.default_rng([self.seed, epoch, self._stream])
        indices = random.permutation(self.num_images)
        mirrored = (random.random(self.num_images) < 0.5) & self.flip
        kept = ~np.isin(indices, self._left_out)
        return indices[kept], mirrored[kept]


class BalancedOrder(Order):
    """All domains equally often, however many images each has.

    The places of all batches are cut into groups of one image per domain, in an order drawn for
    each group; every domain goes through permutations of its own images.

    Args:
        domains: the index of the images of each domain.
        batch_size: images per batch.
        seed: decides order and mirroring.
        flip: whether half of the images are mirrored.
        stream: distinguishes orders with one seed.
        domain_stream: of the order of the domains; equal ones have equal domains in every place.
    """

    def __init__(
        self,
        domains: Sequence[Sequence[int]],
        *,
        batch_size: int,
        seed: int,
        flip: bool,
        stream: int,
        domain_stream: int,
    ) -> None:
        self._domains = domains
        self._batch_size = batch_size
        self._seed = (seed, BALANCED_STREAM, domain_stream)
        self._orders = [
            StreamOrder(
                len(images),
                batch_size=1,
                seed=seed,
                flip=flip,
                stream=BALANCED_STREAM + stream * len(domains) + number,
            )
            for number, images in enumerate(domains)
        ]
        self._turns = lru_cache(maxsize=2)(self._draw_turns)

    def at_step(self, step: int) -> list[Place]:
        """The batch of one step."""
        start = step * self._batch_size
        return [self._at(position) for position in range(start, start + self._batch_size)]

    def _at(self, position: int) -> Place:
        group, turn = divmod(position, len(self._domains))
        domain = self._turns(group)[turn]
        ((index, is_mirrored),) = self._orders[domain].at_step(group)
        return self._domains[domain][index], is_mirrored

    def _draw_turns(self, group: int) -> list[int]:
        random = np.random.default_rng([*self._seed, group])
        return [int(domain) for domain in random.permutation(len(self._domains))]


class JointOrder(Order):
    """Several sets, one after another in one index: each step's batch is of one set.

    The generator is updated at the last step of each round of `round_steps`. Step r of round q
    takes set (q + r) mod S: within a round the sets alternate, as in the official code, and the
    generator sees them in turn too - which it would not with plain alternation where a round has
    an even number of steps.

    Args:
        orders: the order within each set.
        round_steps: steps of the discriminator for each step of the generator.
    """

    def __init__(self, orders: Sequence[StreamOrder], *, round_steps: int) -> None:
        self._orders = list(orders)
        self._round_steps = round_steps
        self._starts = [0, *accumulate(order.num_images for order in orders)]
        steps = range(round_steps * len(orders))
        turns = [(step // round_steps + step % round_steps) % len(orders) for step in steps]
        self._turns = [(turn, turns[:step].count(turn)) for step, turn in enumerate(turns)]

    def at_step(self, step: int) -> list[Place]:
        """The batch of one step."""
        cycle, rest = divmod(step, len(self._turns))
        turn, earlier = self._turns[rest]
        places = self._orders[turn].at_step(cycle * self._round_steps + earlier)
        return [(self._starts[turn] + index, mirrored) for index, mirrored in places]


class RowOrder(Order):
    """Several orders side by side: the batch of the first, then that of the second, ..."""

    def __init__(self, orders: Sequence[Order]) -> None:
        self._orders = orders

    def at_step(self, step: int) -> list[Place]:
        """The batches of one step in a row."""
        return [place for order in self._orders for place in order.at_step(step)]


class Steps:
    """The batches of an order from a step on, without end.

    A class rather than a generator, so that loader workers can be handed it.
    """

    def __init__(self, order: Order, first_step: int) -> None:
        self._order = order
        self._first_step = first_step

    def __iter__(self) -> Iterator[list[Place]]:
        step = self._first_step
        while True:
            yield self._order.at_step(step)
            step += 1


def spread_order(set_sizes: Sequence[int], count: int) -> Iterator[int]:
    """All indices of one or several sets, sets in turn; `count` first ones spread over them.

    So a few images show all of a set whose images are sorted by domain.
    """
    starts = [0, *accumulate(set_sizes)]
    share = -(-count // len(set_sizes))
    sets = (
        [start + index for index in _spread(size, share)]
        for start, size in zip(starts, set_sizes, strict=False)
    )
    turns = chain.from_iterable(zip_longest(*sets))
    return (index for index in turns if index is not None)


def _spread(size: int, count: int) -> list[int]:
    number = min(count, size)
    first = [position * size // number for position in range(number)]
    taken = set(first)
    return [*first, *(index for index in range(size) if index not in taken)]
