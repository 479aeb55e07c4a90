"""Feeds damaged photos to what `batch` reads photos with; only errors of ours may come out.

    python -m tests.fuzzing_photos                   1,000 mutations, spread over all formats
    python -m tests.fuzzing_photos --mutations 50

None may take longer than 5 s or make the process grow by a gigabyte. A crash of the interpreter
itself ends the script, so what it reads is printed first.
"""

import argparse
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path

from stargan_deploy.batch.photos.photo_file import decode_photo, read_photo
from stargan_deploy.errors import ImageError
from stargan_deploy.files.metadata import KEEPABLE
from stargan_deploy.inference.framing import WholePhoto
from tests.fuzzing import mutations
from tests.photos import photo_of_every_kind

SLOW_S = 5.0

MAX_GROWTH_BYTES = 1 << 30


def fuzz_photos(num: int, *, seed: int, folder: Path) -> list[str]:
    """Reads mutations of photos of every kind; returns the complaints, which should be none.

    Args:
        num: mutations altogether.
        seed: another one gives other mutations.
        folder: for the files.
    """
    photos = photo_of_every_kind()
    found, before = [], _peak_bytes()
    for place, (name, content) in enumerate(photos.items()):
        share = num // len(photos) + (place < num % len(photos))
        for index, mutant in enumerate(mutations(content, share, seed + place)):
            (folder / name).write_bytes(mutant)
            complaint = _complaint(folder / name)
            if complaint:
                found.append(f"{name} mutation {index} of seed {seed}: {complaint}")
    growth = _peak_bytes() - before
    if growth > MAX_GROWTH_BYTES:
        found.append(f"the process grew by {growth / 1e6:.0f} MB")
    return found


def _complaint(path: Path) -> str | None:
    start = time.perf_counter()
    try:
        image, _ = decode_photo(read_photo(path), frozenset(KEEPABLE))
        WholePhoto(crop_size=None, size=64).frame(image)
    except ImageError as error:
        if len(str(error)) > 2000:
            return f"a message of {len(str(error))} characters"
    except Exception:
        return traceback.format_exc()
    seconds = time.perf_counter() - start
    return f"took {seconds:.0f} s" if seconds > SLOW_S else None


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> int:
    """Runs the script; 1 where something else than an error of ours came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"photos: {options.mutations} mutations", flush=True)  # noqa: T201
    with tempfile.TemporaryDirectory() as folder:
        complaints = fuzz_photos(options.mutations, seed=options.seed, folder=Path(folder))
    print("\n".join(complaints) or "every photo was refused or read")  # noqa: T201
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
