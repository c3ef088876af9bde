"""Writes `data/dialect_table.rs`: what Python's `re` says to patterns that other dialects read differently."""

import re
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE, "a": re.ASCII}
# (flags, pattern, texts); a pattern is put into the group `all`, so that its whole span is seen.
ROWS: list[tuple[str, str, list[str]]] = [
    # `$`, `\Z`, `^`
    ("", r"a$", ["a", "a\n", "a\n\n", "a\nb", "ab"]),
    ("", r"a\Z", ["a", "a\n"]),
    ("m", r"a$", ["a\nb", "a\n", "ba"]),
    ("m", r"^b", ["a\nb", "\nb", "ab"]),
    ("", r"^b", ["a\nb", "b"]),
    ("", r"a$\n", ["a\n", "a\n\n", "a"]),
    ("", r"a$\s*", ["a\n", "a"]),
    ("", r"(?:a$|b)c?", ["a\n", "bc", "ac"]),
    ("", r"a\n?$", ["a\n", "a\n\n", "a"]),
    ("", r"$", ["", "\n", "a\n"]),
    ("", r"foo$|bar\Z", ["foo\n", "bar\n", "bar"]),
    # counts
    ("", r"a{,2}b", ["aab", "a{,2}b", "b"]),
    ("", r"a{2}", ["aa", "a{2}"]),
    ("", r"a{,}", ["aaa", ""]),
    ("", r"a{}", ["a{}", "a"]),
    ("", r"a{x", ["a{x"]),
    ("", r"a{1,2", ["a{1,2"]),
    ("", r"a{ 1}", ["a{ 1}", "a"]),
    ("", r"{", ["{"]),
    ("", r"x{2}{", ["xx{"]),
    ("", r"}]", ["}]"]),
    # classes
    ("", r"[]a]+", ["]a", "b"]),
    ("", r"[^]a]", ["]", "b"]),
    ("", r"[a&&b]+", ["&a&b", "ab"]),
    ("", r"[a--b]", ["a"]),
    ("", r"[+--b]+", ["+,-b."]),
    ("", r"[a~~b]+", ["~a"]),
    ("", r"[a||b]+", ["|a"]),
    ("", r"[[a]+]", ["a]", "[]", "[a]", "aa"]),
    ("", r"[[:alpha:]]+", ["a:]", "z", "l]]"]),
    ("", r"[a-]+", ["-a"]),
    ("", r"[\b]", ["\b", "b"]),
    ("", r"[\]\-\\]+", ["]-\\"]),
    ("", r"[\w.-]+", ["a.b-c é"]),
    ("", r"[^\W\d]+", ["1a_é2"]),
    ("", r"[\101-\103]+", ["ABCD"]),
    ("", r"[ #]+", [" # "]),
    ("x", r"[ #]+", [" # "]),
    # escapes
    ("", r"\a\f\v\t\r\n", ["\a\f\v\t\r\n"]),
    ("", r"\0", ["\0"]),
    ("", r"\012", ["\n"]),
    ("", r"\0123", ["\n3"]),
    ("", r"\101", ["A"]),
    ("", r"\08", ["\x008"]),
    ("", r"\x41\u00e9\U0001F600", ["Aé\U0001f600"]),
    ("", r"\_\/\-\ \#\&\~\<\>\"", ['_/- #&~<>"']),
    ("", r"\é", ["é"]),
    # words, digits, space
    ("", r"\w+", ["e\u0301x", "a\u203fb", "x\u00b2", "\u0663"]),
    ("a", r"\w+", ["aé", "é1"]),
    ("", r"\bx", ["\u0301x", "\u00b2x", "\u203fx", "éx", " x"]),
    ("", r"e\b", ["e\u0301", "e\u00b2", "e\u200d", "e"]),
    ("a", r"\bx", ["éx", "ax"]),
    ("", r"a\Bb", ["ab"]),
    ("", r"\s+", ["\x1c\x1d\x1e\x1f", "\x85\u00a0\u2003", "\u200b", "\u180e"]),
    ("a", r"\s+", ["\x1c", "\x0b\f", "\u00a0"]),
    ("", r"\S", ["\x1c"]),
    ("", r"\d+", ["\u0663\u0664", "\u00b2", "12"]),
    ("a", r"\d+", ["\u06631"]),
    ("", r"x.y", ["x\ny", "x\ry", "x\u2028y"]),
    ("s", r"x.y", ["x\ny"]),
    # case
    ("i", r"k", ["K", "\u212a"]),
    ("i", r"\u212a", ["k"]),
    ("i", r"s+", ["S\u017f"]),
    ("i", r"i+", ["I\u0130\u0131"]),
    ("i", r"[h-j]+", ["\u0131\u0130"]),
    ("i", r"\u0131", ["I"]),
    ("i", r"ß", ["\u1e9e", "SS"]),
    ("i", r"σ+", ["ςΣ"]),
    ("i", r"[^k]", ["K", "\u212a"]),
    ("i", r"привет", ["ПРИВЕТ"]),
    ("ai", r"k+é?", ["K\u212a", "kÉ", "ké"]),
    ("ai", r"[^k]", ["\u212a", "K"]),
    ("i", r"windows kiosk", ["W\u0130ndow\u017f \u212aio\u017fk", "WINDOWS KIOSK"]),
    # groups and flags
    ("", r"(?i:a)b", ["Ab", "AB"]),
    ("i", r"(?-i:a)b", ["aB", "AB"]),
    ("", r"(?s-i:.)", ["\n"]),
    ("", r"(?a:\w)\w", ["aé", "éa"]),
    ("a", r"x(?u:\w)\w", ["xéa", "xaé"]),  # at the very start CPython 3.11 loses the scoped flag
    ("", "(?x: a b # note\n)c d", ["abc d"]),
    ("x", "a b # note\n c{2} \\  d + ?", ["abcc dd"]),
    ("x", "a b # note\n c{2} \\  d +", ["abcc dd"]),
    ("", r"a(?#note)b", ["ab"]),
    ("", r"a(?#note)*b", ["aab"]),
    ("", r"(?P<x>a)|(?P<y>b)", ["b", "a"]),
    ("", r"(?:(?P<x>a)|b)*", ["ab"]),
    ("", r"(?P<x>a+?)(?P<y>a*)", ["aaa"]),
    ("", r"(a)(?P<n>b)((?P<m>c))", ["abc"]),
    ("", r"(|a)(?P<n>b)", ["ab"]),
    ("", r"(?P<größe>\d+)", ["x12"]),
    ("", r"", ["", "a"]),
    ("", r"a|", ["b", "a"]),
]
# Refused by Python as well, or by us alone (then so marked below by nothing: the test only asks that they are refused).
REFUSED: list[tuple[str, str, int | None]] = [
    ("", r"a(?=b)", 1),
    ("", r"(?!a)", 0),
    ("", r"x(?<=a)b", 1),
    ("", r"(?<!a)b", 0),
    ("", r"(a)\1", 3),
    ("", r"(?P<n>a)(?P=n)", 8),
    ("", r"(?>a)", 0),
    ("", r"ba*+", 3),
    ("", r"a{1,2}+", 6),
    ("", r"(a)?(?(1)b|c)", 4),
    ("", r"\N{DASH}", 0),
    ("", r"é\ud800", 1),
    ("", r"a(?i)b", 1),
    ("", r"(?L)a", 0),
    ("", r"(?au)a", 0),
    ("a", r"(?u)a", 0),
    ("", r"(?t)a", 0),
    ("", r"(?i", 0),
    ("", r"(?-a:b)", 0),
    ("", r"*a", 0),
    ("", r"a|*", 2),
    ("", r"a**", 2),
    ("", r"^*", 1),
    ("", r"a\b+", 3),
    ("", r"a{2,1}", 1),
    ("", r"a{1}{2}", 4),
    ("", r"(a", 0),
    ("", r"a)", 1),
    ("", r"[a", 0),
    ("", r"[]", 0),
    ("", r"[b-a]", 1),
    ("", r"[\d-a]", 1),
    ("", r"[a-\d]", 1),
    ("", r"\q", 0),
    ("", r"[\A]", 1),
    ("", r"\x4", 0),
    ("", r"\u12", 0),
    ("", r"\400", 0),
    ("", "a\\", 1),
    ("", r"\U00110000", 0),
    ("", r"(?P<1>a)", 4),
    ("", r"(?P<n>a)(?P<n>b)", 8),
    ("", r"(?P<n", 0),
    ("", r"(?#a", 0),
    ("", r"(?Pn)", 0),
    ("", r"(((a{100}){100}){100})", 1),
    ("", r"\w{5000}", 0),
    ("", r"(?:x{0,1000}){0,1000}", 0),
    ("", r"a{99999999999}", 0),
]


def rust(text: str) -> str:
    """A text as a literal of Rust."""
    escaped = "".join(c if " " <= c < "\x7f" and c not in '"\\' else f"\\u{{{ord(c):x}}}" for c in text)
    return f'"{escaped}"'


def span(text: str, found: re.Match[str], name: str) -> str:
    """Where a group matched, in bytes, as Rust writes it."""
    start, end = found.span(name)
    if start < 0:
        return "None"
    return f"Some(({len(text[:start].encode())}, {len(text[:end].encode())}))"


def main() -> None:
    """Ask `re`, and write the table."""
    lines = [
        f"// Written by make_dialect_table.py with Python {sys.version.split()[0]}; do not edit.",
        "",
        "/// Byte spans of the named groups.",
        "pub type Spans = &'static [Option<(u32, u32)>];",
        "",
        "/// Flags, pattern, text, and the spans or `None` for no match.",
        "pub const MATCHES: &[(&str, &str, &str, Option<Spans>)] = &[",
    ]
    for flags, pattern, texts in ROWS:
        whole = f"(?P<all>{pattern})"
        try:
            compiled = re.compile(whole, sum(FLAGS[c] for c in flags))
        except re.error:
            REFUSED.append((flags, pattern, None))
            continue
        for text in texts:
            found = compiled.search(text)
            names = sorted(compiled.groupindex, key=compiled.groupindex.__getitem__)
            spans = "None" if not found else "Some(&[" + ", ".join(span(text, found, name) for name in names) + "])"
            lines.append(f"    ({rust(flags)}, {rust(whole)}, {rust(text)}, {spans}),")
    lines += [
        "];",
        "",
        "/// Flags, pattern, and the position of what is refused.",
        "pub const REFUSED: &[(&str, &str, Option<usize>)] = &[",
    ]
    for flags, pattern, position in REFUSED:
        at = "None" if position is None else f"Some({position})"
        lines.append(f"    ({rust(flags)}, {rust(pattern)}, {at}),")
    lines.append("];")
    (Path(__file__).with_name("data") / "dialect_table.rs").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
