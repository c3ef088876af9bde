//! Cosines beside a twin that works row by row in 64 bits, and what is refused.

use fastcascade::vectors::{Fault, GroupId, Vectors, VectorsError, cosine};
use proptest::prelude::*;

use crate::cases;

/// The definition.
fn naive(a: &[f32], b: &[f32]) -> f64 {
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    product(a, b) / (product(a, a).sqrt() * product(b, b).sqrt())
}

/// The mean of the best `top` cosines of each group.
fn naive_scores(rows: &[Vec<f32>], groups: &[u32], top: usize, query: &[f32]) -> Vec<f64> {
    let count = groups.iter().max().map_or(0, |most| most + 1);
    let score = |group| {
        let own = rows.iter().zip(groups).filter(|(_, of)| **of == group);
        let mut cosines: Vec<f64> = own.map(|(row, _)| naive(row, query)).collect();
        cosines.sort_by(|a, b| b.total_cmp(a));
        cosines.truncate(top);
        cosines.iter().sum::<f64>() / cosines.len() as f64
    };
    (0..count).map(score).collect()
}

fn build(rows: &[Vec<f32>], groups: &[u32], top: usize) -> Result<Vectors, VectorsError> {
    let groups: Vec<GroupId> = groups.iter().map(|group| GroupId(*group)).collect();
    Vectors::build(rows.first().map_or(1, Vec::len), &rows.concat(), &groups, top)
}

fn numbers(dim: usize) -> impl Strategy<Value = Vec<f32>> {
    let number = prop_oneof![4 => -1.0_f32..1.0, 1 => Just(0.0), 1 => -1e30_f32..1e30, 1 => -1e-30_f32..1e-30];
    prop::collection::vec(number, dim).prop_filter("a direction", |row| row.iter().any(|number| *number != 0.0))
}

/// Rows, a group for each, and a query; every group has a row.
fn sets() -> impl Strategy<Value = (Vec<Vec<f32>>, Vec<u32>, Vec<f32>)> {
    (1_usize..70, 1_usize..12).prop_flat_map(|(dim, count)| {
        let groups = prop::collection::vec(0..count as u32, count).prop_map(|mut groups| {
            let mut known: Vec<u32> = groups.clone();
            known.sort_unstable();
            known.dedup();
            for group in &mut groups {
                *group = known.iter().position(|other| other == group).unwrap_or(0) as u32;
            }
            groups
        });
        (prop::collection::vec(numbers(dim), count), groups, numbers(dim))
    })
}

proptest! {
    #![proptest_config(cases(400))]

    /// Every group's score is the twin's, and the nearest group is one that the twin has at the top.
    #[test]
    fn scores_are_the_twins((rows, groups, query) in sets(), top in 1_usize..4) {
        let real = build(&rows, &groups, top).unwrap();
        let expected = naive_scores(&rows, &groups, top, &query);
        let scores = real.scores(&query).unwrap();
        prop_assert_eq!(scores.len(), expected.len());
        for (score, expected) in scores.iter().zip(&expected) {
            prop_assert!((f64::from(*score) - expected).abs() < 1e-5, "{score} {expected}");
        }
        let (group, score) = real.nearest(&query).unwrap();
        prop_assert_eq!(score.to_bits(), scores[group.index()].to_bits());
        prop_assert_eq!(scores.iter().position(|other| *other >= score), Some(group.index()));
        prop_assert!(expected.iter().all(|other| *other <= f64::from(score) + 1e-5));
        prop_assert_eq!((real.len(), real.groups(), real.dim()), (rows.len(), expected.len(), query.len()));
    }

    /// The cosine of two vectors is the definition's, whichever comes first and however long they are.
    #[test]
    fn a_cosine_is_the_definitions((a, b) in (1_usize..70).prop_flat_map(|dim| (numbers(dim), numbers(dim)))) {
        let found = cosine(&a, &b).unwrap();
        prop_assert!((f64::from(found) - naive(&a, &b)).abs() < 1e-6);
        prop_assert_eq!(found.to_bits(), cosine(&b, &a).unwrap().to_bits());
        prop_assert!((cosine(&a, &a).unwrap() - 1.0).abs() < 1e-6);
    }

    /// No numbers, groups or sizes make the set panic.
    #[test]
    fn never_panics(
        dim in 0_usize..5,
        values in prop::collection::vec(any::<f32>(), 0..20),
        groups in prop::collection::vec(prop_oneof![0_u32..4, Just(u32::MAX)], 0..8),
        top in 0_usize..3,
        query in prop::collection::vec(any::<f32>(), 0..6),
    ) {
        let groups: Vec<GroupId> = groups.into_iter().map(GroupId).collect();
        if let Ok(set) = Vectors::build(dim, &values, &groups, top)
            && let Ok((group, score)) = set.nearest(&query)
        {
            prop_assert!(group.index() < set.groups() && (-1.0..=1.0).contains(&score));
        }
    }
}

/// Each set that is none is refused with what is wrong, the row or the group named.
#[test]
fn bad_sets_are_refused() {
    let row = |row, fault| VectorsError::Row { row, fault };
    let cases: &[(usize, &[f32], &[u32], usize, VectorsError, &str)] = &[
        (2, &[], &[], 1, VectorsError::Empty, "a vector set needs at least one row"),
        (0, &[1.0], &[0], 1, VectorsError::Dim { given: 0 }, "a row has from 1 to 65536 dimensions, not 0"),
        (65_537, &[1.0], &[0], 1, VectorsError::Dim { given: 65_537 }, "not 65537"),
        (1, &[1.0], &[0], 0, VectorsError::Top, "top is 0"),
        (1, &[1.0, 2.0], &[0], 1, VectorsError::Groups { rows: 2, groups: 1 }, "2 rows and 1 group numbers"),
        (1, &[1.0, 2.0], &[0, 2], 1, VectorsError::Gap { group: GroupId(1) }, "group 1 has no row"),
        (1, &[1.0], &[u32::MAX], 1, VectorsError::Gap { group: GroupId(0) }, "group 0 has no row"),
        (2, &[1.0, 2.0, 0.0, 0.0], &[0, 0], 1, row(1, Fault::Zero), "row 1 is all zeros"),
        (2, &[1.0, f32::NAN], &[0], 1, row(0, Fault::NotFinite { at: 1 }), "row 0 is not finite at place 1"),
        (1, &[1.0, f32::INFINITY], &[0, 0], 1, row(1, Fault::NotFinite { at: 0 }), "row 1 is not finite"),
        (
            2,
            &[1.0, 2.0, 3.0],
            &[0, 0],
            1,
            row(1, Fault::Dim { given: 1, expected: 2 }),
            "row 1 has 1 dimensions, not 2",
        ),
    ];
    for (dim, values, groups, top, expected, said) in cases {
        let groups: Vec<GroupId> = groups.iter().map(|group| GroupId(*group)).collect();
        let error = Vectors::build(*dim, values, &groups, *top).unwrap_err();
        assert_eq!(error, *expected);
        assert!(error.to_string().contains(said), "{error}");
    }
}

/// A query that is no direction, or has other dimensions, is refused; so are two such vectors.
#[test]
fn bad_queries_are_refused() {
    let cases: &[(&[f32], Fault)] = &[
        (&[], Fault::Dim { given: 0, expected: 2 }),
        (&[1.0, 2.0, 3.0], Fault::Dim { given: 3, expected: 2 }),
        (&[0.0, -0.0], Fault::Zero),
        (&[1.0, f32::NAN], Fault::NotFinite { at: 1 }),
        (&[f32::NEG_INFINITY, 1.0], Fault::NotFinite { at: 0 }),
    ];
    let set = build(&[vec![1.0, 2.0]], &[0], 1).unwrap();
    for (query, fault) in cases {
        assert_eq!(set.nearest(query), Err(*fault));
        assert_eq!(set.scores(query), Err(*fault));
        assert_eq!(cosine(&[1.0, 2.0], query), Err(*fault));
    }
}

/// Of groups that are equally close the first wins, wherever its row stands.
#[test]
fn a_tie_goes_to_the_first_group() {
    let set = build(&[vec![0.0, 1.0], vec![2.0, 0.0], vec![5.0, 0.0]], &[0, 2, 1], 1).unwrap();
    assert_eq!(set.nearest(&[1.0, 0.0]), Ok((GroupId(1), 1.0)));
}

/// The longest and the shortest vectors that 32 bits hold have their cosines too.
#[test]
fn neither_end_of_the_range_is_lost() {
    for size in [f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1)] {
        let set = build(&[vec![size; 40], vec![-size; 40]], &[0, 1], 1).unwrap();
        let (group, score) = set.nearest(&[size; 40]).unwrap();
        assert_eq!(group, GroupId(0));
        assert!((score - 1.0).abs() < 1e-6);
        assert_eq!(cosine(&[size, 0.0], &[0.0, size]), Ok(0.0));
    }
}

/// A set holds sixteen numbers to a block, four bytes each, and little else.
#[test]
fn memory_is_what_the_rows_take() {
    let set = build(&vec![vec![1.0; 384]; 100], &vec![0; 100], 1).unwrap();
    assert!((100 * 384 * 4..100 * 384 * 4 + 64).contains(&set.memory()));
    assert_eq!((set.work(), set.is_empty()), (100 * 384, false));
}
