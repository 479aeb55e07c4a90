"""`tritonclient.http`, as it is, against the service; and requests that no such client sends."""

import gzip
import json

import numpy as np
import pytest

from stargan_deploy.backends.registry import open_runtime
from stargan_deploy.inference.choose import RuntimeRequest
from stargan_deploy.serving.limits import Limits
from tests.tiny_families import lively_model

triton = pytest.importorskip("tritonclient.http")


@pytest.fixture
def connect():
    opened = []

    def open_client(running):
        host, port = running.address
        opened.append(triton.InferenceServerClient(f"{host}:{port}", connection_timeout=60))
        return opened[-1]

    yield open_client
    for client in opened:
        client.close()


def images(num=3, side=32):
    return np.random.default_rng(num).integers(0, 256, (num, side, side, 3), np.uint8)


def labels(num=3):
    return np.eye(5, dtype=np.float32)[np.arange(num) % 5]


def tensors(*, binary=True, **arrays):
    found = []
    for name, array in arrays.items():
        datatype = {"uint8": "UINT8", "float32": "FP32", "int64": "INT64"}[str(array.dtype)]
        tensor = triton.InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array, binary_data=binary)
        found.append(tensor)
    return found


@pytest.fixture(scope="module")
def expected(artefact):
    with open_runtime(artefact) as runtime:
        inputs = {"image": images(), "label": labels()}
        return (
            runtime.run(inputs)["translated"],
            runtime.run({"image": images()}, entry_point="classify")["logits"],
        )


def test_health_and_metadata(served, connect):
    client = connect(served)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    found = client.get_model_metadata("tiny")
    assert found["name"] == "tiny"
    assert found["inputs"] == [
        {"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]},
        {"name": "label", "datatype": "FP32", "shape": [-1, 5]},
    ]
    assert client.get_model_metadata("tiny.classify")["outputs"] == [
        {"name": "logits", "datatype": "FP32", "shape": [-1, 5]}
    ]
    names = [model["name"] for model in client.get_model_repository_index()]
    assert names == ["tiny", "tiny.classify", "tiny.translate"]


@pytest.mark.parametrize("sent", [True, False], ids=["binary", "json"])
@pytest.mark.parametrize("got", [True, False, None], ids=["binary", "json", "unsaid"])
def test_tensors_go_both_ways(served, connect, expected, sent, got):
    outputs = None if got is None else [triton.InferRequestedOutput("translated", got)]
    inputs = tensors(image=images(), label=labels(), binary=sent)
    result = connect(served).infer("tiny", inputs, outputs=outputs, request_id="7")
    assert np.array_equal(result.as_numpy("translated"), expected[0])
    assert result.get_response()["id"] == "7"


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_compressed_requests(served, connect, expected, compression):
    inputs = tensors(image=images(), label=labels())
    result = connect(served).infer("tiny", inputs, request_compression_algorithm=compression)
    assert np.array_equal(result.as_numpy("translated"), expected[0])


def test_every_entry_point_is_a_model(served, connect, expected):
    client = connect(served)
    result = client.infer("tiny.classify", tensors(image=images()))
    assert np.array_equal(result.as_numpy("logits"), expected[1])
    result = client.infer(
        "tiny.translate", tensors(image=images(), label=labels()), model_version="1"
    )
    assert np.array_equal(result.as_numpy("translated"), expected[0])


def test_requests_in_parallel_share_batches(served, connect, expected):
    client = connect(served)
    sent = [
        client.async_infer("tiny", tensors(image=images()[n : n + 1], label=labels()[n : n + 1]))
        for n in range(3)
    ]
    for number, request in enumerate(sent):
        found = request.get_result().as_numpy("translated")
        assert np.array_equal(found, expected[0][number : number + 1])


def test_latents_and_classes_are_tensors_too(start, connect, tmp_path):
    model = lively_model("cgan", tmp_path)
    running = start(models=(model,), runtime=RuntimeRequest(backend="eager"))
    name = running.service.models.find(None).name
    latent = np.zeros((2, 6), np.float32)
    result = connect(running).infer(name, tensors(latent=latent, class_index=np.array([1, 2])))
    with open_runtime(model, backend="eager") as runtime:
        wanted = runtime.run(
            {"latent": latent, "class_index": np.array([1, 2])}, entry_point="sample"
        )
    (output,) = wanted
    assert np.allclose(result.as_numpy(output), wanted[output], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "arrays", "words"),
    [
        ("other", {}, "unknown model 'other'"),
        ("tiny.paint", {}, "unknown model 'tiny.paint'"),
        ("tiny", {"image": images()}, "needs 'label'"),
        ("tiny", {"image": images(), "label": labels(2)}, "same number of rows"),
        ("tiny", {"image": images(side=33), "label": labels()}, "must be uint8"),
        ("tiny", {"image": images(), "label": labels(), "seed": labels()}, "unknown input 'seed'"),
        ("tiny", {"image": images(), "label": images()}, "must be FP32, not UINT8"),
        (
            "tiny",
            {"image": np.zeros((1, 4, 1028, 3), np.uint8), "label": labels(1)},
            "1028x1028 pixels are too many",
        ),
        ("tiny", {"image": images(65), "label": labels(65)}, "65 rows are too many"),
    ],
)
def test_the_client_shows_what_is_wrong(served, connect, name, arrays, words):
    with pytest.raises(triton.InferenceServerException) as caught:
        connect(served).infer(name, tensors(**arrays))
    assert words in caught.value.message()


def test_the_key_is_needed_for_models(start, artefact, connect):
    running = start(models=(artefact,), api_key="sesame")
    client = connect(running)
    assert client.is_server_ready()
    with pytest.raises(triton.InferenceServerException, match="an API key is needed"):
        client.get_model_metadata("tiny")
    headers = {"Authorization": "Bearer sesame"}
    assert client.get_model_metadata("tiny", headers=headers)["name"] == "tiny"


def test_a_bomb_of_zeros_is_not_expanded(start, artefact):
    running = start(models=(artefact,), limits=Limits(max_body_mib=1))
    bomb = gzip.compress(bytes(64 << 20))
    assert len(bomb) < 1 << 20
    response = running.client.post(
        "/v2/models/tiny/infer", content=bomb, headers={"Content-Encoding": "gzip"}
    )
    assert (response.status_code, "too large" in response.json()["error"]) == (413, True)


@pytest.mark.parametrize("content", [b"no", gzip.compress(b"{}", mtime=0)[:-4]], ids=["no", "cut"])
def test_damaged_compression_is_refused(served, content):
    response = served.client.post(
        "/v2/models/tiny/infer", content=content, headers={"Content-Encoding": "gzip"}
    )
    assert (response.status_code, "not gzip" in response.json()["error"]) == (400, True)


def test_a_time_limit_of_the_client_counts(start, artefact):
    running = start(models=(artefact,))
    body = {
        "inputs": [
            {"name": "image", "datatype": "UINT8", "shape": [1, 32, 32, 3], "data": [0] * 3072},
            {"name": "label", "datatype": "FP32", "shape": [1, 5], "data": [0] * 5},
        ],
        "parameters": {"timeout": 1},
    }
    response = running.client.post("/v2/models/tiny/infer", content=json.dumps(body))
    assert response.status_code == 504


def test_other_versions_do_not_exist(served):
    response = served.client.get("/v2/models/tiny/versions/2")
    assert (response.status_code, response.json()["error"]) == (
        404,
        "model 'tiny' has the version 1 only",
    )
