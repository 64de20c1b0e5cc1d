#!/usr/bin/env python3
"""Writes saslprep-tables.txt beside itself, from Python's stringprep (RFC 3454) and unicodedata.

Sections, each a line with its name and then one line of blanks-separated words:
  unassigned, prohibited, space, nothing, right_to_left, left_to_right   ranges FIRST-LAST or single code points, hexadecimal (RFC 3454: A.1; C.1.2 C.2 to C.9; C.1.2; B.1; D.1; D.2)
  classes          FIRST-LAST:CLASS          canonical combining classes other than 0
  decompositions   CODE:CODE,CODE            full compatibility decompositions (NFKD), Hangul left out
  compositions     CODE,CODE:CODE            primary composites (NFC), Hangul left out
Only characters that Unicode 3.2 had: SASLprep prohibits all others.
"""
import pathlib
import stringprep
import unicodedata

ALL = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
HANGUL = range(0xAC00, 0xD7A4)


def ranges(codes):
    found = []
    for c in codes:
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return " ".join(f"{a:x}" if a == b else f"{a:x}-{b:x}" for a, b in found)


def table(*tests):
    return ranges(c for c in range(0x110000) if any(test(chr(c)) for test in tests))


def hexes(text):
    return ",".join(f"{ord(x):x}" for x in text)


assigned = [c for c in ALL if not stringprep.in_table_a1(chr(c))]
decomposed = {c: unicodedata.normalize("NFKD", chr(c)) for c in assigned if c not in HANGUL}
decomposed = {c: text for c, text in decomposed.items() if text != chr(c)}
reached = sorted(set(assigned) | {ord(x) for text in decomposed.values() for x in text})
classes = []
for c in reached:
    value = unicodedata.combining(chr(c))
    if value and classes and classes[-1][1] == c - 1 and classes[-1][2] == value:
        classes[-1][1] = c
    elif value:
        classes.append([c, c, value])

compositions = []
for c in assigned:
    pair = unicodedata.decomposition(chr(c)).split()
    if c not in HANGUL and len(pair) == 2 and not pair[0].startswith("<"):
        text = "".join(chr(int(x, 16)) for x in pair)
        if unicodedata.normalize("NFC", text) == chr(c):
            compositions.append(f"{hexes(text)}:{c:x}")

sp = stringprep
sections = {
    "unassigned": table(sp.in_table_a1),
    "prohibited": table(sp.in_table_c12, sp.in_table_c21_c22, sp.in_table_c3, sp.in_table_c4, sp.in_table_c5, sp.in_table_c6, sp.in_table_c7, sp.in_table_c8, sp.in_table_c9),
    "space": table(sp.in_table_c12),
    "nothing": table(sp.in_table_b1),
    "right_to_left": table(sp.in_table_d1),
    "left_to_right": table(sp.in_table_d2),
    "classes": " ".join(f"{a:x}:{v}" if a == b else f"{a:x}-{b:x}:{v}" for a, b, v in classes),
    "decompositions": " ".join(f"{c:x}:{hexes(text)}" for c, text in sorted(decomposed.items())),
    "compositions": " ".join(compositions),
}
path = pathlib.Path(__file__).with_suffix(".txt")
path.write_text("".join(f"{name}\n{words}\n" for name, words in sections.items()))
