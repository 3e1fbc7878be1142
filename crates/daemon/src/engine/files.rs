//! Services that a configuration file owns: put in force as one, compared with what is there, and
//! put right where somebody changed them by hand.

use std::{borrow::Cow, collections::BTreeSet};

use xlvs_api::{Actor, EventKind, Face, FileView};
use xlvs_model::{
    Change, Difference, Fault, Finding, Hands, InForce, Owner, Server, ServerKey, ServiceKey,
    Touched, Wanted, differences, plan,
};

use super::{
    Engine, Work,
    chronicle::{News, unix_ms},
    tell::Made,
};

/// A file that is in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileInForce {
    /// Its services.
    pub(crate) services: InForce,
    /// Since when, in milliseconds of Unix time.
    pub(crate) since_ms: u64,
    /// How many of its servers are checked.
    pub(crate) checked_servers: usize,
    /// When it is taken back unless it is confirmed.
    pub(crate) confirm_until_ms: Option<u64>,
}

impl Engine {
    /// What would become of the services, or why nothing can.
    pub(crate) fn compare(
        &self,
        wanted: &[Wanted],
        more: &[Change],
    ) -> Result<Vec<Difference>, String> {
        let mut changes = plan(&self.model, wanted);
        changes.extend_from_slice(more);
        let mut model = self.model.clone();
        for change in &changes {
            model.apply(change).map_err(|fault| blame(change, fault))?;
        }
        Ok(differences(&self.model, &changes))
    }

    /// Makes the services what they are to be, with what checks found of them, in one step or not
    /// at all. Gives what those that changed were before.
    pub(crate) fn take(
        &mut self,
        by: &Actor,
        (wanted, more): (&[Wanted], &[Change]),
        findings: Vec<Finding>,
    ) -> Result<Vec<Wanted>, String> {
        let mut changes = plan(&self.model, wanted);
        changes.extend_from_slice(more);
        let edit = self.model.edit(&changes, |_, change| Ok(Cow::Borrowed(change)));
        let refused = changes.iter().zip(&edit.faults).find_map(|(change, fault)| {
            let fault = (*fault)?;
            Some(blame(change, fault))
        });
        if let Some(why) = refused {
            self.model.undo(edit);
            return Err(why);
        }
        let before = edit.before().map(|(key, service)| (*key, service.cloned())).collect();
        let mut touched = edit.touched();
        touched.extend(self.hear(findings));
        if let Err(e) = self.put_in_force(&touched) {
            self.take_back(edit);
            // The tables follow as soon as they can.
            self.overdue.extend(touched);
            return Err(e.to_string());
        }
        self.note_edit(edit);
        self.follow_up(by);
        Ok(before)
    }

    /// Keeps the servers that would go in their lists, with weight 0; and which these are. Those
    /// that packets do not see anyway just go.
    pub(crate) fn soften(
        &self,
        mut wanted: Vec<Wanted>,
    ) -> (Vec<Wanted>, Vec<(ServiceKey, Server)>) {
        let mut going = Vec::new();
        for (key, new) in &mut wanted {
            let (Some(old), Some(new)) = (self.model.service(key), new) else { continue };
            for server in &old.servers {
                let stays = new.server(&server.key).is_some();
                if stays || !self.effective.standing(&self.model, key, server).listed {
                    continue;
                }
                let server = Server { weight: 0, leaving: true, ..*server };
                new.servers.push(server);
                going.push((*key, server));
            }
        }
        (wanted, going)
    }

    /// Those of these servers that have connections which are not at their end.
    pub(crate) fn busy(
        &mut self,
        servers: &[(ServiceKey, ServerKey)],
    ) -> BTreeSet<(ServiceKey, ServerKey)> {
        let mut keys: Vec<ServiceKey> = servers.iter().map(|(service, _)| *service).collect();
        keys.dedup();
        let mut busy = BTreeSet::new();
        for key in keys {
            // What cannot be counted is taken for busy: its time ends all the same.
            let Ok(views) = self.services(Some(&key), false) else {
                busy.extend(servers.iter().filter(|(service, _)| *service == key));
                continue;
            };
            let views = views.iter().flat_map(|view| &view.servers);
            busy.extend(views.filter(|view| view.active > 0).map(|view| (key, view.address)));
        }
        busy
    }

    /// A server is written.
    pub(crate) fn has(&self, service: &ServiceKey, server: &ServerKey) -> bool {
        self.model.service(service).is_some_and(|found| found.server(server).is_some())
    }

    /// The file in force says this of its services now.
    pub(crate) fn amend(&mut self, services: Option<InForce>) {
        if let (Some(file), Some(services)) = (&mut self.file, services) {
            file.services = services;
        }
    }

    /// All services.
    pub(crate) fn service_keys(&self) -> Vec<ServiceKey> {
        self.model.services.iter().map(|service| service.key).collect()
    }

    /// From now on this file owns its services; none: no file does.
    pub(crate) fn own(&mut self, file: Option<FileInForce>) {
        self.file = file;
        self.drifted.clear();
    }

    /// These servers stay deleted where somebody deleted them. True: then all is as it is wanted.
    pub(crate) fn spare(&self, wanted: &mut [Wanted], spared: &[(ServiceKey, ServerKey)]) -> bool {
        if spared.is_empty() {
            return false;
        }
        for (key, service) in wanted.iter_mut() {
            let Some(service) = service else { continue };
            let stays_out = |server: &Server| {
                spared.contains(&(*key, server.key)) && !self.has(key, &server.key)
            };
            service.servers.retain(|server| !stays_out(server));
        }
        plan(&self.model, wanted).is_empty()
    }

    /// The file's services that somebody changed by hand and that are not right yet.
    pub(crate) fn drifted(&mut self) -> Touched {
        let Some(file) = &self.file else { return Touched::new() };
        self.drifted = file.services.drifted(&self.model, &self.drifted);
        self.drifted.clone()
    }

    /// The file could not be put in force; none: it is.
    pub(crate) fn report_file(&mut self, trouble: Option<String>) {
        self.report(Work::File, trouble);
    }

    /// Addresses that the file asks for cannot be put on interfaces; none: all are there.
    pub(crate) fn report_active(&mut self, trouble: Option<String>) {
        self.report(Work::Active, trouble);
    }

    /// Something that is told of the file, or of its checks.
    pub(crate) fn tell_of(
        &mut self,
        by: Option<&Actor>,
        kind: EventKind,
        about: (Option<ServiceKey>, Option<ServerKey>),
        message: String,
    ) {
        let (service, server) = about;
        self.tell(by, News { kind, service, server, message });
    }

    pub(super) fn file_view(&self) -> Option<FileView> {
        let file = self.file.as_ref()?;
        let wanted = file.services.wanted_of(&self.drifted);
        Some(FileView {
            file: file.services.file.clone(),
            since_ms: file.since_ms,
            services: file.services.services.len(),
            checked_servers: file.checked_servers,
            drift: differences(&self.model, &plan(&self.model, &wanted)),
            confirm_until_ms: file.confirm_until_ms,
        })
    }

    /// Takes note of who made what, and of what is not as the file says any more.
    pub(super) fn note_hands(&mut self, by: &Actor, made: &[Made]) {
        let is_file = by.face == Face::File;
        let name = if is_file { "" } else { by.face.name() };
        for Made { change, .. } in made {
            self.hands.note(change, name);
        }
        name.clone_into(&mut self.unsaved.by);
        let Some(file) = self.file.as_ref().filter(|_| !is_file) else { return };
        let mut keys = Touched::new();
        for Made { change, .. } in made {
            match change {
                Change::Clear => keys.extend(file.services.services.iter().map(|s| s.key)),
                change => keys.extend(service_of(change)),
            }
        }
        let drifted = file.services.drifted(&self.model, &keys);
        let place = |key: &ServiceKey| match file.services.origin(key, None) {
            Some(origin) => origin.to_string(),
            None => file.services.file.clone(),
        };
        let news: Vec<News> = if drifted.len() > ONE_BY_ONE {
            let message =
                format!("{} services are not what {} says", drifted.len(), file.services.file);
            vec![News::of(EventKind::Change, message)]
        } else {
            let one = |key: &ServiceKey| News {
                service: Some(*key),
                ..News::of(EventKind::Change, format!("is not what {} says any more", place(key)))
            };
            drifted.iter().map(one).collect()
        };
        self.drifted.extend(drifted);
        for news in news {
            self.chronicle.tell(unix_ms(), Some(by), news);
        }
    }
}

/// Who owns a service, or one of its servers.
pub(super) fn owner(
    (file, hands): (Option<&FileInForce>, &Hands),
    service: &ServiceKey,
    server: Option<&ServerKey>,
) -> Option<String> {
    let origin = file.and_then(|file| file.services.origin(service, server));
    let owner = match origin {
        Some(origin) => Owner::File(origin),
        None => Owner::Hand(hands.of(service, server)?.to_owned()),
    };
    Some(owner.to_string())
}

/// Which service a change that a file has a say in is about.
const fn service_of(change: &Change) -> Option<ServiceKey> {
    match change {
        Change::AddService { service, .. }
        | Change::EditService { service, .. }
        | Change::DeleteService { service }
        | Change::AddServer { service, .. }
        | Change::EditServer { service, .. }
        | Change::DeleteServer { service, .. } => Some(*service),
        _ => None,
    }
}

fn blame(change: &Change, fault: Fault) -> String {
    let service = service_of(change).map(|service| format!("{service}: "));
    let server = match change {
        Change::AddServer { server, .. } | Change::EditServer { server, .. } => {
            format!("{}: ", server.key)
        }
        _ => String::new(),
    };
    format!("{}{server}{fault}", service.unwrap_or_default())
}

/// More services than this are told of as one.
const ONE_BY_ONE: usize = 10;
