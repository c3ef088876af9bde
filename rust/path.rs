//! One spelling for each URL path, so that a rule or a cache key written for one spelling holds for all.
//!
//! [`normalize`] takes the path as it stood on the request line (undecoded, without query) and answers with one
//! text for every equivalent spelling, or says at which byte the path is unsafe to guess about.
//!
//! # What comes out
//!
//! Percent escapes are decoded once, except for the five characters that would change what the text means if it
//! were read as a path again. These stay escaped, in upper case:
//!
//! | character | `%` | `/` | `\` | `?` | `#` |
//! |-----------|-----|-----|-----|-----|-----|
//! | comes out as | `%25` | `%2F` | `%5C` | `%3F` | `%23` |
//!
//! So `%2F` (a slash inside a segment, only under [`EncodedSlash::Keep`]) and `%252F` (the three characters `%2F`)
//! stay apart, and the output is a valid input: normalizing it again, with the same policy, gives it back.
//! A rule for a literal percent sign is therefore written `%25`; [`decode_segment`] gives the plain text of a segment.
//!
//! # Limits
//!
//! Letter case, Unicode normal forms, `;` parameters and `+` are left alone: RFC 3986 calls none of them equivalent.
//! The output may hold spaces and raw non-ASCII, so it is for comparing, not for sending.

use std::borrow::Cow;
use std::str;

mod policy;

pub use policy::{DotSegments, EncodedSlash, PathError, PathPolicy, PathReason, TrailingSlash};

/// The one spelling of `raw` under `policy`: what comes out, and why, is told at the head of this module.
///
/// A path that is in order already is read once and borrowed. Any other costs one allocation of its own
/// length and a second reading.
///
/// # Errors
/// The leftmost fault, if the path cannot be read in one way only.
///
/// ```
/// use fastcascade::path::{PathPolicy, normalize};
///
/// let policy = PathPolicy::default();
/// assert_eq!(normalize("/v1//chat/%2e%2e/caf%C3%A9", &policy).unwrap(), "/v1/café");
/// assert_eq!(normalize("/a%2fb", &policy).unwrap_err().position, 2);
/// ```
pub fn normalize<'a>(raw: &'a str, policy: &PathPolicy) -> Result<Cow<'a, str>, PathError> {
    if is_clean(raw, *policy) {
        return Ok(Cow::Borrowed(raw));
    }
    let text = rewrite(raw, *policy)?;
    Ok(if text == raw { Cow::Borrowed(raw) } else { Cow::Owned(text) })
}

/// The plain text of one segment of a normalized path: the five escapes it may hold are decoded.
///
/// For what a rule captured, after splitting at `/`. Borrowed if there is no escape in it.
///
/// ```
/// assert_eq!(fastcascade::path::decode_segment("100%25"), "100%");
/// ```
pub fn decode_segment(segment: &str) -> Cow<'_, str> {
    let Some((head, mut rest)) = segment.split_once('%') else {
        return Cow::Borrowed(segment);
    };
    let mut text = String::with_capacity(segment.len());
    text.push_str(head);
    loop {
        let kept = KEPT.iter().find(|(_, escape)| rest.starts_with(&escape[1..]));
        text.push(kept.map_or('%', |(byte, _)| char::from(*byte)));
        rest = kept.map_or(rest, |(_, escape)| &rest[escape.len() - 1..]);
        let Some((head, tail)) = rest.split_once('%') else {
            break;
        };
        text.push_str(head);
        rest = tail;
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The characters that stay escaped, and how.
const KEPT: [(u8, &str); 5] = [(b'%', "%25"), (b'/', "%2F"), (b'\\', "%5C"), (b'?', "%3F"), (b'#', "%23")];

/// A byte that is never plain: it is decoded or refused.
const REWRITE: u8 = 1;
/// A slash after a slash.
const DOUBLE: u8 = 2;
/// A dot after a slash, which may start a dot segment.
const DOT: u8 = 4;
/// The first byte of two-byte characters, of which some are C1 controls.
const LATIN: u8 = 8;

/// How many pairs of neighbors [`survey`] takes at once: what one vector register of the least x86-64 and ARM holds.
const LANES: usize = 16;

/// Whether `raw` may be borrowed as it is: a `true` is certain, a `false` only sends it to [`rewrite`].
fn is_clean(raw: &str, policy: PathPolicy) -> bool {
    let bytes = raw.as_bytes();
    let strip = policy.trailing_slash == TrailingSlash::Strip && bytes.len() > 1;
    if bytes.first() != Some(&b'/') || (strip && bytes.ends_with(b"/")) {
        return false;
    }
    let seen = survey(bytes);
    if seen & REWRITE != 0 || (policy.merge_slashes && seen & DOUBLE != 0) {
        return false;
    }
    let dots = seen & DOT != 0 && raw.split('/').any(|segment| matches!(segment, "." | ".."));
    !dots && (seen & LATIN == 0 || !raw.contains(char::is_control))
}

/// What `bytes` hold besides plain text; the first must be known to be a slash.
///
/// The last window overlaps the one before, which is cheaper than reading a tail byte by byte.
fn survey(bytes: &[u8]) -> u8 {
    let Some(last) = bytes.last_chunk() else {
        let mut padded = [b'a'; LANES + 1];
        padded[..bytes.len()].copy_from_slice(bytes);
        return survey_window(&padded);
    };
    let mut seen = survey_window(last);
    let mut rest = bytes;
    while let Some(window) = rest.first_chunk() {
        seen |= survey_window(window);
        rest = &rest[LANES..];
    }
    seen
}

/// [`survey`] for every byte but the first.
///
/// It has no branch, so that the compiler turns the loop into vector code: with lazy operators, or with a table
/// read byte by byte, a clean path took two to four times as long.
#[allow(clippy::needless_bitwise_bool, reason = "a lazy operator is a branch")]
fn survey_window(window: &[u8; LANES + 1]) -> u8 {
    let mut seen = 0;
    for at in 0..LANES {
        let (before, byte) = (window[at], window[at + 1]);
        let rewrite = (byte < 0x20) | matches!(byte, 0x7F | b'%' | b'\\' | b'?' | b'#');
        let after_slash = u8::from(before == b'/');
        seen |= u8::from(rewrite) * REWRITE;
        seen |= (after_slash & u8::from(byte == b'/')) * DOUBLE;
        seen |= (after_slash & u8::from(byte == b'.')) * DOT;
        seen |= u8::from(byte == 0xC2) * LATIN;
    }
    seen
}

/// The long way: segment by segment, decoded first and judged after, so that `%2e%2e` is `..`.
fn rewrite(raw: &str, policy: PathPolicy) -> Result<String, PathError> {
    if !raw.starts_with('/') {
        return Err(PathError { position: 0, reason: PathReason::NotAbsolute });
    }
    // Nothing decodes to more bytes than it took, so this is never grown.
    let mut out = String::with_capacity(raw.len());
    out.push('/');
    let mut start = 1;
    for segment in raw[1..].split('/') {
        let from = out.len();
        let end = start + segment.len();
        decode_into(&mut out, &raw[..end], start, policy)?;
        let last = end == raw.len();
        close_segment(&mut out, from, last, policy).map_err(|reason| PathError { position: start, reason })?;
        start = end + 1;
    }
    if policy.trailing_slash == TrailingSlash::Strip {
        let kept = out.trim_end_matches('/').len();
        out.truncate(kept.max(1));
    }
    Ok(out)
}

/// Appends `raw` from byte `at` on, decoded; the end of `raw` is the end of the segment.
fn decode_into(out: &mut String, raw: &str, mut at: usize, policy: PathPolicy) -> Result<(), PathError> {
    let special = |byte: &u8| *byte < 0x20 || matches!(byte, b'%' | b'\\' | b'?' | b'#' | 0x7F | 0xC2);
    while let Some(plain) = raw.as_bytes()[at..].iter().position(special) {
        out.push_str(&raw[at..at + plain]);
        at += plain;
        let fault = |reason| PathError { position: at, reason };
        let (character, length) = read(raw, at).map_err(fault)?;
        let escaped = raw.as_bytes()[at] == b'%';
        check(character, escaped, policy).map_err(fault)?;
        match KEPT.iter().find(|(byte, _)| char::from(*byte) == character) {
            Some((_, escape)) => out.push_str(escape),
            None => out.push(character),
        }
        at += length;
    }
    out.push_str(&raw[at..]);
    Ok(())
}

/// The character at byte `at`, raw or escaped, and how many bytes of `raw` it takes.
fn read(raw: &str, at: usize) -> Result<(char, usize), PathReason> {
    if let Some(plain) = raw[at..].chars().next().filter(|&character| character != '%') {
        return Ok((plain, plain.len_utf8()));
    }
    let first = escaped_byte(raw, at).ok_or(PathReason::BadEscape)?;
    let width = match first {
        0..0x80 => 1,
        0xC2..0xE0 => 2,
        0xE0..0xF0 => 3,
        0xF0..0xF5 => 4,
        _ => return Err(PathReason::InvalidUtf8),
    };
    let mut utf8 = [first, 0, 0, 0];
    for (index, byte) in utf8.iter_mut().enumerate().take(width).skip(1) {
        *byte = escaped_byte(raw, at + 3 * index).ok_or(PathReason::InvalidUtf8)?;
    }
    let text = str::from_utf8(&utf8[..width]).map_err(|_| PathReason::InvalidUtf8)?;
    text.chars().next().map(|character| (character, 3 * width)).ok_or(PathReason::InvalidUtf8)
}

/// The byte that the escape at byte `at` stands for.
fn escaped_byte(raw: &str, at: usize) -> Option<u8> {
    let [b'%', high, low] = *raw.as_bytes().get(at..at + 3)? else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(high)? * 16 + digit(low)?) as u8)
}

fn check(character: char, escaped: bool, policy: PathPolicy) -> Result<(), PathReason> {
    Err(match (character, escaped) {
        ('\0', _) => PathReason::Nul,
        ('/' | '\\', true) if policy.encoded_slash == EncodedSlash::Refuse => PathReason::EncodedSlash,
        ('\\', false) => PathReason::Backslash,
        ('?', false) => PathReason::Query,
        ('#', false) => PathReason::Fragment,
        (control, _) if control.is_control() => PathReason::Control,
        _ => return Ok(()),
    })
}

/// Settles the segment at `out[from..]`, before which `out` ends with a slash, and after which it must again,
/// unless the segment is the last.
fn close_segment(out: &mut String, from: usize, last: bool, policy: PathPolicy) -> Result<(), PathReason> {
    match &out[from..] {
        "." | ".." if policy.dot_segments == DotSegments::Refuse => {
            return Err(PathReason::DotSegment);
        }
        ".." if from == 1 => return Err(PathReason::AboveRoot),
        ".." => {
            let parent = out[..from - 1].rfind('/').map_or(0, |slash| slash + 1);
            out.truncate(parent);
        }
        "." => out.truncate(from),
        "" if policy.merge_slashes => {}
        _ if last => {}
        _ => out.push('/'),
    }
    Ok(())
}
