"""A walk on a board of 5 x 5 squares with letters and numbers, as on a map."""

from functools import partial

from toolkit.scene.difficulty import Level
from toolkit.scene.glyphs import write
from toolkit.scene.language import NUMBERS, listed, sentence
from toolkit.scene.raster import Pixels, Polygons, disc, paint, polygon, rectangle, stroke
from toolkit.scene.streams import Stream
from toolkit.scene.styles import style_named
from toolkit.scene.told.figure import Drawing, Problem, Thought, sheet, style_for, text_colour

CELLS = 5
_STEP, _LEFT, _TOP = 84, 62, 62  # pixels
_WALKERS = ("A toy robot", "A snail", "A beetle", "A chess piece", "A remote-controlled car")
_WAYS = {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}

Square = tuple[int, int]  # column, row, from 0


def name_of(square: Square) -> str:
    return f"{'ABCDE'[square[0]]}{square[1] + 1}"


def square_named(name: str) -> Square:
    return "ABCDE".index(name[0]), int(name[1]) - 1


def path_problem(stream: Stream, level: Level) -> Problem:
    end: Square = (stream.below(CELLS), stream.below(CELLS))
    moves, stops = _walk_back(end, level.moves, stream)
    style, walker = style_for(stream), stream.pick(_WALKERS)
    told = [f"{NUMBERS[count]} square{'s' if count > 1 else ''} {way}" for way, count in moves]
    question = (
        f"{walker} stands on square {name_of(stops[0])} of a board with columns A to E from left to right and rows 1 "
        "to 5 from top to bottom. "
        f"It moves {', then '.join(told)}. On which square does it stop?"
    )
    thoughts = [
        Thought(
            text=f"I draw the board and mark the start, {name_of(stops[0])}.",
            drawing=path_drawing(stops[:1], style.name),
        )
    ]
    thoughts += [
        Thought(text=f"{sentence(move)}: from {name_of(a)} to {name_of(b)}.")
        for move, a, b in zip(told, stops, stops[1:], strict=False)
    ]
    thoughts.append(Thought(text="This is the whole way.", drawing=path_drawing(stops, style.name)))
    return Problem(
        kind="path",
        question=question,
        thoughts=tuple(thoughts),
        answer=name_of(end),
        num_choices=CELLS**2,
        facts={"stops": [name_of(s) for s in stops], "style": style.name},
    )


def _walk_back(end: Square, length: tuple[int, int], stream: Stream) -> tuple[list[tuple[str, int]], list[Square]]:
    """Moves that lead to `end`, drawn backwards so that every end is equally likely; no square is a stop twice, and
    moves turn a corner each time.
    """
    moves: list[tuple[str, int]] = []
    stops = [end]
    for _ in range(length[0] + stream.below(length[1] - length[0] + 1)):
        column, row = stops[0]
        last_axis = None if not moves else _WAYS[moves[0][0]][0] == 0
        options = []
        for way, (dx, dy) in _WAYS.items():
            for count in (1, 2, 3):
                back = (column - dx * count, row - dy * count)
                if (dx == 0) != last_axis and all(0 <= value < CELLS for value in back) and back not in stops:
                    options.append((way, count, back))
        if not options:
            break
        way, count, back = stream.pick(options)
        moves.insert(0, (way, count))
        stops.insert(0, back)
    return moves, stops


def path_drawing(stops: list[Square], style: str) -> Drawing:
    way = (
        f"with a line through {listed([name_of(stop) for stop in stops])}"
        if len(stops) > 1
        else f"with a mark on {name_of(stops[0])}"
    )
    return Drawing(caption=f"A board of five by five squares {way}.", draw=partial(draw_path, tuple(stops), style))


def draw_path(stops: tuple[Square, ...], style_name: str) -> Pixels:
    """The board, the way so far, a dot at the start and an arrow head at the end."""
    style = style_named(style_name)
    pixels, ink = sheet(style), text_colour(style)
    size = _STEP * CELLS
    for column in range(CELLS):
        write(pixels, "ABCDE"[column], _LEFT + _STEP * (column + 0.5), _TOP - 26, 22, ink)
        write(pixels, str(column + 1), _LEFT - 26, _TOP + _STEP * (column + 0.5), 22, ink)
        for row in range(CELLS):
            if (column + row) % 2:
                x, y = _LEFT + column * _STEP, _TOP + row * _STEP
                paint(pixels, [rectangle(x, y, x + _STEP, y + _STEP)], style.tint)
    frame = [(_LEFT, _TOP), (_LEFT + size, _TOP), (_LEFT + size, _TOP + size), (_LEFT, _TOP + size)]
    paint(pixels, stroke(frame, 4, closed=True), ink)
    points = [(_LEFT + _STEP * (column + 0.5), _TOP + _STEP * (row + 0.5)) for column, row in stops]
    if len(points) > 1:
        paint(pixels, stroke(points, 9), style.fills["orange"])
        paint(pixels, [_arrow(points[-2], points[-1])], style.fills["orange"])
    paint(pixels, [disc(*points[0], 17)], style.fills["green"])
    paint(pixels, stroke(disc(*points[0], 17)[0], 3, closed=True), ink)
    return pixels


def _arrow(before: tuple[float, float], tip: tuple[float, float]) -> Polygons:
    dx, dy = ((b > a) - (b < a) for a, b in zip(before, tip, strict=True))
    x, y = tip
    return polygon(
        [
            (x + 24 * dx, y + 24 * dy),
            (x - 8 * dx - 20 * dy, y - 8 * dy - 20 * dx),
            (x - 8 * dx + 20 * dy, y - 8 * dy + 20 * dx),
        ]
    )
