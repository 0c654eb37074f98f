"""The keyed queue."""

from __future__ import annotations

import asyncio

import pytest

from datums.control.queue import Key, Queue

A, B = Key("Execution", "ns", "a"), Key("Execution", "ns", "b")


async def test_a_key_waits_at_most_once_and_keys_come_in_order() -> None:
    queue = Queue()
    for key in (A, B, A, A):
        queue.add(key)
    assert len(queue) == 2
    assert [await queue.get(), await queue.get()] == [A, B]


async def test_a_key_in_work_is_not_given_out_twice_and_comes_again_afterwards() -> None:
    queue = Queue()
    queue.add(A)
    assert await queue.get() == A
    queue.add(A)
    queue.add(A)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.02)
    queue.done(A)
    assert await asyncio.wait_for(queue.get(), 1) == A
    queue.done(A)
    assert len(queue) == 0


async def test_of_many_workers_one_has_a_key_at_a_time() -> None:
    queue, at_once, most, runs = Queue(), 0, 0, 0

    async def worker() -> None:
        nonlocal at_once, most, runs
        while True:
            key = await queue.get()
            at_once += 1
            most = max(most, at_once)
            runs += 1
            await asyncio.sleep(0.001)
            at_once -= 1
            queue.done(key)

    workers = [asyncio.create_task(worker()) for _ in range(8)]
    for _ in range(50):
        queue.add(A)
        await asyncio.sleep(0.0005)
    await asyncio.sleep(0.05)
    for each in workers:
        each.cancel()
    assert most == 1
    assert runs > 1


@pytest.mark.parametrize(("delays", "expected"), [((0.3, 0.02), 0.02), ((0.02, 0.3), 0.02)])
async def test_the_shortest_of_several_delays_counts(delays: tuple[float, float], expected: float) -> None:
    queue = Queue()
    started = asyncio.get_running_loop().time()
    for delay in delays:
        queue.add_after(A, delay)
    assert await queue.get() == A
    assert expected <= asyncio.get_running_loop().time() - started < 0.2


async def test_taking_a_key_forgets_its_delay() -> None:
    queue = Queue()
    queue.add_after(A, 0.05)
    queue.add(A)
    queue.done(await queue.get())
    await asyncio.sleep(0.1)
    assert len(queue) == 0


async def test_no_delay_is_now() -> None:
    queue = Queue()
    queue.add_after(A, 0)
    assert len(queue) == 1


async def test_failures_are_tried_later_each_time_up_to_a_limit_and_success_starts_anew() -> None:
    queue = Queue(base_delay=1.0, max_delay=60.0)
    delays = [queue.retry(A) for _ in range(12)]
    for n, delay in enumerate(delays):
        middle = min(60.0, 2.0**n)
        assert 0.75 * middle <= delay <= 1.25 * middle
    assert 0.75 <= queue.retry(B) <= 1.25, "each key has its own back-off"
    queue.forget(A)
    assert queue.retry(A) <= 1.25
    queue.close()


async def test_a_closed_queue_takes_nothing_and_lets_the_work_in_hand_end() -> None:
    queue = Queue()
    queue.add(A)
    queue.add(B)
    key = await queue.get()
    queue.close()
    queue.add(B)
    queue.add_after(B, 0.001)
    await asyncio.sleep(0.01)
    assert len(queue) == 0
    asyncio.get_running_loop().call_later(0.05, queue.done, key)
    started = asyncio.get_running_loop().time()
    await queue.idle(5)
    assert 0.04 < asyncio.get_running_loop().time() - started < 1


async def test_waiting_for_the_work_in_hand_has_an_end() -> None:
    queue = Queue()
    queue.add(A)
    await queue.get()
    await asyncio.wait_for(queue.idle(0.02), 1)
