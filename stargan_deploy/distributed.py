"""Training on several processes under `torchrun`: ranks, their share of a batch, communication.

Every draw is made for the global batch from (seed, step) and sliced by rank, so the number of
processes does not change the results, except for batch norm and the spread over a minibatch, which
see only a rank's own rows. Only rank 0 writes.
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

from stargan_deploy.errors import ConfigError, TrainingError, brief

TIMEOUT = timedelta(minutes=10)
"""How long a rank waits for the others before it fails."""

GLOO_RELEASE_TIMEOUT_S = 10.0
"""How long a leaving rank waits for gloo's threads to release its tensors."""


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    size: int = 1
    _tracked: list[weakref.ref[Tensor]] = field(default_factory=list, repr=False, compare=False)
    """Tensors passed to gloo, whose threads may hold them for a moment after a call returns."""

    @property
    def is_writer(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    def share_of(self, batch_size: int) -> slice:
        """The rows of a global batch that belong to this rank.

        Raises:
            ConfigError: the batch cannot be divided evenly.
        """
        if batch_size % self.size:
            raise ConfigError(
                f"train.batch_size {batch_size} cannot be shared evenly by {self.size} ranks",
                hint=f"make it a multiple of {self.size}",
            )
        part = batch_size // self.size
        return slice(self.rank * part, (self.rank + 1) * part)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all ranks."""
        if self.size == 1:
            return values
        summed = values.clone()
        dist.all_reduce(summed)
        self._track(summed)
        return summed / self.size

    def gather(self, rows: Tensor) -> Tensor:
        """The global batch's rows of a tensor, in their order; without gradients."""
        if self.size == 1:
            return rows
        own = rows.clone(memory_format=torch.contiguous_format)
        parts = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(parts, own)
        self._track(own, *parts)
        return torch.cat(parts)

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is set on any rank; the same answer on all."""
        if self.size == 1:
            return flag
        raised = torch.tensor(float(flag), device=device)
        dist.all_reduce(raised, dist.ReduceOp.MAX)
        self._track(raised)
        return bool(raised)

    def broadcast(self, word: str) -> str:
        """Rank 0's word, on all ranks."""
        if self.size == 1:
            return word
        words = [word]
        dist.broadcast_object_list(words)
        return words[0]

    def wrap(self, network: nn.Module, device: torch.device, *, grows: bool = False) -> nn.Module:
        """A network whose gradients are averaged over the ranks.

        Args:
            network: wrapped unless there is only one rank.
            device: the network's device.
            grows: whether some of its parameters are not in use yet.
        """
        if self.size == 1:
            return network
        ids = [device.index] if device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=ids, find_unused_parameters=grows)

    def wait_for_gloo(self) -> None:
        """Wait, with the GIL free, until gloo's threads have released our tensors.

        A thread that releases one while the interpreter ends aborts the process
        (pytorch/pytorch#190489). Gives up after `GLOO_RELEASE_TIMEOUT_S`.
        """
        end = time.monotonic() + GLOO_RELEASE_TIMEOUT_S
        while any(ref() is not None for ref in self._tracked) and time.monotonic() < end:
            time.sleep(0.001)

    def _track(self, *tensors: Tensor) -> None:
        self._tracked[:] = [ref for ref in self._tracked if ref() is not None]
        self._tracked.extend(map(weakref.ref, tensors))


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
    """Join the processes that torchrun started; without torchrun there is only this one.

    Raises:
        TrainingError: another rank died.
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
            f"({brief(error)})",
            hint="continue with `resume`",
        ) from error
    finally:
        ranks.wait_for_gloo()
        dist.destroy_process_group()


def _is_lost_contact(error: Exception) -> bool:
    words = ("Connection closed by peer", "Connection reset", "NCCL", "Timed out", "gloo")
    return isinstance(error, dist.DistError) or any(word in str(error) for word in words)
