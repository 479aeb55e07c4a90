from pathlib import PurePosixPath as P

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stargan_deploy.batch.photos.listing import same_name_key
from stargan_deploy.batch.photos.naming import NameTemplate, is_reserved, template_places
from stargan_deploy.errors import UsageError


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{folder}/{stem}-{target}{suffix}", "a/b/face-Male.jpg"),
        ("{stem}_{target}", "face_Male.jpg"),
        ("{target}/{folder}/{name}", "Male/a/b/face.JPG.jpg"),
        ("{stem}.png", "face.png"),
        ("{stem}.v2", "face.v2.jpg"),
    ],
)
def test_fields(text, place):
    template = NameTemplate(text=text)
    assert template.place(P("a/b/face.JPG"), suffix=".jpg", target="Male") == P(place)


def test_a_photo_at_the_top_has_no_folder():
    place = NameTemplate(text="{folder}/{stem}").place(P("a.jpg"), suffix=".jpg", target="x")
    assert place == P("a.jpg")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{stm}", "did you mean 'stem'"),
        ("{target}{suffix}", "needs {stem}"),
        ("{stem", "expected '}'"),
        ("{stem!r}", "write fields plainly"),
        ("{stem:>40}", "write fields plainly"),
        ("{stem.__class__}", "unknown field"),
        ("{}", "unknown field"),
        ("../{stem}", "leads out of the output folder"),
        ("/tmp/{stem}", "leads out of the output folder"),
    ],
)
def test_bad_templates(text, complaint):
    with pytest.raises(UsageError) as caught:
        NameTemplate(text=text)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "photos", "targets", "complaint"),
    [
        ("{stem}", ["a.jpg"], ["Male", "Young"], "add {target}"),
        ("{stem}", ["a/x.jpg", "b/x.jpg"], ["Male"], "of a/x.jpg and b/x.jpg one name, x.jpg"),
        ("{stem}", ["a/x.jpg", "b/X.jpg"], ["Male"], "one name"),
        ("{stem}.png", ["x.jpg", "x.bmp"], ["Male"], "one name"),
        ("contact-sheet-{stem}", ["001.jpg"], ["Male"], "which is a file of the batch itself"),
        ("{folder}/{stem}", ["x.jpg", "x.jpg/y.jpg"], ["Male"], "an image and a folder at once"),
    ],
)
def test_collisions_are_found_before_the_work(text, photos, targets, complaint):
    with pytest.raises(UsageError) as caught:
        template_places(NameTemplate(text=text), [P(photo) for photo in photos], targets)
    assert complaint in str(caught.value)


@given(
    photos=st.lists(
        st.from_regex(r"([a-c]/)?[abA]\.(jpg|png|bmp)", fullmatch=True), unique=True, min_size=1
    ),
    text=st.sampled_from(["{stem}", "{name}", "{folder}/{stem}", "{folder}/{target}/{name}"]),
)
def test_places_are_unlike_or_refused(photos, text):
    try:
        places = template_places(NameTemplate(text=text), [P(p) for p in photos], ["x", "y"])
    except UsageError:
        return
    all_places = [same_name_key(place) for own in places.values() for place in own]
    assert len(set(all_places)) == 2 * len(photos)
    assert not any(is_reserved(place) for own in places.values() for place in own)
