//! A writer of tiny MaxMind databases: <https://maxmind.github.io/MaxMind-DB/>, IPv6 trees of 32-bit records.

use std::net::{IpAddr, Ipv6Addr};

use serde_json::{Value, json};

#[derive(Clone, Copy)]
enum Record {
    Empty,
    Node(usize),
    /// Offset in the data section.
    Data(usize),
}

/// The database that says `rows` of networks, each an address and the length of its prefix; none may hold another.
pub fn database(rows: &[(&str, u32, Value)]) -> Vec<u8> {
    let mut tree = vec![[Record::Empty; 2]];
    let mut data = Vec::new();
    for (address, prefix, row) in rows {
        let (bits, length) = match address.parse().unwrap() {
            // Where IPv4 is: ::/96
            IpAddr::V4(address) => (u128::from(u32::from(address)), prefix + 96),
            IpAddr::V6(address) => (u128::from(address), *prefix),
        };
        insert(&mut tree, bits, length, data.len());
        encode(&mut data, row);
    }
    let mut file = Vec::new();
    for record in tree.iter().flatten() {
        let value = match record {
            Record::Empty => tree.len(),
            Record::Node(node) => *node,
            Record::Data(offset) => tree.len() + 16 + offset,
        };
        file.extend(u32::try_from(value).unwrap().to_be_bytes());
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = json!({
        "node_count": tree.len(), "record_size": 32, "ip_version": 6, "database_type": "Test-City",
        "languages": ["en"], "binary_format_major_version": 2, "binary_format_minor_version": 0,
        "build_epoch": 0, "description": { "en": "made for a test" },
    });
    encode(&mut file, &metadata);
    file
}

fn insert(tree: &mut Vec<[Record; 2]>, bits: u128, length: u32, offset: usize) {
    let side = |depth: u32| usize::from(bits >> (127 - depth) & 1 == 1);
    let mut node = 0;
    for depth in 0..length - 1 {
        node = match tree[node][side(depth)] {
            Record::Node(next) => next,
            Record::Empty => {
                tree.push([Record::Empty; 2]);
                tree[node][side(depth)] = Record::Node(tree.len() - 1);
                tree.len() - 1
            }
            Record::Data(_) => panic!("{} is within another network", Ipv6Addr::from(bits)),
        };
    }
    tree[node][side(length - 1)] = Record::Data(offset);
}

/// Whole numbers become uint32 or what MaxMind has under that name, all others doubles.
fn encode(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => {
            control(out, 2, text.len());
            out.extend(text.as_bytes());
        }
        Value::Number(number) => match number.as_u64() {
            Some(whole) => {
                control(out, 6, 4);
                out.extend(u32::try_from(whole).unwrap().to_be_bytes());
            }
            None => {
                control(out, 3, 8);
                out.extend(number.as_f64().unwrap().to_be_bytes());
            }
        },
        Value::Object(map) => {
            control(out, 7, map.len());
            for (key, value) in map {
                encode(out, &Value::String(key.clone()));
                match (key.as_str(), value.as_u64()) {
                    ("build_epoch", Some(whole)) => {
                        control(out, 9, 8);
                        out.extend(whole.to_be_bytes());
                    }
                    ("metro_code" | "record_size" | "ip_version", Some(whole)) => short(out, whole),
                    (key, Some(whole)) if key.starts_with("binary_format_") => short(out, whole),
                    _ => encode(out, value),
                }
            }
        }
        Value::Array(items) => {
            control(out, 11, items.len());
            items.iter().for_each(|item| encode(out, item));
        }
        Value::Null | Value::Bool(_) => panic!("not in a database: {value}"),
    }
}

fn short(out: &mut Vec<u8>, whole: u64) {
    control(out, 5, 2);
    out.extend(u16::try_from(whole).unwrap().to_be_bytes());
}

/// Kind and size, 284 at most.
fn control(out: &mut Vec<u8>, kind: u8, size: usize) {
    let (size, more) = if size < 29 { (size, None) } else { (29, Some(size - 29)) };
    let size = u8::try_from(size).unwrap();
    if kind <= 7 {
        out.push(kind << 5 | size);
    } else {
        out.extend([size, kind - 7]);
    }
    out.extend(more.map(|more| u8::try_from(more).unwrap()));
}
