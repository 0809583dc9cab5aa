//! Tells systemd how far the process is (sd_notify(3)): a unit of `Type=notify` counts as started when viewers are served.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where systemd listens, if it has started this process and wants to know.
#[derive(Debug, Default)]
pub(super) struct Notify(Option<SocketAddr>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Reloading,
    Stopping,
}

impl Notify {
    /// By `NOTIFY_SOCKET`.
    pub(super) fn from_env() -> Self {
        Self(std::env::var_os("NOTIFY_SOCKET").as_deref().and_then(address))
    }

    /// Nobody waits for it, and a failure is nobody's concern but systemd's.
    pub(super) fn tell(&self, state: State) {
        let Some(address) = &self.0 else { return };
        let text = match state {
            State::Ready => "READY=1\nSTATUS=serving",
            State::Reloading => "RELOADING=1\nSTATUS=reading the configuration again",
            State::Stopping => "STOPPING=1\nSTATUS=draining",
        };
        let told = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.send_to_addr(text.as_bytes(), address)
        });
        if let Err(error) = told {
            tracing::warn!(%error, "cannot tell systemd by NOTIFY_SOCKET");
        }
    }
}

/// A path, or with `@` a name that is in no file system. Of other kinds (vsock) we know none.
fn address(name: &OsStr) -> Option<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        [b'/', ..] => SocketAddr::from_pathname(name).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_an_address() {
        let path = address(OsStr::new("/run/systemd/notify")).unwrap();
        assert_eq!(path.as_pathname(), Some(std::path::Path::new("/run/systemd/notify")));
        assert_eq!(address(OsStr::new("@notify")).unwrap().as_abstract_name(), Some(&b"notify"[..]));
        for other in ["", "notify", "vsock:2:1234"] {
            assert!(address(OsStr::new(other)).is_none(), "{other:?}");
        }
    }
}
