//! Which word was meant.

/// The candidate that `word` is, or was probably meant to be: at most one
/// wrong letter in four.
pub(crate) fn closest(
    word: &str,
    candidates: impl IntoIterator<Item = &'static str, IntoIter: Clone>,
) -> Option<&'static str> {
    let candidates = candidates.into_iter();
    if let Some(same) = candidates.clone().find(|candidate| *candidate == word) {
        return Some(same);
    }
    let word: Vec<char> = word.chars().take(LONGEST + 1).collect();
    candidates
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(4))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Longer than every candidate: more letters cannot change the answer.
const LONGEST: usize = 32;

/// How many letters must be put in, taken out or replaced (Levenshtein).
fn distance(word: &[char], candidate: &str) -> usize {
    let mut row: Vec<usize> = (0..=word.len()).collect();
    for (above, letter) in candidate.chars().enumerate() {
        let mut diagonal = above;
        let mut left = above + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(word) {
            let replaced = diagonal + usize::from(*other != letter);
            diagonal = *cell;
            left = replaced.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = above + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        let words = ["spdadd", "spddelete", "add"];
        assert_eq!(closest("spddad", words), Some("spdadd"));
        assert_eq!(closest("spdadd", words), Some("spdadd"));
        assert_eq!(closest("ad", words), Some("add"));
        assert_eq!(closest("spddelte", words), Some("spddelete"));
        assert_eq!(closest("hello", words), None);
        assert_eq!(closest("", words), None);
    }
}
