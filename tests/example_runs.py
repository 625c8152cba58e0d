"""Examples as scripts in this process, and what they leave."""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

# Of Lightning, Accelerate and TRL.
WARNINGS = (
    "ignore:.*(does not have many workers|isinstance.treespec|LeafSpec|has `__len__`|is not empty)",
    "ignore:.*(OMP_NUM_THREADS|pin_memory).*:UserWarning",
)
EXAMPLES = Path(__file__).parents[1] / "examples"


def run_example(name: str, *arguments: object) -> None:
    """As `python examples/train_NAME.py ARGUMENTS`."""
    before = sys.argv, list(sys.path)
    sys.argv = [str(EXAMPLES / f"train_{name}.py"), *map(str, arguments)]
    sys.path.insert(0, str(EXAMPLES))
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        sys.argv, sys.path[:] = before


def losses_of(folder: Path) -> list[Any]:
    """Losses of every step in the last checkpoint, whichever loop has left it."""
    if (folder / "lightning").exists():
        saved = torch.load(folder / "lightning" / "last.ckpt", weights_only=False)
        return list(saved["callbacks"]["Losses"]["losses"])
    found = [path for path in folder.glob("checkpoint-*") if path.suffix != ".part"]
    last = max(found, key=lambda path: int(path.name.partition("-")[2]))
    if (last / "trainer_state.json").exists():
        log = json.loads((last / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
        return [entry["loss"] for entry in log if "loss" in entry]
    if (last / "rest.pt").exists():
        return list(torch.load(last / "rest.pt", weights_only=True)["history"])
    return list(torch.load(last / "custom_checkpoint_0.pkl", weights_only=False)["losses"])


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(next((folder / "model").glob("*.safetensors")))


def trained_alike(one: Path, other: Path) -> bool:
    """Whether losses and weights are the same, bit for bit."""
    weights = [weights_of(folder) for folder in (one, other)]
    same = all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    return losses_of(one) == losses_of(other) and same
