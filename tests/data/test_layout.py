"""A data layout from outside the package, and what all layouts have in common."""

import numpy as np
import pytest

from stargan_deploy.card.labels import onehot_space
from stargan_deploy.config import merge
from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.inspect.check import check_folder
from stargan_deploy.data.layout import DataLayout, load_layout
from stargan_deploy.data.layouts.table import FileTable
from stargan_deploy.data.open import open_source
from stargan_deploy.data.registry import LAYOUTS, WITHOUT_FOLDER
from stargan_deploy.data.source import SequenceSource
from stargan_deploy.errors import ConfigError, DataError
from stargan_deploy.training.recipe import resolve_recipe
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.session import create_trainer
from tests.tiny_training import TINY


class ByInitial(DataLayout):
    """Images whose file name begins with their class."""

    name = "initials"
    summary = "images named by class"
    is_automatic = True

    def recognises(self, root):
        return (root / "INITIALS").is_file()

    def open(self, config, root, split):
        files = sorted(path.name for path in root.glob("*.png"))
        classes = config.attributes or tuple(sorted({name[0] for name in files}))
        files = [name for name in files if name[0] in classes]
        if not files:
            raise DataError(f"{root} holds no images of {classes}")
        labels = np.array([[name[0] == c for c in classes] for name in files], np.float32)
        return FileTable(
            root, files, labels, label_space=onehot_space(classes), description="initials"
        )


@pytest.fixture
def initials(tmp_path, write_images, monkeypatch):
    monkeypatch.setitem(LAYOUTS, "initials", f"{__name__}:ByInitial")
    folder = tmp_path / "data"
    write_images(folder, ["a1.png", "a2.png", "b1.png", "c1.png"], size=(32, 32))
    (folder / "INITIALS").touch()
    return folder


@pytest.mark.parametrize("kind", ["auto", "initials"])
def test_a_layout_from_outside_is_opened_checked_and_trained_on(initials, kind, tmp_path):
    source = open_source(DataConfig(kind=kind, root=str(initials)), "train")
    assert source.label_space.names == ("a", "b", "c")
    report = check_folder(initials, kind=kind, attributes=["a", "b"])
    assert (report.layout, report.labels) == ("initials", {"a": 2, "b": 1})
    assert report.remarks[0].startswith("no images are held out")
    data = {"kind": kind, "root": str(initials), "crop_size": 0, "image_size": 32}
    changes = {"data": data, "train": {"steps": 2}}
    trainer = create_trainer(resolve_recipe(merge(TINY, changes)), Run(tmp_path / "run"))
    assert trainer.labels.names == ("a", "b", "c")
    assert trainer.train().is_file()


def test_an_unknown_layout_is_refused_with_a_suggestion():
    with pytest.raises(ValueError, match="kind: unknown layout 'celba'; did you mean 'celeba'"):
        DataConfig(kind="celba", root="x")
    with pytest.raises(ConfigError, match="unknown layout 'celba'"):
        load_layout("celba")


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_registry_and_the_classes_agree(name):
    layout = load_layout(name)
    assert layout.name == name
    assert layout.summary
    assert type(layout).__doc__


@pytest.mark.parametrize("name", WITHOUT_FOLDER)
def test_drawn_images_have_no_folder_to_check(tmp_path, name):
    with pytest.raises(ConfigError, match="no folder to check"):
        check_folder(tmp_path, kind=name)


def test_a_list_of_images_is_a_source():
    pixels = [np.full((9, 8, 3), value, np.uint8) for value in range(3)]
    items = [(image, "whatever") for image in pixels]
    source = SequenceSource(items, np.eye(3), label_space=onehot_space(("a", "b", "c")))
    assert (len(source), source.name(1), source.set_sizes) == (3, "image 1", (3,))
    assert source.load(2).getpixel((0, 0)) == (2, 2, 2)
    assert SequenceSource(pixels).labels.shape == (3, 0)
    with pytest.raises(DataError, match="need an array of this shape"):
        SequenceSource(pixels, np.eye(3))
