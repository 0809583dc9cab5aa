//! The real binary as a child process, with an environment of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A running `edgeseal run`. Dropping it ends it.
pub struct Process {
    pub https: SocketAddr,
    pub admin: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Process {
    /// Starts it with this configuration and these variables, and nothing of whoever runs the tests. Its diagnostics
    /// are as talkative as they can be made.
    pub fn start(toml: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("edge.toml");
        let log = folder.path().join("access.log");
        std::fs::write(&file, format!("[log]\naccess = {:?}\n{toml}", log.display().to_string())).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_edgeseal"))
            .args([
                "run",
                "--http",
                "127.0.0.1:0",
                "--https",
                "127.0.0.1:0",
                "--admin",
                "127.0.0.1:0",
                "--config",
            ])
            .arg(&file)
            .env_clear()
            .env("HOME", folder.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("EDGESEAL_LOG_LEVEL", "trace")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |name: &str| {
            let line = lines.next().expect("it ended before it listened").unwrap();
            line.strip_prefix(&format!("listening {name} ")).expect(&line).parse().unwrap()
        };
        let [_, https, admin] = ["http", "https", "admin"].map(&mut address);
        Self { https, admin, child, folder }
    }

    /// Ends it by SIGTERM; all that it wrote: diagnostics, then access log.
    pub fn stop(mut self) -> (String, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        let read = |name| std::fs::read_to_string(self.folder.path().join(name)).unwrap();
        (read("stderr"), read("access.log"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
