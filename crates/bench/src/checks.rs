//! What checks cost: a director's checking engine over many servers that are asked each second,
//! half of them by TCP, half for a page whose digest is compared.
//!
//! The servers answer from this process, on loopback; the engine runs in a child, this program once
//! more, so that the processor time is the engine's alone: its sockets and its digests, without
//! the servers' half. The file is read as the daemon reads it.

use std::{
    fmt::Write as _,
    io,
    net::Ipv4Addr,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::mpsc,
    time::sleep,
};
use xlvs_config::{OneFile, keepalived::load};
use xlvs_health::{Config, Snapshot, shell::Engine};

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) servers: u32,
    /// Processor time of the engine for each second.
    pub(crate) cores: f64,
    /// Answers a second.
    pub(crate) rate: f64,
}

/// Starts the servers and the engine's process.
pub(crate) fn measure(smoke: bool) -> Result<Load> {
    let (servers, seconds) = if smoke { (40, 1) } else { (SERVERS, SECONDS) };
    let runtime = Runtime::new().context("start a runtime")?;
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)));
    let listener = listener.context("listen for checks")?;
    let port = listener.local_addr()?.port();
    runtime.spawn(serve(listener));
    let child = Command::new(std::env::current_exe()?)
        .args([CHILD, &format!("{port} {servers} {seconds}")])
        .stderr(Stdio::inherit())
        .output()
        .context("start the engine's process")?;
    runtime.shutdown_background();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    ensure!(child.status.success(), "the engine's process: {}", child.status);
    let (cores, rate) = said.trim().split_once(' ').context("the engine's process says little")?;
    let load = Load { servers, cores: cores.parse()?, rate: rate.parse()? };
    let enough = f64::from(servers) * ENOUGH;
    ensure!(smoke || load.rate >= enough, "{:.0} checks a second, too few to judge by", load.rate);
    Ok(load)
}

/// The engine's process: prints its share of a core, and how many answers came each second.
pub(crate) fn child(terms: &str) -> Result<String> {
    let words = terms.split(' ').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    let [port, servers, seconds] = words[..] else { anyhow::bail!("PORT SERVERS SECONDS") };
    Runtime::new()?.block_on(engine(port, servers, Duration::from_secs(seconds.into())))
}

async fn engine(port: u32, servers: u32, period: Duration) -> Result<String> {
    let (config, report) =
        load(NAME, &OneFile { path: NAME, text: file(port, servers).as_bytes() });
    ensure!(!report.has_errors(), "{}", report.render(false));
    let config = Config { virtual_servers: config.virtual_servers, ..Config::default() };
    let (engine, runner) = Engine::new(1);
    let (sender, mut effects) = mpsc::channel(64);
    tokio::spawn(runner.run(sender));
    tokio::spawn(async move { while effects.recv().await.is_some() {} });
    engine.apply(config).await;
    // Within its warm-up each server is asked for the first time.
    sleep(WARM_UP).await;
    let before = engine.snapshot().await.context("the engine ended")?;
    let (begun, cpu) = (Instant::now(), cpu_time());
    sleep(period).await;
    let (cpu, wall) = (cpu_time().saturating_sub(cpu), begun.elapsed());
    let after = engine.snapshot().await.context("the engine ended")?;
    let up = after.services.iter().flat_map(|service| &service.servers).filter(|s| s.health.up);
    ensure!(up.count() == servers as usize, "not all servers are up: {:?}", first_down(&after));
    let answers = answers(&after).saturating_sub(answers(&before));
    #[expect(clippy::cast_precision_loss, reason = "some ten thousand")]
    let rate = answers as f64 / wall.as_secs_f64();
    Ok(format!("{} {rate}", cpu.as_secs_f64() / wall.as_secs_f64()))
}

/// How many answers there were.
fn answers(snapshot: &Snapshot) -> u64 {
    let servers = snapshot.services.iter().flat_map(|service| &service.servers);
    let checks = servers.flat_map(|server| &server.checks);
    checks.flat_map(|check| &check.history).map(|entry| entry.times).sum()
}

fn first_down(snapshot: &Snapshot) -> Option<&str> {
    let mut servers = snapshot.services.iter().flat_map(|service| &service.servers);
    servers.find(|server| !server.health.up).map(|server| &server.health.cause[..])
}

/// Of this process, all of its threads.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Services of ten servers; every second server is asked for a page.
fn file(port: u32, servers: u32) -> String {
    let mut text = String::new();
    for number in 0..servers {
        if number % 10 == 0 {
            let vip = Ipv4Addr::from_bits(VIPS.to_bits() + number / 10);
            let head = "delay_loop 1\n lvs_sched rr\n lvs_method DR\n protocol TCP\n";
            let _ = writeln!(text, "virtual_server {vip} {port} {{\n {head}");
        }
        let server = Ipv4Addr::from_bits(SERVERS_NET.to_bits() + number);
        let check = if number % 2 == 0 {
            "TCP_CHECK {\n connect_timeout 3\n }".to_owned()
        } else {
            format!("HTTP_GET {{\n url {{\n path /\n digest {DIGEST}\n }}\n connect_timeout 3\n }}")
        };
        let _ = writeln!(text, "real_server {server} {port} {{\n {check}\n }}");
        if number % 10 == 9 || number + 1 == servers {
            text.push_str("}\n");
        }
    }
    text
}

/// Answers whoever asks.
async fn serve(listener: TcpListener) {
    loop {
        // Out of descriptors: those in use come back.
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        tokio::spawn(async move { answer(stream).await.unwrap_or_default() });
    }
}

/// A page to whoever asks for one; who only knocks is let go.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut request = [0; 1024];
    if stream.read(&mut request).await? > 0 {
        stream.write_all(PAGE).await?;
        // The other side may close first.
        stream.shutdown().await?;
    }
    Ok(())
}

/// Before the terms of the engine's process; not for people.
pub(crate) const CHILD: &str = "--checking-engine";
/// What the engine may use of a core.
pub(crate) const LIMIT: f64 = 0.5;

/// The engine's file.
const NAME: &str = "checks.conf";
const SERVERS: u32 = 2000;
const SECONDS: u32 = 10;
/// So much of a check a second for each server: a loop's delay begins where a check ends.
const ENOUGH: f64 = 0.8;
const WARM_UP: Duration = Duration::from_millis(2500);
const VIPS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 0);
/// All of it is this host.
const SERVERS_NET: Ipv4Addr = Ipv4Addr::new(127, 64, 0, 1);
const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
/// Of `hello`.
const DIGEST: &str = "5d41402abc4b2a76b9719d911017c592";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_servers_are_asked_for_a_page() {
        let text = file(8080, 2000);
        let (config, report) = load(NAME, &OneFile { path: NAME, text: text.as_bytes() });
        assert!(!report.has_errors(), "{}", report.render(false));
        let servers = config.virtual_servers.iter().map(|v| v.servers.len()).sum::<usize>();
        assert_eq!((config.virtual_servers.len(), servers), (200, 2000));
        let checks = config.virtual_servers.iter().flat_map(|v| &v.servers).flat_map(|s| &s.checks);
        let pages = checks.clone().filter(|check| check.kind.keyword() == "HTTP_GET").count();
        assert_eq!((checks.count(), pages), (2000, 1000));
    }
}
