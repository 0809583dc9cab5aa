//! No log slows a viewer, whatever becomes of it; what is lost is counted.

use std::process::Command;

use edgeseal::config::AccessLogTarget;

use super::*;
use crate::support::command::{edgeseal, finish};

const DROPPED: &str = "edgeseal_log_dropped_total";

/// More lines than a pipe takes, with nobody at its other end: all answers come. Who comes late reads all of them.
#[tokio::test]
async fn a_pipe_that_nobody_reads() {
    const MANY: usize = 150;
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let stage = Stage::start_tuned(PLAIN, &bucket.origin.url(), reader(), |config| {
        config.log.access = AccessLogTarget::File(pipe.clone());
    })
    .await;
    let path = format!("/a?{}", "x".repeat(1_000));
    for _ in 0..MANY {
        assert_eq!(get(stage.https(), &path).await.status, 200);
    }
    let reading = tokio::task::spawn_blocking(move || {
        use std::io::BufRead as _;
        let lines = std::io::BufReader::new(File::open(&pipe).unwrap()).lines();
        lines.take(MANY).map(Result::unwrap).filter(|line| line.ends_with("\"}")).count()
    });
    assert_eq!(reading.await.unwrap(), MANY);
    assert_eq!(stage.metric(&format!("{DROPPED}{{log=\"access\"}}")), 0.0);
    stage.server.drain().await;
}

#[tokio::test]
async fn a_full_disk() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start_tuned(PLAIN, &bucket.origin.url(), reader(), |config| {
        config.log.access = AccessLogTarget::File("/dev/full".into());
    })
    .await;
    for _ in 0..20 {
        assert_eq!(get(stage.https(), "/a").await.status, 200);
    }
    eventually("all lines are counted", || async {
        // By a scrape, as Prometheus sees it; twice, so that none is counted twice.
        stage.metric(&format!("{DROPPED}{{log=\"access\"}}")) == 20.0
    })
    .await;
    assert_eq!(stage.metric(&format!("{DROPPED}{{log=\"access\"}}")), 20.0);
}

/// The folder goes away under the standard log, and cannot come back, until it can.
#[tokio::test]
async fn a_folder_that_vanishes() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("logs");
    let stage = Stage::start_tuned(PLAIN, &bucket.origin.url(), reader(), into(&folder)).await;
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "in the way").unwrap();
    for _ in 0..5 {
        assert_eq!(get(stage.https(), "/a").await.status, 200);
    }
    let dropped = format!("{DROPPED}{{log=\"standard\"}}");
    eventually("they are counted", || async { stage.metric(&dropped) == 5.0 }).await;
    log_lines(&stage.log, 5).await;
    fs::remove_file(&folder).unwrap();
    let asked = std::cell::Cell::new(5);
    eventually("the log is written again", || async {
        asked.set(asked.get() + 1);
        assert_eq!(get(stage.https(), "/a").await.status, 200);
        fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some())
    })
    .await;
    let edge = stage.server.edge();
    stage.server.drain().await;
    let written = records(&folder).len() as u64;
    assert!(written > 0);
    assert_eq!(written + edge.log.dropped_by_log()[1].1, asked.get(), "each is written or counted");
}

/// It cannot be there from the beginning: that is said at once, by name.
#[tokio::test]
async fn a_folder_that_cannot_be() {
    let any = "127.0.0.1:0";
    let arguments = ["run", "--http", any, "--https", any, "--admin", any, "--region", "eu-west-1"];
    let ended =
        finish(edgeseal(&[&arguments[..], &["--log-directory", "/dev/null/logs", "s3://bucket"]].concat()))
            .await;
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("log.standard.directory: /dev/null/logs"), "{}", ended.err);
}
