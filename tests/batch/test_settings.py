import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stargan_deploy.batch.settings import Settings, differences

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
