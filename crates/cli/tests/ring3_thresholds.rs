//! `-x` and `-y`, step by step as a kernel of 6.12 answered the same lines: who takes a connection,
//! and what a client hears when nobody does. Needs root; says so when skipped.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

mod site;

use std::{collections::BTreeMap, net::Ipv4Addr};

use xlvs_testkit::{Evidence, Plan, wait_until};

use site::{
    LONG, Site,
    dial::{Dialled, dial},
    talk::Talk,
};

const SERVICE: &str = "172.16.0.113:2100";

/// The client's `n`th address.
fn client(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 16, 16, n)
}

/// Connections to a service of rr over two servers, by their number.
struct Clients<'a> {
    site: &'a Site,
    open: BTreeMap<usize, Talk>,
    attempts: usize,
}

/// A connection that its client has closed is gone a second later. `options` are the service's.
fn start(options: &str) -> Option<Site> {
    let mut plan = Plan::one_arm(2, 4);
    let director = plan.hosts.iter_mut().find(|host| host.name == "director").unwrap();
    // Every client hears that it was refused, not one in a second.
    director.sysctls.push(("net.ipv4.icmp_ratelimit".to_owned(), "0".to_owned()));
    let mut site = Site::build(&plan)?;
    for name in ["rs1", "rs2"] {
        site.xlvs(name, "realserver start --vip 172.16.0.113");
        let line = format!("testserver 2100 --quiet --name {name}");
        site.start(name, &line, "Listening Port is 2100...");
    }
    site.start_director("--interface eth0");
    let add = format!("service add tcp:{SERVICE} -s rr --timeout-tcp-fin 1 {options}");
    site.xlvs("director", &add);
    Some(site)
}

impl<'a> Clients<'a> {
    /// Adds the servers with these options.
    fn of(site: &'a Site, first: &str, second: &str) -> Self {
        let clients = Self { site, open: BTreeMap::new(), attempts: 0 };
        clients.server("-a", 114, first);
        clients.server("-a", 115, second);
        site.await_next_hops();
        clients
    }

    /// The next connection's server, or `refused`.
    fn dial(&mut self, from: u8) -> String {
        self.attempts += 1;
        let dialled = dial(self.site, client(from), SERVICE, LONG);
        let name = dialled.name().to_owned();
        if let Dialled::Talk(talk) = dialled {
            self.open.insert(self.attempts, talk);
        }
        name
    }

    /// Closes some, and waits until the director has forgotten them.
    fn close(&mut self, numbers: &[usize]) {
        for number in numbers {
            drop(self.open.remove(number).unwrap());
        }
        let counted = || -> usize {
            let count =
                |line: &String| line.split_whitespace().rev().take(2).map(number).sum::<usize>();
            self.thresholds().iter().map(count).sum()
        };
        let gone = || (counted() == self.open.len()).then_some(());
        wait_until("a closed connection to go", LONG, gone).unwrap();
    }

    fn server(&self, command: &str, number: u8, options: &str) {
        let line = format!("ipvsadm {command} -t {SERVICE} -r 172.16.0.{number}:2100 -g {options}");
        self.site.xlvs("director", &line);
    }

    /// The servers in `ipvsadm -Ln --thresholds`.
    fn thresholds(&self) -> Vec<String> {
        let listing = self.site.xlvs("director", "ipvsadm -Ln --thresholds");
        listing.lines().skip(4).map(str::to_owned).collect()
    }
}

fn number(text: &str) -> usize {
    text.parse().unwrap()
}

/// What is done, who then takes the next connections, and why.
type Step = (fn(&mut Clients<'_>), &'static str, &'static str);

/// As recorded: rs1 has the number 114, rs2 115, and the last one added comes first.
const STEPS: [Step; 7] = [
    (|_| (), "rs2 rs1 rs2 rs1 rs2 refused refused", "both are full"),
    (|c| c.close(&[1]), "rs2 refused refused", "2 is below three quarters of 3"),
    (|c| c.server("-e", 114, "-x 4 -y 3"), "rs1 rs1 refused refused", "raised"),
    (|c| c.server("-e", 115, "-x 10"), "rs2", "raised"),
    (|c| c.server("-e", 115, "-x 1 -y 0"), "refused refused", "lowered below what it has"),
    (|c| c.server("-e", 115, "-x 0"), "rs2 rs2", "taken away"),
    (
        |c| {
            c.server("-e", 115, "-w 0");
            c.server("-e", 114, "-x 4 -y 3");
        },
        "refused refused",
        "said again it changes nothing",
    ),
];

#[test]
fn an_overloaded_server_takes_nobody_as_in_the_kernel() {
    let Some(site) = start("") else { return };
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    let mut clients = Clients::of(&site, "-x 2 -y 1", "-x 3");
    for (step, expected, sentence) in STEPS {
        step(&mut clients);
        let said: Vec<_> = expected.split(' ').map(|_| clients.dial(1)).collect();
        assert_eq!(said.join(" "), expected, "{sentence}");
    }
    assert_eq!(clients.site.packets("sent_port_unreachable"), 10, "each one that was refused");
    let expected = [
        "  -> 172.16.0.114:2100            4          3          4          0         ",
        "  -> 172.16.0.115:2100            0          0          6          0         ",
    ];
    assert_eq!(clients.thresholds(), expected);
    for talk in clients.open.values_mut() {
        talk.goes_on("whoever was taken is served all along");
    }
    drop(evidence);
}

#[test]
fn a_server_with_a_lower_threshold_waits_until_it_is_below_it() {
    let Some(site) = start("") else { return };
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    let mut clients = Clients::of(&site, "-x 4 -y 2", "-w 0");
    let said: Vec<_> = (0..5).map(|_| clients.dial(1)).collect();
    assert_eq!(said, ["rs1", "rs1", "rs1", "rs1", "refused"]);
    clients.close(&[1, 2]);
    assert_eq!(clients.dial(1), "refused", "with 2");
    clients.close(&[3]);
    assert_eq!(clients.dial(1), "rs1", "with 1");
    drop(evidence);
}

#[test]
fn a_client_that_is_kept_goes_to_its_server_however_full() {
    let Some(site) = start("--persistent 100") else { return };
    let evidence = Evidence::collect(&site.lab, &Site::evidence_folder()).unwrap();
    let mut clients = Clients::of(&site, "-x 1", "-x 1");
    let said: Vec<_> = [1, 1, 1, 2, 3, 2].into_iter().map(|n| clients.dial(n)).collect();
    assert_eq!(said, ["rs2", "rs2", "rs2", "rs1", "refused", "rs1"]);
    drop(evidence);
}
