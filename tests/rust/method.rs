//! Methods as bits.

use fastcascade::method::{MethodError, MethodSet, Methods};

/// The usual methods and those a table names each have a bit of their own; any other asks for routes open to all.
#[test]
fn each_method_has_its_bit() {
    let mut methods = Methods::default();
    let own = ["PURGE", "M-SEARCH", "X2"];
    let usual = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"];
    let sets: Vec<MethodSet> =
        usual.iter().chain(&own).map(|name| methods.name(name).expect("it is a method")).collect();
    for (at, (name, set)) in usual.iter().chain(&own).zip(&sets).enumerate() {
        assert_eq!(methods.query(name), *set, "{name}");
        assert_eq!(methods.names(*set), [*name]);
        assert!(sets.iter().enumerate().all(|(other, set)| sets[at].meets(*set) == (other == at)), "{name}");
        assert!(set.meets(MethodSet::ANY) && !set.meets(MethodSet::NONE), "{name}");
    }
    assert_eq!((sets[0], sets[1]), (MethodSet::GET, MethodSet::HEAD));
    for unknown in ["BREW", "get", "", "*", "GET "] {
        let query = methods.query(unknown);
        assert!(query.meets(MethodSet::ANY), "{unknown:?}");
        assert!(!sets.iter().any(|set| set.meets(query)), "{unknown:?}");
    }
}

/// What is no upper-case token is refused; so is the 23rd method of one's own, and only that.
#[test]
fn bad_methods_are_refused() {
    let mut methods = Methods::default();
    for bad in ["", "*", "get", "Get", "GET ", "A/B", "A,B", "É", "A\0"] {
        assert_eq!(methods.name(bad), Err(MethodError::NotAToken), "{bad:?}");
    }
    for own in 0..22 {
        methods.name(&format!("OWN{own}")).expect("there is room for 22");
    }
    assert_eq!(methods.name("OWN22"), Err(MethodError::TooMany));
    for known in ["OWN0", "OWN21", "GET", "TRACE"] {
        assert_eq!(methods.names(methods.query(known)), [known], "what is known needs no room");
        assert!(methods.name(known).is_ok(), "{known}");
    }
}

/// A set names its methods in one order, and all methods are a star.
#[test]
fn sets_have_names() {
    let mut methods = Methods::default();
    let purge = methods.name("PURGE").expect("it is a method");
    let set = purge.union(MethodSet::HEAD).union(MethodSet::GET);
    assert_eq!(methods.names(set), ["GET", "HEAD", "PURGE"]);
    assert_eq!(methods.names(MethodSet::ANY), ["*"]);
    assert!(methods.names(MethodSet::NONE).is_empty());
}
