"""What the training examples begin with: options, processes, a small dataset, picture ids."""

import argparse
import atexit
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
import torch.distributed as dist

from toolkit.demo.data import pack_demo
from unifiedvisual import StoredTokens, StreamingDataset, tokenize


def options(description: str, *, config: str = "visual_generation") -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--data", help="packed folder or Hub dataset; without it a small one is made of photographs that are included")
    add("--config", default=config, help="all, a family or a task")
    add("--model", help="checkpoint, a folder or Hub id; without it a tiny random model that learns on a CPU")
    add("--out", type=Path, default=Path("example-out"), help="folder for data, picture ids, checkpoints and samples")
    add("--steps", type=int, default=80, help="where to stop, counted from the very first step")
    add("--resume", action="store_true", help="resume from the last checkpoint in --out")
    add("--save-every", type=int, default=50, help="steps between checkpoints; there is one at the end too")
    add("--batch-size", type=int, default=4, help="rows at once, of each process")
    add("--accumulate", type=int, default=1, help="batches of an update")
    add("--workers", type=int, default=2, help="processes that read and collate, of each process")
    add("--learning-rate", type=float, default=3e-3, help="for the tiny model; a real one wants about 1e-5")
    add("--warmup", type=int, default=0, help="steps until the learning rate is reached")
    add("--decay-steps", type=int, default=0, help="step at which a cosine has led it to zero; 0: it stays")
    add("--weight-decay", type=float, default=0.0)
    add("--clip", type=float, default=1.0, help="norm to which gradients are clipped")
    add("--precision", choices=("float32", "mixed"), default="mixed" if torch.cuda.is_available() else "float32",
        help="weights are float32 in both; mixed computes in bfloat16")  # fmt: skip
    add("--checkpointing", action="store_true", help="compute activations again in the backward pass: less memory")
    add("--lora", type=int, default=0, help="rank of adapters that are trained in place of the model; 0: none")
    add("--fsdp", action="store_true", help="shard weights, gradients and optimizer over the processes (FSDP2)")
    add("--samples", type=int, default=2, help="prompts that the trained model answers at the end")
    add("--sample-tokens", type=int, default=0, help="of an answer; 0: 64 for the tiny model, 4096 for another")
    return parser


def begin(args: argparse.Namespace) -> None:
    """Join the processes of torchrun, where it started this one."""
    if not args.model:
        torch.set_num_threads(1)  # so small a model is faster without others
    if "RANK" in os.environ and not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        atexit.register(dist.destroy_process_group)


def ranks() -> tuple[int, int]:
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


@contextmanager
def rank_0_first() -> Iterator[bool]:
    """Whether this is rank 0, which the others wait for."""
    if ranks()[0]:
        dist.barrier()
    yield ranks()[0] == 0
    if ranks() > (0, 1):
        dist.barrier()


def packed_data(args: argparse.Namespace) -> str:
    """--data, or the demo dataset of the same config: made, packed, and used again by the next run."""
    if args.data:
        return str(args.data)
    with rank_0_first():
        return str(pack_demo(args.out / f"packed-{args.config}", args.config))


def stored_tokens(args: argparse.Namespace, data: str, tokenizer) -> StoredTokens:
    """Ids of all pictures, computed once, by each rank its share: the loop then needs no VQ model, may shard it, and
    worker processes can collate though the model is on a GPU.

    `unifiedvisual tokenize` does the same beforehand, also with many machines.
    """
    tokenizer.module.to(device())
    rows = StreamingDataset(data, args.config, shuffle=False, decode=None, tail="pad")
    counts = tokenize(rows, tokenizer, args.out / "tokens", answers_only=tokenizer.answers_only)
    print(f"tokenize: {dict(counts)}")
    if dist.is_initialized():
        dist.barrier()
    # The revision: never the ids of another checkpoint.
    return StoredTokens(args.out / "tokens", revision=tokenizer.revision)


def last_checkpoint(out: Path) -> str | None:
    """The last whole checkpoint of Trainer: it writes its state at the end, so a kill may leave one without."""
    found = [path for path in out.glob("checkpoint-*") if _is_whole(path / "trainer_state.json")]
    return str(max(found, key=lambda path: int(path.name.partition("-")[2]))) if found else None


def _is_whole(state: Path) -> bool:
    with suppress(OSError, json.JSONDecodeError):
        return bool(json.loads(state.read_text(encoding="utf-8")))
    return False


def adapted(model, args: argparse.Namespace):
    """The model, or adapters around it (--lora), which then are all that is trained."""
    if not args.lora:
        return model
    from peft import LoraConfig, get_peft_model

    # By name, so that VQ parts and vision towers stay as they are.
    frozen = r"(?!.*(vqmodel|vision_model|vision_tower|visual))"
    layers = frozen + r".*layers.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
    config = LoraConfig(r=args.lora, lora_alpha=2 * args.lora, target_modules=layers)
    return get_peft_model(model, config)
