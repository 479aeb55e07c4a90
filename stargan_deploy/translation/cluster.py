"""The same batch on a Ray cluster: actors hold the runtime, blocks of photos go through Ray Data.

The driver gives out a few blocks for each worker, and another one for each that ends, so that no
memory grows with the number of photos. What Ray Data carries are the numbers of these blocks on
the way out and the ends of their photos on the way back; workers write the pictures themselves.
The photos of a block lie in a small actor until the block has ended, so that a worker that takes
the place of a killed one finds them there.
"""

import asyncio
import contextlib
import importlib
import logging
import os
import pickle
import platform
import socket
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import stargan_deploy
from stargan_deploy.errors import (
    BackendError,
    StarganDeployError,
    UsageError,
    brief,
)
from stargan_deploy.files import remove_temporaries, write_bytes
from stargan_deploy.translation.disk import DiskWait
from stargan_deploy.translation.engine import EngineSpec, open_engine
from stargan_deploy.translation.outcome import Outcome
from stargan_deploy.translation.pipeline import Pipeline
from stargan_deploy.translation.plan import BatchJob, Photo
from stargan_deploy.translation.settings import Settings, differences

INSTALL = "pip install 'stargan-deploy[ray]'"

CALLS_A_BLOCK = 4
"""Full calls of the engine in a block, which is what a killed worker costs."""

BLOCKS_A_WORKER = 3
"""Blocks that are given out at a time: one in work, one at the worker, one on the way."""

MAX_ATTEMPTS = 3
"""Workers that one block may cost before it is held to be what kills them."""

MAX_WORKERS_A_MACHINE = 16
"""Without GPUs. Each holds PyTorch and the model; where there are more cores, it has several."""

REACHABLE_S = 10.0
"""How long an address may take to answer, in seconds."""

STORE_BYTES = 100 << 20
"""Ray's shared memory on this machine; blocks are numbers and ends, some 100 bytes a photo."""

_log = logging.getLogger(__name__)

Block = list[Photo]


@contextmanager
def ray_work(
    address: str,
    spec: EngineSpec,
    job: BatchJob,
    *,
    disk_wait_s: float,
    settings: Settings | None = None,
) -> Iterator[Callable[[Iterator[Photo]], Generator[Outcome, None, None]]]:
    """Joins a Ray cluster, or starts one on this machine, and does photos there.

    Args:
        address: "local", which starts a cluster on this machine for the time of the block, or what
            `ray.init` takes: "auto", "HOST:PORT" or "ray://HOST:PORT".
        spec: what each worker opens.
        job: what to make of every photo; its paths mean the same files on all machines.
        disk_wait_s: how long a worker repeats a write that a full disk stops, in seconds.
        settings: what the manifest says of the pictures; workers that differ refuse.

    Yields:
        What does photos, a `batch.Work`.

    Raises:
        UsageError: an address at which no cluster is, or a device that workers do not have.
        BackendError: Ray is not installed, or cannot be started.
    """
    if spec.device is not None and ":" in spec.device:
        raise UsageError(
            f"--device {spec.device} does not go with --ray, which gives each worker a GPU of its "
            "own; use --device cuda"
        )
    ray = _load_ray()
    with _connected(ray, address):
        share = _share_of(ray.nodes(), wants_gpu=_can_use_gpu(spec))
        order = _Order(
            spec=spec,
            job=job,
            settings=settings,
            folder=Path.cwd(),
            disk_wait_s=disk_wait_s,
            num_cores=0 if share.num_gpus else share.num_cpus,
            version=stargan_deploy.__version__,
        )
        yield lambda photos: _outcomes(ray, order, share, photos)


@dataclass(frozen=True, kw_only=True)
class _Order:
    """What a worker is told when it starts."""

    spec: EngineSpec
    job: BatchJob
    settings: Settings | None
    folder: Path
    """The driver's working folder, from which relative paths start."""
    disk_wait_s: float
    num_cores: int
    """Cores to stay on; 0 leaves the choice to the system."""
    version: str
    """Of this package, at the driver."""


@dataclass(frozen=True, kw_only=True)
class _Share:
    """What each of some equal workers takes of a cluster."""

    num_workers: int
    num_cpus: int
    num_gpus: int = 0


@dataclass(frozen=True, kw_only=True)
class _Ending:
    """What comes back from a worker for one block."""

    block: int
    """Its number."""
    machine: str
    outcomes: tuple[Outcome, ...] = ()
    error: StarganDeployError | None = None
    """What ended the work on it, and is to end the run."""


class _OpenBlocks:
    """The blocks that are given out and have not ended; one Ray actor beside the driver.

    A block's number tells its place in the order in which blocks are given.
    """

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

    Its errors travel as values, since Ray would wrap them in tracebacks. Where the engine
    cannot be opened, every block ends with the reason.
    """

    def __init__(self, order: _Order, blocks: Any) -> None:
        self._ray = _load_ray()
        self._blocks = blocks
        self._engine = ExitStack()
        self._refusal: StarganDeployError | None = None
        try:
            self._pipeline = _open_pipeline(order, self._engine)
        except StarganDeployError as error:
            self._refusal = error

    def __call__(self, row: dict[str, Any]) -> dict[str, bytes]:
        return {"ending": pickle.dumps(self._end(int(row["block"])))}

    def _end(self, number: int) -> _Ending:
        try:
            outcomes = tuple(self._work(number))
        except StarganDeployError as error:
            return _Ending(block=number, machine=platform.node(), error=error)
        return _Ending(block=number, machine=platform.node(), outcomes=outcomes)

    def _work(self, number: int) -> Iterable[Outcome]:
        if self._refusal is not None:
            raise self._refusal
        block, attempt = self._ray.get(self._blocks.take.remote(number))
        if attempt > MAX_ATTEMPTS:
            raise BackendError(
                f"{MAX_ATTEMPTS} workers died on the photos from {block[0].name} to "
                f"{block[-1].name}; look whether memory ran out, and go on with --resume"
            )
        if attempt > 1:
            remove_temporaries(path for photo in block for path in photo.outputs)
        return self._pipeline.work(block)


def _open_pipeline(order: _Order, stack: ExitStack) -> Pipeline:
    """Makes this process a worker.

    Raises:
        BackendError: this machine is not set up as the driver's is.
        StarganDeployError: the engine cannot be opened.
    """
    if order.version != stargan_deploy.__version__:
        raise BackendError(
            f"stargan-deploy is {stargan_deploy.__version__} there and {order.version} here; "
            "install the same on all machines"
        )
    try:
        os.chdir(order.folder)
    except OSError as error:
        raise BackendError(f"all machines must have {order.folder}: {error.strerror}") from error
    _stay_on_cores(order.num_cores)
    wait = DiskWait(order.job.output, wait_s=order.disk_wait_s, say=_log.warning)

    def write(path: Path, content: bytes) -> None:
        wait(lambda: write_bytes(path, content))

    engine = stack.enter_context(open_engine(order.spec, order.job, write=write))
    if order.settings is not None:
        _check_same(order.settings, engine.settings)
    return engine.pipeline


def _check_same(wanted: Settings, found: Settings) -> None:
    different = differences(wanted.to_mapping(), found.to_mapping())
    if different:
        raise BackendError(
            f"pictures of this worker would not be those of the driver: {'; '.join(different)}"
        )


_claimed_cores: list[socket.socket] = []
"""Names that this process holds until it ends, however it ends."""


def _stay_on_cores(number: int) -> None:
    """Keeps this process on some cores that no other worker has, where the system can.

    Engines start as many threads as they see cores. The cores are claimed by names in Linux's
    abstract namespace of sockets, which vanish with the process.
    """
    if number == 0 or not hasattr(os, "sched_setaffinity"):
        return
    cores: set[int] = set()
    for core in sorted(os.sched_getaffinity(0)):
        if len(cores) < number and _claim(core):
            cores.add(core)
    if len(cores) == number:
        for thread in Path("/proc/self/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), cores)


def _claim(core: int) -> bool:
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0stargan-deploy/core/{core}")
    except OSError:
        claim.close()
        return False
    _claimed_cores.append(claim)
    return True


def _outcomes(
    ray: Any, order: _Order, share: _Share, photos: Iterator[Photo]
) -> Generator[Outcome, None, None]:
    """Has photos done; takes no more of them than the blocks that are given out hold.

    Raises:
        StarganDeployError: what a worker ended with.
        BackendError: Ray cannot go on.
    """
    blocks = iter(lambda: list(islice(photos, CALLS_A_BLOCK * order.spec.batch_size)), [])
    given = list(islice(blocks, BLOCKS_A_WORKER * share.num_workers))
    if not given:
        return
    num_open = len(given)
    open_blocks = ray.remote(num_cpus=0)(_OpenBlocks).remote()
    ray.get(open_blocks.give.remote(given, are_last=False))
    share = replace(share, num_workers=min(share.num_workers, len(given)))
    with closing(_endings(ray, order, share, open_blocks)) as endings:
        for ending in endings:
            if ending.error is not None:
                raise _located(ending.error, ending.machine)
            more = list(islice(blocks, 1))
            num_open += len(more) - 1
            ray.get(open_blocks.give.remote(more, are_last=not more))
            ray.get(open_blocks.forget.remote(ending.block))
            yield from ending.outcomes
    if num_open:
        raise BackendError(f"Ray lost {num_open} blocks of photos; go on with --resume")


def _endings(
    ray: Any, order: _Order, share: _Share, open_blocks: Any
) -> Generator[_Ending, None, None]:
    """The ends of blocks, as they come in from the workers."""
    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.target_max_block_size = 1  # bytes; so that every row is sent on at once
    context.execution_no_progress_timeout_s = -1  # a worker may wait for a full disk
    context.max_consecutive_actor_init_deaths = MAX_ATTEMPTS
    with ray.data.DataContext.current(context):
        numbers = ray.data.from_items([0]).map_batches(_numbers, fn_args=(open_blocks,), num_cpus=0)
        rows = numbers.map(
            _Worker,
            fn_constructor_args=(order, open_blocks),
            compute=ray.data.ActorPoolStrategy(size=share.num_workers),
            num_cpus=share.num_cpus or None,
            num_gpus=share.num_gpus or None,
        )
    for row in rows.iter_rows():
        yield pickle.loads(row["ending"])


def _numbers(_: Mapping[str, Any], open_blocks: Any) -> Iterator[dict[str, list[int]]]:
    """The number of each block as soon as it is given; one of Ray Data's tasks.

    A task that takes the place of a killed one tells the same numbers again, as Ray wants it.
    """
    ray = _load_ray()
    for number in count():
        if not ray.get(open_blocks.wait_for.remote(number)):
            return
        yield {"block": [number]}


def _located(error: StarganDeployError, machine: str) -> StarganDeployError:
    """An error with the name of the machine that it comes from, where that is another one."""
    if machine != platform.node():
        error.args = (f"{error} (on {machine})",)
    return error


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """Joins or starts a cluster; leaves or ends it at the end of the block."""
    options: dict[str, Any] = {"address": address}
    if address == "local":
        options |= {"include_dashboard": False, "object_store_memory": STORE_BYTES}
    else:
        _check_reachable(address)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        with _quiet_start():
            ray.init(**options, log_to_driver=False, logging_level=logging.CRITICAL)
    except Exception as error:  # Ray's own, and many of Python's
        ray.shutdown()
        verb = "start" if address == "local" else "join"
        raise BackendError(f"cannot {verb} Ray ({address}): {brief(error)}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Tries an address, since Ray would do so for minutes.

    Raises:
        UsageError: nothing answers, or it is none.
    """
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdecimal() or "/" in host:
        raise UsageError(f"--ray takes local, auto or HOST:PORT of a cluster, not {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=REACHABLE_S).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"no Ray cluster answers at {address} ({brief(error)}); --ray local starts one here"
        ) from error


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Starts Ray without its telemetry and without the log lines of its C++ part.

    That tells on stderr which log level it was given, and at any lower one, for every actor of Ray
    Data, that an argument might get lost, which is held there by Ray Data itself
    (ray-project/ray#57733).
    """
    wanted = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        with _stderr_off():
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _stderr_off() -> Iterator[None]:
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _load_ray() -> Any:
    """Imports Ray and Ray Data.

    Raises:
        BackendError: they are not installed.
    """
    try:
        importlib.import_module("ray.data")
        return importlib.import_module("ray")
    except ImportError as error:
        raise BackendError(f"cannot use ray: {brief(error)}; {INSTALL}") from error


def _can_use_gpu(spec: EngineSpec) -> bool:
    if spec.device is None:
        return spec.path.suffix.lower() != ".xml"  # OpenVINO computes on the CPU
    return spec.device == "cuda"


def _share_of(machines: Sequence[Mapping[str, Any]], *, wants_gpu: bool) -> _Share:
    """What workers get of a cluster's machines, as `ray.nodes` lists them.

    Raises:
        BackendError: there is nothing to get.
    """
    resources = [machine["Resources"] for machine in machines if machine["Alive"]]
    num_gpus = sum(int(resource.get("GPU", 0)) for resource in resources)
    if wants_gpu and num_gpus:
        return _Share(num_workers=num_gpus, num_cpus=0, num_gpus=1)
    cores = [int(resource["CPU"]) for resource in resources if resource.get("CPU", 0) >= 1]
    if not cores:
        raise BackendError("the machines of this Ray cluster offer no CPUs")
    num_each = max(1, min(cores) // MAX_WORKERS_A_MACHINE)
    return _Share(num_workers=sum(num // num_each for num in cores), num_cpus=num_each)
