//! How much of the cache is the window, and how the ghosts move that.

use crate::ghosts::Left;

/// One, in the fixed-point number that is the window's share.
const ONE: u64 = 1 << 32;
/// The window's share at first. Held still, it does best between 10 and 20 % on most traces.
const START: u64 = ONE * 15 / 100;
/// Neither side ever has less than this share, so that both go on showing what they are worth.
const LEAST: u64 = ONE / 100;
/// How many ghosts it takes to move the border by one entry.
const WITNESSES: u64 = 4;

/// The border between the window and the main part, and the limits that follow from it.
#[derive(Debug)]
pub(crate) struct Border {
    share: u64,
    /// The most entries of the window.
    pub(crate) window: usize,
    /// The most protected entries of the main part.
    pub(crate) protected: usize,
}

impl Default for Border {
    fn default() -> Self {
        Self { share: START, window: 1, protected: 0 }
    }
}

impl Border {
    /// Heeds a ghost, if one came back, and fits the limits to as many entries as there are.
    pub(crate) fn steer(&mut self, ghost: Option<Left>, entries: usize) {
        let entries = entries.max(1);
        let step = ONE / (WITNESSES * entries as u64);
        match ghost {
            Some(Left::Window) => self.share = (self.share + step).min(ONE - LEAST),
            Some(Left::Main) => self.share = self.share.saturating_sub(step).max(LEAST),
            Some(Left::Otherwise) | None => {}
        }
        self.window = ((entries as u64 * self.share / ONE) as usize).max(1);
        self.protected = (entries - self.window) * 4 / 5;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limits of a cache of 1,000 entries after so many ghosts of a kind.
    #[test]
    fn ghosts_move_the_border() {
        let cases = [
            (None, 1, 150, 680),
            (Some(Left::Otherwise), 100, 150, 680),
            (Some(Left::Window), 40, 159, 672),
            (Some(Left::Window), 10_000, 990, 8),
            (Some(Left::Main), 40, 140, 688),
            (Some(Left::Main), 10_000, 10, 792),
        ];
        for (ghost, times, window, protected) in cases {
            let mut border = Border::default();
            (0..times).for_each(|_| border.steer(ghost, 1_000));
            assert!(border.window.abs_diff(window) <= 1, "{times} times {ghost:?}: {border:?}");
            assert!(border.protected.abs_diff(protected) <= 1, "{times} times {ghost:?}: {border:?}");
        }
    }

    /// The window has a place in the smallest cache, and never more than there are.
    #[test]
    fn the_window_fits() {
        for entries in 0..20 {
            let mut border = Border::default();
            border.steer(Some(Left::Window), entries);
            assert!((1..=entries.max(1)).contains(&border.window));
        }
    }
}
