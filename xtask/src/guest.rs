//! A throw-away guest with an older kernel: QEMU's software emulation, Debian's kernel image, and
//! an initial file system that holds busybox and the programs to run. Nothing is installed, and
//! neither KVM nor a disk image is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::shell::{CommandExt as _, cache_dir, find_program};
use crate::tools;

/// The kernel image of a Debian kernel series (`6.1`), fetched once.
pub(crate) fn kernel(series: &str) -> Result<PathBuf> {
    let home = cache_dir()?.join("kernels").join(series);
    let image = home.join("vmlinuz");
    if image.exists() {
        return Ok(image);
    }
    tools::apt_update()?;
    let package = kernel_package(series)?;
    fs::create_dir_all(&home)?;
    let work = tempfile::tempdir_in(&home).context("a folder for the kernel's package")?;
    Command::new("apt-get")
        .args([
            "-q",
            "-o",
            "APT::Sandbox::User=root",
            "-o",
            tools::APT_RETRIES,
            "download",
            &package,
        ])
        .current_dir(work.path())
        .stdout(Stdio::null())
        .run()?;
    let archive = only_file(work.path())?;
    let unpacked = work.path().join("unpacked");
    Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&unpacked).run()?;
    let inside = fs::read_dir(unpacked.join("boot"))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().contains("/vmlinuz-"))
        .with_context(|| format!("{package} holds no kernel image"))?;
    fs::rename(inside, &image)?;
    Ok(image)
}

/// The newest kernel of the series that Debian's archives offer.
fn kernel_package(series: &str) -> Result<String> {
    let prefix = format!("linux-image-{series}.");
    let names = Command::new("apt-cache").args(["pkgnames", &prefix]).read()?;
    names
        .lines()
        .filter(|name| name.ends_with("-cloud-amd64") && !name.contains("rt-"))
        .max_by_key(|name| numbers(name))
        .map(str::to_owned)
        .with_context(|| format!("no kernel {series} in Debian's archives (apt-cache pkgnames)"))
}

/// The numbers in a name, so that .100 comes after .99.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(folder)?.flatten();
    let entry = entries.next().context("apt-get download left nothing")?;
    Ok(entry.path())
}

/// What a guest runs: files to put in, and a shell script.
pub(crate) struct Errand<'a> {
    /// (path here, absolute path in the guest); programs take their libraries along.
    pub(crate) files: &'a [(&'a Path, &'a str)],
    pub(crate) script: &'a str,
    pub(crate) limit: Duration,
}

/// Boots `kernel`, runs the errand and returns what its script printed; fails unless it succeeded.
pub(crate) fn run(kernel: &Path, errand: &Errand<'_>) -> Result<String> {
    let work = tempfile::tempdir().context("a folder for the guest")?;
    let initrd = pack(work.path(), errand)?;
    let console = work.path().join("console");
    // On a loaded host a boot can stall before the first line: start such a guest again.
    for _ in 0..BOOT_TRIES {
        let mut guest = boot(kernel, &initrd, &console)?;
        let ended = watch(&mut guest, &console, errand.limit);
        let _ = guest.kill();
        let _ = guest.wait();
        let text = fs::read_to_string(&console).unwrap_or_default().replace('\r', "");
        if !text.contains(UP) {
            eprintln!("the guest's boot stalled, starting again");
            continue;
        }
        ensure!(ended?, "the guest did not end within {:?}; its console:\n{text}", errand.limit);
        return outcome(&text);
    }
    bail!("the guest did not boot in {BOOT_TRIES} tries")
}

fn outcome(console: &str) -> Result<String> {
    let (_, after) = console.split_once(UP).unwrap_or_default();
    let (said, status) = after.rsplit_once(ENDED).with_context(|| {
        format!("the guest reported no status; its console:\n{}", tail(console, 40))
    })?;
    let status = status.lines().next().unwrap_or_default().trim();
    ensure!(status == "0", "in the guest (status {status}):\n{}", tail(said, 60));
    Ok(said.trim().to_owned())
}

fn tail(text: &str, count: usize) -> String {
    let lines = text.lines().collect::<Vec<_>>();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn boot(kernel: &Path, initrd: &Path, console: &Path) -> Result<Child> {
    Command::new("qemu-system-x86_64")
        .args(["-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"])
        .args(["-m", GUEST_MIB, "-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-no-reboot", "-append", COMMAND_LINE, "-kernel"])
        .arg(kernel)
        .arg("-initrd")
        .arg(initrd)
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .stdin(Stdio::null())
        .spawn()
        .context("starting qemu-system-x86_64")
}

/// Waits for the guest's end: `false` when the limit passed first.
fn watch(guest: &mut Child, console: &Path, limit: Duration) -> Result<bool> {
    let start = Instant::now();
    loop {
        if guest.try_wait()?.is_some() {
            return Ok(true);
        }
        let up = fs::read_to_string(console).is_ok_and(|text| text.contains(UP));
        if start.elapsed() > if up { limit } else { BOOT_LIMIT } {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The initial file system: busybox, the errand's files with their libraries, an init.
fn pack(work: &Path, errand: &Errand<'_>) -> Result<PathBuf> {
    let root = work.join("root");
    for folder in ["bin", "proc", "sys", "dev", "tmp", "run"] {
        fs::create_dir_all(root.join(folder))?;
    }
    let busybox = find_program("busybox").context("no busybox: `cargo xtask tools guests`")?;
    place(&busybox, &root, "/bin/busybox")?;
    for (from, to) in errand.files {
        place(from, &root, to)?;
        for library in libraries(from) {
            place(&library, &root, &library.to_string_lossy())?;
        }
    }
    let init = root.join("init");
    fs::write(&init, format!("{INIT_HEAD}{}\n{INIT_TAIL}", errand.script))?;
    fs::set_permissions(&init, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let packed = work.join("initrd");
    Command::new("sh")
        .args(["-c", "cd \"$1\" && find . | cpio -o -H newc --quiet | gzip -1 > \"$2\"", "pack"])
        .args([&root, &packed])
        .read()?;
    Ok(packed)
}

fn place(from: &Path, root: &Path, to: &str) -> Result<()> {
    let target = root.join(to.trim_start_matches('/'));
    fs::create_dir_all(target.parent().context("a file in a folder")?)?;
    fs::copy(from, &target).with_context(|| format!("copying {}", from.display()))?;
    Ok(())
}

/// The shared libraries of a program, its loader among them; none for what is no program.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = Command::new("ldd").arg(program).read().unwrap_or_default();
    listed
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect()
}

const INIT_HEAD: &str = "#!/bin/busybox sh
export PATH=/bin HOME=/ RUST_BACKTRACE=0
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /sys/fs/bpf; mount -t bpf bpf /sys/fs/bpf
ip link set lo up
exec > /dev/ttyS0 2>&1
echo 'guest: up'
(
";
const INIT_TAIL: &str = ")
echo \"guest: ended $?\"
sync; echo o > /proc/sysrq-trigger; sleep 60
";
const UP: &str = "guest: up";
const ENDED: &str = "guest: ended ";
const BOOT_TRIES: u32 = 4;
const BOOT_LIMIT: Duration = Duration::from_mins(2);
const GUEST_MIB: &str = "1536";
/// The clock settings keep a loaded host's emulation from stalling at calibration.
const COMMAND_LINE: &str = "console=ttyS0 quiet panic=-1 mitigations=off nokaslr \
                            random.trust_cpu=on clocksource=hpet tsc=unstable";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_is_chosen_by_number_and_not_by_letter() {
        assert!(numbers("linux-image-6.12.100+deb12") > numbers("linux-image-6.12.99+deb12"));
    }

    #[test]
    fn an_outcome_is_what_the_script_said_when_it_succeeded() {
        let rows = [
            ("boot\nguest: up\nhello\nguest: ended 0\n", Some("hello"), "success"),
            ("boot\nguest: up\nhello\nguest: ended 1\n", None, "the script failed"),
            ("boot\nguest: up\nhello\n", None, "the guest died"),
        ];
        for (console, expected, sentence) in rows {
            assert_eq!(outcome(console).ok().as_deref(), expected, "{sentence}");
        }
    }
}
