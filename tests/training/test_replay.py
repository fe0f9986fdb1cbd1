"""Replay: what the network takes for a crater comes again, and not for ever."""

from __future__ import annotations

import numpy as np

from training.finder.replay import LATELY, TIMES, Replay

N = 16


def batch(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Scenes that can be told apart by their first pixel, and targets that go with them."""
    images = np.zeros((N, 8, 8, 1), np.uint16)
    targets = np.zeros((N, 2, 2, 5), np.float32)
    images[:, 0, 0, 0] = targets[:, 0, 0, 0] = number * N + np.arange(N)
    return images, targets


def test_the_worst_scenes_come_again_with_their_targets_a_few_times() -> None:
    replay, shown = Replay(2, seed=3), dict[int, int]()
    bad = set(range(0, LATELY, 40))  # 2.5%: less than the share that is kept
    for number in range(LATELY // N):
        images, targets = batch(number)
        replay.put_into(images, targets)
        seen = images[:, 0, 0, 0].tolist()
        assert seen == targets[:, 0, 0, 0].tolist()
        assert seen[: N - 2] == batch(number)[0][: N - 2, 0, 0, 0].tolist(), "only the last of a batch give way"
        for scene in seen:
            shown[scene] = shown.get(scene, 0) + 1
        false = np.array([5.0 if scene in bad else scene % 7 / 7 - 3 for scene in seen], np.float32)
        replay.note(images, targets, false)
    again = {scene for scene, times in shown.items() if times > 1}
    assert len(again & bad) > 25
    assert max(shown.values()) == 1 + TIMES
    assert replay.looked + sum(times - 1 for times in shown.values()) == LATELY
    assert min(again) >= LATELY // 4 - N, "what is bad is not known before"


def test_a_seed_shows_the_same_again() -> None:
    orders = []
    for _ in range(2):
        replay, order = Replay(2, seed=8), list[int]()
        for number in range(LATELY // N // 2):
            images, targets = batch(number)
            replay.put_into(images, targets)
            order += images[:, 0, 0, 0].tolist()
            replay.note(images, targets, np.cos(images[:, 0, 0, 0].astype(np.float32)))
        orders.append(order)
    assert orders[0] == orders[1]
    assert len(set(orders[0])) < len(orders[0])
