//! The configuration's own policies of one kind, by their names and their ids.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::raw::{Field, List, Typed};
use super::report::Report;

/// How policies of one kind are read: what they are called in findings, where their names stand, which are CloudFront's,
/// and what they are made of.
#[derive(Debug)]
pub(super) struct Kind<R, T> {
    /// `cache policy`
    pub what: &'static str,
    /// CloudFront's code for one that is not there.
    pub missing: &'static str,
    /// What prints one: `get-cache-policy`
    pub command: &'static str,
    pub id: fn(&R) -> &Field<String>,
    pub name: fn(&R) -> &Field<String>,
    pub managed: fn(&str) -> Option<Arc<T>>,
    pub managed_names: fn() -> Vec<&'static str>,
    pub build: fn(&mut Report, &Typed<R>) -> T,
}

/// Policies of one kind that behaviours may name.
#[derive(Debug)]
pub(super) struct Policies<R, T> {
    kind: Kind<R, T>,
    own: BTreeMap<String, Arc<T>>,
}

impl<R, T> Kind<R, T> {
    /// Each under its own name and, if it has one, its id; one without a name is built for its findings only.
    pub(super) fn read(self, report: &mut Report, list: &List<R>) -> Policies<R, T> {
        let names = list.items().iter().filter_map(|typed| (self.name)(&typed.value).given());
        report.unique(names.clone(), &format!("the {} name", self.what));
        for name in names.filter(|name| (self.managed)(&name.value).is_some()) {
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
        Policies { kind: self, own }
    }
}

impl<R, T> Policies<R, T> {
    /// The policy that a behaviour names, of the configuration or of CloudFront. `None`: none, or an unknown one, which is
    /// reported.
    pub(super) fn find(&self, report: &mut Report, field: &Field<String>) -> Option<Arc<T>> {
        let Kind { what, missing, command, managed, managed_names, .. } = &self.kind;
        let typed = field.given()?;
        let found = self.own.get(&typed.value).cloned().or_else(|| managed(&typed.value));
        if found.is_none() {
            let message = format!("{missing}: there is no {what} {:?}", typed.value);
            let own = self.own.keys().map(String::as_str).filter(|name| !name.is_empty());
            report.unknown_policy(typed, message, own.chain(managed_names()), command);
        }
        found
    }
}
