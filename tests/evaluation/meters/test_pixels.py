import numpy as np
import pytest

from stargan_deploy.evaluation.meters.pixels import LUMINANCE, mean_levels, psnr, ssim


def images(count, size=24, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def test_levels_and_psnr_of_known_differences():
    a = images(2).clip(0, 250)
    b = a + 5
    assert mean_levels(b, a).tolist() == [5, 5]
    assert psnr(b, a) == pytest.approx(20 * np.log10(255 / 5))
    assert psnr(a, a) == pytest.approx(100)
    assert mean_levels(np.stack([a, b]), a).tolist() == [[0, 0], [5, 5]]


def slow_ssim(x, y):
    """Equation 13 of the paper, window by window."""
    places = np.arange(11) - 5
    line = np.exp(-(places**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    found = []
    for top in range(len(x) - 10):
        for left in range(len(x) - 10):
            p, q = (i[top : top + 11, left : left + 11] for i in (x, y))
            mean_p, mean_q = (window * p).sum(), (window * q).sum()
            var_p, var_q = (window * (p - mean_p) ** 2).sum(), (window * (q - mean_q) ** 2).sum()
            both = (window * (p - mean_p) * (q - mean_q)).sum()
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            found.append(
                (2 * mean_p * mean_q + c1)
                * (2 * both + c2)
                / ((mean_p**2 + mean_q**2 + c1) * (var_p + var_q + c2))
            )
    return np.mean(found)


def test_ssim_is_that_of_the_paper():
    a = images(2, size=16)
    b = np.clip(a.astype(int) + images(2, size=16, seed=1) // 4 - 32, 0, 255).astype(np.uint8)
    slow = [
        slow_ssim(x @ LUMINANCE.astype(float), y @ LUMINANCE) for x, y in zip(a, b, strict=True)
    ]
    assert ssim(a, b) == pytest.approx(slow, abs=1e-4)


def test_ssim_of_an_image_with_itself_and_of_tiny_ones():
    assert ssim(images(3), images(3)) == pytest.approx(1)
    assert ssim(images(1, size=4), images(1, size=4)) == pytest.approx(1)
    assert ssim(images(1), images(1, seed=9))[0] < 0.1
