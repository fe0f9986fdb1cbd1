"""Tests: real storage, real Ray, real Parquet."""
