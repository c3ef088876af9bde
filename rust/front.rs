//! L1 to L3 in one call: identify, cache, match, admit.
//!
//! The cache comes before the guards because a hit is free; so whose answer it is must be settled first.
//! That is done by *scope*: an answer is filed under the digest of its request combined with the secret
//! digest of whoever may see it, and a lookup combines with the scope of whoever asks. Three scopes:
//!
//! - **own**: the identity, with its tenant and its scopes (what it may see is part of who it is);
//! - **tenant**: all of the tenant who hold the same scopes, for routes that say so;
//! - **public**: everybody, for routes that are declared public, and all routes where there is no key ring.
//!
//! All three are scopes of one set of rules: once a table with other rules is in place, what was filed under
//! the old ones is not found any more.
//!
//! No credential, no private scope: an unknown caller can only be given what was filed as public.

use std::borrow::Cow;
use std::cell::OnceCell;

use parking_lot::Mutex;

use crate::bucket::{Admission, Limiter};
use crate::cache::{Cache, Lookup};
use crate::clock::Clock;
use crate::ids::Nanos;
use crate::key::{self, Digest};
use crate::keyring::{Identity, KeyRing, Marks};
use crate::method::MethodSet;
use crate::path::PathError;
use crate::route::{Access, Share};
use crate::router::{Found, Router};

/// The parts a decision is made of; all but the table may be missing.
#[derive(Debug)]
pub struct Front<'a, T, V, I> {
    /// Where requests go.
    pub router: &'a Router<T>,
    /// What has been answered.
    pub cache: Option<&'a Mutex<Cache<V>>>,
    /// Who may ask.
    pub keys: Option<&'a KeyRing<I>>,
    /// How often.
    pub limiter: Option<&'a Limiter>,
    /// What time it is.
    pub clock: &'a Clock,
}

/// A request, as far as the decision needs it.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The path, as it came.
    pub path: &'a str,
    /// The method.
    pub method: &'a str,
    /// The secret that came with it.
    pub credential: Option<&'a [u8]>,
    /// Whose bucket it draws on, if not the identity's.
    pub client: Option<&'a str>,
    /// What the answer depends on beyond method and path.
    pub vary: Option<Digest>,
}

/// What is to become of a request.
#[derive(Debug)]
pub enum Decision<'a, R> {
    /// This is the answer.
    Hit(R),
    /// It may pass.
    Routed {
        /// Where to.
        found: Found,
        /// The path in the form it was matched in.
        path: Cow<'a, str>,
        /// What to file the answer under, where it may be kept.
        key: Option<Digest>,
        /// The answer past its time.
        stale: Option<R>,
    },
    /// It ends here.
    Refused(Refusal),
}

/// Why a request ends here.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// 400: the path is not acceptable as it stands.
    BadPath(PathError),
    /// 401: no credential came with it.
    NoCredential,
    /// 401: the credential is unknown or has expired.
    BadCredential,
    /// 403: the identity lacks a scope that the route asks for.
    Forbidden,
    /// 404: no route.
    NotFound,
    /// 405: no route under this method, but under these.
    WrongMethod(MethodSet),
    /// 429: not before so long from now; None for never.
    Limited(Option<Nanos>),
}

/// Whoever asks, if they are known.
type Asker<'a> = (&'a Identity, Marks);

impl<T, V, I: AsRef<Identity>> Front<'_, T, V, I> {
    /// Decide one request. `read` takes what is needed of a cached value, `hold` of an identity.
    #[inline]
    pub fn take<'p, R, H: AsRef<Identity>>(
        &self,
        ask: Ask<'p>,
        mut read: impl FnMut(&V) -> R,
        hold: impl FnOnce(&I) -> H,
    ) -> (Decision<'p, R>, Option<H>) {
        let path = match self.router.normalize().apply(ask.path) {
            Ok(path) => path,
            Err(error) => return (Decision::Refused(Refusal::BadPath(error)), None),
        };
        // Read once, and only if something can expire.
        let now = OnceCell::new();
        let now = || *now.get_or_init(|| self.clock.coarse());
        let known = match (self.keys, ask.credential) {
            (Some(keys), Some(secret)) => keys.identify(secret, now, |identity, marks| (hold(identity), *marks)),
            _ => None,
        };
        let (identity, marks) = known.unzip();
        let asker = identity.as_ref().map(AsRef::as_ref).zip(marks);
        let digest = self.cache.and_then(|_| content_digest(&path, &ask));
        let digest =
            digest.map(|digest| self.keys.map_or(digest, |keys| digest.within(self.router.mark()).within(keys.mark())));
        let stale = match (self.cache, digest) {
            (Some(cache), Some(digest)) => match self.look_up(cache, digest, asker, now, &mut read) {
                Lookup::Fresh(value) => return (Decision::Hit(value), identity),
                Lookup::Stale(value) => Some(value),
                Lookup::Miss => None,
            },
            _ => None,
        };
        let decision = match self.guard(&path, &ask, asker) {
            Ok(found) => {
                let key = digest.map(|digest| self.file_under(digest, self.router.access(found.route), asker));
                Decision::Routed { found, path, key, stale }
            }
            Err(refusal) => Decision::Refused(refusal),
        };
        (decision, identity)
    }

    /// Ask the cache in each scope that the caller has and that some route files answers in.
    fn look_up<R>(
        &self,
        cache: &Mutex<Cache<V>>,
        digest: Digest,
        asker: Option<Asker<'_>>,
        now: impl Fn() -> Nanos,
        read: &mut impl FnMut(&V) -> R,
    ) -> Lookup<R> {
        let own = asker.map(|(_, marks)| marks.own);
        let shared = asker.filter(|_| self.router.shares_by_tenant()).map(|(who, _)| who.shared_scope());
        let public = self.keys.is_none() || self.router.has_public();
        let keys = [
            own.map(|scope| digest.within(scope)),
            shared.map(|scope| digest.within(scope)),
            public.then(|| self.public(digest)),
        ];
        // Both declared before the lock, so that whatever is not wanted is dropped after it.
        let mut found = [const { Lookup::Miss }; 3];
        let mut expired = [const { None }; 3];
        let mut cache = cache.lock();
        let mut best = 0;
        for (at, key) in keys.into_iter().enumerate() {
            let Some(key) = key else { continue };
            (found[at], expired[at]) = cache.probe(key, &now, &mut *read);
            match found[at] {
                Lookup::Miss => {}
                Lookup::Stale(_) => best = at,
                Lookup::Fresh(_) => {
                    best = at;
                    break;
                }
            }
        }
        cache.count(&found[best]);
        drop(cache);
        std::mem::replace(&mut found[best], Lookup::Miss)
    }

    /// Match, then check identity, scopes and bucket in this order: what costs least ends a request first.
    fn guard(&self, path: &str, ask: &Ask<'_>, asker: Option<Asker<'_>>) -> Result<Found, Refusal> {
        let method = self.router.methods().query(ask.method);
        let Some(found) = self.router.find(path, method) else {
            let allowed = self.router.allowed(path);
            return Err(if allowed == MethodSet::NONE { Refusal::NotFound } else { Refusal::WrongMethod(allowed) });
        };
        let access = self.router.access(found.route);
        if self.keys.is_some() && !access.public {
            let Some((who, _)) = asker else {
                return Err(if ask.credential.is_none() { Refusal::NoCredential } else { Refusal::BadCredential });
            };
            if !who.has_all(&access.scopes) {
                return Err(Refusal::Forbidden);
            }
        }
        self.admit(access.cost, ask.client, asker).map(|()| found)
    }

    fn admit(&self, cost: f64, client: Option<&str>, asker: Option<Asker<'_>>) -> Result<(), Refusal> {
        let Some(limiter) = self.limiter else { return Ok(()) };
        let bucket = match (client, asker) {
            (Some(client), _) => key::text(client),
            (None, Some((_, marks))) => marks.bucket,
            (None, None) => key::scope(&["bucket of the unnamed"]),
        };
        match limiter.admit(bucket, cost, self.clock.precise()) {
            Admission::Admitted => Ok(()),
            Admission::Wait(wait) => Err(Refusal::Limited(Some(wait))),
            Admission::Never => Err(Refusal::Limited(None)),
        }
    }

    fn file_under(&self, digest: Digest, access: &Access, asker: Option<Asker<'_>>) -> Digest {
        match asker {
            Some((who, _)) if !access.public && access.share == Share::Tenant => digest.within(who.shared_scope()),
            Some((_, marks)) if !access.public => digest.within(marks.own),
            _ => self.public(digest),
        }
    }

    /// The public scope. Without a key ring it is the plain digest, so that `cache.put(path, answer)` files
    /// an answer where it will be found; with one it is not, so that only a public route's answers are.
    fn public(&self, digest: Digest) -> Digest {
        if self.keys.is_none() { digest } else { digest.within(key::public_scope()) }
    }
}

/// The digest of what was asked. `GET` and `HEAD` are told by their path; whatever else may be in the body, so
/// without `vary` there is none and the request is not looked up.
fn content_digest(path: &str, ask: &Ask<'_>) -> Option<Digest> {
    let digest = key::text(path);
    match (ask.method, ask.vary) {
        ("GET", None) => Some(digest),
        ("HEAD", None) => Some(digest.within(key::head_scope())),
        (_, None) => None,
        (method, Some(vary)) => {
            let mut parts = key::Parts::default();
            parts.text(method);
            parts.digest(digest);
            parts.digest(vary);
            Some(parts.finish())
        }
    }
}

impl Refusal {
    /// The HTTP status that says it.
    pub const fn status(&self) -> u16 {
        match self {
            Self::BadPath(_) => 400,
            Self::NoCredential | Self::BadCredential => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::WrongMethod(_) => 405,
            Self::Limited(_) => 429,
        }
    }

    /// The same in words, fit for the caller's eyes.
    pub fn reason(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::BadPath(error) => return Cow::Owned(error.to_string()),
            Self::NoCredential => "this needs a credential",
            Self::BadCredential => "the credential is unknown or has expired",
            Self::Forbidden => "the credential does not allow this",
            Self::NotFound => "there is nothing at this path",
            Self::WrongMethod(_) => "the path exists, but not under this method",
            Self::Limited(Some(_)) => "too many requests; wait and try again",
            Self::Limited(None) => "the request costs more than is ever allowed at once",
        })
    }
}
