//! Answers, byte by byte and at once.

use proptest::prelude::*;
use xlvs_model::health::{StatusRange, Url, UrlRegex};

use super::{super::BODY_LIMIT, *};
use crate::{Good, dialogue::Pattern};

/// `printf hello | md5sum`, which `genhash` prints of such a page too.
const HELLO: &str = "5d41402abc4b2a76b9719d911017c592";

/// MD5 of `5\r\nhello\r\n0\r\n\r\n`: what `genhash -P 1.1` prints of a chunked one.
const FRAMED: &str = "79e9489e3bd3f0cb0158215341de046d";

fn page(digest: Option<&str>, pattern: Option<&str>, status: &[(u16, u16)]) -> Arc<Page> {
    let regex = pattern.map(|p| UrlRegex { pattern: p.into(), ..UrlRegex::default() });
    let pattern = regex.as_ref().map(|terms| Pattern::new(terms).expect("a pattern"));
    let mut url = Url { regex, ..Url::default() };
    url.digest = digest.map(|text| text.parse().expect("a digest"));
    if !status.is_empty() {
        url.status = status.iter().map(|range| StatusRange::from(*range)).collect();
    }
    Arc::new(Page { url, pattern })
}

/// The outcome, and whether the end of the connection had to be waited for.
fn ask(page: &Arc<Page>, answer: &[u8], piece: usize) -> (Outcome, bool) {
    let mut http = Http::new(Arc::clone(page));
    for bytes in answer.chunks(piece) {
        if let Some(outcome) = http.feed(bytes) {
            return (outcome, false);
        }
    }
    (http.end(), true)
}

const fn good(code: u16) -> Outcome {
    Outcome::Good(Good { code: Some(code), weight: None })
}

fn check(page: &Arc<Page>, answer: &[u8], expected: &Outcome, waits: bool, why: &str) {
    for piece in [1, 7, 100_000] {
        let found = ask(page, answer, piece);
        assert_eq!(found, (expected.clone(), waits), "{why}, by {piece}");
    }
}

#[test]
fn heads_and_statuses() {
    let any = page(None, None, &[]);
    let odd = page(None, None, &[(301, 301), (500, 599)]);
    let early = page(None, None, &[(100, 199)]);
    for (page, answer, expected, waits, why) in [
        (&any, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", good(200), false, "whole"),
        (&any, "HTTP/1.0 200 OK\r\n\r\nok", good(200), true, "until the end"),
        (&any, "HTTP/1.0 200\nA: b\n\nok", good(200), true, "bare newlines, no words"),
        (&any, "HTTP/1.1 204 No\r\n\r\n", good(204), false, "a status without a body"),
        (&any, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", good(200), true, "cut short"),
        (
            &any,
            "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            good(200),
            false,
            "an interim answer is not the answer",
        ),
        (&early, "HTTP/1.1 103 Early\r\n\r\n", good(103), false, "unless it is asked for"),
        (&odd, "HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n", good(301), false, "in the list"),
        (&odd, "HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n", good(599), false, "in a range"),
        (
            &odd,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            Outcome::Bad(Fault::Status(200)),
            false,
            "not in the list: its body is not waited for",
        ),
        (&any, "", Outcome::Bad(Fault::Silent), true, "nothing"),
        (
            &any,
            "HTTP/1.1 200 OK\r\nA: ",
            Outcome::Bad(Fault::NotHttp("the head is not whole".into())),
            true,
            "half a head",
        ),
        (
            &any,
            "SSH-2.0-OpenSSH_9.2\r\n",
            Outcome::Bad(Fault::NotHttp("invalid HTTP version".into())),
            false,
            "another protocol",
        ),
    ] {
        check(page, answer.as_bytes(), &expected, waits, why);
    }
}

/// Found by fuzzing: an answer whose status is not wanted and whose framing is broken was the one
/// or the other, by where TCP cut it.
#[test]
fn an_unwanted_status_is_told_however_broken_the_body_is() {
    let odd = page(None, None, &[(404, 404)]);
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\0zz\r\n";
    check(&odd, answer, &Outcome::Bad(Fault::Status(200)), false, "the status comes first");
}

/// Found by fuzzing: it was told that such a head had more bytes than are read, which depended on
/// where TCP cut it.
#[test]
fn a_head_of_many_fields_says_so() {
    let any = page(None, None, &[]);
    let answer = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(FIELDS + 1));
    let fault = Outcome::Bad(Fault::NotHttp("more than 128 fields".into()));
    check(&any, answer.as_bytes(), &fault, false, "a field too many");
    let answer = format!("HTTP/1.1 204 No\r\n{}\r\n", "A: b\r\n".repeat(FIELDS));
    check(&any, answer.as_bytes(), &good(204), false, "as many as are read");
}

/// A server that sends interim answers by the thousand overran the stack, a frame for each.
#[test]
fn interim_answers_without_end_cost_no_stack() {
    let any = page(None, None, &[]);
    let mut answer = b"HTTP/1.1 100 \n\n".repeat(200_000);
    assert_eq!(ask(&any, &answer, 16 << 10).0, Outcome::Bad(Fault::Silent), "none that counts");
    answer.extend_from_slice(b"HTTP/1.1 204 No\r\n\r\n");
    for piece in [1000, 16 << 10, usize::MAX] {
        assert_eq!(ask(&any, &answer, piece), (good(204), false), "by {piece}");
    }
}

#[test]
fn digests() {
    let hello = page(Some(HELLO), None, &[]);
    let framed = page(Some(FRAMED), None, &[]);
    let fault = |got: &str, wanted: &str| {
        let digest = |text: &str| text.parse().expect("a digest");
        Outcome::Bad(Fault::Digest { got: digest(got), wanted: digest(wanted) })
    };
    let other = "06612c0d9c73d47a7042afd7024d7c82"; // of `hellO`
    for (page, answer, expected, waits, why) in [
        (&hello, "HTTP/1.0 200 OK\r\n\r\nhello", good(200), true, "until the end"),
        (&hello, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", good(200), false, "counted"),
        (
            &hello,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more",
            good(200),
            false,
            "what follows Content-Length is not of the body",
        ),
        (
            &hello,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            good(200),
            false,
            "the data of chunks",
        ),
        (
            &framed,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            good(200),
            false,
            "or with their framing, as genhash does",
        ),
        (&hello, "HTTP/1.0 200 OK\r\n\r\nhellO", fault(other, HELLO), true, "changed"),
        (
            &hello,
            "HTTP/1.0 500 Oh\r\n\r\nhello",
            Outcome::Bad(Fault::Status(500)),
            false,
            "the status comes first",
        ),
    ] {
        check(page, answer.as_bytes(), &expected, waits, why);
    }
}

#[test]
fn patterns() {
    let alive = page(None, Some("al[i]ve"), &[]);
    let mut dead = Page::clone(&page(None, Some("dead"), &[]));
    let terms = UrlRegex { no_match: true, pattern: "dead".into(), ..UrlRegex::default() };
    dead.pattern = Some(Pattern::new(&terms).expect("a pattern"));
    let dead = Arc::new(dead);
    let ok = |body: &str| format!("HTTP/1.0 200 OK\r\n\r\n{body}");
    let fault = |found| Outcome::Bad(Fault::Pattern { found });
    for (page, body, expected, why) in [
        (&alive, "I am alive", good(200), "found"),
        (&alive, "I am", fault(false), "not found"),
        (&dead, "I am alive", good(200), "no match is wanted"),
        (&dead, "I am dead", fault(true), "no match is wanted, and there is one"),
    ] {
        check(page, ok(body).as_bytes(), &expected, true, why);
    }
}

#[test]
fn what_never_ends_is_ended() {
    let mut http = Http::new(page(None, None, &[]));
    let mut outcome = http.feed(b"HTTP/1.0 200 OK\r\n");
    for _ in 0..HEAD_LIMIT {
        outcome = outcome.or_else(|| http.feed(b"A: b\r\n"));
    }
    assert_eq!(outcome, Some(Outcome::Bad(Fault::NotHttp("more than 128 fields".into()))));
    let mut http = Http::new(page(None, None, &[]));
    let mut outcome = http.feed(b"HTTP/1.0 200 OK\r\nA: ");
    for _ in 0..HEAD_LIMIT {
        outcome = outcome.or_else(|| http.feed(b"b"));
    }
    assert_eq!(outcome, Some(Outcome::Bad(Fault::LongHead(HEAD_LIMIT))));
    for (page, expected, why) in [
        (page(None, None, &[]), good(200), "the status was good"),
        (page(Some(HELLO), None, &[]), Outcome::Bad(Fault::LongBody(BODY_LIMIT)), "no digest"),
        (page(None, Some("never"), &[]), Outcome::Bad(Fault::LongBody(BODY_LIMIT)), "open"),
    ] {
        let mut http = Http::new(page);
        let mut outcome = http.feed(b"HTTP/1.0 200 OK\r\n\r\n");
        let mut fed = 0u64;
        while outcome.is_none() {
            outcome = http.feed(&[b'x'; 10_000]);
            fed += 10_000;
        }
        assert_eq!(outcome, Some(expected), "{why}");
        assert!(fed <= BODY_LIMIT + 10_000, "{why}");
    }
}

#[test]
fn requests_are_keepaliveds() {
    let mut named = Page::clone(&page(None, None, &[]));
    named.url.virtualhost = Some("www.example".into());
    named.url.path = "/a?b".into();
    let plain = page(None, None, &[]);
    for (protocol, page, target, expected) in [
        (
            HttpProtocol::V10,
            &*plain,
            "10.0.0.1:80",
            "GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 10.0.0.1:80\r\n\r\n",
        ),
        (
            HttpProtocol::V10Close,
            &plain,
            "[fd00::1]:80",
            "GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\n\
             Host: [fd00::1]:80\r\n\r\n",
        ),
        (
            HttpProtocol::V11,
            &named,
            "10.0.0.1:80",
            "GET /a?b HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\n\
             Host: www.example\r\n\r\n",
        ),
    ] {
        let target = target.parse().expect("an address");
        assert_eq!(String::from_utf8(request(protocol, page, target)).as_deref(), Ok(expected));
    }
}

proptest! {
    /// Whatever comes, and however it is cut: the same outcome, and no panic.
    #[test]
    fn any_bytes_cut_anywhere(
        head in prop_oneof![
            Just(&b""[..]),
            Just(&b"HTTP/1.1 200 OK\r\n\r\n"[..]),
            Just(&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"[..]),
        ],
        tail in proptest::collection::vec(any::<u8>(), 0..300),
        piece in 1..50usize,
    ) {
        let page = page(Some(HELLO), Some("o"), &[]);
        let answer = [head, &tail].concat();
        let (whole, _) = ask(&page, &answer, usize::MAX);
        let (cut, _) = ask(&page, &answer, piece);
        prop_assert_eq!(whole.is_good(), cut.is_good());
    }
}
