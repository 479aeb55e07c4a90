"""The batch on Ray: one cluster of two workers on this machine for all tests of this file."""

import errno
import importlib.util
import json
import os
import pickle
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pytest

import stargan_deploy
from stargan_deploy.backends.openvino.exporter import OpenVinoExporter
from stargan_deploy.batch import disk
from stargan_deploy.batch.execute import BatchContext, execute_plan
from stargan_deploy.batch.outcome import Outcome, WrittenImage
from stargan_deploy.batch.plan import BatchJob, Photo, plan_batch
from stargan_deploy.batch.ray import cluster
from stargan_deploy.batch.ray.cluster import CALLS_PER_BLOCK, ray_work
from stargan_deploy.batch.report import BatchReport
from stargan_deploy.batch.resume import ResumePolicy
from stargan_deploy.batch.session import open_session
from stargan_deploy.devices import CPU, parse_device
from stargan_deploy.errors import (
    BackendError,
    DiskFullError,
    ModelError,
    OutputError,
    StoppedError,
    UsageError,
)
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions
from stargan_deploy.files.atomic import atomic_path
from stargan_deploy.inference.choose import ChosenModel, RuntimeRequest, resolve_runtime
from stargan_deploy.inference.find import DEMO_MODEL, read_model
from stargan_deploy.inference.targets import name_targets
from tests.batch_runs import pictures, write_all
from tests.photos import encode, noise
from tests.studio import states

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None or not sys.platform.startswith("linux"),
    reason="needs the extra [ray], and Linux to look at processes",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\..*"),  # of its own ways
]

HEAD = """
import logging, sys, ray
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
         logging_level=logging.CRITICAL, object_store_memory=100 << 20, _temp_dir=sys.argv[1])
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""

BATCH_SIZE = 1

OPENVINO = ExportOptions(format="openvino")

TARGETS = ("Blond_Hair", "Male,-Young")


@dataclass(frozen=True)
class Cluster:
    address: str
    pid: int
    """Of the process that started it."""

    def workers(self) -> list[int]:
        """Processes that hold an engine, or are about to."""
        return [
            pid
            for pid in processes()
            if read(Path(f"/proc/{pid}/cmdline")).startswith("ray::_Worker")
            and parent_and_session(parent_and_session(pid)[0])[0] == self.pid
        ]


def processes() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()]


def parent_and_session(pid: int) -> tuple[int, int]:
    fields = read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split() or ["", "0", "", "0"]
    return int(fields[1]), int(fields[3])


def session_has_ended(session: int) -> bool:
    return all(parent_and_session(pid)[1] != session for pid in processes())


def read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # it has ended
        return ""


def wait_until(is_so: Callable[[], object], *, limit_s: float = 120) -> None:
    end_s = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < end_s, "it took too long"
        time.sleep(0.05)


@dataclass(frozen=True)
class Studio:
    photos: Path
    spec: ChosenModel
    context: BatchContext

    def job(self, output: Path) -> BatchJob:
        targets = name_targets(self.context.card.labels, list(TARGETS))
        return BatchJob(input=self.photos, output=output, targets=targets)

    def run(self, output: Path, address: str | None = None, **changes) -> BatchReport:
        context = replace(self.context, **changes)
        job = self.job(output)
        if address is None:
            with open_session(self.spec, job) as opened:
                return execute_plan(plan_batch(job), opened.pipeline.work, context)
        settings = context.settings
        with ray_work(address, self.spec, job, disk_wait_s=0, settings=settings) as work:
            return execute_plan(plan_batch(job), work, context)


@pytest.fixture(scope="module", autouse=True)
def environment() -> Iterator[None]:
    """A key of their own for the clusters of these tests; Ray would keep one in the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        yield


@pytest.fixture(scope="module")
def two_workers(environment) -> Iterator[Cluster]:
    folder = Path(f"/tmp/ray-{secrets.token_hex(4)}")  # the sockets in it need a short name
    head = subprocess.Popen(
        [sys.executable, "-c", HEAD, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with head:
        yield Cluster(head.stdout.readline().strip(), head.pid)
        head.stdin.close()
        head.wait(60)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def studio(tmp_path_factory, good_photos, bad_photos) -> Studio:
    """60 photos, of which 3 are broken, with names of all kinds."""
    folder = tmp_path_factory.mktemp("studio") / "photos"
    write_all(folder, {f"drawn/{i}.jpg": encode(noise(40 + i), "JPEG") for i in range(43)})
    write_all(folder / "A b", {**good_photos, **bad_photos})
    odd = os.fsdecode(b"no utf-8 \xff.jpg")
    write_all(folder, {odd: good_photos["plain.jpg"], "Größe 😀.jpg": good_photos["turned.jpeg"]})
    request = RuntimeRequest(backend="eager", device=CPU, batch_size=BATCH_SIZE)
    spec = resolve_runtime(read_model(DEMO_MODEL), request)
    nobody = BatchJob(input=folder, output=folder.parent / "out", targets=())
    with open_session(spec, nobody) as opened:
        context = BatchContext(settings=opened.settings, card=opened.translator.card)
    studio = Studio(photos=folder, spec=spec, context=context)
    spec = replace(spec, threads="pinned")
    with open_session(spec, studio.job(folder.parent / "out")) as opened:
        spec = replace(spec, threads=opened.translator.runtime.pinned_threads)
        return replace(studio, spec=spec, context=replace(context, settings=opened.settings))


@pytest.fixture(scope="module")
def local(studio, tmp_path_factory) -> dict[str, bytes]:
    """What a run without Ray leaves."""
    output = tmp_path_factory.mktemp("local")
    assert studio.run(output).num_failed == 3
    return tree(output)


def tree(output: Path) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in pictures(output).items()}


def ends(output: Path) -> list[dict[str, object]]:
    """What the manifest says of each photo, without the run."""
    path = output / "manifest.jsonl"
    lines = path.read_bytes().splitlines() if path.is_file() else []
    rows = [json.loads(line) for line in lines if b'"result"' in line and line.endswith(b"}")]
    return sorted((row | {"run": ""} for row in rows), key=lambda row: row["photo"])


@needs_ray
@pytest.mark.slow
def test_pictures_and_manifest_are_those_of_a_local_run(
    studio, local, two_workers, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    studio.run(Path("here"))
    report = studio.run(Path("there"), two_workers.address)
    assert (report.num_photos, report.num_translated, report.num_failed) == (61, 58, 3)
    assert tree(tmp_path / "there") == local
    assert ends(tmp_path / "there") == ends(tmp_path / "here")


@needs_ray
@pytest.mark.slow
def test_photos_are_taken_as_blocks_end_and_work_can_stop_and_begin_again(
    studio, two_workers, tmp_path
):
    plan = plan_batch(studio.job(tmp_path / "out"))
    taken = []
    at_once = CALLS_PER_BLOCK * BATCH_SIZE * 2
    with ray_work(two_workers.address, studio.spec, plan.job, disk_wait_s=0) as work:
        outcomes = work(photo for photo in plan.photos if not taken.append(photo))
        for num_ended, _ in enumerate(islice(filter(None, outcomes), 30)):
            assert len(taken) <= num_ended + at_once + CALLS_PER_BLOCK
        outcomes.close()
        wait_until(lambda: not two_workers.workers())
        assert len(taken) < len(plan.photos)
        assert len(list(filter(None, work(iter(plan.photos))))) == len(plan.photos)
        assert list(work(iter(()))) == []


@needs_ray
@pytest.mark.parametrize("num_photos", [1, 3, 4, 5, 8])
def test_few_photos(studio, two_workers, tmp_path, num_photos):
    """One block, of which some of the workers have none, never ended once."""
    plan = plan_batch(studio.job(tmp_path / "out"))
    with ray_work(two_workers.address, studio.spec, plan.job, disk_wait_s=0) as work:
        outcomes = filter(None, work(iter(plan.photos[:num_photos])))
        assert {outcome.photo for outcome in outcomes} == set(plan.photos[:num_photos])


@needs_ray
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_openvino_gives_the_same_images_on_workers(precision, checkpoint, two_workers, tmp_path):
    """39 of 40 differed in INT8 at batch 1: here an image had all processors, there one."""
    openvino = pytest.importorskip("stargan_deploy.backends.openvino.compile").openvino_core()
    if precision == "bfloat16" and "BF16" not in openvino.get_property(
        "CPU", "OPTIMIZATION_CAPABILITIES"
    ):
        pytest.skip("needs a CPU with bf16")
    path = export(checkpoint, out=tmp_path / "m.xml", options=OPENVINO).files[0]
    card = replace(read_model(path).card, precision={"conv": precision, "norm": precision})
    OpenVinoExporter().attach_card(path, card)  # the file is the same
    photos = write_all(
        tmp_path / "photos", {f"{i}.png": encode(noise(40 + i), "PNG") for i in range(6)}
    )
    request = RuntimeRequest(backend="openvino", device=CPU, batch_size=1)
    chosen = replace(resolve_runtime(read_model(path), request), threads="pinned")
    targets = name_targets(card.labels, list(TARGETS))

    def job(name):
        return BatchJob(input=photos, output=tmp_path / name, targets=targets)

    with open_session(chosen, job("here")) as opened:
        context = BatchContext(settings=opened.settings, card=card)
        execute_plan(plan_batch(job("here")), opened.pipeline.work, context)
        chosen = replace(chosen, threads=opened.translator.runtime.pinned_threads)
    options = {"disk_wait_s": 0, "settings": context.settings}
    with ray_work(two_workers.address, chosen, job("there"), **options) as work:
        report = execute_plan(plan_batch(job("there")), work, context)
    assert report.num_translated == 6
    assert tree(tmp_path / "there") == tree(tmp_path / "here")


@needs_ray
def test_few_photos_are_left_to_resume(studio, two_workers, tmp_path):
    studio.run(tmp_path / "out", two_workers.address)
    for picture in list(pictures(tmp_path / "out").values())[:2]:
        picture.unlink()
    report = studio.run(tmp_path / "out", two_workers.address, policy=ResumePolicy(resume=True))
    assert (report.num_translated, report.num_failed) == (58, 3)


@needs_ray
def test_a_signal_is_noticed_while_no_photo_ends(studio, two_workers, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PAUSE_S", 0.01)
    plan = plan_batch(studio.job(tmp_path))
    with ray_work(two_workers.address, studio.spec, plan.job, disk_wait_s=0) as on_cluster:

        def work(photos):
            for outcome in on_cluster(photos):
                if outcome is None:
                    os.kill(os.getpid(), signal.SIGTERM)
                yield outcome

        with pytest.raises(StoppedError, match="after 0 of 61 photos"):
            execute_plan(plan, work, studio.context)
        wait_until(lambda: not two_workers.workers(), limit_s=10)


@needs_ray
@pytest.mark.slow
def test_killed_workers_cost_only_what_they_had_in_hand(
    studio, local, two_workers, tmp_path, caplog, capfd
):
    plan = plan_batch(studio.job(tmp_path))

    def work(photos):
        with ray_work(two_workers.address, studio.spec, plan.job, disk_wait_s=0) as on_cluster:
            for num_ended, outcome in enumerate(filter(None, on_cluster(photos))):
                if num_ended in (0, 30):
                    for pid in two_workers.workers():
                        os.kill(pid, signal.SIGKILL)
                yield outcome

    report = execute_plan(plan, work, studio.context)
    assert (report.num_translated, report.num_failed) == (58, 3)
    assert tree(tmp_path) == local
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".tmp")]
    assert {record.message for record in caplog.records} == {
        "a worker of the cluster died; its photos are translated again"
    }
    assert capfd.readouterr().out == ""


@needs_ray
@pytest.mark.slow
def test_a_killed_driver_is_gone_on_with(studio, local, two_workers, tmp_path):
    with command(studio, tmp_path, two_workers.address) as driver:
        wait_until(lambda: any(end["outputs"] for end in ends(tmp_path)))
        driver.kill()
    wait_until(lambda: not two_workers.workers())
    noted = {path for end in ends(tmp_path) for path in output_paths(end, tmp_path)}
    assert 0 < len(noted) < len(local)
    before = states(noted)
    report = studio.run(tmp_path, two_workers.address, policy=ResumePolicy(resume=True))
    assert report.num_translated == 58
    assert report.num_pictures == len(local) - len(noted)
    assert states(noted) == before
    assert tree(tmp_path) == local


def output_paths(end: dict[str, object], output: Path) -> list[Path]:
    return [output / os.fsdecode(os.fsencode(made["path"])) for made in end["outputs"]]


@needs_ray
def test_an_engine_that_cannot_be_opened_ends_the_run_with_its_own_words(
    studio, two_workers, tmp_path
):
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(DEMO_MODEL.read_bytes()[:-1000])
    other = replace(studio, spec=replace(studio.spec, path=damaged))
    with pytest.raises(ModelError, match=r"damaged\.safetensors") as end:
        other.run(tmp_path / "out", two_workers.address)
    assert "\n" not in str(end.value)


@needs_ray
@pytest.mark.parametrize("address", ["", "no.such.host.invalid:6379", "here", "ray://here:10001"])
def test_no_cluster_at_an_address(studio, tmp_path, address):
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"127.0.0.1:{server.getsockname()[1]}"
    job = studio.job(tmp_path)
    with (
        pytest.raises(UsageError, match="`ray`") as end,
        ray_work(address or closed, studio.spec, job, disk_wait_s=0),
    ):
        pass
    assert "\n" not in str(end.value)


def test_without_ray_the_extra_is_named(studio, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(BackendError, match=r"pip install 'stargan-deploy\[ray\]'"),
        ray_work("local", studio.spec, studio.job(tmp_path), disk_wait_s=0),
    ):
        pass


def test_a_worker_has_only_one_gpu(studio, tmp_path):
    spec = replace(studio.spec, device=parse_device("cuda:1"))
    with (
        pytest.raises(UsageError, match="not cuda:1, but cuda"),
        ray_work("local", spec, studio.job(tmp_path), disk_wait_s=0),
    ):
        pass


def machine(*, cpus: float = 0, gpus: float = 0, alive: bool = True) -> dict[str, object]:
    offered = {"CPU": cpus, "GPU": gpus, "memory": 1e9}
    return {"Alive": alive, "Resources": {kind: num for kind, num in offered.items() if num}}


@pytest.mark.parametrize(
    ("machines", "wants_gpu", "share"),
    [
        ([machine(cpus=2)], True, (2, 1, 0)),
        ([machine(cpus=2, gpus=1), machine(cpus=8, gpus=4), machine(cpus=2)], True, (5, 0, 1)),
        ([machine(cpus=2, gpus=1)], False, (2, 1, 0)),
        ([machine(), machine(cpus=64), machine(cpus=48)], True, (37, 3, 0)),
        ([machine(cpus=4), machine(cpus=8, gpus=8, alive=False)], True, (4, 1, 0)),
    ],
)
def test_workers_get_a_gpu_or_a_share_of_the_cores(machines, wants_gpu, share):
    found = cluster._share_of(machines, wants_gpu=wants_gpu)
    assert (found.num_workers, found.num_cpus, found.num_gpus) == share


def test_a_cluster_without_cores():
    with pytest.raises(BackendError, match="no CPUs"):
        cluster._share_of([machine()], wants_gpu=False)


PIN = """
import os, sys
from stargan_deploy.batch.ray import cpu_affinity as cores
cores.CORE_NAME = "\\0" + sys.argv[1] + "{}"
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
cores.pin_to_free_cores(1)
print(*sorted(os.sched_getaffinity(0)), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_each_worker_has_cores_of_its_own_and_leaves_them_when_killed():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core here")
    first, second = sorted(os.sched_getaffinity(0))[:2]
    name = f"stargan-deploy test {secrets.token_hex(8)} "
    workers = []

    def cores() -> list[int]:
        words = [sys.executable, "-c", PIN, name]
        pipe = subprocess.PIPE
        workers.append(subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True))
        return [int(core) for core in workers[-1].stdout.readline().split()]

    try:
        assert cores() == [first]
        assert cores() == [second]
        assert cores() == [first, second]  # none is left
        workers[1].kill()
        workers[1].wait()
        assert cores() == [second]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def config(studio: Studio, output: Path, **changes) -> cluster._WorkerConfig:
    usual = cluster._WorkerConfig(
        model=studio.spec,
        job=studio.job(output),
        settings=studio.context.settings,
        folder=Path.cwd(),
        disk_wait_s=0,
        share=cluster._Share(num_workers=1),
        version=stargan_deploy.__version__,
    )
    return replace(usual, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": "0.0.1"}, "and 0.0.1 here; install the same"),
        ({"folder": Path("/no/such/folder")}, "must have /no/such/folder: No such file"),
    ],
)
def test_a_machine_that_is_set_up_otherwise_refuses(studio, tmp_path, changes, words):
    with ExitStack() as stack, pytest.raises(BackendError, match=words):
        cluster._open_pipeline(config(studio, tmp_path, **changes), stack)


def test_a_worker_that_would_make_other_pictures_refuses(studio, tmp_path):
    other = replace(studio.context.settings, device="cuda:0", batch_size=16)
    with ExitStack() as stack, pytest.raises(BackendError, match="batch_size: 16 -> 1; device: "):
        cluster._open_pipeline(config(studio, tmp_path, settings=other), stack)


@needs_ray
def test_a_block_is_done_again_over_what_a_killed_worker_left(studio, local, tmp_path):
    plan = plan_batch(studio.job(tmp_path))
    block = [photo for photo in plan.photos if photo.name.parts[0] == "drawn"][:4]
    worker = cluster._Worker(config(studio, tmp_path))
    list(worker.work(block, again=False))
    block[1].outputs[1].unlink()
    with atomic_path(block[1].outputs[1]) as temporary:
        shutil.copy(temporary, tmp_path / "half")
        half = temporary
    block[1].outputs[1].unlink()
    (tmp_path / "half").rename(half)
    kept = states([block[0].outputs[0]])
    results = worker.work(block, again=True)
    assert {result.outcome.result for result in results} == {"translated"}
    assert not half.exists()
    assert states(kept) == kept
    assert tree(tmp_path).items() <= local.items()
    assert len(tree(tmp_path)) == len(block) * len(TARGETS)


@needs_ray
@pytest.mark.parametrize("photos", [[], ["a.jpg", "b.jpg"]])
def test_workers_that_die_end_the_run(photos):
    import ray

    names = [PurePosixPath(name) for name in photos]
    block = cluster._Block(
        photos=[Photo(name=name, path=Path(name), outputs=()) for name in names],
        num_deaths=cluster.MAX_DEATHS - 1,
    )
    words = "died on the photos from a.jpg to b.jpg; .*`resume`" if photos else "gave up.*`resume`"
    workers = cluster._Workers.__new__(cluster._Workers)
    workers._ray = SimpleNamespace(exceptions=ray.exceptions, kill=lambda _: None)
    with pytest.raises(BackendError, match=words):
        workers._replace(None, block, ray.exceptions.WorkerCrashedError())


def test_a_full_disk_ends_a_block_with_its_own_error(studio, tmp_path, monkeypatch):
    def write(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disk, "write_bytes", write)
    photos = plan_batch(studio.job(tmp_path)).photos[:4]
    worker = cluster._Worker(config(studio, tmp_path, disk_wait_s=0.01))
    *_, last = worker.work(photos, again=False)
    assert isinstance(last.error, DiskFullError)
    assert "no space after 0.01 s: " in str(last.error)


@needs_ray
@pytest.mark.parametrize("kind", [DiskFullError, ModelError, BackendError])
def test_an_error_comes_back_as_it_was_with_its_machine(studio, tmp_path, monkeypatch, kind):
    result = cluster._PhotoResult(machine="far-away", error=kind("it broke", hint="fix it"))

    class Workers:
        def __init__(self, *_):
            self.close = lambda: None

        def results(self):
            yield pickle.loads(pickle.dumps(result))

    monkeypatch.setattr(cluster, "_Workers", Workers)
    with pytest.raises(kind, match=r"^it broke \(on far-away\); fix it$"):
        list(cluster._outcomes(None, config(studio, tmp_path), iter(())))


@pytest.mark.parametrize("is_shared", [True, False])
def test_pictures_of_another_machine_must_be_here(studio, tmp_path, is_shared):
    path = tmp_path / "out" / "a.jpg"
    if is_shared:
        write_all(path.parent, {path.name: b"picture"})
    picture = WrittenImage(path=path, sha256="", size_bytes=7)
    photo = Photo(name=PurePosixPath("a.jpg"), path=Path("a.jpg"), outputs=(path,))
    outcome = Outcome(photo=photo, result="translated", images=(picture,))
    result = cluster._PhotoResult(machine="far-away", outcome=outcome)
    with nullcontext() if is_shared else pytest.raises(OutputError, match="on far-away"):
        cluster._check_shared(result)


@needs_ray
@pytest.mark.slow
def test_a_cluster_for_the_time_of_the_run_is_interrupted_and_gone_on_with(studio, local, tmp_path):
    with command(studio, tmp_path, "local") as run:
        wait_until(lambda: '"result"' in read(tmp_path / "manifest.jsonl"))
        os.killpg(run.pid, signal.SIGINT)
        _, err = run.communicate(timeout=30)
    assert run.returncode == 128 + signal.SIGINT, err
    wait_until(lambda: session_has_ended(run.pid))
    with command(studio, tmp_path, "local", "--resume") as run:
        out, err = run.communicate(timeout=300)
    assert run.returncode == 10
    assert out.count("failed: ") == 3
    assert "ray" not in (out + err).lower().replace("--ray", "")
    assert tree(tmp_path) == local
    wait_until(lambda: session_has_ended(run.pid))


def command(studio: Studio, output: Path, address: str, *words: str) -> subprocess.Popen[str]:
    """Starts `stargan-deploy batch --ray` in a session of its own."""
    targets = [word for target in TARGETS for word in ("--attrs", target)]
    spec = ["--model", DEMO_MODEL, "--backend", "eager", "--batch-size", str(BATCH_SIZE)]
    files = ["--input", studio.photos, "--output", output]
    code = "from stargan_deploy.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "batch", *files, *targets, *spec, "--ray", address, *words],
        env=os.environ | {"OMP_NUM_THREADS": str(studio.spec.threads)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
