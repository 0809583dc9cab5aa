use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderMap, StatusCode};
use proptest::prelude::*;

use super::*;
use crate::cache::object::{Head, Object};
use crate::clock::Timestamp;
use crate::origin::s3_error::Cause;
use crate::policy::freshness::Lifetime;

const SLICE: u64 = 100;
/// In the place of a number of bytes: 503.
const REFUSES: u64 = u64::MAX;

/// An origin of one object, which may change, and whose answers may break off.
#[derive(Debug, Default)]
struct World {
    version: AtomicUsize,
    asks: Mutex<Vec<(u64, u64)>>,
    /// How many bytes the next answers give before they are lost.
    faults: Mutex<VecDeque<u64>>,
}

#[derive(Debug)]
struct At {
    world: Arc<World>,
    version: usize,
    length: u64,
}

/// What byte `position` of a version is.
fn byte(version: usize, position: u64) -> u8 {
    (position.wrapping_mul(31) ^ (position >> 8) ^ (version as u64 * 101)) as u8
}

fn bytes(version: usize, first: u64, last: u64) -> Vec<u8> {
    (first..=last).map(|position| byte(version, position)).collect()
}

fn body(content: &[u8], given: usize) -> Inflow {
    let lost = given < content.len();
    let mut frames: Vec<_> = content[..given.min(content.len())]
        .chunks(37)
        .map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk))))
        .collect();
    if lost {
        frames.push(Err(OriginError::BodyCutShort));
    }
    Frames { frames: frames.into(), rested: false }.boxed_unsync()
}

/// Each frame after a turn of the runtime, so that others get theirs.
struct Frames {
    frames: VecDeque<Result<Frame<Bytes>, OriginError>>,
    rested: bool,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        self.rested = !self.rested;
        if self.rested {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.frames.pop_front())
    }
}

impl Source for At {
    fn range(&self, first: u64, last: u64) -> Asked {
        self.world.asks.lock().unwrap().push((first, last));
        let given = self.world.faults.lock().unwrap().pop_front();
        if given == Some(REFUSES) {
            return Box::pin(async { Err(refused(503)) });
        }
        let current = self.world.version.load(Ordering::Relaxed);
        let (version, length) = (self.version, self.length);
        Box::pin(async move {
            tokio::task::yield_now().await;
            assert!(first <= last && last < length, "{first}-{last} of {length}");
            if current != version {
                return Err(gone());
            }
            let content = bytes(version, first, last);
            Ok(body(&content, given.map_or(content.len(), |given| given as usize)))
        })
    }
}

fn gone() -> OriginError {
    refused(412)
}

fn refused(status: u16) -> OriginError {
    OriginError::Refused { status, cause: Cause::Other, code: None, fields: Arc::default(), answer: None }
}

/// A cache in front of a [`World`], and the head of its present version under the key `a`.
struct Edge {
    world: Arc<World>,
    slices: Arc<Slices>,
    length: u64,
}

impl Edge {
    fn new(length: u64, memory: u64, budget: u64) -> Self {
        let memory = Arc::new(Memory::new(memory, |_| {}));
        let slices = Arc::new(Slices::new(memory, Budget::new(budget)));
        let edge = Self { world: Arc::default(), slices, length };
        edge.learn();
        edge
    }

    /// As a new answer of the origin would.
    fn learn(&self) -> Version {
        let number = self.world.version.load(Ordering::Relaxed);
        let layout = Layout { length: self.length, slice: SLICE, etag: format!("\"{number}\"").into() };
        let head = Head::new(StatusCode::OK, &HeaderMap::new());
        let object = Object::sliced(head, Lifetime::default(), Timestamp::default(), layout.clone());
        self.slices.memory.insert("a".into(), Entry::Object(Arc::new(object)), 0);
        let source = Arc::new(At { world: Arc::clone(&self.world), version: number, length: self.length });
        Version { slices: Arc::clone(&self.slices), key: "a".into(), layout, source }
    }

    fn asks(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut *self.world.asks.lock().unwrap())
    }

    fn knows_head(&self) -> bool {
        self.slices.memory.get("a").is_some()
    }
}

async fn all(mut reader: Reader) -> Result<Vec<u8>, OriginError> {
    let mut read = Vec::new();
    while let Some(frame) = reader.frame().await {
        read.extend_from_slice(&frame?.into_data().unwrap());
    }
    Ok(read)
}

async fn read(version: &Version, first: u64, last: u64) -> Result<Vec<u8>, OriginError> {
    all(version.clone().read(first, last, None).await?.0).await
}

#[tokio::test]
async fn a_range_near_the_end_asks_for_what_it_needs_and_is_kept() {
    let edge = Edge::new(10_050, 1 << 20, 1 << 20);
    let version = edge.learn();
    assert_eq!(read(&version, 9_990, 10_010).await.unwrap(), bytes(0, 9_990, 10_010));
    assert_eq!(edge.asks(), [(9_900, 9_999), (10_000, 10_049)], "both slices, neither more nor less");
    assert_eq!(read(&version, 10_000, 10_049).await.unwrap(), bytes(0, 10_000, 10_049));
    assert_eq!(edge.asks(), [], "from memory");
}

#[tokio::test]
async fn full_reads_and_ranges_share_the_same_slices() {
    let edge = Edge::new(450, 1 << 20, 1 << 20);
    let version = edge.learn();
    read(&version, 120, 130).await.unwrap();
    edge.asks();
    assert_eq!(read(&version, 0, 449).await.unwrap(), bytes(0, 0, 449));
    assert_eq!(edge.asks(), [(0, 99), (200, 299), (300, 399), (400, 449)], "all but the one that is there");
}

#[tokio::test]
async fn late_readers_join_a_slice_in_flight() {
    let edge = Edge::new(100, 1 << 20, 1 << 20);
    let version = edge.learn();
    let (early, was_there) = version.clone().read(0, 99, None).await.unwrap();
    assert!(!was_there);
    let (late, was_there) = version.clone().read(50, 60, None).await.unwrap();
    assert!(was_there, "it is on its way");
    assert_eq!(all(late).await.unwrap(), bytes(0, 50, 60));
    assert_eq!(all(early).await.unwrap(), bytes(0, 0, 99));
    assert_eq!(edge.asks().len(), 1);
    assert!(edge.slices.arriving().is_empty());
}

#[tokio::test]
async fn an_open_answer_is_read_on_from_slice_to_slice() {
    let edge = Edge::new(1_000, 1 << 20, 1 << 20);
    let version = edge.learn();
    let open = |first| Some(Open::new(first, body(&bytes(0, first, 999), 1_000)));
    let (reader, _) = version.clone().read(0, 999, open(0)).await.unwrap();
    assert_eq!(all(reader).await.unwrap(), bytes(0, 0, 999));
    assert_eq!(edge.asks(), [], "the one answer brought it all");
    assert_eq!(read(&version, 0, 999).await.unwrap(), bytes(0, 0, 999));
    assert_eq!(edge.asks(), [], "and all of it is kept");
}

#[tokio::test]
async fn a_lost_answer_is_resumed_where_it_broke_off() {
    let edge = Edge::new(300, 1 << 20, 1 << 20);
    let version = edge.learn();
    edge.world.faults.lock().unwrap().extend([40, 10]);
    assert_eq!(read(&version, 0, 99).await.unwrap(), bytes(0, 0, 99));
    assert_eq!(edge.asks(), [(0, 99), (40, 99), (50, 99)]);
    edge.world.faults.lock().unwrap().extend([1, 1, 1]);
    assert_eq!(read(&version, 100, 199).await, Err(OriginError::BodyCutShort), "not for ever");
    assert_eq!(edge.asks().len(), 3);
    assert_eq!(read(&version, 100, 199).await.unwrap(), bytes(0, 100, 199), "the next one may try again");
}

#[tokio::test(start_paused = true)]
async fn a_bad_moment_of_the_origins_does_not_end_a_read() {
    let edge = Edge::new(300, 1 << 20, 1 << 20);
    let version = edge.learn();
    edge.world.faults.lock().unwrap().extend([REFUSES, 40, REFUSES]);
    assert_eq!(read(&version, 0, 99).await, Err(refused(503)), "three tries are all");
    edge.world.faults.lock().unwrap().extend([REFUSES, 40]);
    assert_eq!(read(&version, 0, 99).await.unwrap(), bytes(0, 0, 99));
}

#[tokio::test]
async fn a_change_in_mid_read_ends_it_and_the_head_is_forgotten() {
    let edge = Edge::new(1_000, 1 << 20, 1 << 20);
    let version = edge.learn();
    let (mut reader, _) = version.clone().read(0, 999, None).await.unwrap();
    assert!(reader.frame().await.unwrap().is_ok());
    edge.world.version.store(1, Ordering::Relaxed);
    assert_eq!(all(reader).await, Err(gone()));
    assert!(!edge.knows_head());
    let version = edge.learn();
    assert_eq!(read(&version, 0, 999).await.unwrap(), bytes(1, 0, 999), "no old slice among the new");
}

#[tokio::test]
async fn the_head_of_a_newer_version_is_not_forgotten_for_an_older() {
    let edge = Edge::new(1_000, 1 << 20, 1 << 20);
    let old = edge.learn();
    edge.world.version.store(1, Ordering::Relaxed);
    edge.learn();
    assert_eq!(read(&old, 0, 10).await, Err(gone()));
    assert!(edge.knows_head());
}

/// An origin that calls everything by one name.
#[tokio::test]
async fn a_version_of_another_length_has_slices_of_its_own() {
    let mut edge = Edge::new(150, 1 << 20, 1 << 20);
    assert_eq!(read(&edge.learn(), 0, 149).await.unwrap(), bytes(0, 0, 149));
    edge.length = 350;
    let longer = edge.learn();
    assert_eq!(read(&longer, 100, 349).await.unwrap(), bytes(0, 100, 349));
    assert_eq!(read(&longer, 190, 199).await.unwrap(), bytes(0, 190, 199));
}

#[tokio::test]
async fn without_room_a_slice_is_read_and_not_kept() {
    let edge = Edge::new(500, 1 << 20, 50);
    let version = edge.learn();
    assert_eq!(read(&version, 0, 499).await.unwrap(), bytes(0, 0, 499));
    assert_eq!(edge.asks().len(), 5, "none is asked for ahead or twice");
    read(&version, 0, 99).await.unwrap();
    assert_eq!(edge.asks().len(), 1, "it was not kept");
}

#[derive(Debug, Clone)]
enum Step {
    Open { first: u64, length: u64 },
    Read { reader: usize, frames: usize },
    Leave { reader: usize },
    Lose { after: u64 },
    Change,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..1_000, 1_u64..1_000).prop_map(|(first, length)| Step::Open { first, length }),
        8 => (0_usize..8, 1_usize..12).prop_map(|(reader, frames)| Step::Read { reader, frames }),
        1 => (0_usize..8).prop_map(|reader| Step::Leave { reader }),
        1 => (0_u64..120).prop_map(|after| Step::Lose { after }),
        1 => Just(Step::Change),
    ]
}

/// What a reader must see: these bytes, or some of them and an error.
struct Model {
    reader: Reader,
    expected: Vec<u8>,
    read: Vec<u8>,
    failed: bool,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn whatever_happens_a_read_is_of_one_version_or_ends_with_an_error(
        steps in proptest::collection::vec(step(), 1..60),
        length in 1_u64..1_000,
        memory in prop_oneof![Just(4_u64 << 10), Just(1 << 20)],
        budget in prop_oneof![Just(150_u64), Just(1 << 20)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(play(&steps, &Edge::new(length, memory, budget)));
    }
}

async fn play(steps: &[Step], edge: &Edge) {
    let mut models: Vec<Model> = Vec::new();
    let mut calm = true; // nothing has been lost or changed: nothing may fail
    for step in steps {
        match step {
            Step::Open { first, length } => {
                let first = first % edge.length;
                let last = (first + length - 1).min(edge.length - 1);
                let number = edge.world.version.load(Ordering::Relaxed);
                match edge.learn().read(first, last, None).await {
                    Ok((reader, _)) => {
                        let expected = bytes(number, first, last);
                        models.push(Model { reader, expected, read: Vec::new(), failed: false });
                    }
                    Err(error) => assert!(!calm, "{error}"),
                }
            }
            Step::Read { reader, frames } if !models.is_empty() => {
                let index = reader % models.len();
                let model = &mut models[index];
                for _ in 0..*frames {
                    model.advance(calm).await;
                }
            }
            Step::Leave { reader } if !models.is_empty() => {
                let index = reader % models.len();
                drop(models.swap_remove(index));
            }
            Step::Read { .. } | Step::Leave { .. } => {}
            Step::Lose { after } => {
                calm = false;
                edge.world.faults.lock().unwrap().push_back(*after);
            }
            Step::Change => {
                calm = false;
                edge.world.version.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    for mut model in models {
        while model.advance(calm).await {}
        assert!(model.failed || model.read == model.expected, "a body ended early and said nothing");
    }
    let stats = edge.slices.memory.stats();
    assert!(stats.bytes <= stats.max_bytes, "{stats:?}");
}

impl Model {
    /// One frame more. `false`: that was the end.
    async fn advance(&mut self, calm: bool) -> bool {
        match self.reader.frame().await {
            _ if self.failed => false,
            Some(Ok(frame)) => {
                self.read.extend_from_slice(&frame.into_data().unwrap());
                assert!(self.expected.starts_with(&self.read), "bytes of another version, or place");
                true
            }
            Some(Err(error)) => {
                assert!(!calm, "{error}");
                self.failed = true;
                false
            }
            None => false,
        }
    }
}
