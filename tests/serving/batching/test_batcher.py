"""Many calls, one engine: what shares a batch, what waits, and what cannot harm its neighbours."""

import threading
from concurrent.futures import CancelledError

import numpy as np
import pytest

from stargan_deploy.backends.fake.runtime import FakeRuntime, fake_card
from stargan_deploy.errors import UsageError
from stargan_deploy.serving.batching.batcher import Batcher
from stargan_deploy.serving.batching.ticket import Ticket
from stargan_deploy.serving.problems import ClientLeftError, ClosingError, DeadlineError

LONG_S = 60.0


class Gated(FakeRuntime):
    """Runs a batch when it is let through, and fails on images that are all of one level."""

    POISON = 66

    def __init__(self, card):
        super().__init__(card)
        self.calls = []
        self.may_run = threading.Semaphore(0)
        self.is_running = threading.Event()
        self.is_gated = False

    def run(self, inputs, *, entry_point="translate"):
        if self.is_gated:
            self.is_running.set()
            assert self.may_run.acquire(timeout=30)
        self.calls.append((entry_point, *inputs["image"].shape[:2]))
        if (inputs["image"] == self.POISON).all(axis=(1, 2, 3)).any():
            raise RuntimeError("the engine stumbles")
        return super().run(inputs, entry_point=entry_point)


@pytest.fixture
def make_batcher():
    opened = []

    def make(*, gated=True, **options):
        runtime = Gated(fake_card(image_size=16))
        batcher = Batcher(runtime, **{"max_batch": 4, "max_wait_s": 0.0, **options})
        batcher.open()
        runtime.calls.clear()
        runtime.is_gated = gated
        opened.append(batcher)
        return batcher, runtime

    yield make
    for batcher in opened:
        batcher.runtime.is_gated = False
        batcher.runtime.may_run.release(100)
        batcher.close()


def rows(num=1, *, level=0, side=16, label=0):
    image = np.full((num, side, side, 3), level, np.uint8)
    labels = np.eye(3, dtype=np.float32)[[label] * num]
    return {"image": image, "label": labels}


def submit(batcher, inputs=None, *, entry_point="translate", ticket=None):
    return batcher.submit(entry_point, inputs or rows(), ticket or Ticket(LONG_S))


def block(batcher, runtime):
    """Has the engine start on a call of its own and stay there."""
    first = submit(batcher)
    assert runtime.is_running.wait(30)
    return first


def let_through(runtime, num=1):
    runtime.may_run.release(num)


def test_calls_that_wait_share_a_batch_and_get_their_own_rows(make_batcher):
    batcher, runtime = make_batcher()
    block(batcher, runtime)
    inputs = [rows(level=level, label=level % 3) for level in (10, 20, 30)]
    futures = [submit(batcher, own) for own in inputs]
    let_through(runtime, 2)
    alone = FakeRuntime(batcher.card)
    with alone:
        for future, own in zip(futures, inputs, strict=True):
            assert np.array_equal(future.result(30)["translated"], alone.run(own)["translated"])
    assert runtime.calls == [("translate", 1, 16), ("translate", 3, 16)]


def test_only_calls_alike_share_a_batch(make_batcher):
    batcher, runtime = make_batcher()
    block(batcher, runtime)
    small, large = rows(side=16), rows(side=32)
    futures = [
        submit(batcher, small),
        submit(batcher, large),
        submit(batcher, {"image": small["image"]}, entry_point="classify"),
        submit(batcher, small),
    ]
    let_through(runtime, 4)
    for future in futures:
        future.result(30)
    assert runtime.calls[1:] == [
        ("translate", 2, 16),
        ("translate", 1, 32),
        ("classify", 1, 16),
    ]


def test_a_call_with_many_rows_delays_the_others_by_one_batch_only(make_batcher):
    batcher, runtime = make_batcher()
    block(batcher, runtime)
    many = submit(batcher, rows(10, level=7))
    few = submit(batcher, rows(1, level=9))
    let_through(runtime, 3)
    assert few.result(30)["translated"].shape[0] == 1
    assert not many.done()
    let_through(runtime, 9)
    assert many.result(30)["translated"].shape[0] == 10
    assert [num for _, num, _ in runtime.calls] == [1, 4, 4, 3]


def test_a_failing_call_alone_gets_the_error(make_batcher):
    batcher, runtime = make_batcher()
    block(batcher, runtime)
    futures = [submit(batcher, rows(level=level)) for level in (1, Gated.POISON, 3)]
    let_through(runtime, 10)
    assert futures[0].result(30)["translated"].shape == (1, 16, 16, 3)
    with pytest.raises(RuntimeError, match="stumbles"):
        futures[1].result(30)
    assert futures[2].result(30)["translated"].shape == (1, 16, 16, 3)


def test_ill_shaped_rows_are_refused_before_they_meet_others(make_batcher):
    batcher, _ = make_batcher()
    with pytest.raises(UsageError, match="must be uint8"):
        submit(batcher, {**rows(), "image": np.zeros((1, 16, 16, 3), np.float32)})
    with pytest.raises(UsageError, match="needs 'label'"):
        submit(batcher, {"image": rows()["image"]})


def test_rows_that_were_given_up_are_not_run(make_batcher):
    batcher, runtime = make_batcher()
    block(batcher, runtime)
    ticket = Ticket(LONG_S)
    gone, stays = submit(batcher, rows(2), ticket=ticket), submit(batcher)
    assert batcher.num_waiting == 3
    ticket.cancel()
    let_through(runtime, 2)
    stays.result(30)
    assert not gone.done()
    assert [num for _, num, _ in runtime.calls] == [1, 1]


def test_rows_past_their_deadline_are_not_run(make_batcher):
    batcher, runtime = make_batcher()
    block(batcher, runtime)
    now = [0.0]
    late, stays = submit(batcher, ticket=Ticket(5, clock=lambda: now[0])), submit(batcher)
    now[0] = 6.0
    let_through(runtime, 2)
    stays.result(30)
    assert not late.done()


def test_a_batch_waits_for_calls_that_were_announced(make_batcher):
    batcher, runtime = make_batcher(gated=False, max_wait_s=LONG_S)
    with batcher.coming() as arrived:
        first = submit(batcher)
        second = submit(batcher)
        assert not first.done()
        arrived()
    second.result(30)
    assert runtime.calls == [("translate", 2, 16)]


def test_a_single_call_waits_for_nobody(make_batcher):
    batcher, runtime = make_batcher(gated=False, max_wait_s=LONG_S)
    for _ in range(3):
        submit(batcher).result(30)
    assert runtime.calls == [("translate", 1, 16)] * 3


def test_a_full_batch_waits_for_nobody(make_batcher):
    batcher, _ = make_batcher(gated=False, max_wait_s=LONG_S)
    with batcher.coming():
        submit(batcher, rows(4)).result(30)


def test_closing_runs_what_waits_and_takes_nothing_more(make_batcher):
    batcher, runtime = make_batcher()
    block(batcher, runtime)
    futures = [submit(batcher) for _ in range(6)]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    let_through(runtime, 10)
    closing.join(30)
    assert all(future.done() for future in futures)
    with pytest.raises(ClosingError):
        submit(batcher)


def test_an_engine_that_does_not_open_says_so():
    class Broken(FakeRuntime):
        def _open(self):
            raise OSError("no such device")

    batcher = Batcher(Broken(fake_card()), max_batch=1, max_wait_s=0)
    with pytest.raises(OSError, match="no such device"):
        batcher.open()
    batcher.close()


def test_batches_are_reported(make_batcher):
    found = []
    batcher, _ = make_batcher(gated=False, on_batch=lambda *facts: found.append(facts[:2]))
    submit(batcher, rows(3)).result(30)
    assert found == [("translate", 3)]


def test_a_cancelled_ticket_ends_the_wait(make_batcher):
    batcher, runtime = make_batcher()
    block(batcher, runtime)
    ticket = Ticket(LONG_S)
    future = submit(batcher, ticket=ticket)
    threading.Timer(0.05, ticket.cancel).start()
    with pytest.raises(ClientLeftError):
        ticket.wait(future)
    with pytest.raises(CancelledError):
        future.result(0)


def test_a_deadline_ends_the_wait(make_batcher):
    batcher, runtime = make_batcher()
    block(batcher, runtime)
    ticket = Ticket(0.05)
    with pytest.raises(DeadlineError):
        ticket.wait(submit(batcher, ticket=ticket))
