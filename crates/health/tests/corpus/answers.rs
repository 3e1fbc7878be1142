//! Answers of servers to the checks that are not HTTP, of mail servers to alerts, and what files
//! say: none panics.

use xlvs_health::dialogue::{
    Echo, Letter, MailDialogue, MailStep, Query, Smtp, SmtpStep, file_says, udp_reply,
};
use xlvs_model::health::{DnsCheck, FileCheck, ReplyByte, UdpCheck};

/// The first byte of an input chooses the question, the second the pieces; then the answer.
pub(crate) fn run(data: &[u8]) {
    let [which, piece, answer @ ..] = data else { return };
    let piece = usize::from(*piece).max(1);
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
