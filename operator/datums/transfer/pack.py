"""Builds packs, in a process of its own (`second`). `python3 -m datums.transfer.pack <socket>`."""

from __future__ import annotations

import mmap
import signal

import msgspec

from datums.transfer import packs
from datums.transfer.journal import Slot
from datums.transfer.places import Places
from datums.transfer.second import serve


class Order(msgspec.Struct):
    """A pack to build. With it come three open files: one in memory that receives it, and the two directories of `Places`."""

    number: int
    slots: list[Slot]
    final: bool


def _work(message: bytes, files: list[int]) -> bytes:
    order = msgspec.msgpack.decode(message, type=Order)
    memory, outputs, taken = files
    with mmap.mmap(memory, packs.PACK_BYTES) as mapped, memoryview(mapped) as view:
        packed = packs.build(view, order.number, order.slots, Places(outputs, taken), final=order.final)
    return msgspec.msgpack.encode(packed)


if __name__ == "__main__":
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # see outputs.is_open_for_writing
    serve(_work)
