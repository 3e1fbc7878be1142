//! Servers of Debian's packages, each set up as small as it goes and alike on every host.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use xlvs_testkit::find_program;

use super::{
    LONG, Site,
    daemon::{Daemon, folder, write},
};

/// What must be installed for all of these.
pub(crate) const PROGRAMS: [&str; 9] = [
    POSTFIX_MASTER,
    "named",
    "dovecot",
    "/usr/lib/dovecot/imap",
    "/usr/lib/dovecot/pop3",
    "vsftpd",
    "kamailio",
    "memcached",
    "openssl",
];

/// Postfix on the ports 25 and 587; on 2525 it turns everybody away, and on 2526 those that say
/// HELO with a name that is none.
pub(crate) fn postfix(site: &Site, host: &str) -> Daemon {
    let home = folder(site, "postfix");
    for name in ["queue", "data"] {
        fs::create_dir_all(home.join(name)).unwrap();
    }
    own(&home.join("data"), "postfix");
    write(&home, "main.cf", MAIN_CF);
    write(&home, "master.cf", MASTER_CF);
    let place = home.to_string_lossy().into_owned();
    // Makes what is missing in the queue's folder.
    site.run(host, find_program("postfix").unwrap(), &["-c", &place, "check"]);
    Daemon::start(site, host, POSTFIX_MASTER, &["-c", &place, "-d"], 25)
}

/// BIND, which knows the zone `example` and the names of 192.0.2.0/24, and asks nobody else.
pub(crate) fn named(site: &Site, host: &str) -> Daemon {
    let home = folder(site, "named");
    write(&home, "example", EXAMPLE);
    write(&home, "reverse", REVERSE);
    let config = write(&home, "named.conf", NAMED_CONF);
    Daemon::start(site, host, "named", &["-g", "-n", "1", "-c", &config], 53)
}

/// Dovecot: POP and IMAP, by TLS also; anybody's password is `secret`.
pub(crate) fn dovecot(site: &Site, host: &str) -> Daemon {
    let home = folder(site, "dovecot");
    let mail = folder(site, "dovecot/mail");
    own(&mail, "mail");
    let (key, certificate) = (home.join("key.pem"), home.join("certificate.pem"));
    let mut openssl = Command::new(find_program("openssl").unwrap());
    openssl
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=mail.example", "-days", "2", "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(certificate);
    let done = site.lab.host(host).run(openssl, LONG).unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let config = write(&home, "dovecot.conf", DOVECOT_CONF);
    Daemon::start(site, host, "dovecot", &["-F", "-c", &config], 143)
}

/// vsftpd, which gives the file `ok.txt` to anybody.
pub(crate) fn vsftpd(site: &Site, host: &str) -> Daemon {
    let home = folder(site, "vsftpd");
    folder(site, "vsftpd/empty");
    let public = folder(site, "vsftpd/public");
    write(&public, "ok.txt", "all is well\n");
    let config = write(&home, "vsftpd.conf", VSFTPD_CONF);
    Daemon::start(site, host, "vsftpd", &[&config], 21)
}

/// Kamailio, by UDP and TCP; `busy@...` is told 503.
pub(crate) fn kamailio(site: &Site, host: &str) -> Daemon {
    let home = folder(site, "kamailio");
    let config = write(&home, "kamailio.cfg", KAMAILIO_CFG);
    let place = home.to_string_lossy().into_owned();
    let args = ["-DD", "-E", "-m", "16", "-M", "4", "-f", &config, "-w", &place, "-Y", &place];
    Daemon::start(site, host, "kamailio", &args, 5060)
}

/// memcached, which answers lines with lines.
pub(crate) fn memcached(site: &Site, host: &str) -> Daemon {
    let args = ["-u", "nobody", "-U", "0", "-m", "8", "-t", "1", "-p", "11211"];
    Daemon::start(site, host, "memcached", &args, 11211)
}

/// nginx with a page at `/`.
pub(crate) fn nginx(site: &Site, host: &str) -> Daemon {
    let home = folder(site, &format!("{host}-nginx"));
    write(&home, "index.html", "a page\n");
    let config = write(&home, "nginx.conf", NGINX_CONF);
    let place = format!("{}/", home.to_string_lossy());
    let args = ["-p", &place, "-e", "stderr", "-c", &config, "-g", "daemon off;"];
    Daemon::start(site, host, "nginx", &args, 80)
}

/// A server whose part of a dialogue was recorded: it greets, and answers the first line.
///
/// A real innd wants a site's whole set of files and a host with a full name, and its package
/// cannot be installed on one without.
pub(crate) struct Recorded {
    mode: Arc<AtomicU8>,
    thread: Option<JoinHandle<()>>,
}

impl Recorded {
    /// Starts it with a greeting and what follows a line.
    pub(crate) fn start(site: &Site, host: &str, port: u16, says: [&'static str; 2]) -> Self {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let listener = site.lab.host(host).enter(|| TcpListener::bind(any)).unwrap().unwrap();
        listener.set_nonblocking(true).unwrap();
        let mode = Arc::new(AtomicU8::new(SPEAKS));
        let shared = Arc::clone(&mode);
        let thread = thread::spawn(move || serve(&listener, &shared, says));
        Self { mode, thread: Some(thread) }
    }

    /// As [`Daemon::halt`].
    pub(crate) fn halt(&self) {
        self.mode.store(HALTS, Ordering::Relaxed);
    }

    /// As [`Daemon::go_on`].
    pub(crate) fn go_on(&self) {
        self.mode.store(SPEAKS, Ordering::Relaxed);
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.mode.store(ENDS, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn serve(listener: &TcpListener, mode: &AtomicU8, says: [&str; 2]) {
    let mut waiting = Vec::new();
    loop {
        match mode.load(Ordering::Relaxed) {
            ENDS => return,
            SPEAKS => waiting.drain(..).for_each(|stream| drop(speak(stream, says))),
            _ => {}
        }
        waiting.extend(listener.accept().ok().map(|(stream, _)| stream));
        thread::sleep(Duration::from_millis(5));
    }
}

fn speak(mut stream: TcpStream, [greeting, answer]: [&str; 2]) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(greeting.as_bytes())?;
    if stream.read(&mut [0; 512])? > 0 {
        stream.write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// Gives a file to a user and the user's group.
fn own(path: &Path, user: &str) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.split(':').next() == Some(user)).unwrap();
    let mut ids = line.split(':').skip(2).map(|id| id.parse().unwrap());
    chown(path, ids.next(), ids.next()).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
}

const SPEAKS: u8 = 0;
const HALTS: u8 = 1;
const ENDS: u8 = 2;

/// What `postfix start` runs; it is not on the path.
const POSTFIX_MASTER: &str = "/usr/lib/postfix/sbin/master";

/// What innd 2.7.1 said to a peer that said QUIT; and after `ctlinnd throttle maintenance`.
pub(crate) const INND: [&str; 2] = [
    "200 server.example.net InterNetNews server INN 2.7.1 ready (transit mode)\r\n",
    "205 Bye!\r\n",
];
pub(crate) const INND_THROTTLED: [&str; 2] = ["400 maintenance\r\n", ""];

const MAIN_CF: &str = "compatibility_level = 3.6
queue_directory = @/queue
data_directory = @/data
inet_protocols = ipv4
inet_interfaces = all
smtpd_peername_lookup = no
myhostname = mail.example
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
maillog_file = @/log
maillog_file_prefixes = @
";

const MASTER_CF: &str = "25 inet n - n - - smtpd
587 inet n - n - - smtpd
2525 inet n - n - - smtpd
  -o smtpd_client_restrictions=reject
  -o smtpd_delay_reject=no
2526 inet n - n - - smtpd
  -o smtpd_helo_required=yes
  -o smtpd_helo_restrictions=reject_invalid_helo_hostname
  -o smtpd_delay_reject=no
postlog unix-dgram n - n - 1 postlogd
rewrite unix - - n - - trivial-rewrite
cleanup unix n - n - 0 cleanup
anvil unix - - n - 1 anvil
";

const NAMED_CONF: &str = r#"options {
 directory "@";
 listen-on port 53 { any; };
 listen-on-v6 { none; };
 pid-file "@/pid";
 session-keyfile "@/session.key";
 lock-file none;
 recursion no;
 dnssec-validation no;
};
controls { };
zone "example" { type primary; file "example"; };
zone "2.0.192.in-addr.arpa" { type primary; file "reverse"; };
"#;

const EXAMPLE: &str = "$TTL 60
example. SOA ns hostmaster 1 60 60 60 60
example. NS ns
example. MX 10 mail
example. TXT \"a text\"
ns A 192.0.2.53
www A 192.0.2.80
www AAAA 2001:db8::80
web CNAME www
mail A 192.0.2.25
";

const REVERSE: &str = "$TTL 60
2.0.192.in-addr.arpa. SOA ns.example. hostmaster.example. 1 60 60 60 60
2.0.192.in-addr.arpa. NS ns.example.
80 PTR www.example.
";

/// Dovecot lets an address that gives wrong passwords wait longer and longer, also with right ones;
/// not so here.
const DOVECOT_CONF: &str = "base_dir = @/run
state_dir = @/state
log_path = /dev/stderr
protocols = imap pop3
listen = 0.0.0.0
disable_plaintext_auth = no
auth_failure_delay = 0
first_valid_uid = 1
ssl = yes
ssl_cert = <@/certificate.pem
ssl_key = <@/key.pem
mail_location = maildir:@/mail/%u
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=mail gid=mail home=@/mail/%u
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
";

const VSFTPD_CONF: &str = "listen=YES
background=NO
anonymous_enable=YES
local_enable=NO
anon_root=@/public
secure_chroot_dir=@/empty
nopriv_user=nobody
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
delay_failed_login=0
";

const KAMAILIO_CFG: &str = r#"#!KAMAILIO
debug=1
log_stderror=yes
children=1
tcp_children=1
auto_aliases=no
listen=udp:0.0.0.0:5060
listen=tcp:0.0.0.0:5060
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
request_route {
  if ($rU == "busy") { sl_send_reply("503", "Service Unavailable"); exit; }
  sl_send_reply("200", "OK");
}
"#;

const NGINX_CONF: &str = "pid @/pid;
error_log stderr;
events {}
http {
 access_log off;
 client_body_temp_path @/temp; proxy_temp_path @/temp; fastcgi_temp_path @/temp;
 uwsgi_temp_path @/temp; scgi_temp_path @/temp;
 server { listen 80; root @; }
}
";
