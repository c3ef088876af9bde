//! The inputs that benches and instruction counts share: made here, the same on every machine.

use std::sync::Arc;

use fastcascade::bucket::{Limiter, Quota};
use fastcascade::cache::{Cache, Limits};
use fastcascade::clock::Clock;
use fastcascade::eviction::PolicyName;
use fastcascade::front::{Ask, Front};
use fastcascade::ids::Nanos;
use fastcascade::key::{self, Digest};
use fastcascade::keyring::{Identity, KeyRing};
use fastcascade::path::PathPolicy;
use fastcascade::pattern::{PatternFlags, PatternSet};
use fastcascade::route::{Pattern, Route};
use fastcascade::router::{Normalize, Router};
use parking_lot::Mutex;

/// So many different inputs are gone through in turn: enough that no branch predictor learns them by heart.
pub const TURN: usize = 1024;

/// Numbers that look random and are always the same (Marsaglia's xorshift).
pub struct Dice(u64);

impl Dice {
    pub const fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}

/// A path without params for each number.
pub fn static_path(number: usize) -> String {
    format!("/catalog/{}/item-{number}", number.wrapping_mul(7919) % 1000)
}

/// A table of paths without params.
pub fn static_table(routes: usize) -> Router<u32> {
    table((0..routes).map(static_path))
}

/// A table for paths as they come in a request.
pub fn table(routes: impl Iterator<Item = String>) -> Router<u32> {
    let routes = routes.zip(0..).map(|(text, target)| Route::new(Pattern::Text(text), target));
    Router::build(routes, Normalize::Path(PathPolicy::default())).expect("the routes are good")
}

/// Templates as an API has them: collections, members, what belongs to a member, and a tail.
pub fn templates() -> Vec<String> {
    const COLLECTIONS: [&str; 12] = [
        "users",
        "orders",
        "invoices",
        "carts",
        "catalog",
        "customers",
        "shipments",
        "reviews",
        "returns",
        "tickets",
        "teams",
        "hooks",
    ];
    const PARTS: [&str; 8] = ["items", "events", "labels", "comments", "history", "files", "members", "status"];
    let mut templates = vec!["/static/{path...}".to_owned(), "/compare/{base}...{head}".to_owned()];
    for name in COLLECTIONS {
        templates.push(format!("/v1/{name}/{{id}}"));
        for part in PARTS {
            templates.push(format!("/v1/{name}/{{id}}/{part}"));
            templates.push(format!("/v1/{name}/{{id}}/{part}/{{{part}_id}}"));
        }
    }
    templates
}

/// Paths that some of the templates match, with a value for each param.
pub fn paths_of(templates: &[String]) -> Vec<String> {
    let mut dice = Dice::new();
    let mut path = || -> String {
        let template = &templates[dice.below(templates.len())];
        let mut parts = template.split('{');
        let mut path = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let value = format!("v{:x}", dice.below(1 << 30));
            path.push_str(&value);
            path += part.split_once('}').map_or("", |(_, rest)| rest);
        }
        path
    };
    (0..TURN).map(|_| path()).collect()
}

/// A name for each number, as products and bots have them.
fn product(number: usize) -> String {
    const START: [&str; 10] = ["Ar", "Bel", "Cor", "Dun", "Ep", "Fal", "Gor", "Hex", "Iro", "Jun"];
    const MIDDLE: [&str; 10] = ["an", "bo", "ce", "di", "fe", "ga", "lo", "mi", "nu", "ro"];
    const END: [&str; 10] = ["Bot", "Fox", "Kit", "Lab", "Net", "Pad", "Ray", "Tab", "Web", "Zen"];
    format!("{}{}{}", START[number % 10], MIDDLE[number / 10 % 10], END[number / 100 % 10])
}

/// Patterns over user agents, in the shapes such lists have.
pub fn patterns(count: usize) -> PatternSet {
    let pattern = |number: usize| {
        let name = product(number);
        let pattern = match number % 5 {
            0 => format!(r"{name}/(?P<major>[0-9]+)\.(?P<minor>[0-9]+)"),
            1 => format!(r"(?:{name}|{name}Mini)[ /](?P<major>[0-9]+)"),
            2 => format!(r"^Mozilla/5\.0 .*{name}"),
            3 => format!(r"\b{name}-(?P<model>[A-Z][a-z0-9]*);"),
            _ => format!(r"; {name} Build/(?P<build>[0-9a-f]+)"),
        };
        (pattern, PatternFlags::default())
    };
    PatternSet::new((0..count).map(pattern)).expect("the patterns are good")
}

/// User agents, half of which some pattern of a list of that length matches.
pub fn agents(count: usize) -> Vec<String> {
    let mut dice = Dice::new();
    let mut agent = |at: usize| {
        let name = if at.is_multiple_of(2) { product(dice.below(count)) } else { format!("Other{}", dice.below(1000)) };
        let (major, minor) = (dice.below(100), dice.below(1000));
        format!(
            "Mozilla/5.0 (X11; Linux; {name} Build/{minor:x}) {name}-X{major}; {name}/{major}.{minor} Safari/537.36"
        )
    };
    (0..TURN).map(&mut agent).collect()
}

/// A cache of so many places.
pub fn cache(places: usize, policy: PolicyName, ttl: Option<Nanos>) -> Cache<u64> {
    Cache::new(Limits { max_items: places, max_weight: u64::MAX, ttl, stale_for: Nanos(0) }, policy)
}

/// A cache with all its places taken, by the keys 0, 1, 2 and so on.
pub fn full_cache(places: usize, policy: PolicyName, ttl: Option<Nanos>) -> Cache<u64> {
    let mut cache = cache(places, policy, ttl);
    for number in 0..places {
        let _ = cache.put(cache_key(number), number as u64, (None, 1), [], || Nanos(0));
    }
    cache
}

/// The key of a number.
pub fn cache_key(number: usize) -> Digest {
    key::text(&static_path(number))
}

/// A limiter that seldom refuses, and clients it knows.
pub fn limiter(clients: usize) -> (Limiter, Vec<Digest>) {
    let quota = Quota::new(1e6, Nanos(1_000_000_000), 1e6).expect("the quota is good");
    let (limiter, clients) =
        (Limiter::new(quota, clients * 4), (0..clients).map(|client| key::text(&client.to_string())));
    let clients: Vec<Digest> = clients.collect();
    for client in &clients {
        limiter.admit(*client, 1.0, Nanos(1));
    }
    (limiter, clients)
}

/// A ring of so many secrets.
pub fn ring(secrets: usize) -> KeyRing<Arc<Identity>> {
    let ring = KeyRing::default();
    for number in 0..secrets {
        let identity = Arc::new(Identity::new(&format!("user-{number}"), Some("tenant"), ["read"]));
        ring.add(secret(number).as_bytes(), identity, Nanos::NEVER, Nanos(0)).expect("it is new");
    }
    ring
}

/// The secret of a number.
pub fn secret(number: usize) -> String {
    format!("sk-live-{:032x}", (number as u128).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_0C1B_5D2E_8A47))
}

/// All that a decision needs, over one table, with a clock that stands still (reading the real one costs some 7 ns
/// more for each reading, and cannot be counted in instructions).
pub struct World {
    pub router: Router<u32>,
    pub cache: Mutex<Cache<u64>>,
    pub keys: KeyRing<Arc<Identity>>,
    pub limiter: Limiter,
    pub clock: Clock,
    pub secrets: Vec<String>,
}

impl World {
    /// A table of static paths and templates, a thousand secrets and an empty cache.
    pub fn new() -> Self {
        Self {
            router: table((0..1000).map(static_path).chain(templates())),
            cache: Mutex::new(cache(TURN * 2, PolicyName::Lru, Some(Nanos(1 << 40)))),
            keys: ring(1000),
            limiter: limiter(1000).0,
            clock: Clock::Manual(Arc::default()),
            secrets: (0..1000).map(secret).collect(),
        }
    }

    /// The call itself.
    pub fn front(&self) -> Front<'_, u32, u64, Arc<Identity>> {
        Front {
            router: &self.router,
            cache: Some(&self.cache),
            keys: Some(&self.keys),
            limiter: Some(&self.limiter),
            clock: &self.clock,
        }
    }

    /// The request for a path, with the secret that belongs to its number.
    pub fn ask<'a>(&'a self, number: usize, path: &'a str) -> Ask<'a> {
        let credential = Some(self.secrets[number % self.secrets.len()].as_bytes());
        Ask { path, method: "GET", credential, client: None, vary: None }
    }
}
