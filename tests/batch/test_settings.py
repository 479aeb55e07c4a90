import dataclasses
import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stargan_deploy.batch.plan import BatchJob, ImageOptions
from stargan_deploy.batch.session import settings_of
from stargan_deploy.batch.settings import NOT_RECORDED, Settings, differences
from stargan_deploy.inference.targets import name_targets

SETTINGS = Settings(
    artefact_sha256="a" * 64,
    backend="onnx",
    device="cpu",
    precision="fp32",
    batch_size=16,
    targets={"Blond_Hair": (1.0,)},
    options={"fit": "crop", "keep": ["exif"], "version": "0.4.0"},
)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, ()),
        ({"backend": "openvino"}, ("backend: onnx -> openvino",)),
        ({"batch_size": 8}, ("batch_size: 16 -> 8",)),
        ({"artefact_sha256": "b" * 64}, ("artefact_sha256: aaaaaaaaaaaa -> bbbbbbbbbbbb",)),
        ({"targets": {"Blond_Hair": (0.5, 1)}}, ("targets.Blond_Hair: [1.0] -> [0.5, 1]",)),
        (
            {"targets": {"-Male": (1.0,)}},
            ("targets.-Male: none -> [1.0]", "targets.Blond_Hair: [1.0] -> none"),
        ),
        (
            {"options": {**SETTINGS.options, "fit": "pad", "keep": []}},
            ("options.fit: crop -> pad", 'options.keep: ["exif"] -> []'),
        ),
    ],
)
def test_differences_read_well(change, told):
    new = replace(SETTINGS, **change)
    assert differences(SETTINGS.to_mapping(), new.to_mapping()) == told


def test_what_a_file_gave_back_is_no_difference():
    assert differences(json.loads(json.dumps(SETTINGS.to_mapping())), SETTINGS.to_mapping()) == ()


@given(st.dictionaries(st.text(), anything))
def test_settings_of_any_file_can_be_told(old):
    for line in differences(old, SETTINGS.to_mapping()):
        assert len(line) < 150
        assert line.isprintable()
        line.encode()


def test_deeply_nested_settings_can_be_told():
    deep = nested = []
    for _ in range(900):
        nested.append([])
        nested = nested[0]
    assert len(differences({"backend": deep}, SETTINGS.to_mapping())) > 1


def changed(value):
    """Another value of the same kind that the option accepts."""
    keep = frozenset({"exif"})
    return {"crop": "pad", None: 64, "translate": "a2b", "skip": "copy", frozenset(): keep}[value]


@pytest.mark.parametrize("field", dataclasses.fields(ImageOptions), ids=lambda f: f.name)
def test_every_option_of_images_is_in_the_settings(make_translator, field):
    """Whoever adds an option that no run records lets `resume` mix images."""
    before = settings_with(make_translator(image_size=32))
    if field.name == "strengths":
        options = ImageOptions(strengths=(0.5,))
    elif field.name == "range":
        options = ImageOptions(range=(0.0, 4095.0))
    elif field.name == "faces":
        options = ImageOptions(faces="all")
    else:
        options = ImageOptions(**{field.name: changed(field.default)})
    translator = make_translator(image_size=options.size or 32)
    if field.name == "entry_point":
        translator.entry_point = options.entry_point
    after = settings_with(translator, options)
    assert len(differences(before, after)) >= 1


def test_an_option_that_is_new_is_recorded_where_it_is_not_at_its_default(make_translator):
    @dataclass(frozen=True, kw_only=True)
    class Later(ImageOptions):
        sharpness: float = 0.0
        colour: str = dataclasses.field(default="as it is", metadata=NOT_RECORDED)

    translator = make_translator()
    first = settings_with(translator)
    assert differences(first, settings_with(translator, Later())) == ()
    assert differences(first, settings_with(translator, Later(colour="warm"))) == ()
    (told,) = differences(first, settings_with(translator, Later(sharpness=0.5)))
    assert told == "options.sharpness: none -> 0.5"


def test_the_keys_are_those_of_the_first_version(make_translator):
    first = ("classifier", "direction", "faces", "fit", "keep")
    then = ("name", "size", "source", "version", "without_face")
    assert sorted(settings_with(make_translator())["options"]) == [*first, *then]


def settings_with(translator, options=None):
    targets = name_targets(translator.card.labels, ["Blond_Hair"])
    job = BatchJob(
        input=Path("in"), output=Path("out"), targets=targets, options=options or ImageOptions()
    )
    return settings_of(job, translator, "fp32").to_mapping()
