"""Shards: the photos of one folder split among machines that never talk to one another."""

import hashlib
import math
import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePath

from stargan_deploy.errors import UsageError

MAX_SHARDS = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One of several equal parts of the photos."""

    index: int
    """From 1 to `count`."""
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_SHARDS:
            raise UsageError(f"there can be 1 to {MAX_SHARDS} shards, not {self.count}")
        if not 1 <= self.index <= self.count:
            raise UsageError(
                f"there is no shard {self.index}/{self.count}: shards count from 1, so the last "
                f"one is {self.count}/{self.count}"
            )

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def holds(self, photo: PurePath | str) -> bool:
        """Whether a photo, by its path below the input, belongs to this shard."""
        return shard_of(photo, self.count) == self.index

    def overlaps(self, other: "Shard") -> bool:
        """Whether a photo could belong to both; shards of one count have none in common."""
        return (self.index - other.index) % math.gcd(self.count, other.count) == 0


WHOLE = Shard(index=1, count=1)
"""All photos."""


def parse_shard(text: str) -> Shard:
    """Read `I/N`.

    Raises:
        UsageError: it is not two numbers, or there is no such shard.
    """
    found = re.fullmatch(r"([0-9]{1,7})/([0-9]{1,7})", text.strip())
    if found is None:
        raise UsageError(f"`shard` takes I/N, like 1/8 for the first of eight, not {text!r}")
    return Shard(index=int(found[1]), count=int(found[2]))


def shard_of(photo: PurePath | str, num_shards: int) -> int:
    """Return the shard of a photo, from 1 to `num_shards`.

    It follows from the photo's name alone, so that new photos do not move old ones, and from the
    name's composed form, which some file systems give where others give the decomposed one.

    Args:
        photo: path below the input folder.
        num_shards: how many there are.
    """
    text = photo if isinstance(photo, str) else photo.as_posix()
    name = unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big") % num_shards + 1
