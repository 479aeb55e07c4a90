"""Tiny real models that most tests share."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from stargan_deploy.card.card import ModelCard, Preprocessing
from stargan_deploy.card.labels import multilabel_space
from stargan_deploy.cli import main
from stargan_deploy.cli.console import set_quiet
from stargan_deploy.data.layouts import synthetic
from stargan_deploy.families.checkpoint import network_tensors, save_checkpoint
from stargan_deploy.families.registry import load_family

pytest_plugins = [
    "tests.artefact",
    "tests.browser",
    "tests.exported",
    "tests.photos",
    "tests.styled_models",
    "tests.tiny_training",
]

torch.set_num_threads(1)  # tiny networks gain nothing from more, and workers share the cores

ATTRIBUTES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")


def make_checkpoint(
    path: Path,
    *,
    image_size: int = 32,
    discriminator: bool = True,
    attributes: Sequence[str] = ATTRIBUTES,
    training_data: str = "",
) -> Path:
    """Writes a tiny StarGAN checkpoint with random, seeded weights."""
    labels = multilabel_space(attributes)
    network = {
        "label_width": labels.label_width,
        "num_labels": labels.num_labels,
        "image_size": image_size,
        "generator_conv_dim": 8,
        "generator_blocks": 1,
        "discriminator_conv_dim": 8,
        "discriminator_layers": 3 if discriminator else 0,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        networks = load_family("stargan").build_networks(network)
    card = ModelCard(
        family="stargan",
        network=network,
        weights="raw",
        step=0,
        labels=labels,
        preprocessing=Preprocessing(image_size=image_size),
        entry_points={},
        training_data=training_data,
    )
    card = replace(card, entry_points=load_family("stargan").entry_points(networks, card))
    save_checkpoint(path, card, network_tensors(networks))
    return path


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint with generator and discriminator for 32x32 images."""
    return make_checkpoint(tmp_path_factory.mktemp("model") / "tiny.safetensors")


@pytest.fixture(scope="session")
def demo_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny stand-in for the demo model: 64x64, the attributes of the synthetic faces."""
    return make_checkpoint(
        tmp_path_factory.mktemp("model") / "demo.safetensors",
        image_size=64,
        attributes=synthetic.ATTRIBUTES,
        training_data="synthetic faces",
    )


@pytest.fixture(scope="session")
def official() -> Path:
    """Tiny checkpoints, outputs and training steps computed by the official code."""
    return Path(__file__).parent / "fixtures"


@pytest.fixture
def real_data() -> Path:
    """The folder of real images that STARGAN_DEPLOY_DATA names; skips where it names none."""
    folder = os.environ.get("STARGAN_DEPLOY_DATA", "")
    if not folder:
        pytest.skip("STARGAN_DEPLOY_DATA is not set")
    return Path(folder)


@dataclass(frozen=True)
class CommandResult:
    """What a command left: exit code, stdout and stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., CommandResult]:
    """Runs `stargan-deploy` with some words, in an empty folder and in this process."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> CommandResult:
        monkeypatch.setattr("sys.argv", ["stargan-deploy", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
        finally:
            set_quiet(False)
        out, err = capsys.readouterr()
        return CommandResult(code=code, out=out, err=err)

    return run


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Tells how a test worker ended that went down, which pytest-xdist keeps to itself."""
    process = getattr(node.gateway._io, "popen", None)
    if error and process is not None:
        print(f"\n{node.gateway.id} ended with exit code {process.wait(10)}")  # noqa: T201
