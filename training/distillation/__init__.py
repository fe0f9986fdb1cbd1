"""Distilling the screen: a small student network learns from the full one, its teacher."""
