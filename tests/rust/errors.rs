//! What is said of routes that cannot be: each message names the route at fault and what to do.

use fastcascade::path::PathPolicy;
use fastcascade::route::{Route, split_methods};
use fastcascade::router::{Normalize, Router};

use crate::router::{regex, text};

fn error(routes: Vec<Route<usize>>, normalize: Normalize) -> String {
    Router::build(routes, normalize)
        .map_or_else(|error| error.to_string(), |router| format!("{} routes built", router.len()))
}

/// Every bad route is refused with a message that names it and says what to do.
#[test]
fn bad_routes_are_refused() {
    let scoped = |cost| {
        let mut route = text("/a");
        route.access.cost = cost;
        route
    };
    let methods =
        |names: &[&str]| Route { methods: Some(names.iter().map(|name| (*name).to_owned()).collect()), ..text("/a") };
    let many: Vec<String> = (0..23).map(|at| format!("M{at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let cases = [
        (
            vec![text("")],
            r#"route "" cannot be read at byte 0: it is empty; the root is "/", and "*" takes whatever is left"#,
        ),
        (vec![text("/{a")], r#"route "/{a" cannot be read at byte 1: a '{' without its '}'; write '{{' for a brace"#),
        (
            vec![text("/{id}"), text("/{name}")],
            r#"route "/{name}" answers the same requests as "/{id}"; remove one, or give them different methods"#,
        ),
        (
            vec![text("GET,POST /a"), text("/b"), text("POST /a")],
            r#"route "/a" answers the same requests as "/a"; remove one, or give them different methods"#,
        ),
        (
            vec![text("*"), text("*")],
            r#"route "*" answers the same requests as "*"; remove one, or give them different methods"#,
        ),
        (
            vec![text("/{{a}}"), text("/{{a}}")],
            r#"route "/{a}" answers the same requests as "/{a}"; remove one, or give them different methods"#,
        ),
        (vec![methods(&["get"])], r#"route "/a" names the method "get", which is not an upper-case HTTP method"#),
        (vec![methods(&[])], r#"route "/a" takes no method; leave its methods out and it takes all"#),
        (
            vec![methods(&many)],
            r#"route "/a" names one method too many; a table has room for 22 beside the usual nine"#,
        ),
        (vec![scoped(-1.0)], r#"route "/a" costs -1; a cost is a finite number of tokens, zero or more"#),
        (vec![scoped(f64::NAN)], r#"route "/a" costs NaN; a cost is a finite number of tokens, zero or more"#),
        (vec![scoped(f64::INFINITY)], r#"route "/a" costs inf; a cost is a finite number of tokens, zero or more"#),
    ];
    for (routes, expected) in cases {
        assert_eq!(error(routes, Normalize::Verbatim), expected);
    }
    let path = Normalize::Path(PathPolicy::default());
    for (route, position) in [("/a/%zz", 3), ("a", 0), ("/a?b", 2)] {
        let expected =
            format!("route {route:?} cannot be read at byte {position}: is a path that its own policy refuses");
        assert_eq!(error(vec![text(route)], path), expected);
    }
    let bad = error(vec![text("/a"), regex("^/b", None), regex("^/(", None)], Normalize::Verbatim);
    assert!(bad.starts_with("pattern 1"), "{bad}");
}

/// A text may begin with the methods it takes, and what only looks like that is a path.
#[test]
fn methods_may_be_in_the_text() {
    let some = |methods: &[&str]| Some(methods.iter().map(|method| (*method).to_owned()).collect::<Vec<_>>());
    let cases: &[(&str, Option<Vec<String>>, &str)] = &[
        ("GET /a", some(&["GET"]), "/a"),
        ("GET,M-SEARCH /a b", some(&["GET", "M-SEARCH"]), "/a b"),
        ("POST *", some(&["POST"]), "*"),
        ("/a b", None, "/a b"),
        ("get /a", None, "get /a"),
        ("GET, /a", None, "GET, /a"),
        ("GET a", None, "GET a"),
        ("translate THIS", None, "translate THIS"),
    ];
    for (given, methods, path) in cases {
        assert_eq!(split_methods(given), (methods.clone(), *path), "{given:?}");
    }
}
