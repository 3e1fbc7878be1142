//! `SMTP_CHECK`, `DNS_CHECK`, `UDP_CHECK` and `FILE_CHECK`.

use std::{
    io,
    sync::atomic::{AtomicU16, Ordering},
    time::SystemTime,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UdpSocket,
    time::timeout,
};
use xlvs_model::health::{DnsCheck, FileCheck, SmtpCheck, SmtpHost, UdpCheck};

use super::net::{connect, late, prepare, unreached, words};
use crate::{
    Ask, Fault, Outcome, Stage,
    dialogue::{DEFAULT_PAYLOAD, FILE_LIMIT, Query, Smtp, SmtpStep, file_says, udp_reply},
};

/// The steps of SMTP that each may take the time of one connection.
const SMTP_STEPS: u32 = 3;

/// The largest reply that is looked at.
pub(super) const DATAGRAM: usize = 4096;

/// Makes each query's number its own.
static QUERIES: AtomicU16 = AtomicU16::new(0);

/// Greets a mail server; of several hosts one after the other, and all have to be good.
pub(super) async fn smtp(ask: &Ask, check: &SmtpCheck) -> Outcome {
    if check.hosts.is_empty() {
        return greet(ask, check).await;
    }
    for host in &check.hosts {
        let outcome = greet(&of_host(ask, host), check).await;
        if !outcome.is_good() {
            return outcome;
        }
    }
    Outcome::GOOD
}

/// The same question to a host of its own.
fn of_host(ask: &Ask, host: &SmtpHost) -> Ask {
    let mut ask = ask.clone();
    if let Some(address) = host.connect_ip {
        ask.target.set_ip(address);
    }
    if let Some(port) = host.connect_port {
        ask.target.set_port(port);
    }
    ask.socket.address = host.bindto.or(ask.socket.address);
    ask.socket.port = host.bind_port.or(ask.socket.port);
    ask.socket.interface = host.bind_if.clone().or(ask.socket.interface);
    if host.fwmark != 0 {
        ask.socket.mark = host.fwmark;
    }
    ask.timeout = host.connect_timeout.unwrap_or(ask.timeout);
    ask
}

async fn greet(ask: &Ask, check: &SmtpCheck) -> Outcome {
    let whole = ask.timeout * SMTP_STEPS;
    let greeting = async {
        let mut stream = match connect(ask).await {
            Ok(stream) => stream,
            Err(outcome) => return outcome,
        };
        let mut smtp = Smtp::new(&check.helo_name);
        let mut buffer = [0; 512];
        loop {
            let length = match timeout(ask.timeout, stream.read(&mut buffer)).await {
                Ok(Ok(0)) => return smtp.end(),
                Ok(Ok(length)) => length,
                Ok(Err(fault)) => return Outcome::Bad(Fault::Broken(words(&fault))),
                Err(_) => return late(Stage::Answer, ask.timeout),
            };
            match smtp.feed(&buffer[..length]) {
                SmtpStep::Read => {}
                SmtpStep::Send(text) => {
                    if let Err(fault) = stream.write_all(text.as_bytes()).await {
                        return Outcome::Bad(Fault::Broken(words(&fault)));
                    }
                }
                SmtpStep::Done(outcome) => return outcome,
            }
        }
    };
    timeout(whole, greeting).await.unwrap_or_else(|_| late(Stage::Whole, whole))
}

/// Asks a name server.
pub(super) async fn dns(ask: &Ask, check: &DnsCheck) -> Outcome {
    let query = match Query::new(check, number()) {
        Ok(query) => query,
        Err(fault) => return Outcome::Unasked(fault.to_string()),
    };
    let socket = match open(ask) {
        Ok(socket) => socket,
        Err(outcome) => return outcome,
    };
    let exchange = async {
        socket.send(query.bytes()).await?;
        let mut buffer = [0; DATAGRAM];
        loop {
            let length = socket.recv(&mut buffer).await?;
            if let Some(outcome) = query.reply(&buffer[..length]) {
                return Ok(outcome);
            }
        }
    };
    match timeout(ask.timeout, exchange).await {
        Ok(found) => found.unwrap_or_else(|fault: io::Error| unreached(&fault)),
        Err(_) => late(Stage::Answer, ask.timeout),
    }
}

/// A number for a query.
pub(super) fn number() -> u16 {
    let born = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_micros();
    let [_, _, high, low] = born.to_be_bytes();
    QUERIES.fetch_add(1, Ordering::Relaxed) ^ u16::from_be_bytes([high, low])
}

/// Sends a datagram and waits for a reply or an ICMP error.
pub(super) async fn udp(ask: &Ask, check: &UdpCheck) -> Outcome {
    let socket = match open(ask) {
        Ok(socket) => socket,
        Err(outcome) => return outcome,
    };
    let exchange = async {
        let payload = check.payload.as_deref().unwrap_or(&DEFAULT_PAYLOAD);
        socket.send(payload).await?;
        let mut buffer = [0; DATAGRAM];
        let length = socket.recv(&mut buffer).await?;
        Ok(udp_reply(check, &buffer[..length]))
    };
    match timeout(ask.timeout, exchange).await {
        Ok(found) => found.unwrap_or_else(|fault: io::Error| unreached(&fault)),
        Err(_) if check.require_reply => late(Stage::Answer, ask.timeout),
        Err(_) => Outcome::GOOD,
    }
}

/// Reads the number in a file.
pub(super) async fn file(check: &FileCheck) -> Outcome {
    let mut text = Vec::new();
    match tokio::fs::File::open(&check.path).await {
        Ok(file) => {
            let limit = u64::try_from(FILE_LIMIT).unwrap_or(u64::MAX);
            if let Err(fault) = file.take(limit).read_to_end(&mut text).await {
                return Outcome::Unasked(format!("{}: {}", check.path, words(&fault)));
            }
        }
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
        Err(fault) => return Outcome::Unasked(format!("{}: {}", check.path, words(&fault))),
    }
    file_says(check, &text)
}

pub(super) fn open(ask: &Ask) -> Result<UdpSocket, Outcome> {
    let open = || {
        let domain = Domain::for_address(ask.target);
        let kind = Type::DGRAM.nonblocking().cloexec();
        let socket = Socket::new(domain, kind, Some(Protocol::UDP))?;
        prepare(&socket, &ask.socket, ask.target)?;
        Ok(socket)
    };
    let socket = open().map_err(|fault: io::Error| {
        Outcome::Unasked(format!("no socket as this check wants it: {fault}"))
    })?;
    socket.connect(&ask.target.into()).map_err(|fault| unreached(&fault))?;
    UdpSocket::from_std(socket.into()).map_err(|fault| Outcome::Unasked(words(&fault)))
}
