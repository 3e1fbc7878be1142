//! `MySQL`'s and `MariaDB`'s protocol: a login, and a query that finds something.
//!
//! As ldirectord does, through its library: the query has to return a row (one that is no SELECT
//! has to change one), and what the rows hold is not looked at. Where the server offers TLS the
//! login is made over it, as `MySQL`'s own client does.
//!
//! The protocol is our own because the published codec's reader of RSA keys indexes into what a
//! server sends without a look at its length, and a server must not be able to end the daemon.

mod auth;
mod packets;

use xlvs_model::health::ServiceCheck;

use self::{
    auth::{Plugin, encrypted},
    packets::{Cursor, Greeting, Packets, fault, framed},
};
use super::{ServiceDialogue, ServiceStep, shorten, word, wrong};
use crate::Outcome;

/// One dialogue.
#[derive(Debug)]
pub struct Mysql {
    login: String,
    passwd: String,
    database: String,
    query: String,
    tls: bool,
    seed: [u8; 20],
    packets: Packets,
    /// The next packet's number.
    number: u8,
    is_secure: bool,
    plugin: Plugin,
    nonce: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The server speaks first.
    Greeting,
    /// Of the login.
    Login,
    /// What a query's answer begins with.
    Answer,
    /// So many descriptions of columns, and the mark after them.
    Columns(u64),
    /// So many rows came.
    Rows(u64),
}

impl Mysql {
    /// A dialogue, over TLS where the server offers it and `tls` allows it. The seed is of bytes
    /// that nobody expects.
    pub fn new(check: &ServiceCheck, tls: bool, seed: [u8; 20]) -> Result<Self, Outcome> {
        if check.login.is_empty() {
            return Err(Outcome::Unasked("its login is missing".into()));
        }
        Ok(Self {
            login: word("login", &check.login)?.into(),
            passwd: word("passwd", &check.passwd)?.into(),
            database: word("database", &check.database)?.into(),
            query: check.request.clone(),
            tls,
            seed,
            packets: Packets::default(),
            number: 0,
            is_secure: false,
            plugin: Plugin::Native,
            nonce: Vec::new(),
            state: State::Greeting,
        })
    }

    fn hear(&mut self, packet: &[u8]) -> Result<Option<ServiceStep>, Outcome> {
        let other = || wrong("with something that is not MySQL", None);
        let first = *packet.first().ok_or_else(other)?;
        if first == ERROR {
            return Err(fault(packet));
        }
        match self.state {
            State::Greeting => {
                let greeting = Greeting::read(packet).ok_or_else(other)?;
                self.nonce = greeting.nonce;
                self.plugin = match Plugin::of(&greeting.plugin) {
                    // The server says which it is when it knows the account.
                    Plugin::Other(_) => Plugin::Native,
                    plugin => plugin,
                };
                self.state = State::Login;
                if self.tls && greeting.tls {
                    let ask = self.say(&packets::head(true, !self.database.is_empty()));
                    return Ok(Some(ServiceStep::Secure(ask)));
                }
                self.introduce().map(Some)
            }
            State::Login => self.log_in(first, packet),
            State::Answer => match first {
                OK => {
                    let changed = Cursor(&packet[1..]).length().ok_or_else(other)?;
                    Err(found(changed))
                }
                LOCAL_FILE => Err(wrong("with a wish for a file", None)),
                _ => {
                    let columns = Cursor(packet).length().ok_or_else(other)?;
                    self.state = State::Columns(columns);
                    Ok(None)
                }
            },
            State::Columns(left) => {
                self.state = left.checked_sub(1).map_or(State::Rows(0), State::Columns);
                Ok(None)
            }
            State::Rows(rows) if first == END && packet.len() < 9 => Err(found(rows)),
            State::Rows(rows) => {
                self.state = State::Rows(rows.saturating_add(1));
                Ok(None)
            }
        }
    }

    /// The answer to the greeting, with the first proof.
    fn introduce(&mut self) -> Result<ServiceStep, Outcome> {
        let proof = self.proof()?;
        let mut body = packets::head(self.is_secure, !self.database.is_empty());
        body.extend(self.login.as_bytes());
        body.push(0);
        // Proofs have 32 bytes at most; a password as it is has a zero at its end and may be long.
        let length = u8::try_from(proof.len());
        body.push(length.map_err(|_| Outcome::Unasked("its passwd is too long".into()))?);
        body.extend(proof);
        if !self.database.is_empty() {
            body.extend(self.database.as_bytes());
            body.push(0);
        }
        body.extend(self.plugin.name().as_bytes());
        body.push(0);
        Ok(ServiceStep::Send(self.say(&body)))
    }

    fn log_in(&mut self, first: u8, packet: &[u8]) -> Result<Option<ServiceStep>, Outcome> {
        let body = match first {
            OK if self.query.is_empty() => return Err(Outcome::GOOD),
            OK => {
                self.state = State::Answer;
                self.number = 0;
                [&[QUERY], self.query.as_bytes()].concat()
            }
            END => {
                let mut cursor = Cursor(&packet[1..]);
                let name = cursor.text().unwrap_or_else(|| "mysql_old_password".into());
                self.plugin = Plugin::of(&name);
                let rest = cursor.0;
                self.nonce = rest.strip_suffix(&[0]).unwrap_or(rest).to_vec();
                self.proof()?
            }
            MORE if self.plugin == Plugin::CachingSha2 => match &packet[1..] {
                [FAST] => return Ok(None),
                [FULL] if self.is_secure => [self.passwd.as_bytes(), &[0]].concat(),
                [FULL] => vec![WANT_KEY],
                key => {
                    let sealed = encrypted(key, &self.passwd, &self.nonce, &self.seed);
                    sealed.ok_or_else(|| wrong("with a key that cannot be used", None))?
                }
            },
            other => return Err(wrong(format!("to the login with {other:#04x}"), None)),
        };
        Ok(Some(ServiceStep::Send(self.say(&body))))
    }

    fn proof(&self) -> Result<Vec<u8>, Outcome> {
        self.plugin.proof(&self.passwd, &self.nonce, self.is_secure).ok_or_else(|| {
            let name = shorten(self.plugin.name());
            Outcome::Unasked(format!("its login is one of {name}, which xlvs does not speak"))
        })
    }

    fn say(&mut self, body: &[u8]) -> Vec<u8> {
        let packet = framed(self.number, body);
        self.number = self.number.wrapping_add(1);
        packet
    }
}

impl ServiceDialogue for Mysql {
    fn feed(&mut self, bytes: &[u8]) -> ServiceStep {
        self.packets.push(bytes);
        loop {
            let (number, packet) = match self.packets.next() {
                Ok(Some(next)) => next,
                Ok(None) => return ServiceStep::Read,
                // Enough rows were seen to know.
                Err(_) if matches!(self.state, State::Rows(1..)) => {
                    return ServiceStep::Done(Outcome::GOOD);
                }
                Err(outcome) => return ServiceStep::Done(outcome),
            };
            self.number = number.wrapping_add(1);
            match self.hear(&packet) {
                Ok(Some(step)) => return step,
                Ok(None) => {}
                Err(Outcome::Good(good)) => {
                    return ServiceStep::Bye(framed(0, &[QUIT]), Outcome::Good(good));
                }
                Err(outcome) => return ServiceStep::Done(outcome),
            }
        }
    }

    fn secured(&mut self) -> ServiceStep {
        // What came before is not of this connection's other end.
        self.packets = Packets::default();
        self.is_secure = true;
        self.introduce().unwrap_or_else(ServiceStep::Done)
    }
}

/// The outcome of so many rows.
fn found(rows: u64) -> Outcome {
    if rows > 0 { Outcome::GOOD } else { wrong("without a row", None) }
}

/// What packets begin with.
const OK: u8 = 0x00;
const MORE: u8 = 0x01;
const LOCAL_FILE: u8 = 0xfb;
const END: u8 = 0xfe;
const ERROR: u8 = 0xff;
/// `caching_sha2_password`: the server remembers the account.
const FAST: u8 = 3;
/// It wants the password itself.
const FULL: u8 = 4;
/// The client wants the server's RSA key.
const WANT_KEY: u8 = 2;
/// Commands.
const QUIT: u8 = 1;
const QUERY: u8 = 3;

#[cfg(test)]
mod tests;
