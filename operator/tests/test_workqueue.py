from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from codesession_crds.retry import Backoff
from codesession_operator.deadlines import Deadlines
from codesession_operator.workqueue import Key, WorkQueue

A, B = Key("session", "a"), Key("session", "b")

MOMENTS = st.floats(min_value=0, max_value=100, allow_nan=False)
STEPS = st.one_of(
    st.tuples(st.just("set"), st.integers(0, 5), MOMENTS),
    st.tuples(st.just("clear"), st.integers(0, 5), st.just(0.0)),
    st.tuples(st.just("due"), st.just(0), MOMENTS),
)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=200))
def test_deadlines_are_a_dict_in_order(steps: list[tuple[str, int, float]]) -> None:
    deadlines: Deadlines[int] = Deadlines()
    model: dict[int, float] = {}
    for step, key, moment in steps:
        if step == "set":
            deadlines.set(key, moment)
            model[key] = moment
        elif step == "clear":
            deadlines.clear(key)
            model.pop(key, None)
        else:
            due = deadlines.due(moment)
            assert set(due) == {one for one, when in model.items() if when <= moment}
            assert [model[one] for one in due] == sorted(model[one] for one in due)
            model = {one: when for one, when in model.items() if when > moment}
        assert len(deadlines) == len(model)
        assert deadlines.next() == min(model.values(), default=None)


def test_replaced_deadlines_do_not_pile_up() -> None:
    deadlines: Deadlines[str] = Deadlines()
    for moment in range(100_000):
        deadlines.set("a", float(moment))
    assert len(deadlines._heap) < 100


async def test_a_key_is_queued_once() -> None:
    queue = WorkQueue()
    for key in (A, B, A, A):
        queue.add(key)
    assert len(queue) == 2
    assert [await queue.get(), await queue.get()] == [A, B]
    assert len(queue) == 0


async def test_a_key_that_is_worked_on_comes_back_afterwards() -> None:
    queue = WorkQueue()
    queue.add(A)
    assert await queue.get() == A
    queue.add(A)
    queue.add(B)
    assert await queue.get() == B
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.done(A)
    assert await waiting == A


async def test_no_key_is_worked_on_twice_at_once() -> None:
    queue, busy, done = WorkQueue(), set[Key](), 0

    async def worker() -> None:
        nonlocal done
        while True:
            key = await queue.get()
            assert key not in busy
            busy.add(key)
            await asyncio.sleep(0)
            busy.remove(key)
            done += 1
            queue.done(key)

    workers = [asyncio.create_task(worker()) for _ in range(8)]
    for index in range(500):
        queue.add(Key("session", str(index % 3)))
        await asyncio.sleep(0)
    for _ in range(100):  # a turn of the loop is all that any of them needs
        await asyncio.sleep(0)
    assert (len(queue), busy) == (0, set())
    for task in workers:
        task.cancel()
    assert all(
        isinstance(end, asyncio.CancelledError)
        for end in await asyncio.gather(*workers, return_exceptions=True)
    )
    assert done >= 3


async def test_deadlines_wake() -> None:
    queue = WorkQueue()
    loop = asyncio.get_running_loop()
    start = loop.time()
    queue.add_after(A, 0.2)
    queue.add_after(B, 0.05)
    assert await queue.get() == B
    queue.done(B)
    assert await queue.get() == A
    assert loop.time() - start >= 0.2


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_moment_that_has_passed_is_now(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def scene() -> list[Key]:
        queue = WorkQueue()
        for key, seconds in ((A, -1.0), (B, 0.0), (Key("session", "c"), 0.01)):
            queue.add_after(key, seconds)
            queue.add_after(key, seconds)
        return [await queue.get() for _ in range(3)]

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert set(runner.run(scene())) == {A, B, Key("session", "c")}


async def test_work_settles_anew_when_to_come_back() -> None:
    queue = WorkQueue()
    queue.add_after(A, 0.05)
    queue.add(A)
    assert await queue.get() == A
    queue.done(A, again_after=3600)
    queue.add_after(B, 0.1)
    assert await queue.get() == B
    assert len(queue) == 0


async def test_failures_come_back_later_each_time() -> None:
    class Recorded(Backoff):
        def delay(self, attempt: int) -> float:
            seen.append(attempt)
            return 0.0

    seen: list[int] = []
    queue = WorkQueue(Recorded())
    queue.add(A)
    for _ in range(3):
        assert await queue.get() == A
        queue.failed(A)
    assert await queue.get() == A
    queue.done(A)
    queue.add(A)
    assert await queue.get() == A
    queue.failed(A)
    assert seen == [0, 1, 2, 0]


@settings(deadline=None)
@given(st.integers(0, 200))
def test_backoff_is_bounded(attempt: int) -> None:
    assert 0 <= Backoff(base=0.1, cap=5.0).delay(attempt) <= 5.0
