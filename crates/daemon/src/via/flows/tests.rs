#![expect(clippy::unwrap_used, reason = "tests")]

use xlvs_model::{Method, Tunnel, TunnelChecksum};

use super::*;

const SOURCE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 40_000);
const TARGET: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 9, 9, 9), 80);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 5);
const DMAC: [u8; 6] = [2, 0, 0, 0, 1, 5];
const SMAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn through(method: Method, tunnel: Tunnel) -> Through {
    Through { target: TARGET.into(), server: (SERVER, 8080).into(), method, tunnel }
}

fn hop() -> Hop {
    let source = Ipv4Addr::new(10, 0, 0, 2);
    Hop::Neighbour { ifindex: 7, dmac: DMAC, smac: SMAC, mtu: 1500, source }
}

/// A segment as TCP in the namespace sends it: its checksum is left to be done.
fn segment(source: SocketAddrV4, target: SocketAddrV4, flags: u8, text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; ETHERNET];
    frame[12] = 8;
    let length = u16::try_from(40 + text.len()).unwrap().to_be_bytes();
    let mut ip = vec![0x45, 0, length[0], length[1], 0, 1, 0x40, 0, 64, TCP, 0, 0];
    ip.extend(source.ip().octets());
    ip.extend(target.ip().octets());
    let sum = !folded(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend(ip);
    frame.extend(source.port().to_be_bytes());
    frame.extend(target.port().to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 0xff, 0xff, 0xde, 0xad, 0, 0]);
    frame.extend(text);
    frame
}

/// RFC 1071, over whole bytes.
fn folded(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn flow() -> Flow {
    Flow { source: SOURCE, target: TARGET }
}

#[test]
fn a_segment_goes_as_clients_segments_go() {
    let rows = [
        (Method::Route, Tunnel::Ipip, 0, None, "direct routing: as it is"),
        (Method::Tunnel, Tunnel::Ipip, 20, Some(4), "IP in IP"),
    ];
    for (method, tunnel, outer, protocol, sentence) in rows {
        let mut flows = Flows::default();
        flows.begin(flow(), &through(method, tunnel), &hop(), s(1)).unwrap();
        let frame = segment(SOURCE, TARGET, 2, b"odd");
        let (ifindex, sent) = flows.forward(&frame, s(1)).expect(sentence);
        assert_eq!(ifindex, 7, "{sentence}");
        assert_eq!(sent[..12], [DMAC, SMAC].concat(), "{sentence}");
        if let Some(protocol) = protocol {
            assert_eq!(sent[ETHERNET + 9], protocol, "{sentence}");
            assert_eq!(sent[ETHERNET + 16..ETHERNET + 20], SERVER.octets(), "{sentence}");
        }
        let inner = &sent[ETHERNET + outer..];
        assert_eq!(inner.len(), 43, "{sentence}");
        assert_eq!(inner[12..20], frame[ETHERNET + 12..ETHERNET + 20], "{sentence}: addresses");
        assert_eq!(inner[20..24], frame[34..38], "{sentence}: ports");
        let mut pseudo = inner[12..20].to_vec();
        pseudo.extend([0, TCP, 0, 23]);
        pseudo.extend(&inner[20..]);
        assert_eq!(folded(&pseudo), 0xffff, "{sentence}: the checksum is done");
    }
}

#[test]
fn a_whole_connection_goes_to_its_server() {
    let mut flows = Flows::default();
    let through = through(Method::Route, Tunnel::Ipip);
    flows.begin(flow(), &through, &hop(), s(1)).unwrap();
    for (flags, text) in [(2, &b""[..]), (16, b""), (24, b"GET /"), (16, b""), (17, b""), (4, b"")]
    {
        let sent = flows.forward(&segment(SOURCE, TARGET, flags, text), s(2));
        assert!(sent.is_some(), "flags {flags:#x}");
    }
    assert!(flows.is_answer(&segment(TARGET, SOURCE, 18, b"")), "the server has a last word");
    // The next one finds that its time was up.
    let next = Flow { source: SocketAddrV4::new(*SOURCE.ip(), 40_001), target: TARGET };
    flows.begin(next, &through, &hop(), s(6)).unwrap();
    assert!(!flows.is_answer(&segment(TARGET, SOURCE, 18, b"")));
    assert_eq!(flows.0.len(), 1);
}

#[test]
fn what_is_nobodys_goes_nowhere() {
    let mut flows = Flows::default();
    flows.begin(flow(), &through(Method::Route, Tunnel::Ipip), &hop(), s(1)).unwrap();
    let good = segment(SOURCE, TARGET, 2, b"");
    let other = SocketAddrV4::new(*SOURCE.ip(), 1);
    let mut udp = good.clone();
    udp[ETHERNET + 9] = 17;
    let mut fragment = good.clone();
    fragment[ETHERNET + 6] = 0x20;
    let mut long = good.clone();
    long[ETHERNET + 2] = 1;
    let rows = [
        (segment(other, TARGET, 2, b""), "another port"),
        (segment(SOURCE, SOURCE, 2, b""), "another address"),
        (udp, "UDP"),
        (fragment, "a fragment"),
        (long, "longer than it is"),
        (good[..50].to_vec(), "cut off"),
        (Vec::new(), "nothing"),
    ];
    for (frame, sentence) in rows {
        assert_eq!(flows.forward(&frame, s(1)), None, "{sentence}");
    }
    assert!(!flows.is_answer(&good), "a question is no answer");
    let mut unknown = Flows::default();
    let through = through(Method::Route, Tunnel::Ipip);
    unknown.begin(flow(), &through, &Hop::Unknown, s(1)).unwrap();
    assert_eq!(unknown.forward(&good, s(1)), None, "nobody knows where to");
}

#[test]
fn what_the_director_does_not_forward_is_not_asked() {
    let gue = Tunnel::Gue { port: 6080, checksum: TunnelChecksum::None };
    let begun = Flows::default().begin(flow(), &through(Method::Tunnel, gue), &hop(), s(1));
    assert_eq!(begun, Err("not forwarded yet (a GUE tunnel)".into()));
}
