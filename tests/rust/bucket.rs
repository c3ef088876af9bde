//! The limiter beside the same rule in whole numbers.

use fastcascade::bucket::{Admission, Limiter, Quota, QuotaError};
use fastcascade::ids::Nanos;
use fastcascade::key::{self, Digest};
use proptest::prelude::*;

use crate::cases;
use crate::oracles::Rate;

const SECOND: u64 = 1_000_000_000;
const PLENTY: usize = 100_000;

fn client(number: u64) -> Digest {
    key::int(number as i64)
}

fn quota(amount: f64, burst: f64) -> Quota {
    Quota::new(amount, Nanos(SECOND), burst).expect("the quota is good")
}

/// Numbers that make no quota are refused by kind.
#[test]
fn bad_quotas_are_refused() {
    let cases = [
        (0.0, SECOND, 1.0, QuotaError::Amount),
        (-1.0, SECOND, 1.0, QuotaError::Amount),
        (f64::NAN, SECOND, 1.0, QuotaError::Amount),
        (f64::INFINITY, SECOND, 1.0, QuotaError::Amount),
        (1.0, 0, 1.0, QuotaError::Period),
        (1.0, u64::MAX, 1.0, QuotaError::Period),
        (1.0, SECOND, 0.0, QuotaError::Burst),
        (1.0, SECOND, f64::NAN, QuotaError::Burst),
        (1.0, SECOND, f64::INFINITY, QuotaError::Burst),
        (1e-9, SECOND, 1e6, QuotaError::TooSlow),
        (1.0, u64::MAX / 2, 1e3, QuotaError::TooSlow),
    ];
    for (amount, period, burst, expected) in cases {
        assert_eq!(Quota::new(amount, Nanos(period), burst), Err(expected), "{amount} per {period}, burst {burst}");
    }
}

/// A full bucket gives its whole burst at one moment, token by token or all at once, whatever the rate; and no more.
#[test]
fn a_burst_is_whole() {
    for amount in 1..400u32 {
        for burst in [1, 2, 3, amount] {
            let limiter = Limiter::new(quota(f64::from(amount), f64::from(burst)), PLENTY);
            let (one_by_one, at_once, now) = (client(1), client(2), Nanos(5 * SECOND));
            for token in 0..burst {
                let admission = limiter.admit(one_by_one, 1.0, now);
                assert_eq!(admission, Admission::Admitted, "token {token} of {burst} at {amount} a second");
            }
            assert!(matches!(limiter.admit(one_by_one, 1.0, now), Admission::Wait(_)), "{burst} at {amount} a second");
            // The client is known and its bucket is full again.
            assert_eq!(limiter.admit(at_once, 1.0, Nanos(SECOND)), Admission::Admitted);
            let later = Nanos(1000 * SECOND);
            let admission = limiter.admit(at_once, f64::from(burst), later);
            assert_eq!(admission, Admission::Admitted, "{burst} at once at {amount} a second");
            assert!(matches!(limiter.admit(at_once, 1.0, later), Admission::Wait(_)), "{burst} at {amount} a second");
        }
    }
}

proptest! {
    #![proptest_config(cases(500))]

    /// Where a quarter of a token is a whole number of nanoseconds, every answer is exactly the rule's.
    #[test]
    fn follows_the_rule(
        (amount, burst) in (prop::sample::select(vec![1u128, 2, 5, 10, 1000, 250_000_000]), 1..20u128),
        ops in prop::collection::vec((0..4u8, 0..90u128, 0..4u8, 0..60u64), 1..80),
    ) {
        let limiter = Limiter::new(quota(amount as f64, burst as f64), PLENTY);
        let mut rule = Rate::new(amount, u128::from(SECOND), burst);
        let mut now = 1_000 * SECOND;
        for (who, quarters, action, step) in ops {
            now += step * SECOND / (4 * amount as u64) / 3;
            let digest = client(u64::from(who));
            if action == 0 {
                let used = quarters / 2;
                limiter.settle(digest, quarters as f64 / 4.0, used as f64 / 4.0, Nanos(now));
                rule.settle(who, quarters, used, now);
                continue;
            }
            let quarters = if action == 3 { 4 } else { quarters };
            let expected = match rule.admit(who, quarters, now) {
                None => Admission::Never,
                Some(0) => Admission::Admitted,
                Some(units) => Admission::Wait(Nanos((units / rule.unit()) as u64)),
            };
            prop_assert_eq!(limiter.admit(digest, quarters as f64 / 4.0, Nanos(now)), expected);
            limiter.validate();
        }
    }

    /// Whatever the rate, a refusal is off the rule by less than a nanosecond for each time something was taken.
    #[test]
    fn stays_near_the_rule(
        (amount, burst) in (1..5_000u128, 1..50u128),
        costs in prop::collection::vec((0..80u128, 0..40u64), 1..60),
    ) {
        let limiter = Limiter::new(quota(amount as f64, burst as f64), PLENTY);
        let mut rule = Rate::new(amount, u128::from(SECOND), burst);
        let mut now = 1_000 * SECOND;
        for (taken, (quarters, step)) in (1u128..).zip(costs) {
            now += step * SECOND / (16 * amount as u64);
            let expected = rule.clone().admit(0, quarters, now).map(|units| units / rule.unit());
            let wait = match limiter.admit(client(0), quarters as f64 / 4.0, Nanos(now)) {
                Admission::Admitted => Some(0),
                Admission::Wait(wait) => Some(u128::from(wait.0)),
                Admission::Never => None,
            };
            prop_assert_eq!(wait.is_none(), expected.is_none());
            prop_assert!(wait.unwrap_or(0).abs_diff(expected.unwrap_or(0)) <= taken + 1, "{:?}, not {:?}", wait, expected);
            if wait == Some(0) {
                // Take the same in both, also where the two disagree by that nanosecond.
                rule.settle(0, 0, quarters, now);
            }
        }
    }

    /// A refusal's wait is exact: refused at every step before, admitted just then, and a refusal takes nothing.
    #[test]
    fn a_wait_is_exact(amount in 0.01..5_000.0f64, burst in 0.5..50.0f64, costs in prop::collection::vec(0.01..1.0f64, 1..40)) {
        let limiter = Limiter::new(quota(amount, burst), PLENTY);
        let mut now = 7 * SECOND;
        for cost in costs {
            let cost = cost * burst;
            let Admission::Wait(wait) = limiter.admit(client(1), cost, Nanos(now)) else { continue };
            let steps = [0, 1, wait.0 / 3, wait.0 / 2, wait.0.saturating_sub(2), wait.0 - 1];
            for step in steps.into_iter().filter(|step| *step < wait.0) {
                let again = limiter.admit(client(1), cost, Nanos(now + step));
                prop_assert_eq!(again, Admission::Wait(Nanos(wait.0 - step)), "{} after {}", step, now);
            }
            now += wait.0;
            prop_assert_eq!(limiter.admit(client(1), cost, Nanos(now)), Admission::Admitted);
        }
    }

    /// However many clients come, no more are remembered than may be; who is out of tokens stays refused until its
    /// time, and who has been idle long enough is as new.
    #[test]
    fn memory_is_bounded(
        max_clients in 1..200usize,
        visits in prop::collection::vec((0..2_000u64, 0..SECOND / 4), 1..800),
    ) {
        let limiter = Limiter::new(quota(1.0, 2.0), max_clients);
        let mut refused_until = std::collections::HashMap::new();
        let mut now = SECOND;
        for (who, step) in visits {
            now += step;
            let known = refused_until.get(&who).copied().unwrap_or(0);
            match limiter.admit(client(who), 1.0, Nanos(now)) {
                Admission::Wait(wait) => drop(refused_until.insert(who, now + wait.0)),
                Admission::Admitted => prop_assert!(now >= known, "client {} was forgotten while refused", who),
                Admission::Never => prop_assert!(false, "one token is within the burst"),
            }
            prop_assert!(limiter.len() <= max_clients.div_ceil(16) * 16, "{} clients", limiter.len());
        }
        limiter.validate();
    }
}

/// Zero, negative and nameless costs take nothing, remember nobody, and are admitted to a full bucket.
#[test]
fn nothing_costs_nothing() {
    let limiter = Limiter::new(quota(1.0, 1.0), PLENTY);
    for cost in [0.0, -0.0, -5.0, f64::NAN, f64::NEG_INFINITY, 1e-12] {
        assert_eq!(limiter.admit(client(1), cost, Nanos(SECOND)), Admission::Admitted, "{cost}");
    }
    assert!(limiter.is_empty() && (limiter.available(client(1), Nanos(SECOND)) - 1.0).abs() < 1e-9);
    for cost in [1.000_001, 2.0, f64::INFINITY] {
        assert_eq!(limiter.admit(client(1), cost, Nanos(SECOND)), Admission::Never, "{cost}");
    }
}

/// What was reserved too much comes back, what was reserved too little is a debt that must be paid first.
#[test]
fn reservations_are_settled() {
    let limiter = Limiter::new(quota(1.0, 10.0), PLENTY);
    let (one, now) = (client(1), Nanos(100 * SECOND));
    let available = |expected: f64| {
        let tokens = limiter.available(one, now);
        assert!((tokens - expected).abs() < 1e-6, "{tokens} tokens, not {expected}");
    };
    assert_eq!(limiter.admit(one, 8.0, now), Admission::Admitted);
    available(2.0);
    limiter.settle(one, 8.0, 3.0, now);
    available(7.0);
    limiter.settle(one, 3.0, 15.0, now);
    available(-5.0);
    assert_eq!(limiter.admit(one, 1.0, now), Admission::Wait(Nanos(6 * SECOND)));
    limiter.settle(one, 100.0, 0.0, now);
    available(10.0);
    limiter.settle(client(2), 1.0, 4.0, now);
    assert!((limiter.available(client(2), now) - 7.0).abs() < 1e-6, "a forgotten client can still owe");
}

/// A million idle clients leave no memory behind once others come, and a limited one among them is still known.
#[test]
fn the_idle_are_forgotten() {
    let limiter = Limiter::new(quota(1.0, 1.0), 10_000_000);
    let limited = client(u64::MAX);
    limiter.settle(limited, 0.0, 10_000.0, Nanos(SECOND));
    let mut peak = 0;
    for number in 0..1_000_000 {
        let now = Nanos(SECOND + number * SECOND / 1_000);
        assert_eq!(limiter.admit(client(number), 1.0, now), Admission::Admitted);
        peak = peak.max(limiter.len());
        assert!(number % 100_000 != 0 || limiter.admit(limited, 1.0, now) != Admission::Admitted, "{number}");
    }
    limiter.validate();
    // A thousand clients are short of tokens at any time; the tables hold at most what they have room for.
    assert!(peak < 16 * 448, "{peak} clients were remembered at once");
}
