//! The story: what is typed, what is expected, what is counted.

use std::{fmt::Write, time::Duration};

use anyhow::Result;

use super::stage::{SERVERS, SERVICE, Stage, VIP, end_load};
use crate::testclient::tally::Tally;

/// All of it, in order.
pub(super) fn all(stage: &mut Stage<'_>) -> Result<()> {
    introduce(stage);
    direct_routing(stage)?;
    quiesce(stage)?;
    nat(stage)?;
    tunnel(stage)?;
    crash(stage)
}

fn introduce(stage: &Stage<'_>) {
    stage.narrator.say(&format!(
        "Five hosts on one network, each a network namespace of this machine:\n  \
         client 172.16.0.100, director 172.16.0.110 with the virtual address {VIP},\n  \
         real servers rs1 172.16.0.114, rs2 172.16.0.115, rs3 172.16.0.116."
    ));
}

fn direct_routing(stage: &mut Stage<'_>) -> Result<()> {
    stage.narrator.act("One virtual server, three real ones: direct routing (DR)");
    for (name, ..) in SERVERS {
        stage.typed(name, &format!("realserver start --vip {VIP}"))?;
    }
    stage.start_director("run --interface eth0 --connections 65536")?;
    stage.typed("director", "ipvsadm -C")?;
    stage.typed("director", &format!("ipvsadm -A -t {SERVICE} -s wrr"))?;
    for (_, address, weight) in SERVERS {
        let line = format!("ipvsadm -a -t {SERVICE} -r {address}:2100 -g -w {weight}");
        stage.typed("director", &line)?;
    }
    stage.await_next_hops()?;
    distribution(stage, "DR")?;
    stage.show_table()?;
    Ok(())
}

fn quiesce(stage: &mut Stage<'_>) -> Result<()> {
    stage.narrator.act("Take rs1 out without breaking a connection: weight 0");
    let before: u32 = stage.table()?.iter().map(|row| row.active).sum();
    let load = stage.hold(6, "200ms")?;
    stage.await_active(before + 6)?;
    let (_, address, weight) = SERVERS[0];
    let change = |weight| format!("ipvsadm -e -t {SERVICE} -r {address}:2100 -g -w {weight}");
    stage.typed("director", &change(0))?;
    let table = stage.show_table()?;
    let first = table.iter().find(|row| row.server.starts_with(address));
    let held = first.is_some_and(|row| row.weight == 0 && row.active >= 3);
    stage.narrator.claim(held, "rs1 has weight 0 and still holds its open connections");

    let count = stage.amount(30);
    let tally = stage.new_connections(count)?;
    let shares = [("rs2", 2), ("rs3", 1)];
    check_shares(stage, &tally, &shares, "new connections avoid rs1");

    let answered = stage.answered_by("rs1");
    stage.pause(Duration::from_secs(2))?;
    let more = stage.answered_by("rs1") - answered;
    stage
        .narrator
        .claim(more > 0, &format!("meanwhile rs1 answered {more} requests on the open ones"));
    let tally = end_load(load)?;
    let on_rs1 = tally.hosts.get("rs1").map_or(0, |host| host.connections);
    stage.narrator.claim(
        tally.lost.is_empty() && on_rs1 == 3,
        &format!("of 6 long connections ({on_rs1} on rs1) {} broke", tally.lost.len()),
    );
    stage.typed("director", &change(weight))?;
    Ok(())
}

fn nat(stage: &mut Stage<'_>) -> Result<()> {
    stage.narrator.act("The same by NAT: the servers know nothing of the virtual address");
    for (name, ..) in SERVERS {
        stage.typed(name, "realserver stop")?;
    }
    stage.answer_through_director(true)?;
    stage.let_director_forward(true)?;
    change_method(stage, "-m")?;
    distribution(stage, "NAT")?;
    let table = stage.show_table()?;
    let masq = table.iter().all(|row| row.method == "Masq");
    stage.narrator.claim(masq, "the table says Masq");
    stage.let_director_forward(false)?;
    stage.answer_through_director(false)
}

fn tunnel(stage: &mut Stage<'_>) -> Result<()> {
    stage.narrator.act("The same by tunnel (IP in IP): the servers could be anywhere");
    for (name, ..) in SERVERS {
        stage.typed(name, &format!("realserver start --vip {VIP} --mode tun --interface eth0"))?;
    }
    change_method(stage, "-i")?;
    distribution(stage, "tunnel")?;
    stage.show_table()?;
    let status = stage.typed("rs1", "realserver status")?;
    stage.narrator.output(&status);
    let unwrapped = status.contains("tunnel on eth0") && !status.contains(": 0 packets");
    stage.narrator.claim(unwrapped, "rs1 unwrapped packets from the tunnel");
    Ok(())
}

fn crash(stage: &mut Stage<'_>) -> Result<()> {
    stage.narrator.act("The daemon is killed under load, and starts again");
    let before: u32 = stage.table()?.iter().map(|row| row.active).sum();
    let held = 30;
    let load = stage.hold(held, "50ms")?;
    stage.await_active(before + held)?;
    stage.kill_director()?;
    let count = stage.amount(60);
    let tally = stage.new_connections(count)?;
    check_shares(stage, &tally, &weights(), "without a daemon new connections go on, by weight");
    stage.pause(Duration::from_secs(1))?;
    stage.start_director("run --interface eth0 --connections 65536")?;
    let table = stage.show_table()?;
    let known = table.len() == 3 && table.iter().map(|row| row.active).sum::<u32>() >= held;
    stage.narrator.claim(known, "the new daemon has the old one's table and connections");
    let answers: usize = SERVERS.iter().map(|(name, ..)| stage.answered_by(name)).sum();
    stage.pause(Duration::from_secs(1))?;
    let later: usize = SERVERS.iter().map(|(name, ..)| stage.answered_by(name)).sum();
    let tally = end_load(load)?;
    let (lost, requests) = (tally.lost.len(), tally.answers);
    stage.narrator.claim(
        lost == 0 && later > answers,
        &format!("{held} connections held throughout, {requests} requests, {lost} broken"),
    );
    Ok(())
}

/// Sixty new connections and who got them.
fn distribution(stage: &mut Stage<'_>, method: &str) -> Result<()> {
    let count = stage.amount(60);
    let tally = stage.new_connections(count)?;
    check_shares(stage, &tally, &weights(), &format!("{method}: wrr gave each server its share"));
    Ok(())
}

fn weights() -> Vec<(&'static str, u64)> {
    SERVERS.iter().map(|(name, _, weight)| (*name, *weight)).collect()
}

/// Prints expected and counted; claims that they are the same and that nothing was lost.
fn check_shares(stage: &mut Stage<'_>, tally: &Tally, shares: &[(&str, u64)], claim: &str) {
    let sum: u64 = shares.iter().map(|(_, weight)| weight).sum();
    let all = tally.requests;
    let mut text = format!("{:<8}{:>10}{:>10}", "server", "expected", "counted");
    let mut exact = tally.lost.is_empty() && all > 0;
    for (name, ..) in SERVERS {
        let weight =
            shares.iter().find(|(other, _)| *other == name).map_or(0, |(_, weight)| *weight);
        let expected = all * weight / sum;
        let counted = tally.hosts.get(name).map_or(0, |host| host.answers);
        exact &= counted == expected;
        let _ = write!(text, "\n{name:<8}{expected:>10}{counted:>10}"); // a string takes all
    }
    stage.narrator.output(&text);
    stage.narrator.claim(exact, &format!("{claim} ({all} connections, {} lost)", tally.lost.len()));
}

fn change_method(stage: &Stage<'_>, method: &str) -> Result<()> {
    for (_, address, weight) in SERVERS {
        let line = format!("ipvsadm -e -t {SERVICE} -r {address}:2100 {method} -w {weight}");
        stage.typed("director", &line)?;
    }
    stage.await_next_hops()
}
