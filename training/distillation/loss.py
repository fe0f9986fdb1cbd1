"""The distillation loss: what it costs a student to differ from its teacher, in the last feature map and in answers.

Used where a screen is distilled and where a network is pruned; sources there.
"""

from __future__ import annotations

from typing import Any

FAR = 2.0
"""In the logit: an answer so far from the threshold counts by a factor e less."""
LEAST = 0.1
"""What an answer counts that is as far from the threshold as can be."""


def feature_costs(wanted: Any, drawn: Any) -> Any:
    """Of each value of two maps of features, in units of each feature's spread; of any one shape.

    Where the teacher sees much it must be met best; elsewhere there is only background.
    """
    from keras import ops

    return ops.square(drawn - wanted) * (1.0 + wanted)


def answer_costs(wanted: Any, said: Any, cut: float) -> Any:
    """Of each of two networks' answers, as logits of any one shape; `cut` is the threshold's.

    Near the threshold an error decides; a blank that is taken for an emptier one does no harm.
    """
    from keras import ops

    weight = ops.exp(-ops.abs(wanted - cut) / FAR) + LEAST
    return weight * (ops.sqrt(1.0 + ops.square(said - wanted)) - 1.0)
