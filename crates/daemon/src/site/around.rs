//! What ldirectord does around its services: servers in maintenance by the names of files
//! (`maintenancedir`), and files that are taken up again when they change (`autoreload`,
//! `callback`).
//!
//! Both are looked at once a second, by a thread of its own: a folder may lie on a disk that hangs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::oneshot;
use tracing::{info, warn};
use xlvs_health::{Effect, Occasion, Run};
use xlvs_model::{ServerKey, health::Script};

use super::{
    Runner,
    file::{Loaded, digest},
};

/// What has to be known from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Around {
    /// The look that is under way.
    looking: Option<oneshot::Receiver<Seen>>,
    /// Hosts' names are being looked up.
    naming: Option<oneshot::Receiver<()>>,
    names: Arc<Mutex<Names>>,
    held: BTreeMap<ServerKey, String>,
    /// Why the folder cannot be read.
    trouble: Option<String>,
    files: BTreeMap<PathBuf, File>,
}

/// The hosts' names by their addresses, as they were looked up; none: it has no name.
type Names = HashMap<IpAddr, (Instant, Option<String>)>;

/// A file of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
struct File {
    /// What is in force of it, or was found wrong.
    known: u64,
    /// What it was at the last look.
    last: u64,
    /// When it was written, and how long it was.
    stamp: Option<(SystemTime, u64)>,
}

/// What is found at a look.
#[derive(Debug, Default)]
struct Seen {
    held: Option<Result<BTreeMap<ServerKey, String>, String>>,
    /// Servers whose names are wanted.
    nameless: Vec<IpAddr>,
    files: BTreeMap<PathBuf, File>,
}

impl Runner {
    /// Once a second.
    pub(super) async fn look_around(&mut self) {
        if let Some(looking) = &mut self.around.looking {
            match looking.try_recv() {
                Ok(seen) => self.heed(seen).await,
                Err(oneshot::error::TryRecvError::Empty) => return,
                Err(oneshot::error::TryRecvError::Closed) => {}
            }
            self.around.looking = None;
        }
        let Some(mut looking) = self.begin_look() else { return };
        match tokio::time::timeout(SOON, &mut looking).await {
            Ok(seen) => self.heed(seen.unwrap_or_default()).await,
            // A slow disk; its answer is taken at a later look.
            Err(_) => self.around.looking = Some(looking),
        }
    }

    /// None: there is nothing to look at.
    fn begin_look(&self) -> Option<oneshot::Receiver<Seen>> {
        let terms = self.loaded.as_ref()?.config.globals.ldirectord.as_deref()?;
        let folder = terms.maintenance.clone();
        let watches = terms.autoreload || terms.callback.is_some();
        if folder.is_none() && !watches {
            return None;
        }
        let servers = self.loaded.as_ref().map(servers).unwrap_or_default();
        let names = Arc::clone(&self.around.names);
        let files = if watches { self.around.files.clone() } else { BTreeMap::new() };
        Some(aside(move || {
            let mut seen = Seen { files: look_at(files), ..Seen::default() };
            if let Some(folder) = folder {
                let names = names.lock().unwrap_or_else(PoisonError::into_inner);
                let found = maintained(Path::new(&folder), &servers, &names);
                seen.held = Some(found.map(|(held, nameless)| {
                    seen.nameless = nameless;
                    held
                }));
            }
            seen
        }))
    }

    async fn heed(&mut self, seen: Seen) {
        self.look_up(seen.nameless);
        match seen.held {
            Some(Ok(held)) => {
                self.around.trouble = None;
                self.hold(held).await;
            }
            Some(Err(why)) => self.hold_nobody(why).await,
            None => {}
        }
        self.heed_files(seen.files).await;
    }

    /// A folder that is not there has no files, as with ldirectord.
    async fn hold_nobody(&mut self, why: String) {
        if self.around.trouble.as_ref() != Some(&why) {
            warn!("maintenancedir: {why}: no server is in maintenance");
            self.around.trouble = Some(why);
        }
        self.hold(BTreeMap::new()).await;
    }

    async fn hold(&mut self, held: BTreeMap<ServerKey, String>) {
        if self.around.held == held {
            return;
        }
        self.around.held.clone_from(&held);
        let health = self.health.clone();
        let ((), effects) = self.gather(async move { health.hold(held).await }).await;
        if !effects.is_empty() {
            self.act(effects).await;
        }
    }

    /// Before a file's servers are in force: those in maintenance are out from the start.
    pub(super) async fn hold_first(&mut self, new: Option<&Loaded>) {
        let terms = new.and_then(|new| new.config.globals.ldirectord.as_deref());
        let folder = terms.and_then(|terms| terms.maintenance.clone());
        let (Some(folder), Some(new)) = (folder, new) else {
            self.hold(BTreeMap::new()).await;
            return;
        };
        let (servers, names) = (servers(new), Arc::clone(&self.around.names));
        let look = aside(move || {
            let look = |names: &Mutex<Names>| {
                let names = names.lock().unwrap_or_else(PoisonError::into_inner);
                maintained(Path::new(&folder), &servers, &names)
            };
            let (_, nameless) = look(&names)?;
            for address in nameless {
                name(address, &names);
            }
            look(&names)
        });
        match tokio::time::timeout(PATIENCE, look).await {
            Ok(Ok(Ok((held, _)))) => self.hold(held).await,
            Ok(Ok(Err(why))) => self.hold_nobody(why).await,
            // It is looked at again soon.
            Ok(Err(_)) | Err(_) => {}
        }
    }

    /// Looks names up beside all else.
    fn look_up(&mut self, nameless: Vec<IpAddr>) {
        let is_under_way = self.around.naming.as_mut().is_some_and(|naming| {
            matches!(naming.try_recv(), Err(oneshot::error::TryRecvError::Empty))
        });
        if nameless.is_empty() || is_under_way {
            return;
        }
        let names = Arc::clone(&self.around.names);
        self.around.naming = Some(aside(move || {
            for address in nameless {
                name(address, &names);
            }
        }));
    }

    /// Which files are to be watched from now on.
    pub(super) fn watch(&mut self) {
        let files = self.loaded.as_ref().map(|loaded| loaded.files.clone()).unwrap_or_default();
        let file = |known| File { known, last: known, stamp: None };
        self.around.files =
            files.into_iter().map(|(path, known)| (path.into(), file(known))).collect();
    }

    async fn heed_files(&mut self, files: BTreeMap<PathBuf, File>) {
        let mut changed = Vec::new();
        for (path, mut seen) in files {
            let Some(file) = self.around.files.get_mut(&path) else { continue };
            // A look that began before the file was taken up says nothing of it.
            if file.known != seen.known {
                continue;
            }
            // One that is being written is waited for.
            if seen.last != seen.known && file.last == seen.last && self.pending.is_none() {
                seen.known = seen.last;
                changed.push(path);
            }
            *file = seen;
        }
        for path in changed {
            let path = path.to_string_lossy().into_owned();
            let Some(loaded) = &self.loaded else { return };
            let Some(terms) = loaded.config.globals.ldirectord.clone() else { return };
            info!("{path} has changed");
            if terms.autoreload {
                self.reload().await;
            }
            if let Some(callback) = &terms.callback {
                let script = with_argument(callback, &path);
                self.errands.perform(&Effect::Run(Run { script, occasion: Occasion::FileChanged }));
            }
        }
    }
}

/// All servers that a file has.
fn servers(loaded: &Loaded) -> BTreeSet<ServerKey> {
    let of = &loaded.config.virtual_servers;
    of.iter().flat_map(|of| &of.servers).map(xlvs_model::health::RealServer::key).collect()
}

/// Servers by whose address or name there is a file, and why; and whose names are not known.
fn maintained(
    folder: &Path,
    servers: &BTreeSet<ServerKey>,
    names: &Names,
) -> Result<(BTreeMap<ServerKey, String>, Vec<IpAddr>), String> {
    let there = files_of(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    if there.is_empty() {
        return Ok((BTreeMap::new(), Vec::new()));
    }
    let is_name = |file: &String| {
        let host = file.split(':').next().unwrap_or_default();
        !file.starts_with('[') && host.parse::<IpAddr>().is_err() && file.parse::<IpAddr>().is_err()
    };
    let named = there.iter().any(is_name);
    let (mut held, mut nameless) = (BTreeMap::new(), BTreeSet::new());
    for server in servers {
        let (address, port) = (server.ip(), server.port());
        let known = names.get(&address).filter(|(at, _)| at.elapsed() < FRESH);
        if named && known.is_none() {
            nameless.insert(address);
        }
        // What is stale is better than nothing while it is looked up.
        let name = names.get(&address).and_then(|(_, name)| name.as_deref());
        let mut hosts = vec![address.to_string()];
        if address.is_ipv6() {
            hosts.push(format!("[{address}]"));
        }
        if let Some(name) = name {
            hosts.push(name.to_owned());
            hosts.extend(name.split_once('.').map(|(short, _)| short.to_owned()));
        }
        let mut files = hosts.iter().flat_map(|host| [format!("{host}:{port}"), host.clone()]);
        if let Some(file) = files.find(|file| there.contains(file)) {
            let file = folder.join(file);
            held.insert(*server, format!("in maintenance: {} is there", file.display()));
        }
    }
    Ok((held, nameless.into_iter().collect()))
}

fn files_of(folder: &Path) -> io::Result<BTreeSet<String>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
    names.filter_map(io::Result::transpose).collect()
}

/// Looks a host's name up. What is no name is none.
fn name(address: IpAddr, names: &Mutex<Names>) {
    let found = dns_lookup::lookup_addr(&address).ok();
    let found = found.filter(|name| name.parse::<IpAddr>().is_err());
    let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
    names.insert(address, (Instant::now(), found));
}

/// What has become of files. Those that cannot be read now are as they were.
fn look_at(mut files: BTreeMap<PathBuf, File>) -> BTreeMap<PathBuf, File> {
    for (path, file) in &mut files {
        let stamp = fs::metadata(path).and_then(|found| Ok((found.modified()?, found.len())));
        let Ok(stamp) = stamp else { continue };
        if file.stamp == Some(stamp) && file.last == file.known {
            continue;
        }
        let Ok(bytes) = fs::read(path) else { continue };
        *file = File { last: digest(&bytes), stamp: Some(stamp), ..file.clone() };
    }
    files
}

/// A command and one more argument.
fn with_argument(script: &Script, argument: &str) -> Script {
    let mut script = script.clone();
    match &mut script.argv[..] {
        // The shell's own arguments begin with its name.
        [shell, c, text] if shell == "/bin/sh" && c == "-c" => {
            text.push_str(" \"$1\"");
            script.argv.extend(["sh".to_owned(), argument.to_owned()]);
        }
        _ => script.argv.push(argument.to_owned()),
    }
    script
}

/// Does something that may hang by a thread of its own, which nobody waits for at the end.
fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (sender, receiver) = oneshot::channel();
    // Without a thread the sender is dropped, and it is tried again at the next look.
    let started = thread::Builder::new()
        .name("look-around".to_owned())
        .spawn(move || drop(sender.send(work())));
    if let Err(error) = started {
        warn!("cannot look at files: {error}");
    }
    receiver
}

/// How long a look is waited for on the spot.
const SOON: Duration = Duration::from_millis(50);
/// How long the first look is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a name that was looked up is believed.
const FRESH: Duration = Duration::from_mins(1);
/// How often it is looked.
pub(super) const LOOK_PERIOD: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn servers_are_in_maintenance_by_address_port_and_name() {
        let folder = tempfile::tempdir().unwrap();
        let servers: BTreeSet<ServerKey> =
            ["10.0.0.1:80", "10.0.0.1:443", "10.0.0.2:80", "[fd00::1]:80"]
                .map(|key| key.parse().unwrap())
                .into();
        let mut names = Names::new();
        let known = |name: &str| (Instant::now(), Some(name.to_owned()));
        for (address, name) in [("10.0.0.1", "web1.example.com"), ("10.0.0.2", "web2.example.com")]
        {
            names.insert(address.parse().unwrap(), known(name));
        }
        names.insert("fd00::1".parse().unwrap(), (Instant::now(), None));
        for (file, expected, why) in [
            ("10.0.0.1", "10.0.0.1:80 10.0.0.1:443", "an address: all of its ports"),
            ("10.0.0.1:443", "10.0.0.1:443", "one port"),
            ("10.0.0.1:444", "", "another port"),
            ("web1.example.com", "10.0.0.1:80 10.0.0.1:443", "a name"),
            ("web1.example.com:80", "10.0.0.1:80", "a name and a port"),
            ("web2", "10.0.0.2:80", "the short name"),
            ("web2:80", "10.0.0.2:80", "the short name and a port"),
            ("web", "", "a part of a name"),
            ("[fd00::1]:80", "[fd00::1]:80", "IPv6 as ldirectord writes it"),
            ("fd00::1", "[fd00::1]:80", "and without brackets"),
            ("README", "", "any other file"),
        ] {
            let path = folder.path().join(file);
            fs::write(&path, "").unwrap();
            let (held, nameless) = maintained(folder.path(), &servers, &names).unwrap();
            let keys: Vec<String> = held.keys().map(ToString::to_string).collect();
            assert_eq!(keys.join(" "), expected, "{why}");
            assert_eq!(nameless, Vec::<IpAddr>::new(), "{why}");
            fs::remove_file(path).unwrap();
        }
        fs::write(folder.path().join("web1"), "").unwrap();
        let (held, nameless) = maintained(folder.path(), &servers, &Names::new()).unwrap();
        assert_eq!((held.len(), nameless.len()), (0, 3), "names are to be looked up");
        assert!(maintained(&folder.path().join("none"), &servers, &names).is_err());
    }

    #[test]
    fn a_file_that_changes_is_seen_and_one_that_is_gone_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let known = digest(b"one");
        let start = File { known, last: known, stamp: None };
        let mut files = BTreeMap::from([(path.clone(), start)]);
        for (text, changed, why) in [
            (Some("one"), false, "as it was read"),
            (Some("two "), true, "another text"),
            (None, true, "gone: what was seen last"),
            (Some("one"), false, "back"),
        ] {
            match text {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            files = look_at(files);
            let file = &files[&path];
            assert_eq!(file.last != file.known, changed, "{why}");
        }
    }

    #[test]
    fn the_callback_gets_the_files_name() {
        let script = |argv: &[&str]| Script {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            user: None,
        };
        for (given, expected) in [
            (vec!["/bin/copy", "-v"], vec!["/bin/copy", "-v", "/a b"]),
            (
                vec!["/bin/sh", "-c", "copy > /dev/null"],
                vec!["/bin/sh", "-c", "copy > /dev/null \"$1\"", "sh", "/a b"],
            ),
        ] {
            assert_eq!(with_argument(&script(&given), "/a b"), script(&expected));
        }
    }
}
