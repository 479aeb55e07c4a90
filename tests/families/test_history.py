import torch

from stargan_deploy.families.objectives.history import CAPACITY, ImageHistory


def fakes(start, count):
    """Images of one pixel that hold their number."""
    return torch.arange(start, start + count, dtype=torch.float32).reshape(-1, 1, 1, 1)


def exchange(history, new, places, are_old):
    return history.exchange(new, torch.tensor(places), torch.tensor(are_old)).flatten().tolist()


def filled():
    history = ImageHistory()
    exchange(history, fakes(0, CAPACITY), [0] * CAPACITY, [True] * CAPACITY)
    return history


def test_until_it_is_full_it_shows_what_it_gets():
    history = ImageHistory()
    assert exchange(history, fakes(0, 3), [7, 7, 7], [True, True, True]) == [0, 1, 2]


def test_a_full_history_shows_an_older_image_or_the_new_one():
    history = filled()
    assert exchange(history, fakes(100, 2), [7, 7], [False, True]) == [100, 7]
    assert exchange(history, fakes(102, 1), [7], [True]) == [101]


def test_the_images_of_one_batch_go_one_after_the_other():
    assert exchange(filled(), fakes(100, 2), [7, 7], [True, True]) == [7, 100]


def test_it_survives_a_stop():
    history, other = filled(), ImageHistory()
    other.load_state_dict(history.state_dict("history_a"), "history_a")
    assert exchange(other, fakes(100, 1), [49], [True]) == [49]
    assert exchange(history, fakes(100, 1), [49], [True]) == [49]


def test_an_empty_one_survives_too():
    other = ImageHistory()
    other.load_state_dict(ImageHistory().state_dict("x"), "x")
    assert exchange(other, fakes(3, 1), [0], [True]) == [3]
