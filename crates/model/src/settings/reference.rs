//! The documentation of all settings, made from the table: `docs/settings.md`.

use std::fmt::Write;

use super::{
    Profile, Setting, Value,
    table::{Definition, Effect},
};
use crate::LIMITS_EFFECT;

/// The page.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    let (kernels, ours): (Vec<_>, Vec<_>) = Setting::table().iter().partition(|d| d.is_kernels);
    let differing: Vec<_> = Setting::table().iter().filter(|d| !d.why.is_empty()).collect();
    page.push_str("## What differs from the kernel\n\n| setting | kernel | xlvs | why |\n");
    page.push_str("| --- | --- | --- | --- |\n");
    for d in differing {
        let (kernel, ours) = (begins(d, Profile::Kernel), begins(d, Profile::Xlvs));
        row(&mut page, &[&format!("`{}`", d.name), &kernel, &ours, d.why]);
    }
    section(&mut page, "The kernel's settings", &kernels);
    section(&mut page, "Our own", &ours);
    page.push_str(LIMITS);
    if let Some(why) = LIMITS_EFFECT.why_not() {
        write!(page, "\nStored, without effect so far: {why}.\n").unwrap_or_default();
    }
    page
}

fn section(page: &mut String, title: &str, rows: &[&Definition]) {
    // Writing to a string cannot fail.
    write!(page, "\n## {title}\n").unwrap_or_default();
    for d in rows {
        let (kernel, ours) = (begins(d, Profile::Kernel), begins(d, Profile::Xlvs));
        let default = if kernel == ours { ours } else { format!("{ours}; kernel {kernel}") };
        let effect = match d.effect {
            Effect::Now => String::new(),
            Effect::Later(why) => format!(" Stored, without effect so far: {why}."),
            Effect::Never(why) => format!(" Stored, without effect: {why}."),
        };
        let (name, may) = (d.setting.full_name(), d.kind.may());
        write!(page, "\n### {name}\n\n*{may}; default {default}.*{effect}\n\n{}\n", d.meaning)
            .unwrap_or_default();
    }
}

fn row(page: &mut String, cells: &[&str]) {
    writeln!(page, "| {} |", cells.join(" | ")).unwrap_or_default();
}

fn begins(d: &Definition, profile: Profile) -> String {
    format!("`{}`", Value::from(d.default(profile)))
}

const HEAD: &str = "\
# Settings

<!-- Made from crates/model/src/settings/table.rs: XLVS_BLESS=1 cargo test -p xlvs-model -->

    xlvs set                                      all of them
    xlvs set expire_nodest_conn                   one
    xlvs set net.ipv4.vs.expire_nodest_conn=1     change it; the prefix may be left out
    xlvs set expire_nodest_conn=default           as before anybody set it
    xlvs set profile=kernel                       every default is the kernel's
    xlvs set profile=xlvs                         every default is ours

Changes are in force at once and kept in the director's state. A profile gives *every* setting its
default, so what was set before is forgotten. Values are what the kernel takes in
`/proc/sys/net/ipv4/vs` (there the same mistake is `EINVAL`), read as it reads them: decimal,
hexadecimal with `0x`, octal with a leading `0`.

";

const LIMITS: &str = "
## Timeouts and limits of a service

    xlvs service set tcp:10.0.0.1:22 --timeout-tcp 86400 --timeout-tcp-fin 30
    xlvs service set udp:10.0.0.1:53 --timeout-udp 10
    xlvs service set tcp:10.0.0.1:80 --client-limit 100/24 --client-rate 20/s
    xlvs service set tcp:10.0.0.1:80 --client-limit 0 --client-rate 0

A timeout that is not given, or 0, is the director's (`ipvsadm --set`). Timeouts hold for
connections that begin afterwards: those that are there keep the director's. A limit holds for each
network of clients: the addresses that share PREFIX bits, each address alone if no PREFIX is given;
both limits of a service go by the same PREFIX. A rate lets as many connections through at once as
it allows in a second. What is above a limit is dropped and counted. `ipvsadm` changes none of this.

## Who may connect

    xlvs deny add 203.0.113.0/24                            from there to no service
    xlvs allow add 10.0.0.0/8 --service tcp:10.0.0.1:22     nobody else to this one
    xlvs deny list

The director has a list of its own, and each service has one. In a list the entry that names a
client most exactly decides; whom none names may connect, unless somebody is allowed by name. To
except some of a denied network and shut nobody else out, allow 0.0.0.0/0 too. A client must pass
both lists, with every packet: what is denied is dropped and counted, of connections that stand as
well.
";
