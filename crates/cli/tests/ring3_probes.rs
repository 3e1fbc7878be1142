//! The checks that no file of old knows, against real peers on hosts of their own: half-open TCP,
//! `HAProxy`'s agents, gRPC's health service (tonic) and BFD (BIRD). Needs root; says so when
//! skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::Value;
use tonic::transport::{Identity, Server, ServerTlsConfig, server::TcpIncoming};
use tonic_health::{ServingStatus, server::HealthReporter};
use xlvs_testkit::{HostPlan, Net, Plan, capture::Frame, find_program, wait_until};

use site::{LONG, Site, skip};

/// A director and two servers on one network.
struct Probed {
    site: Site,
    director: usize,
}

impl Probed {
    /// With this file in force. The servers have an IPv6 address each, too.
    fn start(file: &str, text: &str) -> Option<Self> {
        let lan = |last| Net { address: Ipv4Addr::new(192, 168, 1, last), prefix: 24 };
        let vip = Net::host(Ipv4Addr::new(192, 168, 1, 200));
        let hosts = vec![
            HostPlan::new("director").link("eth0", "lan", vec![lan(1), vip]),
            HostPlan::new("rs1").link("eth0", "lan", vec![lan(10)]),
            HostPlan::new("rs2").link("eth0", "lan", vec![lan(20)]),
        ];
        let mut site = Site::build(&Plan::of(&["lan"], hosts))?;
        for (host, address) in [("director", "fd00::1"), ("rs1", "fd00::10"), ("rs2", "fd00::20")] {
            site.lab.host(host).sysctl("net.ipv6.conf.all.disable_ipv6", "0").unwrap();
            site.lab.host(host).sysctl("net.ipv6.conf.eth0.disable_ipv6", "0").unwrap();
            let address = format!("{address}/64");
            site.run(host, "ip", &["-6", "addr", "add", &address, "dev", "eth0", "nodad"]);
        }
        let path = site.lab.folder().join(file);
        fs::write(&path, text).unwrap();
        let director = site.start_director(&format!("--interface eth0 -c {}", path.display()));
        Some(Self { site, director })
    }

    /// `10:80=1 20:80=0`: servers of all services by the last part of their address.
    fn listed(&self) -> String {
        let listing = self.site.xlvs("director", "ipvsadm -Ln");
        let row = |line: &str| {
            let words: Vec<&str> = line.strip_prefix("  -> ")?.split_whitespace().collect();
            let server: SocketAddr = words[0].parse().ok()?;
            let ip = server.ip().to_string();
            Some(format!("{}:{}={}", ip.rsplit('.').next()?, server.port(), words[2]))
        };
        let mut rows: Vec<_> = listing.lines().filter_map(row).collect();
        rows.sort();
        rows.join(" ")
    }

    fn await_list(&self, what: &str, expected: &str) {
        let waited = wait_until(what, LONG, || (self.listed() == expected).then_some(()));
        let told = || format!("{}\n{}", self.site.xlvs("director", "server list"), self.logs());
        assert!(waited.is_ok(), "{what}: {}\n{}", self.listed(), told());
    }

    fn logs(&self) -> String {
        self.site.lab.logs()
    }

    /// What the last check of a server said; of several services each.
    fn last(&self, server: &str) -> Vec<String> {
        let line = format!("server show {server} -o json");
        let shown: Value = serde_json::from_str(&self.site.xlvs("director", &line)).unwrap();
        let told = |one: &Value| {
            one["checks"][0]["results"][0]["result"].as_str().unwrap_or_default().to_owned()
        };
        shown.as_array().unwrap().iter().map(told).collect()
    }

    fn await_last(&self, server: &str, expected: &str) {
        let waited = wait_until(expected, LONG, || {
            self.last(server).iter().any(|told| told.contains(expected)).then_some(())
        });
        assert!(waited.is_ok(), "{expected}: {:?}\n{}", self.last(server), self.logs());
    }

    fn iptables(&self, host: &str, line: &str) {
        self.site.run(host, "iptables", &line.split(' ').collect::<Vec<_>>());
    }

    fn listen(&self, host: &str, address: &str) -> TcpListener {
        let address: SocketAddr = address.parse().unwrap();
        self.site.lab.host(host).enter(|| TcpListener::bind(address)).unwrap().unwrap()
    }
}

/// The TCP flags of frames between the director and port 80 of a server, by who sent them.
fn tcp_flags(frames: &[Frame]) -> Vec<(bool, u8)> {
    let flags = |frame: &Frame| {
        let packet = frame.bytes.get(14..)?;
        let tcp = match packet.first()? >> 4 {
            4 if packet.get(9) == Some(&6) => packet.get(usize::from(packet[0] & 15) * 4..)?,
            6 if packet.get(6) == Some(&6) => packet.get(40..)?,
            _ => return None,
        };
        let port = |at: usize| Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?]));
        (port(0)? == 80 || port(2)? == 80).then_some((port(2)? == 80, *tcp.get(13)?))
    };
    frames.iter().filter_map(flags).collect()
}

const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

#[test]
fn half_open_connections_are_asked_and_leave_nothing() {
    let file = "
        [[service]]
        listen = [\"tcp:192.168.1.200:80\"]
        scheduler = \"rr\"
        [[service.check]]
        kind = \"syn\"
        delay_loop = 0.1
        retry = 0
        connect_timeout = 1
        [[service.server]]
        address = \"192.168.1.10:80\"
        [[service.server]]
        address = \"192.168.1.20:80\"

        [[service]]
        listen = [\"tcp:192.168.1.200:8080\"]
        scheduler = \"rr\"
        [[service.server]]
        address = \"192.168.1.10:81\"
        [[service.server.check]]
        kind = \"syn\"
        connect_ip = \"fd00::10\"
        connect_port = 80
        delay_loop = 0.1
        retry = 0
        connect_timeout = 1
    ";
    let Some(probed) = Probed::start("site.toml", file) else { return };
    probed.await_list("nobody listens", "");
    probed.await_last("192.168.1.20", "connection refused");
    let capture = probed.site.lab.host("rs1").capture("eth0").unwrap();
    // A backlog of one entry would be full at once if anything stayed in it.
    let one = probed.listen("rs1", "[::]:80");
    one.set_nonblocking(true).unwrap();
    let other = probed.listen("rs2", "0.0.0.0:80");
    probed.await_list("they listen, by IPv4 and IPv6", "10:80=1 10:81=1 20:80=1");
    let asked =
        || tcp_flags(&capture.frames()).iter().filter(|f| **f == (false, SYN | ACK)).count();
    wait_until("many questions", LONG, || (asked() > 60).then_some(())).unwrap();
    let left = probed.site.run("rs1", "ss", &["-Htn", "state", "syn-recv"]);
    assert!(left.lines().count() <= 2, "one for each check at most: {left}");
    let nobody = one.accept().map(|_| ()).unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock, "the server's program sees none");
    let seen = tcp_flags(&capture.frames());
    let count = |what: (bool, u8)| seen.iter().filter(|flags| **flags == what).count();
    let resets = seen.iter().filter(|(ours, flags)| *ours && flags & RST != 0).count();
    assert_eq!(count((true, ACK)), 0, "no connection was completed");
    assert!(resets + 2 >= count((false, SYN | ACK)), "each answer met a RST: {seen:?}");
    let quiet = "INPUT -p tcp --dport 80 -j DROP";
    probed.iptables("rs2", &format!("-A {quiet}"));
    probed.await_list("one is silent", "10:80=1 10:81=1");
    probed.await_last("192.168.1.20", "connecting took longer than 1 s");
    probed.iptables("rs2", &format!("-D {quiet}"));
    probed.await_list("it speaks again", "10:80=1 10:81=1 20:80=1");
    drop((one, other));
    probed.await_list("both are gone", "");
}

/// An agent: a line for each who asks.
struct AgentServer {
    line: Arc<Mutex<String>>,
    answers: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
}

impl AgentServer {
    fn start(probed: &Probed, host: &str, line: &str) -> Self {
        let listener = probed.listen(host, "0.0.0.0:8888");
        listener.set_nonblocking(true).unwrap();
        let line = Arc::new(Mutex::new(line.to_owned()));
        let stop = Arc::new(AtomicBool::new(false));
        let answers = Arc::new(AtomicUsize::new(0));
        let (says, count, over) = (Arc::clone(&line), Arc::clone(&answers), Arc::clone(&stop));
        let worker = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((mut stream, _)) => {
                        let line = says.lock().unwrap().clone();
                        let _ = stream.write_all(line.as_bytes());
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) => thread::sleep(Duration::from_millis(10)),
                }
            }
        });
        Self { line, answers, stop, worker: Some(worker) }
    }

    /// Returns when it was heard: a question comes after the answer before.
    fn say(&self, line: &str) {
        line.clone_into(&mut self.line.lock().unwrap());
        let before = self.answers.load(Ordering::Relaxed);
        let heard = || (self.answers.load(Ordering::Relaxed) > before + 2).then_some(());
        wait_until("the director to ask", LONG, heard).unwrap();
    }
}

impl Drop for AgentServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.worker.take().unwrap().join().unwrap();
    }
}

#[test]
fn agents_are_followed() {
    let file = "
        [[service]]
        listen = [\"tcp:192.168.1.200:80\"]
        scheduler = \"wrr\"
        [[service.server]]
        address = \"192.168.1.10:80\"
        weight = 40
        [[service.server.check]]
        kind = \"agent\"
        connect_port = 8888
        delay_loop = 0.1
        retry = 0
        connect_timeout = 2
    ";
    let Some(probed) = Probed::start("site.toml", file) else { return };
    probed.await_last("192.168.1.10", "the agent does not answer: connection refused");
    assert_eq!(probed.listed(), "10:80=40", "an agent that is not there changes nothing");
    let agent = AgentServer::start(&probed, "rs1", "up\n");
    probed.await_last("192.168.1.10", "good");
    for (line, expected, why) in [
        ("50%\n", "10:80=20", "half of what is written"),
        ("drain\n", "10:80=0", "no new connections"),
        ("up 75%\n", "10:80=0", "only `ready` ends a drain"),
        ("ready 75%\r\n", "10:80=30", "which it does"),
        ("maint\n", "", "out of the list"),
        ("ready 100% maxconn:30\n", "10:80=40", "and in again"),
        ("stopped # for the night\n", "", "down"),
        ("90%\n", "", "only `up` brings it up"),
        ("up", "10:80=36", "which it does, without an end of line, too"),
    ] {
        agent.say(line);
        probed.await_list(why, expected);
    }
    agent.say("HTTP/1.1 400 Bad Request\r\n");
    probed.await_last("192.168.1.10", "which means nothing; the server stays as it is");
    assert_eq!(probed.listed(), "10:80=36");
    drop(agent);
    probed.await_last("192.168.1.10", "the agent does not answer: connection refused");
    assert_eq!(probed.listed(), "10:80=36", "an agent that goes changes nothing");
    let slow = probed.listen("rs1", "0.0.0.0:8888");
    probed.await_last("192.168.1.10", "the agent does not answer: no line within 2 s");
    assert_eq!(probed.listed(), "10:80=36", "nor does one that takes its time");
    drop(slow);
}

/// tonic's server with its health service.
struct GrpcServer {
    runtime: Option<tokio::runtime::Runtime>,
    reporter: HealthReporter,
}

impl GrpcServer {
    fn start(probed: &Probed, host: &str, address: &str, tls: bool) -> Self {
        let listener = probed.listen(host, address);
        listener.set_nonblocking(true).unwrap();
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let (reporter, health) = tonic_health::server::health_reporter();
        runtime.spawn(async move {
            let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener).unwrap());
            let mut server = Server::builder();
            if tls {
                let names = vec!["rs1.example".to_owned()];
                let made = rcgen::generate_simple_self_signed(names).unwrap();
                let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
                let config = ServerTlsConfig::new().identity(Identity::from_pem(chain, key));
                server = server.tls_config(config).unwrap();
            }
            server.add_service(health).serve_with_incoming(incoming).await.unwrap();
        });
        Self { runtime: Some(runtime), reporter }
    }

    fn say(&self, service: &str, status: ServingStatus) {
        let runtime = self.runtime.as_ref().unwrap();
        runtime.block_on(self.reporter.set_service_status(service, status));
    }

    fn forget(&mut self, service: &str) {
        let runtime = self.runtime.as_ref().unwrap();
        runtime.block_on(self.reporter.clear_service_status(service));
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

#[test]
fn grpc_servers_are_asked_for_their_health() {
    let file = "
        [[service]]
        listen = [\"tcp:192.168.1.200:50051\"]
        scheduler = \"rr\"
        [[service.server]]
        address = \"192.168.1.10:50051\"
        [[service.server.check]]
        kind = \"grpc\"
        service = \"shop.Web\"
        delay_loop = 0.1
        retry = 0
        connect_timeout = 2
        [[service.server]]
        address = \"192.168.1.20:50052\"
        [[service.server.check]]
        kind = \"grpc\"
        tls = true
        delay_loop = 0.1
        retry = 0
        connect_timeout = 2
    ";
    let Some(probed) = Probed::start("site.toml", file) else { return };
    probed.await_list("nobody is there", "");
    probed.await_last("192.168.1.10", "connection refused");
    let mut clear = GrpcServer::start(&probed, "rs1", "0.0.0.0:50051", false);
    probed.await_last("192.168.1.10", "grpc-status 5 (NOT_FOUND)");
    probed.await_last("192.168.1.10", "the service shop.Web is not known there");
    let tls = GrpcServer::start(&probed, "rs2", "0.0.0.0:50052", true);
    probed.await_list("one serves as a whole, by TLS", "20:50052=1");
    clear.say("shop.Web", ServingStatus::Serving);
    probed.await_list("and one a service", "10:50051=1 20:50052=1");
    clear.say("shop.Web", ServingStatus::NotServing);
    probed.await_list("which it stops to", "20:50052=1");
    probed.await_last("192.168.1.10", "answered NOT_SERVING");
    clear.say("shop.Web", ServingStatus::Unknown);
    probed.await_last("192.168.1.10", "answered UNKNOWN");
    clear.say("shop.Web", ServingStatus::Serving);
    probed.await_list("and begins again to", "10:50051=1 20:50052=1");
    clear.forget("shop.Web");
    probed.await_list("and forgets", "20:50052=1");
    drop(clear);
    probed.await_last("192.168.1.10", "connection refused");
    let mute = probed.listen("rs1", "0.0.0.0:50051");
    probed.await_last("192.168.1.10", "the next piece of the answer took longer than 2 s");
    drop(mute);
    drop(tls);
    probed.await_list("nobody is left", "");
}

/// BIRD's program on a host.
struct Bird {
    folder: PathBuf,
    process: usize,
}

impl Bird {
    /// `more` belongs to the interface's terms.
    fn start(probed: &mut Probed, host: &str, more: &str) -> Self {
        let folder = probed.site.lab.folder().join(format!("bird-{host}"));
        fs::create_dir_all(&folder).unwrap();
        let text = format!(
            "log stderr all;\nrouter id 192.168.1.10;\nprotocol device {{}}\n\
             protocol bfd bfd1 {{\n debug {{ states, events }};\n interface \"eth0\" {{\n  \
             min rx interval 100 ms; min tx interval 100 ms; idle tx interval 1 s;\n  \
             multiplier 5; {more}\n }};\n neighbor 192.168.1.1 dev \"eth0\";\n \
             neighbor fd00::1 dev \"eth0\" local fd00::10;\n}}\n"
        );
        fs::write(folder.join("bird.conf"), text).unwrap();
        let bird = find_program("bird").unwrap();
        let mut command = probed.site.command(host, &bird);
        command.arg("-d").current_dir(&folder);
        command.args(["-c", "bird.conf", "-s", "bird.ctl", "-P", "bird.pid"]);
        let process = probed.site.start_command(host, command, "bird", "<INFO> Started");
        Self { folder, process }
    }

    /// What BIRD says to `birdc`.
    fn tell(&self, words: &str) -> String {
        let mut command = Command::new(find_program("birdc").unwrap());
        command.arg("-s").arg(self.folder.join("bird.ctl")).args(words.split(' '));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    /// The lines of its sessions with this address.
    fn sessions(&self, neighbor: &str) -> Vec<String> {
        let told = self.tell("show bfd sessions");
        let of = |line: &&str| line.split_whitespace().next() == Some(neighbor);
        told.lines().filter(of).map(str::to_owned).collect()
    }
}

fn bfd_file(more: &str) -> String {
    let instance = |name: &str, neighbor: &str| {
        format!(
            "bfd_instance {name} {{\n neighbor_ip {neighbor}\n min_rx 100\n min_tx 100\n \
             idle_tx 1000\n multiplier 5\n}}\n"
        )
    };
    // No check looks again within a test: what changes, changes by the session's own word.
    let service = |port: u16, servers: &[(&str, &str)]| {
        let server = |(address, name): &(&str, &str)| {
            format!(" real_server {address} {port} {{\n  BFD_CHECK {{ name {name} }}\n }}\n")
        };
        let servers: String = servers.iter().map(server).collect();
        format!(
            "virtual_server 192.168.1.200 {port} {{\n delay_loop 3600\n lb_algo rr\n \
             lb_kind NAT\n protocol TCP\n{servers}}}\n"
        )
    };
    [
        instance("one", "192.168.1.10"),
        instance("two", "192.168.1.20"),
        instance("one6", "fd00::10"),
        service(80, &[("192.168.1.10", "one"), ("192.168.1.20", "two")]),
        service(81, &[("192.168.1.10", "one")]),
        service(82, &[("192.168.1.10", "one6")]),
        more.to_owned(),
    ]
    .concat()
}

#[test]
fn bfd_sessions_with_bird_are_followed() {
    if find_program("bird").is_err() {
        return skip("bird is missing (package bird2)");
    }
    let Some(mut probed) = Probed::start("keepalived.conf", &bfd_file("")) else { return };
    let one = "10:80=1 10:81=1 10:82=1";
    probed.await_list("nobody speaks", "");
    probed.await_last("192.168.1.20", "the session is down: nothing comes from the neighbor");
    let bird = Bird::start(&mut probed, "rs1", "");
    probed.await_list("one speaks, by IPv4 and IPv6", one);
    for (neighbor, of) in [("192.168.1.1", "two checks"), ("fd00::1", "one check")] {
        let sessions = bird.sessions(neighbor);
        assert_eq!(sessions.len(), 1, "one session of {of}: {}", bird.tell("show bfd sessions"));
        assert!(sessions[0].contains(" Up "), "{sessions:?}");
        assert!(sessions[0].contains("0.100"), "they agreed on the interval: {sessions:?}");
    }
    bfd_reload(&mut probed, &bird);
    // A crash: silence alone tells.
    probed.site.kill(bird.process);
    probed.await_list("it crashed", "");
    probed.await_last("192.168.1.10", "nothing came from the neighbor for 0.5 s");
    let bird = Bird::start(&mut probed, "rs1", "");
    probed.await_list("it is back", one);
    let quiet = "OUTPUT -p udp --dport 3784 -j DROP";
    probed.iptables("rs1", &format!("-A {quiet}"));
    probed.await_list("its packets are lost, by IPv4", "10:82=1");
    probed.iptables("rs1", &format!("-D {quiet}"));
    probed.await_list("and come again", one);
    bird.tell("disable bfd1");
    probed.await_list("it is taken down by hand", "");
    bird.tell("enable bfd1");
    probed.await_list("and up", one);
    // Another hop would have taken one from the TTL.
    let far = "POSTROUTING -t mangle -p udp --dport 3784 -j TTL --ttl-set 254";
    probed.iptables("rs1", &format!("-A {far}"));
    probed.await_list("its packets come from afar", "10:82=1");
    probed.await_last("192.168.1.10", "a packet with a TTL of 254, 255 is wanted");
    probed.iptables("rs1", &format!("-D {far}"));
    probed.await_list("and from near again", one);
    bfd_restart(&mut probed, &bird);
}

/// A server of which nothing bad was known goes down.
const DOWN: &str = " 192.168.1.10:80 of tcp:192.168.1.200:80: down: ";

/// The director's crash is noticed; its next life takes the servers for what they were.
fn bfd_restart(probed: &mut Probed, bird: &Bird) {
    let await_state = |state: &str| {
        let state = format!(" {state} ");
        let is = || bird.sessions("192.168.1.1")[0].contains(&state).then_some(());
        let waited = wait_until(&state, LONG, is);
        assert!(waited.is_ok(), "{}", bird.tell("show bfd sessions"));
    };
    let downs = |probed: &Probed| probed.site.log("director", "run").matches(DOWN).count();
    let before = downs(probed);
    // What was found is on disk soon: one server's session is down, and says so.
    wait_until("what was found to be kept", LONG, || {
        let kept = find(&probed.site.lab.folder(), "checks.json")?;
        let text = fs::read_to_string(kept).ok()?;
        (text.matches("the session is down").count() == 1).then_some(())
    })
    .unwrap();
    let director = probed.director;
    probed.site.kill(director);
    await_state("Down");
    let path = probed.site.lab.folder().join("keepalived.conf");
    probed.site.start_director(&format!("--interface eth0 -c {}", path.display()));
    assert_eq!(probed.listed(), "10:80=1 10:81=1 10:82=1", "before any session is up again");
    await_state("Up");
    probed.await_last("192.168.1.10", "good");
    assert_eq!(downs(probed), before, "{}", probed.logs());
}

/// A file of this name in a folder or below it.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() { find(&path, name) } else { path.ends_with(name).then_some(path) }
    })
}

/// A reload leaves the sessions as they are, and a new check of an old one is good at once.
fn bfd_reload(probed: &mut Probed, bird: &Bird) {
    let before = [bird.sessions("192.168.1.1"), bird.sessions("fd00::1")];
    // State, and since when, in seconds of the day.
    let since = |lines: &[Vec<String>; 2]| -> Vec<(String, f64)> {
        let row = |line: &String| {
            let mut words = line.split_whitespace().skip(2);
            let (state, time) = (words.next().unwrap(), words.next().unwrap());
            let parts = time.split(':').map(|part| part.parse::<f64>().unwrap());
            (state.to_owned(), parts.fold(0.0, |all, part| all * 60.0 + part))
        };
        lines.iter().flatten().map(row).collect()
    };
    let more = "virtual_server 192.168.1.200 83 {\n delay_loop 3600\n lb_algo rr\n lb_kind NAT\n \
                protocol TCP\n real_server 192.168.1.10 83 {\n BFD_CHECK { name one }\n }\n}\n";
    let path = probed.site.lab.folder().join("keepalived.conf");
    for (text, expected) in [
        (bfd_file(more), "10:80=1 10:81=1 10:82=1 10:83=1"),
        (bfd_file(""), "10:80=1 10:81=1 10:82=1"),
    ] {
        fs::write(&path, text).unwrap();
        probed.site.xlvs("director", &format!("apply {}", path.display()));
        probed.await_list("the file was put in force", expected);
    }
    let after = [bird.sessions("192.168.1.1"), bird.sessions("fd00::1")];
    let (before, after) = (since(&before), since(&after));
    // BIRD works the moment out anew each time, and may be a millisecond off.
    let same = |(b, a): (&(String, f64), &(String, f64))| b.0 == a.0 && (b.1 - a.1).abs() < 0.1;
    let unharmed = before.len() == after.len() && before.iter().zip(&after).all(same);
    assert!(unharmed, "nothing happened to the sessions: {before:?} {after:?}");
}

#[test]
fn bfd_with_a_key_is_refused_in_words() {
    if find_program("bird").is_err() {
        return skip("bird is missing (package bird2)");
    }
    let Some(mut probed) = Probed::start("keepalived.conf", &bfd_file("")) else { return };
    let key = "authentication simple; password \"abc\";";
    let bird = Bird::start(&mut probed, "rs1", key);
    probed.await_last("192.168.1.10", "with authentication, which xlvs does not do");
    assert_eq!(probed.listed(), "", "{}", bird.tell("show bfd sessions"));
}

#[test]
fn another_speaker_of_bfd_on_the_director_is_told_of() {
    if find_program("bird").is_err() {
        return skip("bird is missing (package bird2)");
    }
    // The director's own routes may be BIRD's.
    let Some(mut probed) = Probed::start("keepalived.conf", "") else { return };
    let _bird = Bird::start(&mut probed, "director", "");
    let path = probed.site.lab.folder().join("keepalived.conf");
    fs::write(&path, bfd_file("")).unwrap();
    probed.site.xlvs("director", &format!("apply {}", path.display()));
    probed.await_last("192.168.1.10", "could not be asked: another program has UDP port 3784");
    assert_eq!(probed.listed(), "10:80=1 10:81=1 10:82=1 20:80=1", "which says nothing of servers");
}
