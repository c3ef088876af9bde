//! What a route's text means, and what is said of one that means nothing.

use fastcascade::template::{Part, TemplateError, names, parse};
use proptest::prelude::*;

use crate::cases;

/// `a` for a literal, `:a` for a param, `*a` for a tail.
fn shown(parts: &[Part]) -> Vec<String> {
    let show = |part: &Part| match part {
        Part::Literal(text) => text.clone(),
        Part::Param(name) => format!(":{name}"),
        Part::Tail(name) => format!("*{name}"),
    };
    parts.iter().map(show).collect()
}

/// Each text comes apart as listed.
#[test]
fn texts_come_apart() {
    const CASES: &[(&str, &[&str])] = &[
        ("", &[]),
        ("/", &["/"]),
        ("/users/{id}", &["/users/", ":id"]),
        ("{id}", &[":id"]),
        ("{all...}", &["*all"]),
        ("/a/{b}/c/{d...}", &["/a/", ":b", "/c/", "*d"]),
        ("/compare/{base}...{head}", &["/compare/", ":base", "...", ":head"]),
        ("/v{major}.{minor}-x", &["/v", ":major", ".", ":minor", "-x"]),
        ("/{{not}}/{yes}", &["/{not}/", ":yes"]),
        ("{{}}", &["{}"]),
        ("/{{{a}}}", &["/{", ":a", "}"]),
        ("/日本/{名前}/é", &["/日本/", ":名前", "/é"]),
        ("/{_a-b_2}", &["/", ":_a-b_2"]),
    ];
    for (text, expected) in CASES {
        let parts = parse(text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
        assert_eq!(shown(&parts), *expected, "{text:?}");
    }
}

/// Each bad text is refused at the byte and for the reason listed.
#[test]
fn bad_texts_are_refused() {
    const NAME: &str = "a param's name must be a letter followed by letters, digits, '_' or '-'";
    const CASES: &[(&str, usize, &str)] = &[
        ("/a}", 2, "a '}' without its '{'; write '}}' for a brace"),
        ("/é}", 3, "a '}' without its '{'; write '}}' for a brace"),
        ("/{a", 1, "a '{' without its '}'; write '{{' for a brace"),
        ("/{", 1, "a '{' without its '}'; write '{{' for a brace"),
        ("/{}", 1, NAME),
        ("/{...}", 1, NAME),
        ("/{1a}", 1, NAME),
        ("/{a b}", 1, NAME),
        ("/{a:int}", 1, NAME),
        ("/{a{b}}", 1, NAME),
        ("/{a}/{a}", 5, "a param's name comes twice; give each its own"),
        ("/{a}/{a...}", 5, "a param's name comes twice; give each its own"),
        ("/{a}{b}", 4, "two params touch; put some text between them"),
        ("/{a}{b...}", 4, "two params touch; put some text between them"),
        ("/{a...}/b", 9, "a '{rest...}' tail must be the end of the route"),
        ("/{a...}/{b}", 11, "a '{rest...}' tail must be the end of the route"),
    ];
    for (text, position, reason) in CASES {
        assert_eq!(parse(text), Err(TemplateError { position: *position, reason }), "{text:?}");
    }
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let literal = prop_oneof!["[{}/a]{1,6}", "[^a]{1,3}"];
    (prop::collection::vec(literal, 0..5), 0..3).prop_map(|(literals, end)| {
        let mut parts = Vec::new();
        for (at, literal) in literals.into_iter().enumerate() {
            parts.extend([Part::Literal(literal), Part::Param(format!("p{at}"))]);
        }
        if end != 0
            && let Some(Part::Param(name)) = parts.pop()
            && end == 2
        {
            parts.push(Part::Tail(name));
        }
        parts
    })
}

proptest! {
    #![proptest_config(cases(500))]

    /// Written out with its braces doubled, a template is read back as it was.
    #[test]
    fn reads_back_what_is_written(parts in parts()) {
        let write = |part: &Part| match part {
            Part::Literal(text) => text.replace('{', "{{").replace('}', "}}"),
            Part::Param(name) => format!("{{{name}}}"),
            Part::Tail(name) => format!("{{{name}...}}"),
        };
        let text: String = parts.iter().map(write).collect();
        let read = parse(&text);
        prop_assert_eq!(read.as_ref(), Ok(&parts), "{}", text);
        prop_assert_eq!(names(&parts).count(), parts.iter().filter(|part| !matches!(part, Part::Literal(_))).count());
    }

    /// No text makes the reader panic, and what is refused is refused at a place within it.
    #[test]
    fn never_panics(text in prop_oneof!["[{}./a1é-]{0,12}", ".{0,20}"]) {
        if let Err(error) = parse(&text) {
            prop_assert!(text.is_char_boundary(error.position) && !error.reason.is_empty(), "{:?}: {:?}", text, error);
        }
    }
}
