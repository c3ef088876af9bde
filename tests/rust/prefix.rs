//! The radix tree beside a search through the list of its templates.

use fastcascade::method::MethodSet;
use fastcascade::route::{Pattern, Route};
use fastcascade::router::{By, Found, Normalize, Router};
use proptest::prelude::*;

use crate::cases;
use crate::fuzz_bodies::check_tree;

fn build(templates: &[&str]) -> Router<()> {
    let route = |text: &&str| Route::new(Pattern::Text((*text).to_owned()), ());
    let router = Router::build(templates.iter().map(route), Normalize::Verbatim).expect("the templates are good");
    router.validate();
    router
}

/// The route's text and its params, as a reader would write them.
fn shown(router: &Router<()>, path: &str, found: &Found) -> String {
    let names = router.names(found.route).iter();
    let params: Vec<String> = names
        .zip(&found.spans)
        .map(|(name, (start, end))| format!(" {name}={}", &path[*start as usize..*end as usize]))
        .collect();
    format!("{}{}", router.text(found.route), params.concat())
}

/// Each table gives each path to the route listed, with the params listed; an empty text is no match.
#[test]
fn literal_beats_param_beats_tail() {
    const CASES: &[(&[&str], &[(&str, &str)])] = &[
        (
            &["/users/{id}", "/users/me/{x}", "/users/{id}/posts", "/{all...}"],
            &[
                ("/users/42", "/users/{id} id=42"),
                ("/users/me", "/users/{id} id=me"),
                ("/users/me/a", "/users/me/{x} x=a"),
                ("/users/me/posts", "/users/me/{x} x=posts"),
                ("/users/mex/posts", "/users/{id}/posts id=mex"),
                ("/users/", "/{all...} all=users/"),
                ("/users/1/2", "/{all...} all=users/1/2"),
                ("/", "/{all...} all="),
                ("", ""),
                ("users/1", ""),
            ],
        ),
        (
            &["/a/{x}/c", "/a/b/{y...}", "/{z}/b/d"],
            &[
                ("/a/b/c", "/a/b/{y...} y=c"),
                ("/a/b/d", "/a/b/{y...} y=d"),
                ("/a/x/c", "/a/{x}/c x=x"),
                ("/q/b/d", "/{z}/b/d z=q"),
                ("/a/b", ""),
                ("/a//c", ""),
            ],
        ),
        (
            &["/{base}...{head}", "/{one}", "/v{n}", "/v{n}-x"],
            &[
                ("/a...b", "/{base}...{head} base=a head=b"),
                ("/a.....b", "/{base}...{head} base=a head=..b"),
                ("/...b", "/{one} one=...b"),
                ("/a...", "/{one} one=a..."),
                ("/v1", "/v{n} n=1"),
                ("/v1-x", "/v{n}-x n=1"),
                ("/v1-x-x", "/v{n}-x n=1-x"),
                ("/v", "/{one} one=v"),
                ("/v...w", "/v{n} n=...w"),
            ],
        ),
        (
            &["/日本/{名}", "/日{x}", "/é{a}ü{b}", "/files-{rest...}", "{host}/x"],
            &[
                ("/日本/é", "/日本/{名} 名=é"),
                ("/日木", "/日{x} x=木"),
                ("/日", ""),
                ("/éaübü", "/é{a}ü{b} a=a b=bü"),
                ("/éüü", ""),
                ("/files-", "/files-{rest...} rest="),
                ("/files-a/b", "/files-{rest...} rest=a/b"),
                ("h/x", "{host}/x host=h"),
            ],
        ),
    ];
    for (templates, paths) in CASES {
        let router = build(templates);
        for (path, expected) in *paths {
            let found = router.find(path, MethodSet::GET);
            assert!(found.as_ref().is_none_or(|found| found.by == By::Prefix));
            let shown = found.map_or_else(String::new, |found| shown(&router, path, &found));
            assert_eq!(shown, *expected, "{path} in {templates:?}");
        }
    }
}

fn segment() -> impl Strategy<Value = &'static str> {
    let pieces = ["a", "ab", "b", "é", "日", "本", "-", "...", "--", ".", "\u{301}", "{{", "x"];
    prop::sample::select(pieces.to_vec())
}

/// Templates of few different pieces, so that they share beginnings and compete; `{}` is a param, `{...}` a tail.
fn template() -> impl Strategy<Value = String> {
    let piece = prop_oneof![3 => Just("/"), 3 => segment(), 3 => Just("{}")];
    (prop::collection::vec(piece, 1..8), any::<bool>()).prop_map(|(mut pieces, tail)| {
        pieces.dedup_by(|a, b| *a == "{}" && *b == "{}");
        if tail && pieces.last() != Some(&"{}") {
            pieces.push("{...}");
        }
        let name = |(at, piece): (usize, &str)| match piece {
            "{}" => format!("{{p{at}}}"),
            "{...}" => "{rest...}".to_owned(),
            literal => literal.to_owned(),
        };
        pieces.into_iter().enumerate().map(name).collect()
    })
}

fn path() -> impl Strategy<Value = String> {
    let piece = prop_oneof![3 => Just("/"), 4 => segment(), 1 => Just("c")];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat().replace("{{", "{"))
}

proptest! {
    #![proptest_config(cases(2000))]

    /// Tree and list agree on which templates collide, and for every path on the route and on where its params lie.
    #[test]
    fn follows_the_list(
        templates in prop::collection::vec(template(), 1..9),
        paths in prop::collection::vec(path(), 1..12),
    ) {
        check_tree(&templates, &paths);
    }
}

/// A path on which every end of every param looks right until the last byte is answered (that it is answered in steps
/// that do not multiply is counted by `benches/instructions.py`).
#[test]
fn hostile_paths_are_answered() {
    let router =
        build(&["/{a}-{b}/{c}-{d}/{e}-{f}/x", "/{a}-{b}-{c}-{d}/{e}/y", "/{a}--{b}/{c}--{d}/{e}--{f}/{g}--{h}"]);
    let dashes = "-".repeat(120);
    for (end, expected) in [("y", None), ("x", Some(0)), ("---", None)] {
        let path = format!("/{dashes}/{dashes}/{dashes}/{end}");
        let found = router.find(&path, MethodSet::GET).map(|found| found.route.0);
        assert_eq!(found, expected, "{end}");
        assert_eq!(router.allowed(&path) == MethodSet::NONE, expected.is_none(), "{end}");
    }
    assert!(router.find(&format!("/{dashes}/{dashes}/{dashes}/-----"), MethodSet::GET).is_some());
}

/// A template of many segments is built, found and dropped on a stack of two megabytes.
#[test]
fn long_templates_are_no_danger() {
    let template: String = (0..300).map(|at| format!("/{{p{at}}}/x{at}")).collect();
    let path: String = (0..300).map(|at| format!("/é{at}/x{at}")).collect();
    let router = build(&[&template]);
    let found = router.find(&path, MethodSet::GET).expect("the path is the template's");
    assert_eq!(found.spans.len(), 300);
    assert!(
        found.spans.iter().zip(0..).all(|((start, end), at)| path[*start as usize..*end as usize] == format!("é{at}"))
    );
}
