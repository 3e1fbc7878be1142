//! The text of `iptables-save`, of either backend.

use crate::{
    rule::Rule,
    table::{Chain, Hook, Table, Tool},
};

/// All tables of a save. Lines that are no rules (comments, counters, `COMMIT`) say nothing.
pub fn tables(tool: Tool, save: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for line in save.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('*') {
            tables.push(Table { tool, name: name.to_owned(), chains: Vec::new() });
        }
        let Some(table) = tables.last_mut() else { continue };
        if let Some(declared) = line.strip_prefix(':') {
            table.chains.extend(chain(declared));
        } else if let Some((name, rule)) = rule(line)
            && let Some(chain) = table.chains.iter_mut().find(|chain| chain.name == name)
        {
            chain.rules.push(rule);
        }
    }
    tables
}

/// `PREROUTING ACCEPT [0:0]`; chains of people's own have `-` for a policy.
fn chain(declared: &str) -> Option<Chain> {
    let mut words = declared.split_whitespace();
    let name = words.next()?.to_owned();
    let policy = words.next()?;
    let hook = match name.as_str() {
        _ if policy == "-" => None,
        "PREROUTING" => Some(Hook::Prerouting),
        "INPUT" => Some(Hook::Input),
        _ => Some(Hook::Other),
    };
    Some(Chain { name, hook, drops: policy == "DROP", rules: Vec::new() })
}

/// `-A CHAIN ...`, with counters before it (`iptables-save -c`) or without.
fn rule(line: &str) -> Option<(String, Rule)> {
    let line = match line.strip_prefix('[') {
        Some(counted) => counted.split_once(']')?.1.trim_start(),
        None => line,
    };
    let words = words(line);
    let (["-A", chain], rest) = words
        .split_first_chunk::<2>()
        .map(|(head, rest)| (head.each_ref().map(String::as_str), rest))?
    else {
        return None;
    };
    Some((chain.to_owned(), Rule::read(line.to_owned(), rest)))
}

/// Words as `iptables-restore` takes them apart: quotes hold one together, a backslash in quotes
/// makes the next character ordinary.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => (quoted, begun) = (!quoted, true),
            '\\' if quoted => word.extend(characters.next()),
            c if c.is_whitespace() && !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_falls_into_words() {
        for (line, expected) in [
            ("-A X -j Y", &["-A", "X", "-j", "Y"][..]),
            (r#"--comment "a \"quoted\" one" -j"#, &["--comment", r#"a "quoted" one"#, "-j"]),
            (r#"--comment """#, &["--comment", ""]),
            ("  a   b ", &["a", "b"]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }

    #[test]
    fn tables_chains_and_policies() {
        let save = "# Generated\n*filter\n:INPUT DROP [1:2]\n:MINE - [0:0]\n:OUTPUT ACCEPT [0:0]\n\
                    [3:4] -A INPUT -j MINE\n-A GONE -j DROP\nCOMMIT\n*raw\n\
                    :PREROUTING ACCEPT [0:0]\n";
        let tables = tables(Tool::Legacy, save);
        let chains = |table: &Table| {
            let shown =
                table.chains.iter().map(|c| (c.name.clone(), c.hook, c.drops, c.rules.len()));
            shown.collect::<Vec<_>>()
        };
        assert_eq!(tables.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["filter", "raw"]);
        assert_eq!(
            chains(&tables[0]),
            [
                ("INPUT".to_owned(), Some(Hook::Input), true, 1),
                ("MINE".to_owned(), None, false, 0),
                ("OUTPUT".to_owned(), Some(Hook::Other), false, 0),
            ]
        );
        assert_eq!(tables[0].chains[0].rules[0].text, "-A INPUT -j MINE", "counters are cut");
        assert_eq!(
            chains(&tables[1]),
            [("PREROUTING".to_owned(), Some(Hook::Prerouting), false, 0)]
        );
    }
}
