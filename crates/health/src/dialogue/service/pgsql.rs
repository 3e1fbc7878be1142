//! `PostgreSQL`'s protocol, version 3: a login, and a query that finds something.
//!
//! As ldirectord does, through its library: the query has to return a row (one that is no SELECT
//! has to change one), and what the rows hold is not looked at. Where the server offers TLS the
//! login is made over it.

use std::fmt;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::{
    authentication::{
        md5_hash,
        sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
    },
    message::{
        backend::{ErrorResponseBody, Header, Message},
        frontend,
    },
};
use xlvs_model::health::ServiceCheck;

use super::{ServiceDialogue, ServiceStep, WHOLE_LIMIT, shorten, word, wrong};
use crate::{Fault, Outcome};

/// One dialogue.
pub struct Pgsql {
    login: String,
    passwd: String,
    startup: Vec<u8>,
    query: Vec<u8>,
    heard: BytesMut,
    seen: usize,
    state: State,
    scram: Scram,
    /// What the last statement returned or changed.
    rows: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// One byte says whether TLS comes.
    Offer,
    Login,
    Query,
}

/// The login by SCRAM.
enum Scram {
    None,
    Asked(Box<ScramSha256>),
    Proved(Box<ScramSha256>),
    /// The server has proved itself, too.
    Done,
}

impl Pgsql {
    /// A dialogue, over TLS where the server offers it and `tls` allows it.
    pub fn new(check: &ServiceCheck, tls: bool) -> Result<Self, Outcome> {
        if check.login.is_empty() {
            return Err(Outcome::Unasked("its login is missing".into()));
        }
        let login = word("login", &check.login)?;
        let passwd = word("passwd", &check.passwd)?;
        let mut terms = vec![("user", login), ("client_encoding", "UTF8")];
        terms.push(("application_name", "xlvs"));
        if !check.database.is_empty() {
            terms.push(("database", word("database", &check.database)?));
        }
        let startup = said(|bytes| frontend::startup_message(terms, bytes))?;
        let query = match check.request.as_str() {
            "" => Vec::new(),
            query => said(|bytes| frontend::query(query, bytes))?,
        };
        Ok(Self {
            login: login.into(),
            passwd: passwd.into(),
            startup,
            query,
            heard: BytesMut::new(),
            seen: 0,
            state: if tls { State::Offer } else { State::Login },
            scram: Scram::None,
            rows: 0,
        })
    }

    /// The next whole message; none yet.
    fn next(&mut self) -> Result<Option<Message>, Outcome> {
        let header = Header::parse(&self.heard).map_err(|_| other())?;
        // The codec makes room for a message before it has come.
        let length = header.map_or(0, |header| usize::try_from(header.len()).unwrap_or(usize::MAX));
        if self.seen > WHOLE_LIMIT || length > WHOLE_LIMIT {
            return Err(if self.rows > 0 {
                Outcome::GOOD
            } else {
                wrong(format!("more than {WHOLE_LIMIT} bytes"), None)
            });
        }
        Message::parse(&mut self.heard).map_err(|_| other())
    }

    /// An error is the verdict.
    fn hear(&mut self, message: Message) -> Result<Option<ServiceStep>, Outcome> {
        match (message, self.state) {
            (Message::ErrorResponse(body), _) => return Err(fault(&body)),
            (
                Message::NoticeResponse(_)
                | Message::ParameterStatus(_)
                | Message::NotificationResponse(_)
                | Message::BackendKeyData(_),
                _,
            ) => {}
            (Message::ReadyForQuery(_), State::Login) => {
                if self.query.is_empty() {
                    return Err(Outcome::GOOD);
                }
                self.state = State::Query;
                return Ok(Some(ServiceStep::Send(std::mem::take(&mut self.query))));
            }
            (message, State::Login) => return self.log_in(message),
            (Message::RowDescription(_) | Message::EmptyQueryResponse, State::Query) => {
                self.rows = 0;
            }
            (Message::DataRow(_), State::Query) => self.rows = self.rows.saturating_add(1),
            (Message::CommandComplete(body), State::Query) => {
                // `SELECT 3`, `INSERT 0 1`, `UPDATE 2`, `SET`.
                let tag = body.tag().unwrap_or_default();
                self.rows = tag.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
            }
            (Message::ReadyForQuery(_), State::Query) if self.rows > 0 => {
                return Err(Outcome::GOOD);
            }
            (Message::ReadyForQuery(_), State::Query) => {
                return Err(wrong("without a row", None));
            }
            _ => return Err(wrong("with a message out of turn", None)),
        }
        Ok(None)
    }

    fn log_in(&mut self, message: Message) -> Result<Option<ServiceStep>, Outcome> {
        let unable = |how: &str| {
            Err(Outcome::Unasked(format!("it wants a login by {how}, which xlvs does not do")))
        };
        let untrue = |_| wrong("with a wrong proof of itself", None);
        let answer = match (message, std::mem::replace(&mut self.scram, Scram::None)) {
            (Message::AuthenticationOk, Scram::None | Scram::Done) => return Ok(None),
            (Message::AuthenticationCleartextPassword, Scram::None) => {
                said(|bytes| frontend::password_message(self.passwd.as_bytes(), bytes))?
            }
            (Message::AuthenticationMd5Password(body), Scram::None) => {
                let (login, passwd) = (self.login.as_bytes(), self.passwd.as_bytes());
                let hash = md5_hash(login, passwd, body.salt());
                said(|bytes| frontend::password_message(hash.as_bytes(), bytes))?
            }
            (Message::AuthenticationSasl(body), Scram::None) => {
                let mut ways = body.mechanisms();
                if !ways.any(|way| Ok(way == SCRAM_SHA_256)).map_err(|_| other())? {
                    return unable("another SASL than SCRAM-SHA-256");
                }
                let passwd = self.passwd.as_bytes();
                let scram = Box::new(ScramSha256::new(passwd, ChannelBinding::unsupported()));
                let answer = said(|bytes| {
                    frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), bytes)
                })?;
                self.scram = Scram::Asked(scram);
                answer
            }
            (Message::AuthenticationSaslContinue(body), Scram::Asked(mut scram)) => {
                // It bounds the rounds that a server may ask for.
                scram.update(body.data()).map_err(untrue)?;
                let answer = said(|bytes| frontend::sasl_response(scram.message(), bytes))?;
                self.scram = Scram::Proved(scram);
                answer
            }
            (Message::AuthenticationSaslFinal(body), Scram::Proved(mut scram)) => {
                scram.finish(body.data()).map_err(untrue)?;
                self.scram = Scram::Done;
                return Ok(None);
            }
            (Message::AuthenticationGss | Message::AuthenticationSspi, _) => {
                return unable("GSSAPI");
            }
            (Message::AuthenticationKerberosV5, _) => return unable("Kerberos 5"),
            _ => return Err(wrong("with a message out of turn", None)),
        };
        Ok(Some(ServiceStep::Send(answer)))
    }
}

impl ServiceDialogue for Pgsql {
    fn begin(&mut self) -> ServiceStep {
        if self.state == State::Login {
            return ServiceStep::Send(std::mem::take(&mut self.startup));
        }
        let mut bytes = BytesMut::new();
        frontend::ssl_request(&mut bytes);
        ServiceStep::Send(bytes.to_vec())
    }

    fn feed(&mut self, bytes: &[u8]) -> ServiceStep {
        if self.state == State::Offer {
            return match bytes {
                b"S" => ServiceStep::Secure(Vec::new()),
                b"N" => {
                    self.state = State::Login;
                    self.begin()
                }
                // One that cannot even fork says why.
                [b'E', ..] => {
                    self.state = State::Login;
                    self.feed(bytes)
                }
                _ => ServiceStep::Done(other()),
            };
        }
        self.seen = self.seen.saturating_add(bytes.len());
        self.heard.extend_from_slice(bytes);
        loop {
            let heard = match self.next() {
                Ok(Some(message)) => self.hear(message),
                Ok(None) => return ServiceStep::Read,
                Err(outcome) => Err(outcome),
            };
            match heard {
                Ok(Some(step)) => return step,
                Ok(None) => {}
                Err(outcome @ Outcome::Good(_)) => {
                    let mut bytes = BytesMut::new();
                    frontend::terminate(&mut bytes);
                    return ServiceStep::Bye(bytes.to_vec(), outcome);
                }
                Err(outcome) => return ServiceStep::Done(outcome),
            }
        }
    }

    fn secured(&mut self) -> ServiceStep {
        self.state = State::Login;
        self.begin()
    }

    fn end(&mut self) -> Outcome {
        Outcome::Bad(Fault::Silent)
    }
}

impl fmt::Debug for Pgsql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { login, state, rows, .. } = self;
        f.debug_struct("Pgsql")
            .field("login", login)
            .field("state", state)
            .field("rows", rows)
            .finish_non_exhaustive()
    }
}

/// A server that takes logins without TLS alone says this.
pub fn wants_no_tls(outcome: &Outcome) -> bool {
    let Outcome::Bad(Fault::Answered { what, .. }) = outcome else { return false };
    // The name is the same in each of its languages.
    what.starts_with("error 28000") && what.contains("pg_hba.conf")
}

/// A message as bytes.
fn said(make: impl FnOnce(&mut BytesMut) -> std::io::Result<()>) -> Result<Vec<u8>, Outcome> {
    let mut bytes = BytesMut::new();
    make(&mut bytes).map_err(|fault| Outcome::Unasked(format!("it cannot be said: {fault}")))?;
    Ok(bytes.to_vec())
}

/// `error 28P01: password authentication failed for user "me"`
fn fault(body: &ErrorResponseBody) -> Outcome {
    let (mut code, mut text) = (String::new(), String::new());
    let mut fields = body.fields();
    while let Ok(Some(field)) = fields.next() {
        let value = || shorten(&String::from_utf8_lossy(field.value_bytes()));
        match field.type_() {
            b'C' => code = value(),
            b'M' => text = value(),
            _ => {}
        }
    }
    wrong(format!("error {code}: {text}"), None)
}

fn other() -> Outcome {
    wrong("with something that is not PostgreSQL", None)
}

#[cfg(test)]
mod tests;
