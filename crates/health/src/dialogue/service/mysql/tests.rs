//! Dialogues with `MariaDB` 10.11 as it held them, and with `MySQL` 8 as its protocol has them.

use num_bigint::BigUint;
use sha1::{Digest as _, Sha1};

use super::{
    super::tests::play_bytes,
    auth::{Plugin, encrypted},
    *,
};

/// `MariaDB`'s first words.
const MARIADB: &[u8] = b"d\x00\x00\x00\n5.5.5-10.11.19-MariaDB-0+deb12u1\x00\x04\x00\x00\x00\
    Bs?{qD@S\x00\xfe\xf7\x08\x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00\
    `inn^jyD%-P-\x00mysql_native_password\x00";
/// That it is content with a login.
const IN: &[u8] = b"\r\x00\x00\x02\x00\x00\x00\x02@\x00\x00\x00\x04\x01\x02\x01d";
const DENIED: &[u8] =
    b"F\x00\x00\x02\xff\x15\x04#28000Access denied for user 'me'@'localhost' (using password: YES)";
/// `select * from t`: one column of two rows.
const TABLE: &[u8] = b"\x01\x00\x00\x01\x01\x1c\x00\x00\x02\x03def\x01d\x01t\x01t\x01a\x01a\
    \x00\x0c?\x00\x0b\x00\x00\x00\x03\x00\x00\x00\x00\x00\x05\x00\x00\x03\xfe\x00\x00\"\x00";
const ROWS: &[u8] = b"\x02\x00\x00\x04\x011\x02\x00\x00\x05\x012";
const END_OF_ROWS: &[u8] = b"\x05\x00\x00\x06\xfe\x00\x00\"\x00";

fn mysql(query: &str) -> Mysql {
    let check = ServiceCheck {
        login: "me".into(),
        passwd: "secret".into(),
        database: "d".into(),
        request: query.into(),
        ..ServiceCheck::default()
    };
    Mysql::new(&check, true, [7; 20]).expect("a dialogue")
}

/// The first words of a server of today, which can do TLS if it likes.
fn greeting(plugin: &str, tls: bool) -> Vec<u8> {
    let able = if tls { 0xff } else { 0xf7 };
    let mut body = b"\n8.4.0\0\x09\0\0\0".to_vec();
    body.extend(&NONCE[..8]);
    body.extend([0, 0xff, able, 33, 2, 0, 0xff, 0xdf, 21]);
    body.extend([0; 10]);
    body.extend(&NONCE[8..]);
    body.push(0);
    body.extend(plugin.as_bytes());
    body.push(0);
    framed(0, &body)
}

const NONCE: [u8; 20] =
    [10, 47, 74, 111, 75, 73, 34, 48, 88, 76, 114, 74, 37, 13, 3, 80, 82, 2, 23, 21];

#[test]
fn rows_of_mariadb() {
    let no_rows = &[TABLE, END_OF_ROWS].concat();
    let rows = &[TABLE, ROWS, END_OF_ROWS].concat();
    let changed = &framed(1, b"\x00\x02\x00\x02\x00\x00\x00");
    let nothing = &framed(1, b"\x00\x00\x00\x02\x00\x00\x00");
    let no_table = &framed(1, b"\xff\x7a\x04#42S02Table 'd.u' doesn't exist");
    let busy = &framed(0, b"\xff\x10\x04Too many connections");
    let other = "answered with something that is not MySQL";
    for (query, server, expected, why) in [
        ("", &[MARIADB, IN][..], "good", "a login is enough"),
        ("select * from t", &[MARIADB, IN, rows], "good", "two rows"),
        ("select 1 from t where a=3", &[MARIADB, IN, no_rows], "answered without a row", "none"),
        ("update t set a=3", &[MARIADB, IN, changed], "good", "two rows are others now"),
        ("do 1", &[MARIADB, IN, nothing], "answered without a row", "nothing is to be seen"),
        (
            "select * from u",
            &[MARIADB, IN, no_table],
            "answered error 1146: Table 'd.u' doesn't exist",
            "no table",
        ),
        (
            "",
            &[MARIADB, DENIED],
            "answered error 1045: Access denied for user 'me'@'localhost' (using password: YES)",
            "the password is wrong",
        ),
        ("", &[busy], "answered error 1040: Too many connections", "it is full"),
        ("", &[MARIADB], "closed without an answer", "it goes"),
        ("x", &[MARIADB, IN, TABLE], "closed without an answer", "half of it"),
        ("", &[b"\x00\x00\x00\x00"], other, "a packet of nothing"),
        ("", &[b"SSH-2.0-OpenSSH_9.2\r\n"], "answered more than 1048576 bytes", "another protocol"),
        (
            "x",
            &[MARIADB, IN, &framed(1, b"\xfb/etc/passwd")],
            "answered with a wish for a file",
            "no",
        ),
    ] {
        let (said, outcome) = play_bytes(&mut mysql(query), server);
        assert_eq!(outcome.to_string(), expected, "{why}");
        if outcome.is_good() {
            assert!(said.ends_with(&[1, 0, 0, 0, 1]), "{why}: goodbye");
        }
        let whole = server.concat();
        for at in 0..whole.len() {
            let (one, other) = whole.split_at(at);
            let mut dialogue = mysql(query);
            if let ServiceStep::Done(found) | ServiceStep::Bye(_, found) = dialogue.feed(one) {
                assert_eq!(found, outcome, "{why}, decided at {at}");
            } else if let ServiceStep::Done(found) | ServiceStep::Bye(_, found) =
                dialogue.feed(other)
            {
                assert_eq!(found, outcome, "{why}, cut at {at}");
            }
        }
    }
}

#[test]
fn what_is_said() {
    let (said, _) = play_bytes(&mut mysql("select 1"), &[MARIADB, IN, DENIED]);
    let login = b"\x21\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0me\0\x14";
    assert!(said.windows(login.len()).any(|some| some == login), "{said:02x?}");
    assert!(said.ends_with(b"d\0mysql_native_password\0\x09\0\0\0\x03select 1"), "{said:02x?}");
    let check = ServiceCheck { request: "x".into(), ..ServiceCheck::default() };
    assert!(matches!(Mysql::new(&check, true, [0; 20]), Err(Outcome::Unasked(_))), "no login");
}

#[test]
fn proofs() {
    // What MySQL's own client and its server agree on.
    for (plugin, passwd, expected) in [
        ("mysql_native_password", "secret", "6a149bdd80bda1ebf0fa2bd2cf2e9717fecc34bb"),
        (
            "caching_sha2_password",
            "secret",
            "f490e76f66d9d86665ce54d98c78d0acfe2fb0b08b423da807144873d30b312c",
        ),
        ("mysql_native_password", "", ""),
        ("caching_sha2_password", "", ""),
    ] {
        let proof = Plugin::of(plugin).proof(passwd, &NONCE, false).expect(plugin);
        let hex = BigUint::from_bytes_be(&proof).to_str_radix(16);
        let expected = if expected.is_empty() { "0" } else { expected };
        assert_eq!(hex, expected, "{plugin} {passwd:?}");
    }
    assert_eq!(Plugin::Clear.proof("secret", &NONCE, false), None, "not for all to read");
    assert_eq!(Plugin::Clear.proof("secret", &NONCE, true), Some(b"secret\0".to_vec()));
    assert_eq!(Plugin::of("client_ed25519").proof("secret", &NONCE, true), None);
}

#[test]
fn rows_of_mysql_8() {
    let sha2 = "caching_sha2_password";
    let ok = |number| framed(number, &[0, 0, 0, 2, 0, 0, 0]);
    let fast = |number| framed(number, &[MORE, FAST]);
    let full = |number| framed(number, &[MORE, FULL]);
    let switch = |name: &str| framed(2, &[&[END], name.as_bytes(), &[0], &NONCE, &[0]].concat());
    let key = framed(4, &[&[MORE], KEY.as_bytes()].concat());
    let bad_key = framed(4, &[MORE, b'x']);
    for (server, last, expected, why) in [
        (vec![greeting(sha2, false), [fast(2), ok(3)].concat()], 0, "good", "it is remembered"),
        (vec![greeting(sha2, false), full(2), key, ok(6)], 128, "good", "by RSA"),
        (vec![greeting(sha2, true), full(3), ok(5)], 7, "good", "as it is, over TLS"),
        (
            vec![greeting(sha2, false), switch("mysql_native_password"), ok(4)],
            20,
            "good",
            "another",
        ),
        (
            vec![greeting("mysql_native_password", false), switch(sha2), fast(4), ok(5)],
            32,
            "good",
            "the other way round",
        ),
        (
            vec![greeting("client_ed25519", false), switch(sha2), fast(4), ok(5)],
            32,
            "good",
            "asked",
        ),
        (
            vec![greeting(sha2, false), switch("client_ed25519")],
            0,
            "could not be asked: its login is one of client_ed25519, which xlvs does not speak",
            "unknown",
        ),
        (
            vec![greeting(sha2, false), framed(2, &[END])],
            0,
            "could not be asked: its login is one of mysql_old_password, which xlvs does not speak",
            "of 4.0",
        ),
        (
            vec![greeting(sha2, false), full(2), bad_key],
            0,
            "answered with a key that cannot be used",
            "no key",
        ),
    ] {
        let server: Vec<&[u8]> = server.iter().map(Vec::as_slice).collect();
        let (said, outcome) = play_bytes(&mut mysql(""), &server);
        assert_eq!(outcome.to_string(), expected, "{why}");
        // The last packet before the goodbye.
        if last > 0 {
            let body = said.len() - 5 - last;
            assert_eq!(usize::from(said[body - 4]), last, "{why}: {said:02x?}");
        }
    }
}

#[test]
fn a_password_sealed_for_the_server() {
    let sealed = encrypted(KEY.as_bytes(), "secret", &NONCE, &[7; 20]).expect("a key");
    assert_eq!(sealed.len(), 128);
    let number = |hex: &str| BigUint::parse_bytes(hex.as_bytes(), 16).expect("digits");
    let opened = BigUint::from_bytes_be(&sealed).modpow(&number(PRIVATE), &number(MODULUS));
    // The first byte is 0, and so not in the number.
    let opened = opened.to_bytes_be();
    let (seed, block) = opened.split_at(20);
    let mask = |seed: &[u8], length: usize| -> Vec<u8> {
        let part = |at: u32| Sha1::digest([seed, &at.to_be_bytes()].concat());
        (0..).flat_map(part).take(length).collect()
    };
    let xor = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a ^ b).collect::<Vec<u8>>();
    let seed = xor(seed, &mask(block, 20));
    assert_eq!(seed, [7; 20]);
    let block = xor(block, &mask(&seed, block.len()));
    assert_eq!(block[..20], *Sha1::digest([]));
    assert_eq!(block[20..99], [0; 79]);
    assert_eq!(block[99], 1);
    assert_eq!(xor(&block[100..], &NONCE), b"secret\0");
    let cut = KEY.replace("MIGfMA0G", "MIGfMA0");
    let long = "x".repeat(100);
    for (pem, passwd, why) in
        [(&*cut, "x", "no base64"), (KEY, &*long, "too long"), ("", "x", "nothing")]
    {
        assert_eq!(encrypted(pem.as_bytes(), passwd, &NONCE, &[7; 20]), None, "{why}");
    }
}

#[test]
fn a_server_without_an_end_gets_a_verdict() {
    // Rows that never end: enough were seen.
    let mut endless = mysql("select");
    for bytes in [MARIADB, IN, TABLE] {
        let _ = endless.feed(bytes);
    }
    let row = framed(4, &[b'x'; 4000]);
    let found = (0..WHOLE / 4000).find_map(|_| match endless.feed(&row) {
        ServiceStep::Done(outcome) => Some(outcome),
        _ => None,
    });
    assert_eq!(found, Some(Outcome::GOOD));
    // Words before a login that never come to anything.
    let mut endless = mysql("select");
    let _ = endless.feed(MARIADB);
    let more = framed(1, &[MORE, FAST]);
    let found = (0..WHOLE).find_map(|_| match endless.feed(&more) {
        ServiceStep::Done(outcome) => Some(outcome),
        _ => None,
    });
    assert!(found.is_some_and(|outcome| !outcome.is_good()));
}

const WHOLE: usize = super::super::WHOLE_LIMIT * 2;

/// Made for this test, and for nothing else.
const KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
     MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCad7904nXL1CRi4/lciN9HfNO3\n\
     r8XFTrwcgwktOEcfm1tLt/rzxhh4nNpQJmwNKzzQ9yLvD3LO/2hbTlBXJlpaOuvY\n\
     QtFVPZcDQrBWC0oZbB5Mx1BBdiUegDPrFyjK4cPt5zZ5J0cLidPUWezpwG7awLq9\n\
     Esrsl4umMCmKerpz8wIDAQAB\n\
     -----END PUBLIC KEY-----\n";
const MODULUS: &str = "9a77bf74e275cbd42462e3f95c88df477cd3b7afc5c54ebc1c83092d38471f9b5b4bb7faf3c61878\
     9cda50266c0d2b3cd0f722ef0f72ceff685b4e5057265a5a3aebd842d1553d970342b0560b4a196c\
     1e4cc7504176251e8033eb1728cae1c3ede7367927470b89d3d459ece9c06edac0babd12caec978b\
     a630298a7aba73f3";
const PRIVATE: &str = "2a69d505382556196300504ea90ce01a15f96047804b640a1cde1207fb9af3dfc99aa9e2db4aba6f\
     6bca3a15c2b77ef6ccfdfef69b4c4ff02b6c5ebd8aa07a503d0412d2ff5e6b1fe47c6355657de7ae\
     e4121e4cfefdc07189a8f6e10a241829c85bc95c877be65d51f1b1754afcb2c8a83d1e35dc9b36ea\
     57ecdab20df7f519";
