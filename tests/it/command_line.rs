//! The binary as a person or a unit file meets it: words, exit codes, variables, signals.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use http::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::command::{Running, edgeseal, finish};
use crate::support::viewer::{get, plain};
use crate::support::{ACCESS_KEY, BUCKET, Bucket, REGION, SECRET_KEY, eventually};

const ANY_PORTS: [&str; 6] = ["--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

/// A configuration file in a folder that lives as long as the test.
fn file(text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edge.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

fn shipped(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name).display().to_string()
}

/// `run` in front of `bucket`, on any ports.
fn serving(arguments: &[&str], bucket: &Bucket) -> Command {
    let mut command = edgeseal(&[&["run"], arguments].concat());
    command
        .env("AWS_ENDPOINT_URL_S3", bucket.origin.url())
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    command
}

#[tokio::test]
async fn check_passes_what_is_shipped() {
    for name in ["minimal.toml", "edgeseal.toml"] {
        let path = shipped(name);
        for region in [None, Some("us-east-1")] {
            // A Region in the environment, as on most machines, contradicts no file.
            let mut command = edgeseal(&["check", "--config", &path]);
            command.envs(region.map(|region| ("AWS_REGION", region)));
            let ended = finish(command).await;
            assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
            let lines: Vec<_> = ended.out.lines().collect();
            assert_eq!(lines.len(), 2, "one word about the certificate, and the verdict: {lines:?}");
            assert!(lines[0].starts_with("tls.certificate: warning: "), "{lines:?}");
            assert_eq!(lines[1], "it would start");
        }
        let json = finish(edgeseal(&["check", "--json", "--config", &path])).await;
        let said: Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!((json.code, &said["ok"]), (Some(0), &true.into()), "{said}");
        assert_eq!(said["findings"][0]["severity"], "warning", "{said}");
    }
}

const FAULTY: &str = r#"[listen]
htttp = "0.0.0.0:8080"
workers = "many"
[cache]
memory = "12 parsecs"
[[distribution]]
[[distribution.origin]]
bucket = "my-bucket"
region = "eu-west-1"
[distribution.default_cache_behavior]
cache_policy = "CachingOptimised"
"#;

#[tokio::test]
async fn check_says_everything_at_once_with_its_line_and_the_nearest_name() {
    let (_folder, path) = file(FAULTY);
    let expected = [
        (2, "listen.htttp", "did you mean \"http\"?"),
        (3, "listen.workers", "write a whole number"),
        (5, "cache.memory", "\"512MiB\""),
        (11, "distribution.default_cache_behavior.cache_policy", "did you mean \"CachingOptimized\"?"),
    ];
    let ended = finish(edgeseal(&["check", "--config", &path])).await;
    assert_eq!(ended.code, Some(1));
    let lines: Vec<_> = ended.out.lines().collect();
    assert_eq!(lines.len(), expected.len() + 1, "{}", ended.out);
    for ((number, key, fix), line) in expected.iter().zip(&lines) {
        assert!(
            line.starts_with(&format!("{path}:{number}: error: {key}: ")) && line.contains(fix),
            "{line}"
        );
    }
    assert_eq!(lines.last(), Some(&"it would not start"));

    let json = finish(edgeseal(&["check", "--json", "--config", &path])).await;
    assert_eq!(json.code, Some(1));
    let said: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(said["ok"], false);
    let findings = said["findings"].as_array().unwrap();
    assert_eq!(findings.len(), expected.len());
    for ((number, key, fix), finding) in expected.iter().zip(findings) {
        assert_eq!(
            (&finding["severity"], &finding["source"], &finding["line"], &finding["key"]),
            (&"error".into(), &path.as_str().into(), &(*number).into(), &(*key).into())
        );
        assert!(finding["fix"].as_str().unwrap().contains(fix), "{finding}");
    }

    // `run` refuses with the same words, on standard error.
    let run = finish(edgeseal(&["run", "--config", &path])).await;
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""));
    assert_eq!(run.err.lines().collect::<Vec<_>>(), lines[..expected.len()]);
}

#[tokio::test]
async fn a_warning_does_not_stop_anybody() {
    let (_folder, path) = file(
        "[[distribution]]\n[[distribution.origin]]\nbucket = \"my-bucket\"\nregion = \"eu-west-1\"\n\
         origin_path = \"/a%20b\"\n",
    );
    let ended = finish(edgeseal(&["check", "--config", &path])).await;
    assert_eq!(ended.code, Some(0));
    assert!(ended.out.starts_with(&format!("{path}:5: warning: ")), "{}", ended.out);
    assert!(ended.out.ends_with("it would start\n"), "{}", ended.out);
}

#[tokio::test]
async fn a_website_endpoint_is_refused_with_the_reason() {
    let (_folder, path) = file(
        "[[distribution]]\n[[distribution.origin]]\n\
         domain_name = \"site.s3-website.eu-central-1.amazonaws.com\"\n",
    );
    let ended = finish(edgeseal(&["check", "--config", &path])).await;
    assert_eq!(ended.code, Some(1));
    for words in [":3: error:", "website endpoint", "signing", "site.s3.eu-central-1.amazonaws.com"] {
        assert!(ended.out.contains(words), "{words}: {}", ended.out);
    }
}

#[tokio::test]
async fn wrong_usage_is_2_with_clear_words() {
    let table: &[(&[&str], &str)] = &[
        (&[], "Usage: edgeseal"),
        (&["fly"], "unrecognized subcommand 'fly'"),
        (&["run"], "--config <FILE.toml>|--distribution <PATH>|s3://BUCKET"),
        (&["check"], "--config <FILE.toml>|--distribution <PATH>|s3://BUCKET"),
        (&["run", "--config", "a.toml", "s3://bucket"], "cannot be used with"),
        (&["run", "--config", "a.toml", "--distribution", "d"], "cannot be used with"),
        (&["run", "--distribution", "d", "s3://bucket"], "cannot be used with"),
        (&["run", "--config", "a.toml", "--region", "eu-west-1"], "cannot be used with"),
        (&["run", "--config", "a.toml", "--colour", "red"], "unexpected argument '--colour'"),
        (&["demo", "--json"], "--once"),
        (&["doctor", "--config", "a.toml"], "`doctor` is not built yet"),
        (&["policy", "role"], "`policy` is not built yet"),
        (&["invalidate"], "<PATH>..."),
        (&["explain"], "<URL>"),
        (&["compare", "--edge", "https://a", "/"], "--reference <URL>"),
        (&["compare", "--edge", "https://a", "--reference", "https://b"], "<PATH>"),
        (&["compare", "--edge", "https://a/b", "--reference", "https://b", "/"], "it has a path"),
        (&["compare", "--edge", "https://a", "--reference", "https://b", "c"], "neither a path"),
        (
            &["compare", "--edge", "https://a", "--reference", "https://b", "--urls", "/nowhere/l"],
            "/nowhere/l: ",
        ),
        (
            &["compare", "--edge", "https://a", "--reference", "https://b", "/", "--html", "/nowhere/r"],
            "/nowhere/r: ",
        ),
        (&["compare", "--edge", "https://a", "--reference", "https://b", "/", "--concurrency", "65"], "65"),
        (&["compare", "--edge", "https://a", "--reference", "https://b", "/", "-H", "Host: c"], "--host"),
        (&["warm", "--edge", "https://a"], "<PATH"),
        (&["warm", "--edge", "https://a", "s3://bucket"], "region"),
        (&["sign", "https://a/b"], "`sign` is not built yet"),
    ];
    for (arguments, words) in table {
        let ended = finish(edgeseal(arguments)).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(ended.err.contains(words), "{arguments:?}: {}", ended.err);
    }
}

#[tokio::test]
async fn every_verb_helps() {
    let verbs = [
        "run",
        "demo",
        "check",
        "import",
        "doctor",
        "policy",
        "invalidate",
        "explain",
        "compare",
        "warm",
        "sign",
        "version",
    ];
    for verb in verbs {
        let ended = finish(edgeseal(&[verb, "--help"])).await;
        assert_eq!(ended.code, Some(0), "{verb}");
        assert!(ended.out.contains("Usage: edgeseal"), "{verb}: {}", ended.out);
    }
}

#[tokio::test]
async fn a_start_that_fails_names_what_is_wrong() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (_folder, no_pem) = file("not PEM");
    let minimal = shipped("minimal.toml");
    let with = |more: &[&'static str]| [&["--config", "MINIMAL"], &ANY_PORTS[..], more].concat();
    let mut taken_http = with(&[]);
    taken_http[3] = "TAKEN";
    let mut taken_admin = with(&[]);
    taken_admin[7] = "TAKEN";
    let table = [
        (vec!["--config", "/nowhere/edge.toml"], "/nowhere/edge.toml"),
        (vec!["--distribution", "/nowhere/d.json"], "/nowhere/d.json: error: cannot be read"),
        (taken_http, address.as_str()),
        (taken_admin, address.as_str()),
        (with(&["--tls-cert", "/nowhere/cert.pem", "--tls-key", "/nowhere/key.pem"]), "/nowhere/cert.pem"),
        (with(&["--tls-cert", "NO_PEM", "--tls-key", "NO_PEM"]), no_pem.as_str()),
        (with(&["--tls-cert", "/nowhere/cert.pem"]), "--tls-key"),
        (with(&["--memory", "lots"]), "--memory"),
        (with(&["--log", "xml"]), "--log"),
    ];
    for (arguments, words) in table {
        let arguments: Vec<&str> = arguments
            .iter()
            .map(|argument| match *argument {
                "MINIMAL" => minimal.as_str(),
                "TAKEN" => address.as_str(),
                "NO_PEM" => no_pem.as_str(),
                other => other,
            })
            .collect();
        let mut command = edgeseal(&[&["run"], &arguments[..]].concat());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        let ended = finish(command).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(words), "{arguments:?}: {}", ended.err);
    }
}

#[tokio::test]
async fn a_second_edge_does_not_share_the_port_of_the_first() {
    let bucket = Bucket::start().await;
    let source = format!("s3://{BUCKET}");
    let arguments = [&[source.as_str(), "--region", REGION], &ANY_PORTS[..]].concat();
    let mut first = Running::spawn(serving(&arguments, &bucket));
    let address = first.address("https").await.to_string();
    let mut again = arguments.clone();
    again[6] = &address;
    let second = finish(serving(&again, &bucket)).await;
    assert_eq!(second.code, Some(1));
    assert!(second.err.contains(&address), "{}", second.err);
}

#[tokio::test]
async fn a_bucket_in_one_line_is_served_until_sigterm() {
    let bucket = Bucket::start().await;
    bucket.put("assets/a", "a");
    let source = format!("s3://{BUCKET}/assets");
    let mut command = serving(&[&[source.as_str()], &ANY_PORTS[..]].concat(), &bucket);
    command.env("AWS_REGION", REGION);
    let mut running = Running::spawn(command);
    let (http, https) = (running.address("http").await, running.address("https").await);
    let admin = running.address("admin").await;

    assert_eq!(get(https, "/a").await.text(), "a");
    assert_eq!(get(https, "/a").await.header("x-cache"), "Hit from edgeseal");
    assert_eq!(plain(http, Method::GET, "/a", &[]).await.status, 301);
    let ready = plain(admin, Method::GET, "/readyz", &[("host", "localhost")]).await;
    assert_eq!(ready.status, 200, "{}", ready.text());

    running.terminate();
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let (listening, log): (Vec<_>, Vec<_>) =
        ended.out.lines().partition(|line| line.starts_with("listening "));
    assert_eq!(
        listening,
        [
            format!("listening http {http}"),
            format!("listening https {https}"),
            format!("listening admin {admin}")
        ]
    );
    let mut results: Vec<String> = log
        .iter()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["x-edge-result-type"].as_str().unwrap().into()
        })
        .collect();
    results.sort(); // several workers write their lines in any order
    assert_eq!(results, ["Hit", "Miss", "Redirect"]);
}

#[tokio::test]
async fn variables_beat_the_file_and_flags_beat_variables() {
    let bucket = Bucket::start().await;
    let ports: Vec<String> = std::iter::repeat_with(|| TcpListener::bind("127.0.0.1:0").unwrap())
        .take(4)
        .collect::<Vec<_>>()
        .iter()
        .map(|free| free.local_addr().unwrap().to_string())
        .collect();
    let [in_file, in_variable, flagged, unused] = &ports[..] else { unreachable!() };
    let (_folder, path) = file(&format!(
        "[listen]\nhttp = \"{in_file}\"\nhttps = \"{unused}\"\nadmin = \"{unused}\"\n[cache]\nmemory = \"64MiB\"\n\
         [[distribution]]\n[[distribution.origin]]\nbucket = \"{BUCKET}\"\nregion = \"{REGION}\"\n"
    ));
    let mut command = serving(&["--config", &path, "--admin", flagged], &bucket);
    command.env("EDGESEAL_HTTPS", in_variable).env("EDGESEAL_ADMIN", unused).env("EDGESEAL_MEMORY", "32MiB");
    let mut running = Running::spawn(command);
    for (name, expected) in [("http", in_file), ("https", in_variable), ("admin", flagged)] {
        assert_eq!(running.address(name).await.to_string(), *expected, "{name}");
    }
    let metrics =
        plain(running.address("admin").await, Method::GET, "/metrics", &[("host", "localhost")]).await;
    let max = format!("\nedgeseal_cache_max_bytes {}\n", 32 << 20);
    assert!(metrics.text().contains(&max), "{}", metrics.text());
}

#[tokio::test]
async fn while_it_waits_to_drain_it_is_not_ready_and_still_serves() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let (_folder, path) = file(&format!(
        "[listen]\ndrain_delay = \"2s\"\n[[distribution]]\n[[distribution.origin]]\nbucket = \"{BUCKET}\"\n\
         region = \"{REGION}\"\n"
    ));
    let mut running =
        Running::spawn(serving(&[&["--config", path.as_str()], &ANY_PORTS[..]].concat(), &bucket));
    let (https, admin) = (running.address("https").await, running.address("admin").await);
    running.terminate();
    eventually("not ready", || async {
        let ready = plain(admin, Method::GET, "/readyz", &[("host", "localhost")]).await;
        ready.status == 503 && ready.text().contains("draining")
    })
    .await;
    assert_eq!(get(https, "/a").await.text(), "a");
    assert_eq!(running.ended().await.code, Some(0));
}

#[tokio::test]
async fn without_credentials_it_starts_and_says_so() {
    let bucket = Bucket::start().await;
    let source = format!("s3://{BUCKET}");
    let mut command = serving(&[&[source.as_str(), "--region", REGION], &ANY_PORTS[..]].concat(), &bucket);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let mut running = Running::spawn(command);
    let admin = running.address("admin").await;
    let ready = plain(admin, Method::GET, "/readyz", &[("host", "localhost")]).await;
    assert_eq!(ready.status, 503);
    let said: Value = serde_json::from_str(ready.text()).unwrap();
    let failing: Vec<_> =
        said["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false).collect();
    assert_eq!(failing.len(), 1, "{said}");
    assert_eq!(failing[0]["name"], "credentials");
    assert_eq!(plain(admin, Method::GET, "/healthz", &[("host", "localhost")]).await.status, 200);
}

#[tokio::test]
async fn secrets_are_never_written_whatever_is_asked_for() {
    const TOKEN: &str = "session-token-that-nobody-may-see";
    let bucket = Bucket::with(|reader| reader.session_token = Some(TOKEN.into())).await;
    bucket.put("a", "a");
    let source = format!("s3://{BUCKET}");
    for format in ["text", "json"] {
        let arguments = [&[source.as_str(), "--region", REGION, "--log", format], &ANY_PORTS[..]].concat();
        let mut command = serving(&arguments, &bucket);
        command
            .env("AWS_SESSION_TOKEN", TOKEN)
            .env("RUST_LOG", "trace,aws_sigv4=trace,aws_config=trace,hyper=trace,[edge]=trace");
        let mut running = Running::spawn(command);
        let https = running.address("https").await;
        assert_eq!(get(https, "/a").await.status, 200);
        assert_eq!(get(https, "/a").await.header("x-cache"), "Hit from edgeseal");
        assert_eq!(get(https, "/missing").await.status, 403);
        bucket.origin.slow_down(2);
        assert_eq!(get(https, "/slow").await.status, 503);
        running.terminate();
        let ended = running.ended().await;
        assert_eq!(ended.code, Some(0));
        assert!(ended.err.contains("DEBUG"), "nothing below INFO: {}", ended.err);
        for secret in [SECRET_KEY, TOKEN, "Signature=", "AWS4-HMAC-SHA256"] {
            assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "{format}: {secret}");
        }
    }
}

#[tokio::test]
async fn the_demo_walks_its_story_and_says_each_step() {
    let ended = finish(edgeseal(&["demo", "--once"])).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    let steps = ["200 X-Cache: Miss", "200 X-Cache: Hit", "301 Location: https://", "403 AccessDenied"];
    for seen in steps.iter().chain(&["403 SignatureDoesNotMatch", "no plaintext"]) {
        assert!(ended.out.lines().any(|line| line.starts_with("ok  ") && line.contains(seen)), "{seen}");
    }
    assert!(!ended.out.contains("FAIL"), "{}", ended.out);

    let json = finish(edgeseal(&["demo", "--once", "--json"])).await;
    assert_eq!(json.code, Some(0));
    let told: Vec<Value> = json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.len(), ended.out.lines().count());
    assert!(
        told.iter()
            .all(|step| step["holds"] == true && step["claim"].is_string() && step["seen"].is_string())
    );
}

#[tokio::test]
async fn the_demo_invites_and_ends_on_sigterm() {
    let mut running = Running::spawn(edgeseal(&[&["demo"], &ANY_PORTS[..]].concat()));
    let https = running.address("https").await;
    let line = format!("curl -ki https://localhost:{}/hello.txt", https.port());
    eventually("an invitation", || {
        let invites = running.out().contains(&line);
        async move { invites }
    })
    .await;
    assert_eq!(get(https, "/hello.txt").await.status, 200);
    running.terminate();
    assert_eq!(running.ended().await.code, Some(0));
}

#[tokio::test]
async fn version_says_version_build_and_crypto_provider() {
    let json = finish(edgeseal(&["version", "--json"])).await;
    assert_eq!(json.code, Some(0));
    let said: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(said["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(said["crypto_provider"], "aws-lc-rs");
    assert!(["debug", "release"].contains(&said["build"].as_str().unwrap()));
    let text = finish(edgeseal(&["version"])).await;
    assert!(text.out.contains(env!("CARGO_PKG_VERSION")) && text.out.contains("aws-lc-rs"), "{}", text.out);
}

#[tokio::test]
async fn a_probe_asks_the_admin_listener() {
    let bucket = Bucket::start().await;
    let one_liner = ["s3://private-assets", "--region", REGION];
    let mut running = Running::spawn(serving(&[&one_liner[..], &ANY_PORTS].concat(), &bucket));
    let admin = running.address("admin").await.to_string();
    let probe = |arguments: &[&str], admin: &str| {
        let mut command = edgeseal(&[&["healthcheck"], arguments].concat());
        command.env("EDGESEAL_ADMIN", admin);
        finish(command)
    };
    for arguments in [&[][..], &["--ready"], &["--ready", "--timeout", "500ms"]] {
        let ended = probe(arguments, &admin).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(0), "ok\n"), "{arguments:?}: {}", ended.err);
    }
    let json = probe(&["--ready", "--json"], &admin).await;
    assert_eq!(serde_json::from_str::<Value>(&json.out).unwrap()["ready"], true);
    // As a container is told to listen with administrator keys.
    let everywhere = admin.replace("127.0.0.1", "0.0.0.0");
    assert_eq!(probe(&[], &everywhere).await.code, Some(0));
    running.terminate();
    assert_eq!(running.ended().await.code, Some(0));
    let ended = probe(&[], &admin).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert!(ended.err.contains(&format!("no edge answers at {admin}")), "{}", ended.err);
}

#[tokio::test]
async fn an_edge_that_is_not_ready_fails_its_probe_by_name() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let toml = format!(
        "[[distribution]]\n[[distribution.origin]]\nbucket = \"private-assets\"\nregion = \"us-east-1\"\nendpoint = \"http://{closed}\"\n"
    );
    let (_folder, path) = file(&toml);
    let mut command = edgeseal(&[&["run", "--config", &path], &ANY_PORTS[..]].concat());
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY); // no secret: no credentials
    let mut running = Running::spawn(command);
    let admin = running.address("admin").await.to_string();
    let alive = finish(edgeseal(&["healthcheck", "--admin", &admin])).await;
    assert_eq!(alive.code, Some(0), "{}", alive.err);
    let ready = finish(edgeseal(&["healthcheck", "--ready", "--admin", &admin])).await;
    assert_eq!(ready.code, Some(1));
    assert!(ready.out.starts_with("credentials: "), "{}", ready.out);
}

#[tokio::test]
async fn completions_know_verbs_and_flags() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = finish(edgeseal(&["completions", shell])).await;
        assert_eq!(ended.code, Some(0), "{shell}");
        for word in ["healthcheck", "tls-cert", "import"] {
            assert!(ended.out.contains(word), "{shell} does not know {word}");
        }
    }
    // A shell's own opinion.
    let bash = finish(edgeseal(&["completions", "bash"])).await.out;
    let script = format!(
        "{bash}\nCOMP_WORDS=(edgeseal heal); COMP_CWORD=1; _edgeseal edgeseal heal edgeseal; echo \"${{COMPREPLY[@]}}\""
    );
    let said = Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&said.stdout).trim(),
        "healthcheck",
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
    assert_eq!(finish(edgeseal(&["completions", "cmd"])).await.code, Some(2));
}

#[tokio::test]
async fn manual_pages_are_there_for_every_verb() {
    let root = finish(edgeseal(&["man"])).await;
    assert_eq!(root.code, Some(0));
    assert!(root.out.contains(".TH edgeseal 1") && root.out.contains("edgeseal\\-run"), "{}", root.out);
    let run = finish(edgeseal(&["man", "run"])).await;
    assert!(run.out.contains(".TH edgeseal-run 1") && run.out.contains("tls\\-cert"), "{}", run.out);
    assert_eq!(finish(edgeseal(&["man", "nothing"])).await.code, Some(2));
    let folder = tempfile::tempdir().unwrap();
    let man1 = folder.path().join("share/man1");
    let written = finish(edgeseal(&["man", "--directory", man1.to_str().unwrap()])).await;
    assert_eq!(written.code, Some(0), "{}", written.err);
    for page in ["edgeseal.1", "edgeseal-run.1", "edgeseal-check.1", "edgeseal-healthcheck.1"] {
        assert!(man1.join(page).exists(), "{page}");
    }
    let again = std::fs::read_to_string(man1.join("edgeseal-run.1")).unwrap();
    assert_eq!(again, run.out);
}
