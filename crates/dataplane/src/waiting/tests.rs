#![expect(clippy::unwrap_used, reason = "tests")]

use xlvs_datapath::{
    state::{CLOSE, SYN_RECV, TIME_WAIT},
    tables::METHOD_ROUTE,
};

use super::*;
use crate::Memory;

const NOW: u64 = 100 * BETWEEN_NS;
const DOWN: u32 = 3;

fn key(client: u16) -> ConnKey {
    let (src, dst) = (u32::from_ne_bytes([10, 0, 0, 1]), u32::from_ne_bytes([10, 9, 0, 1]));
    ConnKey::new(src, dst, client.to_be(), 80u16.to_be(), TCP)
}

fn conn(state: u8, flags: u8, slot: u32, expires: u64) -> Conn {
    Conn::new(expires, Word::new(state, METHOD_ROUTE | flags, slot), 0, 0)
}

/// All that a whole walk asks, by the client's port; None: no walk is due.
fn walk(asking: &mut Asking, home: &Memory, down: &[u32]) -> Option<Vec<u16>> {
    let mut ports = Vec::new();
    for _ in 0..100 {
        let asked = asking.step(home, down.iter().copied()).unwrap()?;
        ports.extend(asked.iter().map(|waiting| waiting.client().port()));
        if asking.walk.is_none() {
            ports.sort_unstable();
            return Some(ports);
        }
    }
    panic!("a walk ends");
}

#[test]
fn those_who_may_wait_for_a_server_that_is_down_are_asked() {
    let mut home = Memory::default();
    home.set_now(NOW);
    let later = NOW + 1;
    for (port, conn, _) in [
        (1, conn(ESTABLISHED, 0, DOWN, later), "asked"),
        (2, conn(FIN_WAIT, 0, DOWN, later), "asked: it said its last word, and listens"),
        (3, conn(CLOSE_WAIT, 0, DOWN, later), "asked, too"),
        (4, conn(ESTABLISHED, 0, DOWN + 1, later), "of a server that is up"),
        (5, conn(SYN_RECV, 0, DOWN, later), "begins, and moves with its next SYN"),
        (6, conn(TIME_WAIT, 0, DOWN, later), "over"),
        (7, conn(CLOSE, 0, DOWN, later), "over"),
        (8, conn(ESTABLISHED, 0, DOWN, NOW), "its time is up"),
        (9, conn(ESTABLISHED, CONN_REPLY, DOWN, later), "the way back"),
        (10, conn(ESTABLISHED, CONN_TEMPLATE, DOWN, later), "no connection"),
        (11, conn(ESTABLISHED, CONN_DEAD, DOWN, later), "gone"),
    ] {
        home.set_conn(key(port), conn);
    }
    let datagrams = ConnKey::new(1, 2, 12, 80, 17);
    home.set_conn(datagrams, conn(ESTABLISHED, 0, DOWN, later));
    let mut asking = Asking::default();
    assert_eq!(walk(&mut asking, &home, &[DOWN]), Some(vec![1, 2, 3]));
}

#[test]
fn a_question_is_as_the_service_would_ask_it() {
    let waiting = Waiting { key: key(40000) };
    assert_eq!(waiting.client().to_string(), "10.0.0.1:40000");
    assert_eq!(waiting.vip().to_string(), "10.9.0.1");
    let question = waiting.question();
    let (ip, rest) = etherparse::Ipv4Header::from_slice(question.as_ref()).unwrap();
    assert_eq!((ip.source, ip.destination), ([10, 9, 0, 1], [10, 0, 0, 1]));
    assert_eq!(ip.total_len, 40);
    assert_eq!(ip.header_checksum, ip.calc_header_checksum());
    let (tcp, payload) = etherparse::TcpHeader::from_slice(rest).unwrap();
    assert_eq!((tcp.source_port, tcp.destination_port), (80, 40000));
    assert!(tcp.syn && tcp.ack && !tcp.rst && !tcp.fin && payload.is_empty());
    assert_eq!(tcp.checksum, tcp.calc_checksum_ipv4(&ip, &[]).unwrap());
}

#[test]
fn they_are_asked_again_while_that_helps() {
    let mut home = Memory::default();
    home.set_now(NOW);
    let put = |home: &mut Memory, ports: &[u16], slot| {
        for port in ports {
            home.set_conn(key(*port), conn(ESTABLISHED, 0, slot, u64::MAX));
        }
    };
    put(&mut home, &[1, 2, 3], DOWN);
    let mut asking = Asking::default();
    assert_eq!(walk(&mut asking, &home, &[]), None, "nobody is down");
    assert_eq!(walk(&mut asking, &home, &[DOWN]), Some(vec![1, 2, 3]), "at once");
    assert_eq!(walk(&mut asking, &home, &[DOWN]), None, "they have a second to answer");
    put(&mut home, &[8], 7);
    assert_eq!(walk(&mut asking, &home, &[DOWN, 7]), Some(vec![8]), "another one is down: at once");
    let mut now = NOW;
    let mut seconds = |home: &Memory, count: u64| {
        now += count * BETWEEN_NS;
        home.set_now(now);
    };
    seconds(&home, 1);
    put(&mut home, &[2], 0);
    assert_eq!(walk(&mut asking, &home, &[DOWN, 7]), Some(vec![1, 3, 8]), "again");
    seconds(&home, 1);
    assert_eq!(walk(&mut asking, &home, &[DOWN, 7]), Some(vec![1, 3]), "that helped one of three");
    for vain in 2..=VAIN_WALKS {
        seconds(&home, (1 << (vain - 1)) - 1);
        let asked = walk(&mut asking, &home, &[DOWN, 7]).unwrap();
        assert_eq!(asked, vec![8], "after {vain} in vain");
        seconds(&home, 1);
        assert_eq!(walk(&mut asking, &home, &[DOWN, 7]), Some(vec![1, 3]), "a second behind it");
    }
    seconds(&home, 1 << VAIN_WALKS);
    assert_eq!(walk(&mut asking, &home, &[DOWN, 7]), Some(vec![1, 3, 8]), "the last time");
    seconds(&home, 1 << 20);
    assert_eq!(walk(&mut asking, &home, &[DOWN, 7]), None, "they never answer");
    assert_eq!(walk(&mut asking, &home, &[7]), None, "one is back");
    assert_eq!(walk(&mut asking, &home, &[DOWN, 7]), Some(vec![1, 3]), "and down again");
}
