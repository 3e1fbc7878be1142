//! Patterns of `include`, as `glob(3)` has them: `*`, `?`, `[a-z]`, and `{a,b}`.

use crate::source::Host;

/// The files that a pattern matches, sorted within each part in braces. A pattern without
/// wildcards is a path: that there is no such file shows when it is opened.
pub(super) fn find(host: &dyn Host, folder: &str, pattern: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for pattern in braces(pattern) {
        let base = if pattern.starts_with('/') { "/" } else { folder };
        let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
        walk(host, base, &parts, &mut paths);
    }
    paths
}

/// A pattern has wildcards.
pub(super) fn is_wild(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

fn walk(host: &dyn Host, folder: &str, parts: &[&str], paths: &mut Vec<String>) {
    let Some((part, rest)) = parts.split_first() else { return };
    if paths.len() >= MAX_PATHS {
        return;
    }
    if !is_wild(part) {
        let path = join(folder, part);
        if rest.is_empty() {
            paths.push(path);
        } else {
            walk(host, &path, rest, paths);
        }
        return;
    }
    let mut names = host.list(folder);
    names.sort();
    for name in names {
        let (bare, is_folder) = name.strip_suffix('/').map_or((&*name, false), |name| (name, true));
        // As for a shell, hidden files must be asked for.
        let hidden = bare.starts_with('.') && !part.starts_with('.');
        if hidden || is_folder == rest.is_empty() || !matches(part.as_bytes(), bare.as_bytes()) {
            continue;
        }
        let path = join(folder, bare);
        if rest.is_empty() {
            paths.push(path);
        } else {
            walk(host, &path, rest, paths);
        }
    }
}

fn join(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        _ if folder.ends_with('/') => format!("{folder}{name}"),
        _ => format!("{folder}/{name}"),
    }
}

/// `a{b,c}d` as `abd` and `acd`.
fn braces(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(pattern) = open.pop() {
        let inner = pattern
            .rfind('{')
            .and_then(|from| pattern[from..].find('}').map(|to| (from, from + to)));
        match inner {
            Some((from, to)) if open.len() + done.len() < MAX_PATHS => {
                for choice in pattern[from + 1..to].split(',').rev() {
                    open.push(format!("{}{choice}{}", &pattern[..from], &pattern[to + 1..]));
                }
            }
            _ => done.push(pattern),
        }
    }
    done
}

/// `*`, `?` and `[...]` against a name. One `*` is taken back at most: linear for the rest.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, n));
            p += 1;
        } else if let Some(width) = pattern.get(p..).and_then(|rest| one(rest, name[n])) {
            p += width;
            n += 1;
        } else if let Some((after, from)) = star {
            p = after;
            n = from + 1;
            star = Some((after, n));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

/// The width of the pattern's first element, if it takes a byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => {
            let negative = matches!(rest.first(), Some(b'!' | b'^'));
            let from = usize::from(negative);
            // A `]` that comes first is one of the bytes.
            let close = rest.iter().skip(from + 1).position(|b| *b == b']')? + from + 1;
            let mut set = &rest[from..close];
            let mut found = false;
            while let Some((&first, tail)) = set.split_first() {
                if let [b'-', last, after @ ..] = tail {
                    found |= (first..=*last).contains(&byte);
                    set = after;
                } else {
                    found |= first == byte;
                    set = tail;
                }
            }
            (found != negative).then_some(close + 2)
        }
        [b'\\', literal, ..] => (*literal == byte).then_some(2),
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// Files that one pattern may match.
const MAX_PATHS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_the_shells() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.bak", false),
            ("a*b*c", "a-bb-c", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[0-9]*", "10-web", true),
            ("[!0-9]*", "10-web", false),
            ("[]x]", "]", true),
            ("[x", "[x", false),
            ("a\\*", "a*", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
        assert_eq!(braces("a{b,c{d,e}}f"), ["abf", "acdf", "abf", "acef"]);
        assert_eq!(braces("{a,b}.conf"), ["a.conf", "b.conf"]);
    }
}
