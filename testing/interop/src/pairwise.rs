//! A short list of combinations in which every two values of every two axes meet.

/// Chooses from the product of `axes` (each the number of its values) combinations that `allowed`
/// accepts, so that every pair of values of two axes that any accepted combination holds stands in
/// at least one of them. Always the same list for the same arguments; greedy, so near the shortest.
pub fn pairwise(axes: &[usize], allowed: impl Fn(&[usize]) -> bool) -> Vec<Vec<usize>> {
    let rows: Vec<Vec<usize>> = product(axes)
        .into_iter()
        .filter(|row| allowed(row))
        .collect();
    let pairs: Vec<Vec<usize>> = rows.iter().map(|row| pairs(axes, row)).collect();
    let mut uses = vec![0_u32; pairs.iter().flatten().max().map_or(0, |last| last + 1)];
    let mut chosen = Vec::new();
    loop {
        // The most new pairs; among equals the least used ones, so that the rest varies too.
        let worth = |pairs: &[usize]| {
            let used = |pair: &usize| uses.get(*pair).copied().unwrap_or_default();
            let new = pairs.iter().filter(|pair| used(pair) == 0).count();
            (new, std::cmp::Reverse(pairs.iter().map(used).sum::<u32>()))
        };
        let candidates = rows.iter().zip(&pairs);
        let Some((row, pairs)) = candidates.rev().max_by_key(|(_, pairs)| worth(pairs)) else {
            return chosen;
        };
        if worth(pairs).0 == 0 {
            return chosen;
        }
        for &pair in pairs {
            uses[pair] += 1;
        }
        chosen.push(row.clone());
    }
}

/// Every combination, the last axis moving fastest.
pub fn product(axes: &[usize]) -> Vec<Vec<usize>> {
    let mut rows = vec![Vec::new()];
    for &values in axes {
        let extend = |row: Vec<usize>| {
            (0..values).map(move |value| {
                let mut longer = row.clone();
                longer.push(value);
                longer
            })
        };
        rows = rows.into_iter().flat_map(extend).collect();
    }
    rows
}

/// A number for each pair of values that stand in `row`.
fn pairs(axes: &[usize], row: &[usize]) -> Vec<usize> {
    let most = axes.iter().copied().max().unwrap_or_default();
    let mut pairs = Vec::new();
    for (i, a) in row.iter().enumerate() {
        for (j, b) in row.iter().enumerate().skip(i + 1) {
            pairs.push(((i * axes.len() + j) * most + a) * most + b);
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_pair_that_may_meet_meets() {
        let axes = [7, 2, 2, 2, 3];
        // As with transport mode, where the inner family is the outer one.
        let allowed = |row: &[usize]| row[1] == 0 || row[2] == row[3];
        let chosen = pairwise(&axes, allowed);
        assert!(chosen.iter().all(|row| allowed(row)));
        let met: HashSet<usize> = chosen.iter().flat_map(|row| pairs(&axes, row)).collect();
        let may_meet: HashSet<usize> = product(&axes)
            .iter()
            .filter(|row| allowed(row))
            .flat_map(|row| pairs(&axes, row))
            .collect();
        assert_eq!(met, may_meet);
    }

    #[test]
    fn the_list_is_short_and_always_the_same() {
        let axes = [10, 2, 2, 2, 2, 2];
        let chosen = pairwise(&axes, |_| true);
        assert!(chosen.len() <= 24, "{} rows, 20 is the least", chosen.len());
        assert_eq!(chosen, pairwise(&axes, |_| true));
        assert_eq!(product(&axes).len(), 320);
    }
}
