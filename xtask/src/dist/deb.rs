//! The `.deb`, by `dpkg-deb`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{MAINTAINER, Release, SUMMARY, emptied, libraries};
use crate::shell::CommandExt as _;

/// Packs a copy of the tree, with the control files beside it.
pub(super) fn pack(release: &Release, tree: &Path) -> Result<PathBuf> {
    let Release { root, target, version, epoch, quick } = release;
    let folder = target.join("deb");
    emptied(&folder)?;
    Command::new("cp").arg("-a").arg(tree.join(".")).arg(&folder).run()?;
    let control = folder.join("DEBIAN");
    fs::create_dir_all(&control)?;
    fs::write(control.join("control"), describe(release, tree)?)?;
    // What an administrator has changed is never overwritten.
    fs::write(control.join("conffiles"), "/etc/xlvs/environment\n")?;
    for script in ["postinst", "prerm", "postrm"] {
        let to = control.join(script);
        fs::copy(root.join("packaging/deb").join(script), &to)
            .with_context(|| format!("copying packaging/deb/{script}"))?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
    }
    let package = target.join(format!("xlvs_{version}_{}.deb", architecture()?));
    Command::new("dpkg-deb")
        .args(["--root-owner-group", if *quick { "-Zgzip" } else { "-Zxz" }])
        .args([if *quick { "-z1" } else { "-z6" }, "--build"])
        .arg(&folder)
        .arg(&package)
        .env("SOURCE_DATE_EPOCH", epoch)
        .run()?;
    fs::remove_dir_all(&folder)?;
    Ok(package)
}

fn describe(release: &Release, tree: &Path) -> Result<String> {
    let used = Command::new("du").args(["-sk", "--apparent-size"]).arg(tree).read()?;
    let used = used.split_whitespace().next().unwrap_or("0").to_owned();
    let glibc = libraries::glibc(&tree.join("usr/sbin/xlvs"))?;
    let (version, architecture) = (&release.version, architecture()?);
    Ok(format!(
        "Package: xlvs\n\
         Version: {version}\n\
         Architecture: {architecture}\n\
         Maintainer: {MAINTAINER}\n\
         Section: net\n\
         Priority: optional\n\
         Installed-Size: {used}\n\
         Depends: libc6 (>= {glibc}), libgcc-s1\n\
         Suggests: iptables\n\
         Provides: ipvsadm (= 1:1.31)\n\
         Conflicts: ipvsadm\n\
         Replaces: ipvsadm\n\
         Description: {SUMMARY}\n{DESCRIPTION}"
    ))
}

/// Debian's name of this machine's architecture.
fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("Debian's name for {other} is not known here"),
    }
}

const DESCRIPTION: &str =
    " xlvs balances connections over real servers as the kernel's IPVS does, with
 programs that run where packets arrive: direct routing, NAT and tunnels, all
 of IPVS's schedulers, persistence, firewall marks. It brings ipvsadm,
 ipvsadm-save and ipvsadm-restore, whose text and exit codes are those of 1.31.
 .
 Nothing is started until /etc/xlvs/environment says where packets come in:
 see /usr/share/doc/xlvs/systemd.md.
";
