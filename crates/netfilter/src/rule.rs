//! One rule of iptables, as `iptables-save` prints it: conditions and a target.

use std::str::FromStr;

use xlvs_model::{Is, MarkMatch, Masked, ParsePartError};

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// As the firewall's tool prints it.
    pub text: String,
    /// Conditions that are understood: all of these must hold.
    pub all: Vec<MarkMatch>,
    /// Conditions that are not, by the words that show them.
    pub unknown: Vec<String>,
    /// What happens to a packet.
    pub target: Target,
}

/// What happens to a packet that a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nothing that concerns a director: counted, logged, changed elsewhere than in its mark.
    Nothing,
    /// `ACCEPT`.
    Accept,
    /// `RETURN`.
    Return,
    /// `DROP`, `REJECT`.
    Refuse,
    /// `MARK`.
    Mark(Masked),
    /// Its mark or fate is decided by something that a director does not see; by which, as the
    /// rest of a sentence.
    Hidden(&'static str),
    /// `-j CHAIN`.
    Jump(String),
    /// `-g CHAIN`.
    Goto(String),
}

impl Target {
    /// The chain that it leads to.
    pub fn chain(&self) -> Option<&str> {
        match self {
            Self::Jump(chain) | Self::Goto(chain) => Some(chain),
            _ => None,
        }
    }
}

impl Rule {
    /// Reads the words after `-A CHAIN`.
    pub(crate) fn read(text: String, words: &[String]) -> Self {
        let rule = Self { text, all: Vec::new(), unknown: Vec::new(), target: Target::Nothing };
        let mut reader = Reader { words, not: false, module: None, rule };
        reader.run();
        reader.rule
    }

    /// Of what it does not say anything else is let through.
    pub(crate) fn is_understood(&self) -> bool {
        self.unknown.is_empty()
    }
}

struct Reader<'a> {
    words: &'a [String],
    not: bool,
    /// Of `-m`; options belong to the last one.
    module: Option<&'a str>,
    rule: Rule,
}

impl<'a> Reader<'a> {
    fn run(&mut self) {
        while let Some(option) = self.word() {
            match option {
                "!" => {
                    self.not = true;
                    continue;
                }
                "-m" => self.begin_module(),
                "-j" => return self.target(),
                "-g" => {
                    let chain = self.word().unwrap_or_default().to_owned();
                    self.rule.target = Target::Goto(chain);
                }
                _ => self.condition(option),
            }
            self.not = false;
        }
    }

    fn word(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn begin_module(&mut self) {
        let module = self.word().unwrap_or_default();
        self.module = Some(module);
        if !MODULES.contains(&module) {
            self.rule.unknown.push(format!("-m {module}"));
            self.skip();
        }
    }

    /// Passes over what belongs to a module or target that is not known: its options may have any
    /// number of words.
    fn skip(&mut self) {
        let is_next = |word: &String| matches!(word.as_str(), "-m" | "-j" | "-g");
        let length = self.words.iter().position(is_next).unwrap_or(self.words.len());
        self.words = &self.words[length..];
    }

    fn condition(&mut self, option: &'a str) {
        match (option, self.module) {
            ("-s", _) => self.put(option, |m| &mut m.source),
            ("-d", _) => self.put(option, |m| &mut m.destination),
            ("-i", _) => self.put(option, |m| &mut m.interface),
            ("-p", _) => self.put(option, |m| &mut m.protocol),
            ("--sport" | "--sports", _) => self.put(option, |m| &mut m.source_ports),
            ("--dport" | "--dports", _) => self.put(option, |m| &mut m.destination_ports),
            ("--ports", _) => self.put(option, |m| &mut m.ports),
            ("--mac-source", _) => self.put(option, |m| &mut m.source_mac),
            ("--mark", Some("mark")) => self.put(option, |m| &mut m.mark),
            ("--comment", _) => drop(self.word()),
            _ => {
                self.rule.unknown.push(option.to_owned());
                let is_next = |word: &String| word.starts_with('-') || word == "!";
                let length = self.words.iter().position(is_next).unwrap_or(self.words.len());
                self.words = &self.words[length..];
            }
        }
    }

    /// Reads a condition's value into the first place that is free: modules may come twice, and
    /// both must hold.
    fn put<T: FromStr<Err = ParsePartError>>(
        &mut self,
        option: &str,
        field: impl Fn(&mut MarkMatch) -> &mut Option<Is<T>>,
    ) {
        let (not, word) = (self.not, self.word().unwrap_or_default());
        match word.parse() {
            Ok(value) => put(&mut self.rule.all, Is { not, value }, field),
            Err(_) => self.rule.unknown.push(format!("{option} {word}")),
        }
    }

    fn target(&mut self) {
        let name = self.word().unwrap_or_default();
        self.rule.target = match name {
            "ACCEPT" => Target::Accept,
            "RETURN" => Target::Return,
            "DROP" | "REJECT" => Target::Refuse,
            "MARK" => self.mark(),
            "CONNMARK" if self.words.iter().any(|w| w == "--restore-mark") => {
                Target::Hidden("marks of connections that netfilter tracks are not known here")
            }
            "SET" if self.words.iter().any(|w| w == "--map-mark") => {
                Target::Hidden("sets of addresses are not looked at")
            }
            "TPROXY" => Target::Hidden("transparent proxies take their packets after XDP"),
            "NFQUEUE" | "QUEUE" => Target::Hidden("a program decides about these packets"),
            "HMARK" => Target::Hidden("marks that are hashes are not worked out"),
            _ if NO_VERDICT.contains(&name) => Target::Nothing,
            _ => Target::Jump(name.to_owned()),
        };
    }

    fn mark(&mut self) -> Target {
        let [option, value] = self.words else {
            return Target::Hidden("the target MARK has words that are not known");
        };
        let (value, alone) = (value.parse::<Masked>(), value.parse::<Masked>().map(|m| m.value));
        let change = match (option.as_str(), value, alone) {
            ("--set-xmark", Ok(masked), _) => masked,
            ("--set-mark", Ok(masked), _) => masked.set(),
            ("--or-mark", _, Ok(bits)) => Masked::or(bits),
            ("--and-mark", _, Ok(bits)) => Masked::and(bits),
            ("--xor-mark", _, Ok(bits)) => Masked::xor(bits),
            _ => return Target::Hidden("the target MARK has words that are not known"),
        };
        Target::Mark(change)
    }
}

/// Puts a condition where it is one of all that must hold.
pub(crate) fn put<T>(
    all: &mut Vec<MarkMatch>,
    is: Is<T>,
    field: impl Fn(&mut MarkMatch) -> &mut Option<Is<T>>,
) {
    let free = all.iter_mut().position(|matches| field(matches).is_none());
    let at = free.unwrap_or_else(|| {
        all.push(MarkMatch::default());
        all.len() - 1
    });
    *field(&mut all[at]) = Some(is);
}

/// Modules whose options are read one by one.
const MODULES: [&str; 9] =
    ["tcp", "udp", "sctp", "dccp", "udplite", "multiport", "mac", "mark", "comment"];

/// Targets that let a packet go on as it is, or change what no mark and no refusal depends on. What
/// is not here is the name of a chain.
const NO_VERDICT: [&str; 25] = [
    "AUDIT",
    "CHECKSUM",
    "CLASSIFY",
    "CONNMARK",
    "CONNSECMARK",
    "CT",
    "DSCP",
    "ECN",
    "IDLETIMER",
    "LED",
    "LOG",
    "NFLOG",
    "NOTRACK",
    "RATEEST",
    "SECMARK",
    "SET",
    "SYNPROXY",
    "TCPMSS",
    "TCPOPTSTRIP",
    "TEE",
    "TOS",
    "TRACE",
    "TTL",
    "ULOG",
    "",
];

#[cfg(test)]
mod tests;
