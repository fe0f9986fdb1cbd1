"""Planting: craters of known size put into the pixels of real images, as their optics and noise would show them."""
