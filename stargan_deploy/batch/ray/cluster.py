"""The same batch on a Ray cluster: each worker is an actor that holds the runtime.

The driver gives each worker one block of photos after another, so that no memory grows with the
number of photos. Outcomes come back one by one; workers write the images themselves.
The photos that a dead worker was given go to the others and to its replacement.
"""

import logging
import os
import platform
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from stargan_deploy.backends.registry import runs_on_cpu_only
from stargan_deploy.batch.disk import DiskWait
from stargan_deploy.batch.execute import Work
from stargan_deploy.batch.outcome import Outcome
from stargan_deploy.batch.pipeline import Pipeline
from stargan_deploy.batch.plan import BatchJob, Photo
from stargan_deploy.batch.ray.connection import connected, load_ray
from stargan_deploy.batch.ray.cpu_affinity import pin_to_free_cores
from stargan_deploy.batch.session import open_session
from stargan_deploy.batch.settings import Settings, differences
from stargan_deploy.devices import CPU
from stargan_deploy.errors import BackendError, OutputError, StarganDeployError, UsageError, brief
from stargan_deploy.files.atomic import remove_temporaries
from stargan_deploy.inference.choose import ChosenModel
from stargan_deploy.version import __version__

CALLS_PER_BLOCK = 4
"""Full calls of the runtime in a block, which is what a worker is given at a time."""

MAX_DEATHS = 3
"""Workers that may die on one block before it is taken for the cause."""

MAX_WORKERS_PER_MACHINE = 16
"""Limit without GPUs. Each holds the model; on machines with more cores, each has several."""

CONTINUE = "continue with `resume`"

PAUSE_S = 0.5
"""Seconds after which the caller is asked whether to continue, where no photo ended."""

_log = logging.getLogger(__name__)


@contextmanager
def ray_work(
    address: str,
    model: ChosenModel,
    job: BatchJob,
    *,
    disk_wait_s: float,
    settings: Settings | None = None,
) -> Iterator[Work]:
    """Join a Ray cluster, or start one on this machine, to translate photos there.

    Args:
        address: "local" starts a cluster on this machine for the duration of the block; "auto"
            joins the one that this machine is in, "HOST:PORT" the one with its head there.
        model: opened by each worker.
        job: the batch; its paths mean the same files on all machines.
        disk_wait_s: how long a worker repeats a write that a full disk stops, in seconds.
        settings: those in the manifest; workers that differ refuse.

    Yields:
        A function that translates photos.

    Raises:
        UsageError: no cluster is at that address, or workers have no such device.
        BackendError: Ray is not installed, or cannot be started or joined.
    """
    if model.device is not None and model.device.index:
        raise UsageError(f"`ray` gives each worker a GPU of its own: not {model.device}, but cuda")
    ray = load_ray()
    with connected(ray, address):
        is_for_cpu = model.device == CPU or runs_on_cpu_only(model.path)
        config = _WorkerConfig(
            model=model,
            job=job,
            settings=settings,
            folder=Path.cwd(),
            disk_wait_s=disk_wait_s,
            share=_share_of(ray.nodes(), wants_gpu=not is_for_cpu),
            version=__version__,
        )
        try:
            yield lambda photos: _outcomes(ray, config, photos)
        except ray.exceptions.RayTaskError:  # a bug of ours, with its traceback
            raise
        except ray.exceptions.RayError as error:
            raise _ray_failed(error) from error


@dataclass(frozen=True, kw_only=True)
class _Share:
    """The resources of a cluster that each of its equal workers takes."""

    num_workers: int
    num_cpus: int = 0
    """Cores to pin a worker to; 0 leaves them to the system."""
    num_gpus: int = 0


@dataclass(frozen=True, kw_only=True)
class _WorkerConfig:
    """Everything a worker needs to start."""

    model: ChosenModel
    job: BatchJob
    settings: Settings | None
    folder: Path
    """The driver's working folder, from which relative paths start."""
    disk_wait_s: float
    share: _Share
    version: str
    """Version of this package at the driver."""


@dataclass(frozen=True, kw_only=True)
class _PhotoResult:
    """A worker's message about one photo."""

    machine: str
    outcome: Outcome | None = None
    error: StarganDeployError | None = None
    """Error that ended the block and is to end the run."""


class _Worker:
    """A Ray actor: a process with a runtime, which is opened for the first photo.

    Errors travel as values, because Ray would wrap them in tracebacks.
    """

    def __init__(self, config: _WorkerConfig) -> None:
        self._config = config
        self._session = ExitStack()
        self._pipeline: Pipeline | None = None

    def work(self, photos: Sequence[Photo], *, again: bool) -> Iterator[_PhotoResult]:
        """Translate photos; `again` if a dead worker may have left half of them."""
        machine = platform.node()
        try:
            if again:
                remove_temporaries(path for photo in photos for path in photo.outputs)
            if photos and self._pipeline is None:
                self._pipeline = _open_pipeline(self._config, self._session)
            for outcome in self._pipeline.work(photos) if self._pipeline else ():
                yield _PhotoResult(machine=machine, outcome=outcome)
        except StarganDeployError as error:
            yield _PhotoResult(machine=machine, error=error)


def _open_pipeline(config: _WorkerConfig, stack: ExitStack) -> Pipeline:
    """Turn this process into a worker.

    Raises:
        BackendError: this machine is not set up as the driver's is.
        StarganDeployError: the model cannot be opened.
    """
    if config.version != __version__:
        raise BackendError(
            f"stargan-deploy is {__version__} there and {config.version} here",
            hint="install the same on all machines",
        )
    try:
        os.chdir(config.folder)
    except OSError as error:
        raise BackendError(f"all machines must have {config.folder}: {error.strerror}") from error
    pin_to_free_cores(config.share.num_cpus)
    wait = DiskWait(config.job.output, wait_s=config.disk_wait_s, say=_log.warning)
    session = stack.enter_context(open_session(config.model, config.job, write=wait.write_bytes))
    wanted, found = config.settings or session.settings, session.settings
    different = "; ".join(differences(wanted.to_mapping(), found.to_mapping()))
    if different:
        raise BackendError(
            f"a worker would not make the images of this run's settings ({different})",
            hint="start the run on a machine like the workers', or set `device` to cpu",
        )
    return session.pipeline


def _outcomes(
    ray: Any, config: _WorkerConfig, photos: Iterator[Photo]
) -> Generator[Outcome | None, None, None]:
    """Have photos translated, and take no more of them than workers are given.

    Yields:
        The outcome of a photo, or None after a pause.

    Raises:
        StarganDeployError: a worker's error.
        BackendError: Ray cannot continue.
    """
    here = platform.node()
    known_machines = {here}
    with closing(_Workers(ray, config, photos)) as workers:
        for result in workers.results():
            if result is not None and result.error is not None:
                if result.machine != here:
                    result.error.message += f" (on {result.machine})"
                raise result.error
            if result is not None and result.machine not in known_machines:
                _check_shared(result)
                known_machines.add(result.machine)
            yield result.outcome if result else None


@dataclass(eq=False, kw_only=True)
class _Block:
    """Photos given to a worker that have not ended."""

    photos: list[Photo] = field(default_factory=list)
    num_deaths: int = 0
    """Deaths of workers that had the block."""


class _Workers:
    """The actors of a run and their blocks.

    The first block of each is empty: its end shows that the process has started.
    """

    def __init__(self, ray: Any, config: _WorkerConfig, photos: Iterator[Photo]) -> None:
        share = config.share
        self._ray = ray
        self._config = config
        self._photos = photos
        self._class = ray.remote(num_cpus=share.num_cpus, num_gpus=share.num_gpus)(_Worker)
        self._idle: list[Any] = []
        self._calls: dict[Any, tuple[Any, _Block]] = {}
        """Actor and block by Ray's generator of the results."""
        self._waiting: deque[_Block] = deque()

    def results(self) -> Iterator[_PhotoResult | None]:
        """Yield messages from the workers until all photos have ended; None after a pause."""
        blocks = (self._next_block() for _ in range(self._config.share.num_workers))
        self._waiting.extend([block for block in blocks if block])
        for _ in self._waiting:
            self._start(_Block())
        while self._hand_out():
            streams, _ = self._ray.wait(list(self._calls), timeout=PAUSE_S, fetch_local=False)
            for result in map(self._take_result, streams):
                if result is not None:
                    yield result
            if not streams:
                yield None

    def close(self) -> None:
        """End the workers at once, whatever they are doing."""
        for actor in (*self._idle, *(actor for actor, _ in self._calls.values())):
            self._ray.kill(actor)

    def _next_block(self) -> _Block | None:
        if self._waiting:
            return self._waiting.popleft()
        photos = list(islice(self._photos, CALLS_PER_BLOCK * (self._config.model.batch_size or 1)))
        return _Block(photos=photos) if photos else None

    def _hand_out(self) -> bool:
        """Give blocks to idle workers; return whether any block has not ended."""
        while self._idle and (block := self._next_block()):
            self._give(self._idle.pop(), block)
        return bool(self._waiting) or any(block.photos for _, block in self._calls.values())

    def _start(self, block: _Block) -> None:
        self._give(self._class.remote(self._config), block)

    def _give(self, actor: Any, block: _Block) -> None:
        work = actor.work.options(num_returns="streaming")
        self._calls[work.remote(block.photos, again=block.num_deaths > 0)] = (actor, block)

    def _take_result(self, stream: Any) -> _PhotoResult | None:
        """A worker's next result; None where it has only started, or died."""
        actor, block = self._calls.pop(stream)
        try:
            result: _PhotoResult = self._ray.get(next(stream))
        except StopIteration:
            if block.photos:
                raise BackendError(f"Ray lost {len(block.photos)} photos", hint=CONTINUE) from None
            self._idle.append(actor)
            return None
        except self._ray.exceptions.RayError as error:
            self._replace(actor, block, error)
            return None
        if result.outcome is not None:
            block.photos.remove(result.outcome.photo)
        if block.photos:
            self._calls[stream] = (actor, block)
        else:
            self._idle.append(actor)
        return result

    def _replace(self, actor: Any, block: _Block, error: Exception) -> None:
        """Start a replacement for a worker that died, and keep its block.

        Raises:
            RayTaskError: a bug of ours, with its traceback.
            BackendError: too many workers died on the block, or at their start.
        """
        if isinstance(error, self._ray.exceptions.RayTaskError):
            raise error
        self._ray.kill(actor)  # it may only have been unreachable
        block.num_deaths += 1
        if block.num_deaths == MAX_DEATHS:
            if not block.photos:
                raise _ray_failed(error)
            first, last = block.photos[0].name, block.photos[-1].name
            raise BackendError(
                f"{MAX_DEATHS} workers died on the photos from {first} to {last}",
                hint=f"check whether memory ran out, and {CONTINUE}",
            )
        if block.photos:
            _log.warning("a worker of the cluster died; its photos are translated again")
            self._waiting.append(block)
            block = _Block()
        self._start(block)


def _ray_failed(error: Exception) -> BackendError:
    *_, reason = str(error).strip().splitlines()  # the others are tracebacks
    return BackendError(f"Ray gave up: {brief(RuntimeError(reason))}", hint=CONTINUE)


def _check_shared(result: _PhotoResult) -> None:
    """Look on this machine for a file that another one wrote."""
    written = [image.path for image in result.outcome.images] if result.outcome else []
    for path in written[:1]:
        # Asked for the file itself, a network file system may give a cached answer.
        if not path.parent.is_dir() or path not in path.parent.iterdir():
            raise OutputError(
                f"{path} was written on {result.machine} and is not here",
                hint="all machines must see the same files",
            )


def _share_of(machines: Sequence[Mapping[str, Any]], *, wants_gpu: bool) -> _Share:
    """Divide a cluster's machines, as `ray.nodes` lists them, among workers.

    Raises:
        BackendError: they offer no processors.
    """
    resources = [machine["Resources"] for machine in machines if machine["Alive"]]
    num_gpus = sum(int(resource.get("GPU", 0)) for resource in resources)
    if wants_gpu and num_gpus:
        return _Share(num_workers=num_gpus, num_gpus=1)
    cores = [int(resource["CPU"]) for resource in resources if resource.get("CPU", 0) >= 1]
    if not cores:
        raise BackendError("the machines of this Ray cluster offer no CPUs")
    num_each = max(1, min(cores) // MAX_WORKERS_PER_MACHINE)
    return _Share(num_workers=sum(num // num_each for num in cores), num_cpus=num_each)
