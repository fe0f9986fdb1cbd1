"""One peer's run, in a fresh process: the pattern as its own documentation shows it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

Timed = dict[str, float]


def model(network: str, bundle: str) -> Any:
    """The Keras model from (n, height, width, 1) uint8 to (n, 1): the network, or the mean of one pixel in 64.

    Of a network that gives maps it is the score of the strongest centre; heights and widths are its multiples.
    """
    import keras

    images = keras.Input((None, None, 1), dtype="uint8")
    if network == "full":
        from crater_ray.network.bundle import load

        made = load(bundle).model(compact=True)
        if not load(bundle).gives_maps:
            return made
        centres = made(images)["maps"][..., 0]
        return keras.Model(images, keras.ops.sigmoid(keras.ops.max(centres, axis=(1, 2)))[:, None])
    few = keras.ops.cast(images[:, ::8, ::8], "float32")
    return keras.Model(images, keras.ops.mean(few, axis=(1, 2)) / 255.0)


def keras_predict(folder: str, network: str, bundle: str, batch: int, out: str) -> Timed:
    """Decode a batch with Pillow, predict it, go on."""
    from PIL import Image

    made = model(network, bundle)
    files = sorted(Path(folder).glob("*/*.jpg"))
    scores: list[np.ndarray] = []
    started = 0.0
    for start in range(0, len(files), batch):
        pixels = []
        for file in files[start : start + batch]:
            with Image.open(file) as image:
                pixels.append(np.asarray(image.convert("L")))
        scores.append(made.predict(np.stack(pixels)[..., None], verbose=0)[:, 0])
        started = started or time.perf_counter()
    np.save(out, np.concatenate(scores))
    return {"images": len(files) - batch, "seconds": time.perf_counter() - started}


def tf_data(folder: str, network: str, bundle: str, batch: int, out: str) -> Timed:
    """A tf.data pipeline, decoding in parallel and ahead, given whole to predict."""
    import keras
    import tensorflow as tf

    made = model(network, bundle)
    files = [str(file) for file in sorted(Path(folder).glob("*/*.jpg"))]

    def read(path: Any) -> Any:
        return tf.io.decode_jpeg(tf.io.read_file(path), channels=1)

    data = tf.data.Dataset.from_tensor_slices(files).map(read, num_parallel_calls=tf.data.AUTOTUNE)
    data = data.batch(batch).prefetch(tf.data.AUTOTUNE)
    ends: list[float] = []

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            ends.append(time.perf_counter())

    scores = made.predict(data, verbose=0, callbacks=[Clock()])
    np.save(out, scores)
    return {"images": len(files) - batch, "seconds": time.perf_counter() - ends[0]}


class Predictor:
    """The model class that Ray Data's batch-inference pattern asks for."""

    def __init__(self, network: str, bundle: str) -> None:
        self._model = model(network, bundle) if network == "full" else None
        if self._model is not None:
            import tensorflow as tf

            kept = self._model
            self._forward = tf.function(lambda images: kept(images, training=False))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        images = np.asarray(batch["image"])
        if self._model is None:
            scores = images[:, ::8, ::8].mean(axis=(1, 2), dtype=np.float32) / 255
        else:
            scores = self._forward(images[..., None]).numpy()[:, 0]
        return {"path": batch["path"], "score": scores, "finished": np.full(len(scores), time.time())}


def Ray_Data(folder: str, network: str, bundle: str, batch: int, out: str) -> Timed:  # noqa: N802
    """read_images, map_batches over one actor that holds the model, write_parquet."""
    import pyarrow.parquet as pq
    import ray

    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    try:
        images = ray.data.read_images(folder, mode="L", include_paths=True)
        scored = images.map_batches(
            Predictor,
            fn_constructor_args=(network, bundle),
            batch_size=batch,
            compute=ray.data.ActorPoolStrategy(size=1),
            # With a whole core reserved the actor would starve the readers on a small machine.
            num_cpus=0.1,
        )
        scored.write_parquet(out)
        ended = time.time()
    finally:
        ray.shutdown()
    finished = np.sort(pq.read_table(out, columns=["finished"])["finished"].to_numpy())
    first = finished[0]
    return {"images": int((finished > first).sum()), "seconds": ended - first}


def Daft(folder: str, network: str, bundle: str, batch: int, out: str) -> Timed:  # noqa: N802
    """from_glob_path, download, decode, a class with a batch method that holds the model, write_parquet."""
    import daft
    import pyarrow.dataset as ds
    from daft import DataType, col

    @daft.cls(max_concurrency=1)  # type: ignore[untyped-decorator, misc]
    class Scoring:
        def __init__(self) -> None:
            self._predictor = Predictor(network, bundle)

        @daft.method.batch(  # type: ignore[untyped-decorator, misc]
            return_dtype=DataType.struct({"score": DataType.float32(), "finished": DataType.float64()}),
            batch_size=batch,
        )
        def score(self, image: Any) -> list[dict[str, float]]:
            images = np.stack(image.to_pylist())[..., 0]
            scored = self._predictor({"image": images, "path": None})
            return [
                {"score": float(score), "finished": float(finished)}
                for score, finished in zip(scored["score"], scored["finished"], strict=True)
            ]

    frame = daft.from_glob_path(f"{folder}/*/*.jpg")
    frame = frame.with_column("image", col("path").download().decode_image(mode="L"))
    frame = frame.with_column("scored", Scoring().score(col("image")))
    frame = frame.select("path", *(col("scored")[name].alias(name) for name in ("score", "finished")))
    frame.write_parquet(out)
    ended = time.time()
    finished = np.sort(ds.dataset(out).to_table(columns=["finished"])["finished"].to_numpy())
    return {"images": int((finished > finished[0]).sum()), "seconds": ended - finished[0]}
