//! Diagnostics on standard error.

use std::io::{self, IsTerminal};

use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, LevelFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;

/// Sends diagnostics to standard error from now on. What is shown: `EDGESEAL_LOG_LEVEL`, or else `RUST_LOG`, in
/// the form of `tracing`'s `EnvFilter` (`debug`, `edgeseal::origin=trace`); everything else at `info`.
///
/// A second call changes nothing.
pub fn init(format: LogFormat) {
    let user = ["EDGESEAL_LOG_LEVEL", "RUST_LOG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()));
    let (filter, error) = match EnvFilter::try_new(directives(user.as_deref())) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(directives(None)), Some(error)),
    };
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if subscriber(format, filter, io::stderr, colour).try_init().is_err() {
        return;
    }
    if let Some(error) = error {
        tracing::warn!(%error, "EDGESEAL_LOG_LEVEL or RUST_LOG is not a filter; using \"info\"");
    }
}

/// The filter for what the user asked for: `info`, and what they said on top.
fn directives(user: Option<&str>) -> String {
    match user {
        Some(user) => format!("info,{user}"),
        None => "info".to_owned(),
    }
}

/// Crates, by prefix, and the most that they may ever tell: their DEBUG and TRACE print requests with their headers,
/// signatures and session tokens among them (s3 §1.14 item 8), and the AWS crates' warnings print whole answers of
/// credential services. The embedded origin's protocol crate would call each refusal, which is its purpose, an error.
const LIMITS: [(&str, LevelFilter); 4] = [
    ("aws_", LevelFilter::ERROR),
    ("hyper", LevelFilter::WARN),
    ("h2", LevelFilter::WARN),
    ("s3s", LevelFilter::OFF),
];

/// Whether this may ever be shown. No directive gets round it: an `EnvFilter` alone would let
/// `aws_sigv4::http_request=trace` or `[span]=trace` through.
fn harmless(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let most = LIMITS
        .iter()
        .find(|(prefix, _)| target.starts_with(prefix))
        .map_or(LevelFilter::TRACE, |(_, most)| *most);
    *metadata.level() <= most
}

fn subscriber<W>(
    format: LogFormat,
    filter: EnvFilter,
    writer: W,
    colour: bool,
) -> impl Subscriber + Send + Sync + SubscriberInitExt
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colour);
    let layer = match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(layer).with(filter).with(filter_fn(harmless))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is printed under `user`'s filter.
    fn printed(format: LogFormat, user: Option<&str>, say: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let filter = EnvFilter::try_new(directives(user)).unwrap();
        let subscriber = subscriber(format, filter, move || writer.clone(), false);
        tracing::subscriber::with_default(subscriber, say);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn directives_add_to_info() {
        assert_eq!(directives(None), "info");
        assert_eq!(directives(Some("edgeseal=debug")), "info,edgeseal=debug");
    }

    #[test]
    fn info_is_shown_and_debug_when_asked_for() {
        let say = || {
            tracing::info!(target: "edgeseal::one", "first");
            tracing::debug!(target: "edgeseal::two", "second");
            tracing::trace!(target: "edgeseal::two", "third");
        };
        for (user, shown) in [
            (None, [true, false, false]),
            (Some("debug"), [true, true, false]),
            (Some("edgeseal::two=trace"), [true, true, true]),
            (Some("error"), [false, false, false]),
        ] {
            let text = printed(LogFormat::Text, user, say);
            assert_eq!(
                ["first", "second", "third"].map(|word| text.contains(word)),
                shown,
                "{user:?}: {text}"
            );
        }
    }

    /// s3 §1.14 item 8.
    #[test]
    fn crates_that_print_secrets_never_get_that_far() {
        let say = || {
            let span = tracing::info_span!("edge");
            let _entered = span.enter();
            tracing::trace!(target: "aws_sigv4::http_request::sign", "SECRET");
            tracing::debug!(target: "aws_smithy_runtime::client", "SECRET");
            tracing::info!(target: "aws_config::profile", "SECRET");
            tracing::debug!(target: "hyper::proto::h1", "SECRET");
            tracing::trace!(target: "h2::codec", "SECRET");
            tracing::error!(target: "s3s::ops", "SECRET");
            tracing::warn!(target: "aws_config::imds", "SECRET");
            tracing::warn!(target: "h2::server", "clock is off");
            tracing::trace!(target: "edgeseal", "control");
        };
        for user in [
            "trace",
            "trace,aws_sigv4=trace,aws_smithy_runtime=debug,aws_config=info,hyper=trace,h2=trace",
            "trace,aws_sigv4::http_request::sign=trace",
            "trace,[edge]=trace",
        ] {
            let text = printed(LogFormat::Text, Some(user), say);
            assert!(!text.contains("SECRET"), "{user}: {text}");
            assert!(text.contains("clock is off") && text.contains("control"), "{user}: {text}");
        }
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = printed(LogFormat::Json, None, || tracing::info!(port = 8080, "listening"));
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!((&line["message"], &line["port"]), (&"listening".into(), &8080.into()));
    }
}
