import numpy as np
from PIL import Image

from stargan_deploy.export.export import export
from stargan_deploy.export.proof.worst_images import MAX_GAIN, _amplified, save_worst_images


def test_an_exports_report_shows_the_worst_picture(checkpoint, tmp_path):
    export(checkpoint, out=tmp_path / "tiny.onnx", report=tmp_path / "report")
    (path,) = (tmp_path / "report").iterdir()
    assert path.name == "worst-translate-onnx-cpu.png"
    with Image.open(path) as image:
        assert image.width > 4 * 256
        assert len(image.getcolors(2**20)) > 1000  # faces, and not an empty page


def test_a_difference_is_amplified_to_the_end_of_the_scale():
    expected = np.full((4, 4, 3), 100, np.uint8)
    actual = expected.copy()
    actual[0, 0] = 102
    actual[1, 1] = 99
    picture, gain = _amplified(expected, actual)
    assert gain == 63
    assert picture[0, 0, 0] == 128 + 2 * 63
    assert picture[1, 1, 0] == 128 - 63
    assert (picture[2:] == 128).all()
    assert _amplified(expected, expected)[1] == MAX_GAIN
    assert _amplified(expected, 255 - expected)[1] == 2


def test_nothing_is_saved_where_there_are_no_pictures(tmp_path):
    assert save_worst_images(tmp_path / "none", ()) == ()
