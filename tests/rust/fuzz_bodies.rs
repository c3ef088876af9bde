//! What must hold for any bytes at all, as plain functions for a fuzzer or a random driver to call.
//!
//! Each takes its choices from the first bytes and its input from the rest, and panics if a promise is broken.

use std::borrow::Cow;

use fastcascade::error::BuildError;
use fastcascade::method::MethodSet;
use fastcascade::path::{DotSegments, EncodedSlash, PathPolicy, TrailingSlash, decode_segment, normalize};
use fastcascade::pattern::{PatternFlags, PatternSet};
use fastcascade::route::{Pattern, Route};
use fastcascade::router::{Normalize, Router};
use fastcascade::template;
use fastcascade::text::{Form, TextPolicy, fold};

use crate::oracles::{Rule, Table};

/// Splits off the byte that chooses the policy.
fn split(data: &[u8]) -> (u8, Cow<'_, str>) {
    let (&choice, rest) = data.split_first().unwrap_or((&0, &[]));
    (choice, String::from_utf8_lossy(rest))
}

/// Checks that normalizing a path never panics, names a byte of its input if it refuses, and is otherwise safe,
/// no longer than its input, stable, and the same for the input with every byte of its names escaped.
pub fn fuzz_path(data: &[u8]) {
    let (choice, raw) = split(data);
    let policy = PathPolicy {
        trailing_slash: if choice & 1 == 0 { TrailingSlash::Keep } else { TrailingSlash::Strip },
        encoded_slash: if choice & 2 == 0 { EncodedSlash::Refuse } else { EncodedSlash::Keep },
        dot_segments: if choice & 4 == 0 { DotSegments::Resolve } else { DotSegments::Refuse },
        merge_slashes: choice & 8 == 0,
    };
    let text = match normalize(&raw, &policy) {
        Ok(text) => text,
        Err(error) => {
            assert!(raw.is_char_boundary(error.position) && !error.to_string().is_empty(), "{error}: {raw:?}");
            return;
        }
    };
    let unsafe_character = |c: char| c.is_control() || "\\?#".contains(c);
    assert!(text.len() <= raw.len() && text.starts_with('/'), "{raw:?} to {text:?}");
    assert!(!text.contains(unsafe_character), "{raw:?} to {text:?}");
    assert!(!text.split('/').any(|segment| segment == "." || segment == ".."), "{raw:?} to {text:?}");
    assert!(!policy.merge_slashes || !text.contains("//"), "{raw:?} to {text:?}");
    assert!(choice & 1 == 0 || text == "/" || !text.ends_with('/'), "{raw:?} to {text:?}");
    assert!(choice & 2 != 0 || !(text.contains("%2F") || text.contains("%5C")), "{raw:?} to {text:?}");
    assert!(matches!(normalize(&text, &policy), Ok(Cow::Borrowed(same)) if same == text), "{raw:?} to {text:?}");
    assert_eq!(normalize(&escape_all(&text), &policy).as_deref(), Ok(&*text), "{raw:?}");
}

/// The same path with each segment decoded, then escaped byte by byte.
fn escape_all(path: &str) -> String {
    let escape = |segment: &str| decode_segment(segment).bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    path.split('/').map(escape).collect::<Vec<_>>().join("/")
}

/// Checks that folding a text never panics, is stable, keeps no capital letter of ASCII and no loose white space
/// where it should not, and is blind to the normal form the text came in.
pub fn fuzz_text(data: &[u8]) {
    use unicode_normalization::UnicodeNormalization;

    let (choice, text) = split(data);
    let policy = TextPolicy {
        form: [Form::Keep, Form::Nfc, Form::Nfkc][usize::from(choice % 3)],
        fold_case: choice & 64 == 0,
        collapse_space: choice & 128 == 0,
    };
    let folded = fold(&text, &policy);
    assert!(matches!(fold(&folded, &policy), Cow::Borrowed(same) if same == folded), "{text:?} to {folded:?}");
    assert!(!policy.fold_case || !folded.contains(|c: char| c.is_ascii_uppercase()), "{text:?} to {folded:?}");
    if policy.collapse_space {
        assert_eq!(folded.split_whitespace().collect::<Vec<_>>().join(" "), folded, "{text:?}");
    }
    if policy.form != Form::Keep {
        assert_eq!(fold(&text.nfd().collect::<String>(), &policy), folded, "{text:?}");
        assert_eq!(fold(&text.nfc().collect::<String>(), &policy), folded, "{text:?}");
    }
}

/// What templates and paths are made of, so that few bytes give routes that compete.
const PIECES: [&str; 16] =
    ["/", "/", "{}", "{}", "{...}", "a", "b", "ab", "-", "...", "é", "日", "\u{301}", "{{", "}}", "x"];

/// Checks the tree of some templates against the naive search, for some paths.
///
/// The bytes are pieces; a byte above 0xF0 ends a text, and the first quarter of the texts are the templates.
pub fn fuzz_tree(data: &[u8]) {
    let texts: Vec<&[u8]> = data.split(|byte| *byte > 0xF0).take(40).map(|text| &text[..text.len().min(14)]).collect();
    let (templates, paths) = texts.split_at(texts.len().div_ceil(4));
    let piece = |byte: &u8| PIECES[usize::from(*byte) % PIECES.len()];
    let template = |text: &&[u8]| -> String {
        let named = |(at, byte)| match piece(byte) {
            "{}" => format!("{{p{at}}}"),
            "{...}" => "{rest...}".to_owned(),
            literal => literal.to_owned(),
        };
        text.iter().enumerate().map(named).collect()
    };
    let path = |text: &&[u8]| text.iter().map(|byte| piece(byte).trim_matches(['{', '}'])).collect();
    let readable = |text: &String| template::parse(text).is_ok() && !text.is_empty();
    let templates: Vec<String> = templates.iter().map(template).filter(readable).collect();
    check_tree(&templates, &paths.iter().map(path).collect::<Vec<String>>());
}

/// Checks that a table of readable templates is refused where two collide, and is otherwise found in as the list is.
pub fn check_tree(templates: &[String], paths: &[String]) {
    let rule = |text: &String| Rule { text: text.clone(), methods: None, regex: false };
    let naive = Table::new(templates.iter().map(rule).collect());
    let route = |text: &String| Route::new(Pattern::Text(text.clone()), ());
    let router = match (Router::build(templates.iter().map(route), Normalize::Verbatim), naive.conflict()) {
        (Ok(router), None) => router,
        (Err(BuildError::Conflict { .. }), Some(_)) => return,
        (built, conflict) => panic!("{templates:?}: {built:?} where the list says {conflict:?}"),
    };
    router.validate();
    for path in paths {
        let found = router.find(path, MethodSet::GET).map(|found| {
            let spans = found.spans.iter().map(|(start, end)| (*start as usize, *end as usize)).collect::<Vec<_>>();
            assert!(spans.iter().all(|(start, end)| path.get(*start..*end).is_some()), "{path:?} in {templates:?}");
            assert_eq!(spans.len(), router.names(found.route).len(), "{path:?} in {templates:?}");
            (found.route.index(), found.by, spans)
        });
        assert_eq!(found, naive.find(path, "GET"), "{path:?} in {templates:?}");
    }
}

/// Checks that a pattern is built or refused at a place within it, and that a set answers for one text as its
/// patterns do alone and, where both read the pattern the same way, as the engine of the `regex` crate does.
pub fn fuzz_patterns(data: &[u8]) {
    let (choice, input) = split(data);
    let (pattern, text) = input.split_once('\n').unwrap_or((&input, &input));
    let flags = PatternFlags {
        ignore_case: choice & 1 != 0,
        multi_line: choice & 2 != 0,
        dot_all: choice & 4 != 0,
        ..PatternFlags::default()
    };
    let set = match PatternSet::new([(pattern, flags)]) {
        Ok(set) => set,
        Err(error) => {
            assert!(error.index == 0 && error.pattern == pattern && !error.reason.is_empty(), "{error:?}");
            assert!(error.position.is_none_or(|at| at <= pattern.chars().count()), "{error:?}");
            return;
        }
    };
    set.validate();
    let first = set.first(text);
    let all = set.all(text);
    assert_eq!(first.as_slice(), all, "{pattern:?} on {text:?}");
    assert!(set.first_where(text, |_| false).is_none(), "{pattern:?} on {text:?}");
    check_spans(&set, text, first.is_some());
    if reads_alike(pattern) && (text.is_ascii() && pattern.is_ascii()) {
        let syntax = regex_automata::util::syntax::Config::new()
            .case_insensitive(flags.ignore_case)
            .multi_line(flags.multi_line)
            .dot_matches_new_line(flags.dot_all);
        if let Ok(regex) = regex_automata::meta::Builder::new().syntax(syntax).build(pattern) {
            assert_eq!(first.is_some(), regex.is_match(text), "{pattern:?} on {text:?} with {flags:?}");
        }
    }
}

/// Checks that the groups of the only pattern lie within the text, and that there are any just when it matches.
fn check_spans(set: &PatternSet, text: &str, matches: bool) {
    let mut spans = Vec::new();
    let id = fastcascade::ids::PatternId(0);
    assert_eq!(set.captures(id, text, &mut spans), matches, "{:?} on {text:?}", set.pattern(id));
    let names = set.group_names(id).count();
    assert!(!matches || spans.len() == names, "{:?} on {text:?}", set.pattern(id));
    let inside = |(start, end): &(u32, u32)| text.get(*start as usize..*end as usize).is_some();
    assert!(spans.iter().flatten().all(inside), "{:?} on {text:?}", set.pattern(id));
}

/// Whether Python and the `regex` crate mean the same by a pattern: it has none of what they read differently (`$`,
/// most escapes, braces that hold no count, groups other than plain and named ones, possessive repeats, sets within classes).
fn reads_alike(pattern: &str) -> bool {
    let plain_escape =
        |next: &str| next.starts_with(['d', 'w', '.', '\\', '/', '-', '(', ')', '[', ']', '+', '*', '?', '|']);
    let plain_group = |next: &str| !next.starts_with('?') || next.starts_with("?:") || next.starts_with("?P<");
    let counts = |inside: &str| inside.chars().all(|c| c.is_ascii_digit() || c == ',');
    let after = |at: usize, sign: char| &pattern[at + sign.len_utf8()..];
    !["$", "++", "*+", "?+", "}+", "&&", "--", "~~", "[[", "{,"].iter().any(|odd| pattern.contains(odd))
        && pattern.match_indices('\\').all(|(at, _)| plain_escape(after(at, '\\')) || pattern[..at].ends_with('\\'))
        && pattern.match_indices('(').all(|(at, _)| plain_group(after(at, '(')))
        && pattern.split(']').all(|part| part.matches('[').count() < 2)
        && pattern.split('{').skip(1).all(|part| part.split('}').next().is_some_and(counts))
}
