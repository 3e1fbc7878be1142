//! Whatever a server sends, in whatever pieces: no dialogue panics, and none keeps more of it than
//! its bound.

use proptest::{collection::vec, prelude::*, sample::Index};
use xlvs_model::health::Talks;

use super::*;

fn check(service: Talks) -> ServiceCheck {
    let text = || "me".to_owned();
    ServiceCheck {
        service,
        login: text(),
        passwd: text(),
        database: text(),
        secret: text(),
        request: text(),
        receive: text(),
        ..ServiceCheck::default()
    }
}

/// Each of the machines of streams.
fn all() -> Vec<Box<dyn ServiceDialogue>> {
    let pattern = || receive(&check(Talks::Ftp)).expect("a pattern");
    let address = "192.0.2.1:1".parse().expect("an address");
    let why = "a dialogue";
    vec![
        Box::new(Simple::new("", pattern())),
        Box::new(pop(&check(Talks::Pop)).expect(why)),
        Box::new(imap(&check(Talks::Imap)).expect(why)),
        Box::new(nntp()),
        Box::new(Ftp::new(&check(Talks::Ftp), pattern()).expect(why)),
        Box::new(FramedDns::new(Dns::new(&check(Talks::Dns), pattern(), 1).expect(why))),
        Box::new(Sip::new(&check(Talks::Sip), address, 1).expect(why)),
        Box::new(Mysql::new(&check(Talks::Mysql), true, [1; 20]).expect(why)),
        Box::new(Mysql::new(&check(Talks::Mysql), false, [1; 20]).expect(why)),
        Box::new(Pgsql::new(&check(Talks::Pgsql), true).expect(why)),
        Box::new(Pgsql::new(&check(Talks::Pgsql), false).expect(why)),
        Box::new(Ldap::new(&check(Talks::Ldap), pattern())),
    ]
}

fn feed_all(pieces: &[&[u8]]) {
    for mut dialogue in all() {
        let _ = dialogue.begin();
        for piece in pieces {
            match dialogue.feed(piece) {
                ServiceStep::Done(_) | ServiceStep::Bye(..) => break,
                ServiceStep::Secure(_) => drop(dialogue.secured()),
                ServiceStep::Fetch => drop(dialogue.fetched(piece)),
                _ => {}
            }
        }
        let _ = dialogue.end();
    }
}

/// What servers really say, one after the other.
const SAID: [&[u8]; 6] = [
    b"+OK hi\r\n+OK\r\n+OK\r\n-ERR\r\n* OK\r\nX1 OK\r\n200 hi\r\n331 ?\r\n230 in\r\n\
      227 (1,2,3,4,5,6)\r\n",
    b"d\0\0\0\n5.5.5-10.11.19-MariaDB-0+deb12u1\0\x04\0\0\0Bs?{qD@S\0\xfe\xff\x08\x02\0\xff\
      \x81\x15\0\0\0\0\0\0\x1d\0\0\0`inn^jyD%-P-\0mysql_native_password\0",
    b"\x2c\0\0\x02\xfecaching_sha2_password\0\x0a/JoKI\"0XLrJ%\x0d\x03PR\x02\x17\x15\0\
      \x02\0\0\x04\x01\x04",
    b"\x07\0\0\x02\0\0\0\x02\0\0\0\x01\0\0\x01\x01\x01\0\0\x02\x03\x05\0\0\x03\xfe\0\0\"\0\
      \x02\0\0\x04\x011",
    b"R\0\0\0\x17\0\0\0\nSCRAM-SHA-256\0\0R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I\
      C\0\0\0\rSELECT 1\0E\0\0\0\x06C\0",
    b"0\x0c\x02\x01\x01a\x07\x0a\x01\0\x04\0\x04\x000\x18\x02\x01\x02d\x13\
      \x04\x0fdc=example,dc=a0\0",
];

proptest! {
    #[test]
    fn nothing_panics(bytes in vec(vec(any::<u8>(), 0..200), 0..6)) {
        feed_all(&bytes.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }

    #[test]
    fn nor_of_what_is_nearly_right(
        changes in vec((any::<Index>(), any::<u8>()), 0..4),
        cuts in vec(any::<Index>(), 0..4),
        which in 0..SAID.len(),
        then in 0..SAID.len(),
    ) {
        let mut said = [SAID[which], SAID[then]].concat();
        for (at, byte) in changes {
            let at = at.index(said.len());
            said[at] = byte;
        }
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(said.len())).collect();
        cuts.extend([0, said.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| &said[cut[0]..cut[1]]).collect();
        feed_all(&pieces);
    }

    #[test]
    fn nor_of_datagrams(bytes in vec(any::<u8>(), 0..300), number in any::<bool>()) {
        let address = "192.0.2.1".parse().expect("an address");
        let radius = Radius::new(&check(Talks::Radius), address, 7, [7; 16]);
        let mut radius = radius.expect("a question");
        let mut bytes = bytes;
        if number && bytes.len() > 3 {
            bytes[1..4].copy_from_slice(&[7, 0, 20]);
        }
        let _ = radius.reply(&bytes);
        let dns = Dns::new(&check(Talks::Dns), None, 1).expect("a question");
        let _ = dns.reply(&bytes);
    }
}
