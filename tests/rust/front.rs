//! The four steps in one call: that a hit never crosses identities, and each way a request can end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fastcascade::bucket::{Limiter, Quota};
use fastcascade::cache::{Cache, Limits};
use fastcascade::clock::Clock;
use fastcascade::eviction::PolicyName;
use fastcascade::front::{Ask, Decision, Front, Refusal};
use fastcascade::ids::Nanos;
use fastcascade::key;
use fastcascade::keyring::{Identity, KeyRing};
use fastcascade::path::PathPolicy;
use fastcascade::route::{Access, Pattern, Route, Share};
use fastcascade::router::{By, Normalize, Router};
use parking_lot::Mutex;
use proptest::prelude::*;

use crate::cases;

type Holder = Arc<Identity>;

fn route(text: &str, public: bool, share: Share, scopes: &[&str]) -> Route<()> {
    let scopes = scopes.iter().map(|scope| Box::from(*scope)).collect();
    Route { access: Access { public, share, scopes, cost: 1.0 }, ..Route::new(Pattern::Text(text.to_owned()), ()) }
}

fn cache<V>() -> Mutex<Cache<V>> {
    let limits = Limits { max_items: 1000, max_weight: u64::MAX, ttl: Some(Nanos(100)), stale_for: Nanos(50) };
    Mutex::new(Cache::new(limits, PolicyName::Lru))
}

fn table(routes: Vec<Route<()>>) -> Router<()> {
    Router::build(routes, Normalize::Path(PathPolicy::default())).expect("the routes are good")
}

fn ask<'a>(method: &'a str, path: &'a str, credential: Option<&'a str>) -> Ask<'a> {
    Ask { path, method, credential: credential.map(str::as_bytes), client: None, vary: None }
}

/// A decision in one word, or the value of a hit.
fn shown(decision: &Decision<'_, String>) -> String {
    match decision {
        Decision::Hit(value) => format!("hit {value}"),
        Decision::Routed { stale: Some(value), .. } => format!("routed, stale {value}"),
        Decision::Routed { key: None, .. } => "routed, not kept".to_owned(),
        Decision::Routed { .. } => "routed".to_owned(),
        Decision::Refused(refusal) => refusal.status().to_string(),
    }
}

/// Everything about a request that its answer may depend on.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    who: Option<usize>,
    path: &'static str,
    method: &'static str,
    vary: Option<u8>,
}

fn asked(people: usize) -> impl Strategy<Value = Asked> {
    let path =
        prop::sample::select(vec!["/own", "/team", "/open", "/own/1", "/team/1", "/open/1", "/team/2", "/%6fwn"]);
    let method = prop::sample::select(vec!["GET", "GET", "GET", "HEAD", "POST"]);
    (prop::option::weighted(0.9, 0..people), path, method, prop::option::weighted(0.3, 0..2u8))
        .prop_map(|(who, path, method, vary)| Asked { who, path, method, vary })
}

fn person() -> impl Strategy<Value = Identity> {
    let tenant = prop::option::of(prop::sample::select(vec!["", "t", "u", "a"]));
    let scopes = prop::collection::vec(prop::sample::select(vec!["read", "write"]), 0..3);
    (prop::sample::select(vec!["a", "b", "t"]), tenant, scopes)
        .prop_map(|(name, tenant, scopes)| Identity::new(name, tenant, scopes))
}

/// Whether an answer that was made for one may be given to the other, by the rules alone.
fn may_share(people: &[Identity], made_for: Option<usize>, given_to: Option<usize>, path: &str) -> bool {
    if path.starts_with("/open") {
        return true;
    }
    let (Some(a), Some(b)) = (made_for.map(|who| &people[who]), given_to.map(|who| &people[who])) else { return false };
    let same_tenant = path.starts_with("/team") && a.tenant().is_some();
    a.tenant() == b.tenant() && a.scopes() == b.scopes() && (same_tenant || a.name() == b.name())
}

proptest! {
    #![proptest_config(cases(600))]

    /// An answer is given out only for the request it was made for and to those who may see it, and it is given to them.
    #[test]
    fn a_hit_never_crosses_identities(
        people in prop::collection::vec(person(), 1..7),
        requests in prop::collection::vec(asked(6), 1..60),
    ) {
        let router = table(vec![
            route("/own", false, Share::Identity, &[]),
            route("/own/{x}", false, Share::Identity, &["read"]),
            route("/team", false, Share::Tenant, &[]),
            route("/team/{x}", false, Share::Tenant, &["write"]),
            route("/open", true, Share::Identity, &[]),
            route("/open/{x}", true, Share::Tenant, &["read"]),
        ]);
        let (cache, keys, clock) = (cache::<Asked>(), KeyRing::<Holder>::default(), Clock::Manual(Arc::default()));
        for (at, person) in people.iter().enumerate() {
            keys.add(at.to_string().as_bytes(), Arc::new(person.clone()), Nanos::NEVER, Nanos(0)).expect("it is new");
        }
        let front = Front { router: &router, cache: Some(&cache), keys: Some(&keys), limiter: None, clock: &clock };
        let mut answered: Vec<Asked> = Vec::new();
        for request in requests {
            let who = request.who.filter(|who| *who < people.len());
            let secret = request.who.map(|who| who.to_string());
            let vary = request.vary.map(|vary| key::int(i64::from(vary)));
            let ask = Ask { vary, ..ask(request.method, request.path, secret.as_deref()) };
            let (decision, holder) = front.take(ask, Asked::clone, Arc::clone);
            prop_assert_eq!(holder.as_deref(), who.map(|who| &people[who]));
            let path = if request.path == "/%6fwn" { "/own" } else { request.path };
            let same = Asked { who, path, ..request };
            let fits = |made: &Asked| Asked { who, ..made.clone() } == same && may_share(&people, made.who, who, path);
            match decision {
                Decision::Hit(made) => prop_assert!(fits(&made), "{:?} was given to {:?}", made, same),
                Decision::Routed { key, .. } => {
                    prop_assert!(!answered.iter().any(fits), "{:?} has been answered", same);
                    prop_assert_eq!(key.is_some(), request.method != "POST" || request.vary.is_some());
                    if let Some(key) = key {
                        let _ = cache.lock().put(key, same.clone(), (None, 1), [], || Nanos(0));
                        answered.push(same);
                    }
                }
                Decision::Refused(refusal) => {
                    let scope = match path {
                        "/own/1" => Some("read"),
                        "/team/1" | "/team/2" => Some("write"),
                        _ => None,
                    };
                    let lacks = |who: usize| scope.is_some_and(|scope| !people[who].scopes().iter().any(|own| &**own == scope));
                    let expected = match (who, request.who) {
                        (Some(who), _) => lacks(who).then_some(Refusal::Forbidden),
                        (None, Some(_)) => Some(Refusal::BadCredential),
                        (None, None) => Some(Refusal::NoCredential),
                    };
                    prop_assert!(!path.starts_with("/open"), "{:?}", same);
                    prop_assert_eq!(Some(refusal), expected, "{:?}", same);
                }
            }
        }
    }
}

/// Each request ends as listed: what costs least to find out ends it first.
#[test]
fn requests_end_as_they_should() {
    let router = table(vec![
        route("GET /open", true, Share::Identity, &[]),
        route("GET /own", false, Share::Identity, &[]),
        route("POST /admin/{x}", false, Share::Identity, &["admin"]),
    ]);
    let (cache, keys, clock) =
        (cache::<String>(), KeyRing::<Holder>::default(), Clock::Manual(Arc::new(AtomicU64::new(10))));
    let add = |secret: &str, scopes: &[&str], end| {
        keys.add(secret.as_bytes(), Arc::new(Identity::new(secret, None, scopes)), end, Nanos(0)).expect("it is new");
    };
    add("ann", &[], Nanos::NEVER);
    add("root", &["admin"], Nanos::NEVER);
    add("old", &[], Nanos(10));
    let front = Front { router: &router, cache: Some(&cache), keys: Some(&keys), limiter: None, clock: &clock };
    let cases = [
        ("GET", "/open", None, "routed"),
        ("HEAD", "/open", Some("nobody"), "routed"),
        ("GET", "/own", Some("ann"), "routed"),
        ("GET", "/own", None, "401"),
        ("GET", "/own", Some("nobody"), "401"),
        ("GET", "/own", Some("old"), "401"),
        ("GET", "/own", Some(""), "401"),
        ("POST", "/own", None, "405"),
        ("GET", "/admin/1", Some("ann"), "405"),
        ("POST", "/admin/1", Some("ann"), "403"),
        ("POST", "/admin/1", Some("root"), "routed, not kept"),
        ("GET", "/none", None, "404"),
        ("GET", "/a%2fb", None, "400"),
        ("GET", "none", Some("ann"), "400"),
    ];
    for (method, path, credential, expected) in cases {
        let (decision, _) = front.take(ask(method, path, credential), String::clone, Arc::clone);
        assert_eq!(shown(&decision), expected, "{method} {path} by {credential:?}");
        if let Decision::Refused(refusal) = decision {
            assert!(!refusal.reason().is_empty());
        }
    }
}

/// An answer is fresh, then stale beside the route, then gone; one under `HEAD` is another than that under `GET`.
#[test]
fn answers_age() {
    let router = table(vec![route("/a", false, Share::Identity, &[])]);
    let time = Arc::new(AtomicU64::new(1000));
    let (cache, clock) = (cache::<String>(), Clock::Manual(Arc::clone(&time)));
    let front: Front<'_, (), String, Holder> =
        Front { router: &router, cache: Some(&cache), keys: None, limiter: None, clock: &clock };
    let take = |method, path| shown(&front.take(ask(method, path, None), String::clone, Arc::clone).0);
    assert_eq!(take("GET", "/a"), "routed");
    // Without a key ring an answer is filed under the digest of its path.
    let _ = cache.lock().put(key::text("/a"), "answer".to_owned(), (None, 1), [], || Nanos(1000));
    for (now, get, head) in
        [(1099, "hit answer", "routed"), (1100, "routed, stale answer", "routed"), (1150, "routed", "routed")]
    {
        time.store(now, Ordering::Relaxed);
        assert_eq!((take("GET", "/./a").as_str(), take("HEAD", "/a").as_str()), (get, head), "at {now}");
    }
    let counters = cache.lock().counters();
    assert_eq!((counters.hits, counters.stale, counters.misses, counters.expirations), (1, 1, 5, 1));
}

/// A bucket is the named client's, else the identity's, else everybody's; a hit takes nothing, a refusal says how long.
#[test]
fn buckets_are_whose_they_should_be() {
    let router = table(vec![route("/a", true, Share::Identity, &[]), route("/b", true, Share::Identity, &[])]);
    let (cache, keys, clock) =
        (cache::<String>(), KeyRing::<Holder>::default(), Clock::Manual(Arc::new(AtomicU64::new(7))));
    for name in ["ann", "bob"] {
        keys.add(name.as_bytes(), Arc::new(Identity::new(name, None, [""; 0])), Nanos::NEVER, Nanos(0))
            .expect("it is new");
    }
    let limiter = Limiter::new(Quota::new(1.0, Nanos(1000), 1.0).expect("the quota is good"), 100);
    let front =
        Front { router: &router, cache: Some(&cache), keys: Some(&keys), limiter: Some(&limiter), clock: &clock };
    let take = |path, credential, client| {
        let ask = Ask { client, ..ask("GET", path, credential) };
        front.take(ask, String::clone, Arc::clone).0
    };
    for (credential, client) in
        [(None, None), (Some("ann"), None), (Some("bob"), None), (Some("ann"), Some("x")), (None, Some("y"))]
    {
        let Decision::Routed { found, key: Some(key), .. } = take("/a", credential, client) else {
            panic!("{credential:?} {client:?}")
        };
        assert_eq!((found.by, found.spans.len()), (By::Exact, 0));
        let Decision::Refused(refusal) = take("/b", credential, client) else { panic!("{credential:?} {client:?}") };
        assert_eq!(refusal, Refusal::Limited(Some(Nanos(1000))));
        let _ = cache.lock().put(key, String::new(), (None, 1), [], || Nanos(7));
        assert!(matches!(take("/a", credential, client), Decision::Hit(_)), "a hit is free");
        cache.lock().clear();
    }
    assert!(
        matches!(take("/b", Some("nobody"), None), Decision::Refused(Refusal::Limited(Some(_)))),
        "the unnamed share one"
    );
}
