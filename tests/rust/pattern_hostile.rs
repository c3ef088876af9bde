//! Hostile patterns are refused before they cost anything, hostile texts take linear work.

use fastcascade::ids::PatternId;
use fastcascade::pattern::{PatternFlags, PatternSet};

fn set<'a>(patterns: impl IntoIterator<Item = &'a str>) -> PatternSet {
    let patterns = patterns.into_iter().map(|pattern| (pattern, PatternFlags::default()));
    PatternSet::new(patterns).unwrap_or_else(|error| panic!("{error}"))
}

/// Patterns that would grow beyond bounds are refused, however deep the growth is hidden.
#[test]
fn refuses_what_is_too_large() {
    let nested = format!("{}a{}", "(".repeat(101), ")".repeat(101));
    let tower = format!("{}a{}", "(?:".repeat(30), "{2})".repeat(30));
    let empties = "(?:(?:){1000000}){1000000}";
    let wide = r"\w".repeat(100_000);
    let many = "(?:a|b){60000}";
    for pattern in [nested.as_str(), &tower, empties, &wide, many, r"(?:\w{100}){100}", r"[^x]{20000}", "a{4294967295}"]
    {
        let error = PatternSet::new([(pattern, PatternFlags::default())]).expect_err("too large");
        assert!(error.position.is_some(), "{error}");
        assert!(error.to_string().len() < 500, "{error}");
    }
}

/// Patterns that make other engines take exponential time match long texts; this would not end if they did here.
#[test]
fn no_backtracking() {
    let long = "a".repeat(100_000);
    for pattern in ["(a+)+b", "(a|aa)+c", "(?:a*)*d", "(a|a?)+e", "^(([a-z])+.)+[A-Z]$", "(.*)*x", "(?P<n>a*)*f$"] {
        let patterns = set([pattern]);
        assert_eq!(patterns.first(&long), None, "{pattern}");
        assert_eq!(patterns.first(&format!("{}\n", &long[..5_000])), None, "{pattern} with a newline");
        assert_eq!(patterns.first(&format!("{}\u{301}", &long[..5_000])), None, "{pattern} with a mark");
    }
}

/// A literal that occurs over and over does not start a search each time.
#[test]
fn repeated_triggers() {
    let patterns = set(["Linux.*Foo", r"(?:Linux\w*)+;Foo", "^x.*Linux.*Foo", r"Linux[^;]{0,200}Foo\d"]);
    let text = "Linux".repeat(200_000);
    assert_eq!(patterns.all(&text), []);
    let text = format!("{text}Foo1");
    assert_eq!(patterns.all(&text), [PatternId(0), PatternId(3)]);
}

/// Counts too large for the tables still count exactly.
#[test]
fn counts_are_exact() {
    let patterns = set(["ab.{0,40}cd", "^.{0,100}xyz", "q[0-9]{20,30}r", "^.{0,30}(?:lm|no).{17,18}st"]);
    let fill = |before: &str, count: usize, after: &str| format!("{before}{}{after}", "5".repeat(count));
    for (text, expected) in [
        (fill("ab", 40, "cd"), vec![0]),
        (fill("ab", 41, "cd"), vec![]),
        (fill("abcab", 40, "cd"), vec![0]),
        (fill("ab", 41, "cdabcd"), vec![0]),
        (fill("", 100, "xyz"), vec![1]),
        (fill("", 101, "xyz"), vec![]),
        (fill("\n", 5, "xyz"), vec![]),
        (fill("q", 19, "r"), vec![]),
        (fill("q", 20, "r"), vec![2]),
        (fill("q", 30, "r"), vec![2]),
        (fill("q", 31, "r"), vec![]),
        (format!("{}{}", fill("", 30, "lm"), fill("", 18, "st")), vec![3]),
        (format!("{}{}", fill("", 31, "lm"), fill("", 18, "st")), vec![]),
        (format!("{}{}", fill("", 30, "lm"), fill("", 19, "st")), vec![]),
    ] {
        let found: Vec<u32> = patterns.all(&text).iter().map(|id| id.0).collect();
        assert_eq!(found, expected, "{text}");
    }
}

/// Thousands of patterns build and find each its own text, also in other letters than ASCII.
#[test]
fn thousands_of_patterns() {
    let patterns: Vec<String> = (0..5_000).map(|i| format!(r"(?i:gerät)?-name{i:04}[ /](?P<v>\d+)")).collect();
    let patterns = set(patterns.iter().map(String::as_str));
    patterns.validate();
    for i in (0..5_000_u32).step_by(611) {
        assert_eq!(patterns.first(&format!("some -NAME{i:04} -name{i:04}/7")), Some(PatternId(i)));
        assert_eq!(patterns.first(&format!("GERÄT-name{i:04} \u{663}")), Some(PatternId(i)));
    }
    assert_eq!(patterns.first("nothing of the kind"), None);
}
