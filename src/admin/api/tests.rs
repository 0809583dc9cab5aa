use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::xml::{Element, Limits};
use super::*;
use crate::config::Document;

/// Two distributions; it counts, and refuses what does not begin with a slash.
#[derive(Default)]
struct Counting {
    made: AtomicU64,
    swept: AtomicU64,
}

impl Control for Arc<Counting> {
    fn distributions(&self) -> Arc<[Described]> {
        let described = |id: &str| Described {
            id: id.into(),
            domain_name: format!("{id}.example").into(),
            document: Document::new(json!({ "Comment": id })),
            since: Timestamp::from_secs(0),
        };
        ["E1", "E2", "E3"].map(described).into()
    }

    fn invalidate(&self, _: &str, paths: &[String]) -> Result<u64, String> {
        match paths.iter().find(|path| !path.starts_with('/')) {
            Some(path) => Err(format!("{path:?} must begin with /")),
            None => Ok(self.made.fetch_add(1, Ordering::Relaxed) + 1),
        }
    }

    fn swept_up_to(&self) -> u64 {
        self.swept.load(Ordering::Relaxed)
    }
}

struct Stand {
    api: Api,
    edge: Arc<Counting>,
}

impl Stand {
    fn new() -> Self {
        let edge = Arc::<Counting>::default();
        Self { api: Api::new(Arc::clone(&edge)), edge }
    }

    fn ask(&self, method: Method, target: &str, body: &str) -> Result<(Answer, Element), Refusal> {
        let path = format!("{PREFIX}{target}");
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let answer = self.api.answer(&Call {
            method: &method,
            path,
            query,
            host: "localhost:9090",
            body: body.as_bytes(),
            caller: &Caller::Local,
            now: Timestamp::from_secs(1_767_225_601),
        })?;
        let element = Element::read(answer.body.as_bytes(), Limits { depth: 20, elements: 10_000 }).unwrap();
        Ok((answer, element))
    }

    fn get(&self, target: &str) -> Result<(Answer, Element), Refusal> {
        self.ask(Method::GET, target, "")
    }

    fn create(
        &self,
        distribution: &str,
        reference: &str,
        paths: &[&str],
    ) -> Result<(Answer, Element), Refusal> {
        let items: String = paths.iter().map(|path| format!("<Path>{path}</Path>")).collect();
        let body = format!(
            "<InvalidationBatch><Paths><Quantity>{}</Quantity><Items>{items}</Items></Paths>\
             <CallerReference>{reference}</CallerReference></InvalidationBatch>",
            paths.len()
        );
        self.ask(Method::POST, &format!("distribution/{distribution}/invalidation"), &body)
    }
}

/// behaviour §12.14
#[test]
fn an_invalidation_is_created_and_completed() {
    let stand = Stand::new();
    let (answer, told) = stand.create("E1", "deploy-1", &["/index.html", "/img/*"]).unwrap();
    let id = told.text_of(&["Id"]).unwrap();
    assert!(id.len() == 14 && id.starts_with('I'), "{id}");
    assert!(id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()), "{id}");
    assert_eq!(answer.status, 201);
    let location = format!("http://localhost:9090/2020-05-31/distribution/E1/invalidation/{id}");
    assert_eq!(answer.location.as_deref(), Some(&*location));
    let body = format!(
        "<?xml version=\"1.0\"?>\n<Invalidation xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\"><Id>{id}</Id>\
         <Status>InProgress</Status><CreateTime>2026-01-01T00:00:01.000Z</CreateTime><InvalidationBatch><Paths>\
         <Quantity>2</Quantity><Items><Path>/index.html</Path><Path>/img/*</Path></Items></Paths>\
         <CallerReference>deploy-1</CallerReference></InvalidationBatch></Invalidation>"
    );
    assert_eq!(answer.body, body);

    let target = format!("distribution/E1/invalidation/{id}");
    assert_eq!(stand.get(&target).unwrap().0, Answer::ok(body.clone()));
    let in_progress = |stand: &Stand| {
        let (_, told) = stand.get("distribution/E1").unwrap();
        told.text_of(&["InProgressInvalidationBatches"]).unwrap().to_owned()
    };
    assert_eq!(in_progress(&stand), "1");
    stand.edge.swept.store(1, Ordering::Relaxed);
    let (answer, _) = stand.get(&target).unwrap();
    assert_eq!(answer.body, body.replace("InProgress", "Completed"));
    assert_eq!(in_progress(&stand), "0");
}

#[test]
fn a_reference_that_comes_again_invalidates_nothing_again() {
    let stand = Stand::new();
    let (first, _) = stand.create("E1", "r", &["/a", "/b"]).unwrap();
    let (again, _) = stand.create("E1", "r", &["/b", "/a"]).unwrap();
    assert_eq!(first, again);
    assert_eq!(stand.edge.made.load(Ordering::Relaxed), 1);
    let refusal = stand.create("E1", "r", &["/c"]).unwrap_err();
    assert_eq!((refusal.status.as_u16(), refusal.code), (409, "InvalidationBatchAlreadyExists"));
    stand.create("E2", "r", &["/c"]).unwrap();
    assert_eq!(stand.edge.made.load(Ordering::Relaxed), 2);
}

#[test]
fn what_is_wrong_has_cloudfronts_code() {
    let stand = Stand::new();
    let code = |answer: Result<(Answer, Element), Refusal>| {
        let refusal = answer.unwrap_err();
        (refusal.status.as_u16(), refusal.code)
    };
    assert_eq!(code(stand.get("distribution/E9")), (404, "NoSuchDistribution"));
    assert_eq!(code(stand.get("distribution/E9/config")), (404, "NoSuchDistribution"));
    assert_eq!(code(stand.get("distribution/E9/invalidation")), (404, "NoSuchDistribution"));
    assert_eq!(code(stand.get("distribution/E9/invalidation/I1")), (404, "NoSuchDistribution"));
    assert_eq!(code(stand.get("distribution/E1/invalidation/I1")), (404, "NoSuchInvalidation"));
    assert_eq!(code(stand.create("E9", "r", &["/a"])), (404, "NoSuchDistribution"));
    assert_eq!(code(stand.ask(Method::POST, "distribution/E1/invalidation", "")), (400, "MissingBody"));
    let refusal = stand.create("E1", "r", &["/a", "b"]).unwrap_err();
    assert_eq!((refusal.status.as_u16(), refusal.code), (400, "InvalidArgument"));
    assert!(refusal.message.ends_with("\"b\" must begin with /."), "{}", refusal.message);
    assert!(stand.create("E1", "r", &["/a"]).is_ok(), "a refused one takes no reference");
    for query in ["MaxItems=0", "MaxItems=-1", "MaxItems=x", "Marker=a%20b", "Marker=%2F"] {
        for list in ["distribution", "distribution/E1/invalidation"] {
            assert_eq!(
                code(stand.get(&format!("{list}?{query}"))),
                (400, "InvalidArgument"),
                "{list} {query}"
            );
        }
    }
    assert_eq!(code(stand.get("distribution?Marker=E9")), (400, "InvalidArgument"));
}

/// As the SDKs' paginators ask.
fn pages(stand: &Stand, target: &str, most: usize, item: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut marker = String::new();
    loop {
        let (_, told) = stand.get(&format!("{target}?Marker={marker}&MaxItems={most}")).unwrap();
        assert_eq!(told.text_of(&["Marker"]), Some(marker.as_str()));
        assert_eq!(told.text_of(&["MaxItems"]), Some(most.min(100).to_string().as_str()));
        let items = told.child("Items").map_or(&[][..], |items| &items.children);
        assert!(items.iter().all(|element| element.name == item));
        let ids: Vec<_> = items.iter().map(|item| item.text_of(&["Id"]).unwrap().to_owned()).collect();
        assert_eq!(told.text_of(&["Quantity"]), Some(ids.len().to_string().as_str()));
        pages.push(ids);
        match told.text_of(&["NextMarker"]) {
            Some(next) => marker = next.to_owned(),
            None => {
                assert_eq!(told.text_of(&["IsTruncated"]), Some("false"));
                return pages;
            }
        }
        assert_eq!(told.text_of(&["IsTruncated"]), Some("true"));
    }
}

#[test]
fn lists_come_in_pages() {
    let stand = Stand::new();
    assert_eq!(pages(&stand, "distribution/E1/invalidation", 10, "InvalidationSummary"), [[""; 0]]);
    let mut made: Vec<_> = (0..5)
        .map(|n| {
            let (_, told) = stand.create("E1", &n.to_string(), &["/a"]).unwrap();
            told.text_of(&["Id"]).unwrap().to_owned()
        })
        .collect();
    made.reverse();
    for most in [1, 2, 3, 5, 6, 1000] {
        let found = pages(&stand, "distribution/E1/invalidation", most, "InvalidationSummary");
        assert_eq!(found.concat(), made, "{most}");
        assert_eq!(found.len(), 5_usize.div_ceil(most), "{most}");
    }
    for (most, expected) in [(1, 3), (2, 2), (3, 1), (100, 1)] {
        let found = pages(&stand, "distribution", most, "DistributionSummary");
        assert_eq!((found.len(), found.concat()), (expected, ["E1", "E2", "E3"].map(String::from).to_vec()));
    }
}

#[test]
fn a_distribution_is_told_with_its_etag() {
    let stand = Stand::new();
    let (config, told) = stand.get("distribution/E2/config").unwrap();
    assert_eq!((told.name.as_str(), told.text_of(&["Comment"])), ("DistributionConfig", Some("E2")));
    let (whole, told) = stand.get("distribution/E2").unwrap();
    assert_eq!(told.text_of(&["DistributionConfig", "Comment"]), Some("E2"));
    assert_eq!(told.text_of(&["Status"]), Some("Deployed"));
    assert_eq!(told.text_of(&["DomainName"]), Some("E2.example"));
    assert!(config.etag.is_some());
    assert_eq!(config.etag, whole.etag);
    assert_ne!(config.etag, stand.get("distribution/E1").unwrap().0.etag);
}
