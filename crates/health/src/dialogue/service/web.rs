//! `http`, `https` and `http_proxy`: one page.
//!
//! ldirectord's library follows redirections; a check here asks this server and no other, so that
//! an answer of the class 3 is good as it is, and its own body is what `receive` is about.

use std::net::SocketAddr;

use xlvs_model::health::{ServiceCheck, StatusRange, Talks, Url};

use super::word;
use crate::{
    Outcome,
    dialogue::{Page, Pattern},
};

/// The page that is asked for, and the request for it.
pub fn web(
    check: &ServiceCheck,
    pattern: Option<Pattern>,
    target: SocketAddr,
) -> Result<(Page, Vec<u8>), Outcome> {
    let request = word("request", &check.request)?;
    let named = check.virtualhost.as_deref().map(|name| word("virtualhost", name)).transpose()?;
    // A whole URL is asked of a proxy; of a server, its path.
    let (url_host, path) = match request.split_once("://") {
        Some((_, rest)) => match rest.split_once('/') {
            Some((host, path)) => (Some(host), format!("/{path}")),
            None => (Some(rest), "/".into()),
        },
        None => (None, format!("/{}", request.trim_start_matches('/'))),
    };
    let is_proxy = check.service == Talks::HttpProxy;
    let asked_for = match url_host {
        Some(_) if is_proxy => request.to_owned(),
        None if is_proxy => format!("http://{target}{path}"),
        _ => path.clone(),
    };
    if asked_for.contains(|c: char| c.is_ascii_whitespace() || c.is_control()) {
        return Err(Outcome::Unasked("its request holds a space".into()));
    }
    let host = if is_proxy { url_host } else { named.or(url_host) };
    let host = host.map_or_else(|| target.to_string(), str::to_owned);
    let method = if check.head { "HEAD" } else { "GET" };
    let text = format!(
        "{method} {asked_for} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: xlvs\r\n\
         Connection: close\r\n\r\n"
    );
    let status = vec![StatusRange { first: 200, last: 399 }];
    let url = Url { path, status, virtualhost: Some(host), ..Url::default() };
    Ok((Page { url, pattern }, text.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let target = "192.0.2.1:80".parse().expect("an address");
        for (service, request, virtualhost, head, expected, why) in [
            (Talks::Http, "/a?b", None, false, "GET /a?b|192.0.2.1:80", "the server's address"),
            (Talks::Http, "", Some("www.example"), true, "HEAD /|www.example", "a named one"),
            (Talks::Https, "http://x.example/a", None, false, "GET /a|x.example", "a URL's"),
            (
                Talks::HttpProxy,
                "http://x.example/a",
                Some("not.this"),
                false,
                "GET http://x.example/a|x.example",
                "a proxy gets it all",
            ),
            (Talks::HttpProxy, "a", None, false, "GET http://192.0.2.1:80/a|192.0.2.1:80", "own"),
        ] {
            let check = ServiceCheck {
                service,
                request: request.into(),
                virtualhost: virtualhost.map(str::to_owned),
                head,
                ..ServiceCheck::default()
            };
            let (_, text) = web(&check, None, target).expect(why);
            let (line, host) = expected.split_once('|').expect(why);
            let start = format!("{line} HTTP/1.1\r\nHost: {host}\r\n");
            assert!(String::from_utf8_lossy(&text).starts_with(&start), "{why}");
        }
        for request in ["/a b", "/a\r\nX: y"] {
            let check = ServiceCheck { request: request.into(), ..ServiceCheck::default() };
            assert!(matches!(web(&check, None, target), Err(Outcome::Unasked(_))), "{request}");
        }
    }
}
