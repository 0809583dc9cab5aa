//! What TLS records cost by rustls's two interfaces, without a socket: the buffered one, which keeps records until they are
//! written, and the unbuffered one, which puts them into the caller's buffer.
//!
//! `cargo bench --bench records` measures; benches/README.md has figures.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on says where")]

use std::hint::black_box;
use std::io::{self, IoSlice, Write};
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use edgeseal::config::SecurityPolicy;
use edgeseal::demo::viewer::trusting;
use edgeseal::listen::{certs, tls};
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus, WriteTraffic};
use rustls::{ClientConnection, ServerConfig, ServerConnection};

/// The program's own: the buffered interface allocates each record.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Plaintext that is sealed before it is written, as `listen/connection.rs` has it.
const BATCH: usize = 256 << 10;

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots();
    targets = records
}
criterion_main!(benches);

fn records(c: &mut Criterion) {
    for (name, size) in [("1 KB", 1_500), ("100 KB", 100_000), ("1 MB", 1_000_000)] {
        let body = vec![7; size];
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(size as u64));
        let mut server = buffered();
        server.set_buffer_limit(Some(BATCH));
        group.bench_function("buffered", |b| {
            b.iter(|| {
                for batch in black_box(&body).chunks(BATCH) {
                    server.writer().write_all(batch).unwrap();
                    while server.wants_write() {
                        server.write_tls(&mut Gone).unwrap();
                    }
                }
            });
        });
        let mut server = unbuffered();
        let mut out = vec![0; BATCH + (64 << 10)];
        group.bench_function("unbuffered", |b| {
            b.iter(|| {
                for batch in black_box(&body).chunks(BATCH) {
                    writing(&mut server, |mut traffic| {
                        black_box(traffic.encrypt(batch, &mut out).unwrap());
                    });
                }
            });
        });
    }
}

/// Takes whatever is written, as the kernel would.
struct Gone;

impl Write for Gone {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(black_box(bytes).len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(black_box(slices).iter().map(|slice| slice.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn offer() -> Arc<ServerConfig> {
    let certificates = Arc::new(certs::self_signed(&["cdn.example.com".into()]));
    tls::server_config(certificates, SecurityPolicy::Tls13_2025, false)
}

fn viewer() -> ClientConnection {
    let name = ServerName::try_from("cdn.example.com").unwrap();
    ClientConnection::new(Arc::new(trusting(&[])), name).unwrap()
}

/// After its handshake.
fn buffered() -> ServerConnection {
    let (mut server, mut client) = (ServerConnection::new(offer()).unwrap(), viewer());
    while server.is_handshaking() || client.is_handshaking() || server.wants_write() {
        let (mut there, mut back) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut there).unwrap();
        }
        while server.wants_write() {
            server.write_tls(&mut back).unwrap();
        }
        take(&mut client, &back);
        let mut rest = &there[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets().unwrap();
        }
    }
    server
}

fn take(client: &mut ClientConnection, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        client.read_tls(&mut bytes).unwrap();
        client.process_new_packets().unwrap();
    }
}

/// After its handshake.
fn unbuffered() -> UnbufferedServerConnection {
    let (mut server, mut client) = (UnbufferedServerConnection::new(offer()).unwrap(), viewer());
    let mut incoming = Vec::new();
    loop {
        while client.wants_write() {
            client.write_tls(&mut incoming).unwrap();
        }
        let mut back = Vec::new();
        let is_done = answer(&mut server, &mut incoming, &mut back);
        let nothing = back.is_empty();
        take(&mut client, &back);
        if is_done && nothing && !client.is_handshaking() && !client.wants_write() {
            return server;
        }
    }
}

/// Until it wants more, or may send. Whether it may.
fn answer(server: &mut UnbufferedServerConnection, incoming: &mut Vec<u8>, back: &mut Vec<u8>) -> bool {
    loop {
        let UnbufferedStatus { discard, state } = server.process_tls_records(incoming);
        let more = match state.unwrap() {
            ConnectionState::EncodeTlsData(mut data) => {
                let mut record = vec![0; 32 << 10];
                let length = data.encode(&mut record).unwrap();
                back.extend_from_slice(&record[..length]);
                None
            }
            ConnectionState::TransmitTlsData(data) => {
                data.done();
                None
            }
            ConnectionState::WriteTraffic(_) => Some(true),
            ConnectionState::BlockedHandshake => Some(false),
            other => panic!("{other:?}"),
        };
        incoming.drain(..discard);
        if let Some(may_send) = more {
            return may_send;
        }
    }
}

fn writing(
    server: &mut UnbufferedServerConnection,
    write: impl FnOnce(WriteTraffic<'_, rustls::server::ServerConnectionData>),
) {
    let UnbufferedStatus { state, .. } = server.process_tls_records(&mut []);
    match state.unwrap() {
        ConnectionState::WriteTraffic(traffic) => write(traffic),
        other => panic!("{other:?}"),
    }
}
