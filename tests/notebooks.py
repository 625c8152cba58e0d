"""Runs the notebooks in a kernel and keeps their outputs: `python -m tests.notebooks [--check]`.

With --check nothing is written: a notebook whose cells fail, or whose kept outputs are missing or large, is an error.
"""

import json
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"
CELL_S, LARGEST = 300, 200_000  # seconds a cell; bytes of a notebook with its outputs


def run(path: Path) -> nbformat.NotebookNode:
    """The notebook with new outputs; what libraries say on standard error is left out."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=CELL_S, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
            for output in cell.outputs:
                keep = ("image/png",) if "image/png" in output.get("data", {}) else ("text/plain",)
                if "data" in output:
                    output.data = {kind: output.data[kind] for kind in keep}
    return notebook


def main() -> None:
    for path in sorted(FOLDER.glob("*.ipynb")):
        notebook = run(path)
        if "--check" not in sys.argv:
            path.write_text(json.dumps(notebook, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        if path.stat().st_size > LARGEST:
            raise SystemExit(f"{path}: {path.stat().st_size:,} bytes with outputs; at most {LARGEST:,}")
        print(f"{path.name}: {len(notebook.cells)} cells ran")


if __name__ == "__main__":
    main()
