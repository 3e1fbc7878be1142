//! The checkers.

use super::{
    Keyword, Takes, U32,
    Within::{
        self, BfdCheck, Dns, FileCheck, Http, Misc, Ping, Server, Service, Smtp, SmtpHost, Tcp,
        TrackFile, Udp, Url,
    },
    row,
    service::{POSITIVE, TIMER},
};

/// Those that connect somewhere.
const CONNECTING: &[Within] = &[Http, Tcp, Smtp, SmtpHost, Dns, Udp, Ping];
/// Those that are repeated, and what they inherit from.
const REPEATED: &[Within] = &[Service, Server, Http, Tcp, Smtp, Dns, Misc, Udp, Ping];

pub(super) const TABLE: &[Keyword] = &[
    row(
        &[Server],
        &["HTTP_GET"],
        Takes::Block("", Http),
        "fetches pages and looks at status, digest and text",
    ),
    row(&[Server], &["SSL_GET"], Takes::Block("", Http), "the same by TLS"),
    row(&[Server], &["TCP_CHECK"], Takes::Block("", Tcp), "a connection is made"),
    row(&[Server], &["SMTP_CHECK"], Takes::Block("", Smtp), "greeting, HELO, QUIT"),
    row(&[Server], &["DNS_CHECK"], Takes::Block("", Dns), "a query by UDP is answered"),
    row(&[Server], &["MISC_CHECK"], Takes::Block("", Misc), "a program's exit code"),
    row(&[Server], &["UDP_CHECK"], Takes::Block("", Udp), "a datagram makes no ICMP error"),
    row(&[Server], &["PING_CHECK"], Takes::Block("", Ping), "an ICMP echo is answered"),
    row(&[Server], &["FILE_CHECK"], Takes::Block("", FileCheck), "a number in a file"),
    row(&[Server], &["BFD_CHECK"], Takes::Block("", BfdCheck), "a BFD session is up"),
    row(
        CONNECTING,
        &["connect_ip"],
        Takes::Address,
        "the address that is asked; default the server's",
    ),
    row(
        CONNECTING,
        &["connect_port"],
        Takes::Number(1, 65535),
        "the port that is asked; default the server's",
    ),
    row(CONNECTING, &["bindto"], Takes::Address, "the source address"),
    row(CONNECTING, &["bind_if"], Takes::Word("INTERFACE"), "the interface that is used"),
    row(CONNECTING, &["bind_port"], Takes::Number(1, 65535), "the source port"),
    row(CONNECTING, &["fwmark"], Takes::Number(0, U32), "the mark of the checker's packets"),
    row(
        &[Http, Tcp],
        &["via_forwarding"],
        Takes::Bool,
        "xlvs's own: asks the virtual address on this server, by the way of clients' packets \
         (direct routing, tunnel); see via-forwarding.md",
    ),
    row(
        &[Service, Server, Http, Tcp, Smtp, SmtpHost, Dns, Udp, Ping],
        &["connect_timeout"],
        POSITIVE,
        "how long an answer may take; default 5",
    ),
    row(
        REPEATED,
        &["retry"],
        Takes::Number(0, U32),
        "so many more failures before a server that is up counts as failed; default 1, DNS_CHECK \
         3, MISC_CHECK 0",
    ),
    row(
        REPEATED,
        &["delay_before_retry"],
        TIMER,
        "between these; default 1, HTTP_GET and SSL_GET 3, DNS_CHECK delay_loop",
    ),
    row(
        REPEATED,
        &["warmup"],
        TIMER,
        "the first check comes at a random time within this; default delay_loop",
    ),
    row(REPEATED, &["delay_loop"], POSITIVE, "between checks; default 60"),
    row(REPEATED, &["alpha"], Takes::Bool, "counts as failed until it was good once"),
    row(
        &[Http, Tcp, Smtp, Dns, Misc, Udp, Ping],
        &["log_all_failures"],
        Takes::Bool,
        "logs also those that a retry may mend",
    ),
    row(
        &[Http],
        &["http_protocol"],
        Takes::OneOf(&["1.0", "1.0C", "1.1", "2"]),
        "1.0, 1.0C (closes), 1.1, and xlvs's 2; default 1.0",
    ),
    row(&[Http], &["fast_recovery"], Takes::Bool, "no delay_loop between URLs until it is up"),
    row(&[Http], &["url"], Takes::Block("", Url), "a page; several are fetched in turn"),
    row(&[Http], &["enable_sni"], Takes::Bool, "TLS says the server's name"),
    row(&[Http], &["sni_name"], Takes::Text("NAME"), "the name that TLS says"),
    row(
        &[Http, Url],
        &["tls_compliant"],
        Takes::Bool,
        "an end of the connection without TLS's own goodbye is a failure",
    ),
    row(&[Http], &["nb_get_retry"], Takes::Number(0, U32), "the old name of retry"),
    row(&[Url], &["path"], Takes::Text("PATH"), "the page, with its query"),
    row(&[Url], &["digest"], Takes::Word("MD5"), "the body's digest, as genhash makes it"),
    row(
        &[Url],
        &["status_code"],
        Takes::Words("CODE|FIRST-LAST ..."),
        "the codes that are good; default 200-299",
    ),
    row(&[Url], &["virtualhost"], Takes::Text("NAME"), "the Host; default the server's"),
    row(&[Url], &["regex"], Takes::Text("PATTERN"), "the body must match it (PCRE2)"),
    row(&[Url], &["regex_no_match"], Takes::Flag, "a match is the failure"),
    row(&[Url], &["regex_options"], Takes::Words("OPTION ..."), "PCRE2's, in lower case"),
    row(
        &[Url],
        &["regex_stack"],
        Takes::Words("START MAX"),
        "bytes of PCRE2's stack; kept, and without effect in xlvs",
    ),
    row(&[Url], &["regex_min_offset"], Takes::Number(0, U32), "matches begin here or later"),
    row(&[Url], &["regex_max_offset"], Takes::Number(1, U32), "matches begin here or earlier"),
    row(&[Smtp], &["helo_name"], Takes::Text("NAME"), "the name in HELO"),
    row(&[Smtp], &["host"], Takes::Block("", SmtpHost), "old: asked instead of the server"),
    row(
        &[Dns],
        &["type"],
        Takes::OneOf(&["A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY"]),
        "what is asked for; default SOA",
    ),
    row(&[Dns], &["name"], Takes::Text("DOMAIN"), "of which domain; default the root"),
    row(&[Misc], &["misc_path"], Takes::Text("COMMAND"), "the program and its arguments"),
    row(
        &[Misc],
        &["misc_timeout"],
        Takes::Seconds(0.0, 4_294_967.0),
        "it is ended after this; default delay_loop",
    ),
    row(&[Misc], &["misc_dynamic"], Takes::Flag, "exit codes 2 to 255 set the weight, less 2"),
    row(&[Misc], &["user"], Takes::Words("USER [GROUP]"), "who runs it; default script_user"),
    row(&[Udp], &["payload"], Takes::Words("HEX"), "what is sent; default random bytes"),
    row(
        &[Udp],
        &["require_reply"],
        Takes::MaybeWords("HEX"),
        "silence is a failure; X in it leaves four bits open",
    ),
    row(&[Udp], &["min_reply_length"], Takes::Number(0, 65535), "of a reply; default 0"),
    row(&[Udp], &["max_reply_length"], Takes::Number(0, 65535), "of a reply; default 255"),
    row(&[FileCheck], &["track_file"], Takes::Word("NAME"), "a track_file block"),
    row(
        &[FileCheck, TrackFile],
        &["weight"],
        Takes::Words("N [reverse|noreverse]"),
        "the number in the file is multiplied by it; default 1",
    ),
    row(&[FileCheck], &["dynamic"], Takes::Flag, "accepted; the weight says the same")
        .nothing("keepalived's parser does not know it either: the weight says the same"),
    row(&[BfdCheck], &["name"], Takes::Word("NAME"), "a bfd_instance block"),
    row(&[TrackFile], &["file"], Takes::Text("FILE"), "which file"),
    row(
        &[TrackFile],
        &["init_file"],
        Takes::MaybeWords("[N] [overwrite]"),
        "it is made, with this number",
    ),
];
