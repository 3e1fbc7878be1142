//! Answers of servers to the checks that are not HTTP, of mail servers to alerts, and what files
//! say: none panics.

use std::time::Duration;

use xlvs_health::dialogue::{
    Agent, AgentLine, Control, Echo, Grpc, GrpcEnd, Letter, MailDialogue, MailStep, Query, Session,
    Smtp, SmtpStep, Terms, file_says, udp_reply,
};
use xlvs_model::health::{DnsCheck, FileCheck, ReplyByte, UdpCheck};

/// The first byte of an input chooses the question, the second the pieces; then the answer.
pub(crate) fn run(data: &[u8]) {
    let [which, piece, answer @ ..] = data else { return };
    let piece = usize::from(*piece).max(1);
    match which {
        240 => return agent(answer, piece),
        241 => return grpc(answer, piece),
        242 => return bfd(answer, piece),
        _ => {}
    }
    match which % 6 {
        0 => smtp(answer, piece),
        1 => mail(answer, piece),
        2 => {
            let query = Query::new(&DnsCheck::default(), 0x3132).expect("the root's name");
            let _ = query.reply(answer);
        }
        3 => {
            let byte = |(value, mask)| ReplyByte { value, mask };
            let reply = [(0x61, 0xff), (0x40, 0xf0)].map(byte).to_vec();
            let check = UdpCheck { require_reply: true, reply, ..UdpCheck::default() };
            let _ = udp_reply(&check, answer);
        }
        4 => {
            for target in ["10.0.0.1", "fd00::1"] {
                let target = target.parse().expect("an address");
                let _ = Echo::new(target, 0x3132, 0x3132_3334_3536_3738).is_answer(answer);
            }
        }
        _ => {
            let weight = i32::try_from(piece).unwrap_or(0) - 1;
            for reverse in [false, true] {
                let check = FileCheck { weight, reverse, ..FileCheck::default() };
                let _ = file_says(&check, answer);
            }
        }
    }
}

fn agent(answer: &[u8], piece: usize) {
    let (mut line, mut agent) = (AgentLine::default(), Agent::default());
    for bytes in answer.chunks(piece) {
        match line.feed(bytes) {
            Some(Ok(line)) => drop(agent.hear(&line)),
            Some(Err(_)) => return,
            None => {}
        }
    }
    if let Ok(line) = line.end() {
        let _ = agent.hear(&line);
    }
}

/// The message, and the trailers after it.
fn grpc(answer: &[u8], piece: usize) {
    let mut dialogue = Grpc::new("web");
    let (body, status) = answer.split_at(piece.min(answer.len()));
    for bytes in body.chunks(3) {
        if dialogue.feed(bytes).is_some() {
            return;
        }
    }
    let _ = dialogue.trailers(GrpcEnd { status: Some(b"0"), message: None });
    let end = GrpcEnd { status: Some(status), message: Some(status) };
    let _ = dialogue.head(200, Some(b"application/grpc"), end);
}

/// Packets, each so many milliseconds after the one before.
fn bfd(answer: &[u8], piece: usize) {
    let ms = Duration::from_millis;
    let terms =
        Terms { min_rx: ms(10), min_tx: ms(10), idle_tx: ms(1000), multiplier: 3, passive: false };
    let (mut session, mut now) = (Session::new(terms, 0x3132_3334, 1, ms(1)), ms(1));
    for bytes in answer.chunks(24) {
        let mut out = Vec::new();
        match Control::parse(bytes) {
            Ok(packet) => session.receive(&packet, now, &mut out),
            Err(why) => session.refuse(&why),
        }
        now += ms(u64::try_from(piece).unwrap_or(1));
        session.wake(now, &mut out);
        assert!(out.len() <= 2, "{out:?}");
        assert!(session.next_wake().is_none_or(|at| at > now));
    }
}

fn smtp(answer: &[u8], piece: usize) {
    let mut dialogue = Smtp::new("director");
    for bytes in answer.chunks(piece) {
        if matches!(dialogue.feed(bytes), SmtpStep::Done(_)) {
            return;
        }
    }
    let _ = dialogue.end();
}

fn mail(answer: &[u8], piece: usize) {
    let text = |text: &str| text.to_owned();
    let mut dialogue = MailDialogue::new(Letter {
        helo: text("director"),
        from: text("lvs@example.org"),
        to: vec![text("a@example.org"), text("b@example.org")],
        subject: text("a server is down"),
        date: String::new(),
        body: text(".\nas said\n"),
    });
    for bytes in answer.chunks(piece) {
        if matches!(dialogue.feed(bytes), MailStep::Done(_)) {
            return;
        }
    }
    let _ = dialogue.end();
}
