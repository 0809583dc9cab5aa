//! The configuration's own policies of one kind, by their names and their ids.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::raw::{Field, List, Typed};
use super::report::Report;

/// How policies of one kind are read: what they are called in findings, where their names stand, which names are
/// CloudFront's, and what they are made of.
pub(super) struct Kind<R, T> {
    /// `cache policy`
    pub what: &'static str,
    pub id: fn(&R) -> &Field<String>,
    pub name: fn(&R) -> &Field<String>,
    pub is_managed: fn(&str) -> bool,
    pub build: fn(&mut Report, &Typed<R>) -> T,
}

impl<R, T> Kind<R, T> {
    /// Each under its own name and, if it has one, its id; one without a name is built for its findings only.
    pub(super) fn read(&self, report: &mut Report, list: &List<R>) -> BTreeMap<String, Arc<T>> {
        let names = list.items().iter().filter_map(|typed| (self.name)(&typed.value).given());
        report.unique(names.clone(), &format!("the {} name", self.what));
        for name in names.filter(|name| (self.is_managed)(&name.value)) {
            let message = format!("{:?} is a managed policy of CloudFront", name.value);
            report.error(&name.at, message, "give yours another name");
        }
        let ids = list.items().iter().filter_map(|typed| (self.id)(&typed.value).given());
        report.unique(ids, &format!("the {} id", self.what));
        let mut own = BTreeMap::new();
        let mut by_id = Vec::new();
        for typed in list.items() {
            let policy = Arc::new((self.build)(report, typed));
            let name = (self.name)(&typed.value).value().cloned().unwrap_or_default();
            by_id.extend((self.id)(&typed.value).value().map(|id| (id.clone(), Arc::clone(&policy))));
            own.entry(name).or_insert(policy);
        }
        // A name goes before the same id of another.
        for (id, policy) in by_id {
            own.entry(id).or_insert(policy);
        }
        own
    }
}
