//! The `edgeseal` command.

use std::process::ExitCode;

/// glibc's allocator costs about 8 % more per request (benches/README.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    edgeseal::cli::main()
}
