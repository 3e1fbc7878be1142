//! How large a director may be: many services from a save file, one change among them, and many
//! connections. A real director of the release build in a namespace of its own, asked as people ask
//! it, by `ipvsadm`; what a change touches is read from its tables.

mod tables;

use std::{
    env,
    fmt::Write as _,
    fs::{self, File},
    io::{Read, Write},
    net::Ipv4Addr,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use xlvs_testkit::{HostPlan, Lab, Net, Plan, Process};

use self::tables::{Table, differing};

/// How much of everything.
struct Size {
    services: u32,
    connections: u32,
}

/// A figure, what it is, and what it may be at most.
struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    limit: Option<f64>,
}

/// Measures, prints, and says whether all bounds hold.
pub(crate) fn run(smoke: bool, gate: bool) -> Result<bool> {
    let size = if smoke {
        Size { services: 100, connections: 10_000 }
    } else {
        Size { services: 10_000, connections: 10_000_000 }
    };
    let figures = measure(&size)?;
    for Figure { what, value, unit, limit } in &figures {
        let (mark, limit) = match limit {
            Some(limit) if value <= limit => ("ok  ", format!("(at most {limit} {unit})")),
            Some(limit) => ("FAIL", format!("(at most {limit} {unit})")),
            None => ("    ", String::new()),
        };
        println!("{mark} {what:<66} {value:>10.2} {unit:<7} {limit}");
    }
    let holds = |figure: &Figure| figure.limit.is_none_or(|limit| figure.value <= limit);
    Ok(!gate || figures.iter().all(holds))
}

fn measure(size: &Size) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut director = Director::start(size.connections)?;
    many_services(&director, size, &mut figures)?;
    many_connections(&director, size, &mut figures)?;
    director.end()?;
    Ok(figures)
}

/// Loads, lists and changes.
fn many_services(director: &Director, size: &Size, figures: &mut Vec<Figure>) -> Result<()> {
    let (services, servers) = (size.services, size.services * SERVERS);
    let rules = director.folder.join("rules");
    fs::write(&rules, save_file(services))?;
    let (loading, _) = director.ipvsadm(&["-R"], Some(&rules))?;
    let what = format!("loading {services} services of {SERVERS} servers, as `ipvsadm -R` does");
    figures.push(figure(what, loading.as_secs_f64(), "s", Some(5.0)));
    director.settle()?;

    let mut times = Vec::new();
    for _ in 0..LISTS {
        let (time, text) = director.ipvsadm(&["-Ln"], None)?;
        let lines = text.lines().count();
        ensure!(lines == (services + servers + 3) as usize, "{lines} lines are listed");
        times.push(time);
    }
    let what = format!("listing them, as `ipvsadm -Ln` does, median of {LISTS}");
    figures.push(figure(what, median(&mut times).as_secs_f64(), "s", Some(1.0)));

    let before = director.tables()?;
    let (service, server) = (vip(services / 2), server(services / 2, 3));
    let edit = |weight: u32| {
        let weight = weight.to_string();
        let line = ["-e", "-t", &service, "-r", &server, "-m", "-w", &weight];
        Ok::<_, anyhow::Error>(director.ipvsadm(&line, None)?.0)
    };
    edit(1000)?;
    let after = director.tables()?;
    let touched: usize = before.iter().zip(&after).map(|(b, a)| differing(b, a)).sum();
    // A new place in the list for each of the service's servers, a plan, and the service itself.
    let most = f64::from(SERVERS + 2);
    #[expect(clippy::cast_precision_loss, reason = "a dozen, or some hundred thousand")]
    let value = touched as f64;
    let what = "one change among them: entries of the tables that differ".to_owned();
    figures.push(figure(what, value, "entries", Some(most)));

    let mut times = (0..CHANGES).map(edit).collect::<Result<Vec<_>>>()?;
    let middle = median(&mut times);
    let what = format!("one change among them, as `ipvsadm -e` does, median of {CHANGES}");
    figures.push(figure(what, milliseconds(middle), "ms", Some(10.0)));
    let worst = times.last().copied().unwrap_or_default();
    figures.push(figure("the longest of these".to_owned(), milliseconds(worst), "ms", None));
    Ok(())
}

/// Fills the table of connections, and asks the director for something while it sweeps.
fn many_connections(director: &Director, size: &Size, figures: &mut Vec<Figure>) -> Result<()> {
    let table = Table::open(&director.pins(), "CONNS")?;
    let count = size.connections;
    ensure!(table.room() >= count, "the table has room for {} entries", table.room());
    let begun = Instant::now();
    table.fill(count)?;
    let what = format!("filling the table with {count} connections");
    figures.push(figure(what, begun.elapsed().as_secs_f64(), "s", None));
    #[expect(clippy::cast_precision_loss, reason = "some gigabytes")]
    let bytes = table.memory()? as f64 / f64::from(table.room());
    let what = format!("memory of each of {count} connections, one entry each");
    let limit = (count > 1_000_000).then_some(MEMORY);
    figures.push(figure(what, bytes, "bytes", limit));
    // What waits for the engine waits for a round of its sweep at most.
    let mut waits = Vec::new();
    let until = Instant::now() + SWEEPS;
    while Instant::now() < until {
        let begun = Instant::now();
        director.ask("/v1/timeouts")?;
        waits.push(begun.elapsed());
        std::thread::sleep(Duration::from_millis(1));
    }
    let middle = milliseconds(median(&mut waits));
    let longest = milliseconds(waits.last().copied().unwrap_or_default());
    let what = format!("longest answer while {count} connections are swept");
    figures.push(figure(what, longest, "ms", Some(PAUSE_MS)));
    figures.push(figure("the median of these".to_owned(), middle, "ms", None));
    Ok(())
}

/// A director in a namespace, its folders, and its process.
struct Director {
    process: Process,
    lab: Lab,
    program: PathBuf,
    folder: PathBuf,
}

impl Director {
    fn start(connections: u32) -> Result<Self> {
        let program = program()?;
        let net = |last| Net { address: Ipv4Addr::new(10, 2, 0, last), prefix: 24 };
        let director = HostPlan::new("director")
            .link("wire", "lan", vec![net(1)])
            .route(Net { address: SERVERS_NET, prefix: 10 }, net(2).address);
        let router = HostPlan::new("router").link("wire", "lan", vec![net(2)]);
        let lab = Lab::build(&Plan::of(&["lan"], vec![director, router]))?;
        let folder = env::temp_dir().join(format!("xlvs-scale-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let connections = connections.to_string();
        let mut command = command(&lab, &program, &folder)?;
        command.args(["run", "--interface", "wire", "--connections", &connections]);
        let mut process = lab.host("director").spawn("xlvs", command)?;
        process.wait_for("xlvs: ready", READY)?;
        Ok(Self { process, lab, program, folder })
    }

    /// What was loaded is also on its way to where next hops are: for figures that others can
    /// repeat it has to arrive.
    fn settle(&self) -> Result<()> {
        let before = Instant::now();
        let mut quiet = 0;
        while quiet < 20 && before.elapsed() < READY {
            let begun = Instant::now();
            self.ask("/v1/timeouts")?;
            quiet = if begun.elapsed() < Duration::from_millis(2) { quiet + 1 } else { 0 };
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Calls `ipvsadm`: how long it took and what it printed.
    fn ipvsadm(&self, args: &[&str], input: Option<&Path>) -> Result<(Duration, String)> {
        let mut command = command(&self.lab, &self.program, &self.folder)?;
        command.arg("ipvsadm").args(args);
        command.stdin(match input {
            Some(path) => Stdio::from(File::open(path)?),
            None => Stdio::null(),
        });
        let begun = Instant::now();
        let output = command.output().context("start ipvsadm")?;
        let time = begun.elapsed();
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ipvsadm {args:?}: {complaint}");
        Ok((time, String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    fn ask(&self, path: &str) -> Result<()> {
        let mut stream = UnixStream::connect(self.folder.join("run").join(NAME).join("api.sock"))?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: xlvs\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        ensure!(
            answer.starts_with(b"HTTP/1.1 200"),
            "{path}: {}",
            String::from_utf8_lossy(&answer)
        );
        Ok(())
    }

    fn pins(&self) -> PathBuf {
        self.folder.join("run").join(NAME).join("bpf")
    }

    /// The tables that changes of services write to.
    fn tables(&self) -> Result<Vec<tables::Entries>> {
        let names = ["SERVICES", "PLANS", "ORDERS", "DESTS"];
        names.iter().map(|name| Table::open(&self.pins(), name)?.entries()).collect()
    }

    fn end(&mut self) -> Result<()> {
        let mut command = command(&self.lab, &self.program, &self.folder)?;
        let output = command.arg("detach").output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "xlvs detach: {complaint}");
        self.process.wait(READY)?;
        Ok(())
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        if self.process.ended().is_none() {
            let _ = self.end();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn command(lab: &Lab, program: &Path, folder: &Path) -> Result<std::process::Command> {
    let mut command = lab.host("director").command(program)?;
    command
        .env("XLVS_RUN_DIR", folder.join("run"))
        .env("XLVS_STATE_DIR", folder.join("state"))
        .env("XLVS_INSTANCE", NAME);
    Ok(command)
}

/// The release build beside this program, or the one that is named.
fn program() -> Result<PathBuf> {
    if let Some(path) = env::var_os(OTHER) {
        return Ok(path.into());
    }
    let path = env::current_exe()?.with_file_name("xlvs");
    ensure!(path.exists(), "there is no {}: cargo build --release", path.display());
    Ok(path)
}

/// As `ipvsadm-save -n` writes it: every server has an address of its own.
fn save_file(services: u32) -> String {
    let mut text = String::new();
    for service in 0..services {
        let vip = vip(service);
        let _ = writeln!(text, "-A -t {vip} -s wlc");
        for number in 0..SERVERS {
            let server = server(service, number);
            let _ = writeln!(text, "-a -t {vip} -r {server} -m -w {}", number + 1);
        }
    }
    text
}

fn vip(service: u32) -> String {
    format!("{}:80", Ipv4Addr::from_bits(VIPS.to_bits() + service))
}

fn server(service: u32, number: u32) -> String {
    let address = Ipv4Addr::from_bits(SERVERS_NET.to_bits() + service * SERVERS + number);
    format!("{address}:8080")
}

fn figure(what: String, value: f64, unit: &'static str, limit: Option<f64>) -> Figure {
    Figure { what, value, unit, limit }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Sorts them.
fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Servers of a service.
const SERVERS: u32 = 10;
const VIPS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 0);
/// Behind the router, so that no neighbour table has to hold them all.
const SERVERS_NET: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 0);
const NAME: &str = "scale";
const LISTS: u32 = 5;
const CHANGES: u32 = 51;
/// For so long answers are timed while the director sweeps, a round every quarter of a second.
const SWEEPS: Duration = Duration::from_secs(5);
/// How long an answer may take meanwhile.
const PAUSE_MS: f64 = 50.0;
/// What the README states of a connection in a table for ten million, and a little.
const MEMORY: f64 = 128.0;
const READY: Duration = Duration::from_mins(1);
const OTHER: &str = "XLVS_PROGRAM";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_save_file() {
        let text = save_file(301);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 301 * 11);
        assert_eq!(lines[0], "-A -t 10.9.0.0:80 -s wlc");
        assert_eq!(lines[1], "-a -t 10.9.0.0:80 -r 10.64.0.0:8080 -m -w 1");
        assert_eq!(lines[3310], "-a -t 10.9.1.44:80 -r 10.64.11.193:8080 -m -w 10");
    }

    #[test]
    fn medians() {
        let mut times = [9, 1, 5].map(Duration::from_secs);
        assert_eq!(median(&mut times), Duration::from_secs(5));
        assert_eq!(times[2], Duration::from_secs(9), "sorted: the last is the longest");
    }
}
