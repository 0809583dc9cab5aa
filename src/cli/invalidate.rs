//! `edgeseal invalidate`: asks a running edge to remove objects from its cache, by the same API as the AWS CLI.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::admin::{self, Client, Signing};
use super::{FAILED, print, say};
use crate::admin::api::xml::{Element, Writer};
use crate::clock;

/// Between two questions whether it is done.
const POLL: Duration = Duration::from_millis(250);
/// As long as the AWS CLI waits (behaviour §1.11).
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);
/// Not in a path as the AWS CLI writes it.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const DISTRIBUTIONS: &str = "/2020-05-31/distribution";

#[derive(Debug, Args)]
pub(super) struct Invalidate {
    /// Paths as in `aws cloudfront create-invalidation`: /index.html, /images/*, or #tag
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Id of the distribution; not needed when the edge has one only
    #[arg(long, value_name = "ID")]
    distribution: Option<String>,
    /// Asked again with the same reference and the same paths, the edge does nothing again; by default a new one
    #[arg(long, value_name = "TEXT")]
    caller_reference: Option<String>,
    /// The running edge's admin listener
    #[arg(long, env = "EDGESEAL_ADMIN", default_value = admin::DEFAULT, value_name = "ADDR")]
    admin: String,
    #[command(flatten)]
    signing: Signing,
    /// Wait until the memory is freed, too: no viewer gets what was invalidated once this command returns
    #[arg(long)]
    wait: bool,
    /// Print what the AWS CLI prints
    #[arg(long)]
    json: bool,
}

impl Invalidate {
    pub(super) fn execute(&self) -> ExitCode {
        match self.invalidate() {
            Ok(text) => {
                print(&text);
                ExitCode::SUCCESS
            }
            Err(why) => {
                say(&format!("edgeseal: {why}"));
                ExitCode::from(FAILED)
            }
        }
    }

    fn invalidate(&self) -> Result<String, String> {
        let client = Client::new(&self.admin, &self.signing)?;
        let distribution = match &self.distribution {
            Some(id) => id.clone(),
            None => only_distribution(&client)?,
        };
        let target = format!("{DISTRIBUTIONS}/{}/invalidation", encoded(&distribution));
        let (answer, mut made) = client.call("POST", &target, &self.batch(), 201)?;
        let id = text(&made, &["Id"]).to_owned();
        let since = Instant::now();
        while self.wait && text(&made, &["Status"]) != "Completed" {
            if since.elapsed() > LONGEST_WAIT {
                return Err(format!("{id} is not completed after ten minutes"));
            }
            std::thread::sleep(POLL);
            (_, made) = client.call("GET", &format!("{target}/{}", encoded(&id)), "", 200)?;
        }
        if self.json {
            return Ok(shown(answer.location.as_deref(), &made));
        }
        Ok(format!("invalidated {} paths: {id}, {}", self.paths.len(), text(&made, &["Status"])))
    }

    fn batch(&self) -> String {
        let reference = self
            .caller_reference
            .clone()
            .unwrap_or_else(|| format!("edgeseal-{}-{:08x}", clock::now().as_secs(), fastrand::u32(..)));
        Writer::document("InvalidationBatch", |writer| {
            writer.element("Paths", |writer| {
                writer.text("Quantity", &self.paths.len().to_string());
                writer
                    .element("Items", |writer| self.paths.iter().for_each(|path| writer.text("Path", path)));
            });
            writer.text("CallerReference", &reference);
        })
    }
}

fn only_distribution(client: &Client<'_>) -> Result<String, String> {
    let (_, list) = client.call("GET", DISTRIBUTIONS, "", 200)?;
    let items = list.child("Items").map_or(&[][..], |items| &items.children);
    let ids: Vec<&str> = items.iter().map(|item| text(item, &["Id"])).collect();
    match ids[..] {
        [only] => Ok(only.to_owned()),
        _ => {
            Err(format!("there are several distributions: name one with --distribution: {}", ids.join(", ")))
        }
    }
}

/// As the AWS CLI shows it (behaviour §12.14).
fn shown(location: Option<&str>, made: &Element) -> String {
    let batch = made.child("InvalidationBatch").cloned().unwrap_or_default();
    let items = batch.child("Paths").and_then(|paths| paths.child("Items"));
    let paths: Vec<&str> =
        items.map_or(&[][..], |items| &items.children).iter().map(|path| path.text.as_str()).collect();
    let value = json!({
        "Location": location,
        "Invalidation": {
            "Id": text(made, &["Id"]),
            "Status": text(made, &["Status"]),
            "CreateTime": text(made, &["CreateTime"]),
            "InvalidationBatch": {
                "Paths": { "Quantity": paths.len(), "Items": paths },
                "CallerReference": text(&batch, &["CallerReference"]),
            },
        },
    });
    format!("{value:#}")
}

fn text<'e>(element: &'e Element, path: &[&str]) -> &'e str {
    element.text_of(path).unwrap_or_default()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}
