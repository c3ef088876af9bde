//! Digests: 128 bits over exactly what an answer depends on, under a key nobody outside this process has.
//!
//! Tables keep the digest in the place of the text: 16 bytes whatever the prompt's length, no second read to
//! compare with, and nothing to read out of a memory dump. By chance two do not meet: at 2^40 entries the
//! odds are below 2^-48. On purpose they are not made to meet either, since the key is drawn when the
//! process starts and no digest is ever shown.
//!
//! Two keyed hashes, because the first costs 5 ns for a path and the second 15:
//!
//! - **XXH3** to 128 bits under a secret of 192 random bytes, for texts of up to 240 bytes: up to that length
//!   every input word meets a secret word in a full multiplication. It is no message authentication code,
//!   and it need not be one: whose entry it is does not rest on it (see `Digest::within`).
//! - **`SipHash`-1-3** to 128 bits for longer texts, structures and scopes; 2-4 for credentials (`keyring.rs`).

use std::hash::Hasher;
use std::sync::OnceLock;

use siphasher::sip128::{Hasher128, SipHasher13};
use xxhash_rust::xxh3::xxh3_128_with_secret;

/// A 128-bit keyed digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest {
    high: u64,
    low: u64,
}

impl Digest {
    /// Well-mixed bits for a hash table.
    #[inline]
    pub const fn hash(self) -> u64 {
        self.low
    }

    /// The digest as bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        (((self.high as u128) << 64) | self.low as u128).to_be_bytes()
    }

    /// The same content seen by someone else: a digest that only the same scope leads to.
    ///
    /// A scope is itself a keyed digest, so to make two scopes meet one would need to know a 128-bit
    /// secret difference. That holds whatever the content is.
    #[must_use]
    pub const fn within(self, scope: Self) -> Self {
        Self { high: self.high ^ scope.high, low: self.low ^ scope.low }
    }

    fn from_halves((high, low): (u64, u64)) -> Self {
        Self { high, low }
    }
}

/// What kind of thing a digest was made of: each kind has a key of its own, so kinds never meet.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
enum Kind {
    Text,
    Bytes,
    Int,
    Parts,
    Scope,
}

/// Up to this length XXH3 is used: beyond it, it reads input in stripes, with half-width multiplications.
const SHORT: usize = 240;

/// Digest a text.
#[inline]
pub fn text(text: &str) -> Digest {
    if text.len() > SHORT {
        return Digest::from_halves(hasher(Kind::Text).hash(text.as_bytes()).as_u64());
    }
    let both = xxh3_128_with_secret(text.as_bytes(), &keys().secret);
    Digest { high: (both >> 64) as u64, low: both as u64 }
}

/// Digest bytes.
#[inline]
pub fn bytes(bytes: &[u8]) -> Digest {
    Digest::from_halves(hasher(Kind::Bytes).hash(bytes).as_u64())
}

/// Digest a number.
#[inline]
pub fn int(int: i64) -> Digest {
    Digest::from_halves(hasher(Kind::Int).hash(&int.to_le_bytes()).as_u64())
}

/// Digest the parts that name a scope.
pub fn scope(parts: &[&str]) -> Digest {
    let mut hasher = *hasher(Kind::Scope);
    for part in parts {
        hasher.write_u64(part.len() as u64);
        hasher.write(part.as_bytes());
    }
    Digest::from_halves(hasher.finish128().as_u64())
}

/// The scope of answers that are everybody's, where there are also some that are not.
pub fn public_scope() -> Digest {
    static SCOPE: OnceLock<Digest> = OnceLock::new();
    *SCOPE.get_or_init(|| scope(&["public"]))
}

/// What tells the answer to `HEAD` from the answer to `GET`.
pub fn head_scope() -> Digest {
    static SCOPE: OnceLock<Digest> = OnceLock::new();
    *SCOPE.get_or_init(|| scope(&["head"]))
}

/// Digests a structure part by part: every part carries its type and length, so no two structures
/// write the same bytes.
#[derive(Clone, Debug)]
pub struct Parts(SipHasher13);

impl Default for Parts {
    fn default() -> Self {
        Self(*hasher(Kind::Parts))
    }
}

impl Parts {
    /// A text.
    pub fn text(&mut self, text: &str) {
        self.sized(b't', text.as_bytes());
    }

    /// Bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.sized(b'b', bytes);
    }

    /// A whole number of any size, as its digits in whichever base the caller always uses.
    pub fn int(&mut self, digits: &str) {
        self.sized(b'i', digits.as_bytes());
    }

    /// A floating-point number; all NaNs are one, and the two zeros are one.
    pub fn float(&mut self, value: f64) {
        let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
        self.sized(b'f', &value.to_bits().to_le_bytes());
    }

    /// A truth value.
    pub fn bool(&mut self, value: bool) {
        self.sized(b'o', &[u8::from(value)]);
    }

    /// Nothing.
    pub fn none(&mut self) {
        self.sized(b'n', &[]);
    }

    /// A sequence of so many parts follows.
    pub fn sequence(&mut self, len: usize) {
        self.sized(b's', &(len as u64).to_le_bytes());
    }

    /// A mapping of so many pairs follows; the caller brings the keys into one order.
    pub fn mapping(&mut self, len: usize) {
        self.sized(b'm', &(len as u64).to_le_bytes());
    }

    /// A part that has been digested before.
    pub fn digest(&mut self, digest: Digest) {
        self.sized(b'd', &digest.to_bytes());
    }

    /// The digest of all parts so far.
    pub fn finish(&self) -> Digest {
        Digest::from_halves(self.0.finish128().as_u64())
    }

    fn sized(&mut self, kind: u8, bytes: &[u8]) {
        self.0.write_u8(kind);
        self.0.write_u64(bytes.len() as u64);
        self.0.write(bytes);
    }
}

/// What every digest of this process is keyed by.
struct Keys {
    secret: [u8; 192],
    hashers: [SipHasher13; 5],
}

#[inline]
fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| Keys {
        secret: random_bytes(),
        hashers: std::array::from_fn(|_| SipHasher13::new_with_key(&random_bytes())),
    })
}

#[inline]
fn hasher(kind: Kind) -> &'static SipHasher13 {
    &keys().hashers[kind as usize]
}

/// A digest of nothing but chance.
pub fn random_mark() -> Digest {
    let [high, low] = [random_bytes(), random_bytes()].map(u64::from_ne_bytes);
    Digest { high, low }
}

/// Bytes from the operating system.
///
/// # Panics
/// When the operating system has no randomness to give; nothing here is safe without.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives no random bytes");
    bytes
}
