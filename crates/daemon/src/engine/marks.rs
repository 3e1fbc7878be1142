//! Mark rules in the engine: the host's as the firewall has them now, then the director's own.

use tracing::info;
use xlvs_api::{FollowedView, MarksView};
use xlvs_datapath::mark::MarkRule as Entry;
use xlvs_dataplane::compile_marks;
use xlvs_model::{InterfacePattern, MarkRule, Mirror};

use crate::{
    engine::{Engine, EngineError, Work},
    firewall::Firewall,
    hops::Host,
    plane::PlaneError,
};

/// What is known and what is in force.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// The host's firewall as it was read last.
    pub(crate) firewall: Firewall,
    /// What the data plane has; of one that was taken over it is not known.
    in_force: Option<Vec<Entry>>,
}

impl Engine {
    /// The host's firewall changed.
    pub(crate) fn see_firewall(&mut self, firewall: Firewall) {
        let count = |mirror: &Mirror| mirror.flat().len();
        let (old, new) = (&self.marks.firewall.mirror, &firewall.mirror);
        if old != new {
            let left_out = new.not_mirrored.len();
            info!(left_out, "following {} of the host's mark rules", count(new));
        }
        self.marks.firewall = firewall;
        self.mark();
    }

    /// Has packets marked by the rules there are now; what fails is shown in the status.
    pub(crate) fn mark(&mut self) {
        let result = self.program_marks();
        let trouble = result.err().map(|e| format!("mark rules are not as they should be: {e}"));
        self.report(Work::Marks, trouble);
    }

    /// `GET /v1/marks`.
    pub(crate) fn mark_rules(&self) -> MarksView {
        let mirror = &self.marks.firewall.mirror;
        let view = |(depth, rule): (usize, &xlvs_model::Followed)| FollowedView {
            depth,
            rule: rule.text.clone(),
        };
        MarksView {
            followed: mirror.flat().into_iter().map(view).collect(),
            own: self.model.marks.clone(),
            not_mirrored: mirror.not_mirrored.clone(),
        }
    }

    fn program_marks(&mut self) -> Result<(), EngineError> {
        let mirror = &self.marks.firewall.mirror;
        let entries = entries(mirror, &self.model.marks, &self.sight.host)?;
        if self.marks.in_force.as_ref() != Some(&entries) {
            self.plane()?.set_marks(&entries)?;
            self.marks.in_force = Some(entries);
        }
        Ok(())
    }
}

fn entries(mirror: &Mirror, own: &[MarkRule], host: &Host) -> Result<Vec<Entry>, PlaneError> {
    let numbers = |pattern: &InterfacePattern| {
        let ethernet = host.interfaces.iter().map(|(number, i)| (*number, i.name.as_str()));
        let others = host.others.iter().map(|(number, name)| (*number, name.as_str()));
        let meant = ethernet.chain(others).filter(|(_, name)| pattern.matches(name));
        meant.map(|(number, _)| number).collect()
    };
    Ok(compile_marks(mirror, own, numbers)?)
}
