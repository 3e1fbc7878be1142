//! Seed 003's table, with real servers of `MariaDB` and their real client: what clients are told
//! when a server is taken out of the list or dies, whatever they do just then. Its scripts as they
//! are. Needs root, net-tools and `MariaDB`; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]
#![expect(clippy::print_stdout, reason = "how long clients wait is for people to read")]

mod site;

use std::path::PathBuf;
use std::time::Duration;

use xlvs_testkit::{Evidence, HostPlan, Net, Plan, find_program};

use site::{
    Site,
    mariadb::{Client, PROGRAMS, Server, Told},
    skip,
};

const VIP: &str = "172.16.0.113";
const PORT: &str = "3306";
/// The seed's `${realserver1}` and `${realserver2}`.
const SERVERS: [(&str, &str); 2] = [("rs1", "172.16.0.114"), ("rs2", "172.16.0.115")];
/// Nobody waits so long for a network of namespaces, and TCP has said everything again three times.
const NOTHING_COMES: Duration = Duration::from_secs(3);

/// The seed's site.
struct Table {
    servers: Vec<Server>,
    site: Site,
}

/// What a director says of clients whose server was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Profile {
    /// Ours.
    Default,
    /// The kernel's: silence, as the seed found it.
    Kernel,
    /// The kernel's with the seed's remedy.
    ResetAtOnce,
}

impl Table {
    /// The seed's servers and director, in its own words.
    fn build(profile: Profile) -> Option<Self> {
        for program in PROGRAMS {
            if let Err(reason) = find_program(program) {
                skip(&format!("{reason}, and the seed is about it"));
                return None;
            }
        }
        let site = Site::build(&plan())?;
        let started = (1..).zip(SERVERS).map(|(id, (host, _))| Server::start(&site, host, id));
        let servers: Vec<_> = started.collect();
        let mut this = Self { servers, site };
        for (host, _) in SERVERS {
            this.script(host, "003-realserver.sh");
        }
        this.site.start_director("--interface eth0");
        if profile != Profile::Default {
            this.site.xlvs("director", "set profile=kernel");
        }
        if profile == Profile::ResetAtOnce {
            this.script("director", "003-reset-at-once.sh");
        }
        this.script("director", "003-director.sh");
        this.site.await_next_hops();
        Some(this)
    }

    /// Runs one of the seed's scripts, its variables set.
    fn script(&self, host: &str, name: &str) {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/seeds").join(name);
        let set = format!(
            "vip={VIP} port={PORT} realserver1={} realserver2={}; xlvs() {{ {} \"$@\"; }}; . {}",
            SERVERS[0].1,
            SERVERS[1].1,
            site::XLVS,
            script.display(),
        );
        self.site.run(host, "/bin/sh", &["-c", &set]);
    }

    /// Takes these servers off the list.
    fn remove(&self, servers: &[(&str, &str)]) {
        for (_, address) in servers {
            self.site.xlvs("director", &format!("ipvsadm -d -t {VIP}:{PORT} -r {address}:{PORT}"));
        }
    }

    /// Puts one back.
    fn restore(&self, (_, address): (&str, &str)) {
        self.site.xlvs("director", &format!("ipvsadm -a -t {VIP}:{PORT} -r {address}:{PORT}"));
        self.site.await_next_hops();
    }

    /// A client that the first server serves.
    fn client(&self) -> Client {
        let mine = || {
            let mut client = Client::start(&self.site, VIP, PORT);
            client.ask("select @@server_id");
            (client.told() == Told::Answer("1".to_owned())).then_some(client)
        };
        // Round robin: one of two.
        (0..4).find_map(|_| mine()).unwrap()
    }

    /// A new connection that asks who serves it.
    fn new_connection(&self) -> (Told, Duration) {
        let mut client = Client::start(&self.site, VIP, PORT);
        client.ask("select @@server_id");
        client.timed()
    }
}

/// One network; the director's script makes the virtual address.
fn plan() -> Plan {
    let mut plan = Plan::one_arm(2, 1);
    let vip: Net = format!("{VIP}/32").parse().unwrap();
    for link in plan.hosts.iter_mut().flat_map(|host: &mut HostPlan| &mut host.links) {
        link.addresses.retain(|address| *address != vip);
    }
    plan
}

fn say(profile: Profile, row: &str, (told, waited): &(Told, Duration)) {
    println!("{profile:?}: {row}: {told:?} after {:.3} s", waited.as_secs_f64());
}

/// The rows whose outcome is the same under every profile.
fn same_for_all(profile: Profile) {
    let Some(mut table) = Table::build(profile) else { return };
    let evidence = Evidence::collect(&table.site.lab, &Site::evidence_folder()).unwrap();
    let (first, second) = (SERVERS[0], SERVERS[1]);

    // Configured, up: new connection, SQL, SQL that takes its time.
    let mut client = table.client();
    client.ask("select 1");
    let got = client.timed();
    say(profile, "configured, up, SQL", &got);
    assert_eq!(got.0, Told::Answer("1".to_owned()));
    client.ask("select sleep(1)");
    assert_eq!(client.told(), Told::Answer("0".to_owned()));

    // Removed, up: SQL under way is answered whole, and the server stays quiet about the rest.
    client.ask("select sleep(10)");
    table.servers[0].is_asked();
    table.remove(&[first]);
    let got = client.timed();
    say(profile, "removed, up, SQL under way", &got);
    assert_eq!(got.0, Told::Answer("0".to_owned()));
    drop(client);

    // Removed, up: a new connection goes to another server, or is refused where there is none.
    let got = table.new_connection();
    say(profile, "removed, up, new connection, another server left", &got);
    assert_eq!(got.0, Told::Answer("2".to_owned()));
    table.remove(&[second]);
    let got = table.new_connection();
    say(profile, "removed, up, new connection, none left", &got);
    assert_eq!(got.0, Told::Refused);

    // Configured, dying: waiting clients and idle ones.
    table.restore(first);
    let (mut waiting, mut idle) = (table.client(), table.client());
    waiting.ask("select sleep(20)");
    table.servers[0].is_asked();
    table.servers[0].die();
    let got = waiting.timed();
    say(profile, "configured, down, SQL under way", &got);
    assert_eq!(got.0, Told::Lost);
    idle.ask("select 1");
    let got = idle.timed();
    say(profile, "configured, down, SQL", &got);
    assert_eq!(got.0, Told::Lost);
    let got = table.new_connection();
    say(profile, "configured, down, new connection", &got);
    assert_eq!(got.0, Told::Refused);
    drop(evidence);
}

#[test]
fn the_rows_that_were_well_stay_so() {
    same_for_all(Profile::Default);
}

#[test]
fn the_rows_that_were_well_are_the_kernels() {
    same_for_all(Profile::Kernel);
}

/// A client of a removed server that lives asks for something: what is it told?
fn after_removal(profile: Profile) -> Option<(Table, Client, (Told, Duration))> {
    let table = Table::build(profile)?;
    let mut client = table.client();
    table.remove(&[SERVERS[0]]);
    client.ask("select 1");
    let got = client.timed_within(NOTHING_COMES);
    say(profile, "removed, up, SQL", &got);
    Some((table, client, got))
}

#[test]
fn a_removed_servers_client_is_told_at_once() {
    let Some((table, _client, got)) = after_removal(Profile::Default) else { return };
    assert_eq!(got.0, Told::Lost);
    // And its server has heard of it: nobody holds a connection there.
    table.servers[0].is_alone();
}

#[test]
fn a_removed_servers_client_waits_under_the_kernels_profile() {
    let Some((table, mut client, got)) = after_removal(Profile::Kernel) else { return };
    assert_eq!(got.0, Told::Nothing, "the seed's NG row");
    table.restore(SERVERS[0]);
    let (told, more) = client.timed();
    say(Profile::Kernel, "removed, put back, SQL", &(told.clone(), got.1 + more));
    assert_eq!(told, Told::Answer("1".to_owned()), "put back, it goes on as in the seed");
}

#[test]
fn the_seeds_remedy_works_under_the_kernels_profile() {
    let Some((_table, _client, got)) = after_removal(Profile::ResetAtOnce) else { return };
    assert_eq!(got.0, Told::Lost);
}

/// A removed server that dies: its clients hear it from itself.
#[test]
fn a_removed_server_that_dies_tells_its_clients() {
    for profile in [Profile::Default, Profile::Kernel] {
        let Some(mut table) = Table::build(profile) else { return };
        let (mut waiting, mut idle) = (table.client(), table.client());
        waiting.ask("select sleep(20)");
        table.servers[0].is_asked();
        table.remove(&[SERVERS[0]]);
        table.servers[0].die();
        let got = waiting.timed();
        say(profile, "removed, down, SQL under way", &got);
        assert_eq!(got.0, Told::Lost);
        idle.ask("select 1");
        let got = idle.timed();
        say(profile, "removed, down, SQL", &got);
        assert_eq!(got.0, Told::Lost);
    }
}
