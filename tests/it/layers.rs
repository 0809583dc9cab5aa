//! Who may know whom (ARCHITECTURE.md), read off the `use` lines.

use std::path::{Path, PathBuf};

/// Modules, and those of ours that they may not name outside their tests.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "semantics",
        &["config", "route", "policy", "cache", "origin", "pipeline", "edge", "listen", "observe", "admin"],
    ),
    ("config", &["cache", "origin", "pipeline", "edge", "listen", "observe", "admin", "route"]),
    ("route", &["cache", "origin", "pipeline", "edge", "listen", "observe", "admin"]),
    ("policy", &["pipeline", "edge", "listen", "observe", "admin"]),
    ("cache", &["pipeline", "edge", "listen", "observe", "admin", "route"]),
    (
        "geo",
        &["config", "cache", "policy", "route", "origin", "pipeline", "edge", "listen", "observe", "admin"],
    ),
    ("origin", &["cache", "policy", "route", "pipeline", "edge", "listen", "admin"]),
    (
        "encoder",
        &["config", "cache", "policy", "route", "origin", "pipeline", "edge", "listen", "observe", "admin"],
    ),
    ("observe", &["cache", "policy", "route", "origin", "pipeline", "edge", "listen", "admin"]),
    ("pipeline", &["listen", "admin", "server", "cli"]),
    ("delivery", &["cache", "policy", "route", "pipeline", "edge", "listen", "admin"]),
    ("admin", &["cache", "policy", "route", "origin", "pipeline", "edge", "listen"]),
    (
        "client",
        &[
            "config", "cache", "policy", "route", "origin", "pipeline", "edge", "listen", "observe", "admin",
            "compare",
        ],
    ),
    (
        "compare",
        &["config", "cache", "policy", "route", "origin", "pipeline", "edge", "listen", "observe", "admin"],
    ),
];

/// The serving path never leans on what is only there to try it out, nor on the command line.
const FORBIDDEN_TO_ALL: &[&str] = &["demo", "cli"];

/// Pure modules decide with what they are given: no runtime, no sockets, no clock.
const PURE: &[&str] = &["semantics", "route", "policy", "config", "compare"];
const IMPURE: &[&str] =
    &["tokio::", "clock::now", "SystemTime::now", "Instant::now", "std::net::Tcp", "hyper::"];

#[test]
fn modules_know_only_whom_they_may() {
    let mut found = Vec::new();
    for (module, forbidden) in FORBIDDEN {
        for (file, text) in sources(module) {
            for other in forbidden.iter().chain(FORBIDDEN_TO_ALL) {
                if names(&text, other) {
                    found.push(format!("{} knows {other}", file.display()));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn decisions_are_pure() {
    let mut found = Vec::new();
    for module in PURE {
        for (file, text) in sources(module) {
            found.extend(
                IMPURE
                    .iter()
                    .filter(|impure| text.contains(**impure))
                    .map(|impure| format!("{} says {impure}", file.display())),
            );
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

fn names(text: &str, module: &str) -> bool {
    let path = format!("crate::{module}");
    text.match_indices(&path).any(|(at, _)| {
        let after = text[at + path.len()..].chars().next();
        !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// The files of a module without their tests.
fn sources(module: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let single = root.join(format!("{module}.rs"));
    if single.exists() {
        files.push(single);
    }
    collect(&root.join(module), &mut files);
    assert!(!files.is_empty(), "no module {module}");
    files
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            (file, code)
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            collect(&path, files);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            files.push(path);
        }
    }
}
