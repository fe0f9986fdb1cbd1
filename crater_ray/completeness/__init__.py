"""Completeness: which share of a foil's craters a run would have found, measured on craters planted into its images."""

from __future__ import annotations

from pathlib import Path

from crater_ray.completeness.report import Completeness, completeness_of
from crater_ray.results.image_table import read_image_table
from crater_ray.runs.run import open_existing
from crater_ray.storage.access import Access

__all__ = ["Completeness", "read_completeness"]


def read_completeness(
    run: str | Path,
    *,
    image_table: str | Path | None = None,
    pixel_nm: float | None = None,
    endpoint_url: str | None = None,
    anonymous: bool = False,
    requester_pays: bool = False,
    match: bool = True,
) -> Completeness:
    """The completeness of a run, as `crater-ray completeness RUN` measured it, with the verdicts given since.

        measured = crater_ray.completeness.read_completeness("RUN", pixel_nm=50)
        print(measured.share("visible"), measured.densities[0])

    Args:
        run: the run folder: a local path, `s3://...`, `gs://...` or `az://...`.
        image_table: the foil search's table of images, for foils.
        pixel_nm: width of a pixel in nm, whatever the images say.
        endpoint_url: for runs on a storage service other than Amazon's, Google's or Azure's.
        anonymous: read it without credentials.
        requester_pays: pay for the requests, where the bucket's owner does not.
        match: let confirmed craters tell how clear the foil's own are; else they are taken to be as the planted ones.

    Raises:
        UsageError: there is no run, or it was not measured yet.
        CraterRayError: the measurement is not complete, or damaged.
    """
    access = Access(endpoint_url, anonymous, requester_pays)
    table = None if image_table is None else read_image_table(Path(image_table))
    with open_existing(run, access) as opened:
        return completeness_of(opened, image_table=table, pixel_nm=pixel_nm, access=access, match=match)
