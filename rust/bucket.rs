//! A token bucket per client, as one number a client: the moment at which its bucket will be full again.
//!
//! This is the generic cell rate algorithm. A bucket that is full says nothing (its moment lies in the
//! past), so a client whose bucket has filled up can be forgotten without anybody noticing, and memory
//! follows the clients that are short of tokens now, not those ever seen. Sums are integer nanoseconds.

use hashbrown::HashTable;
use parking_lot::Mutex;

use crate::ids::Nanos;
use crate::key::Digest;

/// What a client is allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quota {
    /// Nanoseconds in which one token comes back.
    per_token: f64,
    burst: f64,
    /// How long an empty bucket takes to fill.
    depth: Nanos,
}

/// Why these numbers are no quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaError {
    /// The number per period is not above zero, or not finite.
    Amount,
    /// The period is not above zero, or not finite.
    Period,
    /// The burst is not above zero, or not finite.
    Burst,
    /// A full bucket would take longer than 146 years to fill.
    TooSlow,
}

impl Quota {
    /// `amount` tokens each `period`, at most `burst` at once.
    ///
    /// # Errors
    /// When a number is not finite and above zero, or the bucket would fill too slowly to be counted.
    #[allow(clippy::cast_sign_loss)] // all three have been found positive
    pub fn new(amount: f64, period: Nanos, burst: f64) -> Result<Self, QuotaError> {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        if !positive(amount) {
            return Err(QuotaError::Amount);
        }
        if period.0 == 0 || period == Nanos::NEVER {
            return Err(QuotaError::Period);
        }
        if !positive(burst) {
            return Err(QuotaError::Burst);
        }
        let per_token = period.0 as f64 / amount;
        if per_token * burst > (u64::MAX / 4) as f64 {
            return Err(QuotaError::TooSlow);
        }
        Ok(Self { per_token, burst, depth: Nanos((per_token * burst) as u64) })
    }

    /// The most that can be taken at once.
    pub const fn burst(&self) -> f64 {
        self.burst
    }

    /// How long it takes for so many tokens to come back; nothing for fewer than none. Rounded down, so that the
    /// tokens of a burst taken one by one never cost more than the burst.
    #[allow(clippy::cast_sign_loss)] // the cast takes what is negative, or no number, for zero
    fn time_for(&self, tokens: f64) -> Nanos {
        Nanos((tokens * self.per_token) as u64)
    }

    /// Whether a bucket that will be full at this moment has less than one token (or less than it can hold).
    fn is_out(&self, full_at: Nanos, now: Nanos) -> bool {
        full_at.plus(self.time_for(self.burst.min(1.0))) > now.plus(self.depth)
    }
}

/// Whether a request may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may, and its cost has been taken.
    Admitted,
    /// Not before so long from now; nothing has been taken.
    Wait(Nanos),
    /// Never: the cost is more than a full bucket holds.
    Never,
}

/// Clients are spread over this many tables, so that two threads seldom want the same lock, and the pause in
/// which a full table forgets its idle clients is a sixteenth as long.
const SHARDS: usize = 16;

/// Below so many clients one table will do.
const WORTH_SHARDING: usize = 1024;

/// A table of up to so many buckets is never made smaller: growing it again would cost more than it frees.
const SMALL: usize = 224;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    client: Digest,
    /// When the bucket will be full.
    full_at: Nanos,
}

/// A bucket for every client.
#[derive(Debug)]
pub struct Limiter {
    quota: Quota,
    shards: Box<[Mutex<Shard>]>,
    max_per_shard: usize,
}

#[derive(Debug, Default)]
struct Shard {
    buckets: HashTable<Bucket>,
    /// While nearly every client of a full table is out of tokens, nobody new comes in before this moment.
    closed_until: Nanos,
}

impl Limiter {
    /// Empty tables that will hold `max_clients` at most.
    ///
    /// When that many are short of tokens at once, those nearest to full make room for new ones; while nearly
    /// all of them are being refused, new ones are refused as well. One that is out of tokens (has less than one)
    /// is never forgotten.
    pub fn new(quota: Quota, max_clients: usize) -> Self {
        let shards = if max_clients < WORTH_SHARDING { 1 } else { SHARDS };
        let all = std::iter::repeat_with(Mutex::default).take(shards).collect();
        Self { quota, shards: all, max_per_shard: (max_clients / shards).max(1) }
    }

    /// The quota every client has.
    pub const fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Take `cost` from a client's bucket, or say how long until it could be.
    ///
    /// A cost that is zero, negative or NaN takes nothing.
    pub fn admit(&self, client: Digest, cost: f64, now: Nanos) -> Admission {
        if cost > self.quota.burst {
            return Admission::Never;
        }
        let price = self.quota.time_for(cost);
        let mut shard = self.shard(client).lock();
        if let Some(bucket) = shard.find(client) {
            let full_at = bucket.full_at.max(now).plus(price);
            let wait = full_at.minus(now.plus(self.quota.depth));
            if wait > Nanos(0) {
                return Admission::Wait(wait);
            }
            bucket.full_at = full_at;
        } else if price > Nanos(0) {
            if let Err(wait) = shard.make_room(&self.quota, self.max_per_shard, now) {
                return Admission::Wait(wait);
            }
            shard.insert(Bucket { client, full_at: now.plus(price) });
        }
        Admission::Admitted
    }

    /// Correct an admission once the true cost is known. Taking more may leave the bucket in debt.
    pub fn settle(&self, client: Digest, reserved: f64, used: f64, now: Nanos) {
        let (was, is) = (self.quota.time_for(reserved), self.quota.time_for(used));
        let mut shard = self.shard(client).lock();
        if let Some(bucket) = shard.find(client) {
            bucket.full_at = bucket.full_at.max(now).plus(is).minus(was);
        } else if is > was && shard.make_room(&self.quota, self.max_per_shard, now).is_ok() {
            shard.insert(Bucket { client, full_at: now.plus(is.minus(was)) });
        }
    }

    /// Tokens a client has now; negative while in debt.
    pub fn available(&self, client: Digest, now: Nanos) -> f64 {
        let missing = self.shard(client).lock().find(client).map_or(Nanos(0), |bucket| bucket.full_at.minus(now));
        self.quota.burst - missing.0 as f64 / self.quota.per_token
    }

    /// Clients remembered: those whose bucket is not full, and idle ones that no newcomer has displaced yet.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().buckets.len()).sum()
    }

    /// Whether no client is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().buckets.allocation_size()).sum()
    }

    /// Check what must hold: no shard is over its bound, and every bucket is found where it lies.
    ///
    /// # Panics
    /// When it does not.
    pub fn validate(&self) {
        for (index, shard) in self.shards.iter().enumerate() {
            let mut shard = shard.lock();
            assert!(shard.buckets.len() <= self.max_per_shard, "a shard holds more clients than it may");
            let clients: Vec<_> = shard.buckets.iter().map(|bucket| bucket.client).collect();
            for client in clients {
                assert_eq!(self.shard_of(client), index, "a client lies in another's shard");
                assert!(shard.find(client).is_some(), "a client is remembered but is not found");
            }
        }
    }

    fn shard(&self, client: Digest) -> &Mutex<Shard> {
        &self.shards[self.shard_of(client)]
    }

    /// The table within a shard uses the top and the bottom bits of the hash, so the shard is picked by others.
    const fn shard_of(&self, client: Digest) -> usize {
        (client.hash() >> 40) as usize % self.shards.len()
    }
}

impl Shard {
    fn find(&mut self, client: Digest) -> Option<&mut Bucket> {
        self.buckets.find_mut(client.hash(), |bucket| bucket.client == client)
    }

    fn insert(&mut self, bucket: Bucket) {
        self.buckets.insert_unique(bucket.client.hash(), bucket, |bucket| bucket.client.hash());
    }

    /// Make sure that one more client fits, or say how long it has to wait.
    ///
    /// Before the table would grow, whoever's bucket is full is forgotten: growing walks the table anyway,
    /// so this costs a constant share of the inserts since.
    fn make_room(&mut self, quota: &Quota, most: usize, now: Nanos) -> Result<(), Nanos> {
        if self.buckets.len() < self.buckets.capacity().min(most) {
            return Ok(());
        }
        if now < self.closed_until {
            return Err(self.closed_until.minus(now));
        }
        self.buckets.retain(|bucket| bucket.full_at > now);
        if self.buckets.len() * 16 > most * 15 {
            self.displace(quota, now);
        } else if self.buckets.len() * 8 > self.buckets.capacity() * 7 {
            // So few were idle that the next newcomers would have to walk again: grow at once.
            let more = self.buckets.capacity() + 1 - self.buckets.len();
            self.buckets.reserve(more, |bucket| bucket.client.hash());
        }
        if self.buckets.capacity() > SMALL && self.buckets.len() * 4 < self.buckets.capacity() {
            self.buckets.shrink_to(SMALL.max(self.buckets.len() * 2), |bucket| bucket.client.hash());
        }
        if self.buckets.len() < most { Ok(()) } else { Err(self.closed_until.minus(now)) }
    }

    /// At the bound, forget the sixteenth that is nearest to full, so that the walk is paid for by as many
    /// newcomers; of these nobody who is out of tokens. If that leaves fewer, close until a sixteenth has some.
    fn displace(&mut self, quota: &Quota, now: Nanos) {
        let mut moments: Vec<Nanos> = self.buckets.iter().map(|bucket| bucket.full_at).collect();
        let nearest = moments.len() / 16;
        let (_, &mut limit, _) = moments.select_nth_unstable(nearest);
        self.buckets.retain(|bucket| bucket.full_at > limit || quota.is_out(bucket.full_at, now));
        if moments.len() - self.buckets.len() < nearest.max(1) {
            let token = quota.time_for(quota.burst.min(1.0));
            self.closed_until = limit.plus(token).minus(quota.depth).max(now.plus(Nanos(1)));
        }
    }
}
