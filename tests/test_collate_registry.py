import subprocess
import sys

import pytest

from toolkit.collate import COLLATORS, get_collator
from toolkit.errors import MissingExtra, UnknownName


def test_get_collator_lists_the_known_names_when_unknown():
    with pytest.raises(UnknownName, match="'bagel'; known: chameleon, emu3, janus, understanding"):
        get_collator("bagel")


def test_get_collator_names_the_extra_when_torch_is_missing(monkeypatch):
    for module in [name for name in sys.modules if name.startswith("toolkit.collate.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        MissingExtra, match=r"torch is not installed; run in the clone: pip install -c constraints.txt -e '\.\[train\]'"
    ):
        get_collator("emu3")


WITHOUT_TORCH = """
import sys

import unifiedvisual  # datasets looks whether torch is there

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Finder())
for name in ("StreamingDataset", "RowDataset"):
    try:
        getattr(unifiedvisual, name)
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_datasets_name_the_extra_when_torch_is_missing():
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=True)
    told = "MissingExtra torch is not installed; run in the clone: pip install -c constraints.txt -e '.[train]'"
    assert done.stdout.splitlines() == [told] * 2


def test_importing_the_room_loads_no_torch():
    code = "import sys, toolkit.collate; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", COLLATORS)
def test_every_entry_loads_and_says_what_goes_in_and_out(name):
    pytest.importorskip("torch", reason="collators make torch tensors; pip install torch")
    docstring = COLLATORS.load(name).__doc__
    assert "Rows in, tensors out" in docstring
    assert "input_ids" in docstring
    assert "int64 (B, L)" in docstring
