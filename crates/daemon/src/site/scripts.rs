//! What a file asks for at the daemon's start and at its end, beside its services:
//! `startup_script`, `shutdown_script`, `lvs_flush_on_stop`, and ldirectord's `cleanstop`.

use std::time::Duration;

use tracing::{error, info, warn};
use xlvs_health::{Outcome, shell::Errands};
use xlvs_model::{
    Change, Wanted,
    health::{FlushOnStop, Script},
};

use super::{Runner, file, file::Loaded, file_actor};

impl Runner {
    /// Before anything else of a file that a daemon starts with. That it fails changes nothing, as
    /// with keepalived.
    pub(super) async fn start_up(&self, loaded: &Loaded) {
        let errands = Errands::new(&file::checks(Some(loaded)));
        let globals = &loaded.config.globals;
        run(&errands, "startup_script", globals.startup.as_ref(), globals.startup_timeout).await;
    }

    /// The last of all.
    pub(super) async fn shut_down(&mut self) {
        let Some(loaded) = &self.loaded else { return };
        let globals = &loaded.config.globals;
        if let Some(flush) = globals.flush_on_stop {
            self.flush(loaded, flush).await;
        }
        self.clean(loaded).await;
        let script = globals.shutdown.as_ref();
        run(&self.errands, "shutdown_script", script, globals.shutdown_timeout).await;
    }

    /// `cleanstop = yes`: services with their servers, but for those that say otherwise.
    async fn clean(&self, loaded: &Loaded) {
        let all = loaded.config.globals.ldirectord.as_ref().and_then(|terms| terms.clean_stop);
        let services = loaded.config.virtual_servers.iter();
        let cleaned = services.filter(|of| of.clean_stop.or(all) == Some(true));
        let gone: Vec<Wanted> =
            cleaned.flat_map(|of| &of.services).map(|key| (*key, None)).collect();
        if gone.is_empty() {
            return;
        }
        let by = file_actor(&loaded.in_force);
        let taken = self.engine.ask(move |engine| engine.take(&by, (&gone, &[]), Vec::new()));
        match taken.await {
            Some(Ok(_)) => info!("services are deleted, as cleanstop says"),
            Some(Err(why)) => error!("services are not deleted (cleanstop): {why}"),
            None => {}
        }
    }

    async fn flush(&self, loaded: &Loaded, flush: FlushOnStop) {
        let by = file_actor(&loaded.in_force);
        let services = &loaded.in_force.services;
        let (gone, more): (Vec<Wanted>, _) = match flush {
            FlushOnStop::EachService => (services.iter().map(|s| (s.key, None)).collect(), vec![]),
            FlushOnStop::Everything => (Vec::new(), vec![Change::Clear]),
        };
        let taken = self.engine.ask(move |engine| engine.take(&by, (&gone, &more), Vec::new()));
        match taken.await {
            Some(Ok(_)) => info!("services are deleted, as lvs_flush_on_stop says"),
            Some(Err(why)) => error!("services are not deleted (lvs_flush_on_stop): {why}"),
            None => {}
        }
    }
}

async fn run(errands: &Errands, word: &str, script: Option<&Script>, limit: Duration) {
    let Some(script) = script else { return };
    match errands.finish(script, limit).await {
        Outcome::Good(_) => info!(%script, "{word} run"),
        outcome => warn!(%script, "{word}: {outcome}"),
    }
}
