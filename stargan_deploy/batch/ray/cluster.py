"""The same batch on a Ray cluster: actors hold the runtime, blocks of photos go through Ray Data.

The driver gives out a few blocks for each worker, and another one for each that ends, so that no
memory grows with the number of photos. What Ray Data carries are the numbers of these blocks on
the way out and the ends of their photos on the way back; workers write the pictures themselves.
The photos of a block lie in a small actor until the block has ended, so that a worker that takes
the place of a killed one finds them there.
"""

import asyncio
import importlib
import logging
import os
import pickle
import platform
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

from stargan_deploy.batch.disk import DiskWait
from stargan_deploy.batch.execute import Work
from stargan_deploy.batch.outcome import Outcome
from stargan_deploy.batch.pipeline import Pipeline
from stargan_deploy.batch.plan import BatchJob, Photo
from stargan_deploy.batch.ray.connection import connected, load_ray
from stargan_deploy.batch.ray.cpu_affinity import stay_on_cores
from stargan_deploy.batch.session import open_session
from stargan_deploy.batch.settings import Settings, differences
from stargan_deploy.devices import CPU
from stargan_deploy.errors import BackendError, OutputError, StarganDeployError, UsageError, brief
from stargan_deploy.files.atomic import remove_temporaries
from stargan_deploy.inference.choose import ChosenModel
from stargan_deploy.version import __version__

CALLS_A_BLOCK = 4
"""Full calls of the engine in a block, which is what a killed worker costs."""

BLOCKS_A_WORKER = 3
"""Blocks that are given out at a time: one in work, one at the worker, one on the way."""

MAX_ATTEMPTS = 3
"""Workers that one block may cost before it is held to be what kills them."""

MAX_WORKERS_A_MACHINE = 16
"""Without GPUs. Each holds PyTorch and the model; where there are more cores, it has several."""

_log = logging.getLogger(__name__)

Block = list[Photo]


@contextmanager
def ray_work(
    address: str,
    spec: ChosenModel,
    job: BatchJob,
    *,
    disk_wait_s: float,
    settings: Settings | None = None,
) -> Iterator[Work]:
    """Joins a Ray cluster, or starts one on this machine, and does photos there.

    Args:
        address: "local" starts a cluster on this machine for the time of the block; "auto" joins
            the one that this machine is in, "HOST:PORT" that with its head there.
        spec: what each worker opens.
        job: what to make of every photo; its paths mean the same files on all machines.
        disk_wait_s: how long a worker repeats a write that a full disk stops, in seconds.
        settings: what the manifest says of the pictures; workers that differ refuse.

    Yields:
        What does photos.

    Raises:
        UsageError: no cluster is at that address, or workers have no such device.
        BackendError: Ray is not installed, or cannot be started or joined.
    """
    if spec.device is not None and spec.device.index:
        raise UsageError(f"--ray gives each worker a GPU of its own: not {spec.device}, but cuda")
    ray = load_ray()
    with connected(ray, address):
        is_for_cpu = spec.device == CPU or spec.path.suffix.lower() == ".xml"  # OpenVINO
        order = _Order(
            spec=spec,
            job=job,
            settings=settings,
            folder=Path.cwd(),
            disk_wait_s=disk_wait_s,
            share=_share_of(ray.nodes(), wants_gpu=not is_for_cpu),
            version=__version__,
        )
        try:
            yield lambda photos: _outcomes(ray, order, photos)
        except ray.exceptions.UserCodeException:  # a bug of ours, with its traceback
            raise
        except ray.exceptions.RayError as error:
            raise _given_up(error) from error


@dataclass(frozen=True, kw_only=True)
class _Share:
    """What each of some equal workers takes of a cluster."""

    num_workers: int
    num_cpus: int = 0
    """Cores to stay on; 0 leaves them to the system."""
    num_gpus: int = 0


@dataclass(frozen=True, kw_only=True)
class _Order:
    """What a worker is told when it starts."""

    spec: ChosenModel
    job: BatchJob
    settings: Settings | None
    folder: Path
    """The driver's working folder, from which relative paths start."""
    disk_wait_s: float
    share: _Share
    version: str
    """Of this package, at the driver."""


@dataclass(frozen=True, kw_only=True)
class _Ending:
    """What comes back from a worker for one block."""

    block: int
    """Its number."""
    machine: str
    attempt: int = 1
    """How often it was begun; more than once if workers died."""
    outcomes: tuple[Outcome, ...] = ()
    error: StarganDeployError | None = None
    """What ended the work on it, and is to end the run."""


class _OpenBlocks:
    """The blocks that are given out and have not ended; a Ray actor beside the driver."""

    def __init__(self) -> None:
        self._blocks: dict[int, Block] = {}
        self._attempts: dict[int, int] = {}
        self._num_given = 0
        self._are_all_given = False
        self._news = asyncio.Condition()

    async def give(self, blocks: Sequence[Block], *, are_last: bool) -> None:
        """Adds blocks; the last ones may be none."""
        async with self._news:
            self._blocks.update(enumerate(blocks, start=self._num_given))
            self._num_given += len(blocks)
            self._are_all_given = are_last
            self._news.notify_all()

    async def forget(self, number: int) -> None:
        """Forgets a block that has ended."""
        del self._blocks[number], self._attempts[number]

    async def wait_for(self, number: int) -> bool:
        """Waits until a block was given; False if it never will be."""
        async with self._news:
            await self._news.wait_for(lambda: self._are_all_given or number < self._num_given)
        return number < self._num_given

    async def take(self, number: int) -> tuple[Block, int]:
        """The photos of a block, and how often they were taken with this time."""
        self._attempts[number] = self._attempts.get(number, 0) + 1
        return self._blocks[number], self._attempts[number]


class _Worker:
    """A process with an opened engine, which Ray Data calls with one block after another.

    The engine is opened for the first block, so that an attempt is counted before anything can
    kill the process: Ray starts it again without end. Errors travel as values, since Ray would
    wrap them in tracebacks.
    """

    def __init__(self, order: _Order, blocks: Any) -> None:
        self._ray = load_ray()
        self._order = order
        self._blocks = blocks
        self._engine = ExitStack()
        self._pipeline: Pipeline | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, bytes]:
        ending = _Ending(block=int(row["block"]), machine=platform.node())
        try:
            block, attempt = self._ray.get(self._blocks.take.remote(ending.block))
            ending = replace(ending, attempt=attempt)
            ending = replace(ending, outcomes=tuple(self._work(block, attempt)))
        except StarganDeployError as error:
            ending = replace(ending, error=error)
        except self._ray.exceptions.RayActorError as error:  # the blocks are gone
            ending = replace(ending, error=_given_up(error))
        return {"ending": pickle.dumps(ending)}

    def _work(self, block: Block, attempt: int) -> Iterable[Outcome]:
        if attempt > MAX_ATTEMPTS:
            raise BackendError(
                f"{MAX_ATTEMPTS} workers died on the photos from {block[0].name} to "
                f"{block[-1].name}; look whether memory ran out, and go on with --resume"
            )
        if attempt > 1:
            remove_temporaries(path for photo in block for path in photo.outputs)
        if self._pipeline is None:
            self._pipeline = _open_pipeline(self._order, self._engine)
        return self._pipeline.work(block)


def _open_pipeline(order: _Order, stack: ExitStack) -> Pipeline:
    """Makes this process a worker.

    Raises:
        BackendError: this machine is not set up as the driver's is.
        StarganDeployError: the engine cannot be opened.
    """
    if order.version != __version__:
        raise BackendError(
            f"stargan-deploy is {__version__} there and {order.version} here; "
            "install the same on all machines"
        )
    try:
        os.chdir(order.folder)
    except OSError as error:
        raise BackendError(f"all machines must have {order.folder}: {error.strerror}") from error
    stay_on_cores(order.share.num_cpus)
    wait = DiskWait(order.job.output, wait_s=order.disk_wait_s, say=_log.warning)
    engine = stack.enter_context(open_session(order.spec, order.job, write=wait.write_bytes))
    wanted, found = order.settings or engine.settings, engine.settings
    different = "; ".join(differences(wanted.to_mapping(), found.to_mapping()))
    if different:
        raise BackendError(
            f"a worker would not make the pictures that the manifest tells of ({different}); start "
            "the run on a machine like the workers', or give --device cpu"
        )
    return engine.pipeline


def _outcomes(ray: Any, order: _Order, photos: Iterator[Photo]) -> Generator[Outcome, None, None]:
    """Has photos done; takes no more of them than the blocks hold that are given out.

    Raises:
        StarganDeployError: what a worker ended with.
        BackendError: Ray cannot go on.
    """
    blocks = iter(lambda: list(islice(photos, CALLS_A_BLOCK * (order.spec.batch_size or 1))), [])
    given = list(islice(blocks, BLOCKS_A_WORKER * order.share.num_workers))
    if not given:
        return
    num_open = len(given)
    known_machines = {platform.node()}
    open_blocks = _start_open_blocks(ray)
    ray.get(open_blocks.give.remote(given, are_last=False))
    num_workers = min(order.share.num_workers, len(given))
    with closing(_endings(ray, order, num_workers, open_blocks)) as endings:
        for ending in endings:
            _look_at(ending)
            if ending.machine not in known_machines:
                _check_shared(ending)
                known_machines.add(ending.machine)
            more = list(islice(blocks, 1))
            num_open += len(more) - 1
            ray.get(open_blocks.give.remote(more, are_last=not more))
            ray.get(open_blocks.forget.remote(ending.block))
            yield from ending.outcomes
    if num_open:
        raise BackendError(f"Ray lost {num_open} blocks of photos; go on with --resume")


def _start_open_blocks(ray: Any) -> Any:
    """On the driver's own machine, so that no other one's failure ends the run."""
    strategies = importlib.import_module("ray.util.scheduling_strategies")
    here = strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    return ray.remote(num_cpus=0, scheduling_strategy=here)(_OpenBlocks).remote()


def _endings(
    ray: Any, order: _Order, num_workers: int, open_blocks: Any
) -> Generator[_Ending, None, None]:
    """The ends of blocks, as they come in from the workers."""
    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.target_max_block_size = 1  # bytes; so that every row is sent on at once
    context.execution_no_progress_timeout_s = -1  # a worker may wait for a full disk
    with ray.data.DataContext.current(context):
        numbers = ray.data.from_items([0]).map_batches(_numbers, fn_args=(open_blocks,), num_cpus=0)
        rows = numbers.map(
            _Worker,
            fn_constructor_args=(order, open_blocks),
            compute=ray.data.ActorPoolStrategy(size=num_workers),
            num_cpus=order.share.num_cpus or None,
            num_gpus=order.share.num_gpus or None,
        )
    for row in rows.iter_rows():
        yield pickle.loads(row["ending"])


def _numbers(_: Mapping[str, Any], open_blocks: Any) -> Iterator[dict[str, list[int]]]:
    """The number of each block as soon as it is given; one of Ray Data's tasks.

    A task that takes the place of a killed one tells the same numbers again, as Ray wants it.
    """
    ray = load_ray()
    with suppress(ray.exceptions.RayActorError):  # the driver notices, and tells
        for number in count():
            if not ray.get(open_blocks.wait_for.remote(number)):
                return
            yield {"block": [number]}


def _given_up(error: Exception) -> BackendError:
    *_, reason = str(error).strip().splitlines()  # the others are tracebacks
    return BackendError(f"Ray gave up: {brief(RuntimeError(reason))}; go on with --resume")


def _look_at(ending: _Ending) -> None:
    """Raises what ended the work on a block, and says that a worker died."""
    if ending.error is not None:
        if ending.machine != platform.node():
            ending.error.args = (f"{ending.error} (on {ending.machine})",)
        raise ending.error
    if ending.attempt > 1:
        _log.warning("a worker of the cluster died; what it had in hand was done again")


def _check_shared(ending: _Ending) -> None:
    """Looks here for what another machine wrote.

    Raises:
        OutputError: it is not here.
    """
    written = [picture.path for outcome in ending.outcomes for picture in outcome.images]
    for path in written[:1]:
        # Asked for the file itself, a network file system may answer as it did before.
        if not path.parent.is_dir() or path not in path.parent.iterdir():
            raise OutputError(
                f"{path} was written on {ending.machine} and is not here; all machines must see "
                "the same files"
            )


def _share_of(machines: Sequence[Mapping[str, Any]], *, wants_gpu: bool) -> _Share:
    """What workers get of a cluster's machines, as `ray.nodes` lists them.

    Raises:
        BackendError: there is nothing to get.
    """
    resources = [machine["Resources"] for machine in machines if machine["Alive"]]
    num_gpus = sum(int(resource.get("GPU", 0)) for resource in resources)
    if wants_gpu and num_gpus:
        return _Share(num_workers=num_gpus, num_gpus=1)
    cores = [int(resource["CPU"]) for resource in resources if resource.get("CPU", 0) >= 1]
    if not cores:
        raise BackendError("the machines of this Ray cluster offer no CPUs")
    num_each = max(1, min(cores) // MAX_WORKERS_A_MACHINE)
    return _Share(num_workers=sum(num // num_each for num in cores), num_cpus=num_each)
