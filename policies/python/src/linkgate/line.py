"""Text by others, as people may be shown it: messages of a verdict quote names that whoever made the evidence chose."""

import unicodedata

# What is printable by its category, and yet has no shape: joiners, fillers and selectors of variants (Unicode's property
# Default_Ignorable_Code_Point), and the blank pattern of Braille.
SHAPELESS = [
    (0x34F, 0x34F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xE0000, 0xE0FFF),
]

UNSEEN = {"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp", "Zs"}

SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def one_line(text: str) -> str:
    """The text on one line, in which no character does anything but be seen: what breaks a line, moves a cursor, changes a
    colour or turns the direction of writing is written as an escape, as `linkgate` prints it (`\\n`, `\\u{202e}`).

    Nor does the line give orders to a CI system that keeps it in a log: the first of two leading colons and the second of two
    number signs are escaped too. The result is its own result.
    """
    line: list[str] = []
    leading = text.lstrip(" ").startswith("::")
    before = " "
    for character in text:
        order = (leading and character == ":") or (before == "#" and character == "#")
        line.append(_escaped(character) if order or not _is_plain(character) else character)
        leading = leading and character == " "
        before = character
    return "".join(line)


def _escaped(character: str) -> str:
    return SHORT.get(character) or f"\\u{{{ord(character):x}}}"


def _is_plain(character: str) -> bool:
    code = ord(character)
    if code < 0xA0:
        return 0x20 <= code <= 0x7E
    shapeless = any(first <= code <= last for first, last in SHAPELESS)
    return not shapeless and unicodedata.category(character) not in UNSEEN
