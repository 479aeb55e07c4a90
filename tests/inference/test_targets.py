import pytest
from hypothesis import given
from hypothesis import strategies as st

from stargan_deploy.card.labels import LabelSpace, multilabel_space, onehot_space
from stargan_deploy.errors import LabelError, UsageError
from stargan_deploy.inference.targets import depends_on_source, folder_name, name_targets

CELEBA = multilabel_space(("Black_Hair", "Blond_Hair", "Male", "Young", "Smiling"))


@pytest.mark.parametrize(
    ("word", "folder"),
    [
        ("Blond_Hair", "Blond_Hair"),
        ("-Male", "not-Male"),
        ("flip:Smiling", "flip-Smiling"),
        ("Blond_Hair, Young", "Blond_Hair+Young"),
        ("Blond_Hair,-Male,flip:Young", "Blond_Hair+not-Male+flip-Young"),
    ],
)
def test_folders_are_named_after_wishes(word, folder):
    (named,) = name_targets(CELEBA, [word])
    assert named.folder == folder
    assert named.target.text == word


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("van gogh", "van-gogh"),
        ("a/b\\c:d", "a-b-c-d"),
        ("..", "target"),
        ("aux", "aux_"),
        ("Con.txt", "Con.txt_"),
        ("übermütig", "übermütig"),
        ("*?", "--"),
    ],
)
def test_folder_names_are_safe_everywhere(name, folder):
    assert folder_name(onehot_space(["plain", name]).parse(name)) == folder


def test_folders_differ_in_any_case():
    space = onehot_space(["a b", "A-B", "a-b", "a:b"])
    folders = [named.folder for named in name_targets(space, space.names)]
    assert folders == ["a-b", "A-B-2", "a-b-3", "a-b-4"]


@given(names=st.lists(st.text(min_size=1, max_size=300), min_size=1, max_size=6, unique=True))
def test_any_domain_names_give_distinct_safe_folders(names):
    usable = {n.strip() for n in names if n.strip() and "," not in n}
    usable = sorted(n for n in usable if not n.startswith(("-", "+", "flip:")))
    if not usable:
        return
    folders = [n.folder for n in name_targets(onehot_space(usable), usable)]
    assert len({folder.casefold() for folder in folders}) == len(usable)
    for folder in folders:
        assert 0 < len(folder.encode()) <= 110
        assert not set(folder) & set('<>:"/\\|?*\0\n')
        assert folder[-1] not in ". "
        assert folder not in (".", "..")


def test_no_target_lists_what_the_model_knows():
    with pytest.raises(UsageError, match=r"`targets`.*Black_Hair, Blond_Hair"):
        name_targets(CELEBA, [])


@pytest.mark.parametrize("words", [("Male", "Male"), ("Male,Young", "Young,+Male")])
def test_the_same_wish_twice_is_refused(words):
    with pytest.raises(UsageError, match="mean the same"):
        name_targets(CELEBA, words)


def test_unknown_names_get_a_hint():
    with pytest.raises(LabelError, match="did you mean 'Blond_Hair'"):
        name_targets(CELEBA, ["Blonde_Hair"])


@pytest.mark.parametrize(
    ("space", "word", "depends"),
    [
        (CELEBA, "Blond_Hair", True),
        (CELEBA, "Blond_Hair,Male,-Young,Smiling", False),
        (CELEBA, "Blond_Hair,Male,-Young,flip:Smiling", True),
        (onehot_space(["happy", "sad"]), "happy", False),
    ],
)
def test_targets_that_leave_nothing_open_need_no_source(space: LabelSpace, word, depends):
    assert depends_on_source(space, space.parse(word)) == depends
