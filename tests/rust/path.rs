//! Paths: tables of cases, then properties against a naive twin.

use std::borrow::Cow;

use fastcascade::path::{
    DotSegments, EncodedSlash, PathError, PathPolicy, PathReason, TrailingSlash, decode_segment, normalize,
};
use proptest::prelude::*;

const PLAIN: PathPolicy = PathPolicy {
    trailing_slash: TrailingSlash::Keep,
    encoded_slash: EncodedSlash::Refuse,
    dot_segments: DotSegments::Resolve,
    merge_slashes: true,
};
const STRIP: PathPolicy = PathPolicy { trailing_slash: TrailingSlash::Strip, ..PLAIN };
const KEEP: PathPolicy = PathPolicy { encoded_slash: EncodedSlash::Keep, ..PLAIN };
const NO_DOTS: PathPolicy = PathPolicy { dot_segments: DotSegments::Refuse, ..PLAIN };
const APART: PathPolicy = PathPolicy { merge_slashes: false, ..PLAIN };
const APART_STRIP: PathPolicy = PathPolicy { merge_slashes: false, ..STRIP };

/// Policy, input, output.
const GOOD: &[(PathPolicy, &str, &str)] = &[
    (PLAIN, "/", "/"),
    (PLAIN, "/a/b", "/a/b"),
    (PLAIN, "/a/b/", "/a/b/"),
    (STRIP, "/a/b/", "/a/b"),
    (STRIP, "/a/b//", "/a/b"),
    (STRIP, "/a/.", "/a"),
    (STRIP, "//", "/"),
    // Escapes: decoded once, in either case, mixed with raw text.
    (PLAIN, "/%61%7E%7e", "/a~~"),
    (PLAIN, "/caf%C3%A9/caf%c3%a9/café", "/café/café/café"),
    (PLAIN, "/%F0%9F%98%80", "/\u{1F600}"),
    (PLAIN, "/a%20b+c", "/a b+c"),
    (PLAIN, "/£/%C2%A3", "/£/£"),
    // The five that stay escaped, and what looks like them.
    (PLAIN, "/100%25", "/100%25"),
    (PLAIN, "/%252F", "/%252F"),
    (PLAIN, "/%25%32%46", "/%252F"),
    (PLAIN, "/%252e%252e/a", "/%252e%252e/a"),
    (PLAIN, "/a%3fb%23c", "/a%3Fb%23c"),
    (KEEP, "/a%2fb%5cc", "/a%2Fb%5Cc"),
    (KEEP, "/a%252fb", "/a%252fb"),
    (KEEP, "/..%2f../b", "/..%2F../b"),
    // Dot segments, RFC 3986 section 5.2.4 and escaped spellings.
    (PLAIN, "/a/b/c/./../../g", "/a/g"),
    (PLAIN, "/a/..", "/"),
    (PLAIN, "/a/../", "/"),
    (PLAIN, "/a/b/..", "/a/"),
    (PLAIN, "/a/.", "/a/"),
    (PLAIN, "/./a", "/a"),
    (PLAIN, "/a/%2e%2E/b", "/b"),
    (PLAIN, "/a/.%2e/b/%2e", "/b/"),
    (PLAIN, "/.../.well-known/a..b/..c/d..", "/.../.well-known/a..b/..c/d.."),
    (NO_DOTS, "/.../.a/b.", "/.../.a/b."),
    // Slashes: merged before `..` counts segments, or each one counted.
    (PLAIN, "//a///b//", "/a/b/"),
    (PLAIN, "/a//../b", "/b"),
    (PLAIN, "/a/.//b", "/a/b"),
    (APART, "/a//../b", "/a/b"),
    (APART, "//a//b//", "//a//b//"),
    (APART, "/.//a", "//a"),
    (APART, "//..", "/"),
    (APART_STRIP, "//a//", "//a"),
    (APART_STRIP, "//", "/"),
];

/// Policy, input, position, reason.
const BAD: &[(PathPolicy, &str, usize, PathReason)] = &[
    (PLAIN, "", 0, PathReason::NotAbsolute),
    (PLAIN, "a/b", 0, PathReason::NotAbsolute),
    (PLAIN, "*", 0, PathReason::NotAbsolute),
    (PLAIN, "%2Fa", 0, PathReason::NotAbsolute),
    (PLAIN, "http://host/", 0, PathReason::NotAbsolute),
    (PLAIN, "/a%", 2, PathReason::BadEscape),
    (PLAIN, "/a%2", 2, PathReason::BadEscape),
    (PLAIN, "/a%/2", 2, PathReason::BadEscape),
    (PLAIN, "/a%é1", 2, PathReason::BadEscape),
    (PLAIN, "/a%+1", 2, PathReason::BadEscape),
    (PLAIN, "/a%2f", 2, PathReason::EncodedSlash),
    (PLAIN, "/a%5C", 2, PathReason::EncodedSlash),
    (PLAIN, "/a\\b", 2, PathReason::Backslash),
    (KEEP, "/a\\b", 2, PathReason::Backslash),
    (PLAIN, "/a\0", 2, PathReason::Nul),
    (KEEP, "/a%00", 2, PathReason::Nul),
    (PLAIN, "/a%0d%0a", 2, PathReason::Control),
    (PLAIN, "/a\u{7F}", 2, PathReason::Control),
    (PLAIN, "/a%C2%85", 2, PathReason::Control),
    (PLAIN, "/a\u{85}", 2, PathReason::Control),
    // Overlong, surrogate, too high, cut off, begun raw, lone.
    (PLAIN, "/%C0%AF", 1, PathReason::InvalidUtf8),
    (PLAIN, "/%E0%80%AF", 1, PathReason::InvalidUtf8),
    (PLAIN, "/%ED%A0%80", 1, PathReason::InvalidUtf8),
    (PLAIN, "/%F4%90%80%80", 1, PathReason::InvalidUtf8),
    (PLAIN, "/%F5%80%80%80", 1, PathReason::InvalidUtf8),
    (PLAIN, "/a/%E2%82", 3, PathReason::InvalidUtf8),
    (PLAIN, "/%C3/%A9", 1, PathReason::InvalidUtf8),
    (PLAIN, "/%C3é", 1, PathReason::InvalidUtf8),
    (PLAIN, "/%A9", 1, PathReason::InvalidUtf8),
    (PLAIN, "/a?b=/..", 2, PathReason::Query),
    (PLAIN, "/a#b", 2, PathReason::Fragment),
    (PLAIN, "/..", 1, PathReason::AboveRoot),
    (PLAIN, "/a/../%2e./b", 6, PathReason::AboveRoot),
    (PLAIN, "//../a", 2, PathReason::AboveRoot),
    (APART, "//../../a", 5, PathReason::AboveRoot),
    (NO_DOTS, "/a/./b", 3, PathReason::DotSegment),
    (NO_DOTS, "/a/%2E%2e", 3, PathReason::DotSegment),
    (NO_DOTS, "/a/./b?", 3, PathReason::DotSegment),
];

/// Every accepted spelling comes out as the table says.
#[test]
fn accepts() {
    for (policy, raw, expected) in GOOD {
        assert_eq!(normalize(raw, policy).as_deref(), Ok(*expected), "{raw:?} {policy:?}");
    }
}

/// Every refused path names the byte and the reason of its leftmost fault.
#[test]
fn refuses() {
    for &(policy, raw, position, reason) in BAD {
        assert_eq!(normalize(raw, &policy), Err(PathError { position, reason }), "{raw:?} {policy:?}");
    }
}

/// A path that comes out as it went in is borrowed, also when it holds dots or kept escapes.
#[test]
fn borrows_what_is_unchanged() {
    for raw in ["/", "/a/b", "/v1/projects/alpha/chat/answer.json", "/.well-known/a..b", "/café/£", "/100%25/a%2Fb/%3F"]
    {
        assert!(matches!(normalize(raw, &KEEP), Ok(Cow::Borrowed(_))), "{raw:?}");
    }
}

/// The default keeps a slash at the end, refuses encoded slashes, resolves dots and merges slashes.
#[test]
fn default_policy() {
    assert_eq!(PathPolicy::default(), PLAIN);
}

/// A message names the byte, the fault and what to do, in lower case and without a full stop.
#[test]
fn messages() {
    for &(_, raw, position, reason) in BAD {
        let message = PathError { position, reason }.to_string();
        assert!(message.starts_with(&format!("byte {position}: ")), "{raw:?}: {message}");
        assert!(message.contains(", ") && !message.ends_with('.'), "{message}");
        assert_eq!(
            message.replace("%5C", "").replace("%3F", ""),
            message.replace("%5C", "").replace("%3F", "").to_lowercase()
        );
    }
}

/// Each odd byte is seen at every place of paths short, long, and just as long as a vector.
#[test]
fn sees_every_position() {
    for length in 1..70 {
        for at in 1..=length {
            for odd in ["%41", "?", "#", "\\", "\0", "\u{1F}", "\u{7F}", "\u{85}", "/./", "//", "/../"] {
                let raw = format!("/{}{odd}{}", "a".repeat(at - 1), "é".repeat((length - at) / 2));
                assert_ne!(normalize(&raw, &PLAIN).as_deref(), Ok(&*raw), "{raw:?}");
            }
        }
    }
}

/// A captured segment decodes to the text its sender meant.
#[test]
fn segments_decode() {
    let cases =
        [("", ""), ("a", "a"), ("100%25", "100%"), ("%252F", "%2F"), ("a%2Fb%5C%3F%23", "a/b\\?#"), ("é%25é", "é%é")];
    for (segment, text) in cases {
        assert_eq!(decode_segment(segment), text);
        assert_eq!(matches!(decode_segment(segment), Cow::Borrowed(_)), !segment.contains('%'));
    }
}

/// The twin: everything spelled out with lists of bytes, lists of segments and no shortcut.
fn twin(raw: &str, policy: PathPolicy) -> Option<String> {
    let rest = raw.strip_prefix('/')?;
    let mut segments: Vec<String> = rest.split('/').map(|s| twin_segment(s, policy)).collect::<Option<_>>()?;
    if policy.merge_slashes {
        let last = segments.pop()?;
        segments.retain(|segment| !segment.is_empty());
        segments.push(last);
    }
    let mut kept: Vec<String> = Vec::new();
    let count = segments.len();
    for (index, segment) in segments.into_iter().enumerate() {
        let dots = segment == "." || segment == "..";
        if dots && policy.dot_segments == DotSegments::Refuse {
            return None;
        }
        if segment == ".." {
            kept.pop()?;
        } else if !dots {
            kept.push(segment);
        }
        if dots && index == count - 1 {
            kept.push(String::new());
        }
    }
    let strip = policy.trailing_slash == TrailingSlash::Strip;
    while strip && kept.last().is_some_and(String::is_empty) {
        kept.pop();
    }
    Some(format!("/{}", kept.join("/")))
}

/// One segment decoded to text, then the five special characters escaped again.
fn twin_segment(raw: &str, policy: PathPolicy) -> Option<String> {
    let mut bytes = Vec::new();
    let mut left = raw.as_bytes();
    while let Some((&byte, rest)) = left.split_first() {
        left = rest;
        if byte == b'%' {
            let digits = rest.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            let byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
            if policy.encoded_slash == EncodedSlash::Refuse && (byte == b'/' || byte == b'\\') {
                return None;
            }
            bytes.push(byte);
            left = &rest[2..];
        } else if byte == b'\\' || byte == b'?' || byte == b'#' {
            return None;
        } else {
            bytes.push(byte);
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    if text.chars().any(char::is_control) {
        return None;
    }
    let text = text.replace('%', "%25").replace('/', "%2F").replace('\\', "%5C");
    Some(text.replace('?', "%3F").replace('#', "%23"))
}

/// Whether the input does hold, at the named byte, what the error says.
fn is_true(error: PathError, raw: &str) -> bool {
    let rest = raw.get(error.position..).unwrap_or_default();
    let hex = |text: &str| text.len() >= 3 && text.bytes().skip(1).take(2).all(|byte| byte.is_ascii_hexdigit());
    let lower = rest.to_ascii_lowercase();
    let segment = lower.split('/').next().unwrap_or_default().replace("%2e", ".");
    match error.reason {
        PathReason::NotAbsolute => error.position == 0 && !raw.starts_with('/'),
        PathReason::BadEscape => rest.starts_with('%') && !hex(rest),
        PathReason::EncodedSlash => lower.starts_with("%2f") || lower.starts_with("%5c"),
        PathReason::Backslash => rest.starts_with('\\'),
        PathReason::Nul => rest.starts_with('\0') || rest.starts_with("%00"),
        PathReason::Control => {
            let escaped = ["%0", "%1", "%7f", "%c2%8", "%c2%9"].iter().any(|start| lower.starts_with(start));
            rest.starts_with(char::is_control) || escaped
        }
        PathReason::InvalidUtf8 => rest.starts_with('%') && hex(rest) && !rest[1..].starts_with(|c: char| c < '8'),
        PathReason::Query => rest.starts_with('?'),
        PathReason::Fragment => rest.starts_with('#'),
        PathReason::DotSegment => matches!(&*segment, "." | ".."),
        PathReason::AboveRoot => segment == "..",
        _ => false,
    }
}

prop_compose! {
    fn policies()(strip: bool, keep: bool, refuse: bool, merge_slashes: bool) -> PathPolicy {
        PathPolicy {
            trailing_slash: if strip { TrailingSlash::Strip } else { TrailingSlash::Keep },
            encoded_slash: if keep { EncodedSlash::Keep } else { EncodedSlash::Refuse },
            dot_segments: if refuse { DotSegments::Refuse } else { DotSegments::Resolve },
            merge_slashes,
        }
    }
}

/// Strings of what hurts; whole escapes are offered too, or few would ever be well formed.
fn nasty() -> impl Strategy<Value = String> {
    let single = prop::sample::select(vec![
        "/", "/", "/", ".", ".", "%", "2", "f", "F", "e", "E", "5", "c", "0", "?", "#", "\\", "é", "\0", "a",
    ]);
    let escape = prop::sample::select(vec![
        "%2e", "%2E", "%2f", "%2F", "%5C", "%25", "%61", "%00", "%3f", "%23", "%C3%A9", "%c3", "%A9", "%C2%85", "%0A",
        "£", "/../", "/./",
    ]);
    let calm = prop::sample::select(vec!["/", ".", "..", "a", "é", "%2e", "%25", "%C3%A9", "%2E", "%61", "%2f", "%3F"]);
    let wild = prop::collection::vec(prop_oneof![single, escape], 0..24);
    prop_oneof![wild, prop::collection::vec(calm, 0..40)].prop_map(|parts| format!("/{}", parts.concat()))
}

/// One of the spellings of a text inside a segment, chosen by the bytes of `dice`.
fn spell(text: &str, dice: &[u8]) -> String {
    let mut rolls = dice.iter().cycle();
    let mut spelled = String::new();
    for character in text.chars() {
        let roll = rolls.next().copied().unwrap_or(0);
        if roll % 2 == 0 && !matches!(character, '%' | '/' | '\\' | '?' | '#') {
            spelled.push(character);
            continue;
        }
        for byte in character.to_string().bytes() {
            spelled += &if roll % 4 < 2 { format!("%{byte:02x}") } else { format!("%{byte:02X}") };
        }
    }
    spelled
}

/// One of the spellings of a list of segments: escapes, doubled slashes, `.` and `x/..` thrown in.
fn spell_path(segments: &[String], dice: &[u8]) -> String {
    let mut path = String::new();
    for (index, segment) in segments.iter().enumerate() {
        let roll = dice[index % dice.len()];
        path += ["/", "//", "/./", "/x/../", "/%2e/", "/x//%2E./", "/y/./../", "/"][usize::from(roll % 8)];
        path += &spell(segment, &dice[index % dice.len()..]);
    }
    path
}

fn segment_lists() -> impl Strategy<Value = Vec<String>> {
    let segment = "[ab%/?#.2F é]{1,4}".prop_filter("a dot segment is no name", |text| text != "." && text != "..");
    prop::collection::vec(segment, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The quick reading and the naive twin agree on every string, and every refusal is true.
    #[test]
    fn agrees_with_the_twin(raw in nasty(), policy in policies()) {
        let found = normalize(&raw, &policy);
        prop_assert_eq!(found.as_deref().ok().map(str::to_owned), twin(&raw, policy));
        if let Err(error) = found {
            prop_assert!(is_true(error, &raw), "{error} in {raw:?}");
        }
    }

    /// So do they on any text at all, with or without the slash in front.
    #[test]
    fn agrees_on_any_text(raw in "/?\\PC{0,40}", policy in policies()) {
        prop_assert_eq!(normalize(&raw, &policy).ok().map(Cow::into_owned), twin(&raw, policy));
    }

    /// Normalizing an output again gives it back, borrowed, under the same policy.
    #[test]
    fn idempotent(raw in nasty(), policy in policies()) {
        if let Ok(text) = normalize(&raw, &policy) {
            prop_assert!(matches!(normalize(&text, &policy), Ok(Cow::Borrowed(same)) if same == text), "{text:?}");
        }
    }

    /// No output holds a dot segment, a control character, a backslash or (when merged) two slashes in a row.
    #[test]
    fn output_is_safe(raw in nasty(), policy in policies()) {
        if let Ok(text) = normalize(&raw, &policy) {
            let ended = format!("{text}/");
            prop_assert!(text.starts_with('/') && !ended.contains("/./") && !ended.contains("/../"), "{text:?}");
            prop_assert!(!text.contains(|c: char| c.is_control() || "\\?#".contains(c)), "{text:?}");
            prop_assert!(!policy.merge_slashes || !text.contains("//"), "{text:?}");
        }
    }

    /// Two spellings of the same segments come out as one text, whose segments decode to the ones meant.
    #[test]
    fn equivalent_spellings_meet(
        segments in segment_lists(),
        one in prop::collection::vec(any::<u8>(), 8),
        two in prop::collection::vec(any::<u8>(), 8),
    ) {
        let first = normalize(&spell_path(&segments, &one), &KEEP).map(Cow::into_owned);
        prop_assert_eq!(&first, &normalize(&spell_path(&segments, &two), &KEEP).map(Cow::into_owned));
        let text = first.unwrap();
        let decoded: Vec<_> = text[1..].split('/').map(|segment| decode_segment(segment).into_owned()).collect();
        prop_assert_eq!(decoded, segments);
    }
}
