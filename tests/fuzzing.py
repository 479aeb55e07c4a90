"""Feeds damaged files to every reader of cards and weights; only errors of ours may come out.

    python -m tests.fuzzing                    1,000 mutations of each kind of file
    python -m tests.fuzzing --mutations 50 --only onnx

Each file is read as commands read it: its card, and where it still has one, its weights or graph.
A crash of the interpreter itself ends the script, so what it reads is printed first.
"""

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from stargan_deploy.backends.registry import open_runtime, read_card_of
from stargan_deploy.card.card import parse_card
from stargan_deploy.errors import StarganDeployError

SLOW_S = 20.0
"""What no reader may take for one tiny file."""


def mutations(content: bytes, num: int, seed: int) -> Iterator[bytes]:
    """Damaged copies: bits, bytes, cuts, repeats, swaps, and numbers made huge."""
    rng = random.Random(seed)
    for _ in range(num):
        data = bytearray(content)
        for _ in range(rng.choice((1, 1, 2, 8))):
            rng.choice(KINDS)(data, rng)
        yield bytes(data)


def _flip_bit(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _flip_near_start(data: bytearray, rng: random.Random) -> None:
    """Headers are short, and damage there is the more interesting."""
    if data:
        data[rng.randrange(min(len(data), 4096))] = rng.randrange(256)


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _drop(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    del data[start : start + rng.choice((1, 4, 100))]


def _repeat(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    data[start:start] = data[start : start + rng.choice((1, 16, 500))]


def _huge_number(data: bytearray, rng: random.Random) -> None:
    places = [i for i, byte in enumerate(data[:20000]) if chr(byte).isdigit()]
    if places:
        place = rng.choice(places)
        data[place : place + 1] = rng.choice((b"-1", b"99999999999999999999", b"1e999", b"null"))


def _deep(data: bytearray, rng: random.Random) -> None:
    place = rng.randrange(min(len(data), 4096) + 1)
    data[place:place] = b"[" * 5000


KINDS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip_bit,
    _flip_near_start,
    _flip_near_start,
    _cut,
    _drop,
    _repeat,
    _huge_number,
    _deep,
)


def read_everything(path: Path) -> None:
    """What a command does with a file: the card, then weights or graph, on every entry point.

    Raises:
        StarganDeployError: what a user would be told.
    """
    card = read_card_of(path)
    card.to_json()
    with open_runtime(path, backend=_backend_of(path), device="cpu"):
        pass


def read_card_text(content: bytes) -> None:
    """The card's own reader."""
    parse_card(content.decode("utf-8", "replace"), where="fuzzing").to_json()


def fuzz_file(original: Path, num: int, *, seed: int, folder: Path) -> list[str]:
    """Reads mutations of a file; returns the complaints, which should be none."""
    path = folder / f"mutant{original.suffix}"
    companions = {p: p.read_bytes() for p in original.parent.iterdir() if p.is_file()}
    for companion, content in companions.items():
        (folder / companion.name.replace(original.stem, "mutant", 1)).write_bytes(content)
    found = []
    for index, content in enumerate(mutations(original.read_bytes(), num, seed)):
        path.write_bytes(content)
        complaint = _complaint(lambda: read_everything(path))
        if complaint:
            found.append(f"{original.suffix} mutation {index} of seed {seed}: {complaint}")
    return found


def fuzz_card(text: str, num: int, *, seed: int) -> list[str]:
    """Reads mutations of a card; returns the complaints, which should be none."""
    found = []
    for index, content in enumerate(mutations(text.encode(), num, seed)):
        complaint = _complaint(lambda content=content: read_card_text(content))
        if complaint:
            found.append(f"card mutation {index} of seed {seed}: {complaint}")
    return found


def _complaint(read: Callable[[], None]) -> str | None:
    start = time.perf_counter()
    try:
        read()
    except StarganDeployError as error:
        if len(str(error)) > 2000:
            return f"a message of {len(str(error))} characters"
    except Exception:
        return traceback.format_exc()
    seconds = time.perf_counter() - start
    return f"took {seconds:.0f} s" if seconds > SLOW_S else None


def _backend_of(path: Path) -> str:
    from stargan_deploy.backends.registry import backends_for

    return backends_for(path)[0]


def make_files(folder: Path, formats: tuple[str, ...]) -> dict[str, Path]:
    """A tiny checkpoint and its exports, each in a folder of its own."""
    from stargan_deploy.backends.registry import format_spec
    from stargan_deploy.export.export import export
    from stargan_deploy.export.plan import ExportOptions
    from tests.conftest import make_checkpoint

    (folder / "checkpoint").mkdir()
    files = {"checkpoint": make_checkpoint(folder / "checkpoint" / "tiny.safetensors")}
    for name in formats:
        out = folder / name / f"tiny{format_spec(name).suffix}"
        options = ExportOptions(format=name, precision="fp32")
        files[name] = export(files["checkpoint"], out=out, options=options).files[0]
    return files


def main() -> int:
    """Runs the script; 1 where a reader let something else than an error of ours out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=["onnx", "openvino", "pt2", "trt"])
    options = parser.parse_args()
    complaints = []
    with tempfile.TemporaryDirectory() as name:
        files = make_files(Path(name), tuple(options.only))
        card = read_card_of(files["checkpoint"]).to_json()
        complaints += fuzz_card(card, options.mutations, seed=options.seed)
        for kind, path in files.items():
            print(f"{kind}: {options.mutations} mutations of {path.name}", flush=True)  # noqa: T201
            folder = Path(name) / f"mutants-{kind}"
            folder.mkdir()
            complaints += fuzz_file(path, options.mutations, seed=options.seed, folder=folder)
    print("\n".join(complaints) or "every reader refused or read everything")  # noqa: T201
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
