//! Ring 2: calls come, go on and end in both homes, whose tables must be equal; what is kept of a
//! call goes with its template.

use xlvs_conformance::{Given, InKernel, InMemory, L4, NOW, Options, Packet, Random, Real, Twin};
use xlvs_datapath::Reason;
use xlvs_datapath::tables::{SERVICE_CALLS, SERVICE_ONE_PACKET, SERVICE_PERSISTENT};
use xlvs_sched::Scheduler;

const NS: u64 = 1_000_000_000;
const UDP: u8 = 17;

#[test]
fn calls_in_both_homes() {
    let mut homes: [Box<dyn Twin>; 2] =
        [Box::new(InKernel::load(Options::default())), Box::new(InMemory::default())];
    let given = Given::service(UDP, Scheduler::Rr, &[Real::direct(1), Real::nat(2)]).but(|g| {
        for (_, service) in g.services.iter_mut().filter(|(key, _)| key.protocol != 0) {
            service.scheduler |= SERVICE_PERSISTENT | SERVICE_CALLS | SERVICE_ONE_PACKET;
            service.persistence = 60;
        }
    });
    for home in &mut homes {
        home.install(&given);
    }
    let mut random = Random::new(5060);
    for n in 0..500 {
        let call = random.below(30);
        let [client, ..] = random.below(9).to_le_bytes();
        let text = format!("BYE sip:a@b SIP/2.0\r\nTo: <sip:b>\r\nCall-ID: {call}@c\r\n\r\n");
        let text = if random.one_in(10) { text.replace("Call-ID", "Subject") } else { text };
        let p = Packet::new(L4::Udp).with(|p| {
            p.src[3] = client;
            p.payload = text.into_bytes();
        });
        let [a, b] = [0, 1].map(|i: usize| homes[i].run(&p.bytes()));
        assert_eq!(a, b, "datagram {n}");
    }
    let [a, b] = [0, 1].map(|i: usize| homes[i].snapshot());
    assert_eq!(a, b);
    assert_eq!((a.conns.len(), a.calls.len()), (30, 30), "a template for each call");
    assert!(a.reasons[Reason::NoCall as usize] > 0, "and some have none");
    let keys: Vec<_> = a.conns.keys().copied().collect();
    for home in &mut homes {
        home.set_now(NOW + 61 * NS);
        home.sweep(&keys);
        let after = home.snapshot();
        assert_eq!((after.conns.len(), after.calls.len()), (0, 0), "in {}", home.name());
    }
}
