import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stargan_deploy.card.labels import LabelSet, LabelSpace, multilabel_space, onehot_space
from stargan_deploy.errors import LabelError

CELEBA = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
SPACE = multilabel_space(CELEBA)
DOMAINS = onehot_space(("angry", "happy", "sad"))
JOINT = LabelSpace(sets=(SPACE.sets[0], DOMAINS.sets[0]))


def target(space, text, source=None):
    vector = None if source is None else np.array(source, np.float32)
    return space.target_vector(space.parse(text), vector).tolist()


def test_a_hair_colour_switches_the_others_off():
    assert target(SPACE, "Blond_Hair", [1, 0, 0, 1, 0]) == [0, 1, 0, 1, 0]


def test_several_wishes_at_once():
    assert target(SPACE, "Blond_Hair, Young", [1, 0, 0, 1, 0]) == [0, 1, 0, 1, 1]
    assert target(SPACE, "+Young,-Male", [1, 0, 0, 1, 0]) == [1, 0, 0, 0, 1]


def test_flip_follows_the_source():
    assert target(SPACE, "flip:Male", [1, 0, 0, 1, 0]) == [1, 0, 0, 0, 0]
    assert target(SPACE, "flip:Male", [1, 0, 0, 0, 0]) == [1, 0, 0, 1, 0]
    assert target(SPACE, "flip:Blond_Hair", [1, 0, 0, 0, 0]) == [0, 1, 0, 0, 0]


def test_without_a_source_everything_else_is_zero():
    assert target(SPACE, "Male") == [0, 0, 0, 1, 0]


def test_a_domain_replaces_the_one_that_was():
    assert target(DOMAINS, "happy", [1, 0, 0]) == [0, 1, 0]


def test_joint_labels_carry_a_mask_and_zero_the_unknown_part():
    assert JOINT.label_width == 5 + 3 + 2
    assert JOINT.num_labels == 8
    source = [1, 0, 0, 1, 0, 1, 0, 0]
    assert target(JOINT, "Blond_Hair", source) == [0, 1, 0, 1, 0, 0, 0, 0, 1, 0]
    assert target(JOINT, "happy", source) == [0, 0, 0, 0, 0, 0, 1, 0, 0, 1]


def test_joint_wishes_stay_inside_one_set():
    with pytest.raises(LabelError, match="mixes labels of celeba, folders"):
        JOINT.parse("happy,Male")


def test_unknown_names_get_a_suggestion_and_the_list():
    with pytest.raises(LabelError) as caught:
        SPACE.parse("Blonde_Hair")
    message = str(caught.value)
    assert "unknown attribute 'Blonde_Hair'; did you mean 'Blond_Hair'?" in message
    assert "this model knows: Black_Hair, Blond_Hair" in message


def test_another_case_gets_a_suggestion():
    with pytest.raises(LabelError, match="did you mean 'Male'"):
        SPACE.parse("male")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty target"),
        (" , ", "empty target"),
        ("Male,-Male", "in two ways"),
        ("Black_Hair,Blond_Hair", "at once"),
        ("Black_Hair,flip:Blond_Hair", "at once"),
    ],
)
def test_contradictions_are_refused(text, complaint):
    with pytest.raises(LabelError, match=complaint):
        SPACE.parse(text)


@pytest.mark.parametrize("text", ["-happy", "flip:happy", "happy,sad"])
def test_domains_cannot_be_switched_off_or_mixed(text):
    with pytest.raises(LabelError):
        DOMAINS.parse(text)


def test_a_source_of_the_wrong_length_is_refused():
    with pytest.raises(LabelError, match="5 values"):
        target(SPACE, "Male", [1, 0])


def test_single_targets_set_the_exclusive_and_flip_the_others():
    texts = [t.text for t in SPACE.single_targets()]
    assert texts == ["Black_Hair", "Blond_Hair", "Brown_Hair", "flip:Male", "flip:Young"]
    assert [t.text for t in DOMAINS.single_targets()] == ["angry", "happy", "sad"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: onehot_space(()),
        lambda: onehot_space(("a", "a")),
        lambda: LabelSpace(sets=(SPACE.sets[0], SPACE.sets[0])),
        lambda: LabelSet(name="x", kind="multilabel", names=("a",), exclusive_groups=(("b",),)),
    ],
)
def test_impossible_spaces_are_refused(make):
    with pytest.raises(LabelError):
        make()


def test_predicted_labels_respect_groups_and_domains():
    logits = np.array([[2.0, 3.0, -1.0, 0.5, -0.5], [-1.0, -2.0, -3.0, -1.0, 1.0]])
    assert SPACE.predicted(logits).tolist() == [[0, 1, 0, 1, 0], [0, 0, 0, 0, 1]]
    assert DOMAINS.predicted(np.array([[-3.0, -1.0, -2.0]])).tolist() == [[0, 1, 0]]


words = st.lists(
    st.tuples(st.sampled_from(["", "-", "+", "flip:"]), st.sampled_from([*CELEBA, "happy", "x"])),
    min_size=1,
    max_size=4,
).map(lambda pairs: ",".join(prefix + name for prefix, name in pairs))


@given(text=st.one_of(words, st.text(max_size=30)), bits=st.integers(0, 255))
def test_whatever_is_typed_gives_a_valid_vector_or_a_label_error(text, bits):
    source = np.array([bits >> i & 1 for i in range(8)], np.float32)
    try:
        vector = JOINT.target_vector(JOINT.parse(text), source)
    except LabelError:
        return
    assert vector.shape == (10,)
    assert set(vector.tolist()) <= {0.0, 1.0}
    assert vector[8:].sum() == 1
    if vector[9]:
        assert vector[5:8].sum() == 1


@given(st.lists(st.floats(-5, 5), min_size=8, max_size=8))
def test_predictions_are_valid_sources(values):
    labels = JOINT.predicted(np.array([values]))[0]
    assert labels[:3].sum() <= 1
    assert labels[5:].sum() == 1
    assert JOINT.target_vector(JOINT.parse("Male"), labels)[3] == 1


def test_a_model_without_labels_has_an_empty_space():
    space = LabelSpace(sets=())
    assert (space.names, space.label_width, space.single_targets()) == ((), 0, ())
    with pytest.raises(LabelError, match="this model knows: none"):
        space.parse("Blond_Hair")


@pytest.mark.parametrize(
    "names",
    [
        ("Black Hair", "blond-hair", "Male", "BROWN_HAIR"),
        ("Blonde_Hair", "Grey Hair", "Male", "brownHair"),
        ("Silver_Hair", "Male", "chestnut hair"),
        ("hair_red", "Male", "hair colour: black"),
    ],
)
def test_hair_colours_exclude_one_another_in_any_spelling(names):
    hair = tuple(name for name in names if name != "Male")
    assert multilabel_space(names).sets[0].exclusive_groups == (hair,)


def test_what_only_sounds_like_a_hair_colour_is_none():
    names = ("Black_Hair", "Receding_Hairline", "Straight_Hair", "Wavy_Hair", "Brown_Eyes")
    assert multilabel_space(names).sets[0].exclusive_groups == ()


def test_groups_may_be_declared():
    names = ("Black Hair", "Blond Hair", "Bald", "Long Beard", "Goatee")
    space = multilabel_space(names, exclusive=(("long_beard", "GOATEE"), ("Goatee", "Bald")))
    assert space.sets[0].exclusive_groups == (
        ("Black Hair", "Blond Hair"),
        ("Long Beard", "Goatee"),
        ("Goatee", "Bald"),
    )
    assert target(space, "Goatee", [1, 0, 1, 1, 0]) == [1, 0, 0, 0, 1]
    wider = multilabel_space(names, exclusive=(("Black Hair", "Blond Hair", "Bald"),))
    assert wider.sets[0].exclusive_groups == (("Black Hair", "Blond Hair", "Bald"),)


@pytest.mark.parametrize(
    ("group", "complaint"),
    [(("Male", "Beard"), "exclusive group 'Beard'"), (("Male", "male"), "two labels or more")],
)
def test_groups_that_make_no_sense_are_refused(group, complaint):
    with pytest.raises(LabelError, match=complaint):
        multilabel_space(("Male", "Young"), exclusive=(group,))


@pytest.mark.parametrize("word", ["not Male", "no male", "without Male", "!Male", "NOT_Male"])
def test_a_negated_attribute_is_told_how_to_be_written(word):
    """It once led to the opposite: "did you mean 'Male'?"."""
    with pytest.raises(LabelError) as caught:
        multilabel_space(("Male", "Blond_Hair", "Young")).parse(word)
    assert str(caught.value) == f"unknown attribute {word!r}; -Male switches it off"


@pytest.mark.parametrize(
    ("word", "guess"),
    [("Blond Hair", "Blond_Hair"), ("-blond-hair", "Blond_Hair"), ("Hair", "Blond_Hair")],
)
def test_an_attribute_in_another_spelling_is_recognised(word, guess):
    with pytest.raises(LabelError, match=f"did you mean '{guess}'"):
        multilabel_space(("Male", "Blond_Hair", "No_Beard")).parse(word)
    assert multilabel_space(("Male", "No_Beard")).parse("No_Beard").changes == {"No_Beard": "on"}
