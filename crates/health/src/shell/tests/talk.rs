//! nanny's and ldirectord's own checks against small servers and programs.

use xlvs_model::health::{Expect, ExternalCheck, OutputCheck, TalkCheck};

use super::*;

fn talk(send: Option<&str>, expect: Option<Expect>) -> Kind {
    Kind::Talk(TalkCheck { udp: false, send: send.map(Into::into), expect })
}

#[tokio::test]
async fn what_is_sent_and_expected() {
    let web = answers("HTTP/1.0 200 OK\r\n\r\n").await;
    let mute = serve(|stream| async move {
        sleep(PATIENCE).await;
        drop(stream);
    })
    .await;
    let slow = serve(|mut stream| async move {
        for byte in b"HTTP/1.1" {
            let _ = stream.write_all(&[*byte]).await;
            sleep(ms(5)).await;
        }
    })
    .await;
    let get = Some("GET / HTTP/1.0\r\n\r\n");
    let http = || Some(Expect::Prefix("HTTP".into()));
    for (kind, target, good, why) in [
        (talk(get, http()), web, true, "the seed's file"),
        (talk(get, Some(Expect::Prefix("220".into()))), web, false, "another answer"),
        (talk(get, Some(Expect::Regex("200 OK".into()))), web, true, "an expression"),
        (talk(None, http()), slow, true, "an answer in many pieces"),
        (talk(None, None), mute, true, "nothing is expected"),
        (talk(get, http()), mute, false, "silence"),
        (talk(get, http()), NOWHERE, false, "nobody"),
    ] {
        let outcome = ask_briefly(kind, target, ms(700)).await;
        assert_eq!(outcome.is_good(), good, "{why}: {outcome}");
    }
}

#[tokio::test]
async fn datagrams_are_sent_and_expected() {
    let server = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let address = server.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut bytes = [0; 64];
        while let Ok((length, peer)) = server.recv_from(&mut bytes).await {
            let _ = server.send_to(&bytes[..length], peer).await;
        }
    });
    let talk =
        |send: &str, expect| Kind::Talk(TalkCheck { udp: true, send: Some(send.into()), expect });
    let pong = || Some(Expect::Prefix("pong".into()));
    for (kind, good, why) in [
        (talk("pong", pong()), true, "as expected"),
        (talk("ping", pong()), false, "something else"),
        (talk("x", None), true, "anything"),
    ] {
        let outcome = ask_briefly(kind, address, ms(700)).await;
        assert_eq!(outcome.is_good(), good, "{why}: {outcome}");
    }
}

#[tokio::test]
async fn programs_are_judged_by_what_they_print() {
    let output = |text: &str, expect: Option<&str>, limit| {
        let argv = ["sh", "-c", text].map(str::to_owned).to_vec();
        let script = Script { argv, user: None };
        Kind::Output(OutputCheck { script, timeout: limit, expect: expect.map(Into::into) })
    };
    for (kind, good, why) in [
        (output("echo OK", Some("OK"), PATIENCE), true, "as expected"),
        (output("echo no", Some("OK"), PATIENCE), false, "something else"),
        (output("echo OK; exit 1", Some("OK"), PATIENCE), false, "one that fails"),
        (output("echo OK", None, PATIENCE), false, "nothing is right"),
        (output("echo OK; exec sleep 60", Some("OK"), ms(300)), false, "one that hangs"),
        (output("exec cat /dev/zero", Some("OK"), ms(500)), false, "one without an end"),
    ] {
        let outcome = ask(kind, NOWHERE).await;
        assert_eq!(outcome.is_good(), good, "{why}: {outcome}");
    }
}

#[tokio::test]
async fn external_programs_get_their_arguments() {
    let folder = tempfile::tempdir().expect("a folder");
    let perl = folder.path().join("check.pl");
    std::fs::write(&perl, "return $ARGV[2] eq '10.0.1.1' ? 0 : 3;\n").expect("written");
    let perl = perl.display().to_string();
    let shell = program(folder.path(), "check.sh", "test \"$3\" = 10.0.1.1 || exit 3");
    for (file, is_perl) in [(shell, false), (perl, true)] {
        for (server, expected) in
            [("10.0.1.1", good(0)), ("10.0.1.2", Outcome::Bad(Fault::Exit(3)))]
        {
            let arguments = ["10.0.0.1", "80", server, "80"].map(str::to_owned).to_vec();
            let (program, timeout) = (file.clone(), PATIENCE);
            let check = ExternalCheck { program, arguments, perl: is_perl, timeout };
            assert_eq!(ask(Kind::External(check), NOWHERE).await, expected, "{file} {server}");
        }
    }
}
