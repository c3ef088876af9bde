//! Small numbers that cross between parts: one type each, so that none is taken for another.

/// A route's place in the order it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub u32);

impl RouteId {
    /// The place as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A pattern's place in its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PatternId(pub u32);

impl PatternId {
    /// The place as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Nanoseconds since some fixed beginning of the caller's clock.
///
/// 64 bits last 584 years, so sums need no check beyond saturation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The end of time: what "never" compares as.
    pub const NEVER: Self = Self(u64::MAX);

    /// A duration given in seconds; negative and NaN count as zero, too long as never.
    pub fn from_secs(seconds: f64) -> Self {
        // `as` saturates at both ends and maps NaN to zero, which is what is wanted here.
        #[allow(clippy::cast_sign_loss)]
        Self((seconds * 1e9).round() as u64)
    }

    /// The same in seconds.
    pub fn as_secs(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// `self + other`, held at the end of time.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// `self - other`, zero where that would be negative.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}
