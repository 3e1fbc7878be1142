//! The `.rpm`, by `rpmbuild`. The crate `rpm` would do without the program, for 46 more crates and
//! half a minute of a processor; Debian has the program, and every distribution of the other kind.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Release, emptied, stage};
use crate::shell::CommandExt as _;
use crate::workspace;

pub(super) fn pack(release: &Release, tree: &Path) -> Result<PathBuf> {
    let Release { root, target, version, epoch, quick } = release;
    let folder = target.join("rpm");
    emptied(&folder)?;
    let mut files = String::new();
    for path in stage::listed(tree)? {
        let kind = match path.as_str() {
            "/etc/xlvs/environment" => "%config(noreplace) ",
            _ if path.contains("/LICENSE") => "%license ",
            _ if path.starts_with("/usr/share/doc/") => "%doc ",
            _ => "",
        };
        writeln!(files, "{kind}{path}")?;
    }
    for own in OWN {
        writeln!(files, "%dir {own}")?;
    }
    let list = folder.join("files");
    fs::write(&list, files)?;
    let mut rpmbuild = Command::new("rpmbuild");
    rpmbuild.args(["-bb", "--quiet", "--target", std::env::consts::ARCH]);
    let defines = [
        ("_topdir", folder.display().to_string()),
        ("_rpmdir", folder.join("out").display().to_string()),
        ("_binary_payload", if *quick { "w1.gzdio" } else { "w6.xzdio" }.to_owned()),
        ("xlvs_version", version.clone()),
        ("xlvs_tree", tree.display().to_string()),
        ("xlvs_files", list.display().to_string()),
    ];
    for (name, value) in defines {
        rpmbuild.arg("--define").arg(format!("{name} {value}"));
    }
    rpmbuild.arg(root.join("packaging/xlvs.spec")).env("SOURCE_DATE_EPOCH", epoch).run()?;
    let made = workspace::files(&folder.join("out"))?;
    let made = made.first().context("rpmbuild left no package")?;
    let package = target.join(made.file_name().context("a package has a name")?);
    fs::rename(made, &package)?;
    fs::remove_dir_all(&folder)?;
    Ok(package)
}

/// Folders that go with the package.
const OWN: &[&str] =
    &["/etc/xlvs", "/usr/share/doc/xlvs", "/usr/share/xlvs", "/usr/share/xlvs/dashboards"];
