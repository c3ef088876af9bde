//! Credentials and whose they are.
//!
//! A secret is hashed with `SipHash`-2-4 to 128 bits under a key drawn for this ring, and forgotten; the
//! ring's memory tells nothing that works at another process. The table is probed by a part of that hash,
//! which an outsider can neither compute nor steer, so how far a probe gets tells nothing of the secrets;
//! the rest is compared in constant time.
//!
//! This is a fast keyed hash for long random secrets (API keys, tokens), not a password hash: a password's
//! few bits would not survive it.

use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashTable;
use parking_lot::RwLock;
use siphasher::sip128::SipHasher24;
use subtle::ConstantTimeEq;

use crate::ids::Nanos;
use crate::key::{self, Digest};

/// Who a credential belongs to, and the scopes its cached answers are filed under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    name: Box<str>,
    tenant: Option<Box<str>>,
    scopes: Box<[Box<str>]>,
    marks: Marks,
    shared: Digest,
}

/// What stands for an identity where its name would be too long: in cache keys and buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// The scope of answers that are its alone.
    pub own: Digest,
    /// The bucket it draws on when no client is named.
    pub bucket: Digest,
}

impl Identity {
    /// An identity; its scopes are sorted and counted once each.
    pub fn new(name: &str, tenant: Option<&str>, scopes: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut scopes: Vec<Box<str>> = scopes.into_iter().map(|scope| scope.as_ref().into()).collect();
        scopes.sort_unstable();
        scopes.dedup();
        // What may be shared depends on what one may see: the scopes are part of both. Someone of the same name
        // at another tenant, or at none, is someone else.
        let (has_tenant, of) = tenant.map_or(("0", ""), |tenant| ("1", tenant));
        let who = [has_tenant, of, name];
        let seeing = |parts: &[&str]| {
            let parts: Vec<&str> = parts.iter().copied().chain(scopes.iter().map(AsRef::as_ref)).collect();
            key::scope(&parts)
        };
        let own = seeing(&["identity", who[0], who[1], who[2]]);
        let shared = tenant.map_or(own, |tenant| seeing(&["tenant", tenant]));
        let bucket = key::scope(&["bucket", who[0], who[1], who[2]]);
        Self {
            name: name.into(),
            tenant: tenant.map(Into::into),
            scopes: scopes.into(),
            marks: Marks { own, bucket },
            shared,
        }
    }

    /// The name it was added under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tenant, where there is one.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// What it may do, in order.
    pub fn scopes(&self) -> &[Box<str>] {
        &self.scopes
    }

    /// The scope of answers shared by those of its tenant who hold the same scopes; without a tenant its own.
    pub const fn shared_scope(&self) -> Digest {
        self.shared
    }

    /// Whether it has every one of these scopes.
    pub fn has_all(&self, needed: &[Box<str>]) -> bool {
        needed.iter().all(|scope| self.scopes.binary_search(scope).is_ok())
    }
}

/// Why a secret cannot be put on the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyringError {
    /// The secret is empty.
    Empty,
    /// The secret is on the ring already.
    Known,
    /// The secret to be replaced is not on the ring, or has expired.
    Unknown,
}

/// With a pointer for a holder, one line of the processor's cache.
#[derive(Debug)]
#[repr(align(64))]
struct Entry<I> {
    tag: [u8; 16],
    expires: Nanos,
    identity: I,
    /// The identity's, at hand: reading them there would be one more memory access to wait for.
    marks: Marks,
}

/// The ring, over whatever holds an identity (an `Arc<Identity>`, a Python object).
///
/// Reading takes a shared lock of some five nanoseconds; nothing is done while holding it but a probe.
pub struct KeyRing<I> {
    hasher: SipHasher24,
    entries: RwLock<HashTable<Entry<I>>>,
    /// Tells what is filed for this ring's identities from what is filed for another's of the same names.
    mark: Digest,
    /// Whether any secret was ever given an end; while none was, no clock need be read.
    any_expires: AtomicBool,
}

impl<I> std::fmt::Debug for KeyRing<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing").field("len", &self.entries.read().len()).finish_non_exhaustive()
    }
}

impl<I> Default for KeyRing<I> {
    fn default() -> Self {
        Self {
            hasher: SipHasher24::new_with_key(&key::random_bytes()),
            entries: RwLock::default(),
            mark: key::random_mark(),
            any_expires: AtomicBool::new(false),
        }
    }
}

impl<I: AsRef<Identity>> KeyRing<I> {
    /// Put a secret on the ring.
    ///
    /// # Errors
    /// When it is empty or on the ring already (one that has expired makes way).
    pub fn add(&self, secret: &[u8], identity: I, expires: Nanos, now: Nanos) -> Result<(), KeyringError> {
        let mut gone = Vec::new();
        self.put(&mut self.entries.write(), secret, identity, expires, now, &mut gone)
    }

    /// Put a secret into the table; who has to go is handed out, to be dropped after the lock.
    fn put(
        &self,
        entries: &mut HashTable<Entry<I>>,
        secret: &[u8],
        identity: I,
        expires: Nanos,
        now: Nanos,
        gone: &mut Vec<Entry<I>>,
    ) -> Result<(), KeyringError> {
        if secret.is_empty() {
            return Err(KeyringError::Empty);
        }
        let (tag, marks) = (self.tag(secret), identity.as_ref().marks);
        if expires != Nanos::NEVER {
            self.any_expires.store(true, Ordering::Relaxed);
        }
        match entries.find_entry(probe(&tag), |entry| same(&entry.tag, &tag)) {
            Ok(found) if found.get().expires > now => return Err(KeyringError::Known),
            Ok(found) => gone.push(found.remove().0),
            Err(_) => {}
        }
        if entries.len() == entries.capacity() {
            // Before the table grows: its expired secrets are of no use to anyone.
            gone.extend(entries.extract_if(|entry| entry.expires <= now));
        }
        entries.insert_unique(probe(&tag), Entry { tag, expires, identity, marks }, |entry| probe(&entry.tag));
        Ok(())
    }

    /// Tells what is filed for this ring's identities from what is filed for another's.
    pub const fn mark(&self) -> Digest {
        self.mark
    }

    /// Whose secret it is: what `read` makes of the identity and its marks.
    ///
    /// `now` is only called when some secret expires at all.
    #[inline]
    pub fn identify<R>(
        &self,
        secret: &[u8],
        now: impl FnOnce() -> Nanos,
        read: impl FnOnce(&I, &Marks) -> R,
    ) -> Option<R> {
        let tag = self.tag(secret);
        let entries = self.entries.read();
        let entry = entries.find(probe(&tag), |entry| same(&entry.tag, &tag))?;
        let live = !self.any_expires.load(Ordering::Relaxed) || entry.expires > now();
        live.then(|| read(&entry.identity, &entry.marks))
    }

    /// Give the old secret's identity a new one that ends when the old would have; the old works until
    /// `old_expires`, or its own end if that is sooner. `copy` makes the second holder of the identity.
    ///
    /// # Errors
    /// When the old is unknown or the new cannot be added; the ring is then as it was.
    pub fn rotate(
        &self,
        old: &[u8],
        new: &[u8],
        old_expires: Nanos,
        now: Nanos,
        copy: impl FnOnce(&I) -> I,
    ) -> Result<(), KeyringError> {
        let tag = self.tag(old);
        let mut gone = Vec::new();
        // One lock for all of it: whoever is revoked meanwhile must not come back under the new secret.
        let mut entries = self.entries.write();
        let live = entries.find(probe(&tag), |entry| same(&entry.tag, &tag)).filter(|entry| entry.expires > now);
        let (identity, expires) =
            live.map(|entry| (copy(&entry.identity), entry.expires)).ok_or(KeyringError::Unknown)?;
        self.put(&mut entries, new, identity, expires, now, &mut gone)?;
        if let Some(entry) = entries.find_mut(probe(&tag), |entry| same(&entry.tag, &tag)) {
            entry.expires = entry.expires.min(old_expires);
            self.any_expires.store(true, Ordering::Relaxed);
        }
        drop(entries);
        drop(gone);
        Ok(())
    }

    /// Do something with every identity: for an owner whose holders are traversed.
    pub fn for_each(&self, visit: impl FnMut(&I)) {
        self.entries.read().iter().map(|entry| &entry.identity).for_each(visit);
    }

    /// Forget a secret; whether it worked until now.
    pub fn remove(&self, secret: &[u8], now: Nanos) -> bool {
        let tag = self.tag(secret);
        let found = match self.entries.write().find_entry(probe(&tag), |entry| same(&entry.tag, &tag)) {
            Ok(found) => Some(found.remove().0),
            Err(_) => None,
        };
        found.is_some_and(|entry| entry.expires > now)
    }

    /// Forget every secret of an identity, at whatever tenant; how many worked until now.
    pub fn revoke(&self, name: &str, now: Nanos) -> usize {
        let gone: Vec<_> = self.entries.write().extract_if(|entry| entry.identity.as_ref().name() == name).collect();
        gone.iter().filter(|entry| entry.expires > now).count()
    }

    /// How many secrets, expired ones included that have not been forgotten yet.
    pub fn len(&self) -> usize {
        self.entries.read().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn tag(&self, secret: &[u8]) -> [u8; 16] {
        self.hasher.hash(secret).as_bytes()
    }
}

/// What the table is probed by: eight of the tag's sixteen bytes.
fn probe(tag: &[u8; 16]) -> u64 {
    tag.first_chunk().copied().map_or(0, u64::from_le_bytes)
}

/// Whether two tags are equal, found out in constant time: as two words, since sixteen guarded bytes take 190
/// instructions.
fn same(a: &[u8; 16], b: &[u8; 16]) -> bool {
    (u128::from_ne_bytes(*a) ^ u128::from_ne_bytes(*b)).ct_eq(&0).into()
}
