//! Servers that clients log in to, each set up as small as it goes, and nginx.
#![expect(clippy::unwrap_used, reason = "a failing test is a panic")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use xlvs_testkit::find_program;

use crate::site::{
    LONG, Site,
    daemon::{Daemon, folder, write},
};

/// What must be installed for all of these, beside `PostgreSQL`'s server.
pub(crate) const PROGRAMS: [&str; 6] =
    ["mariadbd", "mariadb-install-db", "slapd", "freeradius", "nginx", "openssl"];

/// All of them, side by side on one host; those that ran there before go on with their data.
pub(crate) fn start_all(site: &Site, host: &str) -> Vec<Daemon> {
    [mariadb_with_tls, mariadb, postgres, slapd, freeradius, nginx]
        .map(|start| start(site, host))
        .into()
}

/// `PostgreSQL`'s programs are in a folder of their version.
pub(crate) fn postgres_folder() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    folders.filter(|folder| folder.join("postgres").exists()).max()
}

/// `MariaDB` at port 3306, which can do TLS.
fn mariadb_with_tls(site: &Site, host: &str) -> Daemon {
    let home = folder(site, "mariadb-tls");
    let (key, certificate) = certificate(site, host, &home);
    let tls = [format!("--ssl-cert={certificate}"), format!("--ssl-key={key}")];
    start_mariadb(site, host, &home, 3306, &tls)
}

/// `MariaDB` at port 3307, which cannot.
fn mariadb(site: &Site, host: &str) -> Daemon {
    let home = folder(site, "mariadb");
    start_mariadb(site, host, &home, 3307, &["--skip-ssl".to_owned()])
}

fn start_mariadb(site: &Site, host: &str, home: &Path, port: u16, more: &[String]) -> Daemon {
    let data = home.join("data");
    let datadir = format!("--datadir={}", data.display());
    if !data.exists() {
        let mut install = site.command(host, &find_program("mariadb-install-db").unwrap());
        install.args(["--no-defaults", "--user=root", "--skip-test-db"]).arg(&datadir);
        run(site, host, install);
    }
    let first = write(home, "init.sql", ACCOUNTS);
    let mut command = site.command(host, &find_program("mariadbd").unwrap());
    command
        .args(["--no-defaults", "--user=root", "--bind-address=0.0.0.0", "--skip-name-resolve"])
        .args(["--skip-log-bin", "--innodb-buffer-pool-size=16M", "--key-buffer-size=1M"])
        .args([datadir, format!("--port={port}"), format!("--init-file={first}")])
        .args([format!("--socket={}/socket", home.display())])
        .args([format!("--pid-file={}/pid", home.display())])
        .args(more);
    Daemon::start_command(site, host, &format!("mariadbd-{port}"), command, port)
}

/// `PostgreSQL` at port 5432: `me` and `plain` come by TLS alone, `late` without it alone.
fn postgres(site: &Site, host: &str) -> Daemon {
    let home = folder(site, "postgres");
    let programs = postgres_folder().unwrap();
    let as_postgres = |program: &str| {
        let mut command = site.command(host, &find_program("setpriv").unwrap());
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]);
        command.arg(programs.join(program)).current_dir(&home);
        command
    };
    let data = home.join("data");
    let place = data.display().to_string();
    if !data.exists() {
        fs::create_dir(&data).unwrap();
        own(&data, "postgres");
        let mut initdb = as_postgres("initdb");
        initdb.args(["-N", "-U", "postgres", "-A", "trust", "-D", &place]);
        run(site, host, initdb);
        let (key, _) = certificate(site, host, &home);
        own(Path::new(&key), "postgres");
        write(&data, "pg_hba.conf", PG_HBA);
        let accounts = write(&home, "accounts.sql", PG_ACCOUNTS);
        let mut single = as_postgres("postgres");
        single.args(["--single", "-j", "-D", &place, "postgres"]);
        // Commands of a lab get no input.
        let mut shell = site.command(host, Path::new("/bin/sh"));
        shell.args(["-c", "exec \"$@\" <\"$0\"", &accounts]);
        shell.arg(single.get_program()).args(single.get_args()).current_dir(&home);
        run(site, host, shell);
    }
    let mut command = as_postgres("postgres");
    command
        .args(["-D", &place, "-p", "5432", "-k", "", "-c", "listen_addresses=*"])
        .args(["-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "ssl=on"])
        .arg("-c")
        .arg(format!("ssl_key_file={}/key.pem", home.display()))
        .arg("-c")
        .arg(format!("ssl_cert_file={}/certificate.pem", home.display()));
    Daemon::start_command(site, host, "postgres", command, 5432)
}

/// `OpenLDAP` at the ports 389 and 636, with one entry.
fn slapd(site: &Site, host: &str) -> Daemon {
    let home = folder(site, "slapd");
    let config = write(&home, "slapd.conf", SLAPD_CONF);
    if !home.join("data").exists() {
        folder(site, "slapd/data");
        certificate(site, host, &home);
        let entry = write(&home, "example.ldif", EXAMPLE);
        let mut slapadd = site.command(host, &find_program("slapadd").unwrap());
        slapadd.args(["-f", &config, "-l", &entry]);
        run(site, host, slapadd);
    }
    let at = "ldap://0.0.0.0:389 ldaps://0.0.0.0:636";
    Daemon::start(site, host, "slapd", &["-d", "0", "-f", &config, "-h", at], 636)
}

/// `FreeRADIUS` at port 1812, by TCP too, so that it can be seen to listen.
fn freeradius(site: &Site, host: &str) -> Daemon {
    let home = folder(site, "freeradius");
    write(&home, "radiusd.conf", RADIUSD_CONF);
    write(&home, "dictionary", "");
    write(&home, "users", "nemo Cleartext-Password := \"arctangent\"\n");
    let place = home.to_string_lossy().into_owned();
    let args = ["-f", "-l", "stdout", "-d", &place, "-n", "radiusd"];
    Daemon::start(site, host, "freeradius", &args, 1812)
}

/// nginx at the ports 80 and 443, and as a proxy at 3128.
fn nginx(site: &Site, host: &str) -> Daemon {
    let home = folder(site, "nginx");
    certificate(site, host, &home);
    write(&home, "index.html", "all is well\n");
    let config = write(&home, "nginx.conf", NGINX_CONF);
    let place = format!("{}/", home.display());
    let args = ["-p", &place, "-e", "stderr", "-c", &config, "-g", "daemon off;"];
    Daemon::start(site, host, "nginx", &args, 80)
}

/// A key and a certificate that it signs itself: their files.
fn certificate(site: &Site, host: &str, home: &Path) -> (String, String) {
    let path = |name: &str| home.join(name).to_string_lossy().into_owned();
    let (key, certificate) = (path("key.pem"), path("certificate.pem"));
    if !home.join("key.pem").exists() {
        let mut openssl = Command::new(find_program("openssl").unwrap());
        openssl
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-nodes", "-subj", "/CN=rs1.example", "-days", "2"])
            .args(["-keyout", &key, "-out", &certificate]);
        run(site, host, openssl);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    }
    (key, certificate)
}

/// Runs a program to its end; it must succeed.
fn run(site: &Site, host: &str, command: Command) {
    let what = format!("{command:?}");
    let done = site.lab.host(host).run(command, LONG).unwrap();
    let told = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{what}: {}", String::from_utf8_lossy(&told));
}

/// Makes a path a user's.
fn own(path: &Path, name: &str) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let user = users.lines().find(|line| line.split(':').next() == Some(name)).unwrap();
    let ids: Vec<u32> = user.split(':').skip(2).take(2).map(|id| id.parse().unwrap()).collect();
    chown(path, Some(ids[0]), Some(ids[1])).unwrap();
    if path.is_dir() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    }
}

/// `me` anyhow, `safe` by TLS alone; a shop with something open and nothing closed.
const ACCOUNTS: &str = "\
create database if not exists shop;
create table if not exists shop.open (enabled int);
create table if not exists shop.closed (enabled int);
replace into shop.open values (1);
create user if not exists me identified by 'secret';
create user if not exists safe identified by 'secret' require ssl;
grant all on shop.* to me, safe;
";

const PG_HBA: &str = "\
hostssl   all me    0.0.0.0/0 scram-sha-256
hostssl   all plain 0.0.0.0/0 password
hostnossl all late  0.0.0.0/0 md5
hostssl   all guest 0.0.0.0/0 trust
";

/// A statement ends with an empty line (`-j`).
const PG_ACCOUNTS: &str = "\
create role me login password 'secret';

create role plain login password 'secret';

create role guest login;

set password_encryption = md5;

create role late login password 'secret';

create table open as select 1 as enabled;

create table closed as select 1 as enabled where false;

grant select, update on open, closed to me, plain, late, guest;

";

const SLAPD_CONF: &str = "\
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile @/pid
TLSCertificateFile @/certificate.pem
TLSCertificateKeyFile @/key.pem
database mdb
maxsize 16777216
suffix \"dc=example\"
rootdn \"cn=admin,dc=example\"
rootpw secret
directory \"@/data\"
";

const EXAMPLE: &str = "\
dn: dc=example
objectClass: dcObject
objectClass: organization
dc: example
o: Example
";

const RADIUSD_CONF: &str = "\
name = radiusd
prefix = /usr
localstatedir = @
raddbdir = @
logdir = @
run_dir = @
libdir = /usr/lib/freeradius
pidfile = @/pid
security {
\treject_delay = 0
}
proxy_requests = no
thread pool {
\tstart_servers = 1
\tmax_servers = 1
\tmin_spare_servers = 1
\tmax_spare_servers = 1
}
modules {
\tfiles {
\t\tusersfile = @/users
\t}
\tpap {
\t}
}
client anybody {
\tipaddr = 0.0.0.0/0
\tproto = *
\tsecret = xyzzy5461
\trequire_message_authenticator = yes
}
server default {
\tlisten {
\t\ttype = auth
\t\tproto = udp
\t\tipaddr = *
\t\tport = 1812
\t}
\tlisten {
\t\ttype = auth
\t\tproto = tcp
\t\tipaddr = *
\t\tport = 1812
\t}
\tauthorize {
\t\tfiles
\t\tpap
\t}
\tauthenticate {
\t\tAuth-Type PAP {
\t\t\tpap
\t\t}
\t}
}
";

const NGINX_CONF: &str = "\
master_process off;
pid @/pid;
events { }
http {
    access_log off;
    client_body_temp_path @/body;
    proxy_temp_path @/proxy;
    fastcgi_temp_path @/fastcgi;
    uwsgi_temp_path @/uwsgi;
    scgi_temp_path @/scgi;
    server {
        listen 80;
        listen 443 ssl;
        ssl_certificate @/certificate.pem;
        ssl_certificate_key @/key.pem;
        root @;
    }
    server {
        listen 3128;
        location / { proxy_pass http://127.0.0.1:80; }
    }
}
";
