//! The verbs. Each module has its flags and what it does; here they are joined.

mod access;
mod apply;
mod check;
mod completions;
mod conn;
mod convert;
mod detach;
mod drain;
mod events;
mod install_faces;
mod man;
mod mark;
mod proc;
mod reach;
mod server;
mod service;
mod set;
mod show;
mod status;
mod sure;
mod sync;
mod terms;
mod tuning;
mod when;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use xlvs_api::{Client, ClientError, Target};
use xlvs_model::{Fault, Method, Verdict};

#[cfg(test)]
pub(crate) use self::proc::File as ProcFile;
use crate::{demo, output::Hinted, realserver, testclient, testserver};

/// The Linux Virtual Server on XDP: a director that balances connections over real servers.
///
/// Without a verb it shows the director's status.
#[derive(Debug, Parser)]
#[command(name = "xlvs", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Xlvs {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the director of this network namespace.
    Run(xlvs_daemon::RunArgs),
    /// The director at a glance: interfaces, packets, warnings, services.
    Status(status::Args),
    /// Virtual services: what clients connect to.
    #[command(subcommand)]
    Service(service::Verb),
    /// Real servers: where connections go.
    #[command(subcommand)]
    Server(server::Verb),
    /// What happened, and who did it.
    Events(events::Args),
    /// Settings, by the kernel's names: xlvs set net.ipv4.vs.NAME=VALUE.
    Set(set::Args),
    /// Clients that may connect, and nobody else.
    #[command(subcommand, after_help = access::EXAMPLES)]
    Allow(access::Verb),
    /// Clients that may not connect.
    #[command(subcommand, after_help = access::EXAMPLES)]
    Deny(access::Verb),
    /// Mark rules: which packets belong to services of firewall marks.
    #[command(subcommand)]
    Mark(mark::Verb),
    /// Daemons that tell another director of connections.
    #[command(subcommand)]
    Sync(sync::Verb),
    /// Read a configuration file and tell all that is wrong with it.
    Check(check::Args),
    /// A configuration file as another format.
    Convert(convert::Args),
    /// Put a configuration file in force, or tell what that would change.
    Apply(apply::Args),
    /// Keep what was applied for a time.
    Confirm(apply::ConfirmArgs),
    /// Connections that are tracked.
    #[command(subcommand)]
    Conn(conn::Verb),
    /// Print a file of /proc/net as the kernel's `ip_vs` would: `xlvs proc ip_vs`.
    Proc(proc::Args),
    /// Take everything out of the kernel; the daemon ends.
    Detach(detach::Args),
    /// Make links `ipvsadm`, `ipvsadm-save` and `ipvsadm-restore` to this program.
    InstallFaces(install_faces::Args),
    /// Print a shell's completions of these verbs and their flags.
    Completions(completions::Args),
    /// Write the manual pages into a folder.
    #[command(hide = true)]
    Man(man::Args),
    /// Hold the network namespace of checks by forwarding, for the daemon that starts it.
    #[command(hide = true)]
    CheckNamespace,
    /// See it work: hosts in namespaces, DR, NAT, tunnel, a crash.
    Demo(demo::Args),
    /// Make this host a real server for DR or tunnels, and undo it.
    Realserver(realserver::Args),
    /// A TCP server that answers every line with its host's name.
    Testserver(testserver::Args),
    /// Talk to a test server, by hand or with many connections.
    Testclient(testclient::Args),
    /// Be `ipvsadm`: xlvs ipvsadm -Ln.
    #[command(disable_help_flag = true)]
    Ipvsadm(Face),
    /// Be `ipvsadm-save`: print the table as command lines.
    #[command(disable_help_flag = true)]
    IpvsadmSave(Face),
    /// Be `ipvsadm-restore`: read command lines from standard input.
    #[command(disable_help_flag = true)]
    IpvsadmRestore(Face),
}

/// A face's arguments. They never get here: `main` calls faces before it reads verbs.
#[derive(Debug, clap::Args)]
struct Face {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    _args: Vec<String>,
}

impl Xlvs {
    /// Does what was asked.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.verb.unwrap_or(Verb::Status(status::Args::default())) {
            Verb::Run(args) => return xlvs_daemon::run(args),
            Verb::Status(args) => args.run(),
            Verb::Service(verb) => verb.run(),
            Verb::Server(verb) => verb.run(),
            Verb::Mark(verb) => verb.run(),
            Verb::Sync(verb) => verb.run(),
            Verb::Check(args) => return args.run(),
            Verb::Convert(args) => return args.run(),
            Verb::Apply(args) => return args.run(),
            Verb::Confirm(args) => args.run(),
            Verb::Conn(verb) => verb.run(),
            Verb::Proc(args) => args.run(),
            Verb::Events(args) => args.run(),
            Verb::Set(args) => args.run(),
            Verb::Allow(verb) => verb.run(Verdict::Allow),
            Verb::Deny(verb) => verb.run(Verdict::Deny),
            Verb::Detach(args) => args.run(),
            Verb::InstallFaces(args) => args.run(),
            Verb::Completions(args) => args.run(),
            Verb::Man(args) => args.run(),
            Verb::CheckNamespace => return Ok(xlvs_daemon::check_namespace()),
            Verb::Demo(args) => return demo::run(args),
            Verb::Realserver(args) => return realserver::run(args),
            Verb::Testserver(args) => return testserver::run(args),
            Verb::Testclient(args) => return testclient::run(&args),
            Verb::Ipvsadm(_) | Verb::IpvsadmSave(_) | Verb::IpvsadmRestore(_) => {
                anyhow::bail!("a face takes no flags before its name")
            }
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Which director is asked.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Director")]
pub(crate) struct Where {
    #[arg(long, value_name = "NAME", help = INSTANCE_HELP)]
    instance: Option<String>,

    #[arg(long, value_name = "DIR", help = RUN_DIR_HELP)]
    run_dir: Option<PathBuf>,
}

impl Where {
    /// Connects to it.
    pub(crate) fn connect(&self) -> Result<Client, ClientError> {
        Client::connect(&Target::new(self.run_dir.clone(), self.instance.clone()))
    }
}

/// A fault with what it is about and what to try.
fn explain(fault: Fault, what: &str) -> anyhow::Error {
    let hint = match fault {
        Fault::ServiceExists => "change it: xlvs service set",
        Fault::NoSuchService => "see what there is: xlvs service list",
        Fault::ServerExists => "change it: xlvs server set",
        Fault::NoSuchServer => "see what there is: xlvs server list",
        Fault::NotUnicast => "give the address of one host",
        Fault::TimeoutRange => "give at most 31 days",
        Fault::NoSuchMark => "see what there is: xlvs mark list",
        Fault::MarkPorts => "give --protocol tcp, udp or sctp",
        Fault::TablesFull => "see the limits: xlvs status",
        Fault::NoSuchOverride => "see how it is: xlvs server show SERVER",
        Fault::SettingValue => "see what it takes: xlvs set NAME",
        Fault::LimitRange => "a rate of at most 1000000/s, a prefix of at most 32 (IPv6: 128)",
        Fault::OtherNetworkFamily => "give a network of the service's address family",
        Fault::NoSuchEntry => "see what there is: xlvs allow list, xlvs deny list",
        Fault::OtherFamily => "use --method tunnel, and no sync daemon",
        Fault::BadTunnel => "GUE needs a port, GRE has no remote checksum",
        Fault::BadMask => "a mask like 255.255.255.0 for IPv4, a prefix like 64 for IPv6",
        Fault::NoSuchEngine => "there is `sip`",
        Fault::OutOfRange => "the lower threshold may not be above the upper one",
        Fault::DaemonRuns => "stop it first",
        Fault::NoDaemon => "start it first",
        Fault::NoSuchDevice => "see what there is: ip link",
    };
    Hinted::new(format!("{what}: {fault}"), hint).into()
}

/// A method's name for people.
const fn method_name(method: Method) -> &'static str {
    match method {
        Method::Masq => "nat",
        Method::Tunnel => "tunnel",
        Method::Route => "route",
    }
}

const INSTANCE_HELP: &str =
    "Its name [default: $XLVS_INSTANCE, else the director of this network namespace]";
const RUN_DIR_HELP: &str =
    "The folder of directors' sockets [default: $XLVS_RUN_DIR, else /run/xlvs]";

const EXAMPLES: &str = "\
Examples:
  xlvs run --interface eth0                             start a director
  xlvs service add tcp:10.0.0.1:80 --scheduler wrr      balance this address and port
  xlvs server add tcp:10.0.0.1:80 10.0.1.1 --weight 3   over this server, and others
  xlvs server set tcp:10.0.0.1:80 10.0.1.1 --weight 0   quiesce it
  xlvs server drain 10.0.1.1 --wait                     no new connections; wait for the old
  xlvs events -f                                        what happens, and who did it
  xlvs conn list --server 10.0.1.1:80                   what still goes there
  xlvs ipvsadm -Ln                                      the same as ipvsadm shows it";
