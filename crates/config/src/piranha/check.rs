//! What nanny asks of a server.

use std::{net::IpAddr, time::Duration};

use xlvs_model::health::{Common, Expect, Kind, OutputCheck, Script, TalkCheck};

use crate::{Report, table::Given};

/// What a block says of checks.
#[derive(Clone, Debug)]
pub(super) struct Terms<'a> {
    pub(super) port: u16,
    pub(super) udp: bool,
    pub(super) timeout: u32,
    pub(super) reentry: u32,
    send: Option<&'a Given>,
    expect: Option<&'a Given>,
    program: Option<&'a Given>,
    regex: bool,
}

impl<'a> Terms<'a> {
    pub(super) const fn new() -> Self {
        Self {
            port: 80,
            udp: false,
            timeout: 10,
            reentry: 180,
            send: None,
            expect: None,
            program: None,
            regex: false,
        }
    }

    /// Takes a keyword in; false: it is none of these.
    pub(super) fn take(&mut self, given: &'a Given) -> bool {
        match given.name() {
            "timeout" => self.timeout = given.number().unwrap_or(self.timeout),
            // nanny takes 0 for what is not said.
            "reentry" => {
                self.reentry = given.number().filter(|reentry| *reentry > 0).unwrap_or(180);
            }
            "send" => self.send = Some(given).filter(|given| !given.text().is_empty()),
            "expect" => self.expect = Some(given).filter(|given| !given.text().is_empty()),
            "send_program" => self.program = Some(given),
            "use_regex" => self.regex = given.is_on(),
            _ => return false,
        }
        true
    }

    /// The question to a server.
    pub(super) fn kind(&self, address: IpAddr, port: u16, report: &mut Report) -> Kind {
        let timeout = Duration::from_secs(self.timeout.into());
        if let Some(program) = self.program {
            if let Some(send) = self.send {
                report
                    .note(send.at, "`send` is not said: `send_program` is asked instead")
                    .see(program.at, "here");
            }
            let expect = self.expect.map(|expect| unescaped(expect, report));
            if expect.is_none() {
                report
                    .warning(program.at, "`send_program` without `expect`")
                    .means("nanny calls a server down whatever the program prints");
            }
            let argv = program.text().split(' ').filter(|word| !word.is_empty());
            let argv = argv.map(|word| match word {
                "%h" => address.to_string(),
                "%p" => port.to_string(),
                word => word.to_owned(),
            });
            let script = Script { argv: argv.collect(), user: None };
            return Kind::Output(OutputCheck { script, timeout, expect });
        }
        if self.send.is_none() && self.expect.is_none() {
            return match (self.port, self.udp) {
                // nanny: "no monitor configured, assuming web service on port 80".
                (80, udp) => Kind::Talk(TalkCheck {
                    udp,
                    send: Some(b"GET / HTTP/1.0\r\n\r\n".to_vec()),
                    expect: Some(Expect::Prefix(b"HTTP".to_vec())),
                }),
                (_, false) => Kind::Tcp,
                (_, true) => Kind::Talk(TalkCheck { udp: true, ..TalkCheck::default() }),
            };
        }
        let send = self.send.map(|send| unescaped(send, report).into_bytes());
        let expect = self.expect.map(|given| match unescaped(given, report) {
            text if self.regex => Expect::Regex(text),
            text if text == "*" => Expect::Anything,
            text => {
                if text.len() > MAX_EXPECT {
                    report
                        .warning(given.value_at(), "a long text is expected")
                        .means(format!("its first {MAX_EXPECT} bytes are compared, as by nanny"));
                }
                Expect::Prefix(text.into_bytes().into_iter().take(MAX_EXPECT).collect())
            }
        });
        Kind::Talk(TalkCheck { udp: self.udp, send, expect })
    }

    /// When it is asked. `asked_at` differs from the server's own port where packets keep the
    /// service's.
    pub(super) fn common(&self, port: u16, asked_at: u16) -> Common {
        let timeout = Duration::from_secs(self.timeout.into());
        Common {
            connect_port: (port != asked_at).then_some(asked_at),
            connect_timeout: timeout,
            retry: 0,
            delay_before_retry: timeout,
            warmup: Duration::ZERO,
            delay_loop: timeout,
            alpha: true,
            rise: (self.reentry / self.timeout.max(1)).max(1),
            ..Common::default()
        }
    }
}

/// nanny's `convert_str`: a text of one character stays as it is.
fn unescaped(given: &Given, report: &mut Report) -> String {
    let text = given.text();
    let (mut result, mut characters) = (String::new(), text.chars());
    if text.len() < 2 {
        return text.to_owned();
    }
    while let Some(character) = characters.next() {
        if character != '\\' {
            result.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => result.push('\n'),
            Some('r') => result.push('\r'),
            Some('t') => result.push('\t'),
            Some(same @ ('\\' | '\'' | '"')) => result.push(same),
            other => {
                let escape: String = std::iter::once('\\').chain(other).collect();
                report
                    .warning(given.value_at(), format!("`{escape}` stands for nothing"))
                    .label("\\n, \\r, \\t, \\\\, \\' and \\\" are known")
                    .means("it is said as it is written; nanny hangs over it");
                result.push_str(&escape);
            }
        }
    }
    result
}

/// nanny reads no more than its buffer holds.
const MAX_EXPECT: usize = 254;
