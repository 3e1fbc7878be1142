//! Servers in maintenance: down, whatever their checks say, as if these had failed. They are asked
//! meanwhile, so that a server that is not well yet does not come back with the end of it.

use std::{collections::BTreeMap, mem};

use xlvs_model::ServerKey;

use super::{Core, User};
use crate::{Effect, Moment};

impl Core {
    /// These servers are in maintenance from now on, in whatever service, and why; others are not.
    pub fn hold(
        &mut self,
        held: BTreeMap<ServerKey, String>,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let before = mem::replace(&mut self.held, held);
        for service in 0..self.services.len() {
            for server in 0..self.services[service].servers.len() {
                let user = User { service, server };
                let key = self.places(user).1.terms.key();
                let (was, is) = (before.get(&key), self.held.get(&key));
                if was == is {
                    continue;
                }
                let why = is.cloned();
                let was_up = self.places(user).1.up;
                self.settle(user, now, effects);
                let (of, server) = self.places(user);
                if server.up != was_up && server.terms.smtp_alert {
                    let (state, why) =
                        why.map_or(("UP", "the maintenance is over".into()), |why| ("DOWN", why));
                    self.mail_server(of, server, state, format!("=> {why} <="), effects);
                }
                self.remember(user, now);
            }
        }
    }
}
