//! Connections by the way that a check's questions take: from this host, or to the virtual address
//! on that very server. How the latter is done is the host's ([`Forwarding`]); here is what its
//! answers mean for a check.

use std::{fmt::Debug, future::Future, io, net::IpAddr, os::fd::OwnedFd, pin::Pin, time::Duration};

use tokio::{
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout_at},
};

use super::{
    Context,
    net::{self, unreached},
    syn,
};
use crate::{Ask, Fault, Outcome, Through, Via};

/// A way to the virtual address on one server, past this host's own.
pub trait Forwarding: Debug + Send + Sync {
    /// A socket of which all that is sent reaches this server as clients' packets do. `source`: the
    /// address it speaks from; none: the one that this host speaks to the server from. `limit`: how
    /// long connecting may take as a whole.
    fn open(&self, through: Through, source: Option<IpAddr>, limit: Duration) -> Opening<'_>;
}

/// [`Forwarding::open`]'s answer, awaited.
pub type Opening<'a> = Pin<Box<dyn Future<Output = Result<Opened, Closed>> + Send + 'a>>;

/// A way to ask.
#[derive(Debug)]
pub enum Opened {
    /// A TCP socket, bound, not connected, that does not block.
    Socket(OwnedFd),
    /// The server is this host: its own stack is the way.
    Here,
}

/// Why there is no way to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// For a reason on this host, which says nothing of the server.
    Unable(String),
    /// Clients' packets do not get there either.
    NoWay(String),
}

/// A connection by the check's way, or the outcome that its lack is.
pub(super) async fn connect(ask: &Ask, context: &Context) -> Result<TcpStream, Outcome> {
    let Via::Forwarding(through) = ask.via else { return net::connect(ask).await };
    let unable = |why: String| Outcome::Unasked(format!("not by forwarding: {why}"));
    let Some(forwarding) = &context.forwarding else {
        return Err(unable("this program forwards nothing".into()));
    };
    let until = Instant::now() + ask.timeout;
    let silent = Fault::NotForVirtual { target: through.target, limit: ask.timeout };
    let opening = forwarding.open(through, ask.socket.address, ask.timeout);
    let opened = match timeout_at(until, opening).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(Closed::Unable(why))) => return Err(unable(why)),
        Ok(Err(Closed::NoWay(why))) => return Err(Outcome::Bad(Fault::Unreachable(why))),
        Err(_) => return Err(unable("its socket was not made in time".into())),
    };
    let socket = socket(opened).and_then(|socket| {
        syn::prepare(ask, &socket)?;
        Ok(socket)
    });
    let socket = socket.map_err(|fault| unable(net::words(&fault)))?;
    match timeout_at(until, socket.connect(through.target)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(fault)) if fault.kind() == io::ErrorKind::TimedOut => Err(Outcome::Bad(silent)),
        Ok(Err(fault)) => Err(unreached(&fault)),
        Err(_) => Err(Outcome::Bad(silent)),
    }
}

fn socket(opened: Opened) -> io::Result<TcpSocket> {
    match opened {
        Opened::Socket(socket) => Ok(TcpSocket::from_std_stream(socket.into())),
        Opened::Here => TcpSocket::new_v4(),
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, sync::Arc};

    use xlvs_model::{
        Method, Tunnel,
        health::{Check, Common, Kind},
    };

    use super::*;
    use crate::Config;

    /// Answers each opening with the same words.
    #[derive(Debug)]
    struct Says(Result<(), Closed>);

    impl Forwarding for Says {
        fn open(&self, _: Through, _: Option<IpAddr>, _: Duration) -> Opening<'_> {
            let answer = self.0.clone().map(|()| Opened::Here);
            Box::pin(std::future::ready(answer))
        }
    }

    async fn outcome(answer: Option<Result<(), Closed>>, target: SocketAddr) -> String {
        let check = Check { kind: Kind::Tcp, common: Common::default(), origin: None };
        let server = "192.0.2.7:80".parse().expect("an address");
        let (method, tunnel) = (Method::Route, Tunnel::Ipip);
        let via = Via::Forwarding(Through { target, server, method, tunnel });
        let mut ask = Ask::new(&check, server, via);
        ask.timeout = Duration::from_secs(10);
        let forwarding = answer.map(|answer| Arc::new(Says(answer)) as Arc<dyn Forwarding>);
        let context = Context::new(&Config::default(), forwarding);
        match connect(&ask, &context).await {
            Ok(_) => "connected".into(),
            Err(outcome) => outcome.to_string(),
        }
    }

    #[tokio::test]
    async fn what_the_host_says_becomes_an_outcome() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let open = listener.local_addr().expect("an address");
        let closed = "127.0.0.1:1".parse().expect("an address");
        let unable = Closed::Unable("no powers".into());
        let no_way = Closed::NoWay("no route".into());
        let rows = [
            (None, open, "could not be asked: not by forwarding: this program forwards nothing"),
            (Some(Err(unable)), open, "could not be asked: not by forwarding: no powers"),
            (Some(Err(no_way)), open, "cannot be reached: no route"),
            (Some(Ok(())), open, "connected"),
            (Some(Ok(())), closed, "connection refused"),
        ];
        for (answer, target, expected) in rows {
            assert_eq!(outcome(answer.clone(), target).await, expected, "{answer:?}");
        }
    }

    #[test]
    fn a_check_by_forwarding_says_so() {
        let server = "192.0.2.7:80".parse().expect("an address");
        let target = "198.51.100.1:80".parse().expect("an address");
        let through = Through { target, server, method: Method::Tunnel, tunnel: Tunnel::Ipip };
        let check = Check { kind: Kind::Tcp, common: Common::default(), origin: None };
        let ask = Ask::new(&check, server, Via::Forwarding(through));
        assert_eq!(ask.name(), "TCP_CHECK 192.0.2.7:80 for 198.51.100.1:80 by tunnel");
        assert_ne!(ask.key(), Ask::new(&check, server, Via::Host).key());
    }
}
