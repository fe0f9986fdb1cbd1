"""The two methods used before the network, as far as they are published: our reimplementation."""

from training.older_methods.tuning import contender, tune

__all__ = ["contender", "tune"]
