use http_body_util::BodyExt;

use super::*;

fn bytes(range: std::ops::Range<usize>) -> Bytes {
    range.map(|i| (i % 251) as u8).collect::<Vec<u8>>().into()
}

async fn read(reader: Reader) -> Result<Bytes, OriginError> {
    reader.collect().await.map(http_body_util::Collected::to_bytes)
}

#[tokio::test]
async fn readers_that_come_at_any_time_read_the_same() {
    let (mut writer, filling) = begin(Some(3000));
    let early = tokio::spawn(read(filling.reader(0, None).unwrap()));
    writer.push(bytes(0..1000));
    let middle = tokio::spawn(read(filling.reader(0, None).unwrap()));
    writer.push(bytes(1000..3000));
    let pieces = writer.pieces();
    writer.complete();
    let late = read(filling.reader(0, None).unwrap()).await;
    for body in [early.await.unwrap(), middle.await.unwrap(), late] {
        assert_eq!(body.unwrap(), bytes(0..3000));
    }
    assert_eq!(pieces.len(), 1, "small chunks are merged");
}

#[tokio::test]
async fn the_first_byte_is_out_before_the_last_is_in() {
    let (mut writer, filling) = begin(Some(10));
    let mut reader = filling.reader(0, None).unwrap();
    writer.push(bytes(0..4));
    let frame = reader.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(frame, bytes(0..4));
}

#[tokio::test]
async fn a_dropped_writer_is_a_failure_and_not_an_end() {
    let (mut writer, filling) = begin(None);
    writer.push(bytes(0..4));
    let reader = filling.reader(0, None).unwrap();
    drop(writer);
    assert_eq!(read(reader).await.unwrap_err(), OriginError::Abandoned);
}

#[tokio::test]
async fn a_body_shorter_than_announced_never_reads_as_complete() {
    let (mut writer, filling) = begin(Some(10));
    writer.push(bytes(0..4));
    let reader = filling.reader(0, None).unwrap();
    writer.complete();
    assert_eq!(read(reader).await.unwrap_err(), OriginError::BodyCutShort);
}

#[tokio::test]
async fn a_range_ends_where_it_ends() {
    let (mut writer, filling) = begin(Some(100));
    let reader = filling.reader(10, Some(19)).unwrap();
    writer.push(bytes(0..15));
    writer.push(bytes(15..60));
    assert_eq!(read(reader).await.unwrap(), bytes(10..20), "though the body is still open");
}

#[tokio::test]
async fn large_bodies_are_kept_in_large_pieces() {
    let (mut writer, filling) = begin(None);
    for start in (0..5 << 20).step_by(64 << 10) {
        writer.push(bytes(start..start + (64 << 10)));
    }
    let pieces = writer.pieces();
    assert_eq!(pieces.len(), 5);
    writer.complete();
    assert_eq!(read(filling.reader(0, None).unwrap()).await.unwrap(), bytes(0..5 << 20));
}

#[tokio::test(start_paused = true)]
async fn a_window_holds_little_and_cuts_off_who_stalls_it() {
    let (mut writer, filling) = begin(None);
    writer.become_window();
    let stalled = filling.reader(0, None).unwrap();
    let mut quick = filling.reader(0, None).unwrap();
    let started = tokio::time::Instant::now();
    let total = 8 << 20;
    let quick = tokio::spawn(async move {
        let mut read = 0;
        while let Some(frame) = quick.frame().await {
            read += frame?.into_data().expect("no trailers here").len();
        }
        Ok::<_, OriginError>(read)
    });
    for start in (0..total).step_by(256 << 10) {
        assert!(writer.room().await);
        writer.push(bytes(start..start + (256 << 10)));
        let held = {
            let shared = filling.lock();
            shared.length - shared.base()
        };
        assert!(held <= WINDOW + (256 << 10), "{held} bytes are held");
    }
    writer.complete();
    assert_eq!(quick.await.unwrap().unwrap(), total);
    assert!(started.elapsed() >= PATIENCE, "the stalled reader was waited for");
    assert_eq!(read(stalled).await.unwrap_err(), OriginError::Abandoned);
}

#[tokio::test(start_paused = true)]
async fn a_window_without_readers_is_given_up_after_a_while() {
    let (mut writer, filling) = begin(None);
    writer.become_window();
    drop(filling.reader(0, None));
    let started = tokio::time::Instant::now();
    assert!(!writer.room().await);
    assert!(started.elapsed() >= PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_window_waits_for_its_first_reader() {
    let (mut writer, filling) = begin(None);
    writer.become_window();
    writer.push(bytes(0..1000));
    let late = tokio::spawn(async move {
        tokio::time::sleep(PATIENCE / 2).await;
        read(filling.reader(0, None).unwrap()).await
    });
    assert!(writer.room().await);
    writer.complete();
    assert_eq!(late.await.unwrap().unwrap(), bytes(0..1000));
}

/// One stalled reader, one quick one, 8 MiB: the quick one should be held up once (10 s), not once per MiB.
#[tokio::test(start_paused = true)]
async fn a_cut_reader_holds_nobody_up_again() {
    let (mut writer, filling) = begin(None);
    writer.become_window();
    let stalled = filling.reader(0, None).unwrap();
    let mut quick = filling.reader(0, None).unwrap();
    let started = tokio::time::Instant::now();
    let quick = tokio::spawn(async move {
        while let Some(frame) = quick.frame().await {
            frame.unwrap();
        }
    });
    for _ in 0..(8 << 20) / (256 << 10) {
        assert!(writer.room().await);
        writer.push(Bytes::from(vec![0; 256 << 10]));
    }
    writer.complete();
    quick.await.unwrap();
    drop(stalled);
    assert!(started.elapsed() < PATIENCE * 2, "held up for {:?}", started.elapsed());
}

/// A reader that takes one piece every nine seconds is never the one whose patience ran out.
#[tokio::test(start_paused = true)]
async fn a_dripping_reader_is_cut() {
    let (mut writer, filling) = begin(None);
    writer.become_window();
    let mut slow = filling.reader(0, None).unwrap();
    let mut quick = filling.reader(0, None).unwrap();
    let started = tokio::time::Instant::now();
    let dripping = tokio::spawn(async move {
        let mut n = 0;
        while let Some(Ok(_)) = slow.frame().await {
            n += 1;
            tokio::time::sleep(Duration::from_secs(9)).await;
        }
        n
    });
    let quick = tokio::spawn(async move {
        while let Some(frame) = quick.frame().await {
            frame.unwrap();
        }
    });
    for _ in 0..(2 << 20) / (16 << 10) {
        assert!(writer.room().await);
        writer.push(Bytes::from(vec![0; 16 << 10]));
    }
    writer.complete();
    quick.await.unwrap();
    let n = dripping.await.unwrap();
    assert!(
        started.elapsed() < PATIENCE * 4,
        "2 MiB took the quick reader {:?}; pieces of slow: {n}",
        started.elapsed()
    );
}
