//! "Did you mean".

/// The candidate that is nearest to a word, if it is near enough to be meant.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().take(MAX_LENGTH).collect();
    let allowed = (word.len() / 3).clamp(1, 4);
    let near = candidates.into_iter().filter_map(|candidate| {
        let other: Vec<char> = candidate.to_lowercase().chars().collect();
        let apart = distance(&word, &other);
        (apart <= allowed).then_some((apart, candidate))
    });
    near.min_by_key(|(apart, _)| *apart).map(|(_, candidate)| candidate)
}

/// Characters to insert, remove, change or swap (Damerau and Levenshtein's restricted distance).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

/// No keyword is longer.
const MAX_LENGTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_found() {
        let keywords = ["delay_loop", "lvs_sched", "lb_algo", "real_server", "retry", "weight"];
        for (word, meant, why) in [
            ("dealy_loop", Some("delay_loop"), "two swapped letters"),
            ("Lb_Algo", Some("lb_algo"), "upper case"),
            ("realserver", Some("real_server"), "a missing letter"),
            ("wieght", Some("weight"), "two swapped letters"),
            ("persistence", None, "nothing like it"),
            ("x", None, "too short to tell"),
        ] {
            assert_eq!(nearest(word, keywords), meant, "{word}: {why}");
        }
    }
}
