"""Other streaming loaders, each with a writer of its own format and a loader as its documentation sets it up. Imported
only where installed.

A transform turns the encoded pictures of a row into one uint8 tensor (n, 3, S, S); it runs in the worker.
"""

import io
import json
import pickle
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

Transform = Callable[[list[bytes]], torch.Tensor]
Samples = Iterable[tuple[str, list[bytes]]]  # id, encoded pictures
PER_SHARD = 250


def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": [row["id"] for row in rows], "pixel_values": torch.cat([row["pixels"] for row in rows])}


class Webdataset:
    package = "webdataset"

    def write(self, samples: Samples, folder: Path) -> None:
        folder.mkdir()
        tar: tarfile.TarFile | None = None
        for number, (id_, images) in enumerate(samples):
            if number % PER_SHARD == 0:
                if tar:
                    tar.close()
                tar = tarfile.open(folder / f"{number // PER_SHARD:05d}.tar", "w")  # noqa: SIM115
            assert tar  # the first sample opens one
            for name, data in [
                ("json", json.dumps({"id": id_}).encode()),
                *((f"{n}.jpg", image) for n, image in enumerate(images)),
            ]:
                info = tarfile.TarInfo(f"{id_}.{name}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        if tar:
            tar.close()

    def loader(self, folder: Path, transform: Transform, *, batch: int, workers: int, state: Any = None) -> Any:
        import webdataset

        def decoded(sample: dict[str, Any]) -> dict[str, Any]:
            return {
                "id": sample["__key__"],
                "pixels": transform([data for name, data in sorted(sample.items()) if name.endswith(".jpg")]),
            }

        urls = [str(path) for path in sorted(folder.glob("*.tar"))]
        dataset = (
            webdataset.WebDataset(urls, shardshuffle=100, nodesplitter=None, workersplitter=webdataset.split_by_worker)
            .shuffle(100)
            .map(decoded)
        )
        return webdataset.WebLoader(dataset, batch_size=batch, num_workers=workers, collate_fn=collate)


class Datasets:
    package = "datasets"
    exits_hard = True  # its packaged Parquet reader, left early, aborts at exit

    def write(self, samples: Samples, folder: Path) -> None:
        folder.symlink_to("packed")  # reads ours

    def loader(self, folder: Path, transform: Transform, *, batch: int, workers: int, state: Any = None) -> Any:
        import datasets

        def decoded(row: dict[str, Any]) -> dict[str, Any]:
            return {"id": row["id"], "pixels": transform([image["bytes"] for image in row["images"]])}

        rows = datasets.load_dataset(
            "parquet", data_files=str(folder / "data" / "*" / "*.parquet"), split="train", streaming=True
        )
        rows = rows.select_columns(["id", "images"]).cast_column("images", datasets.List(datasets.Image(decode=False)))
        rows = rows.shuffle(seed=0, buffer_size=100)
        if state:
            rows.load_state_dict(state)
        self.rows = rows
        return DataLoader(
            rows, batch_size=batch, num_workers=workers, collate_fn=lambda many: collate([decoded(row) for row in many])
        )

    def state(self, batches: int, batch: int) -> Any:
        return self.rows.state_dict()


class Litdata:
    package = "litdata"

    def write(self, samples: Samples, folder: Path) -> None:
        from litdata.streaming import Cache

        cache = Cache(str(folder), chunk_bytes="64MB")
        for number, (id_, images) in enumerate(samples):
            cache[number] = {"id": id_, "images": pickle.dumps(images)}
        cache.done()
        cache.merge()

    def loader(self, folder: Path, transform: Transform, *, batch: int, workers: int, state: Any = None) -> Any:
        import litdata

        def decoded(row: dict[str, Any]) -> dict[str, Any]:
            return {"id": row["id"], "pixels": transform(pickle.loads(row["images"]))}

        dataset = litdata.StreamingDataset(str(folder), shuffle=True, drop_last=False, transform=decoded)
        self._loader = litdata.StreamingDataLoader(dataset, batch_size=batch, num_workers=workers, collate_fn=collate)
        if state:
            self._loader.load_state_dict(state)
        return self._loader

    def state(self, batches: int, batch: int) -> Any:
        return self._loader.state_dict()


class Mosaic:
    package = "streaming"

    def write(self, samples: Samples, folder: Path) -> None:
        import streaming

        with streaming.MDSWriter(out=str(folder), columns={"id": "str", "images": "pkl"}) as writer:
            for id_, images in samples:
                writer.write({"id": id_, "images": images})

    def loader(self, folder: Path, transform: Transform, *, batch: int, workers: int, state: Any = None) -> Any:
        import streaming

        class Decoded(streaming.StreamingDataset):  # type: ignore[misc]
            def __getitem__(self, number: Any) -> dict[str, Any]:
                row = super().__getitem__(number)
                return {"id": row["id"], "pixels": transform(row["images"])}

        streaming.base.util.clean_stale_shared_memory()
        self._dataset = Decoded(local=str(folder), shuffle=True, batch_size=batch, allow_unsafe_types=True)
        if state:
            self._dataset.load_state_dict(state)
        return DataLoader(self._dataset, batch_size=batch, num_workers=workers, collate_fn=collate)

    def state(self, batches: int, batch: int) -> Any:
        return self._dataset.state_dict(batches * batch, False)


class Energon:
    package = "megatron.energon"

    def write(self, samples: Samples, folder: Path) -> None:
        """The tars of webdataset, indexed and described."""
        from megatron.energon.flavors.webdataset.prepare import WebdatasetPreparator

        Webdataset().write(samples, folder)
        shards = [path.name for path in sorted(folder.glob("*.tar"))]
        WebdatasetPreparator.prepare_dataset(folder, shards, split_parts_ratio=[("train", 1.0)], workers=1)
        (folder / ".nv-meta" / "dataset.yaml").write_text("__module__: megatron.energon\n__class__: CrudeWebdataset\n")

    def loader(self, folder: Path, transform: Transform, *, batch: int, workers: int, state: Any = None) -> Any:
        from megatron.energon import (
            Cooker,
            DefaultTaskEncoder,
            WorkerConfig,
            basic_sample_keys,
            get_savable_loader,
            get_train_dataset,
            stateless,
        )

        @stateless
        def decoded(sample: dict[str, Any]) -> dict[str, Any]:
            pixels = transform([data for name, data in sorted(sample.items()) if name.endswith("jpg")])
            return {**basic_sample_keys(sample), "id": sample["__key__"], "pixels": pixels}

        class Encoder(DefaultTaskEncoder):  # type: ignore[misc]
            cookers = (Cooker(decoded),)
            decoder = None

            @stateless
            def encode_sample(self, sample: dict[str, Any]) -> dict[str, Any]:
                return sample

            @stateless
            def batch(self, samples: list[dict[str, Any]]) -> dict[str, Any]:
                return collate(samples)

        worker_config = WorkerConfig(rank=0, world_size=1, num_workers=workers)
        options = {
            "batch_size": batch,
            "shuffle_buffer_size": 100,
            "max_samples_per_sequence": None,
            "repeat": False,
            "task_encoder": Encoder(),
        }
        self._loader = get_savable_loader(get_train_dataset(str(folder), worker_config=worker_config, **options))
        if state:
            self._loader.restore_state_rank(state)
        return self._loader

    def state(self, batches: int, batch: int) -> Any:
        return self._loader.save_state_rank()


PEERS: dict[str, Any] = {
    "webdataset": Webdataset,
    "datasets": Datasets,
    "litdata": Litdata,
    "mosaicml-streaming": Mosaic,
    "megatron-energon": Energon,
}
