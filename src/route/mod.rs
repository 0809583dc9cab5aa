//! Host → site, path → behaviour. Pure.

pub mod pattern;

use std::collections::HashMap;

pub use pattern::{InvalidPattern, Pattern};

/// Sites by host name (behaviour §1.2).
#[derive(Debug, Clone)]
pub struct Hosts<T> {
    exact: HashMap<String, T>,
    /// By what follows `*.`.
    wildcard: HashMap<String, T>,
    any: Option<T>,
}

impl<T> Hosts<T> {
    #[must_use]
    pub fn new() -> Self {
        Self { exact: HashMap::new(), wildcard: HashMap::new(), any: None }
    }

    /// `alias` is a host name, or one whose leftmost label is `*`. Whoever is told last has it: that no two
    /// distributions share an alias is for the configuration to see to.
    pub fn insert(&mut self, alias: &str, site: T) {
        let alias = alias.to_ascii_lowercase();
        match alias.strip_prefix("*.") {
            Some(suffix) => self.wildcard.insert(suffix.to_owned(), site),
            None => self.exact.insert(alias, site),
        };
    }

    /// Who answers for every host that nobody else does.
    pub fn set_any(&mut self, site: T) {
        self.any = Some(site);
    }

    /// `host` is a name as [`crate::semantics::host::parse`] gives it: lower-case, without a port, and short. Exact
    /// names come first, then the longest wildcard: `*.example.com` covers any depth, but not `example.com` itself.
    #[must_use]
    pub fn find(&self, host: &str) -> Option<&T> {
        self.exact.get(host).or_else(|| self.find_wildcard(host)).or(self.any.as_ref())
    }

    fn find_wildcard(&self, host: &str) -> Option<&T> {
        if self.wildcard.is_empty() {
            return None;
        }
        // From the left, so the longest suffix is met first. A leading dot has no label that `*` could stand for.
        host.match_indices('.')
            .filter(|&(dot, _)| dot > 0)
            .find_map(|(dot, _)| self.wildcard.get(&host[dot + 1..]))
    }
}

impl<T> Default for Hosts<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Behaviours by path, in the order in which they are tried (behaviour §1.3).
#[derive(Debug, Clone)]
pub struct Behaviors<T> {
    ordered: Vec<(Pattern, T)>,
    default: T,
}

impl<T> Behaviors<T> {
    #[must_use]
    pub fn new(ordered: Vec<(Pattern, T)>, default: T) -> Self {
        Self { ordered, default }
    }

    /// The first whose pattern matches, else the default. `normalized_path` is decoded and comes from
    /// [`crate::semantics::path::normalize`].
    #[must_use]
    pub fn find(&self, normalized_path: &str) -> &T {
        let matching = self.ordered.iter().find(|(pattern, _)| pattern.matches(normalized_path));
        matching.map_or(&self.default, |(_, behavior)| behavior)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::path;

    fn hosts(aliases: &[&'static str]) -> Hosts<&'static str> {
        let mut hosts = Hosts::new();
        for alias in aliases {
            hosts.insert(alias, *alias);
        }
        hosts
    }

    #[test]
    fn the_more_specific_name_wins() {
        // behaviour §1.2
        let aliases = ["*.example.com", "*.b.example.com", "www.example.com", "*.com", "Upper.Example.org"];
        let mut hosts = hosts(&aliases);
        let table = [
            ("www.example.com", Some("www.example.com")),
            ("a.example.com", Some("*.example.com")),
            ("x.y.z.example.com", Some("*.example.com")),
            ("x.www.example.com", Some("*.example.com")),
            ("a.b.example.com", Some("*.b.example.com")),
            ("b.example.com", Some("*.example.com")),
            ("example.com", Some("*.com")),
            ("com", None),
            ("notexample.com", Some("*.com")),
            (".com", None),
            ("upper.example.org", Some("Upper.Example.org")),
            ("example.net", None),
            ("*.example.net", None),
            ("[::1]", None),
            ("", None),
        ];
        for (host, expected) in table {
            assert_eq!(hosts.find(host).copied(), expected, "{host}");
        }
        hosts.set_any("any");
        for (host, expected) in table {
            assert_eq!(hosts.find(host).copied(), Some(expected.unwrap_or("any")), "{host}");
        }
    }

    #[test]
    fn a_wildcard_does_not_cover_its_own_domain() {
        // behaviour §1.2
        assert_eq!(hosts(&["*.example.com"]).find("example.com"), None);
    }

    #[test]
    fn the_first_matching_behavior_wins() {
        // behaviour §1.3, with its example
        let parse = |text| Pattern::parse(text).unwrap();
        let behaviors = Behaviors::new(
            vec![(parse("/a/b*"), "first"), (parse("/a*"), "second"), (parse("a/b/c"), "never")],
            "default",
        );
        let table = [
            ("/a/b", "first"),
            ("/a/b/..", "second"),
            ("/a/b/c", "first"),
            ("//a//b", "first"),
            ("/x/../a/b", "first"),
            ("/b", "default"),
            ("/a/../b", "default"),
            ("/A", "default"),
            ("/", "default"),
        ];
        for (raw, expected) in table {
            assert_eq!(*behaviors.find(&path::normalize(raw)), expected, "{raw}");
        }
    }
}
