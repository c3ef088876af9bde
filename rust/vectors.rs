//! Which group of example vectors a vector is closest to, by cosine.
//!
//! Every row is brought to length one when the set is built, so that a cosine is one product of two rows. A
//! product runs over blocks of sixteen numbers with a sum for each place, which the compiler turns into vector
//! instructions. A row whose length is no multiple of sixteen is filled up with zeros.
//!
//! Rows of a group lie side by side. A set costs four bytes a number and four a group; a question costs one
//! pass over the set, and a buffer of one row.

use std::fmt;

/// The numbers that are multiplied at once.
const LANES: usize = 16;
/// More than any embedder gives, and a bound on what one row can take.
const MAX_DIM: usize = 65_536;

type Block = [f32; LANES];

/// A group's place: groups are numbered from zero, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

impl GroupId {
    /// The place as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What is wrong with a vector, wherever it came from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// NaN or an infinity, at this place.
    NotFinite {
        /// Counted from zero.
        at: usize,
    },
    /// All zeros: it points nowhere.
    Zero,
    /// Not as many numbers as the set has in a row.
    Dim {
        /// How many it has.
        given: usize,
        /// How many there should be.
        expected: usize,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite { at } => write!(f, "is not finite at place {at}; every number must be"),
            Self::Zero => f.write_str("is all zeros, which point nowhere and have no cosine"),
            Self::Dim { given, expected } => {
                write!(f, "has {given} dimensions, not {expected}; use one embedding model for all")
            }
        }
    }
}

impl std::error::Error for Fault {}

/// Why these rows are no set.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum VectorsError {
    /// No row at all.
    Empty,
    /// A row has no numbers, or more than 65,536.
    Dim {
        /// How many it has.
        given: usize,
    },
    /// A row that is no direction.
    Row {
        /// Counted from zero.
        row: usize,
        /// What is wrong with it.
        fault: Fault,
    },
    /// Not one group for each row.
    Groups {
        /// How many rows there are.
        rows: usize,
        /// How many groups were named.
        groups: usize,
    },
    /// A group without a row, below one that has some.
    Gap {
        /// The group.
        group: GroupId,
    },
    /// The mean of the best none.
    Top,
}

impl fmt::Display for VectorsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a vector set needs at least one row"),
            Self::Dim { given } => write!(f, "a row has from 1 to {MAX_DIM} dimensions, not {given}"),
            Self::Row { row, fault } => write!(f, "row {row} {fault}"),
            Self::Groups { rows, groups } => {
                write!(f, "there are {rows} rows and {groups} group numbers; give each row the number of its group")
            }
            Self::Gap { group } => {
                write!(f, "group {} has no row; number the groups from 0 without gaps", group.0)
            }
            Self::Top => f.write_str("top is 0; a group's score is the mean of at least its best row"),
        }
    }
}

impl std::error::Error for VectorsError {}

/// Rows of numbers in groups, which do not change.
#[derive(Clone, Debug)]
pub struct Vectors {
    blocks: Vec<Block>,
    /// Where each group's rows end, in rows.
    ends: Vec<u32>,
    dim: usize,
    top: usize,
}

impl Vectors {
    /// Take `values`, which are rows of `dim` numbers one after the other, and the group of each row.
    ///
    /// A group's score is the mean cosine of its `top` best rows, or of all where it has fewer.
    ///
    /// # Errors
    /// When there is no row, a row is zero or not finite, or groups and rows do not fit together.
    pub fn build(dim: usize, values: &[f32], groups: &[GroupId], top: usize) -> Result<Self, VectorsError> {
        if top == 0 {
            return Err(VectorsError::Top);
        }
        if values.is_empty() && groups.is_empty() {
            return Err(VectorsError::Empty);
        }
        if dim == 0 || dim > MAX_DIM {
            return Err(VectorsError::Dim { given: dim });
        }
        let rows = values.len().div_ceil(dim);
        if rows != groups.len() {
            return Err(VectorsError::Groups { rows, groups: groups.len() });
        }
        let (order, ends) = side_by_side(groups)?;
        let per_row = dim.div_ceil(LANES);
        let mut blocks = vec![[0.0; LANES]; rows * per_row];
        for (row, (numbers, place)) in values.chunks(dim).zip(order).enumerate() {
            let into = &mut blocks[place as usize * per_row..][..per_row];
            direction(numbers, dim, into).map_err(|fault| VectorsError::Row { row, fault })?;
        }
        Ok(Self { blocks, ends, dim, top })
    }

    /// The group with the highest score, and that score; the first of those that are equal.
    ///
    /// # Errors
    /// When the query has another number of dimensions, or is zero or not finite.
    pub fn nearest(&self, query: &[f32]) -> Result<(GroupId, f32), Fault> {
        let mut best = (GroupId(0), f32::NEG_INFINITY);
        self.each(query, |group, score| {
            if score > best.1 {
                best = (group, score);
            }
        })?;
        Ok(best)
    }

    /// The score of every group, in order.
    ///
    /// # Errors
    /// As [`nearest`](Self::nearest).
    pub fn scores(&self, query: &[f32]) -> Result<Vec<f32>, Fault> {
        let mut scores = Vec::with_capacity(self.ends.len());
        self.each(query, |_, score| scores.push(score))?;
        Ok(scores)
    }

    /// How many numbers a row has.
    pub const fn dim(&self) -> usize {
        self.dim
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.blocks.len() / self.dim.div_ceil(LANES)
    }

    /// Never: a set has a row.
    pub const fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// How many groups there are.
    pub const fn groups(&self) -> usize {
        self.ends.len()
    }

    /// How many multiplications a question takes.
    pub const fn work(&self) -> usize {
        self.blocks.len() * LANES
    }

    /// Bytes held.
    pub const fn memory(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>() + self.ends.capacity() * size_of::<u32>()
    }

    fn each(&self, query: &[f32], mut tell: impl FnMut(GroupId, f32)) -> Result<(), Fault> {
        let per_row = self.dim.div_ceil(LANES);
        let mut asked = vec![[0.0; LANES]; per_row];
        direction(query, self.dim, &mut asked)?;
        let (mut start, mut best) = (0, Vec::new());
        for (group, &end) in (0..).zip(&self.ends) {
            let end = end as usize;
            let cosines = self.blocks[start * per_row..end * per_row].chunks_exact(per_row);
            let cosines = cosines.map(|row| product(row, &asked).clamp(-1.0, 1.0));
            let score = if self.top == 1 {
                cosines.fold(f32::NEG_INFINITY, f32::max)
            } else {
                mean_of_best(cosines, self.top, &mut best)
            };
            tell(GroupId(group), score);
            start = end;
        }
        Ok(())
    }
}

/// The cosine of the angle between two vectors.
///
/// # Errors
/// When they differ in dimensions, or one is zero or not finite. The fault is the first one's, unless it has none.
pub fn cosine(a: &[f32], b: &[f32]) -> Result<f32, Fault> {
    if a.len() != b.len() {
        return Err(Fault::Dim { given: b.len(), expected: a.len() });
    }
    let length = length(a)? * length(b)?;
    Ok((product_f64(a, b) / length).clamp(-1.0, 1.0) as f32)
}

/// Each row's place once the rows of a group lie side by side, and where each group ends.
fn side_by_side(groups: &[GroupId]) -> Result<(Vec<u32>, Vec<u32>), VectorsError> {
    let count = groups.iter().map(|group| group.index() + 1).max().unwrap_or(0);
    // More groups than rows leave one of them empty; looked for before anything that large is made.
    let mut sizes = vec![0_u32; count.min(groups.len() + 1)];
    for group in groups {
        if let Some(size) = sizes.get_mut(group.index()) {
            *size += 1;
        }
    }
    if let Some(gap) = sizes.iter().position(|size| *size == 0) {
        return Err(VectorsError::Gap { group: GroupId(gap as u32) });
    }
    let mut next = Vec::with_capacity(count);
    let mut ends = Vec::with_capacity(count);
    let mut end = 0;
    for size in sizes {
        next.push(end);
        end += size;
        ends.push(end);
    }
    let place = |group: &GroupId| {
        let place = next[group.index()];
        next[group.index()] += 1;
        place
    };
    Ok((groups.iter().map(place).collect(), ends))
}

/// Write a vector of length one that points the same way.
fn direction(vector: &[f32], dim: usize, into: &mut [Block]) -> Result<(), Fault> {
    if vector.len() != dim {
        return Err(Fault::Dim { given: vector.len(), expected: dim });
    }
    let scale = length(vector)?.recip();
    for (place, number) in into.as_flattened_mut().iter_mut().zip(vector) {
        *place = (f64::from(*number) * scale) as f32;
    }
    Ok(())
}

/// A vector's length. In 64 bits no finite vector is too long or too short for it.
fn length(vector: &[f32]) -> Result<f64, Fault> {
    let square = product_f64(vector, vector);
    if square.is_finite() && square > 0.0 {
        return Ok(square.sqrt());
    }
    Err(match vector.iter().position(|number| !number.is_finite()) {
        Some(at) => Fault::NotFinite { at },
        None => Fault::Zero,
    })
}

fn product_f64(a: &[f32], b: &[f32]) -> f64 {
    let (blocks_a, rest_a) = a.as_chunks::<8>();
    let (blocks_b, rest_b) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in blocks_a.iter().zip(blocks_b) {
        for lane in 0..8 {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    let rest: f64 = rest_a.iter().zip(rest_b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    sums.iter().sum::<f64>() + rest
}

#[inline]
fn product(a: &[Block], b: &[Block]) -> f32 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum()
}

/// `best` is room to work in.
fn mean_of_best(cosines: impl Iterator<Item = f32>, top: usize, best: &mut Vec<f32>) -> f32 {
    best.clear();
    best.extend(cosines);
    if best.len() > top {
        best.select_nth_unstable_by(top - 1, |a, b| b.total_cmp(a));
        best.truncate(top);
    }
    best.iter().sum::<f32>() / best.len() as f32
}
