"""Batches from request to report, as a library."""

import dataclasses
import json
import re
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

import pytest
import torch

from stargan_deploy.batch import run as batch_run
from stargan_deploy.batch.manifest import reader
from stargan_deploy.batch.plan import BatchJob, ImageOptions, make_job, plan_batch
from stargan_deploy.batch.resume import ResumePolicy
from stargan_deploy.batch.run import BatchRequest, Pages, prepare_batch, run_batch, watch_batch
from stargan_deploy.batch.session import open_session, settings_of
from stargan_deploy.batch.settings import differences
from stargan_deploy.batch.shard import parse_shard
from stargan_deploy.devices import CPU
from stargan_deploy.errors import UsageError
from stargan_deploy.inference.choose import ChosenModel, RuntimeRequest
from stargan_deploy.inference.find import read_model
from tests.batch_runs import pictures

RESUME = ResumePolicy(resume=True)


@pytest.fixture
def request_of(tmp_path, checkpoint, photos):
    model = read_model(checkpoint)
    job = make_job(model.card, input=photos, output=tmp_path / "out", targets=["Blond_Hair"])
    runtime = RuntimeRequest(backend="eager", device=CPU)

    def make(**changes):
        return BatchRequest(**{"job": job, "model": model, "runtime": runtime, **changes})

    return make


def test_a_request_becomes_a_report(tmp_path, request_of, caplog):
    told = []
    with caplog.at_level("INFO"):
        report = run_batch(request_of(), on_progress=lambda *numbers: told.append(numbers))
    assert (report.num_translated, report.finished, report.backend) == (4, True, "eager")
    assert len(pictures(tmp_path / "out")) == 4
    assert told[-1] == (4, 4)
    assert "translating 4 photos to Blond_Hair with tiny.safetensors (eager on cpu)" in caplog.text


def test_preparing_writes_and_opens_nothing(tmp_path, request_of, monkeypatch):
    monkeypatch.setattr(ChosenModel, "open", lambda _: pytest.fail("opened"))
    prepared = prepare_batch(request_of())
    assert (len(prepared.plan.photos), prepared.chosen.backend) == (4, "eager")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("policy", [ResumePolicy(), RESUME, ResumePolicy(overwrite=True)])
def test_manifests_are_read_once(request_of, monkeypatch, policy):
    run_batch(request_of())
    read = []
    lines = reader._lines
    monkeypatch.setattr(reader, "_lines", lambda path: read.append(path) or lines(path))
    if policy == ResumePolicy():
        with pytest.raises(UsageError, match="4 of 4 images exist already"):
            run_batch(request_of(policy=policy))
    else:
        run_batch(request_of(policy=policy))
    assert [path.name for path in read] == ["manifest.jsonl"]


def test_manifests_that_change_before_the_lock_is_taken_are_read_again(request_of, monkeypatch):
    prepare = batch_run.prepare_batch

    def run_before_the_lock(request):
        prepared = prepare(request)
        monkeypatch.undo()
        run_batch(request)
        return prepared

    monkeypatch.setattr(batch_run, "prepare_batch", run_before_the_lock)
    report = run_batch(request_of(policy=RESUME))
    assert (report.num_done_before, report.num_pictures) == (4, 0)


def test_resuming_prefers_what_the_earlier_run_used(request_of, monkeypatch):
    run_batch(request_of())
    asked = []
    resolve = batch_run.resolve_runtime

    def noted(model, wanted, **options):
        asked.append((wanted.earlier.backend, wanted.batch_size))
        return resolve(model, wanted, **options)

    monkeypatch.setattr(batch_run, "resolve_runtime", noted)
    assert run_batch(request_of(policy=RESUME)).num_done_before == 4
    assert asked == [("eager", 16)]


def started(folder):
    """The settings that the newest run wrote."""
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    return [row["settings"] for row in rows if "settings" in row][-1]


def test_threads_are_pinned_recorded_and_resumed(tmp_path, request_of):
    run_batch(request_of())
    assert started(tmp_path / "out")["options"]["threads"] == torch.get_num_threads()
    path = tmp_path / "out" / "manifest.jsonl"
    text = path.read_text()
    other = torch.get_num_threads() + 1
    path.write_text(text.replace(f'"threads":{other - 1}', f'"threads":{other}'))
    assert path.read_text() != text
    next(iter(pictures(tmp_path / "out").values())).unlink()
    report = run_batch(request_of(policy=RESUME))
    assert (report.num_done_before, report.num_translated) == (3, 4)
    assert started(tmp_path / "out")["options"]["threads"] == other
    assert torch.get_num_threads() == other - 1


def test_a_run_whose_threads_were_free_is_resumed_so(tmp_path, request_of):
    """Versions before did not pin them."""
    run_batch(request_of())
    path = tmp_path / "out" / "manifest.jsonl"
    text = path.read_text()
    path.write_text(re.sub(r'"threads":\d+,|,"threads":\d+', "", text))
    assert "threads" not in path.read_text()
    next(iter(pictures(tmp_path / "out").values())).unlink()
    report = run_batch(request_of(policy=RESUME))
    assert (report.num_done_before, report.num_translated) == (3, 4)
    assert "threads" not in started(tmp_path / "out")["options"]


def test_threads_that_do_not_matter_are_not_recorded(tmp_path, request_of, artefact):
    request = request_of(model=read_model(artefact), runtime=RuntimeRequest(device=CPU))
    run_batch(request)
    assert "threads" not in started(tmp_path / "out")["options"]


def test_workers_get_the_number_that_was_pinned(request_of, monkeypatch):
    """A worker has fewer processors than the driver, and would pin another number by itself."""
    given = []

    @contextmanager
    def ray_work(_address, model, _job, *, settings, **_options):
        given.append((model.threads, settings.options["threads"]))
        yield None

    monkeypatch.setattr("stargan_deploy.batch.ray.cluster.ray_work", ray_work)
    request = request_of(ray="local")
    with batch_run._opened(request, prepare_batch(request).chosen, lambda _done, _all: None):
        assert given == [(torch.get_num_threads(),) * 2]


@pytest.mark.parametrize("found", [None, 3, True, -1, "2", {"threads": "x"}, {"threads": -1}])
def test_a_forged_number_of_threads_is_none(found):
    assert batch_run._number(found, "threads") is None


def test_a_session_serves_several_batches(tmp_path, request_of):
    request = request_of()
    chosen = prepare_batch(request).chosen
    with open_session(chosen, request.job) as session:
        for name in ("one", "two"):
            job = replace(request.job, output=tmp_path / name)
            run_batch(replace(request, job=job, model=session.model), session=session)
    one, two = (pictures(tmp_path / name) for name in ("one", "two"))
    assert {n: p.read_bytes() for n, p in one.items()} == {
        n: p.read_bytes() for n, p in two.items()
    }


def test_pages_are_made_of_a_finished_batch(tmp_path, request_of):
    run_batch(request_of(pages=Pages(grid=True, gallery=True)))
    assert (tmp_path / "out/gallery.html").is_file()
    assert (tmp_path / "out/contact-sheet-001.jpg").is_file()


def test_watching_yields_a_report_for_each_group(request_of):
    reports = watch_batch(request_of())
    (report,) = islice(reports, 1)
    assert report.num_translated == 4
    reports.close()


@pytest.mark.parametrize("change", [{"ray": "local"}, {"pages": Pages(grid=True)}])
def test_watching_goes_without_ray_and_pages(request_of, change):
    with pytest.raises(UsageError, match="`watch` goes without"):
        next(watch_batch(request_of(**change)))


def test_strips_have_no_pages(request_of):
    job = replace(request_of().job, options=ImageOptions(strengths=(0.5, 1)))
    with pytest.raises(UsageError, match="several make strips"):
        request_of(job=job, pages=Pages(gallery=True))


def test_the_first_photos_by_name(request_of):
    job = replace(request_of().job, max_photos=2)
    names = [photo.name.as_posix() for photo in plan_batch(job).photos]
    assert names == [p.name.as_posix() for p in plan_batch(request_of().job).photos][:2]


PLACES = {"input", "parts", "output", "shard", "max_photos"}
"""Fields of a job that say which photos and where, and not what is made of them."""


def test_everything_else_in_a_job_is_in_its_settings(request_of, make_translator):
    job, translator = request_of().job, make_translator()
    changes = {
        "targets": make_job(translator.card, input=job.input, output=job.output, targets=["Young"]),
        "source": replace(job, source="zeros"),
        "options": replace(job, options=ImageOptions(fit="pad")),
        "naming": make_job(
            translator.card,
            input=job.input,
            output=job.output,
            targets=["Blond_Hair"],
            naming="{stem}-{target}",
        ),
    }
    assert changes.keys() | PLACES == {field.name for field in dataclasses.fields(BatchJob)}
    before = settings_of(job, translator, "fp32").to_mapping()
    for changed in changes.values():
        assert differences(before, settings_of(changed, translator, "fp32").to_mapping())
    places = replace(job, shard=parse_shard("1/2"), max_photos=1)
    assert settings_of(places, translator, "fp32").to_mapping() == before


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ({"source": "zeros"}, "`source` zeros gives the photos' own labels"),
        ({"options": ImageOptions(strengths=(0.5,))}, "`strengths` go part of the way"),
    ],
)
def test_models_without_labels_take_no_strength_and_no_source(
    tmp_path, checkpoint, words, complaint
):
    card = read_model(checkpoint).card
    card = replace(card, labels=replace(card.labels, sets=()))
    with pytest.raises(UsageError, match=complaint):
        make_job(card, input=tmp_path, output=tmp_path / "out", **words)
