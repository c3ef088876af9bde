//! The route table: precedence, methods, explanations and normal forms.

use fastcascade::method::MethodSet;
use fastcascade::path::{EncodedSlash, PathPolicy, TrailingSlash};
use fastcascade::pattern::PatternFlags;
use fastcascade::route::{Pattern, Route, Share};
use fastcascade::router::{By, Normalize, Outcome, Router};
use fastcascade::text::TextPolicy;
use proptest::prelude::*;

use crate::cases;
use crate::oracles::{Rule, Table};

pub fn text(route: &str) -> Route<usize> {
    Route::new(Pattern::Text(route.to_owned()), 0)
}

pub fn regex(pattern: &str, methods: Option<&[&str]>) -> Route<usize> {
    let methods = methods.map(|methods| methods.iter().map(|method| (*method).to_owned()).collect());
    Route { methods, ..Route::new(Pattern::Regex(pattern.to_owned(), PatternFlags::default()), 0) }
}

fn build(routes: Vec<Route<usize>>, normalize: Normalize) -> Router<usize> {
    let numbered = routes.into_iter().enumerate().map(|(at, route)| Route { target: at, ..route });
    let router = Router::build(numbered, normalize).unwrap_or_else(|error| panic!("{error}"));
    router.validate();
    router
}

/// `HEAD` goes where `GET` would, for every matcher, unless the place has a route of its own for it.
#[test]
fn head_goes_where_get_would() {
    let routes = vec![
        text("GET /a"),
        text("HEAD /a"),
        text("GET /b"),
        text("POST /b"),
        text("GET /u/{id}"),
        text("GET /f/{rest...}"),
        regex("^/r", Some(&["GET"])),
        text("POST /p"),
        text("GET *"),
    ];
    let router = build(routes, Normalize::Verbatim);
    let cases = [("/a", 1), ("/b", 2), ("/u/1", 4), ("/f/1/2", 5), ("/r1", 6), ("/p", 8), ("/else", 8)];
    for (path, expected) in cases {
        let found = router.find(path, MethodSet::HEAD).map(|found| *router.target(found.route));
        assert_eq!(found, Some(expected), "{path}");
    }
}

/// What a path is known under is said only when some matcher knows it: 405 is not 404.
#[test]
fn unknown_is_not_forbidden() {
    let routes = vec![text("GET /a"), text("PUT /{x}"), regex("^/a|^/r", Some(&["DELETE"])), text("PURGE /f/{r...}")];
    let router = build(routes, Normalize::Verbatim);
    let cases: &[(&str, &str, &[&str])] = &[
        ("/a", "POST", &["GET", "HEAD", "PUT", "DELETE"]),
        ("/b", "GET", &["PUT"]),
        ("/r", "BREW", &["PUT", "DELETE"]),
        ("/f/1", "GET", &["PURGE"]),
        ("/x/y", "GET", &[]),
        ("", "GET", &[]),
    ];
    for (path, method, expected) in cases {
        assert!(router.find(path, router.methods().query(method)).is_none(), "{path}");
        assert_eq!(router.methods().names(router.allowed(path)), *expected, "{path}");
    }
    assert_eq!(router.methods().names(build(vec![text("/{x}")], Normalize::Verbatim).allowed("/1")), ["*"]);
}

/// Each policy brings routes and requests into the same form.
#[test]
fn routes_meet_requests_in_form() {
    let strip =
        PathPolicy { trailing_slash: TrailingSlash::Strip, encoded_slash: EncodedSlash::Keep, ..PathPolicy::default() };
    let routes = || vec![text("/a/"), text("/caf%C3%A9"), text("/u/{id}/"), text("/{{x}}")];
    let cases: &[(Normalize, &[(&str, Option<usize>)])] = &[
        (
            Normalize::Verbatim,
            &[("/a/", Some(0)), ("/a", None), ("/caf%C3%A9", Some(1)), ("/café", None), ("/{x}", Some(3))],
        ),
        (
            Normalize::Path(PathPolicy::default()),
            &[
                ("//a/./", Some(0)),
                ("/a", None),
                ("/café", Some(1)),
                ("/u/%31/", Some(2)),
                ("/u/1", None),
                ("/%7bx}", Some(3)),
            ],
        ),
        (
            Normalize::Path(strip),
            &[
                ("/a", Some(0)),
                ("/a//", Some(0)),
                ("/u/1", Some(2)),
                ("/u/1/", Some(2)),
                ("/u/a%2fb", Some(2)),
                ("/u/", None),
            ],
        ),
    ];
    for (normalize, paths) in cases {
        let router = build(routes(), *normalize);
        for (path, expected) in *paths {
            let text = normalize.apply(path).expect("the paths are good");
            assert_eq!(
                router.find(&text, MethodSet::GET).map(|found| found.route.index()),
                *expected,
                "{path} {normalize:?}"
            );
        }
    }
    let normalize = Normalize::Text(TextPolicy::default());
    let router =
        build(vec![text("Reset my  PASSWORD"), text("Translate {what} INTO {language}"), text("*")], normalize);
    for (asked, expected) in [
        ("reset my password ", By::Exact),
        ("ＲＥＳＥＴ my\npassword", By::Exact),
        ("TRANSLATE  this into Ελληνικά", By::Prefix),
        ("translate into", By::Wildcard),
    ] {
        let text = normalize.apply(asked).expect("no text is refused");
        assert_eq!(router.find(&text, MethodSet::ANY).map(|found| found.by), Some(expected), "{asked}");
    }
}

/// Every route of a table built under a path policy can be reached by the path it is written as.
#[test]
fn no_route_is_out_of_reach() {
    let normalize = Normalize::Path(PathPolicy::default());
    for route in ["/caf%C3%A9/{id}", "/a//b/{id}", "/a/./{id}", "/%7e/{rest...}"] {
        let Ok(router) = Router::build([text(route)], normalize) else { continue };
        let asked = route.replace("{id}", "1").replace("{rest...}", "1");
        let path = normalize.apply(&asked).expect("the path is good");
        assert!(router.find(&path, MethodSet::GET).is_some(), "{route:?} was built and never matches {asked:?}");
    }
}

/// Groups of a pattern are found by name, and one that took no part is None.
#[test]
fn patterns_have_params() {
    let router =
        build(vec![text("/x"), regex("^/v(?P<major>[0-9]+)(?P<minor>[.][0-9]+)?/", None)], Normalize::Verbatim);
    let found = router.find("/v12/x", MethodSet::GET).expect("the pattern matches");
    assert_eq!((found.by, router.text(found.route)), (By::Regex, "^/v(?P<major>[0-9]+)(?P<minor>[.][0-9]+)?/"));
    assert_eq!(router.names(found.route).iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["major", "minor"]);
    assert_eq!(router.groups(found.route, "/v12/x"), [Some((2, 4)), None]);
}

/// A table keeps what its routes ask, however many ask the same.
#[test]
fn access_is_kept() {
    let asking = |path: &str, share, cost| {
        let mut route = text(path);
        (route.access.share, route.access.cost) = (share, cost);
        route
    };
    let router = build(
        vec![asking("/a", Share::Tenant, 1.0), asking("/b", Share::Identity, 2.0), asking("/{c}", Share::Tenant, 1.0)],
        Normalize::Verbatim,
    );
    for (path, share, cost) in [("/a", Share::Tenant, 1.0), ("/b", Share::Identity, 2.0), ("/c", Share::Tenant, 1.0)] {
        let found = router.find(path, MethodSet::GET).expect("it is a route");
        let access = router.access(found.route);
        assert!(access.share == share && (access.cost - cost).abs() < 1e-9, "{path}: {access:?}");
    }
    assert!(router.shares_by_tenant() && !router.has_public() && router.len() == 3 && router.memory() > 0);
}

fn rule() -> impl Strategy<Value = Rule> {
    let texts = ["/a", "/a/b", "/{{x}}", "/{x}", "/{y}/b", "/a/{z...}", "/{p}-{q}", "*", "*", "/é{v}"];
    let plain = prop::sample::select(texts.to_vec()).prop_map(|text| (text, false));
    let pattern = prop::sample::select(vec!["^/a", "b", "^/é", "-"]).prop_map(|text| (text, true));
    let methods = prop::sample::select(vec!["", "GET", "POST", "GET,HEAD", "HEAD", "PURGE", "PUT,GET"]);
    (prop_oneof![4 => plain, 1 => pattern], methods).prop_map(|((text, regex), methods)| {
        let methods = (!methods.is_empty()).then(|| methods.split(',').map(str::to_owned).collect());
        Rule { text: text.to_owned(), methods, regex }
    })
}

proptest! {
    #![proptest_config(cases(1000))]

    /// For any table, path and method the router finds what the list does, explains it so, and names the same methods.
    #[test]
    fn follows_the_list(
        mut rules in prop::collection::vec(rule(), 1..12),
        paths in prop::collection::vec("(/(a|b|é|-|x)(-|b)?){0,3}|/\\{x\\}", 1..6),
    ) {
        while let Some((_, later)) = Table::new(rules.clone()).conflict() {
            rules.remove(later);
        }
        let naive = Table::new(rules.clone());
        let route = |rule: &Rule| {
            let pattern = |text: &str| Pattern::Regex(text.to_owned(), PatternFlags::default());
            let pattern = if rule.regex { pattern(&rule.text) } else { Pattern::Text(rule.text.clone()) };
            Route { methods: rule.methods.clone(), ..Route::new(pattern, 0) }
        };
        let router = build(rules.iter().map(route).collect(), Normalize::Verbatim);
        for path in &paths {
            let every = ["GET", "HEAD", "POST", "PUT", "PURGE", "BREW"];
            for method in every {
                let query = router.methods().query(method);
                let found = router.find(path, query);
                let naively = naive.find(path, method).map(|(rule, by, _)| (rule, by));
                prop_assert_eq!(found.as_ref().map(|found| (found.route.index(), found.by)), naively, "{} {}", method, path);
                let steps = router.explain(path, query);
                prop_assert_eq!(steps.iter().map(|step| step.matcher).collect::<Vec<_>>(), &By::ALL[..steps.len()]);
                for step in &steps {
                    let expected = naive.find_by(step.matcher, path, &|rule| naive.takes(rule, method));
                    let other = naive.find_by(step.matcher, path, &|_| true);
                    let agrees = match step.outcome {
                        Outcome::Match(route) => expected.is_some_and(|(rule, ..)| rule == route.index()),
                        Outcome::WrongMethod(route) => expected.is_none() && other.is_some_and(|(rule, ..)| rule == route.index()),
                        Outcome::Miss => other.is_none() && naive.has(step.matcher),
                        Outcome::Empty => !naive.has(step.matcher),
                    };
                    prop_assert!(agrees, "{} {}: {:?}", method, path, step);
                }
                prop_assert_eq!(matches!(steps.last().map(|step| step.outcome), Some(Outcome::Match(_))), found.is_some());
                prop_assert_eq!(router.allowed(path).meets(query), found.is_some(), "{} {}", method, path);
            }
        }
    }
}
