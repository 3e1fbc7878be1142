//! A host whose files lie in memory.
#![allow(dead_code, reason = "each crate of tests uses a part of it")]

use std::collections::BTreeMap;

use xlvs_config::keepalived::Host;

/// Files by path; `@id` is `main`, the environment has `HOME`, `${_RANDOM}` is always the least.
#[derive(Debug, Default)]
pub(crate) struct InMemory(pub(crate) BTreeMap<String, Vec<u8>>);

impl InMemory {
    /// One file, `keepalived.conf`.
    pub(crate) fn of(text: impl Into<Vec<u8>>) -> Self {
        Self::default().with("keepalived.conf", text)
    }

    /// And another.
    pub(crate) fn with(mut self, path: &str, text: impl Into<Vec<u8>>) -> Self {
        self.0.insert(path.to_owned(), text.into());
        self
    }
}

impl Host for InMemory {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.get(path).cloned().ok_or_else(|| "No such file or directory".to_owned())
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let inside = |path: &String| {
            let name = if folder.is_empty() { Some(&path[..]) } else { path.strip_prefix(folder) };
            let name = name?.trim_start_matches('/');
            Some(name.split_once('/').map_or(name.to_owned(), |(folder, _)| format!("{folder}/")))
        };
        let mut names: Vec<String> = self.0.keys().filter_map(inside).collect();
        names.dedup();
        names
    }

    fn environment(&self, name: &str) -> Option<String> {
        (name == "HOME").then(|| "/root".to_owned())
    }

    fn config_id(&self) -> &'static str {
        "main"
    }
}
