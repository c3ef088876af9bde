//! Chooses, for each pattern, which of its clauses is looked for in the text.
//!
//! A clause is good if it is rarely in a text that the pattern does not match. There is no sample of texts to count in,
//! so the patterns themselves are the sample: what many of them mention is common, and longer is rarer.

use std::collections::HashMap;

use crate::pattern::atoms::Clause;
use crate::pattern::scan::{Scanner, grams};

/// Beyond this length another byte says little more.
const TELLING: usize = 12;

/// What to scan for, and what it triggers.
pub(crate) struct Plan {
    pub triggers: Vec<Option<Clause>>,
    pub scanner: Scanner,
    /// Patterns without a trigger, ascending.
    pub unconditional: Vec<u32>,
}

/// `clauses[i]` are those of pattern `i`.
pub(crate) fn choose(clauses: Vec<Vec<Clause>>) -> Plan {
    let census = census(&clauses);
    let triggers: Vec<Option<Clause>> = clauses
        .into_iter()
        .map(|clauses| clauses.into_iter().min_by(|a, b| cost(a, &census).total_cmp(&cost(b, &census))))
        .collect();
    let (mut atoms, mut unconditional) = (HashMap::<String, Vec<u32>>::new(), Vec::new());
    for (id, trigger) in (0..).zip(&triggers) {
        match trigger {
            Some(clause) => clause.atoms.iter().for_each(|atom| atoms.entry(atom.clone()).or_default().push(id)),
            None => unconditional.push(id),
        }
    }
    let mut atoms: Vec<_> = atoms.into_iter().collect();
    atoms.sort_unstable();
    Plan { scanner: Scanner::new(atoms, &census), triggers, unconditional }
}

/// In how many patterns each gram is mentioned.
fn census(clauses: &[Vec<Clause>]) -> HashMap<u32, usize> {
    let mut census = HashMap::new();
    for pattern in clauses {
        let atoms = pattern.iter().flat_map(|clause| &clause.atoms);
        let mut seen: Vec<u32> = atoms.flat_map(|atom| grams(atom.as_bytes())).collect();
        seen.sort_unstable();
        seen.dedup();
        for gram in seen {
            *census.entry(gram).or_insert(0) += 1;
        }
    }
    census
}

/// How often a clause is expected to be hit, on no particular scale.
fn cost(clause: &Clause, census: &HashMap<u32, usize>) -> f64 {
    clause.atoms.iter().map(|atom| atom_cost(atom.as_bytes(), census)).sum()
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn atom_cost(atom: &[u8], census: &HashMap<u32, usize>) -> f64 {
    let rarest = grams(atom).map(|gram| census.get(&gram).copied().unwrap_or(1)).min().unwrap_or(usize::MAX);
    rarest as f64 * 0.6_f64.powi(i32::try_from(atom.len().min(TELLING)).unwrap_or(0))
}
