"""CoT-Collection: source, rationale and target, all text.

Source: https://huggingface.co/datasets/kaist-ai/CoT-Collection
"""

from toolkit.sources.dialects.dialect import Dialect, Draft, Fields, NoOptions, Turn, Use, is_text, text_in
from toolkit.sources.dialects.tasks import COT_TEXT


def fits(fields: Fields) -> bool:
    return all(is_text(fields[use]) for use in ("source", "target", "rationale"))


def read(fields: Fields, options: NoOptions) -> Draft:
    source, rationale, target = (text_in(fields, use) for use in ("source", "rationale", "target"))
    return Draft((Turn("user", (source,)), Turn("assistant", (rationale, target))), rationale, target)


DIALECT = Dialect(
    name="cot-collection",
    reads="CoT-Collection",
    sign="source, rationale and target",
    task=COT_TEXT,
    uses={"source": Use(("source",)), "target": Use(("target",)), "rationale": Use(("rationale",))},
    fits=fits,
    read=read,
)
