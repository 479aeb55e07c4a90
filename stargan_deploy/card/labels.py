"""The meaning of label vectors, and how words like `Blond_Hair,-Male` become one.

A label space is one or more label sets, or none for a model that takes no labels. A set is either
*multilabel* (independent attributes, of which groups may exclude one another, like hair
colours) or *onehot* (exactly one domain at a time). With several sets, training is joint (StarGAN
section 3.2): the generator's label is

    [labels of set 1 | labels of set 2 | ... | mask],   mask[k] = 1 for the set that is known,

the unknown parts zero, while the classifier predicts the labels of all sets without the mask.

Shapes: D = `label_width` (generator label), K = `num_labels` (classifier outputs, no mask).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from stargan_deploy.errors import LabelError, nearest_names, unknown_name

FloatArray = npt.NDArray[np.float32]

HAIR_COLOURS = frozenset(
    (
        *("black", "blond", "blonde", "brown", "gray", "grey"),
        *("auburn", "chestnut", "ginger", "red", "silver", "white"),
    )
)
"""Colours of hair, which exclude one another; the official StarGAN knows CelebA's four."""

Groups = tuple[tuple[str, ...], ...]
"""Groups of labels of which at most one is on."""

_NEGATED = re.compile(r"(?:(?:not?|without)[\s_:-]+|[!~^])\s*(.+)", re.IGNORECASE)
"""Ways to write that an attribute is absent, which targets do not have."""

LabelChange = Literal["on", "off", "flip"]


@dataclass(frozen=True, kw_only=True)
class LabelSet:
    """The labels of one data set."""

    name: str
    """Name of the data set, used where several are joined."""
    kind: Literal["multilabel", "onehot"]
    names: tuple[str, ...]
    """Attribute or domain names in the order of the label vector."""
    exclusive_groups: Groups = ()
    """Groups of multilabel attributes of which at most one is on."""

    def __post_init__(self) -> None:
        if not self.names:
            raise LabelError(f"label set {self.name!r} has no labels")
        doubled = sorted({name for name in self.names if self.names.count(name) > 1})
        if doubled:
            raise LabelError(f"label {doubled[0]!r} is named twice in {', '.join(self.names)}")
        for name in (name for group in self.exclusive_groups for name in group):
            if name not in self.names:
                raise LabelError(unknown_name("label in an exclusive group", name, self.names))

    def rivals(self, name: str) -> tuple[str, ...]:
        """The labels that cannot hold together with `name`."""
        groups = (self.names,) if self.kind == "onehot" else self.exclusive_groups
        return tuple(other for group in groups if name in group for other in group if other != name)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A target in words, resolved to label names: which to switch on, off or over."""

    text: str
    set_index: int
    changes: Mapping[str, LabelChange]


@dataclass(frozen=True, kw_only=True)
class LabelSpace:
    """All labels that a model knows."""

    sets: tuple[LabelSet, ...]

    def __post_init__(self) -> None:
        names = self.names
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise LabelError(f"label {doubled[0]!r} is in two label sets", hint="rename one")

    @property
    def names(self) -> tuple[str, ...]:
        """All label names in vector order, without the mask."""
        return tuple(name for label_set in self.sets for name in label_set.names)

    @property
    def num_labels(self) -> int:
        """Width K of the classifier's output."""
        return len(self.names)

    @property
    def is_joint(self) -> bool:
        """Whether several label sets share the vector, so that it carries a mask."""
        return len(self.sets) > 1

    @property
    def label_width(self) -> int:
        """Width D of the generator's label: all labels, and the mask when joint."""
        return self.num_labels + (len(self.sets) if self.is_joint else 0)

    def slice_of(self, set_index: int) -> slice:
        """The columns of one label set."""
        start = sum(len(label_set.names) for label_set in self.sets[:set_index])
        return slice(start, start + len(self.sets[set_index].names))

    def parse(self, text: str) -> Target:
        """Resolves `Blond_Hair`, `Blond_Hair,Young`, `-Male`, `flip:Smiling` or `happy`.

        Raises:
            LabelError: an unknown name, a contradiction, or labels of two sets in one target.
        """
        words = [word.strip() for word in text.split(",") if word.strip()]
        if not words:
            raise LabelError(
                f"empty target {text!r}", hint=f"this model knows: {', '.join(self.names)}"
            )
        changes: dict[str, LabelChange] = {}
        for word in words:
            name, change = _split_word(word)
            if name not in self.names:
                raise _unknown_label(name, self.names)
            if changes.setdefault(name, change) != change:
                raise LabelError(f"target {text!r} asks for {name!r} in two ways")
        set_index = self._only_set_of(text, changes)
        _refuse_contradictions(text, self.sets[set_index], changes)
        return Target(text=text, set_index=set_index, changes=changes)

    def target_vector(self, target: Target, source: FloatArray | None = None) -> FloatArray:
        """The label (D,) to translate to.

        Args:
            target: a parsed target.
            source: the image's own labels (K,) of zeros and ones; labels that the target
                does not name keep these values. None means all zeros.

        Raises:
            LabelError: the source has the wrong length.
        """
        if not self.sets:
            return np.zeros(0, np.float32)
        label_set = self.sets[target.set_index]
        columns = self.slice_of(target.set_index)
        if source is None:
            source = np.zeros(self.num_labels, np.float32)
        elif source.shape != (self.num_labels,):
            raise LabelError(
                f"a source label has {self.num_labels} values ({', '.join(self.names)}), "
                f"not shape {source.shape}"
            )
        own = source[columns].copy()
        for name, change in target.changes.items():
            index = label_set.names.index(name)
            switched_on = change == "on" or (change == "flip" and own[index] < 0.5)
            if switched_on:
                for rival in label_set.rivals(name):
                    own[label_set.names.index(rival)] = 0.0
            own[index] = float(switched_on)
        return self.embed(own, target.set_index)

    def embed(self, labels: npt.NDArray[np.generic], set_index: int) -> FloatArray:
        """Places labels (..., K_set) of one set into generator labels (..., D) with their mask."""
        vector = np.zeros((*labels.shape[:-1], self.label_width), np.float32)
        vector[..., self.slice_of(set_index)] = labels
        if self.is_joint:
            vector[..., self.num_labels + set_index] = 1.0
        return vector

    def known_rows(self, label_ND: FloatArray, set_index: int) -> npt.NDArray[np.bool_]:
        """Whether a set's labels are known, by row: as the mask says, or all."""
        if not self.is_joint:
            return np.ones(len(label_ND), np.bool_)
        known: npt.NDArray[np.bool_] = label_ND[:, self.num_labels + set_index] > 0.5
        return known

    def predicted(self, logits: npt.NDArray[np.floating]) -> FloatArray:
        """Turns classifier logits (N, K) into labels (N, K) of zeros and ones.

        An attribute is on where its logit is positive; in an exclusive group at most the
        strongest is on; among one-hot domains exactly the strongest.
        """
        labels = np.zeros(logits.shape, np.float32)
        for set_index, label_set in enumerate(self.sets):
            columns = self.slice_of(set_index)
            own = logits[:, columns]
            if label_set.kind == "onehot":
                labels[np.arange(len(own)), columns.start + own.argmax(axis=1)] = 1.0
                continue
            labels[:, columns] = own > 0
            for group in label_set.exclusive_groups:
                indices = [columns.start + label_set.names.index(name) for name in group]
                strongest = logits[:, indices].argmax(axis=1)[:, None] == np.arange(len(indices))
                labels[:, indices] *= strongest
        return labels

    def single_targets(self) -> tuple[Target, ...]:
        """One target per label, as the official code tests: exclusive ones set, others flipped."""
        words = []
        for label_set in self.sets:
            for name in label_set.names:
                flips = label_set.kind == "multilabel" and not label_set.rivals(name)
                words.append(f"flip:{name}" if flips else name)
        return tuple(self.parse(word) for word in words)

    def _only_set_of(self, text: str, changes: Mapping[str, LabelChange]) -> int:
        touched = {i for i, s in enumerate(self.sets) if any(name in s.names for name in changes)}
        if len(touched) > 1:
            owners = ", ".join(self.sets[i].name for i in sorted(touched))
            raise LabelError(
                f"target {text!r} mixes labels of {owners}", hint="use one set per target"
            )
        return touched.pop()


NO_LABELS = LabelSpace(sets=())
"""The space of models that take no labels, and of images that have none."""


def multilabel_space(
    names: Sequence[str], *, name: str = "celeba", exclusive: Groups = ()
) -> LabelSpace:
    """A space of CelebA-like attributes in which the hair colours exclude one another.

    Args:
        names: the attributes, in the order of the label vector.
        name: of the label set.
        exclusive: further groups of attributes that exclude one another.

    Raises:
        LabelError: a group names an attribute that is not among `names`.
    """
    groups = resolve_groups(exclusive, names)
    hair = tuple(filter(_is_hair_colour, names))
    if len(hair) > 1 and not any(set(hair) <= set(group) for group in groups):
        groups = (hair, *groups)
    only = LabelSet(name=name, kind="multilabel", names=tuple(names), exclusive_groups=groups)
    return LabelSpace(sets=(only,))


def resolve_groups(groups: Groups, names: Sequence[str]) -> Groups:
    """Groups of names as they are spelt among `names`, or but for case, blanks, - and _.

    Raises:
        LabelError: a name that is not there, or a group of fewer than two.
    """
    plain = {_plain(name): name for name in names}
    found = []
    for group in groups:
        for word in (word for word in group if word not in names and _plain(word) not in plain):
            raise LabelError(unknown_name("label in an exclusive group", word, names))
        members = {word if word in names else plain[_plain(word)]: None for word in group}
        if len(members) < 2:
            raise LabelError(f"an exclusive group needs two labels or more, not {', '.join(group)}")
        found.append(tuple(members))
    return tuple(dict.fromkeys(found))


def onehot_space(names: Sequence[str], *, name: str = "folders") -> LabelSpace:
    """A space of domains of which exactly one holds."""
    return LabelSpace(sets=(LabelSet(name=name, kind="onehot", names=tuple(names)),))


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


def _is_hair_colour(name: str) -> bool:
    plain = _plain(name)
    return "hair" in plain and re.sub("^hair(colou?r)?|hair$", "", plain) in HAIR_COLOURS


def _split_word(word: str) -> tuple[str, LabelChange]:
    if word.startswith("flip:"):
        return word.removeprefix("flip:"), "flip"
    if word.startswith("-"):
        return word.removeprefix("-"), "off"
    return word.removeprefix("+"), "on"


def _unknown_label(word: str, names: Sequence[str]) -> LabelError:
    negated = _NEGATED.fullmatch(word)
    found = nearest_names(negated[1], names) if negated else []
    if found:
        return LabelError(f"unknown attribute {word!r}", hint=f"-{found[0]} switches it off")
    return LabelError(unknown_name("attribute", word, names, where="this model"))


def _refuse_contradictions(
    text: str, label_set: LabelSet, changes: Mapping[str, LabelChange]
) -> None:
    for name, change in changes.items():
        if label_set.kind == "onehot" and change != "on":
            raise LabelError(
                f"{name!r} is one of several domains", hint="name the one wanted instead"
            )
        if change == "off":
            continue
        rivals = [rival for rival in label_set.rivals(name) if changes.get(rival, "off") != "off"]
        if rivals:
            raise LabelError(f"target {text!r} asks for {name!r} and {rivals[0]!r} at once")
