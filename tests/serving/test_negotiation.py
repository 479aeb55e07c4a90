"""Which format a client gets, for whatever it says that it accepts."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stargan_deploy.serving.negotiation import choose_media_type, split_accept
from stargan_deploy.serving.photos import MEDIA_TYPES
from stargan_deploy.serving.problems import NotAcceptableError


@pytest.mark.parametrize(
    ("accept", "found"),
    [
        ("", "image/png"),
        ("*/*", "image/png"),
        ("image/jpeg", "image/jpeg"),
        ("IMAGE/JPEG ; Q=1", "image/jpeg"),
        ("image/png;q=0.1, */*", "image/jpeg"),
        ("image/png;q=0, image/*;q=0.3", "image/jpeg"),
        ("image/webp;q=0.9, image/jpeg;q=0.9", "image/jpeg"),
        ("image/webp;q=2, image/jpeg;q=nan", "image/jpeg"),
        ("image/avif,image/webp,image/apng,image/*,*/*;q=0.8", "image/png"),
    ],
)
def test_the_best_format_is_chosen(accept, found):
    assert choose_media_type(accept, "image/png") == found


@pytest.mark.parametrize("accept", ["text/html", "image/*;q=0", "*/*;q=0", "image/heic"])
def test_nothing_may_be_acceptable(accept):
    with pytest.raises(NotAcceptableError):
        choose_media_type(accept, "image/png")


def test_a_zip_is_asked_for_apart_from_its_pictures():
    assert split_accept("application/zip") == ("", True)
    assert split_accept("image/jpeg, application/ZIP;q=0.5") == ("image/jpeg", True)
    assert split_accept("image/jpeg") == ("image/jpeg", False)


@given(st.text(alphabet="imageng/*;q=0.19, jpwebzt\x7f", max_size=60))
def test_any_header_gives_a_format_or_is_refused(accept):
    pictures, _ = split_accept(accept)
    with contextlib.suppress(NotAcceptableError):
        assert choose_media_type(pictures, "image/webp") in MEDIA_TYPES
