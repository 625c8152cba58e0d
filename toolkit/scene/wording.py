"""Other ways to say what the scene engine says, sentence by sentence, so that a thousand questions do not sound alike.

What is said stays the same: every way names all that the first one names. Captions are not among them: they read back
to a graph word by word.
"""

import re
from collections.abc import Iterator
from functools import cache

from toolkit.scene.language import sentence
from toolkit.scene.streams import Stream

_ONE_OF = {"relation": "to the left of|to the right of|above|below", "be": "was|were"}
# {name} is anything; {relation} and {be} are one of these.
WAYS: dict[str, tuple[str, ...]] = {
    # questions about a picture
    "How many {x} are there?": (
        "How many {x} can you count?",
        "What is the number of {x} here?",
        "Of all that is drawn here, how many are {x}?",
        "How many {x} has the picture?",
        "Please count the {x} in the picture.",
    ),
    "How many {x} does the picture show?": (
        "What is the total of {x} in this drawing?",
        "How many {x} do you find if you go through the picture?",
        "In all, how many {x} did the artist draw?",
    ),
    "Is there {x} in the picture?": (
        "Can you find {x} anywhere?",
        "Is {x} among the things drawn here?",
        "Did the artist draw {x}?",
        "Would you say that the picture has {x}?",
    ),
    "Does the picture show {x}?": ("Do you see {x}?", "Is {x} to be seen here?", "Does {x} appear in this drawing?"),
    "What colour is {x}?": (
        "Which colour was used for {x}?",
        "{x} is drawn in which colour?",
        "Name the colour of {x}.",
        "In what colour do you see {x}?",
    ),
    "Which colour does {x} have?": ("What is the colour of {x}?", "How is {x} coloured?"),
    "What is {x} of the picture?": (
        "What has been drawn {x} of the picture?",
        "Name the shape that is {x} of the picture.",
        "Looking {x} of the picture, what is there?",
    ),
    "What do you see {x} of the picture?": (
        "Which shape lies {x} of the picture?",
        "What can be found {x} of the picture?",
    ),
    "Where is {x}?": (
        "In which part of the picture is {x}?",
        "Where should I look for {x}?",
        "Where did the artist put {x}?",
    ),
    "Where in the picture is {x}?": ("Tell me where {x} is.", "At which place of the picture do you find {x}?"),
    "What is inside {x}?": ("Which shape is enclosed by {x}?", "What has been drawn within {x}?"),
    "What lies inside {x}?": ("{x} has something inside it: what is it?", "Name the shape inside {x}."),
    "Is {x} {relation} {y}?": (
        "Does {x} lie {relation} {y}?",
        "Would you find {x} {relation} {y}?",
        "Is it true that {x} is {relation} {y}?",
        "Looking at {y}: is {x} {relation} it?",
    ),
    "Are there more {x} than {y}?": (
        "Do the {x} outnumber the {y}?",
        "Does the picture have more {x} than {y}?",
        "Count both: are the {x} more than the {y}?",
    ),
    "Which is larger, {x} or {y}?": (
        "Of {x} and {y}, which takes up more space?",
        "Compare {x} and {y}: which is the larger one?",
    ),
    "Which one is bigger: {x} or {y}?": ("Is {x} or {y} the bigger one?", "Which was drawn bigger, {x} or {y}?"),
    # requests to change a picture
    "Paint {x} in {y}.": (
        "Could {x} get {y}?",
        "Give {x} {y}, please.",
        "{x} would look better in {y}.",
        "Let {x} take on {y}.",
        "For {x} I had {y} in mind.",
        "Please change {x} so that it has {y}.",
    ),
    "I would like {x} to match {y} in colour.": (
        "Let {x} be of one colour with {y}.",
        "Take the colour of {y} and use it for {x}.",
        "{x} and {y} should share a colour, that of the latter.",
        "Could you bring {x} to the colour that {y} has?",
        "Dip {x} into the same paint as {y}.",
        "Whatever colour {y} has, {x} should have it too.",
    ),
    "Decorate {x} in the same way as {y}.": (
        "Use the decoration of {y} for {x} as well.",
        "{x} deserves the pattern that {y} has.",
        "Could {x} be patterned like {y}?",
        "Whatever covers {y} should cover {x} too.",
        "Repeat the pattern of {y} on {x}.",
    ),
    "Make {x} as undecorated as {y}.": (
        "Take from {x} whatever {y} does without.",
        "{x} should be as bare as {y}.",
        "Like {y}, {x} needs no decoration.",
        "Could {x} be kept as simple as {y}?",
        "Clean {x} up until it looks as plain as {y}.",
    ),
    "{x} should be about as big as {y}.": (
        "Bring {x} to the size of {y}.",
        "Scale {x} until it matches {y}.",
        "Could {x} and {y} be equally big, the second staying as it is?",
        "Take {y} as the measure for the size of {x}.",
        "{x} has the wrong size; {y} has the right one.",
    ),
    "Please clear away whatever is directly {relation} {y}.": (
        "What is directly {relation} {y} can go.",
        "Leave nothing directly {relation} {y}.",
        "The spot directly {relation} {y} should become empty.",
        "Could you take out the thing directly {relation} {y}?",
        "I do not need what stands directly {relation} {y}.",
    ),
    "It looks empty {x}.": (
        "There is a gap {x}.",
        "Nothing is {x} yet.",
        "{x}, the picture has room left.",
        "I miss something {x}.",
    ),
    "Could {x} have a twin there?": (
        "A copy of {x} would fill it.",
        "Put a second one just like {x} there.",
        "Please repeat {x} in that spot.",
        "Another one like {x} would be nice there.",
    ),
    "{x} belongs directly {relation} {y}.": (
        "Move {x} until it is directly {relation} {y}.",
        "Could {x} go directly {relation} {y}?",
        "Let {x} find its place directly {relation} {y}.",
        "I want to see {x} directly {relation} {y}.",
        "Take {x} from where it is and set it directly {relation} {y}.",
    ),
    "Put {x} where {y} is now, and the other way round.": (
        "Let {x} and {y} trade places.",
        "{x} and {y} should change seats.",
        "Could {x} and {y} be exchanged?",
        "Where {x} is I want {y}, and where {y} is, {x}.",
        "Swap the positions of {x} and {y}, please.",
    ),
    # requests for a picture
    "I need a picture for {x}, drawn {y}, on {z} background.": (
        "I am looking for a picture for {x}, on {z} background and drawn {y}.",
        "Make me a picture for {x}; draw it {y}, with {z} background.",
        "For {x} I want a picture that is drawn {y} and has {z} background.",
    ),
    "Could you draw something for {x}?": (
        "Would you make a drawing for {x}?",
        "I could use a drawing for {x}.",
        "What I need is a drawing for {x}.",
        "Can you help me with {x}?",
    ),
    "It should be on {x} background, drawn {y}.": (
        "Use {x} background and draw {y}.",
        "I imagine it {y}, with {x} background behind it.",
        "Draw {y}, and leave {x} background behind everything.",
    ),
    "Please design {x}.": ("Design {x} for me.", "I would like you to design {x}.", "We still need {x}."),
    "Draw it {x}, on {y} background.": (
        "It should be drawn {x}, with {y} background.",
        "Keep it {x}, and give it {y} background.",
    ),
    # problems told in words
    "The {x} is directly to the left of the {y}.": (
        "Directly to the right of the {x} comes the {y}.",
        "The {x} has the {y} as its neighbour on the right.",
        "Going from left to right, the {y} follows the {x} at once.",
    ),
    "The {x} is somewhere to the left of the {y}.": (
        "The {y} is somewhere to the right of the {x}.",
        "Going from left to right, one meets the {x} before the {y}.",
    ),
    "The {x} and the {y} are not next to each other.": (
        "At least one thing is between the {x} and the {y}.",
        "The {x} and the {y} are no neighbours.",
    ),
    "The {x} is at one of the two ends.": (
        "The {x} is either the first or the last.",
        "The {x} has only one neighbour.",
    ),
    "Which of them is {x}?": ("What is {x}?", "Say which of them is {x}.", "Find out which is {x}."),
    "Which one hangs {x}?": ("What hangs {x}?", "Tell me which one is {x}."),
    "It moves {x}.": ("Its way is this: {x}.", "From there it goes {x}.", "It is sent {x}."),
    "On which square does it stop?": (
        "Where does it end up?",
        "Which square does it reach in the end?",
        "Name the square on which it comes to rest.",
    ),
    "On {d} there {be} {x} than on {e}.": (
        "{d} brought {x} than {e}.",
        "Compared with {e}, there were {x} on {d}.",
        "On {d} it was {x} than on {e}.",
    ),
    "On {d} there were {x} as many as on {e}.": (
        "{d} brought {x} as many as {e}.",
        "On {d} it was {x} as many as on {e}.",
    ),
    "On which day was the number {x}?": (
        "Which day had the {x} number?",
        "Name the day with the {x} number.",
        "When was the number {x}?",
    ),
    "At what time does the bus leave?": ("When does the bus leave?", "What does the clock show when the bus leaves?"),
    "At what time can it go into the oven?": (
        "When is it ready for the oven?",
        "What time is it when it can be baked?",
    ),
    "When does the evening end?": ("At what time is the evening over?", "What time is it at the very end?"),
    "At what time do they walk on?": ("When do they set out again?", "What time is it when they go on?"),
    "Then they rest for {x}.": ("A rest of {x} follows.", "After that they need a rest of {x}."),
    "Shaping it takes {x}.": ("It takes {x} more to shape it.", "Then {x} go into shaping it."),
    "Changing to the bus takes another {x}.": ("It takes {x} more to change to the bus.",),
    "Afterwards the director answers questions for {x}.": ("Then {x} of questions to the director follow.",),
    # what pages are asked
    "Could you show me a few simple drawings that have {x} in them?": (
        "I want to see some simple drawings with {x}.",
        "Please show me drawings in which {x} appear.",
        "Are there simple pictures with {x} that you can show me?",
        "For my class I need drawings that contain {x}; can you show some?",
        "How could drawings with {x} look?",
        "Show how one can draw pictures that have {x} in them.",
        "What do simple drawings with {x} look like?",
        "I collect simple drawings; which pictures have {x}?",
        "Give me a few pictures to copy, with {x} in them.",
        "Can I see drawings, each described, that have {x} in them?",
        "Which drawings could teach a child {x}?",
        "Find me pictures that show {x}.",
    ),
    "I am looking for example pictures with {x}.": (
        "My next lesson needs pictures with {x}.",
        "I would like to compare pictures with {x}.",
        "I have to draw pictures with {x}.",
        "We want to print pictures with {x}.",
        "Somebody asked me for pictures with {x}.",
        "For a set of cards I need pictures with {x}.",
        "I was told to prepare pictures with {x}.",
    ),
    "What could they look like?": (
        "How might one draw them?",
        "Can you show me some?",
        "What would be good examples?",
        "Please show a few.",
        "How are they drawn?",
        "Which pictures do you suggest?",
    ),
    "How do I draw a picture in {s} style with {x}, step by step?": (
        "In which order do I draw a picture in {s} style with {x}?",
        "I want to draw a picture in {s} style with {x}; what are the steps?",
        "Take me through the drawing of a picture in {s} style with {x}.",
        "Which steps lead to a drawing in {s} style with {x}?",
        "Explain with pictures how a drawing in {s} style with {x} comes about.",
        "What do I do first, second and so on to draw a picture in {s} style with {x}?",
        "Teach me, picture by picture, a drawing in {s} style with {x}; show each step.",
        "Give me steps, with a picture each, for a drawing in {s} style with {x}.",
        "How does a picture in {s} style with {x} grow, one step after another?",
        "For beginners: show how to build up a picture in {s} style with {x}.",
    ),
    "Can you show me, in pictures, how to make {s} drawing with {x}?": (
        "I would like to see, in pictures, how {s} drawing with {x} is made.",
        "Please show in pictures the making of {s} drawing with {x}.",
        "How is {s} drawing with {x} made, seen in pictures?",
        "Let me watch, in pictures, {s} drawing with {x} being made.",
        "What does {s} drawing with {x} look like after each step? Show it.",
        "Show the stages of {s} drawing with {x}.",
        "From an empty sheet to {s} drawing with {x}: can you show the way in pictures?",
    ),
    "Find a picture in the same style as mine that shows {x}.": (
        "Please look for {x}, drawn in the style of my picture.",
        "I need a second picture, with {x}, in the style of this one.",
        "Somewhere there is a picture with {x} that is drawn like mine.",
        "Get me a picture that goes with mine in style and has {x} in it.",
        "Search for {x} in a drawing of the same style as this one.",
        "Is there a picture with {x} in the style of mine?",
        "Pick a picture with {x} that could hang next to mine, as it has the same style.",
        "Whoever drew mine may have drawn {x} too; find that picture.",
        "Among other pictures of this style, look for one with {x}.",
        "My picture needs a companion of its own style that has {x} in it.",
        "Bring me {x} in a drawing of this very style.",
        "Which picture with {x} has the style of the one I give you?",
        "Choose the picture that shows {x} and shares the style of mine.",
        "I remember a drawing with {x} in this same style; find it.",
        "To go with this one, find a picture of the same style with {x}.",
        "Where is the picture with {x} that matches mine in style?",
        "Go through other pictures until you find {x} in the style of mine.",
        "Another picture of the same series has {x} in it: show it.",
        "Look up {x}, and take the picture whose style is that of mine.",
        "Keep to the style of my picture and find one with {x}.",
        "For my album, find one in the style of this picture that shows {x}.",
        "There should be one more picture in this style, with {x}; which is it?",
        "Compare styles, and find the picture with {x} that agrees with mine.",
    ),
    "Does it show more {x} than mine, fewer, or the same number?": (
        "Next to mine, does it have more {x}, fewer, or the same number?",
        "Compared with mine: more {x}, fewer, or the same number?",
        "Which is true of its {x}: more than in mine, fewer, or the same number?",
        "Count the {x} in both: does the other one have more, fewer, or the same number?",
        "Tell me whether it has more {x} than mine, fewer, or the same number.",
        "How do the {x} compare: does it have more than mine, fewer, or the same number?",
        "Are there more {x} in it than in mine, fewer, or the same number?",
        "Of {x}, does it hold more than mine, fewer, or the same number?",
        "Say how it compares with mine in {x}: more, fewer, or the same number.",
        "As to {x}: has it more than mine, fewer, or the same number?",
        "Then count {x}: more there than in mine, fewer, or the same number?",
        "Would you find more {x} in it than in mine, fewer, or the same number?",
        "Once you have it, compare the {x}: more than in mine, fewer, or the same number?",
        "Put both side by side: does the found one show more {x}, fewer, or the same number?",
        "Then tell me if its {x} are more than mine, fewer, or the same number.",
        "Has it more {x} than the picture I gave you, fewer, or the same number?",
        "Is the number of {x} in it more than in mine, fewer, or the same number?",
        "If you count {x} there and here, is it more there, fewer, or the same number?",
        "What about {x}: more than here, fewer, or the same number?",
        "Do you count more {x} in that one than in this one, fewer, or the same number?",
        "Which of these holds for its {x}, next to mine: more, fewer, or the same number?",
        "My picture has some {x}; does the other one have more, fewer, or the same number?",
        "Decide between more, fewer and the same number: how do its {x} compare with mine?",
        "Let me know about its {x}: more than mine shows, fewer, or the same number?",
        "I want to know of its {x} whether they are more than in mine, fewer, or the same number.",
        "Against mine, is it more {x}, fewer, or the same number?",
        "After that, look at the {x}: are they more than in my picture, fewer, or the same number?",
    ),
    "For {x} I would like to see {y}.": (
        "For {x} I need a photograph of {y}.",
        "Please find {y}; it is for {x}.",
        "We are making {x}, and it should show {y}.",
        "{y} would be right for {x}.",
        "I want {x} with {y} on it.",
        "What does {y} look like? I need it for {x}.",
        "My idea for {x} is {y}.",
        "Show me {y}, to be used for {x}.",
        "On {x} there should be {y}.",
        "Could I have {y} for {x}?",
    ),
    "{x}, put {y}.": ("{x}, draw {y}.", "{x}, I picture {y}.", "{x}, leave room for {y}."),
    "{x} I would like to see {y}.": ("{x} I imagine {y}.", "{x}, please place {y}.", "{x} I have to have {y}."),
    "{x} there should be {y}.": ("{x} I want {y}.", "{x} we need {y}.", "{x} you could draw {y}."),
}
_OPENINGS = ("", "", "", "Look closely: ", "Tell me: ", "One question: ", "Please have a look: ", "Quick question: ")


def reworded(text: str, stream: Stream, *, with_opening: bool = False) -> str:
    """The same, said in one of its ways.

    Args:
        with_opening: the text is a question, before which something may be said.
    """
    told = [_one(each, stream) for each in re.split(r"(?<=[.?!])\s+", text)]
    opening = stream.pick(_OPENINGS) if with_opening else ""
    if opening:
        told[0] = opening + _inner(told[0])
    return " ".join(told)


def _one(text: str, stream: Stream) -> str:
    for pattern, ways in _rules():
        if found := pattern.fullmatch(text):
            way = stream.pick(ways)
            return sentence(way.format(**{name: _inner(value) for name, value in found.groupdict().items()}))
    return text


def _inner(text: str) -> str:
    """As it stands inside a sentence; names keep their capitals."""
    first = text.partition(" ")[0]
    is_name = first in ("I", *_DAYS) or (len(first) > 1 and first[1:] != first[1:].lower())
    return text if is_name else text[0].lower() + text[1:]


_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")


@cache
def _rules() -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    return tuple((re.compile("".join(_pattern(first))), (first, *ways)) for first, ways in WAYS.items())


def _pattern(template: str) -> Iterator[str]:
    for part in re.split(r"(\{\w+\})", template):
        if part.startswith("{"):
            name = part[1:-1]
            yield f"(?P<{name}>{_ONE_OF.get(name, '.+?')})"
        else:
            yield re.escape(part)
