//! `xlvs server drain`, `undrain`, `disable`, `enable`: what a person says of a server beside what
//! is written, until it is taken back.

use std::{env, io::Write, net::SocketAddr, thread, time::Duration};

use xlvs_api::{Director, DrainView, ServerDetail, ServerFilter, ServerView};
use xlvs_model::{Action, Change, Fault, OnDeadline, Override, ServerKey, ServiceKey};

use super::{
    Where, explain,
    server::{Address, address},
    service::change_all,
    sure::Sure,
    when::{self, Span},
};
use crate::output::Hinted;

/// A server, in one service or in all that have it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Target {
    /// The server: ADDRESS or ADDRESS:PORT.
    #[arg(value_parser = address)]
    server: Address,

    /// Of this service alone [default: of every service that has it].
    #[arg(long)]
    service: Option<ServiceKey>,

    #[command(flatten)]
    pub(super) place: Where,
}

/// Who wants it, and why.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Signature {
    /// Why; shown wherever the server is.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,

    /// Whose wish it is [default: who asks].
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
}

/// `xlvs server drain`
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Drain {
    #[command(flatten)]
    pub(super) target: Target,

    /// Stay until no connection is left, and tell how many are.
    #[arg(long)]
    wait: bool,

    /// When it ends at the latest: 90s, 10m, 1h30m.
    #[arg(long, value_name = "TIME")]
    deadline: Option<Span>,

    /// What the deadline does to connections that are left [default: keep].
    #[arg(long, value_enum, requires = "deadline")]
    on_deadline: Option<OnDeadlineArg>,

    #[command(flatten)]
    signature: Signature,
}

/// `xlvs server disable`
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Disable {
    #[command(flatten)]
    pub(super) target: Target,

    #[command(flatten)]
    sure: Sure,

    #[command(flatten)]
    signature: Signature,
}

/// What a deadline does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OnDeadlineArg {
    /// They are reset, and the server is out.
    Reset,
    /// They stay; the server gets no new ones.
    Keep,
}

impl Target {
    /// Which servers it means.
    pub(super) fn filter(&self) -> ServerFilter {
        let (address, port) = self.server;
        ServerFilter { address: Some(address), port, service: self.service }
    }

    fn what(&self) -> String {
        let server = match self.server {
            (address, Some(port)) => SocketAddr::new(address, port).to_string(),
            (address, None) => address.to_string(),
        };
        match self.service {
            Some(service) => format!("{server} of {service}"),
            None => server,
        }
    }

    /// The servers as they stand; there is at least one. Sorry servers are nobody's to drain.
    pub(super) fn find(&self, director: &mut dyn Director) -> anyhow::Result<Vec<ServerDetail>> {
        let found = director.servers(&self.filter())?;
        if !found.is_empty() {
            return Ok(found);
        }
        if self.service.is_none() {
            let message = format!("{}: no service has such a server", self.what());
            return Err(Hinted::new(message, "see what there is: xlvs server list").into());
        }
        Err(explain(Fault::NoSuchServer, &self.what()))
    }

    fn written(&self, director: &mut dyn Director) -> anyhow::Result<Vec<ServerDetail>> {
        let mut found = self.find(director)?;
        found.retain(|detail| detail.server.is_written());
        let waits = || {
            let message = format!("{}: it only stands in when others fail", self.what());
            Hinted::new(message, "see how it is: xlvs server show")
        };
        if found.is_empty() { Err(waits().into()) } else { Ok(found) }
    }

    /// `undrain` (`is_drain`) and `enable`. Of a server that is not written any more, too, if it is
    /// named in full.
    pub(super) fn take_back(
        &self,
        is_drain: bool,
        director: &mut dyn Director,
    ) -> anyhow::Result<()> {
        let found = director.servers(&self.filter())?;
        let mut keys = Vec::new();
        for ServerDetail { service, server, .. } in &found {
            let Some(person) = &server.person else { continue };
            if person.is_drain() == is_drain {
                keys.push((*service, server.address));
                continue;
            }
            let what = format!("{} of {service}", server.address);
            let (message, hint) = if is_drain {
                (format!("{what} is disabled, not drained"), "xlvs server enable")
            } else {
                (format!("{what} is drained, not disabled"), "xlvs server undrain")
            };
            return Err(Hinted::new(message, hint).into());
        }
        if let (true, Some(service)) = (found.is_empty(), self.service) {
            let (address, port) = self.server;
            keys.push((service, ServerKey::new(address, port.unwrap_or(service.port()))));
        }
        if keys.is_empty() {
            return Err(explain(Fault::NoSuchOverride, &self.what()));
        }
        let clear = |(service, server)| Change::ClearOverride { service, server };
        let changes: Vec<_> = keys.into_iter().map(clear).collect();
        change_all(director, &changes, &self.what())
    }
}

impl Signature {
    fn sign(&self, action: Action) -> Override {
        let owner = self.owner.clone().or_else(|| env::var("SUDO_USER").ok());
        let (owner, reason) = (owner.unwrap_or_default(), self.reason.clone());
        Override { action, owner, reason, since: 0 }
    }
}

/// The same said of each.
fn set(found: &[ServerDetail], value: &Override) -> Vec<Change> {
    let one = |ServerDetail { service, server, .. }: &ServerDetail| Change::SetOverride {
        service: *service,
        server: server.address,
        value: value.clone(),
    };
    found.iter().map(one).collect()
}

impl Disable {
    pub(super) fn run_on(&self, director: &mut dyn Director) -> anyhow::Result<()> {
        let found = self.target.written(director)?;
        let cut: u64 = found.iter().map(|detail| u64::from(detail.server.active)).sum();
        let what = self.target.what();
        self.sure.ask(&what, cut)?;
        change_all(director, &set(&found, &self.signature.sign(Action::Disable)), &what)
    }
}

impl Drain {
    pub(super) fn run_on(
        &self,
        director: &mut dyn Director,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let found = self.target.written(director)?;
        let on_deadline = match self.on_deadline {
            Some(OnDeadlineArg::Reset) => OnDeadline::Reset,
            Some(OnDeadlineArg::Keep) | None => OnDeadline::Keep,
        };
        let deadline = self.deadline.map(|span| when::now_s() + span.0);
        let action = Action::Drain { deadline, on_deadline, over: false };
        let changes = set(&found, &self.signature.sign(action));
        change_all(director, &changes, &self.target.what())?;
        if self.wait {
            return self.stay(director, out);
        }
        for ServerDetail { service, server, .. } in director.servers(&self.target.filter())? {
            let Some(drain) = drain_of(&server) else { continue };
            writeln!(out, "{} of {service}: {}", server.address, progress(&drain))?;
        }
        Ok(())
    }

    /// Until all of them are at their ends.
    fn stay(&self, director: &mut dyn Director, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut told: Vec<(ServiceKey, ServerKey, u32, bool)> = Vec::new();
        loop {
            let (mut waits, mut kept) = (false, 0);
            for ServerDetail { service, server, .. } in director.servers(&self.target.filter())? {
                if !server.is_written() {
                    continue;
                }
                let address = server.address;
                let Some(drain) = drain_of(&server) else {
                    let message = format!("{address} of {service}: its drain was taken back");
                    return Err(Hinted::new(message, "xlvs events").into());
                };
                let is_over = drain.over && drain.on_deadline == OnDeadline::Reset;
                waits |= drain.left > 0 && !drain.over;
                kept += if drain.over && !is_over { drain.left } else { 0 };
                let now = (service, address, drain.left, drain.over);
                if told.contains(&now) {
                    continue;
                }
                told.retain(|(key, server, ..)| (*key, *server) != (service, address));
                told.push(now);
                writeln!(out, "{address} of {service}: {}", progress(&drain))?;
                out.flush()?;
            }
            if kept > 0 && !waits {
                let message = format!("the deadline is reached, and {kept} connections are left");
                return Err(Hinted::new(message, "xlvs conn list --server ADDRESS:PORT").into());
            }
            if !waits {
                return Ok(());
            }
            thread::sleep(PERIOD);
        }
    }
}

/// How far it got; a director that was asked too early has not counted yet.
fn drain_of(server: &ServerView) -> Option<DrainView> {
    let Action::Drain { deadline, on_deadline, over } = server.person.as_ref()?.action else {
        return None;
    };
    let (left, estimate_s) = (server.active, None);
    let early = DrainView { began_with: left, left, estimate_s, deadline, on_deadline, over };
    Some(server.drain.unwrap_or(early))
}

/// How far it got, in words.
pub(super) fn progress(drain: &DrainView) -> String {
    let DrainView { began_with, left, estimate_s, deadline, on_deadline, over } = drain;
    let s = if *left == 1 { "" } else { "s" };
    match (left, over, on_deadline) {
        (0, ..) => "drained, no connection is left".to_owned(),
        (_, true, OnDeadline::Reset) => {
            format!("the deadline is reached, the last {left} connection{s} reset")
        }
        (_, true, OnDeadline::Keep) => {
            format!("the deadline is reached, {left} connection{s} left")
        }
        (_, false, _) => {
            let estimate = match estimate_s {
                Some(estimate) => {
                    format!("gone within {}, nine times in ten", when::lasting(*estimate))
                }
                None => "nothing says how long they stay".to_owned(),
            };
            let end = deadline.map(|at| {
                let what = match on_deadline {
                    OnDeadline::Reset => "reset",
                    OnDeadline::Keep => "kept",
                };
                format!("; the rest is {what} at {}", when::moment(at * 1000))
            });
            let end = end.unwrap_or_default();
            format!("{left} of {began_with} connection{s} left, {estimate}{end}")
        }
    }
}

/// How often a director is asked.
const PERIOD: Duration = Duration::from_secs(1);

pub(super) const DRAIN_EXAMPLES: &str = "\
Examples:
  xlvs server drain 10.0.1.1                           everywhere, for as long as it takes
  xlvs server drain 10.0.1.1 --wait --deadline 10m --on-deadline reset --reason \"new kernel\"
  xlvs server drain 10.0.1.1:80 --service tcp:10.0.0.1:80
  xlvs server undrain 10.0.1.1

It gets no new connections, whatever checks, edits and restarts do, until `undrain`. Its weight
stays written. Time left is worked out of how many connections ended so far: docs/drain.md.";
pub(super) const UNDRAIN_EXAMPLES: &str = "\
Examples:
  xlvs server undrain 10.0.1.1
  xlvs server undrain 10.0.1.1:80 --service tcp:10.0.0.1:80";
pub(super) const DISABLE_EXAMPLES: &str = "\
Examples:
  xlvs server disable 10.0.1.1 --reason \"wrong release\"
  xlvs server disable 10.0.1.1:80 --service tcp:10.0.0.1:80

It is out at once, as if it was removed, and stays written. `enable` takes it back.";
pub(super) const ENABLE_EXAMPLES: &str = "\
Example:
  xlvs server enable 10.0.1.1";
