//! Settings and limits that are stored, and what nothing comes of yet.

use std::collections::BTreeMap;

use xlvs_model::{
    LIMITS_EFFECT, Model,
    settings::{Effect, Profile, Setting},
};

/// A sentence for each reason why something that was set has no effect so far.
pub(super) fn without_effect(model: &Model) -> Vec<String> {
    let mut by_reason = BTreeMap::<&str, Vec<String>>::new();
    for row in Setting::table() {
        let value = model.settings.value(row.setting);
        // What the kernel's profile asks for beyond ours counts too.
        let is_default = value == row.default(Profile::Xlvs).into();
        if let (Effect::Later(why), false) = (row.effect, is_default) {
            by_reason.entry(why).or_default().push(format!("{}={value}", row.setting.full_name()));
        }
    }
    if let Effect::Later(why) = LIMITS_EFFECT {
        let mut all = Vec::new();
        if !model.access.is_empty() {
            all.push("allow and deny lists".to_owned());
        }
        for service in &model.services {
            let tuning = &service.tuning;
            if tuning.timeouts.is_some() || tuning.limits != xlvs_model::Limits::default() {
                all.push(format!("timeouts and limits of {}", service.key));
            }
        }
        if !all.is_empty() {
            by_reason.entry(why).or_default().append(&mut all);
        }
    }
    let sentence =
        |(why, all): (&str, _)| super::sentence("without effect so far", (why.to_owned(), all));
    by_reason.into_iter().map(sentence).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use xlvs_model::{Change, settings::Assignment};

    use super::*;

    #[test]
    fn what_was_set_and_does_nothing_is_named() {
        let mut model = Model::default();
        assert_eq!(without_effect(&model), [""; 0], "our defaults promise nothing");
        for line in ["sync_threshold=5 60", "sync_retries=1", "conntrack=1"] {
            let assignment = Assignment::read(line, &model.settings).unwrap();
            model.apply(&Change::from(assignment)).unwrap();
        }
        assert_eq!(
            without_effect(&model),
            ["stored, without effect so far (connections are not synchronised yet): \
              net.ipv4.vs.sync_retries=1, net.ipv4.vs.sync_threshold=5 60"],
            "what never has an effect is no promise"
        );
    }
}
