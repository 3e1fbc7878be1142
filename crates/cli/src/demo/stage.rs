//! The hosts of the demo and what runs on them. A person could type every line of it.

use std::{
    env,
    net::Ipv4Addr,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use xlvs_testkit::{Host, Lab, Net, Plan, Process, wait_until};

use super::{
    narrator::Narrator,
    table::{self, Row},
};
use crate::testclient::tally::Tally;

/// The virtual address, as in the seed.
pub(super) const VIP: &str = "172.16.0.113";
/// The service.
pub(super) const SERVICE: &str = "172.16.0.113:2100";
/// The real servers' names, addresses and weights.
pub(super) const SERVERS: [(&str, &str, u64); 3] =
    [("rs1", "172.16.0.114", 3), ("rs2", "172.16.0.115", 2), ("rs3", "172.16.0.116", 1)];

/// Everything that is up.
pub(super) struct Stage<'a> {
    pub(super) narrator: &'a mut Narrator,
    // Processes before the lab: they end before their hosts go.
    daemon: Option<Process>,
    servers: Vec<Process>,
    lab: Lab,
    xlvs: PathBuf,
    fast: bool,
    start: Instant,
}

impl<'a> Stage<'a> {
    /// One network, as in the seed: everybody on it.
    pub(super) fn build(fast: bool, narrator: &'a mut Narrator) -> Result<Self> {
        let start = Instant::now();
        let xlvs = env::current_exe().context("find this program's own file")?;
        let lab = Lab::build(&Plan::one_arm(3, 1))?;
        let (daemon, servers) = (None, Vec::new());
        let mut stage = Self { narrator, daemon, servers, lab, xlvs, fast, start };
        for (name, _, _) in SERVERS {
            let mut command = stage.command(name)?;
            command.args(["testserver", "2100", "--name", name]);
            let mut server = stage.lab.host(name).spawn("testserver", command)?;
            server.wait_for("Listening Port", MOMENT)?;
            stage.servers.push(server);
        }
        Ok(stage)
    }

    /// So much, or less in a hurry.
    pub(super) fn amount(&self, usual: u64) -> u64 {
        if self.fast { usual.div_ceil(5) } else { usual }
    }

    pub(super) fn pause(&self, usual: Duration) -> Result<()> {
        let end = Instant::now() + if self.fast { usual / 4 } else { usual };
        wait_until("the pause to be over", MOMENT, || (Instant::now() >= end).then_some(()))?;
        Ok(())
    }

    pub(super) fn host(&self, name: &str) -> &Host {
        self.lab.host(name)
    }

    /// This program, on a host, with the lab's folders.
    fn command(&self, host: &str) -> Result<Command> {
        let mut command = self.lab.host(host).command(&self.xlvs)?;
        command
            .env("XLVS_RUN_DIR", self.lab.folder().join("run"))
            .env("XLVS_STATE_DIR", self.lab.folder().join("state"))
            .env_remove("XLVS_INSTANCE");
        Ok(command)
    }

    /// Runs `xlvs ARGS` on a host to its end.
    pub(super) fn run(&self, host: &str, args: &str) -> Result<String> {
        let mut command = self.command(host)?;
        command.args(args.split_whitespace());
        let output = self.lab.host(host).run(command, LONG)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !output.status.success() {
            let said = text(&output.stderr);
            bail!("`xlvs {args}` on {host} failed ({}): {}", output.status, said.trim_end());
        }
        Ok(text(&output.stdout))
    }

    /// The same, shown as it would be typed.
    pub(super) fn typed(&self, host: &str, args: &str) -> Result<String> {
        let line =
            if args.starts_with("ipvsadm") { args.to_owned() } else { format!("xlvs {args}") };
        self.narrator.command(host, &line);
        self.run(host, args)
    }

    /// Shows the director's table.
    pub(super) fn show_table(&self) -> Result<Vec<Row>> {
        let listing = self.typed("director", "ipvsadm -Ln")?;
        self.narrator.output(&listing);
        Ok(table::rows(&listing))
    }

    pub(super) fn table(&self) -> Result<Vec<Row>> {
        Ok(table::rows(&self.run("director", "ipvsadm -Ln")?))
    }

    /// Starts the director's daemon, for the first time or again.
    pub(super) fn start_director(&mut self, args: &str) -> Result<()> {
        self.narrator.command("director", &format!("xlvs {args}"));
        let mut command = self.command("director")?;
        command.args(args.split_whitespace());
        // Its words are appended: the second start is awaited by the second `ready`.
        let log = self.lab.host("director").log_path("xlvs");
        let before = std::fs::read_to_string(&log).unwrap_or_default().matches(READY).count();
        let mut daemon = self.lab.host("director").spawn("xlvs", command)?;
        wait_until("the director to be ready", LONG, || {
            let ready = daemon.log().matches(READY).count() > before;
            (ready || daemon.ended().is_some()).then_some(())
        })?;
        if let Some(status) = daemon.ended() {
            bail!("`xlvs {args}` ended: {status}");
        }
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Kills the daemon as a crash would.
    pub(super) fn kill_director(&mut self) -> Result<()> {
        let daemon = self.daemon.as_mut().context("the director's daemon runs")?;
        let line = format!("kill -KILL {}      # the daemon of xlvs", daemon.id());
        self.narrator.command("director", &line);
        daemon.kill();
        Ok(())
    }

    /// Waits until the director knows where to send packets for every server.
    pub(super) fn await_next_hops(&self) -> Result<()> {
        let mut trouble = None;
        let known = wait_until("the director to find its servers", LONG, || {
            match self.run("director", "server list -o json") {
                Ok(list) if list.contains("unresolved") => None,
                Ok(_) => Some(()),
                Err(error) => {
                    trouble = Some(error);
                    Some(())
                }
            }
        });
        known?;
        trouble.map_or(Ok(()), Err)
    }

    /// New connections, one request each; who answered how often?
    pub(super) fn new_connections(&self, count: u64) -> Result<Tally> {
        let args = format!(
            "testclient {VIP} 2100 --connections 6 --requests {} --interval 0ms \
             --new-connection-per-request",
            count.div_ceil(6)
        );
        self.narrator.command("client", &format!("xlvs {args}"));
        self.tally("client", &args)
    }

    fn tally(&self, host: &str, args: &str) -> Result<Tally> {
        let mut command = self.command(host)?;
        command.args(args.split_whitespace()).args(["--output", "json"]);
        let output = self.lab.host(host).run(command, LONG)?;
        // A loss is an exit code and a tally: the caller judges it.
        read_tally(&String::from_utf8_lossy(&output.stdout))
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Holds connections open until [`end_load`].
    pub(super) fn hold(&self, connections: u32, interval: &str) -> Result<Process> {
        let args = format!(
            "testclient {VIP} 2100 --connections {connections} --interval {interval} \
             --duration 5m"
        );
        self.narrator.command("client", &format!("xlvs {args} &"));
        let mut command = self.command("client")?;
        command.args(args.split_whitespace()).args(["--output", "json"]);
        Ok(self.lab.host("client").spawn(&format!("load{connections}"), command)?)
    }

    /// Waits until so many connections are active, all over the service.
    pub(super) fn await_active(&self, connections: u32) -> Result<()> {
        let what = format!("{connections} connections to be active");
        wait_until(&what, LONG, || {
            let active: u32 = self.table().ok()?.iter().map(|row| row.active).sum();
            (active >= connections).then_some(())
        })?;
        Ok(())
    }

    /// How many requests a server has answered, by its own log.
    pub(super) fn answered_by(&self, server: &str) -> usize {
        let index = SERVERS.iter().position(|(name, ..)| *name == server);
        let log = index.map(|index| self.servers[index].log()).unwrap_or_default();
        log.lines().filter(|line| line.contains(" connection ")).count()
    }

    /// The servers' way to the client, through the director or direct.
    pub(super) fn answer_through_director(&self, through: bool) -> Result<()> {
        let (client, director) = (Net::host(CLIENT), DIRECTOR);
        let verb = if through { "add" } else { "del" };
        for (name, ..) in SERVERS {
            self.narrator.command(name, &format!("ip route {verb} {client} via {director}"));
            if through {
                self.host(name).add_route(client, director)?;
            } else {
                self.host(name).remove_route(client, director)?;
            }
        }
        Ok(())
    }

    /// Whether the director's kernel routes, which NAT's answers need, as with IPVS.
    pub(super) fn let_director_forward(&self, forward: bool) -> Result<()> {
        let value = if forward { "1" } else { "0" };
        self.narrator.command("director", &format!("sysctl -w net.ipv4.ip_forward={value}"));
        Ok(self.host("director").sysctl("net.ipv4.ip_forward", value)?)
    }

    /// What a failure leaves for a person to read.
    pub(super) fn show_logs(&self) {
        let logs = self.lab.logs();
        let lines: Vec<_> = logs.lines().collect();
        let last = &lines[lines.len().saturating_sub(60)..];
        self.narrator.say("\nThe last lines of the logs:");
        self.narrator.output(&last.join("\n"));
    }

    /// Leaves everything up, with `xlvs` and `ipvsadm` at hand.
    pub(super) fn keep(&mut self) -> Result<()> {
        let programs = self.lab.folder().join("bin");
        self.run("director", &format!("install-faces {}", programs.display()))?;
        let link = programs.join("xlvs");
        std::os::unix::fs::symlink(&self.xlvs, &link)
            .with_context(|| format!("make the link {}", link.display()))?;
        self.lab.keep();
        self.servers.iter_mut().chain(&mut self.daemon).for_each(Process::leave);
        let prefix = self.lab.prefix();
        let folder = self.lab.folder();
        let folder = folder.display();
        let hosts: Vec<_> = self.lab.hosts().iter().map(Host::namespace).collect();
        self.narrator.say(&format!(
            "\nThe hosts stay up: {}.\n\
             Enter one:  ip netns exec {prefix}-director \\\n\
             \x20           env XLVS_RUN_DIR={folder}/run PATH={folder}/bin:$PATH sh\n\
             Try there:  xlvs status; ipvsadm -Ln\n\
             Logs:       {folder}/*.log\n\
             Remove all: xlvs demo --remove",
            hosts.join(", ")
        ));
        Ok(())
    }

    pub(super) fn sum_up(&self) -> bool {
        self.narrator.sum_up(self.start.elapsed().as_secs_f32())
    }
}

/// Ends a load of [`Stage::hold`]; its tally.
pub(super) fn end_load(mut load: Process) -> Result<Tally> {
    load.signal(Signal::TERM);
    load.wait(LONG)?;
    let log = load.log();
    let last = log.lines().last().unwrap_or_default();
    read_tally(last).with_context(|| format!("the load said: {log}"))
}

fn read_tally(text: &str) -> Result<Tally> {
    serde_json::from_str(text.trim()).context("read the client's tally")
}

const CLIENT: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 100);
const DIRECTOR: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 110);
const READY: &str = "xlvs: ready";
const MOMENT: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(30);
