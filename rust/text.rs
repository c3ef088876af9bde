//! One form for texts that differ only in spelling, so that rules and semantic keys match what was meant.
//!
//! **For matching only.** [`fold`] loses letter case, width, ligatures and invisible characters, so two requests
//! with the same folded text can deserve two answers. A cache key must digest the exact text instead.
//!
//! # What is folded
//!
//! - Case folding is full and the same in every language (`ß` to `ss`, `ς` to `σ`, the Kelvin sign to `k`, `İ` to
//!   `i` and a combining dot): the Turkish `ı` stays apart from `i`.
//! - [`Form::Nfkc`] also drops every default-ignorable character, as Unicode's NFKC\_Casefold does: soft hyphen,
//!   zero-width space and joiners, direction marks, variation selectors, tags. They are invisible, and text pasted
//!   from web pages (or written to slip past a rule) is full of them. The price: a zero-width space joins two words,
//!   words of Persian that differ in a non-joiner are one, and text hidden in tag characters is not seen.
//!   The other forms keep these characters.
//! - White space is what Unicode calls `White_Space`; the separators U+001C to U+001F and the zero-width space are not.
//!   Collapsing comes last, so the space that NFKC finds in `´` is trimmed as well.
//!
//! Look-alikes of other scripts (Cyrillic `а` for `a`) stay apart; that needs a table of confusables.

use std::borrow::Cow;

use unicase::UniCase;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfkc_quick};

/// Which normal form texts are brought to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Form {
    /// As given: `é` in one and in two code points stay apart.
    Keep,
    /// Canonical composition: the same characters, written one way.
    Nfc,
    /// Compatibility composition, and default-ignorable characters dropped: `ﬁ` is `fi`, `Ａ` is `A`, `²` is `2`.
    #[default]
    Nfkc,
}

/// What [`fold`] does to a text. The default folds as much as it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TextPolicy {
    /// The normal form.
    pub form: Form,
    /// Whether letter case is folded away.
    pub fold_case: bool,
    /// Whether every run of white space becomes one space, and none is left at either end.
    pub collapse_space: bool,
}

impl Default for TextPolicy {
    fn default() -> Self {
        Self { form: Form::default(), fold_case: true, collapse_space: true }
    }
}

/// The text to match `text` by, under `policy`.
///
/// Folding again changes nothing, and (unless the form is [`Form::Keep`]) canonically equivalent texts fold to
/// the same. A text that comes out as it went in is borrowed. ASCII costs a few passes of vector code;
/// any other text a table look-up or more per character, and two or three copies while it is at work.
///
/// ```
/// use fastcascade::text::{TextPolicy, fold};
///
/// assert_eq!(fold("  Ｓtra\u{AD}ße\n12 ", &TextPolicy::default()), "strasse 12");
/// ```
pub fn fold<'a>(text: &'a str, policy: &TextPolicy) -> Cow<'a, str> {
    let folded = if text.is_ascii() { lower_ascii(text, *policy) } else { reform(text, *policy) };
    let folded = if policy.collapse_space { collapse(folded) } else { folded };
    match folded {
        Cow::Owned(same) if same == text => Cow::Borrowed(text),
        other => other,
    }
}

fn lower_ascii(text: &str, policy: TextPolicy) -> Cow<'_, str> {
    // Not `any`: without an early end the compiler reads many bytes at once.
    let mut upper = false;
    for byte in text.bytes() {
        upper |= byte.is_ascii_uppercase();
    }
    if policy.fold_case && upper { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) }
}

/// `text` in its normal form and case-folded, white space untouched.
///
/// The short way takes a text already in normal form, folds its case and is done if the result is in normal form
/// still. That this equals the long way follows from three facts about single characters, which the tests
/// check for all of Unicode: see [`is_settled`].
fn reform(text: &str, policy: TextPolicy) -> Cow<'_, str> {
    if is_settled(text, policy.form) {
        if !policy.fold_case {
            return Cow::Borrowed(text);
        }
        let folded = fold_case(text);
        if folded == text || is_settled(&folded, policy.form) {
            return Cow::Owned(folded);
        }
    }
    Cow::Owned(reform_slowly(text, policy))
}

/// The definition: decompose, fold, compose. Decomposing comes first because U+0345, which folds to a letter, must
/// be in its canonical place among the marks before it becomes one (Unicode, section 3.13, D145 to D147).
fn reform_slowly(text: &str, policy: TextPolicy) -> String {
    let visible = || text.chars().filter(|&character| !is_ignorable(character));
    match (policy.form, policy.fold_case) {
        (Form::Keep, false) => text.to_owned(),
        (Form::Keep, true) => fold_case(text),
        (Form::Nfc, false) => text.nfc().collect(),
        (Form::Nfc, true) => fold_case(&text.nfd().collect::<String>()).nfc().collect(),
        (Form::Nfkc, false) => visible().nfkc().collect(),
        (Form::Nfkc, true) => fold_case(&visible().nfkd().collect::<String>()).nfkc().collect(),
    }
}

fn fold_case(text: &str) -> String {
    UniCase::unicode(text).to_folded_case()
}

/// Whether `text` is in normal form for certain, and holds nothing that folding could move.
///
/// For every character that may stand in a settled text, decomposing and folding commute, no part of it is
/// U+0345, and folding changes the combining class of no other. So for a whole settled text, folding before
/// decomposing (the short way) and after it (the long way) give canonically equivalent texts.
fn is_settled(text: &str, form: Form) -> bool {
    // A common letter looks to the check like any other starter that never changes; `a` is the cheapest.
    let cheap =
        || text.chars().map(|character| if character >= '\u{C0}' && is_common(character) { 'a' } else { character });
    let composed = match form {
        Form::Keep => return true,
        Form::Nfc => is_nfc_quick(cheap()),
        Form::Nfkc => is_nfkc_quick(cheap()),
    };
    let moves = |character| {
        character > '\u{7F}' && (may_hold_ypogegrammeni(character) || (form == Form::Nfkc && is_ignorable(character)))
    };
    composed == IsNormalized::Yes && !cheap().any(moves)
}

/// Letters of many texts that no normal form touches: Latin-1, Greek, Cyrillic, kana, Han, Hangul.
///
/// The general look-up takes some 25 ns for a Han character, this none to speak of.
fn is_common(character: char) -> bool {
    matches!(
        character,
        '\u{C0}'..='\u{FF}'
            | '\u{391}'..='\u{3CE}'
            | '\u{400}'..='\u{45F}'
            | '\u{3041}'..='\u{3096}'
            | '\u{30A1}'..='\u{30FA}'
            | '\u{4E00}'..='\u{9FFF}'
            | '\u{AC00}'..='\u{D7A3}'
    )
}

/// Whether the character is U+0345 or in the one block whose characters decompose to it.
fn may_hold_ypogegrammeni(character: char) -> bool {
    matches!(character, '\u{345}' | '\u{1F80}'..='\u{1FFF}')
}

/// Unicode's `Default_Ignorable_Code_Point` (16.0), with the code points it sets aside for later.
fn is_ignorable(character: char) -> bool {
    matches!(
        character,
        '\u{AD}'
            | '\u{34F}'
            | '\u{61C}'
            | '\u{115F}'..='\u{1160}'
            | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFF8}'
            | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}'
    )
}

fn collapse(text: Cow<'_, str>) -> Cow<'_, str> {
    if is_collapsed(&text) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    Cow::Owned(out)
}

#[allow(clippy::needless_bitwise_bool, reason = "a lazy operator is a branch")]
fn is_collapsed(text: &str) -> bool {
    if text.starts_with(' ') || text.ends_with(' ') {
        return false;
    }
    if !text.is_ascii() {
        return !text.contains(|character: char| character != ' ' && character.is_whitespace()) && !text.contains("  ");
    }
    // As above, no early end. The only white space of ASCII besides the space is tab to carriage return.
    let bytes = text.as_bytes();
    let mut loose = false;
    for byte in bytes {
        loose |= matches!(byte, b'\t'..=b'\r');
    }
    for (one, two) in bytes.iter().zip(bytes.get(1..).unwrap_or_default()) {
        loose |= (*one == b' ') & (*two == b' ');
    }
    !loose
}
