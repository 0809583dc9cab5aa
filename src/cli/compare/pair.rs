//! Edge and reference side by side, one URL after the other.

use std::sync::Arc;

use http::HeaderMap;

use super::Plan;
use crate::client::{Answer, Line, Question, Trouble};
use crate::compare::decode::decoded;
use crate::compare::report::{Outcome, Page, Sample, Side};
use crate::compare::{Point, Probe, ResultType, Seen, Verdict, judge};

/// Bytes of a compressed body that is decoded.
const MOST_ENCODED: usize = 16 << 20;

/// Connections to both.
pub(super) struct Pair {
    plan: Arc<Plan>,
    lines: [Line; 2],
    plain: Option<[Line; 2]>,
    /// Who is asked first: in turn, so that neither always finds the other's traffic gone.
    turn: usize,
}

type Both = [Answer; 2];

impl Pair {
    pub(super) fn new(plan: Arc<Plan>) -> Self {
        let line = |site| Line::new(site, plan.reach.clone());
        let lines = plan.sites.clone().map(line);
        let plain = match plan.plain.clone() {
            [Some(edge), Some(reference)] => Some([line(edge), line(reference)]),
            _ => None,
        };
        Self { plan, lines, plain, turn: 0 }
    }

    /// All questions about one URL; `missing`: also about one in its folder that is not there.
    pub(super) async fn look(&mut self, target: &str, missing: bool) -> (Page, Vec<Sample>) {
        let mut samples = Vec::new();
        let mut probes = Vec::new();
        let none = [HeaderMap::new(), HeaderMap::new()];
        let cold = match self.ask(Probe::Cold, target, &none).await {
            Ok(Some(cold)) => cold,
            Ok(None) => return (page(target, probes), samples),
            Err(why) => {
                probes.push(failed(Probe::Cold, why));
                return (page(target, probes), samples);
            }
        };
        take(&mut samples, &cold);
        probes.push(self.judged(Probe::Cold, &cold, results(&cold)));
        probes.push(self.warm(target, &mut samples).await);
        let fields = cold.map(|answer| answer.headers);
        let rest = [Probe::Revalidated, Probe::Range, Probe::Conditional, Probe::Head, Probe::Compressed];
        for probe in rest {
            probes.push(self.once(probe, target, &fields).await);
        }
        if missing {
            let nobody = format!("{}edgeseal-compare-{:016x}", folder(target), fastrand::u64(..));
            probes.push(self.once(Probe::Missing, &nobody, &fields).await);
        }
        probes.push(self.redirect(target).await);
        (page(target, probes), samples)
    }

    async fn warm(&mut self, target: &str, samples: &mut Vec<Sample>) -> Outcome {
        let none = [HeaderMap::new(), HeaderMap::new()];
        // Each of CloudFront's servers has a cache of its own: one hit shows that an object may be kept.
        let mut best: [Option<(ResultType, Answer)>; 2] = [None, None];
        for _ in 0..self.plan.settings.samples {
            let both = match self.ask(Probe::Warm, target, &none).await {
                Ok(Some(both)) => both,
                Ok(None) => break,
                Err(why) => return failed(Probe::Warm, why),
            };
            take(samples, &both);
            for (best, answer) in best.iter_mut().zip(both) {
                let result = ResultType::of(&answer.headers);
                if best.as_ref().is_none_or(|(best, _)| !best.is_hit() || result == ResultType::Hit) {
                    *best = Some((result, answer));
                }
            }
        }
        match best {
            [Some((edge, one)), Some((reference, other))] => {
                self.judged(Probe::Warm, &[one, other], [edge, reference])
            }
            _ => skipped(Probe::Warm, "no samples"),
        }
    }

    async fn once(&mut self, probe: Probe, target: &str, cold: &[HeaderMap; 2]) -> Outcome {
        // The first brings the compressed object into either cache.
        let times = if probe == Probe::Compressed { 2 } else { 1 };
        let mut last = None;
        for _ in 0..times {
            match self.ask(probe, target, cold).await {
                Ok(Some(both)) => last = Some(both),
                Ok(None) => return skipped(probe, "the first GET had neither ETag nor Last-Modified"),
                Err(why) => return failed(probe, why),
            }
        }
        match last {
            Some(both) => self.judged(probe, &both, results(&both)),
            None => skipped(probe, "it was not asked"),
        }
    }

    async fn redirect(&mut self, target: &str) -> Outcome {
        let question = self.question(Probe::Redirect, target, &HeaderMap::new());
        let (Some(question), Some([edge, reference])) = (question, &mut self.plain) else {
            return skipped(
                Probe::Redirect,
                "an endpoint without TLS is not known of both: --edge-http, --reference-http",
            );
        };
        let both = match (edge.ask(&question).await, reference.ask(&question).await) {
            (Ok(edge), Ok(reference)) => [edge, reference],
            // Both addresses may have been guessed.
            (Err(_), Err(_)) => return skipped(Probe::Redirect, "neither answers without TLS"),
            (Err(why), _) => return failed(Probe::Redirect, format!("edge: {why}")),
            (_, Err(why)) => return failed(Probe::Redirect, format!("reference: {why}")),
        };
        self.judged(Probe::Redirect, &both, results(&both))
    }

    /// `None`: there is nothing to ask with.
    async fn ask(
        &mut self,
        probe: Probe,
        target: &str,
        cold: &[HeaderMap; 2],
    ) -> Result<Option<Both>, String> {
        let questions = [self.question(probe, target, &cold[0]), self.question(probe, target, &cold[1])];
        let [Some(edge), Some(reference)] = questions else { return Ok(None) };
        self.turn += 1;
        let [to_edge, to_reference] = &mut self.lines;
        let of = |side: &'static str| move |trouble: Trouble| format!("{side}: {trouble}");
        if self.turn % 2 == 1 {
            let edge = to_edge.ask(&edge).await.map_err(of("edge"))?;
            Ok(Some([edge, to_reference.ask(&reference).await.map_err(of("reference"))?]))
        } else {
            let reference = to_reference.ask(&reference).await.map_err(of("reference"))?;
            Ok(Some([to_edge.ask(&edge).await.map_err(of("edge"))?, reference]))
        }
    }

    fn question(&self, probe: Probe, target: &str, cold: &HeaderMap) -> Option<Question> {
        let mut headers = self.plan.fields.clone();
        for (name, value) in probe.fields(cold)? {
            headers.insert(name, value);
        }
        let keep = if probe == Probe::Compressed { MOST_ENCODED } else { 0 };
        Some(Question { method: probe.method(), target: target.to_owned(), headers, keep })
    }

    fn judged(&self, probe: Probe, both: &Both, results: [ResultType; 2]) -> Outcome {
        let sites =
            if probe == Probe::Redirect { &self.plan.plain } else { &self.plan.sites.clone().map(Some) };
        let seen = |side: usize| Seen {
            answer: &both[side],
            result: results[side],
            authority: sites[side].as_ref().map_or("", |site| &site.authority),
            decoded: contents(&both[side]),
        };
        let points: Vec<Point> = judge(probe, &seen(0), &seen(1), &self.plan.rules);
        Outcome { probe, verdict: Verdict::of(&points), points }
    }
}

/// Of `/images/a.jpg?w=1`: `/images/`.
pub(super) fn folder(target: &str) -> &str {
    let path = target.split('?').next().unwrap_or_default();
    path.rfind('/').map_or("/", |at| &path[..=at])
}

fn contents(answer: &Answer) -> Option<([u8; 32], u64)> {
    let coding = answer.headers.get(http::header::CONTENT_ENCODING)?.to_str().ok()?;
    decoded(coding, answer.body.as_ref()?)
}

fn results(both: &Both) -> [ResultType; 2] {
    [&both[0], &both[1]].map(|answer| ResultType::of(&answer.headers))
}

fn take(samples: &mut Vec<Sample>, both: &Both) {
    for (side, answer) in [Side::Edge, Side::Reference].into_iter().zip(both) {
        let result = ResultType::of(&answer.headers);
        samples.push(Sample { side, result, first_byte: answer.first_byte, last_byte: answer.last_byte });
    }
}

fn page(target: &str, probes: Vec<Outcome>) -> Page {
    Page { path: target.to_owned(), probes }
}

fn failed(probe: Probe, why: String) -> Outcome {
    Outcome { probe, verdict: Verdict::Failed(why), points: Vec::new() }
}

fn skipped(probe: Probe, why: &str) -> Outcome {
    Outcome { probe, verdict: Verdict::Skipped(why.to_owned()), points: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_all_before_the_last_slash_of_the_path() {
        for (target, expected) in
            [("/", "/"), ("/a", "/"), ("/images/a.jpg?w=1/2", "/images/"), ("/a/b/", "/a/b/"), ("/?a/b", "/")]
        {
            assert_eq!(folder(target), expected, "{target}");
        }
    }
}
