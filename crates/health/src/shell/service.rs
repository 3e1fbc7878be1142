//! ldirectord's `negotiate`: the bytes of a [`ServiceDialogue`], by TCP or TLS, and what some of
//! these services need beside one stream.
//!
//! `negotiatetimeout` bounds connecting, TLS's handshake, and then the dialogue as a whole.
//! `checktype = N` (`connects`) asks for N connections between two dialogues, to spare the server;
//! a question has no memory of the one before, so that each check here is the dialogue.

use std::io;

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use xlvs_model::health::{ServiceCheck, SmtpCheck, Talks};

use super::{
    Context,
    net::{late, words},
    other,
    via::connect,
};
use crate::{
    Ask, Fault, Outcome, Stage,
    dialogue::{Pattern, ServiceDialogue, ServiceStep, Simple, imap, nntp, pop, receive},
};

/// What Net::SMTP calls itself.
const HELO: &str = "localhost.localdomain";

/// Speaks with a service in its own manner.
pub(super) async fn ask(ask: &Ask, check: &ServiceCheck, context: &Context) -> Outcome {
    let pattern = match receive(check) {
        Ok(pattern) => pattern,
        Err(fault) => return Outcome::Unasked(format!("receive: {fault}")),
    };
    match check.service {
        Talks::Smtp | Talks::Submission => {
            let check = SmtpCheck { helo_name: HELO.into(), hosts: Vec::new() };
            other::smtp(ask, &check).await
        }
        _ => stream(ask, check, pattern, context).await,
    }
}

/// One dialogue by one connection.
async fn stream(
    ask: &Ask,
    check: &ServiceCheck,
    pattern: Option<Pattern>,
    context: &Context,
) -> Outcome {
    let mut dialogue = match dialogue(check, pattern) {
        Ok(dialogue) => dialogue,
        Err(outcome) => return outcome,
    };
    let stream = match connect(ask, context).await {
        Ok(stream) => stream,
        Err(outcome) => return outcome,
    };
    if !is_tls(check.service) {
        return speak(stream, ask, dialogue.as_mut()).await;
    }
    match handshake(stream, ask, None, context).await {
        Ok(stream) => speak(stream, ask, dialogue.as_mut()).await,
        Err(outcome) => outcome,
    }
}

const fn is_tls(service: Talks) -> bool {
    matches!(service, Talks::Imaps | Talks::Pops | Talks::Ldaps | Talks::Https)
}

/// The machine of a service.
fn dialogue(
    check: &ServiceCheck,
    pattern: Option<Pattern>,
) -> Result<Box<dyn ServiceDialogue>, Outcome> {
    let unable = |why: &str| {
        let name = check.service.name();
        Err(Outcome::Unasked(format!("xlvs does not speak with {name}: {why}")))
    };
    Ok(match check.service {
        Talks::Simpletcp => Box::new(Simple::new(&check.request, pattern)),
        Talks::Pop | Talks::Pops => Box::new(pop(check)?),
        Talks::Imap | Talks::Imaps => Box::new(imap(check)?),
        Talks::Nntp => Box::new(nntp()),
        Talks::Oracle => return unable("its protocol is not published"),
        _ => return unable("not yet"),
    })
}

/// TLS as all checks do it.
async fn handshake(
    stream: TcpStream,
    ask: &Ask,
    name: Option<&str>,
    context: &Context,
) -> Result<TlsStream<TcpStream>, Outcome> {
    let name = name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
    let config = context.tls.get(name.is_some(), false).map_err(Outcome::Unasked)?;
    let name = name.unwrap_or_else(|| ServerName::from(ask.target.ip()));
    match timeout(ask.timeout, TlsConnector::from(config).connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(fault)) => Err(Outcome::Bad(Fault::Tls(words(&fault)))),
        Err(_) => Err(late(Stage::Handshake, ask.timeout)),
    }
}

/// Carries bytes between a machine and a server until there is a verdict.
async fn speak<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    ask: &Ask,
    dialogue: &mut dyn ServiceDialogue,
) -> Outcome {
    let until = Instant::now() + ask.timeout;
    let mut heard = false;
    let mut buffer = [0; 4096];
    let mut step = dialogue.begin();
    loop {
        let exchange = async {
            match &step {
                ServiceStep::Send(bytes) => stream.write_all(bytes).await?,
                ServiceStep::SendLast(bytes) => {
                    stream.write_all(bytes).await?;
                    stream.shutdown().await?;
                }
                ServiceStep::Read | ServiceStep::Bye(..) | ServiceStep::Done(_) => {}
            }
            stream.read(&mut buffer).await
        };
        match step {
            ServiceStep::Done(outcome) => return outcome,
            ServiceStep::Bye(bytes, outcome) => {
                say_goodbye(stream, ask, &bytes).await;
                return outcome;
            }
            _ => {}
        }
        step = match timeout_at(until, exchange).await {
            Ok(Ok(0)) => return dialogue.end(),
            Ok(Ok(length)) => {
                heard = true;
                dialogue.feed(&buffer[..length])
            }
            // TLS's goodbye is not asked for, as keepalived does not.
            Ok(Err(fault)) if fault.kind() == io::ErrorKind::UnexpectedEof => {
                return dialogue.end();
            }
            Ok(Err(fault)) => return Outcome::Bad(Fault::Broken(words(&fault))),
            Err(_) if heard => return late(Stage::Whole, ask.timeout),
            Err(_) => return late(Stage::Answer, ask.timeout),
        };
    }
}

/// The verdict stands; a server that is left without a word writes that to its log.
async fn say_goodbye<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, ask: &Ask, bytes: &[u8]) {
    let goodbye = async {
        stream.write_all(bytes).await?;
        stream.read(&mut [0; 512]).await
    };
    let _ = timeout(GOODBYE.min(ask.timeout), goodbye).await;
}

/// How long an answer to a goodbye is waited for.
const GOODBYE: std::time::Duration = std::time::Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, time::Duration};

    use tokio::net::TcpListener;
    use xlvs_model::health::{Check, Common, Kind};

    use super::*;
    use crate::{Config, Via};

    /// Asks a server that says these, one for each time that it hears something.
    async fn asked(check: ServiceCheck, greets: bool, says: &'static [&'static str]) -> Outcome {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            for (at, text) in says.iter().enumerate() {
                let mut heard = [0; 1024];
                if at > 0 || !greets {
                    let _ = stream.read(&mut heard).await;
                }
                let _ = stream.write_all(text.as_bytes()).await;
            }
            // What it would say is over; it waits for the other's end.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        outcome(check, target).await
    }

    async fn outcome(check: ServiceCheck, target: SocketAddr) -> Outcome {
        let common = Common { connect_timeout: Duration::from_secs(10), ..Common::default() };
        let check = Check { kind: Kind::Service(check), common, origin: None };
        let asking = Ask::new(&check, target, Via::Host);
        let context = Context::new(&Config::default(), None);
        let Kind::Service(check) = &check.kind else { unreachable!("it is one of a service") };
        ask(&asking, check, &context).await
    }

    fn check(service: Talks) -> ServiceCheck {
        let (request, receive) = ("ping\\n".into(), "po+ng".into());
        ServiceCheck { service, request, receive, ..ServiceCheck::default() }
    }

    #[tokio::test]
    async fn simple_servers() {
        let right = asked(check(Talks::Simpletcp), false, &["pooong\n"]).await;
        assert_eq!(right, Outcome::GOOD);
        let wrong = asked(check(Talks::Simpletcp), false, &["ping\n"]).await;
        assert!(matches!(wrong, Outcome::Bad(Fault::Answered { .. })), "{wrong}");
        let strange = ServiceCheck { receive: "(".into(), ..check(Talks::Simpletcp) };
        let unasked = asked(strange, false, &["ping\n"]).await;
        assert!(matches!(unasked, Outcome::Unasked(_)), "{unasked}");
        let nobody = outcome(check(Talks::Simpletcp), SocketAddr::from(([127, 0, 0, 1], 1))).await;
        assert_eq!(nobody, Outcome::Bad(Fault::Refused));
    }

    #[tokio::test]
    async fn post_offices() {
        let login = || ServiceCheck { login: "me".into(), ..check(Talks::Pop) };
        let whole = &["+OK hi\r\n", "+OK\r\n", "+OK\r\n", "+OK 0 0\r\n", "+OK bye\r\n"];
        assert_eq!(asked(login(), true, whole).await, Outcome::GOOD);
        let refused = asked(login(), true, &["+OK hi\r\n", "+OK\r\n", "-ERR no\r\n"]).await;
        assert!(matches!(refused, Outcome::Bad(Fault::Answered { .. })), "{refused}");
        let mail = asked(check(Talks::Smtp), true, &["220 hi\r\n", "250 ok\r\n", "221 bye\r\n"]);
        assert_eq!(mail.await, Outcome::GOOD);
    }
}
