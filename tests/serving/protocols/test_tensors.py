"""Parsers of KServe's protocol on whatever a client may send."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stargan_deploy.backends.fake.runtime import fake_card
from stargan_deploy.card.card import new_entry_point
from stargan_deploy.card.tensors import class_spec, vector_spec
from stargan_deploy.errors import UsageError
from stargan_deploy.serving.protocols.tensors import encode_infer, parse_infer

POINT = fake_card(image_size=4).entry_point("translate")
CLASSES = new_entry_point(
    [vector_spec("latent", "latent", 2), class_spec("label", 3)], *POINT.outputs
)


def tensor(name="label", datatype="FP32", shape=(1, 3), **rest):
    return {"name": name, "datatype": datatype, "shape": list(shape), **rest}


def parsed(*inputs, tail=b"", length=..., point=POINT, **rest):
    head = json.dumps({"inputs": list(inputs), **rest}).encode()
    header = str(len(head)) if length is ... else length
    return parse_infer(head + tail, header, point)


def refused(words, *args, **options):
    with pytest.raises(UsageError) as caught:
        parsed(*args, **options)
    assert words in str(caught.value)


def test_bytes_and_lists_are_the_same():
    values = np.array([[0.5, -1, 3e38]], np.float32)
    as_list = parsed(tensor(data=values.tolist())).inputs["label"]
    flat = parsed(tensor(data=values.ravel().tolist())).inputs["label"]
    as_bytes = parsed(tensor(parameters={"binary_data_size": 12}), tail=values.tobytes()).inputs[
        "label"
    ]
    assert np.array_equal(as_list, values)
    assert np.array_equal(flat, values)
    assert np.array_equal(as_bytes, values)


def test_bytes_follow_in_the_order_of_the_inputs():
    image = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    label = np.ones((1, 3), np.float32)
    found = parsed(
        tensor("image", "UINT8", (1, 4, 4, 3), parameters={"binary_data_size": 48}),
        tensor(parameters={"binary_data_size": 12}),
        tail=image.tobytes() + label.tobytes(),
    ).inputs
    assert np.array_equal(found["image"], image)
    assert np.array_equal(found["label"], label)


@pytest.mark.parametrize(
    ("words", "inputs", "options"),
    [
        ("must be FP32", tensor(datatype="FP64", data=[0, 0, 0]), {}),
        ("2 sizes (ND)", tensor(shape=(3,), data=[0, 0, 0]), {}),
        ("2 sizes (ND)", tensor(shape=(-1, 3), data=[]), {}),
        ("2 sizes (ND)", tensor(shape=(True, 3), data=[0, 0, 0]), {}),
        ("2 sizes (ND)", tensor(shape=(1.0, 3), data=[0, 0, 0]), {}),
        ("must be 3 numbers", tensor(data=[0, 0]), {}),
        ("must be 3 numbers", tensor(data=["0", "0", "0"]), {}),
        ("must be 3 numbers", tensor(data=[True, False, True]), {}),
        ("must be 3 numbers", tensor(data={"a": 1}), {}),
        ("must be 3 numbers", tensor(), {}),
        ("not an array", tensor(data=[[0], [0, 0]]), {}),
        ("does not fit FP32", tensor(data=[1e300, 0, 0]), {}),
        ("takes 12 bytes, not 8", tensor(parameters={"binary_data_size": 8}), {"tail": b"8" * 8}),
        ("takes 12 bytes, not 4", tensor(parameters={"binary_data_size": 12}), {"tail": b"1234"}),
        ("4 bytes follow the JSON", tensor(data=[0, 0, 0]), {"tail": b"1234"}),
        ("has both", tensor(data=[0], parameters={"binary_data_size": 12}), {"tail": b"8" * 12}),
        ("a number of bytes", tensor(parameters={"binary_data_size": -1}), {}),
        ("a number of bytes", tensor(parameters={"binary_data_size": "12"}), {}),
        ("'parameters' must be", tensor(parameters=[]), {}),
        ("unknown input 'x'", tensor("x", data=[]), {}),
        ("unknown input ''", tensor(7, data=[]), {}),
        ("an input must be", "label", {}),
        ("'id' must be", tensor(data=[0, 0, 0]), {"id": 7}),
        ("'outputs' must be", tensor(data=[0, 0, 0]), {"outputs": {}}),
        ("unknown output", tensor(data=[0, 0, 0]), {"outputs": [{"name": "x"}]}),
        ("'timeout'", tensor(data=[0, 0, 0]), {"parameters": {"timeout": "soon"}}),
        ("true or false", tensor(data=[0, 0, 0]), {"parameters": {"binary_data_output": 1}}),
        (
            "'classification'",
            tensor(data=[0, 0, 0]),
            {"outputs": [{"name": "translated", "parameters": {"classification": 2}}]},
        ),
        ("from 1 to the length", tensor(data=[0, 0, 0]), {"length": "-1"}),
        ("from 1 to the length", tensor(data=[0, 0, 0]), {"length": "9999"}),
        ("from 1 to the length", tensor(data=[0, 0, 0]), {"length": "²"}),
        ("not JSON", tensor(data=[0, 0, 0]), {"length": "9"}),
    ],
)
def test_what_does_not_fit_is_refused(words, inputs, options):
    refused(words, inputs, **options)


def test_an_input_is_given_once():
    refused("twice", tensor(data=[0, 0, 0]), tensor(data=[0, 0, 0]))


@pytest.mark.parametrize("data", [[256], [-1], [0.5], [2**70]])
def test_whole_numbers_stay_what_they_are(data):
    refused("'data'", tensor("image", "UINT8", (1, 1, 1, 1), data=data))
    if data != [256] and data != [-1]:
        refused("'data'", tensor("label", "INT64", (1,), data=data), point=CLASSES)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"inputs": 1}', b"[" * 100_000, b"\xff"])
def test_what_is_no_request_is_refused(text):
    with pytest.raises(UsageError):
        parse_infer(text, None, POINT)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_are_refused(number):
    body = json.dumps({"inputs": [tensor(data=["?", 0, 0])]}).replace('"?"', number)
    with pytest.raises(UsageError, match=f"{number} is not JSON"):
        parse_infer(body.encode(), None, POINT)


def test_which_outputs_are_binary():
    label = tensor(data=[0, 0, 0])
    assert parsed(label).outputs == {"translated": False}
    assert parsed(label, parameters={"binary_data_output": True}).outputs == {"translated": True}
    asked = [{"name": "translated", "parameters": {"binary_data": False}}]
    found = parsed(label, outputs=asked, parameters={"binary_data_output": True})
    assert found.outputs == {"translated": False}


@pytest.mark.parametrize("binary", [True, False])
def test_answers_are_read_back(binary):
    request = parsed(tensor(data=[0, 0, 0]), parameters={"binary_data_output": binary}, id="a")
    image = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    content, length = encode_infer("m", request, {"translated": image}, POINT)
    answer = json.loads(content[:length])
    (output,) = answer["outputs"]
    assert (answer["id"], answer["model_name"], output["shape"]) == ("a", "m", [1, 4, 4, 3])
    values = content[length:] if binary else bytes(output["data"])
    assert values == image.tobytes()
    assert (length is None) is not binary


def test_json_cannot_say_nan():
    point = fake_card(image_size=4).entry_point("classify")
    request = parsed(tensor("image", "UINT8", (1, 4, 4, 3), data=[0] * 48), point=point)
    with pytest.raises(UsageError, match="not finite"):
        encode_infer("m", request, {"logits": np.full((1, 3), np.nan, np.float32)}, point)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)

TENSORS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["image", "label", ""]) | JSON,
        "datatype": st.sampled_from(["UINT8", "FP32"]) | JSON,
        "shape": st.lists(st.integers(-1, 5), max_size=5) | JSON,
        "data": JSON,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": JSON}) | JSON,
    },
)


@given(
    st.lists(TENSORS, max_size=3) | JSON,
    st.fixed_dictionaries({}, optional={"outputs": JSON, "parameters": JSON, "id": JSON}),
    st.binary(max_size=60),
    st.none() | st.integers(-2, 400).map(str) | st.text(max_size=4),
)
def test_any_json_gives_fitting_arrays_or_is_refused(inputs, rest, tail, length):
    body = json.dumps({"inputs": inputs, **rest}).encode() + tail
    with contextlib.suppress(UsageError):
        request = parse_infer(body, length, POINT)
        for spec in POINT.inputs:
            if spec.name in request.inputs:
                found = request.inputs[spec.name]
                assert (str(found.dtype), found.ndim) == (spec.dtype, len(spec.shape))


@given(st.binary(max_size=200), st.none() | st.integers(0, 250).map(str))
def test_any_bytes_are_refused(body, length):
    with contextlib.suppress(UsageError):
        parse_infer(body, length, POINT)


@given(st.integers(0, 3), st.integers(0, 5), st.data())
def test_arrays_survive_both_forms(num, side, data):
    image = data.draw(st.binary(min_size=num * side * side * 3, max_size=num * side * side * 3))
    array = np.frombuffer(image, np.uint8).reshape(num, side, side, 3)
    own = tensor("image", "UINT8", array.shape)
    as_bytes = parsed({**own, "parameters": {"binary_data_size": len(image)}}, tail=image)
    as_list = parsed({**own, "data": array.tolist()})
    assert np.array_equal(as_bytes.inputs["image"], array)
    assert np.array_equal(as_list.inputs["image"], array)
