//! Python's classes of characters, and where its words differ from Unicode's.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind};

/// `\d`, `\s` and `\w` of Python's `str` patterns.
pub(super) struct Perl {
    pub digit: ClassUnicode,
    pub space: ClassUnicode,
    pub word: ClassUnicode,
}

/// The Unicode forms.
pub(super) static UNICODE: LazyLock<Perl> = LazyLock::new(|| Perl {
    digit: table(r"\p{Nd}"),
    // Python also counts the four information separators as white space.
    space: union(table(r"\s"), &[('\x1c', '\x1f')]),
    word: union(table(r"[\p{L}\p{N}]"), &[('_', '_')]),
});

/// The forms under `re.ASCII`.
pub(super) static ASCII: LazyLock<Perl> = LazyLock::new(|| Perl {
    digit: union(ClassUnicode::empty(), &[('0', '9')]),
    space: union(ClassUnicode::empty(), &[('\t', '\r'), (' ', ' ')]),
    word: union(ClassUnicode::empty(), &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
});

/// Characters that are of a word for Python or for Unicode, but not for both: combining marks, joiners, connectors
/// other than `_`, and numbers such as the superscripts.
static DISPUTED: LazyLock<ClassUnicode> = LazyLock::new(|| {
    let mut class = table(r"\w");
    class.symmetric_difference(&UNICODE.word);
    class
});

/// Whether Python's `\w` matches `c`.
pub(crate) fn is_word(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() || c == '_' } else { holds(&UNICODE.word, c) }
}

/// Whether `text` holds a character over which Python and Unicode disagree, so that `\b` needs care.
pub(crate) fn words_disagree(text: &str) -> bool {
    text.chars().any(|c| !c.is_ascii() && holds(&DISPUTED, c))
}

fn holds(class: &ClassUnicode, c: char) -> bool {
    let ranges = class.ranges();
    let next = ranges.partition_point(|range| range.end() < c);
    ranges.get(next).is_some_and(|range| range.start() <= c)
}

fn table(pattern: &str) -> ClassUnicode {
    match regex_syntax::parse(pattern).map(Hir::into_kind) {
        Ok(HirKind::Class(Class::Unicode(class))) => class,
        other => unreachable!("{pattern} is a fixed Unicode class, not {other:?}"),
    }
}

fn union(mut class: ClassUnicode, ranges: &[(char, char)]) -> ClassUnicode {
    for &(start, end) in ranges {
        class.push(ClassUnicodeRange::new(start, end));
    }
    class
}
