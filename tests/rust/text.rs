//! Texts: tables of cases, proofs over all of Unicode, and properties.

use std::borrow::Cow;

use fastcascade::text::{Form, TextPolicy, fold};
use proptest::prelude::*;
use regex_syntax::hir::{Class, HirKind};
use unicase::UniCase;
use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfkc_quick};

const MOST: TextPolicy = TextPolicy { form: Form::Nfkc, fold_case: true, collapse_space: true };
const CASE: TextPolicy = TextPolicy { form: Form::Keep, fold_case: true, collapse_space: false };
const NFC: TextPolicy = TextPolicy { form: Form::Nfc, fold_case: false, collapse_space: false };
const NFC_CASE: TextPolicy = TextPolicy { fold_case: true, ..NFC };
const NFKC: TextPolicy = TextPolicy { form: Form::Nfkc, ..NFC };
const SPACE: TextPolicy = TextPolicy { form: Form::Keep, fold_case: false, collapse_space: true };
const NONE: TextPolicy = TextPolicy { collapse_space: false, ..SPACE };

/// Policy, input, output.
const CASES: &[(TextPolicy, &str, &str)] = &[
    (MOST, "", ""),
    (MOST, "\n", ""),
    (MOST, "A", "a"),
    (MOST, " \t\u{B}\u{3000}\n", ""),
    (MOST, "  Hello,\t\r\n WORLD ", "hello, world"),
    (MOST, "Stra\u{AD}ße STRASSE", "strasse strasse"),
    (MOST, "ΣΊΣΥΦΟΣ σίσυφος", "σίσυφοσ σίσυφοσ"),
    (MOST, "İIı", "i\u{307}iı"),
    (MOST, "\u{212A}K\u{212B}ſ", "kkås"),
    (MOST, "ﬁ Ａ² ℡ 𝐀 Ⅷ", "fi a2 tel a viii"),
    (MOST, "e\u{301} É", "é é"),
    (MOST, "a\u{200B}b\u{200D}c\u{FEFF}\u{FE0F}", "abc"),
    (MOST, "x´y", "x \u{301}y"),
    (MOST, "\u{A0}a\u{2003}\u{85}b\u{2028}", "a b"),
    (MOST, "ᾳ\u{301} α\u{345}\u{301} ᾼ\u{323}", "άι άι α\u{323}ι"),
    (MOST, "請問 가 カ\u{3099}", "請問 가 ガ"),
    (MOST, "а a", "а a"),
    (CASE, "e\u{301}ß\u{AD} Ａ", "e\u{301}ss\u{AD} ａ"),
    (NFC, "e\u{301}ﬁ\u{AD} É\u{2126}", "éﬁ\u{AD} ÉΩ"),
    (NFC_CASE, "E\u{301}ﬁ\u{2126}", "éfiω"),
    (NFKC, "ﬁ\u{AD} É\u{A0}", "fi É "),
    (SPACE, " A \u{A0}\u{2003}e\u{301}\u{1F}\u{200B} ", "A e\u{301}\u{1F}\u{200B}"),
    (NONE, "  ﬁ É  ", "  ﬁ É  "),
];

/// Every text folds as the table says.
#[test]
fn folds() {
    for (policy, text, expected) in CASES {
        assert_eq!(fold(text, policy), *expected, "{text:?} {policy:?}");
    }
}

/// A text that comes out as it went in is borrowed.
#[test]
fn borrows_what_is_unchanged() {
    for text in ["", "a b", "où est la gare?", "请问最近的车站在哪里", "가나", "ガ", "x \u{301}y", "ά"] {
        assert!(matches!(fold(text, &MOST), Cow::Borrowed(_)), "{text:?}");
    }
}

/// The default folds as much as it can.
#[test]
fn default_policy() {
    assert_eq!(TextPolicy::default(), MOST);
}

fn every_character() -> impl Iterator<Item = char> {
    '\0'..=char::MAX
}

fn case_folded(text: &str) -> String {
    UniCase::unicode(text).to_folded_case()
}

/// Decomposed under `form`; dropping ignorable characters is left to the caller.
fn decomposed(text: &str, form: Form) -> String {
    if form == Form::Nfkc { text.nfkd().collect() } else { text.nfd().collect() }
}

fn policies_of_case_folding() -> [TextPolicy; 2] {
    [NFC_CASE, TextPolicy { fold_case: true, ..NFKC }]
}

/// Exactly the characters of the Unicode property are ignorable: the compatibility form alone drops them.
#[test]
fn ignorable_is_the_unicode_property() {
    let hir = regex_syntax::Parser::new().parse(r"\p{Default_Ignorable_Code_Point}").unwrap();
    let HirKind::Class(Class::Unicode(class)) = hir.into_kind() else { panic!("a class was asked for") };
    let listed: Vec<char> = class.iter().flat_map(|range| range.start()..=range.end()).collect();
    let dropped: Vec<char> = every_character().filter(|c| fold(c.encode_utf8(&mut [0; 4]), &NFKC).is_empty()).collect();
    assert_eq!(dropped, listed);
    assert!(listed.iter().all(|c| !fold(&c.to_string(), &NFC_CASE).is_empty()));
}

/// No character folds to one that folds further, under any form: with decomposing first, this proves that
/// folding is idempotent for every text, since both steps go character by character.
#[test]
fn no_character_folds_twice() {
    for character in every_character() {
        let text = character.to_string();
        let folded = case_folded(&text);
        assert_eq!(case_folded(&folded), folded, "{character:?}");
        for form in [Form::Nfc, Form::Nfkc] {
            let folded = decomposed(&case_folded(&decomposed(&text, form)), form);
            assert_eq!(case_folded(&folded), folded, "{character:?} {form:?}");
        }
    }
}

/// The short way is sound: for each character it admits, folding and decomposing commute, nothing in it is
/// U+0345, and folding leaves its combining class alone.
#[test]
fn settled_characters_commute() {
    for character in every_character().filter(|c| !matches!(c, '\u{345}' | '\u{1F80}'..='\u{1FFF}')) {
        let text = character.to_string();
        let forms = [(Form::Nfc, is_nfc_quick(text.chars())), (Form::Nfkc, is_nfkc_quick(text.chars()))];
        for (form, _) in forms.iter().filter(|(_, quick)| *quick == IsNormalized::Yes) {
            let apart = decomposed(&text, *form);
            assert_eq!(decomposed(&case_folded(&text), *form), case_folded(&apart), "{character:?} {form:?}");
            assert!(!apart.contains('\u{345}'), "{character:?}");
            for part in apart.chars().filter(|&part| canonical_combining_class(part) != 0) {
                assert_eq!(case_folded(&part.to_string()), part.to_string(), "{character:?}");
            }
        }
    }
}

/// The letters that skip the general check are starters which every form leaves alone.
#[test]
fn common_letters_are_inert() {
    let ranges =
        ['À'..='ÿ', '\u{391}'..='\u{3CE}', '\u{400}'..='\u{45F}', '\u{3041}'..='\u{3096}', '\u{30A1}'..='\u{30FA}'];
    for character in ranges.into_iter().chain(['\u{4E00}'..='\u{9FFF}', '가'..='\u{D7A3}']).flatten() {
        assert_eq!(canonical_combining_class(character), 0, "{character:?}");
        assert_eq!(is_nfc_quick([character].into_iter()), IsNormalized::Yes, "{character:?}");
        assert_eq!(is_nfkc_quick([character].into_iter()), IsNormalized::Yes, "{character:?}");
    }
}

/// The twin: the definition in its longest form (Unicode, section 3.13, D145 and D146), white space after.
fn twin(text: &str, policy: TextPolicy) -> String {
    let visible: String =
        text.chars().filter(|&c| policy.form != Form::Nfkc || !fold(&c.to_string(), &NFKC).is_empty()).collect();
    let fold_if = |text: String| {
        if policy.fold_case { case_folded(&text) } else { text }
    };
    let formed = match policy.form {
        Form::Keep => fold_if(visible),
        Form::Nfc => fold_if(visible.nfd().collect()).nfc().collect(),
        Form::Nfkc => {
            let once: String = fold_if(visible.nfd().collect()).nfkd().collect();
            fold_if(once).nfkd().collect::<String>().nfkc().collect()
        }
    };
    if policy.collapse_space { formed.split_whitespace().collect::<Vec<_>>().join(" ") } else { formed }
}

/// Every character of the planes that hold any folds, alone and among others, as the definition says.
#[test]
fn every_character_agrees_with_the_twin() {
    for character in ('\0'..='\u{3FFFF}').chain('\u{E0000}'..='\u{E0FFF}') {
        let text = format!("{character}a{character}\u{301}");
        for policy in policies_of_case_folding() {
            assert_eq!(fold(&text, &policy), twin(&text, policy), "{character:?} {policy:?}");
        }
    }
}

prop_compose! {
    fn policies()(form in prop::sample::select(vec![Form::Keep, Form::Nfc, Form::Nfkc]), fold_case: bool, collapse_space: bool) -> TextPolicy {
        TextPolicy { form, fold_case, collapse_space }
    }
}

/// All of Unicode, weighted toward what combines, folds oddly, composes, is invisible or is white space.
fn texts() -> impl Strategy<Value = String> {
    let odd = prop::sample::select("ßẞςΣİıſK\u{212B}ŉǰﬁ\u{345}ᾳᾼΐΰϓ가각\u{1100}\u{1161}\u{11A8}\u{3099}ガか\u{AD}\u{200D}\u{34F}´\u{37A}Ꭰꭰ𝐀²   \t\u{A0}\u{2003}\u{85}é".chars().collect::<Vec<_>>());
    let mark = (0x300u32..0x370).prop_filter_map("a character", char::from_u32);
    let greek = (0x1F00u32..0x2000).prop_filter_map("a character", char::from_u32);
    let one = prop_oneof![3 => odd, 3 => mark, 1 => greek, 1 => any::<char>(), 2 => proptest::char::range(' ', '~')];
    prop::collection::vec(one, 0..16).prop_map(|characters| characters.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The quick ways agree with the definition.
    #[test]
    fn agrees_with_the_twin(text in texts(), policy in policies()) {
        prop_assert_eq!(fold(&text, &policy), twin(&text, policy));
    }

    /// Folding again changes nothing, and copies nothing.
    #[test]
    fn idempotent(text in texts(), policy in policies()) {
        let once = fold(&text, &policy).into_owned();
        prop_assert!(matches!(fold(&once, &policy), Cow::Borrowed(same) if same == once), "{once:?}");
    }

    /// Canonically equivalent texts fold to one.
    #[test]
    fn equivalent_texts_meet(text in texts(), policy in policies().prop_filter("a form", |p| p.form != Form::Keep)) {
        let (composed, apart): (String, String) = (text.nfc().collect(), text.nfd().collect());
        prop_assert_eq!(fold(&text, &policy), fold(&composed, &policy));
        prop_assert_eq!(fold(&text, &policy), fold(&apart, &policy));
    }

    /// ASCII takes its own way to the same end.
    #[test]
    fn ascii_agrees(text in "[ -~\\t\\n\\x0b\\x1f]{0,80}", policy in policies()) {
        prop_assert_eq!(fold(&text, &policy), twin(&text, policy));
    }
}
