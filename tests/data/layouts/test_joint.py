import functools

import numpy as np
import pytest

from stargan_deploy.config import from_mapping, to_mapping
from stargan_deploy.data.batches.loading import first_images
from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.open import open_source, place_roots
from stargan_deploy.errors import ConfigError, DataError, LabelError

FACES = {"kind": "synthetic", "attributes": ["Blond_Hair", "Male"]}


def config(folder, **changes):
    sets = {"faces": FACES, "moods": {"root": str(folder)}}
    table = {"sets": sets, "image_size": 32, "crop_size": 0, "num_synthetic": 5} | changes
    return from_mapping(DataConfig, table)


@pytest.fixture
def moods(tmp_path, write_images):
    write_images(tmp_path / "moods", ["happy/1.png", "happy/2.png", "sad/3.png"], size=(60, 40))
    return tmp_path / "moods"


def test_each_image_has_its_set_s_labels_and_mask(moods):
    source = open_source(config(moods), "train")
    assert (len(source), source.set_sizes) == (8, (5, 3))
    assert source.label_space.names == ("Blond_Hair", "Male", "happy", "sad")
    assert [label_set.name for label_set in source.label_space.sets] == ["faces", "moods"]
    alone = open_source(config(moods).set_configs()["faces"], "train")
    assert np.array_equal(source.labels[:5, :2], alone.labels)
    assert np.all(source.labels[:5, 2:] == [0, 0, 1, 0])
    assert source.labels[5:].tolist() == [[0, 0, 1, 0, 0, 1]] * 2 + [[0, 0, 0, 1, 0, 1]]
    assert source.description == "synthetic faces + moods"
    assert source.name(5) == "moods/happy/1.png"


def test_each_set_has_its_own_crop(moods):
    sets = {"faces": FACES | {"crop_size": 16}, "moods": {"root": str(moods), "crop_size": 20}}
    source = open_source(config(moods, sets=sets, crop_size=178), "train")
    assert [source.load(index).size for index in (0, 5)] == [(16, 16), (20, 20)]
    whole = open_source(config(moods), "train")
    assert [whole.load(index).size for index in (0, 5)] == [(32, 32), (40, 40)]
    batch = first_images(source, config(moods, sets=sets), 2)
    own = source.load(5).resize((32, 32), 2)
    assert np.array_equal(batch["image"][1].permute(1, 2, 0).numpy(), np.asarray(own))


def test_sample_rows_take_turns(moods):
    source = open_source(config(moods), "train")
    batch = first_images(source, config(moods), 4)
    assert batch["image"].shape == (4, 3, 32, 32)
    assert batch["label"][:, -2:].tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]


def test_one_label_in_two_sets_is_refused(moods, write_images, tmp_path):
    write_images(tmp_path / "other", ["sad/1.png", "glad/2.png"])
    sets = {"moods": {"root": str(moods)}, "other": {"root": str(tmp_path / "other")}}
    with pytest.raises(LabelError, match=r"both moods and other know a label 'sad'"):
        open_source(config(moods, sets=sets), "train")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"sets": {"a": {"root": ""}}}, r"sets\.a\.root is needed"),
        ({"sets": {"a": {"root": "x"}}}, "at least two"),
        ({"sets": {"a b": FACES, "c": FACES}}, "'a b' is not a valid name"),
        ({"root": "x"}, "root belongs to one data set"),
        ({"kind": "celeba"}, "kind belongs to one data set"),
        ({"attributes": ["Male"]}, "attributes belongs to one data set"),
        ({"sets": {"a": {"rooot": "x"}}}, r"did you mean 'sets\.a\.root'"),
        ({"sets": {"a": FACES | {"crop_size": -1}}}, "crop_size cannot be negative"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, complaint, tmp_path):
    with pytest.raises(ConfigError, match=complaint):
        config(tmp_path, **changes)


def test_settings_survive_being_saved(tmp_path):
    assert from_mapping(DataConfig, to_mapping(config(tmp_path))) == config(tmp_path)


def test_places_of_data_folders():
    places = functools.partial(place_roots, wanted={})
    recipe = {"sets": {"a": {"kind": "celeba"}, "drawn": FACES, "b": {}}}
    assert places(recipe, ["/x", "/y"]) == {"sets": {"a": {"root": "/x"}, "b": {"root": "/y"}}}
    assert places({}, ["/x"]) == {"root": "/x"}
    assert places({}, ["/p/x.csv", "/y z"]) == {
        "sets": {"x": {"root": "/p/x.csv"}, "y_z": {"root": "/y z"}}
    }
    assert places(recipe, []) == {}
    with pytest.raises(ConfigError, match=r"joins 2 data sets \(a, b\), and 1 .*give `root` once"):
        places(recipe, ["/x"])
    with pytest.raises(ConfigError, match="two data folders have the same name"):
        places({}, ["/x/a", "/y/a"])


def test_a_set_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no such data folder.*none"):
        open_source(config(tmp_path / "none"), "train")
