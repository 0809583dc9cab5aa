//! The `edgeseal` command.

use std::process::ExitCode;

/// With glibc's an HTTP/2 request costs about 5 % more; with HTTP/1.1 nothing shows (benches/README.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    edgeseal::cli::main()
}
