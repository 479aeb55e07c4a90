"""Face descriptors from an npm package, converted."""

import json
import shutil
import subprocess
import tarfile

import numpy as np
import pytest
import torch

from stargan_deploy.errors import BackendError, DataError, ModelError
from stargan_deploy.evaluation.distance import cosine
from stargan_deploy.evaluation.features import face_api
from stargan_deploy.evaluation.features.registry import open_features
from stargan_deploy.files.atomic import file_sha256


def manifest_of(network):
    """The package's list of a network's weights, and their bytes: two as FP32, the others coded."""
    entries, content = [], b""
    for key, tensor in network.state_dict().items():
        if key == "mean":
            continue
        values = tensor.T if key == "fc.weight" else tensor
        values = values.permute(2, 3, 1, 0) if key.endswith("filters") else values
        name = key.removeprefix("blocks.").removesuffix(".weight").replace(".", "/")
        entry = {"name": name, "shape": list(values.shape), "dtype": "float32"}
        array = values.contiguous().numpy()
        if len(entries) in (3, 4):
            content += array.astype("<f4").tobytes()
        else:
            scale, least = float(np.ptp(array)) / 255 or 1.0, float(array.min())
            entry["quantization"] = {"dtype": "uint8", "scale": scale, "min": least}
            content += np.rint((array - least) / scale).astype(np.uint8).tobytes()
        entries.append(entry)
    return entries, content


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    made = face_api.Network()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if parameter.ndim > 1:
                torch.nn.init.kaiming_normal_(parameter)
            elif name.endswith("scale.weights"):
                parameter.uniform_(0.2, 0.4)
            else:
                parameter.uniform_(-0.1, 0.1)
    return made.eval()


@pytest.fixture
def archive(network, tmp_path, monkeypatch):
    """A package like face-api's, and the cache in a folder of its own."""
    entries, content = manifest_of(network)
    folder = tmp_path / "package" / "model"
    folder.mkdir(parents=True)
    (tmp_path / face_api.MANIFEST).write_text(json.dumps([{"weights": entries}]))
    (tmp_path / face_api.WEIGHTS).write_bytes(content)
    path = tmp_path / "face-api.tgz"
    with tarfile.open(path, "w:gz") as package:
        package.add(tmp_path / "package", "package")
    monkeypatch.setattr(face_api, "ARCHIVE_SHA256", file_sha256(path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return path


def test_the_converted_network_is_the_packages(network, archive, command):
    with pytest.raises(ModelError, match="not here yet") as caught:
        open_features("face-api")
    assert "data download face-api" in caught.value.hint
    result = command("data", "download", "face-api", archive)
    assert result.code == 0, result.err
    assert f"face descriptors in {face_api.cached_file()}" in result.out
    coded = face_api.Network.of(*manifest_of(network))
    faces = np.random.default_rng(0).integers(0, 256, (3, 150, 150, 3), np.uint8)
    with open_features("face-api") as net, torch.no_grad():
        found = net.features(faces)
        wanted = coded(torch.from_numpy(faces)).numpy()
        exact = network(torch.from_numpy(faces)).numpy()
    assert (net.name, net.width, found.shape) == ("face-api", 128, (3, 128))
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
    assert cosine(found, exact).min() > 0.99  # 8 bits per weight


def test_sizes_and_channels_are_filled_with_zeros_at_the_end():
    block = face_api._Block(2, 3, is_down=True)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
        x = torch.ones(1, 2, 4, 4)
        y = block(x)
    assert y.shape == (1, 3, 2, 2)
    assert torch.equal(y, torch.tensor([1.0, 1.0, 0.0])[None, :, None, None].expand(1, 3, 2, 2))


def test_another_archive_is_refused(archive, monkeypatch, tmp_path):
    monkeypatch.setattr(face_api, "ARCHIVE_SHA256", "0" * 64)
    with pytest.raises(DataError, match=r"is not @vladmandic/face-api@1.7.15: its SHA-256"):
        face_api.fetch_face_api(archive)
    with pytest.raises(DataError, match="cannot read"):
        face_api.fetch_face_api(tmp_path / "none.tgz")
    other = tmp_path / "other.tgz"
    with tarfile.open(other, "w:gz") as package:
        package.add(archive, "readme")
    monkeypatch.setattr(face_api, "ARCHIVE_SHA256", file_sha256(other))
    with pytest.raises(DataError, match="holds no face descriptors"):
        face_api.fetch_face_api(other)
    assert not face_api.cached_file().exists()


def test_npm_is_needed_and_what_it_says_is_passed_on(archive, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(BackendError, match="npm is not installed"):
        face_api.fetch_face_api()
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")

    def fail(command, **_):
        raise subprocess.CalledProcessError(1, command, stderr="npm error\nno network\n")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(BackendError, match="no network"):
        face_api.fetch_face_api()


def test_npm_puts_the_archive_into_a_folder_of_its_own(archive, monkeypatch):
    def pack(command, **options):
        assert command[1:3] == ["pack", "@vladmandic/face-api@1.7.15"]
        shutil.copy(archive, options["cwd"])

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", pack)
    monkeypatch.setattr(face_api, "_write_onnx", lambda _, path: path.write_bytes(b"graph"))
    assert face_api.fetch_face_api() == face_api.cached_file()
    assert face_api.cached_file().is_file()
