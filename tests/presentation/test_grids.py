import numpy as np
from PIL import Image

from stargan_deploy.presentation.grids import image_grid

RED, BLUE = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))


def test_the_grid_has_a_cell_for_every_image_under_its_header():
    grid = image_grid([(RED, BLUE), (BLUE,)], ["Source", "A_rather_long_attribute"], cell_px=50)
    pixels = np.asarray(grid)
    assert grid.mode == "RGB"
    assert (pixels == (255, 0, 0)).all(axis=2).sum() == 50 * 50
    assert (pixels == (0, 0, 255)).all(axis=2).sum() == 2 * 50 * 50
    assert (pixels[:50] < 100).all(axis=2).any(), "headers are written"
    assert (pixels[:, :20] == 255).all(), "the margin is clean"
    assert (pixels[:, -20:] == 255).all()


def test_long_headers_stay_in_their_column():
    grid = np.asarray(image_grid([(RED, RED)], ["W" * 60, ""], cell_px=100))
    assert (grid[:50, 20 + 100 :] == 255).all()
    assert (grid[:50, 20 : 20 + 100] < 100).any()


def test_without_headers_there_is_no_room_for_them():
    bare, headed = (image_grid([(RED,)], [text], cell_px=50) for text in ("", "Source"))
    assert bare.height == 50 + 2 * 20 < headed.height
