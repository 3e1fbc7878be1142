//! Files and the environment, as they are on this host.

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    fs,
    hash::BuildHasher,
    net::{IpAddr, ToSocketAddrs},
    sync::{Mutex, PoisonError},
};

use xlvs_config::Host;

use super::file::digest;

/// This host, for reading a configuration.
#[derive(Debug)]
pub struct ThisHost {
    config_id: String,
    /// What was read, and digests of that.
    files: Mutex<BTreeMap<String, u64>>,
}

impl ThisHost {
    /// `config_id`: what `@id` lines are compared with; none: the host's name up to the first dot.
    pub fn new(config_id: Option<String>) -> Self {
        let config_id =
            config_id.unwrap_or_else(|| name().split('.').next().unwrap_or_default().to_owned());
        Self { config_id, files: Mutex::default() }
    }

    /// What was read so far, and digests of that.
    pub(super) fn files(&self) -> Vec<(String, u64)> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.iter().map(|(path, digest)| (path.clone(), *digest)).collect()
    }
}

/// The host's name.
pub(super) fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl Host for ThisHost {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
        // A FIFO or a device could keep a reader for ever.
        if !metadata.is_file() {
            return Err("it is not a file".to_owned());
        }
        let bytes = fs::read(path).map_err(|error| error.to_string())?;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(path.to_owned(), digest(&bytes));
        Ok(bytes)
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let folder = if folder.is_empty() { "." } else { folder };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let is_folder = entry.path().is_dir();
            Some(if is_folder { format!("{name}/") } else { name })
        });
        names.collect()
    }

    fn environment(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn random(&self, low: u32, high: u32) -> u32 {
        // A hasher's keys are random, and nothing here is a secret.
        let random = RandomState::new().hash_one(());
        let width = u64::from(high.saturating_sub(low)) + 1;
        low + u32::try_from(random % width).unwrap_or(0)
    }

    fn address(&self, name: &str, v6: bool) -> Option<IpAddr> {
        let found = (name, 0).to_socket_addrs().ok()?;
        found.map(|address| address.ip()).find(|address| address.is_ipv6() == v6)
    }

    fn port(&self, name: &str, protocol: &str) -> Option<u16> {
        let services = fs::read_to_string("/etc/services").unwrap_or_default();
        let lines = services.lines().map(|line| line.split('#').next().unwrap_or_default());
        let mut known = lines.filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let (first, port) = (words.next()?, words.next()?);
            let (port, of) = port.split_once('/')?;
            let is_it = of == protocol && (first == name || words.any(|word| word == name));
            port.parse().ok().filter(|_| is_it)
        });
        known.next()
    }

    fn config_id(&self) -> &str {
        &self.config_id
    }
}
