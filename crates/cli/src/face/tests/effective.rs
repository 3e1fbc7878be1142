//! What is in force is listed, as where keepalived edits the kernel's table; what is written is
//! saved.

use xlvs_model::{
    Action, Change, Finding, Health, Method, OnDeadline, Override, Quorum, Server, ServiceKey,
};

use super::world::World;

/// Lines of servers by number and weight.
fn rows(servers: &[(u8, u32)]) -> String {
    let row = |(n, weight): &(u8, u32)| {
        format!("  -> 10.0.1.{n}:80                  Masq    {weight:<6} 0          0         \n")
    };
    servers.iter().map(row).collect::<Vec<_>>().concat()
}

#[test]
fn listings_show_what_is_in_force_and_rules_what_is_written() {
    let world = World::new();
    world.shell("ipvsadm -A -t 10.0.0.1:80 -s wrr");
    for n in 1..=4 {
        world.shell(&format!("ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.{n}:80 -m -w {n}"));
    }
    let service: ServiceKey = "tcp:10.0.0.1:80".parse().unwrap();
    let key = |n: u8| format!("10.0.1.{n}:80").parse().unwrap();
    let is = |n, up, inhibit, weight| Finding::Server {
        service,
        server: key(n),
        health: Some(Health { up, inhibit, weight, cause: String::new() }),
    };
    let sorry = Some(Server::new(key(9), Method::Masq, 1));
    let quorum = |holds| Finding::Service {
        service,
        quorum: Some(Quorum { holds, sorry, inhibit: false, cause: String::new() }),
    };
    let drain = Action::Drain { deadline: None, on_deadline: OnDeadline::default(), over: false };
    let value = Override { action: drain, owner: String::new(), reason: String::new(), since: 1 };
    {
        let mut memory = world.memory.borrow_mut();
        memory.model.apply(&Change::SetOverride { service, server: key(4), value }).unwrap();
        let found =
            [is(1, false, false, None), is(2, false, true, None), is(3, true, false, Some(50))];
        memory.found = found.into();
        memory.found.push(quorum(true));
    }
    let listed = |command: &str| world.shell(command).out;
    let head = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.0.0.1:80 wrr
";
    let listed_rows = rows(&[(2, 0), (3, 50), (4, 0)]);
    assert_eq!(listed("ipvsadm -Ln"), format!("{head}{listed_rows}"));
    let rule = |n: u8| format!("-a -t 10.0.0.1:80 -r 10.0.1.{n}:80 -m -w {n}\n");
    let rules = [1, 2, 3, 4].map(rule).concat();
    assert_eq!(listed("ipvsadm -Sn"), format!("-A -t 10.0.0.1:80 -s wrr\n{rules}"));
    assert_eq!(listed("cat /proc/net/ip_vs").matches("Masq").count(), 3);

    world.memory.borrow_mut().found.push(quorum(false));
    let listed_rows = rows(&[(2, 0), (4, 0), (9, 1)]);
    assert_eq!(listed("ipvsadm -Ln"), format!("{head}{listed_rows}"));
    assert_eq!(listed("ipvsadm -Sn"), format!("-A -t 10.0.0.1:80 -s wrr\n{rules}"), "as before");
}
