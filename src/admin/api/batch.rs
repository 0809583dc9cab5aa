//! `InvalidationBatch` as it is sent (behaviour §12.14).

use http::StatusCode;

use super::error::Refusal;
use super::xml::{Element, Limits, Writer};

/// Paths of one batch, and of all that are in progress: CloudFront's quota (behaviour §12.13).
pub(super) const MOST_PATHS: usize = 3_000;
/// Characters; CloudFront names no limit.
const LONGEST_REFERENCE: usize = 1_024;
/// The batch's own elements beside its paths. Beyond it a batch has something in it that it should not have.
const LIMITS: Limits = Limits { depth: 5, elements: 10 * MOST_PATHS };

/// What is to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub paths: Vec<String>,
    /// What tells a repeated request from another one.
    pub reference: String,
}

impl Batch {
    /// # Errors
    /// What is wrong first.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        if body.trim_ascii().is_empty() {
            let message = "This operation requires a body. Ensure that the body is present and the Content-Type \
                           header is set.";
            return Err(Refusal::bad("MissingBody", message));
        }
        let root = Element::read(body, LIMITS)
            .map_err(|why| malformed(format!("The XML document you provided cannot be read: {why}.")))?;
        if root.name != "InvalidationBatch" {
            return Err(unexpected(&root.name));
        }
        only(&root, &["Paths", "CallerReference"])?;
        let paths = required(&root, "Paths", "paths")?;
        only(paths, &["Quantity", "Items"])?;
        let quantity = required(paths, "Quantity", "paths.quantity")?;
        let quantity: usize = (quantity.text.trim().parse())
            .map_err(|_| malformed("paths.quantity is not a whole number.".to_owned()))?;
        let reference = required(&root, "CallerReference", "callerReference")?;
        let items = paths.child("Items").map_or(&[][..], |items| &items.children);
        if let Some(other) = items.iter().find(|item| item.name != "Path" || !item.children.is_empty()) {
            return Err(unexpected(&other.name));
        }
        if quantity != items.len() {
            let message = "The value of Quantity and the number of Items do not match.";
            return Err(Refusal::bad("InconsistentQuantities", message));
        }
        if items.is_empty() {
            return Err(Refusal::bad("InvalidArgument", "Your request contains no paths to invalidate."));
        }
        if items.len() > MOST_PATHS {
            return Err(too_large(&format!("{} paths; at most {MOST_PATHS}", items.len())));
        }
        if !(1..=LONGEST_REFERENCE).contains(&reference.text.chars().count()) {
            let message = format!("CallerReference must have 1 to {LONGEST_REFERENCE} characters.");
            return Err(Refusal::bad("InvalidArgument", message));
        }
        let paths = items.iter().map(|item| item.text.clone()).collect();
        Ok(Self { paths, reference: reference.text.clone() })
    }

    /// In any order.
    pub(super) fn has_the_paths_of(&self, other: &Self) -> bool {
        let sorted = |batch: &Self| {
            let mut paths = batch.paths.clone();
            paths.sort_unstable();
            paths
        };
        self.paths == other.paths || sorted(self) == sorted(other)
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.element("InvalidationBatch", |writer| {
            writer.element("Paths", |writer| {
                writer.text("Quantity", &self.paths.len().to_string());
                writer
                    .element("Items", |writer| self.paths.iter().for_each(|path| writer.text("Path", path)));
            });
            writer.text("CallerReference", &self.reference);
        });
    }

    /// Bytes of memory.
    pub(super) fn weight(&self) -> usize {
        self.reference.len() + self.paths.iter().map(|path| path.len() + size_of::<String>()).sum::<usize>()
    }
}

pub(in crate::admin) fn too_large(what: &str) -> Refusal {
    let message = format!("Your request contains too much: {what}.");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "BatchTooLarge", message)
}

fn malformed(message: String) -> Refusal {
    Refusal::bad("MalformedXML", message)
}

/// CloudFront's own refuses what it does not know, too (behaviour §1.6).
fn unexpected(name: &str) -> Refusal {
    let name: String = name.chars().take(64).collect();
    Refusal::bad("MalformedInput", format!("Unexpected element {name:?}."))
}

fn only(element: &Element, names: &[&str]) -> Result<(), Refusal> {
    for (index, child) in element.children.iter().enumerate() {
        let earlier = &element.children[..index];
        if !names.contains(&child.name.as_str()) || earlier.iter().any(|other| other.name == child.name) {
            return Err(unexpected(&child.name));
        }
    }
    Ok(())
}

fn required<'e>(element: &'e Element, name: &str, path: &str) -> Result<&'e Element, Refusal> {
    element.child(name).ok_or_else(|| {
        malformed(format!(
            "1 validation error detected: Value null at 'invalidationBatch.{path}' failed to satisfy constraint: \
             Member must not be null"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(quantity: &str, items: &str, rest: &str) -> String {
        format!(
            "<InvalidationBatch xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\"><Paths>{quantity}\
             <Items>{items}</Items></Paths>{rest}</InvalidationBatch>"
        )
    }

    #[test]
    fn what_is_read_and_what_is_refused() {
        const REF: &str = "<CallerReference>r</CallerReference>";
        let two = "<Quantity>2</Quantity>";
        let good = Batch::read(batch(two, "<Path>/a&amp;b</Path><Path>/c*</Path>", REF).as_bytes()).unwrap();
        assert_eq!(good, Batch { paths: vec!["/a&b".into(), "/c*".into()], reference: "r".into() });
        let path = "<Path>/a</Path>";
        let many = |n: usize| batch(&format!("<Quantity>{n}</Quantity>"), &path.repeat(n), REF);
        assert_eq!(Batch::read(many(MOST_PATHS).as_bytes()).unwrap().paths.len(), MOST_PATHS);
        let one = "<Quantity>1</Quantity>";
        let long = format!("<CallerReference>{}</CallerReference>", "x".repeat(1025));
        let table = [
            (String::new(), 400, "MissingBody"),
            (" \n".into(), 400, "MissingBody"),
            ("{}".into(), 400, "MalformedXML"),
            ("<InvalidationBatch>".into(), 400, "MalformedXML"),
            ("<!DOCTYPE x><InvalidationBatch/>".into(), 400, "MalformedXML"),
            ("<Other/>".into(), 400, "MalformedInput"),
            ("<InvalidationBatch/>".into(), 400, "MalformedXML"),
            (batch(one, path, ""), 400, "MalformedXML"),
            (batch("", path, REF), 400, "MalformedXML"),
            (batch("<Quantity>one</Quantity>", path, REF), 400, "MalformedXML"),
            (batch("<Quantity>-1</Quantity>", path, REF), 400, "MalformedXML"),
            (batch(one, "<Path>/a<b/></Path>", REF), 400, "MalformedInput"),
            (batch(one, "<File>/a</File>", REF), 400, "MalformedInput"),
            (batch(one, path, "<CallerReference>r</CallerReference><Other/>"), 400, "MalformedInput"),
            (batch(one, path, &format!("{REF}{REF}")), 400, "MalformedInput"),
            (batch(two, path, REF), 400, "InconsistentQuantities"),
            (batch("<Quantity>0</Quantity>", "", REF), 400, "InvalidArgument"),
            (batch(one, path, "<CallerReference/>"), 400, "InvalidArgument"),
            (batch(one, path, &long), 400, "InvalidArgument"),
            (many(MOST_PATHS + 1), 413, "BatchTooLarge"),
            (many(10 * MOST_PATHS), 400, "MalformedXML"),
        ];
        for (body, status, code) in table {
            let refusal = Batch::read(body.as_bytes()).unwrap_err();
            assert_eq!((refusal.status.as_u16(), refusal.code), (status, code), "{body:.200}");
        }
    }

    #[test]
    fn the_order_of_paths_does_not_matter() {
        let of = |paths: &[&str]| Batch {
            paths: paths.iter().map(ToString::to_string).collect(),
            reference: String::new(),
        };
        assert!(of(&["/a", "/b"]).has_the_paths_of(&of(&["/b", "/a"])));
        assert!(!of(&["/a", "/a"]).has_the_paths_of(&of(&["/a", "/b"])));
        assert!(!of(&["/a"]).has_the_paths_of(&of(&["/a", "/a"])));
    }
}
