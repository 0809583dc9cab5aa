//! A bar on standard error, where that is a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::compare::terminal;

/// No oftener than this.
const PAUSE: Duration = Duration::from_millis(100);
/// Columns, where nobody says how many there are.
const WIDTH: usize = 79;

/// How far it is. Several tasks may tell.
#[derive(Debug)]
pub(super) struct Progress {
    /// `None`: nobody looks.
    bar: Option<Mutex<Bar>>,
    all: usize,
}

#[derive(Debug)]
struct Bar {
    done: usize,
    drawn: Option<Instant>,
}

impl Progress {
    pub(super) fn new(all: usize) -> Self {
        let looked_at = std::io::stderr().is_terminal();
        Self { bar: looked_at.then(|| Mutex::new(Bar { done: 0, drawn: None })), all }
    }

    /// One more is done.
    pub(super) fn step(&self, what: &str) {
        let Some(bar) = &self.bar else { return };
        let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
        bar.done += 1;
        if bar.done < self.all && bar.drawn.is_some_and(|drawn| drawn.elapsed() < PAUSE) {
            return;
        }
        bar.drawn = Some(Instant::now());
        draw(&terminal::bar(bar.done, self.all, what, WIDTH));
    }

    /// Takes it away again.
    pub(super) fn end(&self) {
        if self.bar.is_some() {
            draw("");
        }
    }
}

/// In place of what is there. A terminal that is gone misses nothing.
fn draw(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = write!(err, "\r\x1b[K{text}").and_then(|()| err.flush());
}
