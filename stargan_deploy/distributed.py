"""Training on several processes under `torchrun`: ranks, their share of a batch, agreement.

Every draw is made for the global batch from (seed, step) and sliced by rank, so the number of
processes does not change what is computed, but for batch norm and the spread over a minibatch,
which see a rank's own rows. Rank 0 alone writes.
"""

import os
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from stargan_deploy.errors import ConfigError, TrainingError

TIMEOUT = timedelta(minutes=10)
"""How long a rank waits for the others before it gives up."""

HAND_BACK_SECONDS = 10.0
"""How long a rank that leaves waits for the tensors that it lent to gloo's threads."""


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    size: int = 1
    _lent: list[weakref.ref[Tensor]] = field(default_factory=list, repr=False, compare=False)
    """What was given to gloo, whose threads may hold it for a moment after the answer."""

    @property
    def is_writer(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def share_of(self, batch_size: int) -> slice:
        """The rows of a global batch that belong to this rank.

        Raises:
            ConfigError: the batch cannot be shared out evenly.
        """
        if batch_size % self.size:
            raise ConfigError(
                f"train.batch_size {batch_size} cannot be shared evenly by {self.size} ranks"
            )
        part = batch_size // self.size
        return slice(self.rank * part, (self.rank + 1) * part)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all ranks."""
        if self.size == 1:
            return values
        summed = values.clone()
        dist.all_reduce(summed)
        self._lend(summed)
        return summed / self.size

    def gather(self, rows: Tensor) -> Tensor:
        """The global batch's rows of a tensor, in their order; without gradients."""
        if self.size == 1:
            return rows
        own = rows.clone(memory_format=torch.contiguous_format)
        parts = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(parts, own)
        self._lend(own, *parts)
        return torch.cat(parts)

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is set on any rank, told to all."""
        if self.size == 1:
            return flag
        raised = torch.tensor(float(flag), device=device)
        dist.all_reduce(raised, dist.ReduceOp.MAX)
        self._lend(raised)
        return bool(raised)

    def agreed(self, word: str) -> str:
        """Rank 0's word, told to all."""
        if self.size == 1:
            return word
        words = [word]
        dist.broadcast_object_list(words)
        return words[0]

    def wrap(self, network: nn.Module, device: torch.device, *, grows: bool = False) -> nn.Module:
        """A network whose gradients are averaged over the ranks.

        Args:
            network: to be wrapped, unless there is one rank only.
            device: where it stands.
            grows: whether some of its parameters are not in use yet.
        """
        if self.size == 1:
            return network
        ids = [device.index] if device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=ids, find_unused_parameters=grows)

    def wait_until_returned(self) -> None:
        """Waits, with the GIL free, until gloo's threads hold no tensor of ours any more.

        A thread that lets go of one while the interpreter ends aborts the process
        (pytorch/pytorch#190489). Gives up after `HAND_BACK_SECONDS`.
        """
        end = time.monotonic() + HAND_BACK_SECONDS
        while any(ref() is not None for ref in self._lent) and time.monotonic() < end:
            time.sleep(0.001)

    def _lend(self, *tensors: Tensor) -> None:
        self._lent[:] = [ref for ref in self._lent if ref() is not None]
        self._lent.extend(map(weakref.ref, tensors))


def local_device(name: str) -> str:
    """The device of this process: under torchrun, `cuda` means the GPU of its local rank."""
    local_rank = os.environ.get("LOCAL_RANK")
    if local_rank is None:
        return name
    if name in ("", "cuda") and torch.cuda.is_available():
        return f"cuda:{local_rank}"
    return name


@contextmanager
def joined() -> Iterator[Ranks]:
    """Joins the processes that torchrun started; alone without it.

    Raises:
        TrainingError: another rank is gone.
    """
    if "WORLD_SIZE" not in os.environ or not dist.is_available():
        yield Ranks()
        return
    backends = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backends, timeout=TIMEOUT)
    ranks = Ranks(rank=dist.get_rank(), size=dist.get_world_size())
    try:
        yield ranks
    except (dist.DistError, RuntimeError) as error:
        if not _is_lost_contact(error):
            raise
        raise TrainingError(
            f"rank {ranks.rank} of {ranks.size} lost contact with another, which died or hangs "
            f"({' '.join(str(error).split())[:200]}); go on with --resume"
        ) from error
    finally:
        ranks.wait_until_returned()
        dist.destroy_process_group()


def _is_lost_contact(error: Exception) -> bool:
    words = ("Connection closed by peer", "Connection reset", "NCCL", "Timed out", "gloo")
    return isinstance(error, dist.DistError) or any(word in str(error) for word in words)
