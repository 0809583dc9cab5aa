//! Closed loops: each lane has one thing under way, all the time.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::{JoinSet, spawn_local};

use crate::http::{Connection, Failure, Target};
use crate::open::quantile;

/// How many connections are opened at a time.
const OPENING: usize = 32;
/// A server that does not close after `Connection: close` is broken.
const END: Duration = Duration::from_secs(2);

/// Connection, handshake, GET, close, again and again.
///
/// # Errors
/// An answer that is not as expected, or fewer than 99 in 100 resumed where all should be, or any where none should.
pub(crate) async fn handshakes(
    target: &Target,
    resume: bool,
    period: Duration,
    lanes: usize,
) -> Result<Value, Failure> {
    let began = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..lanes {
        let target = if resume { target.resuming() } else { target.clone() };
        running.spawn_local(async move {
            let request = target.request("GET", 0, "Connection: close\r\n");
            let mut buffer = vec![0; 64 << 10];
            let (mut resumed, mut latencies) = (0, Vec::new());
            while began.elapsed() < period {
                let start = Instant::now();
                let mut connection = target.connect().await?;
                connection.exchange(&request, &mut buffer).await?;
                resumed += usize::from(connection.is_resumed());
                latencies.push(start.elapsed());
                tokio::time::timeout(END, connection.end()).await.map_err(|_| "the server did not close")?;
            }
            Ok::<_, Failure>((resumed, latencies))
        });
    }
    let (mut resumed, mut latencies) = (0, Vec::new());
    while let Some(lane) = running.join_next().await {
        let (more_resumed, more) = lane??;
        resumed += more_resumed;
        latencies.extend(more);
    }
    let done = latencies.len();
    // The first one of each lane has no ticket yet.
    let too_few = resume && resumed * 100 < done.saturating_sub(lanes) * 99;
    if too_few || (!resume && resumed > 0) {
        return Err(format!("{resumed} of {done} handshakes were resumed").into());
    }
    Ok(told(began, latencies))
}

/// One request, again and again, on connections that are kept.
pub(crate) async fn closed(
    target: &Target,
    request: &[u8],
    period: Duration,
    lanes: usize,
) -> Result<Value, Failure> {
    let began = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..lanes {
        let (target, request) = (target.clone(), request.to_vec());
        running.spawn_local(async move {
            let mut connection = target.connect().await?;
            let (mut buffer, mut latencies) = (vec![0; 64 << 10], Vec::new());
            while began.elapsed() < period {
                let start = Instant::now();
                connection.exchange(&request, &mut buffer).await?;
                latencies.push(start.elapsed());
            }
            Ok::<_, Failure>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(lane) = running.join_next().await {
        latencies.extend(lane??);
    }
    Ok(told(began, latencies))
}

fn told(began: Instant, mut latencies: Vec<Duration>) -> Value {
    json!({
        "requests": latencies.len(),
        "seconds": began.elapsed().as_secs_f64(),
        "p50_us": quantile(&mut latencies, 0.5),
        "p99_us": quantile(&mut latencies, 0.99),
    })
}

/// Opens connections, each with one request, and keeps them.
pub(crate) async fn hold(target: &Target, count: usize) -> Result<Vec<Connection>, Failure> {
    let mut held = Vec::with_capacity(count);
    while held.len() < count {
        let mut opening = JoinSet::new();
        for _ in 0..OPENING.min(count - held.len()) {
            let target = target.clone();
            opening.spawn_local(async move {
                let mut connection = target.connect().await?;
                connection.exchange(&target.request("GET", 0, ""), &mut vec![0; 64 << 10]).await?;
                Ok::<_, Failure>(connection)
            });
        }
        while let Some(connection) = opening.join_next().await {
            held.push(connection??);
        }
    }
    Ok(held)
}

/// Each of the paths once.
pub(crate) async fn walk(target: &Target, count: usize, lanes: usize) -> Result<Value, Failure> {
    let began = Instant::now();
    let next = Rc::new(Cell::new(0));
    let mut running = Vec::new();
    for _ in 0..lanes {
        let (target, next) = (target.clone(), Rc::clone(&next));
        running.push(spawn_local(async move {
            let mut connection = target.connect().await?;
            let mut buffer = vec![0; 64 << 10];
            loop {
                let number = next.get();
                if number >= count {
                    return Ok::<_, Failure>(());
                }
                next.set(number + 1);
                connection.exchange(&target.request("GET", number, ""), &mut buffer).await?;
            }
        }));
    }
    for lane in running {
        lane.await??;
    }
    Ok(json!({ "requests": count, "seconds": began.elapsed().as_secs_f64() }))
}
