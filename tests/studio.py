"""A batch in little: photos, pictures, and the order of things between them."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from stargan_deploy.batch.manifest.lines import OutputRecord, PhotoRecord
from stargan_deploy.batch.manifest.reader import place_below, read_manifests
from stargan_deploy.batch.manifest.writer import ManifestWriter
from stargan_deploy.batch.plan import Photo
from stargan_deploy.batch.resume import Decision, ResumePolicy, claim_in_groups, decide
from stargan_deploy.batch.settings import Settings
from stargan_deploy.batch.shard import WHOLE, Shard
from stargan_deploy.files.atomic import remove_temporaries, write_bytes
from tests.batch.test_settings import SETTINGS

FOLDERS = ("Blond_Hair", "Male")
RESUME = ResumePolicy(resume=True)
REDO = ResumePolicy(resume=True, changed="redo")
OVERWRITE = ResumePolicy(overwrite=True)
RESUME_OVERWRITE = ResumePolicy(resume=True, overwrite=True)


@dataclass
class Studio:
    """An input and an output folder, and a batch that turns bytes around."""

    root: Path
    settings: Settings = SETTINGS
    shard: Shard = WHOLE
    touched: list[str] = field(default_factory=list)
    """Photos that were translated, in order."""

    @property
    def input(self) -> Path:
        return self.root / "photos"

    @property
    def output(self) -> Path:
        return self.root / "out"

    def add(self, *names: str) -> None:
        for name in names:
            path = self.input / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"photo {name}".encode("utf-8", "surrogateescape") * 20)

    def photos(self) -> list[Photo]:
        names = sorted(p.relative_to(self.input) for p in self.input.rglob("*.jpg"))
        return [
            Photo(
                name=PurePosixPath(name),
                path=self.input / name,
                outputs=tuple(self.output / folder / name for folder in FOLDERS),
            )
            for name in names
            if self.shard.holds(name)
        ]

    def decide(self, policy: ResumePolicy = RESUME) -> Decision:
        return decide(
            self.photos(),
            output=self.output,
            earlier=read_manifests(self.output),
            settings=self.settings,
            policy=policy,
            shard=self.shard,
        )

    def run(
        self, policy: ResumePolicy = RESUME, *, end: Callable[[Photo], None] = lambda _: None
    ) -> None:
        """The order of things in a batch; `end` is called between pictures and record."""
        with ManifestWriter(self.output, shard=self.shard) as writer:
            decision = self.decide(policy)
            writer.begin(self.settings, read_manifests(self.output))
            remove_temporaries(path for photo in decision.to_do for path in photo.outputs)
            for photo in claim_in_groups(decision.to_do, writer, output=self.output):
                self.touched.append(photo.name.as_posix())
                record = translate(photo, self.output)
                end(photo)
                writer.append(record)

    def tree(self) -> dict[str, bytes]:
        """The output but for the manifests."""
        files = (path for path in self.output.rglob("*") if path.is_file())
        return {
            place_below(path, self.output): path.read_bytes()
            for path in files
            if not path.name.startswith("manifest")
        }


def translate(photo: Photo, output: Path) -> PhotoRecord:
    content = photo.path.read_bytes()
    record = PhotoRecord(
        photo=photo.name.as_posix(),
        input_sha256=hashlib.sha256(content).hexdigest(),
        input_bytes=len(content),
        result="translated",
    )
    if content == b"broken":
        return replace(record, result="failed", reason="broken")
    outputs = []
    for path in photo.outputs:
        picture = path.parts[-2].encode() + content[::-1]
        assert photo.may_replace or not path.exists()
        write_bytes(path, picture)
        digest = hashlib.sha256(picture).hexdigest()
        place = place_below(path, output)
        outputs.append(OutputRecord(path=place, sha256=digest, size_bytes=len(picture)))
    return replace(record, outputs=tuple(outputs))


def states(paths: Iterable[Path]) -> dict[Path, tuple[int, ...]]:
    """What changes when a file is replaced or written to."""
    found = {path: path.stat() for path in paths}
    return {path: (s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for path, s in found.items()}
