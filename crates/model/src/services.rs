//! The list of services: in the order they were added, found by key, cheap to change and to copy.
//!
//! Each service has a number that only ever grows, and the list is sorted by it; an index leads
//! from keys to numbers. A copy of the list shares its services until one of them is changed. While
//! a change is under way ([`Services::begin`]) the list notes what each service was, so that the
//! change can be taken back, and so that whoever carries it out looks at nothing else.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Index,
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{Server, ServerKey, Service, ServiceKey};

/// Services in the order they were added.
#[derive(Clone, Debug, Default)]
pub struct Services {
    list: BTreeMap<u64, Arc<Service>>,
    places: HashMap<ServiceKey, u64>,
    next: u64,
    /// What was there before the change that is under way, of what it touched.
    before: Option<Before>,
}

/// Services as they were, by key; `None` for one that was not there.
pub(crate) type Before = BTreeMap<ServiceKey, Option<Kept>>;

/// A service and its place.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    place: u64,
    pub(crate) service: Arc<Service>,
}

impl Services {
    /// The service of this key.
    pub fn get(&self, key: &ServiceKey) -> Option<&Service> {
        Some(self.list.get(self.places.get(key)?)?)
    }

    /// The service of this key, to be changed; its key must stay.
    pub fn get_mut(&mut self, key: &ServiceKey) -> Option<&mut Service> {
        self.note(key);
        self.list.get_mut(self.places.get(key)?).map(Arc::make_mut)
    }

    /// There is a service of this key.
    pub fn contains(&self, key: &ServiceKey) -> bool {
        self.places.contains_key(key)
    }

    /// Puts a service at the end; false, and nothing happens, when there is one of its key.
    pub fn push(&mut self, service: Service) -> bool {
        if self.contains(&service.key) {
            return false;
        }
        self.note(&service.key);
        self.places.insert(service.key, self.next);
        self.list.insert(self.next, Arc::new(service));
        self.next += 1;
        true
    }

    /// Takes a service out; false when there is none of that key.
    pub fn remove(&mut self, key: &ServiceKey) -> bool {
        self.note(key);
        let place = self.places.remove(key);
        place.and_then(|place| self.list.remove(&place)).is_some()
    }

    /// Takes all of them out.
    pub fn clear(&mut self) {
        if self.before.is_some() {
            let keys: Vec<ServiceKey> = self.places.keys().copied().collect();
            for key in keys {
                self.note(&key);
            }
        }
        self.list.clear();
        self.places.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.list.values())
    }

    /// Has the service of this key as `from` has it, at its place there; with other servers, and
    /// such whose clients are reset, if `derive` gives some. What it does not change is shared.
    pub(crate) fn mirror(
        &mut self,
        from: &Self,
        key: &ServiceKey,
        derive: impl FnOnce(&Service) -> Option<(Vec<Server>, Vec<ServerKey>)>,
    ) {
        if let Some(place) = self.places.remove(key) {
            self.list.remove(&place);
        }
        let Some(Kept { place, mut service }) = from.kept(key) else { return };
        if let Some((servers, resets)) = derive(&service) {
            let service = Arc::make_mut(&mut service);
            (service.servers, service.resets) = (servers, resets);
        }
        self.places.insert(*key, place);
        self.list.insert(place, service);
    }

    /// From now on notes what is touched.
    pub(crate) fn begin(&mut self) {
        self.before = Some(Before::new());
    }

    /// Ends what [`Services::begin`] began; what differs now, as it was.
    pub(crate) fn end(&mut self) -> Before {
        let mut before = self.before.take().unwrap_or_default();
        before.retain(|key, old| match (old, self.kept(key)) {
            (None, None) => false,
            (Some(old), Some(new)) => old.place != new.place || old.service != new.service,
            _ => true,
        });
        before
    }

    /// Puts back what was.
    pub(crate) fn put_back(&mut self, before: Before) {
        for (key, old) in before {
            if let Some(place) = self.places.remove(&key) {
                self.list.remove(&place);
            }
            if let Some(Kept { place, service }) = old {
                self.places.insert(key, place);
                self.list.insert(place, service);
            }
        }
    }

    fn kept(&self, key: &ServiceKey) -> Option<Kept> {
        let place = *self.places.get(key)?;
        Some(Kept { place, service: Arc::clone(self.list.get(&place)?) })
    }

    fn note(&mut self, key: &ServiceKey) {
        if self.before.as_ref().is_some_and(|before| !before.contains_key(key)) {
            let old = self.kept(key);
            self.before.get_or_insert_default().insert(*key, old);
        }
    }
}

/// Services in order.
#[derive(Clone, Debug)]
pub struct Iter<'a>(std::collections::btree_map::Values<'a, u64, Arc<Service>>);

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Service;

    fn next(&mut self) -> Option<&'a Service> {
        self.0.next().map(AsRef::as_ref)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Services {
    type Item = &'a Service;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The service at a place of the list. Walks there: for tests, and lists of a few.
impl Index<usize> for Services {
    type Output = Service;

    fn index(&self, place: usize) -> &Service {
        let service = self.iter().nth(place);
        service.unwrap_or_else(|| panic!("{} services, none at {place}", self.len()))
    }
}

impl PartialEq for Services {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Services {}

impl Serialize for Services {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<'de> Deserialize<'de> for Services {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut services = Self::default();
        for service in Vec::<Service>::deserialize(deserializer)? {
            let key = service.key;
            if !services.push(service) {
                return Err(D::Error::custom(format!("the service {key} is there twice")));
            }
        }
        Ok(services)
    }
}

#[cfg(test)]
mod tests;
