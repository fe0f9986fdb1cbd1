"""The Arrow layout of pixels: what was packed is unpacked, without a copy, also from a slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from crater_ray.images.decode import decode
from crater_ray.images.memory import Portions, UsedAgain
from crater_ray.images.pixels import PIXELS, image_of, pack, pack_stack, unpack
from crater_ray.scanning.loader import load
from crater_ray.storage.access import Access
from tests.conftest import make_images


def made(sizes: list[tuple[int, int]]) -> list[tuple[int, np.ndarray]]:
    rng = np.random.default_rng(3)
    return [(row, rng.integers(0, 256, size, np.uint8)) for row, size in enumerate(sizes)]


def test_images_of_one_size_come_together_and_unchanged() -> None:
    images = made([(100, 120), (92, 92), (100, 120), (384, 512), (92, 100)])
    batch = pack(list(images))
    assert batch.schema == PIXELS
    rows = batch["row"].to_pylist()
    assert rows == [1, 4, 0, 2, 3]
    seen = [(rows[part], stack) for part, stack in unpack(batch)]
    assert [part for part, _ in seen] == [[1], [4], [0, 2], [3]]
    for part, stack in seen:
        for row, image in zip(part, stack, strict=True):
            assert np.array_equal(image, images[row][1])
    for index, row in enumerate(rows):
        assert np.array_equal(image_of(batch, index), images[row][1])


def test_a_slice_of_a_batch_holds_its_own_images() -> None:
    images = made([(100, 120)] * 3 + [(200, 120)] * 2)
    part = pack(list(images)).slice(1, 3)
    assert [stack.shape for _, stack in unpack(part)] == [(2, 100, 120), (1, 200, 120)]
    together = [image for _, stack in unpack(part) for image in stack]
    for index, image in enumerate(together):
        assert np.array_equal(image, images[index + 1][1])
        assert np.array_equal(image_of(part, index), image)


def test_a_stack_is_packed_and_a_batch_unpacked_without_a_copy() -> None:
    stack = np.stack([image for _, image in made([(100, 120)] * 4)])
    batch = pack_stack(stack)
    assert batch.equals(pack(list(enumerate(stack))))
    ((part, unpacked),) = unpack(batch)
    assert part == slice(0, 4)
    assert np.shares_memory(unpacked, stack)
    assert np.shares_memory(image_of(batch, 2), stack)


def test_a_batch_that_travelled_is_the_same() -> None:
    batch = pack(made([(100, 120), (92, 92)]))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, PIXELS) as stream:
        stream.write_batch(batch)
    travelled = pa.ipc.open_stream(sink.getvalue()).read_next_batch()
    assert travelled.equals(batch)
    assert [np.array_equal(a, b) for (_, a), (_, b) in zip(unpack(batch), unpack(travelled), strict=True)] == [True] * 2


def test_memory_is_used_again_once_nobody_has_it() -> None:
    memory = UsedAgain()
    first = pack([(0, np.full((4, 8), 7, np.uint8))], memory.take)
    second = pack([(0, np.full((4, 8), 9, np.uint8))], memory.take)
    assert image_of(first, 0).max() == 7  # it was still there: the second one has other memory
    address = second["pixels"].buffers()[2].address
    kept = image_of(second, 0)[:2]
    del second
    third = pack([(0, np.full((4, 8), 5, np.uint8))], memory.take)
    assert kept.max() == 9  # a part of it is enough
    del kept
    assert third["pixels"].buffers()[2].address != address
    address = third["pixels"].buffers()[2].address
    del third
    fourth = pack([(0, np.full((4, 4), 3, np.uint8))], memory.take)
    assert fourth["pixels"].buffers()[2].address == address
    assert image_of(fourth, 0).tolist() == np.full((4, 4), 3).tolist()


def test_portions_share_nothing_and_go_on_when_the_piece_is_used_up() -> None:
    memory = Portions(np.zeros(100, np.uint8))
    portions = [memory.take(size) for size in (60, 70, 40, 1)]
    assert [len(portion) for portion in portions] == [60, 70, 40, 1]
    for value, portion in enumerate(portions):
        portion[:] = value
    assert [set(portion.tolist()) for portion in portions] == [{0}, {1}, {2}, {3}]


def test_blocks_one_after_the_other_keep_their_own_pixels(tmp_path: Path) -> None:
    make_images(tmp_path, 6)
    files = sorted(tmp_path.rglob("*.jpg"))
    blocks = [files[:3], files[3:]]
    kept = [load([file.as_uri() for file in block], Access())[1] for block in blocks]
    for block, batch in zip(blocks, kept, strict=True):
        for index, file in enumerate(block):
            assert np.array_equal(image_of(batch, index), decode(file.read_bytes()))
