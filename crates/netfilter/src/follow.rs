//! The host's mark rules: those of PREROUTING in the mangle table, chains included.

use xlvs_model::{Followed, FollowedThen, Mirror, NotMirrored};

use crate::{
    rule::{Rule, Target},
    table::{Chain, Hook, Table, Tool},
};

/// What of these tables a director can do before XDP, and what not. Rules on which no mark depends
/// are left out of both.
pub fn mirror(tables: &[Table]) -> Mirror {
    let mut mirror = Mirror::default();
    for table in tables.iter().filter(|table| table.tool != Tool::Native) {
        if table.name == "mangle"
            && let Some(chain) = table.chains.iter().find(|c| c.hook == Some(Hook::Prerouting))
        {
            let mut walk = Walk { table, notes: Vec::new(), room: MAX_RULES, depth: 0 };
            let (rules, _) = walk.chain(chain, After::default());
            if walk.room == 0 {
                let text = format!("{} -t mangle", table.tool);
                walk.notes.push(NotMirrored { text, reason: TOO_MANY.to_owned() });
            } else if !rules.is_empty() {
                mirror.sections.push(rules);
            }
            // The walk goes backwards.
            mirror.not_mirrored.extend(walk.notes.into_iter().rev());
        }
        mirror.not_mirrored.extend(elsewhere(table));
    }
    mirror
}

/// Rules that mark packets to services in another place than the one that is followed.
fn elsewhere(table: &Table) -> Vec<NotMirrored> {
    let is_followed =
        |chain: &&Chain| table.name == "mangle" && chain.hook == Some(Hook::Prerouting);
    let passed = |chain: &&Chain| matches!(chain.hook, Some(Hook::Prerouting | Hook::Input));
    let chains = table.chains.iter().filter(|chain| passed(chain) && !is_followed(chain));
    let rules =
        chains.flat_map(|chain| table.reached_from(chain).into_iter().map(move |r| (chain, r)));
    let marks = rules.filter(|(_, rule)| matches!(rule.target, Target::Mark(_)));
    marks
        .map(|(chain, rule)| NotMirrored {
            text: rule.text.clone(),
            reason: format!(
                "it is in {} of the table {}; rules are followed in PREROUTING of mangle",
                chain.name, table.name
            ),
        })
        .collect()
}

/// Where marks are still set after a rule.
#[derive(Clone, Copy, Default)]
struct After {
    /// In the rest of its chain.
    here: bool,
    /// In the rest of the whole walk.
    anywhere: bool,
}

/// Chains are read from their ends, so that what no mark comes after is known to matter to none.
struct Walk<'a> {
    table: &'a Table,
    notes: Vec<NotMirrored>,
    /// Rules there is still room for.
    room: usize,
    depth: usize,
}

impl Walk<'_> {
    /// A chain's rules that matter, and whether any of them sets a mark.
    fn chain(&mut self, chain: &Chain, outside: After) -> (Vec<Followed>, bool) {
        let mut after = After { here: false, anywhere: outside.anywhere };
        let mut marks = false;
        let mut kept = Vec::new();
        for rule in chain.rules.iter().rev() {
            let Some((then, sets)) = self.rule(rule, after) else { continue };
            let Some(room) = self.room.checked_sub(1) else { break };
            self.room = room;
            kept.push(Followed { text: rule.text.clone(), all: rule.all.clone(), then });
            marks |= sets;
            after.here |= sets;
            after.anywhere |= sets;
        }
        kept.reverse();
        (kept, marks)
    }

    /// What a rule does, if a mark depends on it, and whether it sets one.
    fn rule(&mut self, rule: &Rule, after: After) -> Option<(FollowedThen, bool)> {
        let (then, sets) = match &rule.target {
            // A packet that is refused needs no mark; that XDP forwards it is told elsewhere.
            Target::Nothing | Target::Refuse => return None,
            Target::Accept if !after.anywhere => return None,
            Target::Return if !after.here => return None,
            Target::Accept => (FollowedThen::Accept, false),
            Target::Return => (FollowedThen::Return, false),
            Target::Mark(masked) => (FollowedThen::Set(*masked), true),
            Target::Hidden(reason) => {
                self.note(rule, (*reason).to_owned());
                return None;
            }
            Target::Jump(name) => {
                let (body, sets) = self.body(rule, name, after)?;
                (FollowedThen::Jump(body), sets)
            }
            Target::Goto(name) => {
                let (body, sets) = self.body(rule, name, after)?;
                (FollowedThen::Goto(body), sets)
            }
        };
        let is_idle = matches!(&then, FollowedThen::Jump(body) if body.is_empty())
            || matches!(&then, FollowedThen::Goto(body) if body.is_empty() && !after.here);
        if is_idle {
            return None;
        }
        if !rule.is_understood() {
            let what = rule.unknown.join(", ");
            let mut reason = format!("the condition {what} is not looked at");
            reason += match &then {
                FollowedThen::Set(_) => "",
                FollowedThen::Accept | FollowedThen::Return => {
                    "; rules after it also mark packets that it keeps from them"
                }
                FollowedThen::Jump(_) | FollowedThen::Goto(_) => {
                    "; nor are the rules of the chain that it leads to"
                }
            };
            self.note(rule, reason);
            return None;
        }
        Some((then, sets))
    }

    /// The rules of the chain that a rule leads to. What a rule that is not understood leads to is
    /// not named rule by rule.
    fn body(&mut self, rule: &Rule, name: &str, after: After) -> Option<(Vec<Followed>, bool)> {
        let Some(chain) = self.table.chain(name) else {
            self.note(rule, format!("the target {name} is not known here"));
            return None;
        };
        if self.depth >= MAX_DEPTH {
            self.note(rule, format!("more than {MAX_DEPTH} chains lie within one another"));
            return None;
        }
        let (notes, room) = (self.notes.len(), self.room);
        self.depth += 1;
        let body = self.chain(chain, after);
        self.depth -= 1;
        if !rule.is_understood() {
            self.notes.truncate(notes);
            self.room = room;
        }
        Some(body)
    }

    fn note(&mut self, rule: &Rule, reason: String) {
        let note = NotMirrored { text: rule.text.clone(), reason };
        // A chain that is jumped to twice complains once.
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// Of one firewall, counting each chain as often as it is jumped to.
const MAX_RULES: usize = 1024;

const TOO_MANY: &str = "there are more than 1024 rules, counting those of a chain for each jump \
                        to it; none is mirrored";
const _: () = assert!(MAX_RULES == 1024);

/// iptables itself allows no loops; this is for texts that do not come from it.
const MAX_DEPTH: usize = 16;

#[cfg(test)]
mod tests;
