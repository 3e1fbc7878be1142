//! The documentation of all settings, made from the table: `docs/settings.md`.

use std::fmt::Write;

use super::{
    Profile, Setting, Value,
    table::{Definition, Effect},
};

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
