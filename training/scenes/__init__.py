"""Scenes: endless training images of surfaces, defects and craters, each drawn by its number alone."""
