//! The real binary, in an environment of its own.

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::eventually;

/// A command without any of this machine's AWS or edgeseal variables, and with no way to the instance metadata.
pub fn edgeseal(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgeseal"));
    command
        .args(arguments)
        .env_clear()
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs `command` to its end.
pub async fn finish(command: Command) -> Ended {
    Running::spawn(command).ended().await
}

/// A command that runs. Killed when dropped.
pub struct Running {
    child: Child,
    out: Stream,
    err: Stream,
}

impl Running {
    pub fn spawn(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = Stream::read(child.stdout.take().unwrap());
        let err = Stream::read(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    /// The address that it says it listens on: `http`, `https` or `admin`.
    pub async fn address(&mut self, name: &str) -> SocketAddr {
        let prefix = format!("listening {name} ");
        eventually(&prefix, || {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended: {}", self.err.text());
            let listens = self.out.text().lines().any(|line| line.starts_with(&prefix));
            async move { listens }
        })
        .await;
        self.out.text().lines().find_map(|line| line.strip_prefix(&prefix)).unwrap().parse().unwrap()
    }

    /// What it has said so far on standard output.
    pub fn out(&self) -> String {
        self.out.text()
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it this signal.
    pub fn signal(&self, name: &str) {
        // The shell's own `kill`: a signal needs unsafe code or another crate.
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    pub async fn ended(mut self) -> Ended {
        let mut code = None;
        eventually("the process ends", || {
            let status = self.child.try_wait().unwrap();
            code = status.and_then(|status| status.code());
            async move { status.is_some() }
        })
        .await;
        Ended { code, out: self.out.finish(), err: self.err.finish() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What comes out of a pipe, gathered by a thread.
struct Stream {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Stream {
    fn read(mut pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let gathered = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                gathered.lock().unwrap().extend_from_slice(&buffer[..n]);
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    fn finish(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.text()
    }
}
