//! What the sweep removes and what it leaves.

use xlvs_datapath::{
    state,
    tables::{CONN_DEAD, Word},
};
use xlvs_sched::Scheduler;

use super::{TCP, Then, UDP};
use crate::{Given, NOW, Real, Snapshot, Twin, client_key, reply_key};

/// The sweep looks at every entry of a world.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// In words.
    pub says: &'static str,
    /// The world.
    pub given: Given,
    /// What the tables say afterwards.
    pub then: Vec<Then>,
}

impl Sweep {
    /// Plays it in a home: the tables afterwards, or what is wrong with them.
    pub fn play(&self, twin: &mut dyn Twin) -> Result<Snapshot, String> {
        twin.install(&self.given);
        let keys: Vec<_> = self.given.conns.iter().map(|(key, _)| *key).collect();
        twin.sweep(&keys);
        let after = twin.snapshot();
        let wrong = |what| format!("{}, in {}: {what}", self.says, twin.name());
        if after.live != after.census() {
            return Err(wrong(format!("counts {:?}, census {:?}", after.live, after.census())));
        }
        for then in &self.then {
            then.holds(&after).map_err(|what| wrong(format!("{then:?}: {what}")))?;
        }
        Ok(after)
    }
}

fn given(real: Real) -> Given {
    Given::service(TCP, Scheduler::Rr, &[real]).established(40000, 0).established(40001, 0)
}

/// What the end of a connection does to a server that had too many.
fn thresholds() -> Vec<Sweep> {
    let late = |given: Given, which: usize| given.but(|g| g.conns[which].1.expires = NOW);
    let crowded = || {
        let four = given(Real::direct(1).thresholds(4, 0));
        four.established(40002, 0).established(40003, 0).overloaded(0)
    };
    let sweep = |says, given, then| Sweep { says, given, then };
    vec![
        sweep(
            "who had too many connections has less than three quarters of its threshold",
            given(Real::direct(1).thresholds(2, 0))
                .overloaded(0)
                .but(|g| g.conns[0].1.expires = NOW),
            vec![Then::Live(0, 1, 0), Then::Overloaded(0, false)],
        ),
        sweep(
            "three of four are three quarters",
            late(crowded(), 0),
            vec![Then::Live(0, 3, 0), Then::Overloaded(0, true)],
        ),
        sweep(
            "two of four are less",
            late(late(crowded(), 0), 1),
            vec![Then::Live(0, 2, 0), Then::Overloaded(0, false)],
        ),
        sweep(
            "who had too many connections is not below its lower threshold yet",
            given(Real::direct(1).thresholds(2, 1))
                .overloaded(0)
                .but(|g| g.conns[0].1.expires = NOW),
            vec![Then::Live(0, 1, 0), Then::Overloaded(0, true)],
        ),
    ]
}

/// All of them.
#[must_use]
pub fn sweeps() -> Vec<Sweep> {
    let (direct, nat) = (given(Real::direct(1)), given(Real::nat(1)));
    let (client, reply) = (client_key(&nat.dests[0], 40000), reply_key(&nat.dests[0], 40000));
    let late = |given: &Given, which: usize| given.clone().but(|g| g.conns[which].1.expires = NOW);
    let both = late(&late(&nat, 0), 1);
    let udp = Given::service(UDP, Scheduler::Rr, &[Real::nat(1)]).conn(40000, 0, state::NONE);
    let dead = direct.clone().expiring(0).but(|g| {
        let word = g.conns[0].1.word;
        g.conns[0].1.word = Word(word.0 | u64::from(CONN_DEAD) << 8);
    });
    let other_life = both.clone().but(|g| {
        let word = g.conns[1].1.word;
        g.conns[1].1.word = word.reborn(word.state(), word.flags(), 0);
    });
    let sweep = |says, given, then| Sweep { says, given, then };
    let more =
        [super::persistence::sweeps(), super::calls::sweeps(), super::settings::sweeps()].concat();
    let own = vec![
        sweep("nothing is due", direct.clone(), vec![Then::Entries(2), Then::Live(0, 2, 0)]),
        sweep(
            "what is due goes, its neighbour stays",
            late(&direct, 0),
            vec![Then::Entries(1), Then::Gone(client), Then::Live(0, 1, 0)],
        ),
        sweep("all are due", direct.expiring(0), vec![Then::Entries(0), Then::Live(0, 0, 0)]),
        sweep(
            "with NAT both entries go",
            both,
            vec![Then::Entries(2), Then::Gone(client), Then::Gone(reply), Then::Live(0, 1, 0)],
        ),
        sweep(
            "with NAT the client's entry waits for its answers, and takes over their time",
            late(&nat, 0),
            vec![Then::Entries(4), Then::Life(client, 675), Then::Live(0, 2, 0)],
        ),
        sweep(
            "the entry for answers waits for the client's",
            late(&nat, 1),
            vec![Then::Entries(4), Then::Life(reply, 0)],
        ),
        sweep("NAT, all are due", nat.clone().expiring(-1), vec![Then::Entries(0)]),
        sweep("UDP, all are due", udp.expiring(0), vec![Then::Entries(0), Then::Live(0, 0, 0)]),
        sweep(
            "an entry for answers without its connection goes alone",
            late(&nat, 1).but(|g| {
                g.conns.remove(0);
            }),
            vec![Then::Gone(reply), Then::Entries(2)],
        ),
        sweep(
            "an entry for answers of another life goes alone too",
            other_life,
            vec![Then::Gone(client), Then::Gone(reply), Then::Live(0, 1, 0)],
        ),
        sweep("what another CPU removes is left to it", dead, vec![Then::Entries(1)]),
    ];
    [own, thresholds(), more].concat()
}
