"""Tiny models with styles, from the weights of official checkpoints."""

from pathlib import Path

import pytest

from stargan_deploy.families.base import OfficialOptions
from stargan_deploy.families.convert import convert_official

DOMAINS = ("cat", "dog", "wild")

FILES = {"plain": "tiny-afhq-nets.ckpt", "with_skip": "tiny-celeba_hq-nets_ema.ckpt"}


@pytest.fixture(scope="session")
def styled(tmp_path_factory: pytest.TempPathFactory, official: Path) -> dict[str, Path]:
    """Checkpoints of StarGAN v2 for 64x64, without and with a high-pass skip."""
    folder = tmp_path_factory.mktemp("styled")
    made = {name: folder / f"{name}.safetensors" for name in FILES}
    for name, out in made.items():
        path = official / "stargan_v2" / FILES[name]
        convert_official(path, out, OfficialOptions(names=DOMAINS))
    return made
