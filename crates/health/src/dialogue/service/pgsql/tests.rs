//! Dialogues with `PostgreSQL` 15 as it held them; of those by SCRAM the server's part is reckoned here,
//! since a client's number is never the same.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::{super::tests::play_bytes, *};

/// That it is content with a login; what it says of itself; that it is ready.
const IN: &[u8] =
    b"R\0\0\0\x08\0\0\0\0S\0\0\0\x19client_encoding\0UTF8\0S\0\0\0\x17in_hot_standby\0off\0\
    K\0\0\0\x0c\0\0n\x9f\xefH\xa1\x9dZ\0\0\0\x05I";
const CLEARTEXT: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
const MD5: &[u8] = b"R\0\0\0\x0c\0\0\0\x05\x01\x02\x03\x04";
const SASL: &[u8] = b"R\0\0\0\x17\0\0\0\nSCRAM-SHA-256\0\0";
const DENIED: &[u8] = b"E\0\0\0hSFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \
    \"postgres\"\0Fauth.c\0L334\0Rauth_failed\0\0";
/// `select 1 as a`, `select nothing`.
const ROW: &[u8] =
    b"T\0\0\0\x1a\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0D\0\0\0\x0b\0\x01\0\0\
    \0\x011C\0\0\0\rSELECT 1\0Z\0\0\0\x05I";
const FAULT: &[u8] = b"E\0\0\0jSERROR\0VERROR\0C42703\0Mcolumn \"nothing\" does not exist\0P8\0\
    Fparse_relation.c\0L3665\0RerrorMissingColumn\0\0Z\0\0\0\x05I";

fn pgsql(query: &str, tls: bool) -> Pgsql {
    let check = ServiceCheck {
        login: "me".into(),
        passwd: "topsecret".into(),
        database: "d".into(),
        request: query.into(),
        ..ServiceCheck::default()
    };
    Pgsql::new(&check, tls).expect("a dialogue")
}

fn complete(tag: &str) -> Vec<u8> {
    let length = u8::try_from(tag.len() + 5).expect("short");
    [b"C\0\0\0", &[length][..], tag.as_bytes(), b"\0Z\0\0\0\x05I"].concat()
}

#[test]
fn rows() {
    let (none, some, set) = (complete("SELECT 0"), complete("UPDATE 3"), complete("SET"));
    let other = "answered with something that is not PostgreSQL";
    let denied = "answered error 28P01: password authentication failed for user \"postgres\"";
    for (query, server, expected, why) in [
        ("", &[IN][..], "good", "a login is enough, and needs no password"),
        ("", &[CLEARTEXT, IN], "good", "by the password itself"),
        ("", &[MD5, IN], "good", "by its sum"),
        ("q", &[MD5, IN, ROW], "good", "a row"),
        ("q", &[IN, &none], "answered without a row", "none"),
        ("q", &[IN, &some], "good", "three rows are others now"),
        ("q", &[IN, &set], "answered without a row", "nothing is to be seen"),
        ("q", &[IN, FAULT], "answered error 42703: column \"nothing\" does not exist", "a fault"),
        ("", &[CLEARTEXT, DENIED], denied, "the password is wrong"),
        ("", &[CLEARTEXT], "closed without an answer", "it goes"),
        ("q", &[IN, &ROW[..30]], "closed without an answer", "half of it"),
        ("", &[b"HTTP/1.1 400 Bad\r\n\r\n"], "answered more than 1048576 bytes", "HTTP"),
        ("", &[b"R\0\0\0\x03"], other, "a length of nothing"),
        ("", &[b"?\0\0\0\x04"], other, "an unknown message"),
        ("", &[b"Z\0\0\0\x05I"], "good", "ready without a word"),
        ("", &[ROW], "answered with a message out of turn", "rows before a login"),
        (
            "",
            &[b"R\0\0\0\x08\0\0\0\x07"],
            "could not be asked: it wants a login by GSSAPI, which xlvs does not do",
            "a ticket",
        ),
    ] {
        let whole = server.concat();
        let cut: Vec<&[u8]> = whole.iter().map(std::slice::from_ref).collect();
        for server in [server, &cut] {
            let (_, outcome) = play_bytes(&mut pgsql(query, false), server);
            assert_eq!(outcome.to_string(), expected, "{why}");
        }
    }
}

#[test]
fn what_is_said() {
    let startup = &b"\0\0\0\x4c\0\x03\0\0user\0me\0client_encoding\0UTF8\0application_name\0xlvs\0\
        database\0d\0\0"[..];
    let startup = [&[0, 0, 0, u8::try_from(startup.len()).expect("short")], &startup[4..]].concat();
    let (said, _) = play_bytes(&mut pgsql("", false), &[MD5, IN]);
    let sum = md5_hash(b"me", b"topsecret", [1, 2, 3, 4]);
    let expected = [&startup[..], b"p\0\0\0\x28", sum.as_bytes(), b"\0X\0\0\0\x04"].concat();
    assert_eq!(said, expected);
    for (offer, why) in [(&b"S"[..], "over TLS"), (b"N", "without")] {
        let (said, outcome) =
            play_bytes(&mut pgsql("", true), &[offer, IN][usize::from(offer == b"S")..]);
        let expected = [b"\0\0\0\x08\x04\xd2\x16/", &startup[..]].concat();
        if offer == b"N" {
            assert!(said.starts_with(&expected), "{why}");
            assert_eq!(outcome, Outcome::GOOD, "{why}");
        }
    }
    let mut offered = pgsql("", true);
    assert!(matches!(offered.feed(b"S"), ServiceStep::Secure(bytes) if bytes.is_empty()));
    assert_eq!(offered.secured(), ServiceStep::Send(startup));
    assert!(matches!(pgsql("", true).feed(b"Sno TLS"), ServiceStep::Done(_)), "words before TLS");
    assert!(matches!(pgsql("", true).feed(DENIED), ServiceStep::Done(_)), "an old server's error");
    let check = ServiceCheck { request: "x".into(), ..ServiceCheck::default() };
    assert!(matches!(Pgsql::new(&check, true), Err(Outcome::Unasked(_))), "no login");
}

#[test]
fn only_a_rule_without_tls_is_tried_again() {
    for (error, expected) in [
        ("28000: no pg_hba.conf entry for host \"10.2.0.1\", user \"me\"", true),
        ("28000: role \"me\" does not exist", false),
        ("28P01: password authentication failed for user \"me\"", false),
        ("53300: sorry, too many clients already", false),
    ] {
        assert_eq!(wants_no_tls(&wrong(format!("error {error}"), None)), expected, "{error}");
    }
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let hmac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    hmac.chain_update(text).finalize().into_bytes().into()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for block in bytes.chunks(3) {
        let bits = (0..3).fold(0, |sum, at| sum << 8 | usize::from(*block.get(at).unwrap_or(&0)));
        for at in 0..4 {
            let digit = DIGITS[bits >> (18 - 6 * at) & 63];
            text.push(if at > block.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

fn authentication(kind: u8, text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len() + 8).expect("short");
    [&[b'R', 0, 0, 0, length, 0, 0, 0, kind], text.as_bytes()].concat()
}

/// Plays a server that knows a password; `rounds` is what it asks for. What the client's proof is
/// worth, and the end.
fn scram(password: &[u8], rounds: u32, honest: bool) -> (bool, ServiceStep) {
    let mut client = pgsql("", false);
    let _ = client.begin();
    let ServiceStep::Send(first) = client.feed(SASL) else { panic!("no first message") };
    let first = String::from_utf8_lossy(&first[23..]).into_owned();
    let bare = first.strip_prefix("n,,").expect("no channel is bound");
    let nonce = format!("{}server", bare.strip_prefix("n=,r=").expect("a number"));
    let salt = b"\x97\xe3\x1dt\xbeb7[9c^\x16\x1aL\xf6\xc4";
    let server_first = format!("r={nonce},s={},i={rounds}", base64(salt));
    let step = client.feed(&authentication(11, &server_first));
    let ServiceStep::Send(last) = step else { return (false, step) };
    let last = String::from_utf8_lossy(&last[5..]).into_owned();
    let (unproved, proof) = last.rsplit_once(",p=").expect("a proof");
    let mut block = hmac(password, &[salt, &[0, 0, 0, 1][..]].concat());
    let mut salted = block;
    for _ in 1..rounds {
        block = hmac(password, &block);
        salted.iter_mut().zip(block).for_each(|(sum, byte)| *sum ^= byte);
    }
    let spoken = format!("{bare},{server_first},{unproved}");
    let client_key = hmac(&salted, b"Client Key");
    let signature = hmac(&Sha256::digest(client_key), spoken.as_bytes());
    let expected: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    let is_right = base64(&expected) == proof;
    let server = hmac(&hmac(&salted, b"Server Key"), spoken.as_bytes());
    let server = if honest { server } else { [0; 32] };
    let end = [authentication(12, &format!("v={}", base64(&server))), IN.to_vec()].concat();
    (is_right, client.feed(&end))
}

#[test]
fn by_scram() {
    let (is_right, step) = scram(b"topsecret", 4096, true);
    assert!(is_right, "the proof is the server's, too");
    assert!(matches!(step, ServiceStep::Bye(_, Outcome::GOOD)), "{step:?}");
    let (is_right, _) = scram(b"another", 4096, true);
    assert!(!is_right, "of another password");
    let (_, step) = scram(b"topsecret", 4096, false);
    let untrue = wrong("with a wrong proof of itself", None);
    assert_eq!(step, ServiceStep::Done(untrue.clone()), "a server that does not know it");
    let (_, step) = scram(b"topsecret", u32::MAX, true);
    assert_eq!(step, ServiceStep::Done(untrue), "it would reckon for days");
    let plus = b"R\0\0\0\x1c\0\0\0\nSCRAM-SHA-256-PLUS\0\0";
    let (_, outcome) = play_bytes(&mut pgsql("", false), &[plus]);
    assert!(matches!(outcome, Outcome::Unasked(_)), "{outcome}");
    let (_, outcome) = play_bytes(&mut pgsql("", false), &[SASL, IN]);
    assert!(!outcome.is_good(), "a server that skips the rest: {outcome}");
}

#[test]
fn a_server_without_an_end_gets_a_verdict() {
    let row = [&b"D\0\0\x0f\xa8\0\x01\0\0\x0f\x9e"[..], &[b'x'; 3998]].concat();
    for (before, expected) in [(IN, true), (&IN[..9], false)] {
        let mut endless = pgsql("q", false);
        let _ = endless.begin();
        let _ = endless.feed(before);
        let notice = [&b"N\0\0\x0f\xa8"[..], &[b'x'; 4004]].concat();
        let block = if expected { &row } else { &notice };
        let found = (0..WHOLE_LIMIT / 4000 + 2).find_map(|_| match endless.feed(block) {
            ServiceStep::Done(outcome) | ServiceStep::Bye(_, outcome) => Some(outcome),
            _ => None,
        });
        assert_eq!(found.map(|outcome| outcome.is_good()), Some(expected));
    }
}
