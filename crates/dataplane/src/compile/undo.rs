//! A map whose changes can be taken back: compiling a change must leave no trace when the tables
//! turn out to be full, and must not copy all that they hold to that end.

use std::{collections::BTreeMap, ops::Deref};

/// See the module. Read as a `BTreeMap`.
#[derive(Clone, Debug)]
pub(crate) struct Undo<K, V> {
    map: BTreeMap<K, V>,
    /// What was there, in the order of the changes; `None`: nobody will want to know.
    log: Option<Vec<(K, Option<V>)>>,
}

impl<K, V> Default for Undo<K, V> {
    fn default() -> Self {
        Self { map: BTreeMap::new(), log: None }
    }
}

impl<K, V> Deref for Undo<K, V> {
    type Target = BTreeMap<K, V>;

    fn deref(&self) -> &BTreeMap<K, V> {
        &self.map
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for Undo<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(items: I) -> Self {
        Self { map: items.into_iter().collect(), log: None }
    }
}

impl<K: Ord + Clone, V: Clone> Undo<K, V> {
    /// From here on changes can be taken back.
    pub(crate) fn begin(&mut self) {
        self.log = Some(Vec::new());
    }

    /// They will not be.
    pub(crate) fn commit(&mut self) {
        self.log = None;
    }

    /// Takes back all since [`Undo::begin`].
    pub(crate) fn roll_back(&mut self) {
        for (key, old) in self.log.take().unwrap_or_default().into_iter().rev() {
            match old {
                Some(old) => drop(self.map.insert(key, old)),
                None => drop(self.map.remove(&key)),
            }
        }
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let old = self.map.insert(key.clone(), value);
        self.note(key, old.as_ref());
        old
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let old = self.map.remove(key)?;
        self.note(key.clone(), Some(&old));
        Some(old)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let value = self.map.get_mut(key)?;
        if let Some(log) = &mut self.log {
            log.push((key.clone(), Some(value.clone())));
        }
        Some(value)
    }

    pub(crate) fn pop_first(&mut self) -> Option<(K, V)> {
        let (key, old) = self.map.pop_first()?;
        self.note(key.clone(), Some(&old));
        Some((key, old))
    }

    fn note(&mut self, key: K, old: Option<&V>) {
        if let Some(log) = &mut self.log {
            log.push((key, old.cloned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What was done since the beginning is undone, and nothing before it.
        #[test]
        fn takes_back(
            before in prop::collection::btree_map(0u8..8, any::<u8>(), 0..8),
            steps in prop::collection::vec((0u8..5, 0u8..8, any::<u8>()), 0..40),
            keep in any::<bool>(),
        ) {
            let mut map: Undo<u8, u8> = before.clone().into_iter().collect();
            let mut plain = before.clone();
            map.begin();
            for (step, key, value) in steps {
                match step {
                    0 | 1 => prop_assert_eq!(map.insert(key, value), plain.insert(key, value)),
                    2 => prop_assert_eq!(map.remove(&key), plain.remove(&key)),
                    3 => prop_assert_eq!(map.pop_first(), plain.pop_first()),
                    _ => {
                        map.get_mut(&key).into_iter().for_each(|v| *v = value);
                        plain.get_mut(&key).into_iter().for_each(|v| *v = value);
                    }
                }
                prop_assert_eq!(&*map, &plain);
            }
            if keep { map.commit() } else { map.roll_back() }
            prop_assert_eq!(&*map, if keep { &plain } else { &before });
            map.insert(9, 9);
            map.roll_back();
            prop_assert_eq!(map.get(&9), Some(&9), "nothing is under way");
        }
    }
}
