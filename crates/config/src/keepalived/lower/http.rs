//! `HTTP_GET` and `SSL_GET`.

use xlvs_model::health::{HttpCheck, HttpProtocol, Kind, StatusRange, Url, UrlRegex};

use super::{Lower, check::Drafted};
use crate::keepalived::{
    keywords::Within,
    read::{self, Known, number},
};
use crate::suggest::nearest;

impl Lower<'_> {
    pub(super) fn http(&mut self, known: &Known<'_>, tls: bool) -> Option<Drafted> {
        let mut http = HttpCheck { tls, ..HttpCheck::default() };
        let mut drafted = Self::drafted(Kind::Tcp);
        for known in read::block(known.directive.items(), Within::Http, self.report) {
            match known.name() {
                "http_protocol" => http.protocol = protocol(&known),
                "fast_recovery" => http.fast_recovery = known.is_on(),
                "enable_sni" => http.enable_sni = known.is_on(),
                "sni_name" => http.sni_name = known.text(),
                "tls_compliant" => http.tls_compliant = known.is_on(),
                "url" => {
                    let url = self.url(&known);
                    http.urls.extend(url);
                }
                _ => self.common(&mut drafted, &known),
            }
        }
        if http.urls.is_empty() {
            self.report
                .error(known.span(), format!("{} without a url", known.name()))
                .means("keepalived leaves the whole check out, and the server counts as up")
                .help("url { path / }");
            return None;
        }
        if !tls && (http.enable_sni || http.sni_name.is_some()) {
            self.report
                .warning(known.span(), "HTTP_GET has no TLS to say a name in")
                .means("enable_sni and sni_name are for SSL_GET");
        }
        drafted.check.kind = Kind::Http(http);
        Some(drafted)
    }

    fn url(&mut self, known: &Known<'_>) -> Option<Url> {
        let mut url = Url { status: Vec::new(), ..Url::default() };
        let (mut path, mut pattern, mut regex) = (None, None, UrlRegex::default());
        for known in read::block(known.directive.items(), Within::Url, self.report) {
            match known.name() {
                "path" => path = known.text(),
                "digest" => {
                    let digest = known.text().unwrap_or_default().parse();
                    match digest {
                        Ok(digest) => url.digest = Some(digest),
                        Err(error) => {
                            let at = known.directive.arguments_span();
                            self.report.error(at, error.to_string());
                        }
                    }
                }
                "status_code" => self.status(&known, &mut url.status),
                "virtualhost" => url.virtualhost = known.text(),
                "tls_compliant" => url.tls_compliant = Some(known.is_on()),
                "regex" => pattern = known.text(),
                _ => self.regex(&known, &mut regex),
            }
        }
        if url.status.is_empty() {
            url.status.push(StatusRange::SUCCESS);
        }
        if regex.max_offset.is_some_and(|max| max <= regex.min_offset) {
            self.report
                .warning(known.span(), "regex_min_offset is not below regex_max_offset")
                .means("both are left out");
            (regex.min_offset, regex.max_offset) = (0, None);
        }
        match pattern {
            Some(pattern) => url.regex = Some(UrlRegex { pattern, ..regex }),
            None if regex != UrlRegex::default() => {
                self.report
                    .warning(known.span(), "a url with terms of a regex and no regex")
                    .means("they are left out");
            }
            None => {}
        }
        let Some(path) = path else {
            self.report
                .error(known.span(), "a url without its path")
                .means("keepalived leaves it out")
                .help("path /");
            return None;
        };
        if !path.starts_with('/') {
            self.report
                .warning(known.span(), format!("the path `{path}` does not begin with /"))
                .means("it is sent as it is");
        }
        url.path = path;
        Some(url)
    }

    /// `200 301-302`.
    fn status(&mut self, known: &Known<'_>, ranges: &mut Vec<StatusRange>) {
        for word in known.directive.arguments() {
            let (first, last) = word.text.split_once('-').unwrap_or((&word.text, &word.text));
            let code = |text| number(text, 100, 599).ok().and_then(|code| u16::try_from(code).ok());
            match (code(first), code(last)) {
                (Some(first), Some(last)) if first <= last => {
                    ranges.push(StatusRange { first, last });
                }
                _ => {
                    self.report
                        .error(word.span, format!("`{}` is no status code", word.text))
                        .help("a code from 100 to 599, or a range: 200-299");
                }
            }
        }
    }

    fn regex(&mut self, known: &Known<'_>, regex: &mut UrlRegex) {
        match known.name() {
            "regex_no_match" => regex.no_match = true,
            "regex_options" => {
                for word in known.directive.arguments() {
                    if OPTIONS.contains(&word.text.as_str()) {
                        regex.options.push(word.text.clone());
                        continue;
                    }
                    let near = nearest(&word.text, OPTIONS.iter().copied());
                    let label = near.map(|near| format!("did you mean `{near}`?"));
                    self.report
                        .error(word.span, format!("`{}` is no option of PCRE2", word.text))
                        .label(label.unwrap_or_default())
                        .help(OPTIONS.join(" "));
                }
            }
            "regex_min_offset" => regex.min_offset = known.number().unwrap_or(0),
            // keepalived keeps the first offset that is too far.
            "regex_max_offset" => regex.max_offset = known.number().map(|max: u64| max + 1),
            "regex_stack" => {
                let numbers = known.directive.arguments().iter();
                let numbers: Vec<u64> = numbers.filter_map(|word| word.text.parse().ok()).collect();
                match numbers[..] {
                    [start, max] if start <= max => regex.stack = Some((start, max)),
                    _ => {
                        self.report.error(
                            known.span(),
                            "regex_stack takes a start and a maximum in bytes",
                        );
                    }
                }
            }
            _ => self.forgotten(known),
        }
    }
}

fn protocol(known: &Known<'_>) -> HttpProtocol {
    match known.text().as_deref() {
        Some("1.0C") => HttpProtocol::V10Close,
        Some("1.1") => HttpProtocol::V11,
        Some("2") => HttpProtocol::V2,
        _ => HttpProtocol::V10,
    }
}

/// The options that keepalived knows (`regex_options` of its `check_http.c`).
const OPTIONS: &[&str] = &[
    "allow_empty_class",
    "alt_bsux",
    "auto_callout",
    "caseless",
    "dollar_endonly",
    "dotall",
    "dupnames",
    "extended",
    "firstline",
    "match_unset_backref",
    "multiline",
    "never_ucp",
    "never_utf",
    "no_auto_capture",
    "no_auto_possess",
    "no_dotstar_anchor",
    "no_start_optimize",
    "ucp",
    "ungreedy",
    "utf",
    "never_backslash_c",
    "alt_circumflex",
    "alt_verbnames",
    "use_offset_limit",
];
