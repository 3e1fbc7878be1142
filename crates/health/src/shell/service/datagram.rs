//! The dialogues of one datagram each way.

use std::io;

use tokio::{net::UdpSocket, time::timeout};
use xlvs_model::health::ServiceCheck;

use super::{
    super::{
        net::{late, unreached},
        other,
    },
    number, random,
};
use crate::{
    Ask, Outcome, Stage,
    dialogue::{Dns, Pattern, Radius, ServiceDialogue as _, ServiceStep, Sip},
};

/// A name, by UDP.
pub(super) async fn name(ask: &Ask, check: &ServiceCheck, pattern: Option<Pattern>) -> Outcome {
    let dns = match Dns::new(check, pattern, other::number()) {
        Ok(dns) => dns,
        Err(outcome) => return outcome,
    };
    let socket = match other::open(ask) {
        Ok(socket) => socket,
        Err(outcome) => return outcome,
    };
    let exchange = async {
        socket.send(dns.bytes()).await?;
        let mut buffer = [0; 4096];
        loop {
            let length = socket.recv(&mut buffer).await?;
            if let Some(outcome) = dns.reply(&buffer[..length]) {
                return Ok(outcome);
            }
        }
    };
    match timeout(ask.timeout, exchange).await {
        Ok(found) => found.unwrap_or_else(|fault: io::Error| unreached(&fault)),
        Err(_) => late(Stage::Answer, ask.timeout),
    }
}

/// OPTIONS of SIP, by UDP: one datagram is an answer.
pub(super) async fn call(ask: &Ask, check: &ServiceCheck) -> Outcome {
    let socket = match other::open(ask) {
        Ok(socket) => socket,
        Err(outcome) => return outcome,
    };
    let exchange = async {
        let mut sip = match Sip::new(check, socket.local_addr()?, number()) {
            Ok(sip) => sip,
            Err(outcome) => return Ok(outcome),
        };
        if let ServiceStep::Send(request) = sip.begin() {
            socket.send(&request).await?;
        }
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).await?;
        Ok(match sip.feed(&buffer[..length]) {
            ServiceStep::Done(outcome) => outcome,
            _ => sip.end(),
        })
    };
    match timeout(ask.timeout, exchange).await {
        Ok(found) => found.unwrap_or_else(|fault: io::Error| unreached(&fault)),
        Err(_) => late(Stage::Answer, ask.timeout),
    }
}

/// Access-Request of RADIUS: the first answer that the secret signs counts.
pub(super) async fn access(ask: &Ask, check: &ServiceCheck) -> Outcome {
    let socket = match other::open(ask) {
        Ok(socket) => socket,
        Err(outcome) => return outcome,
    };
    let mut radius = match question(check, &socket) {
        Ok(radius) => radius,
        Err(outcome) => return outcome,
    };
    let exchange = async {
        socket.send(radius.bytes()).await?;
        let mut buffer = [0; other::DATAGRAM];
        loop {
            let length = socket.recv(&mut buffer).await?;
            if let Some(outcome) = radius.reply(&buffer[..length]) {
                return Ok(outcome);
            }
        }
    };
    match timeout(ask.timeout, exchange).await {
        Ok(found) => found.unwrap_or_else(|fault: io::Error| unreached(&fault)),
        Err(_) => radius.end().unwrap_or_else(|| late(Stage::Answer, ask.timeout)),
    }
}

fn question(check: &ServiceCheck, socket: &UdpSocket) -> Result<Radius, Outcome> {
    let from = socket.local_addr().map_err(|fault| unreached(&fault))?.ip();
    let [number] = random()?;
    Radius::new(check, from, number, random()?)
}
