//! Sends a letter.

use std::{io, time::SystemTime};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    Alert, Mail,
    dialogue::{Letter, MailDialogue, MailStep},
};

/// Sends an alert; why not, for people.
pub(super) async fn send(mail: &Mail, alert: &Alert) -> Result<(), String> {
    let own = |own: &Option<String>, of_all: &String| own.as_ref().unwrap_or(of_all).clone();
    let mail = Mail { host: own(&alert.host, &mail.host), ..mail.clone() };
    let letter = Letter {
        helo: mail.helo.clone(),
        from: own(&alert.from, &mail.from),
        to: if alert.to.is_empty() { mail.to.clone() } else { alert.to.clone() },
        subject: alert.subject.clone(),
        date: date(SystemTime::now()),
        body: alert.body.clone(),
    };
    let whole = mail.timeout * STEPS;
    match timeout(whole, exchange(&mail, letter)).await {
        Ok(end) => end,
        Err(_) => Err(format!("the mail server took longer than {} s", whole.as_secs())),
    }
}

async fn exchange(mail: &Mail, letter: Letter) -> Result<(), String> {
    let place = (mail.host.as_str(), mail.port);
    let words = |fault: &io::Error| format!("mail server {}:{}: {fault}", mail.host, mail.port);
    let connecting = timeout(mail.timeout, TcpStream::connect(place)).await;
    let mut stream = connecting
        .map_err(|_| words(&io::ErrorKind::TimedOut.into()))?
        .map_err(|fault| words(&fault))?;
    let mut dialogue = MailDialogue::new(letter);
    let mut buffer = [0; 1024];
    loop {
        let length = stream.read(&mut buffer).await.map_err(|fault| words(&fault))?;
        if length == 0 {
            return dialogue.end().map_err(|fault| fault.to_string());
        }
        match dialogue.feed(&buffer[..length]) {
            MailStep::Read => {}
            MailStep::Send(text) => {
                stream.write_all(text.as_bytes()).await.map_err(|fault| words(&fault))?;
            }
            MailStep::Done(end) => return end.map_err(|fault| fault.to_string()),
        }
    }
}

/// RFC 5322's way to write a moment, in UTC.
fn date(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (mut year, mut left) = (1970, days);
    while left >= days_of(year) {
        left -= days_of(year);
        year += 1;
    }
    let february = if days_of(year) == 366 { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        [usize::try_from(days % 7).unwrap_or_default()];
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!(
        "{weekday}, {:02} {} {year} {hour:02}:{minute:02}:{second:02} +0000",
        left + 1,
        months[month]
    )
}

const fn days_of(year: u64) -> u64 {
    if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) {
        366
    } else {
        365
    }
}

/// The dialogue's steps that each may take the time of one connection.
const STEPS: u32 = 6;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates() {
        // As `date -Ru -d @SECONDS` writes them.
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (951_827_696, "Tue, 29 Feb 2000 12:34:56 +0000"),
            (1_795_255_200, "Sat, 21 Nov 2026 10:00:00 +0000"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 +0000"),
        ] {
            assert_eq!(date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
