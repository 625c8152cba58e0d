"""What a StreamingDataset is given."""

import os
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, fields

from toolkit.errors import UsageError
from toolkit.images import DecodePolicy
from toolkit.streaming.decode import DecodeMode, Fit, ImageType
from toolkit.streaming.mixture import Component, Stop
from toolkit.streaming.selection import Lengths, Split, Where
from toolkit.streaming.share import Tail


@dataclass(eq=False, repr=False)
class StreamingArguments:
    """See StreamingDataset. A class of its own, for one with a base in torch takes any argument where a type checker
    does not find torch.
    """

    path: str | os.PathLike[str] | Sequence[Component]
    name: str = "all"
    _: KW_ONLY
    shuffle: bool = True
    seed: int = 0
    decode: DecodeMode | None = "exact"
    image_size: int | tuple[int, int] | None = None
    fit: Fit = "crop"
    image_type: ImageType | None = None
    columns: Sequence[str] | None = None
    rank: int | None = None
    world_size: int | None = None
    batch_size: int = 1
    tail: Tail = "drop"
    stop: Stop | int = "first_exhausted"
    lanes: int = 4
    window: int = 4
    threads: int = 1
    ahead: int = 32
    policy: DecodePolicy | None = None
    verify: bool = False
    prompt_dropout: float = 0.0
    max_tokens: int | None = None
    packing: bool = False
    lengths: Lengths | None = None
    where: Where | None = None
    holdout: float = 0.0
    holdout_seed: int = 0
    split: Split = "train"
    revision: str | None = None
    token: str | bool | None = None

    def __post_init__(self) -> None:
        """StreamingDataset opens the data here too."""
        for name, least in (("threads", 1), ("ahead", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise UsageError(f"{name} is {value!r}; expected a whole number of at least {least}")
        if self.policy is not None and not isinstance(self.policy, DecodePolicy):
            raise UsageError(f"policy is {self.policy!r}; expected a DecodePolicy, as DecodePolicy(on_bad='skip')")


ARGUMENTS = frozenset(each.name for each in fields(StreamingArguments))
