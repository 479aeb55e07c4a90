"""Whole batches over a given translator, and what they leave."""

import re
from pathlib import Path

from stargan_deploy.batch.execute import BatchContext, execute_plan
from stargan_deploy.batch.photos.naming import NameTemplate
from stargan_deploy.batch.photos.photo_file import ImageFiles, PhotoFiles
from stargan_deploy.batch.pipeline import Pipeline
from stargan_deploy.batch.plan import BatchJob, ImageOptions, plan_batch
from stargan_deploy.batch.report import BatchReport
from stargan_deploy.batch.session import make_framing, settings_of
from stargan_deploy.batch.shard import WHOLE
from stargan_deploy.files.atomic import write_bytes
from stargan_deploy.inference.targets import name_targets
from stargan_deploy.inference.translator import Translator


def run(
    source: Path,
    output: Path,
    translator: Translator,
    *words: str,
    origin="predict",
    naming=None,
    shard=WHOLE,
    write=write_bytes,
    pictures=None,
    framing=None,
    **context,
) -> BatchReport:
    job = BatchJob(
        input=source,
        output=output,
        targets=name_targets(translator.card.labels, words or ("Blond_Hair",)),
        source=origin,
        options=pictures or ImageOptions(),
        naming=None if naming is None else NameTemplate(text=naming),
        shard=shard,
    )
    framing = framing or make_framing(job, translator.card)
    pipeline = Pipeline(
        job,
        translator,
        framing,
        source=PhotoFiles(job.options.keep),
        sink=ImageFiles(write),
    )
    settings = settings_of(job, translator, "fp32")
    found = BatchContext(settings=settings, card=translator.card, **context)
    return execute_plan(plan_batch(job), pipeline.work, found)


def pictures(folder: Path) -> dict[str, Path]:
    own = re.compile(r"(report|manifest)\b.*\.jsonl?")
    found = (path for path in folder.rglob("*") if path.is_file() and not own.fullmatch(path.name))
    return {path.relative_to(folder).as_posix(): path for path in found}


def write_all(folder: Path, contents: dict[str, bytes]) -> Path:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
