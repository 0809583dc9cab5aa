//! docs/cloudfront-parity.md has a row for every section of the behaviour book, and names only tests that exist.

use std::collections::BTreeSet;
use std::path::Path;

const DOCUMENT: &str = include_str!("../../docs/cloudfront-parity.md");

/// The sections that say what a distribution does. 13 to 15 collect what others say, and §12.15 derives an order.
const SECTIONS: &[(u32, u32)] = &[
    (1, 11), // section 1 has subsections 1 to 11
    (2, 7),
    (3, 6),
    (4, 9),
    (5, 7),
    (6, 0), // has none
    (7, 3),
    (8, 8),
    (9, 8),
    (10, 6),
    (11, 8),
    (12, 15),
];

const STATES: [&str; 4] = ["done", "differs", "not yet", "not applicable"];

struct Row<'a> {
    section: &'a str,
    state: &'a str,
    words: &'a str,
    tests: Vec<&'a str>,
}

fn rows() -> Vec<Row<'static>> {
    let cells = |line: &'static str| -> Option<Vec<&'static str>> {
        let cells: Vec<_> =
            line.strip_prefix("| §")?.strip_suffix(" |")?.split(" | ").map(str::trim).collect();
        (cells.len() == 4).then_some(cells)
    };
    DOCUMENT
        .lines()
        .filter_map(cells)
        .map(|cells| Row {
            section: cells[0],
            state: cells[1],
            words: cells[2],
            tests: cells[3].split('`').skip(1).step_by(2).collect(),
        })
        .collect()
}

#[test]
fn every_section_of_the_book_has_one_row_in_its_order() {
    let expected: Vec<String> = SECTIONS
        .iter()
        .flat_map(|(section, last)| match last {
            0 => vec![section.to_string()],
            last => (1..=*last).map(|sub| format!("{section}.{sub}")).collect(),
        })
        .collect();
    let found: Vec<_> = rows().iter().map(|row| row.section).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_row_says_its_state_and_proves_it() {
    let known = tests_of_this_repository();
    let mut faults = Vec::new();
    for Row { section, state, words, tests } in rows() {
        if !STATES.contains(&state) {
            faults.push(format!("§{section}: {state:?} is no state"));
        }
        if words.len() < 10 {
            faults.push(format!("§{section}: says nothing"));
        }
        if tests.is_empty() && matches!(state, "done" | "differs") {
            faults.push(format!("§{section}: {state}, and no test is named"));
        }
        for test in tests.iter().filter(|test| !known.contains(**test)) {
            faults.push(format!("§{section}: there is no test {test}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// `module::name` of every test: the file's path without `src`, `tests/it`, `mod` and `tests`.
fn tests_of_this_repository() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    for folder in ["src", "tests/it"] {
        let base = root.join(folder);
        let mut folders = vec![base.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let relative = path.strip_prefix(&base).unwrap().with_extension("");
                    let parts = relative.iter().map(|part| part.to_str().unwrap());
                    let module: Vec<_> = parts.filter(|part| !matches!(*part, "mod" | "tests")).collect();
                    let text = std::fs::read_to_string(&path).unwrap();
                    found.extend(names(&text).map(|name| format!("{}::{name}", module.join("::"))));
                }
            }
        }
    }
    found
}

/// The functions that stand under a test attribute.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let mut marked = false;
    text.lines().filter_map(move |line| {
        let line = line.trim_start();
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        }
        let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?.split('(').next()?;
        std::mem::take(&mut marked).then_some(name)
    })
}
