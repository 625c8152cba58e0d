"""Train on several processes with DistributedDataParallel: the same number of steps on each, every row once over all of
them.

python examples/train_ddp.py                                         # starts two processes on this machine by itself
torchrun --nproc-per-node 8 examples/train_ddp.py --data org/packed  # the same, started as usual
"""

import json
import os
import sys

import torch
from loop import options, packed_data, stored_tokens
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from transformers import ChameleonForConditionalGeneration, ChameleonProcessor

from toolkit.demo.tiny_models import tiny_chameleon
from unifiedvisual import LossModel, StreamingDataset, get_collator, get_tokenizer, vocabulary_losses


class CollateWithIds:
    """The batch and the ids of its rows, to show who got which."""

    def __init__(self, collate) -> None:
        self.collate = collate

    def __call__(self, rows):
        return [row["id"] for row in rows], self.collate(rows)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument(
        "--tail",
        choices=("drop", "pad"),
        default="drop",
        help="rows that do not divide: leave out, or repeat some, at most one a rank",
    )
    args = parser.parse_args()
    if "RANK" not in os.environ:
        os.execv(
            sys.executable,
            [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *sys.argv],
        )
    on_gpu = torch.cuda.is_available()
    torch.distributed.init_process_group("nccl" if on_gpu else "gloo")
    rank, device = (
        torch.distributed.get_rank(),
        torch.device("cuda", int(os.environ["LOCAL_RANK"])) if on_gpu else torch.device("cpu"),
    )
    if args.model:
        processor, model = (
            ChameleonProcessor.from_pretrained(args.model),
            ChameleonForConditionalGeneration.from_pretrained(args.model),
        )
    else:
        torch.set_num_threads(1)
        processor, model = (tiny := tiny_chameleon()).processor, tiny.model
    tokenizer = get_tokenizer(model, processor)
    if rank == 0:  # makes data and ids; the others find them
        stored_tokens(args, packed_data(args), tokenizer)
    torch.distributed.barrier()
    data = packed_data(args)
    tokens = stored_tokens(args, data, tokenizer)

    # Wrap first, distribute second. A batch without pictures leaves parameters unused, which DDP has to be told.
    wrapped = DistributedDataParallel(LossModel(model, vocabulary_losses).to(device), find_unused_parameters=True)
    optimizer = torch.optim.AdamW([each for each in wrapped.parameters() if each.requires_grad], lr=args.learning_rate)
    # Rank and world size come from torch.distributed. Shards may be as uneven as they like: rows, not files, are shared
    # out.
    dataset = StreamingDataset(data, args.config, batch_size=args.batch_size, tail=args.tail, decode=None)
    collate = CollateWithIds(get_collator("chameleon", processor=processor, image_tokens=tokens))
    ids, losses = [], []
    for row_ids, batch in DataLoader(dataset, batch_size=args.batch_size, num_workers=args.workers, collate_fn=collate):
        loss = wrapped(**{name: value.to(device) for name, value in batch.items()})["loss"]
        optimizer.zero_grad()
        loss.backward()  # waits for the other ranks: a rank with more steps would wait for ever
        optimizer.step()
        ids += row_ids
        losses.append(loss.item())
    print(
        f"rank {rank}: {len(losses)} steps, {len(ids)} rows, loss {losses[0]:.3f} -> {losses[-1]:.3f}; odd rows of "
        f"all ranks: {dataset.odd_rows}"
    )
    (args.out / f"rank-{rank}.json").write_text(
        json.dumps({"steps": len(losses), "ids": ids, "odd_rows": dataset.odd_rows})
    )
    torch.distributed.barrier()
    if rank == 0:
        model.save_pretrained(args.out / "model")
        processor.save_pretrained(args.out / "model")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
