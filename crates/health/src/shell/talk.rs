//! nanny's checks: something is sent and something expected, or a program's output is.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use xlvs_model::health::{ExternalCheck, LoadCheck, MiscCheck, OutputCheck, Script, TalkCheck};

use super::{
    Context, misc,
    net::{late, unreached, words},
    other, via,
};
use crate::{
    Ask, Fault, Good, Outcome, Stage, Weight,
    dialogue::{Talk, load_of},
};

/// What a program's output may be long to be compared.
const OUTPUT_LIMIT: u64 = 64 << 10;

/// Says something and listens.
pub(super) async fn ask(ask: &Ask, check: &TalkCheck, context: &Context) -> Outcome {
    let mut talk = match Talk::new(check) {
        Ok(talk) => talk,
        Err(why) => return Outcome::Unasked(why),
    };
    let send = check.send.as_deref().unwrap_or_default();
    if check.udp {
        return by_datagram(ask, talk, send).await;
    }
    let mut stream = match via::connect(ask, context).await {
        Ok(stream) => stream,
        Err(outcome) => return outcome,
    };
    let exchange = async {
        if let Err(fault) = stream.write_all(send).await {
            return Outcome::Bad(Fault::Broken(words(&fault)));
        }
        if !talk.waits() {
            return Outcome::GOOD;
        }
        let mut buffer = [0; 512];
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) => return talk.end(),
                Ok(length) => {
                    if let Some(outcome) = talk.feed(&buffer[..length]) {
                        return outcome;
                    }
                }
                Err(fault) => return Outcome::Bad(Fault::Broken(words(&fault))),
            }
        }
    };
    timeout(ask.timeout, exchange).await.unwrap_or_else(|_| late(Stage::Answer, ask.timeout))
}

async fn by_datagram(ask: &Ask, mut talk: Talk, send: &[u8]) -> Outcome {
    let socket = match other::open(ask) {
        Ok(socket) => socket,
        Err(outcome) => return outcome,
    };
    let exchange = async {
        socket.send(send).await?;
        let mut buffer = [0; other::DATAGRAM];
        let length = socket.recv(&mut buffer).await?;
        Ok(talk.feed(&buffer[..length]).unwrap_or_else(|| talk.end()))
    };
    match timeout(ask.timeout, exchange).await {
        Ok(found) => found.unwrap_or_else(|fault: std::io::Error| unreached(&fault)),
        Err(_) => late(Stage::Answer, ask.timeout),
    }
}

/// Runs a program and compares what it prints, but for its last byte. One that fails is no good
/// answer, whatever it printed.
pub(super) async fn output(check: &OutputCheck, context: &Context) -> Outcome {
    let Some(expected) = &check.expect else {
        return Outcome::Bad(Fault::CannotRun("nothing is expected of it (`expect`)".into()));
    };
    match misc::read(&check.script, check.timeout, &context.users, OUTPUT_LIMIT).await {
        Ok(printed) => compare(&printed, expected),
        Err(outcome) => outcome,
    }
}

fn compare(printed: &[u8], expected: &str) -> Outcome {
    let told = printed.split_last().map_or(&[][..], |(_, told)| told);
    if told == expected.as_bytes() {
        return Outcome::GOOD;
    }
    let what = format!("`{}`, not `{expected}`", shown(told));
    Outcome::Bad(Fault::Answered { what, code: None })
}

/// The beginning of what a program printed.
fn shown(printed: &[u8]) -> String {
    let told: String = String::from_utf8_lossy(printed).chars().take(80).collect();
    told.escape_default().to_string()
}

/// Asks for a load. A server whose load is not known is none the worse for it.
pub(super) async fn load(check: &LoadCheck, context: &Context) -> Outcome {
    match misc::read(&check.script, check.timeout, &context.users, OUTPUT_LIMIT).await {
        Ok(printed) => match load_of(&printed) {
            Some(load) => Outcome::Good(Good { code: None, weight: Some(Weight::Load(load)) }),
            None => Outcome::Unasked(format!("no load in `{}`", shown(&printed))),
        },
        Err(Outcome::Bad(fault)) => Outcome::Unasked(fault.to_string()),
        Err(outcome) => outcome,
    }
}

/// ldirectord's programs: the end of one is the answer.
pub(super) async fn external(check: &ExternalCheck, context: &Context) -> Outcome {
    let mut argv = Vec::new();
    if check.perl {
        argv.extend(["perl", "-e", PERL].map(str::to_owned));
    }
    argv.push(check.program.clone());
    argv.extend(check.arguments.iter().cloned());
    let script = Script { argv, user: None };
    let misc = MiscCheck { script, timeout: check.timeout, dynamic: false };
    misc::run(&misc, &context.users).await
}

/// ldirectord makes a function of a script's text, and calls it.
const PERL: &str = "my $file = shift; open(my $in, '<', $file) or die \"$file: $!\"; \
                    my $text = do { local $/; <$in> }; \
                    my $check = eval \"sub { \\@ARGV = \\@_; $text\\n}\" or die $@; \
                    exit($check->(@ARGV));";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_compared_but_for_its_last_byte() {
        for (printed, good, why) in [
            (&b"OK\n"[..], true, "a line"),
            (b"OK", false, "without its end it is shorter"),
            (b"", false, "nothing"),
            (b"OK\n\n", false, "two lines"),
        ] {
            assert_eq!(compare(printed, "OK").is_good(), good, "{why}");
        }
    }
}
