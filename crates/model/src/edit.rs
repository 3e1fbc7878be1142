//! Several changes as one, which can be taken back: the tables may have no room for them.

use std::{borrow::Cow, collections::BTreeSet, mem};

use crate::{Change, Fault, Model, Service, ServiceKey, Services, services::Before};

/// What a few changes did, and all that is needed to take them back. Costs what they touched.
#[derive(Debug)]
pub struct Edit {
    /// What was wrong with each of the changes, in their order; `None`: it was made.
    pub faults: Vec<Option<Fault>>,
    /// Those that were made, as they were applied.
    pub made: Vec<Change>,
    before: Before,
    /// All but the services, if it differs.
    rest: Option<Box<Model>>,
}

/// The services that were changed, made or deleted.
pub type Touched = BTreeSet<ServiceKey>;

impl Model {
    /// Makes changes in their order, each on its own and as `resolve` gives it.
    pub fn edit<'a>(
        &mut self,
        changes: &'a [Change],
        mut resolve: impl FnMut(&Self, &'a Change) -> Result<Cow<'a, Change>, Fault>,
    ) -> Edit {
        let rest = self.without_services();
        self.services.begin();
        let (mut faults, mut made) = (Vec::with_capacity(changes.len()), Vec::new());
        for change in changes {
            let resolved = resolve(self, change);
            let applied = resolved.and_then(|change| self.apply(&change).map(|()| change));
            faults.push(match applied {
                Ok(change) => {
                    made.push(change.into_owned());
                    None
                }
                Err(fault) => Some(fault),
            });
        }
        let before = self.services.end();
        let rest = (rest != self.without_services()).then(|| Box::new(rest));
        Edit { faults, made, before, rest }
    }

    /// Takes the last edit back.
    pub fn undo(&mut self, edit: Edit) {
        if let Some(rest) = edit.rest {
            let services = mem::take(&mut self.services);
            *self = Self { services, ..*rest };
        }
        self.services.put_back(edit.before);
    }

    /// A copy without the services.
    pub(crate) fn without_services(&self) -> Self {
        let Self { services: _, timeouts, settings, access, overrides, marks, sync } = self;
        Self {
            services: Services::default(),
            timeouts: *timeouts,
            settings: settings.clone(),
            access: access.clone(),
            overrides: overrides.clone(),
            marks: marks.clone(),
            sync: sync.clone(),
        }
    }
}

impl Edit {
    /// Something differs from before.
    pub fn changed(&self) -> bool {
        self.rest.is_some() || !self.before.is_empty()
    }

    /// The services of which a server was edited, were it to what it was: schedulers may care.
    pub fn edited(&self) -> Touched {
        self.made.iter().filter_map(Change::edited).collect()
    }

    /// The services that differ, or of which a server is overridden or no longer.
    pub fn touched(&self) -> Touched {
        let overridden = self.made.iter().filter_map(Change::overridden);
        self.before.keys().copied().chain(overridden).collect()
    }

    /// What the services that differ were; `None`: not there.
    pub fn before(&self) -> impl Iterator<Item = (&ServiceKey, Option<&Service>)> {
        self.before.iter().map(|(key, kept)| (key, kept.as_ref().map(|k| &*k.service)))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn change(kind: u8, service: u16, server: u8) -> Change {
        let service = format!("tcp:10.0.0.1:{service}");
        let server = format!("10.0.1.{server}:80");
        let text = match kind {
            0 => format!(r#"{{"op":"add_service","service":"{service}","scheduler":"rr"}}"#),
            1 => format!(r#"{{"op":"edit_service","service":"{service}","scheduler":"wlc"}}"#),
            2 => format!(r#"{{"op":"delete_service","service":"{service}"}}"#),
            3..=5 => format!(
                r#"{{"op":"add_server","service":"{service}","server":
                {{"address":"{server}","method":"masq","weight":{kind}}}}}"#
            ),
            6 => format!(
                r#"{{"op":"edit_server","service":"{service}","server":
                {{"address":"{server}","method":"masq","weight":9}}}}"#
            ),
            7 => {
                format!(r#"{{"op":"delete_server","service":"{service}","server":"{server}"}}"#)
            }
            8 => r#"{"op":"set_timeouts","timeouts":{"tcp":7,"tcp_fin":0,"udp":0}}"#.to_owned(),
            _ => r#"{"op":"clear"}"#.to_owned(),
        };
        serde_json::from_str(&text).unwrap()
    }

    proptest! {
        /// An edit is its changes one by one, says which services differ, and can be undone.
        #[test]
        fn edits(batches in prop::collection::vec(
            prop::collection::vec((0u8..10, 1u16..5, 1u8..4), 0..8), 1..12
        )) {
            let mut model = Model::default();
            for batch in batches {
                let changes: Vec<_> = batch.iter().map(|(k, s, r)| change(*k, *s, *r)).collect();
                let old = model.clone();
                let mut one_by_one = model.clone();
                let faults: Vec<_> = changes.iter().map(|c| one_by_one.apply(c).err()).collect();
                let edit = model.edit(&changes, |_, change| Ok(Cow::Borrowed(change)));
                prop_assert_eq!(&model, &one_by_one);
                prop_assert_eq!(&edit.faults, &faults);
                let made = changes.iter().zip(&faults).filter(|(_, f)| f.is_none());
                prop_assert!(made.map(|(change, _)| change).eq(&edit.made));
                // One deleted and added again may be the same at the same place.
                prop_assert!(edit.changed() || model == old);
                for key in model.services.iter().chain(&old.services).map(|s| s.key) {
                    let differs = model.service(&key) != old.service(&key);
                    // One that went to the end of the list was touched as well.
                    prop_assert!(!differs || edit.touched().contains(&key));
                }
                for (key, before) in edit.before() {
                    prop_assert_eq!(before, old.service(key));
                }
                model.undo(edit);
                prop_assert_eq!(&model, &old);
                model.edit(&changes, |_, change| Ok(Cow::Borrowed(change)));
            }
        }
    }
}
