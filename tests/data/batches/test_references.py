import numpy as np
import pytest
import torch

from stargan_deploy.card.labels import onehot_space
from stargan_deploy.data.batches.open import open_loader
from stargan_deploy.data.batches.order import BalancedOrder
from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.source import SequenceSource
from stargan_deploy.errors import DataError

NAMES = ("a", "b", "c")
COUNTS = (7, 2, 1)


def source(counts=COUNTS):
    """Images whose grey value is their number."""
    labels = np.repeat(np.eye(len(counts)), counts, axis=0)
    images = [np.full((8, 8, 3), number, np.uint8) for number in range(len(labels))]
    return SequenceSource(images, labels, label_space=onehot_space(NAMES))


def batches(first=0, count=6, part=slice(None), **changes):
    config = DataConfig(image_size=8, crop_size=0, flip=False, **changes)
    loader = open_loader(source(), config, batch_size=6, seed=3, part=part, with_references=True)
    stream = loader.batches(first)
    return [next(stream) for _ in range(count)]


def numbers(image_BCHW):
    return image_BCHW[:, 0, 0, 0].long()


def test_domains_come_equally_often_and_references_agree():
    domain_of = source().labels.argmax(axis=1)
    for batch in batches():
        for name, label in (
            ("image", "label"),
            ("reference", "reference_label"),
            ("reference_2", "reference_label"),
        ):
            domains = batch[label].argmax(dim=1)
            assert domains.bincount().tolist() == [2, 2, 2]
            assert domain_of[numbers(batch[name])].tolist() == domains.tolist()


def test_references_differ_from_each_other_and_from_the_images():
    found = batches(count=12)
    images, first, second = (
        torch.cat([numbers(batch[name]) for batch in found])
        for name in ("image", "reference", "reference_2")
    )
    labels, targets = (
        torch.cat([batch[name].argmax(dim=1) for batch in found])
        for name in ("label", "reference_label")
    )
    assert not torch.equal(first, second)
    assert not torch.equal(images, first)
    assert {(int(a), int(b)) for a, b in zip(labels, targets, strict=True)} == {
        (a, b) for a in range(3) for b in range(3)
    }
    assert set(images.tolist()) == set(range(10))


def test_batches_depend_on_the_step_alone_and_are_shared_by_ranks():
    whole = batches(count=5)
    later = batches(first=3, count=2)
    halves = [batches(count=5, part=slice(start, start + 3)) for start in (0, 3)]
    for step, batch in enumerate(whole):
        for name, tensor in batch.items():
            parts = [half[step][name] for half in halves]
            joined = torch.cat(parts) if tensor.dtype == torch.uint8 else parts[0]
            assert torch.equal(tensor, joined), name
            if step >= 3:
                assert torch.equal(tensor, later[step - 3][name])


def test_windows_are_cut_for_each_image():
    (batch,) = batches(count=1, jitter=2)
    assert batch["reference_2"].shape == (6, 3, 8, 8)


def test_a_domain_without_images_is_refused():
    config = DataConfig(image_size=8, crop_size=0)
    with pytest.raises(DataError, match="own images has no readable image of b"):
        open_loader(source((2, 0, 1)), config, batch_size=2, seed=0, with_references=True)


def test_mirroring_follows_the_seed():
    order = BalancedOrder([[0, 1], [2]], batch_size=4, seed=1, flip=True, stream=0, domain_stream=0)
    places = [place for step in range(20) for place in order.at_step(step)]
    assert 0.2 < np.mean([is_mirrored for _, is_mirrored in places]) < 0.8
    assert np.mean([index == 2 for index, _ in places]) == 0.5
