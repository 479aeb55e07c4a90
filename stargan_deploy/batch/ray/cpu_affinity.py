"""Separate cores of this machine for workers that do not know one another."""

import os
import socket
from contextlib import suppress
from itertools import islice
from pathlib import Path

CORE_NAME = "\0stargan-deploy/core/{}"
"""A socket in Linux's abstract namespace, which vanishes with the process that has it."""

_claims: list[socket.socket] = []


def pin_to_free_cores(number: int) -> None:
    """Keep this process on cores that no other worker has, where the system can.

    Runtimes start as many threads as they see cores. Where too few are left, all are used.
    """
    if number == 0 or not hasattr(os, "sched_setaffinity"):
        return
    cores = set(islice(filter(_claim, sorted(os.sched_getaffinity(0))), number))
    if len(cores) < number:
        return
    for thread in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), cores)


def _claim(core: int) -> bool:
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(CORE_NAME.format(core))
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True
