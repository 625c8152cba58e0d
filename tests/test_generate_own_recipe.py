"""A recipe of one's own that is wrong: each command says what, and where."""

import pytest
import yaml

from toolkit.cli.app import main

PROMPT = """
role: text
user: A riddle about a {thing}.
schema:
  type: object
  properties: {riddle: {type: string}}
"""
RECIPE = """
from pathlib import Path
from toolkit.generation.procedural.script import Script
from toolkit.generation.recipes.recipe import Made, Recipe, Turn

async def make(context):
    reply = await context.ask("riddle@1", thing="clock")
    return Made(turns=(Turn(user=(reply["riddle"],), assistant=("A clock.",)),), answer="A clock.")

RECIPE = Recipe(
    name="riddles", task="cot_collection", version=1, folder=Path(__file__).parent, prompts=("riddle@1",),
    make=make, script=f"{__file__}:SCRIPT",
)
SCRIPT = Script(answers={"riddle": lambda request: {"riddle": f"What am I, {request.origin.index}?"}})
"""


@pytest.fixture
def call(tmp_path, capsys):
    """Call `generate COMMAND` on a spec of a recipe whose text, and that of its prompt, was changed."""

    def called(command, *changes):
        recipe, prompt = RECIPE, PROMPT
        for old, new in changes:
            assert old in recipe + prompt
            recipe, prompt = recipe.replace(old, new), prompt.replace(old, new)
        (tmp_path / "prompts").mkdir(exist_ok=True)
        (tmp_path / "prompts/riddle@1.yaml").write_text(prompt)
        (tmp_path / "recipe.py").write_text(recipe)
        spec = {"name": "mine", "backends": {"all": {"kind": "procedural"}}}
        spec["recipes"] = {"riddles": {"n": 3, "use": f"{tmp_path}/recipe.py:RECIPE"}}
        (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
        out = () if command in ("plan", "validate") else ("--out", str(tmp_path / "run"))
        with pytest.raises(SystemExit) as ended:
            main(["generate", command, str(tmp_path / "spec.yaml"), *out])
        said = capsys.readouterr()
        return ended.value.code or 0, " ".join((said.out + said.err).split())

    return called


BREAKS = ('reply["riddle"]', 'reply["ridle"]')
WHY = "recipe: KeyError: 'ridle' (recipe.py:8)"


@pytest.mark.parametrize("command", ["run", "status", "plan", "preview", "finalize"])
def test_a_recipe_that_raises_is_told_with_its_message_and_its_place(call, command):
    if command in ("status", "finalize"):
        call("run", BREAKS)
    code, said = call(command, BREAKS)
    assert code == {"status": 0, "finalize": 2}.get(command, 1)
    assert {
        "plan": f"all of 3 samples tried with the scene engine failed, the first at {WHY}",
        "preview": "3 samples with every step: 3 failed.",
        "finalize": "no sample is left to pack (3 failed); `unifiedvisual generate status` says why",
    }.get(command, f"riddles: failed at {WHY}") in said


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("type: string", "type: strng", "schema.riddle: type is 'strng'; expected one of object, array, string"),
        ("type: object", "type: objekt", "schema: type is 'objekt'; expected one of object"),
        (
            "type: object\n  properties: {riddle: {type: string}}",
            "type: string",
            "the reply to a chat prompt is an object",
        ),
        ("role: text", "role: picture", "role is 'picture'; expected one of text, vision, judge, image"),
        ("role: text", "role: text\nkind: chatt", "kind is 'chatt'; expected one of chat, generate, edit, retrieve"),
        ("script=f", "script='' and f", "no answer to riddle of riddles, whose script answers nothing"),
        ('{"riddle": lambda', '{"other": lambda', "no answer to riddle of riddles, whose script answers other"),
        (":SCRIPT", ":SKRIPT", "recipe.py:SKRIPT' cannot be loaded: AttributeError: module"),
        (":SCRIPT", ":PLAY", "recipe.py:PLAY' cannot be loaded"),
        (":SCRIPT", ":make", "expected a toolkit.generation.procedural.script.Script"),
    ],
)
def test_what_is_wrong_before_a_sample_is_made_is_one_error(call, old, new, problem):
    for command in ("validate", "plan", "run"):
        code, said = call(command, (old, new))
        assert code == 2
        assert problem in said
        assert "Traceback" not in said


def test_what_is_right_is_called_right(call):
    code, said = call("validate")
    assert code == 0
    assert said.endswith("nothing is wrong with it.")
    assert call("plan")[0] == call("run")[0] == call("preview")[0] == call("finalize")[0] == 0
