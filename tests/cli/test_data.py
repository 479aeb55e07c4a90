import json
import sys

import pytest
from PIL import Image

from stargan_deploy.data.layouts.synthetic import write_celeba
from stargan_deploy.families.checkpoint import load_checkpoint
from tests.tiny_families import save_noise, write_digits, write_domains, write_pairs


@pytest.fixture
def faces(tmp_path):
    write_celeba(tmp_path / "faces", 9, size=32)
    return tmp_path / "faces"


def test_check_says_what_a_folder_holds(command, faces):
    result = command("data", "check", "faces")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0] == "layout   CelebA's layout (images and an attribute list)"
    assert lines[1] == "images   9: 9 in colour, 0 grey, 0 broken"
    assert "sizes    32x32 (9)" in lines
    assert any(line.startswith("together") for line in lines)
    assert result.err == "next: stargan-deploy train faces64 --data faces\n"


def test_check_as_json(command, faces):
    result = command("data", "check", "faces", "--attrs", "Male,Young", "--json")
    report = json.loads(result.out)
    assert (report["layout"], report["num_images"]) == ("celeba", 9)
    assert list(report["together"]) == list(report["labels"]) == ["Male", "Young"]


def test_broken_images_are_exit_code_3_and_one_line(command, faces):
    (faces / "images" / "000003.png").write_bytes(b"broken")
    result = command("data", "check", "faces")
    assert result.code == 3
    assert "1 broken" in result.out
    (line,) = result.err.splitlines()
    assert "1 of 9 images in faces are broken" in line
    assert "000003.png is not an image" in line
    assert json.loads(command("data", "check", "faces", "--json").out)["broken"][0]["reason"]


def test_domains_have_no_table(command, tmp_path):
    for name in ("a/1.png", "b/2.png"):
        (tmp_path / "moods" / name).parent.mkdir(parents=True)
        Image.new("L", (30, 20), 9).save(tmp_path / "moods" / name)
    result = command("data", "check", "moods")
    assert "a          1   50.0%" in result.out
    assert "0 in colour, 2 grey" in result.out
    assert "together" not in result.out


def test_many_labels_show_a_table_of_the_first(command, tmp_path):
    names = [f"L{number}" for number in range(12)]
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    (tmp_path / "labels.csv").write_text(f"file,{','.join(names)}\n1.png{',1' * 12}\n")
    result = command("data", "check", "labels.csv")
    assert "(4 more labels: choose with --attrs A,B, or see --json)" in result.out
    assert len(result.out.splitlines()[-2].split()) == 9


def test_mnist_is_a_table_of_classes_by_split(command, tmp_path):
    write_digits(tmp_path / "mnist")
    result = command("data", "check", "mnist")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0] == "layout   MNIST's IDX files (data.kind = idx)"
    assert "train    12 images: 28x28 (12)" in lines
    assert lines[-4].split() == ["all", "train", "test"]
    assert lines[-1].split() == ["2", "8", "33.3%", "4", "4"]
    assert len({len(line) for line in lines[-4:]}) == 1


def test_faults_of_mnist_are_lines_and_exit_code_3(command, tmp_path):
    write_digits(tmp_path / "mnist")
    (tmp_path / "mnist" / "train-labels-idx1-ubyte.gz").write_bytes(b"\x1f\x8b\x08")
    (tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz").write_bytes(b"")
    result = command("data", "check", "mnist")
    assert result.code == 3
    problems = [line for line in result.out.splitlines() if line.startswith("problem  ")]
    assert ["train-labels" in problems[0], "t10k-images" in problems[1]] == [True, True]
    (line,) = result.err.splitlines()
    assert line.endswith("; ".join(problem.removeprefix("problem  ") for problem in problems))
    result = command("data", "check", "mnist", "--json")
    assert (result.code, len(json.loads(result.out)["problems"])) == (3, 2)


def test_pairs_and_what_is_none_among_them(command, tmp_path):
    write_pairs(tmp_path / "pairs")
    result = command("data", "check", "pairs")
    assert result.code == 0, result.err
    assert result.out.splitlines()[1:] == [
        "pairs    9: 9 in colour, 0 grey, 0 broken",
        "halves   64x64 (9)",
        "         smallest 64x64, largest 64x64",
        "train    8 pairs: 64x64 (8)",
        "val      1 pairs: 64x64 (1)",
    ]
    for number in range(25):
        save_noise(tmp_path / "pairs" / "train" / f"single{number}.png", 20, 30)
    result = command("data", "check", "pairs", "--kind", "paired")
    assert result.code == 3
    assert "train    33 pairs, 25 broken: 64x64 (8)" in result.out
    assert (
        sum(line.startswith("broken   pairs/train/single") for line in result.out.split("\n")) == 20
    )
    assert "(and 5 more: see --json)" in result.out
    assert "25 of 34 images in pairs are broken: pairs/train/single0.png is 20x30" in result.err


def test_two_domains_in_their_order(command, tmp_path):
    write_domains(tmp_path / "art")
    words = ("data", "check", "art", "--kind", "unpaired", "--attrs", "photo,monet")
    assert "train    A (photo): 5 images: 20x20 (5)" in command(*words).out
    report = json.loads(command(*words, "--json").out)
    assert [(part["split"], part["domain"]) for part in report["parts"]][1] == ("train", "B")


def test_json_has_the_same_keys_for_each_kind(command, faces, tmp_path):
    write_digits(tmp_path / "mnist")
    reports = [json.loads(command("data", "check", n, "--json").out) for n in ("faces", "mnist")]
    assert list(reports[0]) == list(reports[1])
    assert (reports[0]["parts"], reports[0]["problems"]) == ([], [])


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["check", "nowhere"], 3, "no such data folder"),
        (["check", "empty"], 3, "found folders of images: none"),
        (["check"], 2, "Missing argument"),
        (["check", "faces", "--attrs", "Mail"], 2, "did you mean 'Male'"),
        (["check", "faces", "--kind", "idx"], 3, "it is not MNIST's layout"),
        (["check", "faces", "--kind", "pairs"], 2, "'pairs' is not one of 'auto'"),
        (["check", "faces", "--kind", "plain", "--attrs", "Male"], 2, "have no attributes"),
        (["download", "mnist", "x"], 2, "'mnist' is not one of 'celeba'"),
        (["download", "celeba", "."], 9, "is not empty"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(command, tmp_path, words, code, complaint):
    write_celeba(tmp_path / "faces", 2, size=32)
    (tmp_path / "empty").mkdir()
    result = command("data", *words)
    assert result.code == code, result.err
    assert complaint in result.err.splitlines()[-1]
    assert result.out == ""


def test_a_download_without_its_tool_says_what_to_do(command, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdown", None)
    result = command("data", "download", "celeba", "celeba", "--quiet")
    assert result.code == 3
    (line,) = result.err.splitlines()
    assert "pip install gdown" in line
    assert "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html" in line
    assert not list(tmp_path.iterdir())


def test_a_csv_trains(command, faces, tmp_path):
    rows = [f"{number + 1:06d}.png,{number % 2},{number % 3 == 0}" for number in range(9)]
    (faces / "mine.csv").write_text("\n".join(["file,Odd,Third", *rows]))
    smoke = ("--set", "train.steps=2", "--set", "model.generator_conv_dim=4")
    small = ("--set", "data.image_size=32", "--set", "model.discriminator_conv_dim=4")
    result = command("train", "--data", "faces/mine.csv", "--out", "run", *smoke, *small)
    assert result.code == 0, result.err
    card = load_checkpoint(tmp_path / "run" / "model.safetensors").card
    assert card.labels.names == ("Odd", "Third")
    assert card.training_data == "mine.csv"
