//! Files that are looked at until they have changed.
//!
//! By asking again and again, not by inotify: that sees nothing of network file systems, and with links that are swapped
//! (Kubernetes) it must be told to look at each folder on the way.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

use crate::stamp::Stamp;

/// Between two looks. What has changed is taken up when two looks in a row see the same: it may still be being written.
const LOOK: Duration = Duration::from_secs(1);

type Seen = BTreeMap<PathBuf, Option<Stamp>>;

/// What was seen of the files when they were last read.
#[derive(Debug)]
pub(super) struct Watch {
    read: Seen,
    last: Seen,
}

impl Watch {
    /// `files` are about to be read.
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        let seen = look(files);
        Self { read: seen.clone(), last: seen }
    }

    /// Waits until they have changed, and are quiet. `files`: which there are now. May be given up at any time.
    pub(super) async fn changed(&mut self, files: impl Fn() -> Vec<PathBuf>) {
        loop {
            sleep(LOOK).await;
            // A look takes as long as a file system takes, and viewers are not served by this thread.
            if self.sees(look(files())) {
                return;
            }
        }
    }

    /// Whether these are to be read.
    fn sees(&mut self, seen: Seen) -> bool {
        let is_quiet = seen == self.last;
        self.last = seen;
        if !is_quiet || self.last == self.read {
            return false;
        }
        self.read.clone_from(&self.last);
        true
    }
}

fn look(files: Vec<PathBuf>) -> Seen {
    let stamped = |file: PathBuf| {
        let stamp = Stamp::of(&file);
        (file, stamp)
    };
    files.into_iter().map(stamped).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_has_changed_is_read_once_and_when_it_is_quiet() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        fs::write(&one, "1").unwrap();
        let files = || vec![one.clone(), two.clone()];
        let mut watch = Watch::new(files());
        let mut sees = || watch.sees(look(files()));
        assert!(!sees());

        fs::write(&one, "22").unwrap();
        assert!(!sees(), "it may still be being written");
        fs::write(&one, "333").unwrap();
        assert!(!sees(), "it was");
        assert!(sees());
        assert!(!sees(), "it is read");

        fs::write(&two, "new").unwrap();
        assert!(!sees());
        assert!(sees(), "a file that was not there");
        fs::remove_file(&two).unwrap();
        assert!(!sees());
        assert!(sees(), "one that is gone");
    }

    #[test]
    fn other_files_are_read_without_having_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        fs::write(&one, "1").unwrap();
        fs::write(&two, "2").unwrap();
        let mut watch = Watch::new(vec![one.clone()]);
        // A configuration that names it has been loaded; whether it is older than its first stamp, nobody knows.
        assert!(!watch.sees(look(vec![one.clone(), two.clone()])));
        assert!(watch.sees(look(vec![one, two])));
    }
}
