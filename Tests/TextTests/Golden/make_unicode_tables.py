#!/usr/bin/env python3
"""Writes Sources/Text/Unicode/UnicodeTables.swift by asking the `tokenizers` package about every Unicode scalar.

usage: make_unicode_tables.py OUTPUT.swift

The package mixes Unicode versions (its categories are years older than its case mapping), so neither this script's own
`unicodedata` nor Swift's standard library can stand in for it: the tables are its observed behaviour.
"""
import sys
import unicodedata

import tokenizers
from tokenizers.normalizers import NFD, BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer


def bert(**on):
    flags = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    flags.update(on)
    return BertNormalizer(**flags).normalize_str


clean, chinese, strip, lower = (
    bert(clean_text=True), bert(handle_chinese_chars=True), bert(strip_accents=True), bert(lowercase=True))
nfd = NFD().normalize_str
pre = BertPreTokenizer().pre_tokenize_str
SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xD7A4)


def classify():
    sets = {name: set() for name in ("removed", "space", "punctuation", "chinese", "nonspacing")}
    lowered, decomposed = {}, {}
    for cp in SCALARS:
        c = chr(cp)
        if clean(c) == "":
            sets["removed"].add(cp)
        pieces = [p for p, _ in pre("a" + c + "a")]
        if pieces == ["a", "a"]:
            sets["space"].add(cp)
        elif pieces == ["a", c, "a"]:
            sets["punctuation"].add(cp)
        else:
            assert pieces == ["a" + c + "a"], hex(cp)
        if clean(c) not in ("", c):
            assert clean(c) == " " and cp in sets["space"], hex(cp)
        if chinese(c) != c:
            assert chinese(c) == " " + c + " "
            sets["chinese"].add(cp)
        if nfd(c) != c:
            decomposed[cp] = [ord(x) for x in nfd(c)]
        elif strip(c) == "":
            sets["nonspacing"].add(cp)
        if lower(c) != c:
            lowered[cp] = [ord(x) for x in lower(c)]
    for cp in sets["space"] - sets["removed"]:
        assert clean(chr(cp)) == " "
    return sets, lowered, decomposed


def combining_classes(decomposed):
    """Canonical combining classes, found by how NFD orders a scalar beside one known mark of each class."""
    known = {}
    for cp in SCALARS:
        c, k = chr(cp), unicodedata.combining(chr(cp))
        # Marks younger than the package's tables are starters to it: no reference.
        if k and k not in known and cp not in decomposed and (k == 240 or nfd("\u0345" + c) == c + "\u0345"):
            known[k] = c
    order = sorted(known)
    # The reference marks themselves must be sorted by the package as unicodedata says.
    for i, k in enumerate(order):
        for m in order[i + 1:]:
            assert nfd(known[m] + known[k]) == known[k] + known[m], (k, m, known[k], known[m])
    result = {}
    for cp in SCALARS:
        if cp in decomposed:
            continue
        c = chr(cp)
        top, bottom = known[order[-1]], known[order[0]]
        if nfd(top + c) == top + c and nfd(c + bottom) == c + bottom:
            continue  # moves neither before the highest nor after the lowest class: a starter
        found = [k for k in order if nfd(known[k] + c) == known[k] + c and nfd(c + known[k]) == c + known[k]]
        assert len(found) == 1, (hex(cp), found)
        result[cp] = found[0]
    return result


def check(sets, lowered, decomposed, classes):
    for cp in HANGUL:
        s = cp - 0xAC00
        parts = [0x1100 + s // 588, 0x1161 + s % 588 // 28] + ([0x11A7 + s % 28] if s % 28 else [])
        assert decomposed.pop(cp) == parts
    for cp, parts in decomposed.items():
        assert len(parts) <= 4
        kept = [p for p in parts if p not in sets["nonspacing"]]
        assert strip(chr(cp)) == "".join(map(chr, kept))
        # Tokenizer+Encoding relies on this to bound the number of tokens by the number of bytes.
        assert len(kept) <= len(chr(cp).encode())
        for p in parts:
            assert p not in decomposed
    for cp, parts in lowered.items():
        assert len(parts) <= 2 and len(parts) <= len(chr(cp).encode())
        # A kept mark must keep its class when it is lowered: reordering reads the class from the lowered text.
        assert cp not in classes
    for cp in sets["space"]:
        assert all(p in sets["space"] for p in decomposed.get(cp, []))


def ranges(numbers):
    out = []
    for n in sorted(numbers):
        if out and n == out[-1][1] + 1:
            out[-1][1] = n
        else:
            out.append([n, n])
    return [f"{a:x}" if a == b else f"{a:x}-{b:x}" for a, b in out]


def runs(mapping):
    """Scalars with one target each, as runs of constant step whose targets advance alike."""
    out, keys, i = [], sorted(mapping), 0
    while i < len(keys):
        a = keys[i]
        if len(mapping[a]) != 1:
            out.append(f"{a:x}>" + "+".join(f"{x:x}" for x in mapping[a]))
            i += 1
            continue
        best = i
        for step in (1, 2):
            j = i
            while (j + 1 < len(keys) and keys[j + 1] == keys[j] + step and len(mapping[keys[j + 1]]) == 1
                   and mapping[keys[j + 1]][0] == mapping[keys[j]][0] + step):
                j += 1
            if j > best:
                best, used = j, step
        b = keys[best]
        text = f"{a:x}" if best == i else f"{a:x}-{b:x}" + ("/2" if used == 2 else "")
        out.append(f"{text}>{mapping[a][0]:x}")
        i = best + 1
    return out


def class_runs(classes):
    out = []
    for cp in sorted(classes):
        if out and cp == out[-1][1] + 1 and classes[cp] == out[-1][2]:
            out[-1][1] = cp
        else:
            out.append([cp, cp, classes[cp]])
    return [(f"{a:x}" if a == b else f"{a:x}-{b:x}") + f">{k:x}" for a, b, k in out]


def emit(out, name, comment, items):
    out.append("")
    for line in comment.split("\n"):
        out.append(f"  /// {line}")
    out.append(f"  static let {name}: StaticString = \"\"\"")
    line = "   "
    for item in items:
        if len(line) + 1 + len(item) > 118:
            out.append(line)
            line = "   "
        line += " " + item
    out.append(line)
    out.append('    """')


def main():
    sets, lowered, decomposed = classify()
    classes = combining_classes(decomposed)
    check(sets, lowered, decomposed, classes)
    out = [
        "// Generated by Tests/TextTests/Golden/make_unicode_tables.py; edit that script, not this file.",
        f"// Source: the behaviour of the Python package tokenizers {tokenizers.__version__} for each of the 1,112,064",
        "// Unicode scalars.",
        "",
        "/// What BertNormalizer and BertPreTokenizer do with a scalar, as text that UnicodeData expands when a tokenizer is made.",
        "///",
        "/// An item is `first[-last][/step][>target[+target...]]` in hexadecimal; items are separated by white space. Targets of",
        "/// mappings advance with the scalar.",
        "enum UnicodeTables {",
    ]
    emit(out, "removed", "Dropped by `clean_text`: controls, format characters, private use and U+FFFD.", ranges(sets["removed"]))
    emit(out, "space", "White space: separates words. With `clean_text` those also in `removed` are dropped instead.", ranges(sets["space"]))
    emit(out, "punctuation", "A word of its own: ASCII punctuation and general category P.", ranges(sets["punctuation"]))
    emit(out, "chinese", "Set off by spaces with `handle_chinese_chars`.", ranges(sets["chinese"]))
    emit(out, "nonspacing", "Marks that `strip_accents` drops after decomposition.", ranges(sets["nonspacing"]))
    emit(out, "combiningClass", "Canonical combining classes other than 0; the target does not advance.", class_runs(classes))
    emit(out, "lowercase", "Lower case mappings, one scalar at a time without context.", runs(lowered))
    emit(out, "decomposition", "Full canonical decompositions; Hangul syllables are computed instead.",
         ["%x>%s" % (cp, "+".join(f"{x:x}" for x in parts)) for cp, parts in sorted(decomposed.items())])
    out[-1:] = [out[-1], "}", ""]
    with open(sys.argv[1], "w") as file:
        file.write("\n".join(out))


main()
