"""A card as its readers see it: YAML, and Markdown through a CommonMark parser."""

import re

import yaml
from markdown_it import MarkdownIt

MARKDOWN = MarkdownIt("commonmark").enable("table")


def metadata_of(text):
    found = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert found
    return yaml.safe_load(found[1])


def tokens_of(text):
    return MARKDOWN.parse(re.sub(r"\A---\n.*?\n---\n", "", text, count=1, flags=re.DOTALL))


def headings_of(text):
    tokens = tokens_of(text)
    return [tokens[n + 1].content for n, token in enumerate(tokens) if token.type == "heading_open"]


def tables_of(text):
    """First header cell -> rows of cells, as a reader sees them."""
    tables: list[list[list[str]]] = []
    found, is_open = {}, False
    for token in tokens_of(text):
        if token.type == "table_open":
            tables.append([])
            is_open = True
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type == "table_close":
            is_open = False
        elif token.type == "inline" and is_open:
            tables[-1][-1].append("".join(child.content for child in token.children))
    for header, *rows in tables:
        found[" ".join(header[:2])] = rows
    return found


def fences_of(text, language):
    return [token.content for token in tokens_of(text) if token.type == "fence" and token.info == language]


def firsts(rows):
    return {task: listed[0] for task, listed in rows.items()}


def shown(row):
    """What the card has to show of a row."""
    return {
        **row.to_dict(),
        "images": [{"bytes": f"{len(image.bytes):,} bytes", "path": image.path} for image in row.images],
    }
