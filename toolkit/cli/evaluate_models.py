"""`unifiedvisual evaluate ask` and `judge`: models that answer the benchmark, and models that look at answers."""

import os
from pathlib import Path

from toolkit.cli.evaluate import parts_of
from toolkit.cli.terminal import item_progress, print_json, say, table
from toolkit.errors import SHOWN, UnifiedVisualError
from toolkit.evaluation import models
from toolkit.evaluation.asking import ask as ask_model
from toolkit.evaluation.asking import read_prompts
from toolkit.evaluation.judging import judge as judge_answers
from toolkit.evaluation.judging import shares
from toolkit.evaluation.scoring import item_ids, score, scores


def ask(
    bench: Path,
    out: Path,
    model: str,
    *,
    server: str,
    api_key_env: str,
    parallel: int,
    decoder: str | None,
    device: str,
    max_new_tokens: int,
    as_json: bool,
) -> None:
    if server:
        key = os.environ.get(api_key_env, "")
        asked = models.server(server, model, api_key=key, parallel=parallel, max_tokens=max_new_tokens)
    else:
        asked = models.transformers_model(model, decoder=decoder, device=device, max_new_tokens=max_new_tokens)
    with item_progress("answers", sum(1 for _ in read_prompts(bench))) as advance:
        written, failed = ask_model(bench, out, asked, on_done=advance)
    if as_json:
        print_json({"out": str(out), "answers": written, "failed": dict(failed)})
    else:
        say(f"{out / 'answers.jsonl'}: {written:,} answers; next: unifiedvisual evaluate {out}")
        for error, count in failed.most_common(SHOWN):
            say(f"{count:,} not answered: {error}")
    if failed:
        raise UnifiedVisualError(f"{failed.total():,} items have no answer; run again to ask for those alone")


def judge(
    answers: Path,
    wanted: str,
    *,
    model: str,
    server: str,
    api_key_env: str,
    parallel: int,
    size: int,
    as_json: bool,
) -> None:
    chosen = parts_of(wanted)
    asked = models.server(server, model, api_key=os.environ.get(api_key_env, ""), parallel=parallel, max_tokens=256)
    with item_progress("answers", len(item_ids(chosen, size))) as advance:
        judged = judge_answers(answers, asked, wanted=chosen, size=size, on_done=advance)
    found, exact = shares(judged), scores(score(answers, wanted=chosen, size=size)[0])
    unclear = sum(each.says is None for each in judged)
    if as_json:
        yes = {part: each._asdict() for part, each in found.items()}
        print_json({"judge": model, "is_exact": False, "yes": yes, "judged": len(judged), "unclear": unclear})
        return
    rows = [
        (part, f"{each.mean:.3f}", f"{each.low:.3f} to {each.high:.3f}", f"{exact[part].right.mean:.3f}")
        for part, each in found.items()
    ]
    table(f"{model} says yes; not exact", ("", "yes", "95 % interval", "exact"), rows, right=("yes", "exact"))
    say(f"{len(judged):,} answers judged, {unclear:,} of them with neither yes nor no.")
