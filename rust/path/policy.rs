//! What a path may hold, and why one was refused.

use std::{error, fmt};

/// What to do with slashes at the end of a path; the root `/` always stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TrailingSlash {
    /// `/a/` and `/a` stay two paths, as RFC 3986 has it.
    #[default]
    Keep,
    /// `/a/` becomes `/a`.
    Strip,
}

/// What to do with `%2F` and `%5C`, on whose meaning servers disagree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EncodedSlash {
    /// The path is an error.
    #[default]
    Refuse,
    /// The escape stays, in upper case, as part of its segment.
    /// `..%2F..` is then one ordinary segment: unsafe if someone downstream decodes it before splitting.
    Keep,
}

/// What to do with `.` and `..` segments, however they are escaped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DotSegments {
    /// They are resolved by RFC 3986, section 5.2.4, but `..` above the root is an error.
    #[default]
    Resolve,
    /// The path is an error.
    Refuse,
}

/// How [`normalize`](super::normalize) treats what RFC 3986 leaves open.
///
/// The default changes nothing that may tell two resources apart (a slash at the end stays) and refuses what
/// another server may read differently (`%2F`). It does merge slashes, as most servers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PathPolicy {
    /// Slashes at the end.
    pub trailing_slash: TrailingSlash,
    /// `%2F` and `%5C`.
    pub encoded_slash: EncodedSlash,
    /// `.` and `..`.
    pub dot_segments: DotSegments,
    /// Whether `//` becomes `/`. Merging comes before `..`, so `/a//../b` is `/b`, as in a file system.
    /// Without it an empty segment counts, `/a//../b` is `/a/b`, and an output may start with `//`, which
    /// a browser takes for a host name: do not redirect to it.
    pub merge_slashes: bool,
}

impl Default for PathPolicy {
    fn default() -> Self {
        Self {
            trailing_slash: TrailingSlash::default(),
            encoded_slash: EncodedSlash::default(),
            dot_segments: DotSegments::default(),
            merge_slashes: true,
        }
    }
}

/// Why a path was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathReason {
    /// It does not start with a slash.
    NotAbsolute,
    /// A percent sign is not followed by two hex digits.
    BadEscape,
    /// `%2F` or `%5C` under [`EncodedSlash::Refuse`].
    EncodedSlash,
    /// A raw backslash, which some servers take for a slash.
    Backslash,
    /// NUL, raw or escaped.
    Nul,
    /// Any other control character (C0, DEL or C1), raw or escaped.
    Control,
    /// Escaped bytes that are not UTF-8.
    InvalidUtf8,
    /// A raw `?`: the input holds a query.
    Query,
    /// A raw `#`: the input holds a fragment.
    Fragment,
    /// `.` or `..` under [`DotSegments::Refuse`].
    DotSegment,
    /// A `..` with nothing left to remove.
    AboveRoot,
}

impl PathReason {
    fn message(self) -> &'static str {
        match self {
            Self::NotAbsolute => "path does not start with '/', pass the whole path of the url",
            Self::BadEscape => "'%' is not followed by two hex digits, write a percent sign as %25",
            Self::EncodedSlash => "encoded slash or backslash is refused, send a raw '/' or allow it in the policy",
            Self::Backslash => "raw backslash, write it as %5C or use '/'",
            Self::Nul => "nul character, remove it",
            Self::Control => "control character, remove it",
            Self::InvalidUtf8 => "escaped bytes are not utf-8, encode the text as utf-8 first",
            Self::Query => "query string, pass the path without '?' and what follows or write it as %3F",
            Self::Fragment => "fragment, pass the path without '#' and what follows or write it as %23",
            Self::DotSegment => "dot segment is refused, resolve it first or allow it in the policy",
            Self::AboveRoot => "'..' leads above the root, remove it",
        }
    }
}

/// The first fault found in a path, read from the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PathError {
    /// Byte offset in the input; for dot segments, where the segment starts.
    pub position: usize,
    /// What is wrong there.
    pub reason: PathReason,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.position, self.reason.message())
    }
}

impl error::Error for PathError {}
