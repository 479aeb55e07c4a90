import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from stargan_deploy.data.layouts.synthetic import SyntheticFaces, draw_attributes, write_celeba
from stargan_deploy.data.synthetic.portrait import ATTRIBUTES, draw_face
from stargan_deploy.errors import OutputError

HAIR = ("Black_Hair", "Blond_Hair", "Brown_Hair")


def pixels(image: Image.Image) -> npt.NDArray[np.int64]:
    return np.asarray(image).astype(np.int64)


def drawn(
    hair: str = "Brown_Hair", *, seed: int, size: int = 64, others: tuple[str, ...] = ()
) -> Image.Image:
    return draw_face({hair: True, **dict.fromkeys(others, True)}, seed=seed, size=size)


def changed(first: Image.Image, second: Image.Image) -> npt.NDArray[np.bool_]:
    return np.asarray(np.any(pixels(first) != pixels(second), axis=2))


@pytest.mark.parametrize("size", [32, 48, 64, 100, 128])
def test_a_face_is_an_rgb_picture_of_the_asked_size(size: int) -> None:
    face = drawn(seed=3, size=size)
    assert (face.mode, face.size) == ("RGB", (size, size))
    assert pixels(face).std() > 20


def test_the_picture_does_not_depend_on_its_size_but_for_detail() -> None:
    large = drawn(seed=3, size=128).resize((32, 32), Image.Resampling.BOX)
    assert np.abs(pixels(large) - pixels(drawn(seed=3, size=32))).mean() < 3


def test_the_same_seed_and_attributes_give_the_same_picture() -> None:
    first = draw_face(draw_attributes(5), seed=5)
    assert not changed(first, draw_face(draw_attributes(5), seed=5)).any()


def test_seeds_give_different_people_who_fill_the_same_place() -> None:
    faces = [drawn(seed=seed) for seed in range(40)]
    assert len({face.tobytes() for face in faces}) == 40
    skin_spread = np.std([pixels(face)[38, 32] for face in faces], axis=0).mean()
    assert skin_spread > 15


@pytest.mark.parametrize("others", [(), ("Male",), ("Young",), ("Male", "Young", "Eyeglasses")])
def test_hair_colour_changes_nothing_but_hair_and_brows(others: tuple[str, ...]) -> None:
    for seed in range(10):
        faces = [drawn(hair, seed=seed, others=others) for hair in HAIR]
        for first, second in itertools.combinations(faces, 2):
            hair = changed(first, second)
            assert 0.05 < hair.mean() < 0.5
            assert not hair[31:45, 26:38].any()  # from the eyes to the mouth
            assert not hair[:, :2].any()  # background
            assert not hair[60:, 28:36].any()  # clothes


@pytest.mark.parametrize(
    ("attribute", "rows"),
    [("Smiling", slice(24, 54)), ("Eyeglasses", slice(22, 40))],
)
def test_a_facial_attribute_changes_only_its_part_of_the_face(attribute: str, rows: slice) -> None:
    for seed in range(10):
        plain = drawn(seed=seed, others=("Young",))
        changes = changed(plain, drawn(seed=seed, others=("Young", attribute)))
        assert changes[rows].sum() > 40
        changes[rows] = False
        assert not changes.any()


@pytest.mark.parametrize("attribute", ["Male", "Young"])
def test_a_personal_attribute_leaves_the_background_alone(attribute: str) -> None:
    for seed in range(10):
        changes = changed(drawn(seed=seed), drawn(seed=seed, others=(attribute,)))
        assert changes.mean() > 0.05
        assert not changes[:48, :4].any()
        assert not changes[:48, -4:].any()


def test_every_attribute_is_visible_at_its_place() -> None:
    def mean_change(attribute: str, rows: slice, columns: slice) -> float:
        changes = []
        for seed in range(20):
            with_it, without = drawn(seed=seed, others=(attribute,)), drawn(seed=seed)
            changes.append(np.abs(pixels(with_it) - pixels(without))[rows, columns].mean())
        return float(np.mean(changes))

    assert mean_change("Smiling", slice(43, 51), slice(26, 38)) > 15
    assert mean_change("Eyeglasses", slice(26, 36), slice(18, 46)) > 15
    assert mean_change("Young", slice(18, 24), slice(24, 40)) > 5
    assert mean_change("Male", slice(30, 50), slice(8, 18)) > 15


def test_hair_colours_are_far_apart_over_many_people() -> None:
    colours: dict[str, list[npt.NDArray[np.float64]]] = {hair: [] for hair in HAIR}
    for seed in range(100):
        others = {name: value for name, value in draw_attributes(seed).items() if name not in HAIR}
        faces = {hair: pixels(draw_face({hair: True, **others}, seed=seed)) for hair in HAIR}
        region = np.abs(faces["Black_Hair"] - faces["Blond_Hair"]).sum(axis=2) > 200
        for hair, face in faces.items():
            colours[hair].append(face[region].mean(axis=0))
    luma = {hair: np.array(rows) @ (0.299, 0.587, 0.114) for hair, rows in colours.items()}
    assert luma["Black_Hair"].max() + 20 < luma["Brown_Hair"].min()
    assert luma["Brown_Hair"].max() + 40 < luma["Blond_Hair"].min()
    assert luma["Black_Hair"].max() < 70


def test_without_a_hair_colour_the_hair_is_grey() -> None:
    grey, black = pixels(draw_face({}, seed=1)), pixels(drawn("Black_Hair", seed=1))
    region = np.abs(grey - black).sum(axis=2) > 250
    red, _, blue = grey[region].mean(axis=0)
    assert region.any()
    assert abs(red - blue) < 25


def test_an_unknown_attribute_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'Blonde_Hair'.*Blond_Hair"):
        draw_face({"Blonde_Hair": False}, seed=0)


def test_two_hair_colours_are_refused() -> None:
    with pytest.raises(ValueError, match="Black_Hair and Brown_Hair"):
        draw_face({"Brown_Hair": True, "Black_Hair": True}, seed=0)


def test_drawn_attributes_have_one_hair_colour_and_fair_chances() -> None:
    drawn_sets = [draw_attributes(seed) for seed in range(600)]
    assert all(tuple(drawn_set) == ATTRIBUTES for drawn_set in drawn_sets)
    assert all(sum(drawn_set[hair] for hair in HAIR) == 1 for drawn_set in drawn_sets)
    shares = dict(
        zip(ATTRIBUTES, np.mean([[*d.values()] for d in drawn_sets], axis=0), strict=True)
    )
    assert shares == pytest.approx(
        {
            **dict.fromkeys(HAIR, 1 / 3),
            "Male": 0.5,
            "Young": 0.5,
            "Smiling": 0.5,
            "Eyeglasses": 0.3,
        },
        abs=0.08,
    )


def test_an_image_of_a_set_does_not_depend_on_the_length_of_the_set() -> None:
    short, long = SyntheticFaces(4, seed=7), SyntheticFaces(30, seed=7)
    assert not changed(short.load(3), long.load(3)).any()
    assert np.array_equal(short.labels, long.labels[:4])


def test_images_of_different_seeds_are_disjoint() -> None:
    sets = [SyntheticFaces(25, seed=seed, size=32) for seed in range(4)]
    assert len({faces.load(index).tobytes() for faces in sets for index in range(25)}) == 100


def test_labels_say_what_the_image_shows() -> None:
    faces = SyntheticFaces(60)
    assert faces.label_space.names == ATTRIBUTES
    assert faces.labels.shape == (60, 7)
    assert faces.labels.dtype == np.float32
    assert set(np.unique(faces.labels)) == {0, 1}
    for index, row in enumerate(faces.labels):
        top = pixels(faces.load(index))[5:18, 24:40]
        darkest = top.mean(axis=2).min()
        assert (darkest < 60) == bool(row[0])


def test_names_count_from_one_and_an_index_outside_the_set_is_refused() -> None:
    faces = SyntheticFaces(3)
    assert [faces.name(index) for index in range(len(faces))] == [
        "000001.png",
        "000002.png",
        "000003.png",
    ]
    for index in (3, -1):
        with pytest.raises(IndexError):
            faces.load(index)


def test_an_empty_set_has_an_empty_table() -> None:
    assert SyntheticFaces(0).labels.shape == (0, 7)
    with pytest.raises(ValueError, match="at least 0"):
        SyntheticFaces(-1)


def test_celeba_layout_holds_the_set(tmp_path: Path) -> None:
    write_celeba(tmp_path / "set", 5, size=32, seed=2)
    faces = SyntheticFaces(5, size=32, seed=2)
    lines = (tmp_path / "set" / "list_attr_celeba.txt").read_text().splitlines()
    assert lines[0] == "5"
    assert tuple(lines[1].split()) == ATTRIBUTES
    for index, line in enumerate(lines[2:]):
        name, *signs = line.split()
        assert name == faces.name(index)
        assert [int(sign) for sign in signs] == (faces.labels[index] * 2 - 1).tolist()
        with Image.open(tmp_path / "set" / "images" / name) as image:
            assert not changed(image.convert("RGB"), faces.load(index)).any()
    assert len(list((tmp_path / "set" / "images").iterdir())) == len(lines) - 2 == 5


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        write_celeba(tmp_path / "file", 1)
